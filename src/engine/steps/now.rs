//! How things stand when a run ends: what runs, what the probes see, and what is still shut or held.

use std::sync::PoisonError;

use super::step_runner::StepRunner;
use super::swapping::has_gone_in;
use super::watching::ask_once;
use crate::history::History;
use guard_model::artifact::Work;
use guard_model::health::Outcome;
use guard_model::name::RunKind;
use guard_model::now::{Now, Seen};
use guard_model::text::{chain, sanitised, shortened};
use guard_system::context::Context;

/// The most of a probe's note that is repeated.
const NOTE: usize = 80;

impl StepRunner {
    /// Looks once; `None` for a backup, which changes nothing of what runs.
    pub(super) fn look(&self, history: &History, cx: &Context) -> Option<Now> {
        if history.plan().kind == RunKind::Backup {
            return None;
        }
        let mut now = Now::default();
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            match services.standing(&there) {
                Ok(found) => now.services.extend(found.into_iter().map(|mut service| {
                    if let Some(name) = name {
                        service.name = format!("{name}/{}", service.name);
                    }
                    service
                })),
                Err(error) => {
                    let why = cx.redaction.clean(&chain(&error));
                    now.others.push(format!("What runs now is not known: {why}."));
                }
            }
        }
        let answers = ask_once(&self.probes, &self.runtime, cx);
        now.seen = answers
            .iter()
            .filter(|(probe, _)| probe.decides())
            .map(|(probe, answer)| Seen {
                probe: probe.name().clone(),
                passes: answer.outcome == Outcome::Ok,
                note: shortened(&sanitised(&cx.redaction.clean(&answer.note)), NOTE),
            })
            .collect();
        for name in &self.data {
            let member = self.resources.get(name).filter(|_| has_gone_in(name, history));
            match member
                .map(|member| member.at(cx))
                .map(|(resource, there)| resource.is_shut(&there))
            {
                Some(Ok(true)) => now.others.push(format!(
                    "{name} lets no client in: `guard resume` goes on and opens it."
                )),
                Some(Err(error)) => now.others.push(format!(
                    "Whether {name} lets clients in could not be asked ({}): `guard status` asks again.",
                    cx.redaction.clean(&chain(&error))
                )),
                Some(Ok(false)) | None => {}
            }
        }
        now.others.extend(self.visitors(cx));
        now.others.extend(left_alone(history));
        now.others.extend(self.holders_of_displaced(history));
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        now.others.extend(told.iter().map(|sentence| format!("{sentence}.")));
        Some(now)
    }

    /// Keeps a sentence for the last lines of the run, without its full stop.
    pub(super) fn tell_at_end(&self, sentence: impl Into<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = sentence.into();
        if !told.contains(&sentence) {
            told.push(sentence);
        }
    }
}

/// What differs from the backup and the policy left alone: nobody is to take it for what it was.
fn left_alone(history: &History) -> impl Iterator<Item = String> {
    let backup = &history.plan().backup;
    history.prepared().filter_map(move |prepared| {
        let Work::Left(why) = &prepared.work else { return None };
        let name = &prepared.resource;
        // One that was left at first and put back after all is not.
        if history.displaced().any(|displaced| &displaced.resource == name) {
            return None;
        }
        Some(format!(
            "{name} differs from the backup and was left alone ({why}): `guard rollback --backup-timestamp={backup} \
             --data-restore=always` puts it back."
        ))
    })
}
