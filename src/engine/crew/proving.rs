//! The last stage back: what is, compared with what was promised.

use super::{Crew, failed};
use crate::engine::history::History;
use crate::model::artifact::{Live, Prepared};
use crate::model::fact::{Failure, Yield};
use crate::system::context::Context;

impl Crew {
    /// Asks everything that can be asked: each resource that nobody writes to, and the probes.
    pub(super) fn prove(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let mut found = Vec::new();
        for prepared in history.prepared() {
            self.prove_one(prepared, history, cx, &mut found)?;
        }
        found.extend(self.prove_by_probes(cx)?);
        Ok(Yield::Proven(found))
    }

    fn prove_one(
        &self,
        prepared: &Prepared,
        history: &History,
        cx: &Context,
        found: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let name = &prepared.resource;
        if !prepared.work.is_needed() {
            return Ok(());
        }
        if self.data.contains(name) {
            // Data was compared when it was put back, before the services started: by now they write to it.
            let displaced = history.displaced().find(|displaced| &displaced.resource == name);
            let carried = displaced.and_then(|displaced| self.resource(name).ok()?.carried(displaced));
            let backup = self.artifact(name, history)?.fingerprint;
            let differs = carried.as_ref().is_some_and(|carried| carried.becomes != backup);
            let with = if differs {
                ", with the rows that were carried over,"
            } else {
                ""
            };
            found.push(format!(
                "{name} was as in backup {}{with} when the services started",
                history.plan().backup
            ));
            let sentences = carried.into_iter().flat_map(|carried| carried.sentences);
            found.extend(sentences.map(|sentence| format!("{name}: {sentence}")));
            return Ok(());
        }
        let artifact = self.artifact(name, history)?;
        match self
            .resource(name)?
            .check(&artifact, cx)
            .map_err(|error| failed(&error, cx))?
        {
            Live::Matches => found.push(format!("{name} is as in backup {}", history.plan().backup)),
            Live::Differs(parts) => return Err(Failure::new(format!("{name} differs in: {}", parts.join(", ")))),
            Live::Unknown(why) => return Err(Failure::new(format!("{name} cannot be compared: {why}"))),
        }
        Ok(())
    }
}
