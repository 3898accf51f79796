//! Nobody else on the road: what could bring the failed release back during the way back is found, held, and named.

use super::step_runner::StepRunner;
use super::watching::ask_once;
use crate::history::History;
use guard_model::event::Level;
use guard_model::health::Outcome;
use guard_model::text::chain;
use guard_services::{Services, hold_leftovers, hold_starters, hold_updaters, release_starters, release_updaters};
use guard_system::context::Context;
use guard_system::leftovers::Left;
use guard_system::servers::User;

impl StepRunner {
    /// Holds what the deploy command has left running, and what updates images by itself.
    pub(super) fn hold_others(&self, history: &History, cx: &Context) {
        let mut told = hold_leftovers(cx);
        if self.services.compose.is_some() {
            told.extend(hold_updaters(cx));
        }
        for sentence in told {
            cx.note(Level::Warn, sentence);
        }
        self.hold_restarts(cx);
        self.tell_what_came_back(cx);
        self.tell_holders(history, cx);
    }

    /// Names who has data open that is about to be exchanged, although what guard knows of is stopped.
    fn tell_holders(&self, history: &History, cx: &Context) {
        let needed = history.prepared().filter(|prepared| prepared.work.is_needed());
        for name in needed
            .map(|prepared| &prepared.resource)
            .filter(|name| self.data.contains(name))
        {
            let Some(member) = self.resources.get(name) else {
                continue;
            };
            let (resource, there) = member.at(cx);
            let held = |user: &User| {
                i32::try_from(user.pid)
                    .ok()
                    .and_then(Left::of)
                    .is_some_and(|one| one.is_held())
            };
            for user in resource.holders(&there).iter().filter(|user| !held(user)) {
                let shown = user.shown();
                cx.note(
                    Level::Warn,
                    format!("{shown} has {name} open although what guard knows of is stopped, and may write while it goes back"),
                );
            }
        }
    }

    /// Who has open what was put aside, each a sentence with its full stop: what they write is in no live state.
    pub(super) fn holders_of_displaced(&self, history: &History) -> Vec<String> {
        let mut told = Vec::new();
        for displaced in history.displaced() {
            let Some(member) = self.resources.get(&displaced.resource) else {
                continue;
            };
            let (resource, there) = member.at(&self.cx);
            for user in resource.holders_of_displaced(displaced, &there) {
                let (shown, pid) = (user.shown(), user.pid);
                let (name, place) = (&displaced.resource, displaced.kept_as.join(", "));
                let look = match displaced.files() {
                    Some(_) => format!(", and `guard salvage {}` tells what lies there", history.run()),
                    None => String::new(),
                };
                told.push(format!(
                    "{shown} still has open what was put aside of {name} ({place}): what it writes goes there, and not into what is \
                     live; `kill {pid}` ends it{look}."
                ));
            }
        }
        told
    }

    /// Holds what this machine would start by itself: before anything is stopped, since a stop may be what it waits for.
    pub(super) fn hold_starters(cx: &Context) {
        for sentence in hold_starters(cx) {
            cx.note(Level::Warn, sentence);
        }
    }

    /// Sees to it that what was stopped stays so also where its engine restarts.
    fn hold_restarts(&self, cx: &Context) {
        self.each_project(cx, |name, services, there| {
            if let Err(error) = services.hold_restarts(name, there) {
                let why = chain(&error);
                cx.note(
                    Level::Warn,
                    format!("what was stopped may start again if its engine restarts: {why}"),
                );
            }
        });
    }

    /// Gives what was stopped its restart policies back: from here on it is started.
    pub(super) fn release_restarts(&self, cx: &Context) {
        self.each_project(cx, |name, services, there| {
            if let Err(error) = services.release_restarts(name, there) {
                cx.note(Level::Warn, chain(&error));
            }
        });
    }

    fn each_project(&self, cx: &Context, each: impl Fn(Option<&str>, &Services, &Context)) {
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            each(name, &services, &there);
        }
    }

    /// Lets what this machine starts by itself go on, now that what it starts is old again.
    pub(super) fn release_starters(&self, cx: &Context) {
        for sentence in release_starters(cx) {
            cx.note(Level::Info, &sentence);
            self.tell_at_end(sentence);
        }
    }

    /// Says so where the application answers although it was stopped: a supervisor starts it again, and nobody knows when.
    fn tell_what_came_back(&self, cx: &Context) {
        if self.services.stop.is_empty() || self.services.compose.is_some() {
            return;
        }
        let answers = ask_once(&self.probes, &self.runtime, cx);
        let speaks = |(probe, answer): &&(std::sync::Arc<dyn guard_probes::Probe>, guard_model::health::Answer)| {
            probe.decides() && answer.outcome == Outcome::Ok && probe.describe().contains("://")
        };
        if let Some((probe, _)) = answers.iter().find(speaks) {
            let note = format!(
                "{} answers although `services.stop` has ended well: something starts the application again (a unit with Restart=, \
                 a supervisor, a timer), and it may write while its data goes back",
                probe.name()
            );
            cx.note(Level::Warn, note);
        }
    }

    /// Lets go of what was held. Returns what is to be said of it at the end.
    pub(super) fn release_others(&self, cx: &Context) -> Vec<String> {
        let mut told = release_updaters(cx);
        told.extend(self.services.release_leftovers(cx));
        told
    }
}
