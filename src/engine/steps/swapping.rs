//! Data exchanged on the way back, again where somebody writes to it meanwhile, and back again for an undo.

use std::time::Duration;

use super::failure::failed;
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared};
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::name::{ResourceName, RunId, Timestamp};
use guard_model::plan::{Action, Step};
use guard_model::policy::DataRestore;
use guard_resources::{Group, Resource, Slot};
use guard_system::context::Context;
use guard_system::disk;

/// How long data has to stay as it is where somebody has just written to it. A guess.
const STILL: Duration = Duration::from_secs(1);
/// How often data is exchanged again in one try, where somebody writes to it meanwhile. A guess.
const EXCHANGES: usize = 2;
/// From here on the names of further exchanges are counted: no two runs begin in one second so often.
const FURTHER: u32 = 900;

/// The surroundings of a further exchange: what it makes outside has names of its own, in the form of a run's.
fn again(number: usize, cx: &Context) -> Context {
    let place = FURTHER.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
    let named = cx.run.as_ref().map(|run| {
        let timestamp = Timestamp::at(run.timestamp().moment(), place.saturating_sub(1));
        RunId::new(&timestamp, run.kind())
    });
    Context {
        run: named,
        ..cx.clone()
    }
}

/// Whether something was put into this resource by the run, or was about to be.
#[must_use]
pub fn has_gone_in(name: &ResourceName, history: &History) -> bool {
    let is_begun = |act: Action| history.step(&Step::of(act).id).is_some();
    let is_needed = || {
        history
            .prepared_of(name)
            .is_some_and(|prepared| prepared.work.is_needed())
    };
    is_begun(Action::Undo(name.clone())) || (is_needed() && is_begun(Action::Restore(name.clone())))
}

impl StepRunner {
    /// Swaps a prepared copy in, and looks whether the resource is as the copy then.
    pub(super) fn restore(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let nothing = Displaced {
            resource: name.clone(),
            details: serde_json::Value::Null,
            kept_as: Vec::new(),
        };
        let Some(prepared) = history.prepared_of(name).filter(|prepared| prepared.work.is_needed()) else {
            return Ok(StepOutput::Displaced(nothing));
        };
        let member = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        self.reach(member, cx)?;
        let slot = self.slot(history, name);
        // Code and images are still the failed release's: nobody writes into data that is back before they are old.
        let (resource, there) = member.at(&cx.fenced());
        let cx = &there;
        let beside: Vec<&Prepared> = history
            .prepared()
            .filter(|other| &other.resource != name && other.work.is_needed())
            .filter(|other| !history.displaced().any(|done| done.resource == other.resource))
            .collect();
        let group = Group {
            others: &beside,
            barrier: &self.barrier,
        };
        let displaced = resource
            .restore_together(prepared, &artifact, &slot, &group, cx)
            .map_err(|error| failed(&error, cx))?;
        if !self.data.contains(name) {
            // What runs comes up later: the rest is compared when everything is started.
            return Ok(StepOutput::Displaced(displaced));
        }
        let carried = resource.carried(&displaced);
        for sentence in carried.iter().flat_map(|carried| &carried.sentences) {
            cx.note(Level::Info, format!("{name}: {sentence}"));
        }
        if resource.is_compared(&displaced) {
            Self::shut_out(resource, cx);
            return Ok(StepOutput::Displaced(displaced));
        }
        let meant = Artifact {
            fingerprint: carried.map_or(artifact.fingerprint.clone(), |carried| carried.becomes),
            ..artifact.clone()
        };
        let brought = match resource
            .compare(&meant, &slot, cx)
            .map_err(|error| failed(&error, cx))?
        {
            Live::Matches => Ok(StepOutput::Displaced(displaced)),
            Live::Differs(parts) => Self::exchange_again(resource, &artifact, &slot, (displaced, parts), cx),
            Live::Unknown(why) => Err(Failure::new(format!(
                "{name} was put back and cannot be compared: {why}"
            ))),
        };
        if brought.is_ok() {
            Self::shut_out(resource, cx);
        }
        brought
    }

    /// Exchanges data again that differs although it was swapped in: somebody writes to it. What each exchange puts aside is
    /// kept. A try that comes later finds what the ones before have staged, so it never only looks at what was done.
    pub(super) fn exchange_again(
        resource: &dyn Resource,
        artifact: &Artifact,
        slot: &Slot,
        (first, mut parts): (Displaced, Vec<String>),
        cx: &Context,
    ) -> Result<StepOutput, Failure> {
        let name = resource.name();
        let record = cx.scratch.join(format!("again-{name}.json"));
        let bytes = disk::read_optional(&record).map_err(|error| Failure::from_error(&error))?;
        let mut staged: Vec<Prepared> = bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut all = vec![first];
        for (number, prepared) in staged.iter().enumerate() {
            let swapped = resource.restore(prepared, artifact, slot, &again(number, cx));
            all.push(swapped.map_err(|error| failed(&error, cx))?);
        }
        // The caller has just looked.
        let mut is_fresh = staged.is_empty();
        for round in 0..=EXCHANGES {
            if !staged.is_empty() && all.last().is_some_and(|last| resource.is_compared(last)) {
                // What was swapped in was compared before, and nobody was let in since.
                return Ok(StepOutput::DisplacedAgain(all));
            }
            if !std::mem::take(&mut is_fresh) {
                let carried = all.last().and_then(|last| resource.carried(last));
                let meant = Artifact {
                    fingerprint: carried.map_or(artifact.fingerprint.clone(), |carried| carried.becomes),
                    ..artifact.clone()
                };
                match resource.compare(&meant, slot, cx).map_err(|error| failed(&error, cx))? {
                    Live::Matches if Self::is_still(resource, &meant, slot, cx)? => {
                        return Ok(StepOutput::DisplacedAgain(all));
                    }
                    Live::Matches => {}
                    Live::Differs(differs) => parts = differs,
                    Live::Unknown(why) => {
                        return Err(Failure::new(format!(
                            "{name} was put back and cannot be compared: {why}"
                        )));
                    }
                }
            }
            if round == EXCHANGES {
                break;
            }
            let note = format!(
                "{name} was written to while it was put back, in: {}; it is exchanged again",
                parts.join(", ")
            );
            cx.note(Level::Warn, note);
            let there = again(staged.len(), cx);
            let prepared = resource.prepare(artifact, slot, DataRestore::Always, &there);
            let prepared = prepared.map_err(|error| failed(&error, cx))?;
            if !prepared.work.is_needed() {
                continue;
            }
            staged.push(prepared.clone());
            let bytes = serde_json::to_vec(&staged).unwrap_or_default();
            disk::write_whole(&record, &bytes).map_err(|error| Failure::from_error(&error))?;
            let swapped = resource.restore(&prepared, artifact, slot, &there);
            all.push(swapped.map_err(|error| failed(&error, cx))?);
        }
        let failure = Failure::new(format!(
            "{name} was put back and still differs in: {}",
            parts.join(", ")
        ));
        let failure = failure.with_cause("something goes on writing to it");
        Err(failure.with_hint(format!(
            "stop what writes to {name}; `guard resume` exchanges it again then"
        )))
    }

    /// Whether data that somebody wrote to a moment ago stays as it is for a while: nothing that is to write runs yet.
    pub(super) fn is_still(
        resource: &dyn Resource,
        meant: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<bool, Failure> {
        cx.clock.sleep(STILL);
        let look = resource.compare(meant, slot, cx).map_err(|error| failed(&error, cx))?;
        Ok(look == Live::Matches)
    }

    /// Swaps back what the rollback before this run displaced.
    pub(super) fn undo(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let member = self.resource(name)?;
        self.reach(member, cx)?;
        let (resource, there) = member.at(cx);
        let Some(displaced) = self.undoing.iter().find(|displaced| &displaced.resource == name) else {
            return Err(Failure {
                permanent: true,
                ..Failure::new(format!("the run before displaced nothing of `{name}`"))
            });
        };
        let others = self.undoing.iter().filter(|other| &other.resource != name);
        let beside: Vec<&Displaced> = others
            .filter(|other| !history.displaced().any(|done| done.resource == other.resource))
            .collect();
        let is_data = self.data.contains(name);
        let cx = if is_data { &there.fenced() } else { &there };
        let group = Group {
            others: &beside,
            barrier: &self.barrier,
        };
        let undone = resource.undo_together(displaced, &group, cx);
        if is_data && undone.is_ok() {
            Self::shut_out(resource, cx);
        }
        undone.map(StepOutput::Displaced).map_err(|error| failed(&error, cx))
    }

    /// Keeps clients out of what was put in. Where that cannot be done the way back goes on, as it does for kinds that
    /// cannot: it is told.
    pub(super) fn shut_out(resource: &dyn Resource, cx: &Context) {
        if let Err(error) = resource.shut_out(cx) {
            let why = failed(&error, cx).sentence();
            let note = format!(
                "{}: clients could not be kept out while code and images go back: {why}",
                resource.name()
            );
            cx.note(Level::Warn, note);
        }
    }
}
