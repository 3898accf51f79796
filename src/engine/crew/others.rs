//! Nobody else on the road: what could bring the failed release back during the way back is found, held, and named.

use super::Crew;
use super::watching::ask_once;
use crate::model::event::Level;
use crate::model::health::Outcome;
use crate::model::text::chain;
use crate::services::{Services, hold_starters, hold_updaters, release_starters, release_updaters};
use crate::system::context::Context;
use crate::system::disk;
use crate::system::leftovers::{Left, left};

/// The file in the run's directory that lists what is held.
const HELD: &str = "held.json";

impl Crew {
    /// Holds what the deploy command has left running, and what updates images by itself. What belongs to the services was
    /// stopped with them before.
    pub(super) fn hold_others(&self, cx: &Context) {
        let mut marks = cx.announced.to_vec();
        marks.push(("GUARD_STAGE".to_owned(), "deploy".to_owned()));
        let found = left(&marks);
        // What is held is written down first: whoever goes on after a kill has to know of it.
        let record = serde_json::to_vec(&found).unwrap_or_default();
        if let Err(error) = disk::write_whole(&cx.scratch.join(HELD), &record) {
            cx.note(Level::Warn, format!("what is held could not be written down: {error}"));
            return;
        }
        for one in &found {
            one.hold();
            let note = format!(
                "{} was left by the deploy command, and is held while the way back lasts",
                one.shown()
            );
            cx.note(Level::Warn, note);
        }
        if self.services.compose.is_some() {
            for sentence in hold_updaters(cx) {
                cx.note(Level::Warn, sentence);
            }
        }
        self.hold_restarts(cx);
        self.tell_what_came_back(cx);
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
        let speaks = |(probe, answer): &&(std::sync::Arc<dyn crate::probes::Probe>, crate::model::health::Answer)| {
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

    /// Lets go of what was held. What the deploy command left stays held where the application is started by its services: it
    /// is not the application then, and would work against what is back. Returns what is to be said of it at the end.
    pub(super) fn release_others(&self, cx: &Context) -> Vec<String> {
        let mut told = release_updaters(cx);
        let has_services = self.services.compose.is_some() || !self.services.start.is_empty();
        for one in Self::held(cx).iter().filter(|one| one.is_there()) {
            let (shown, pid) = (one.shown(), one.pid());
            if has_services {
                told.push(format!(
                    "{shown}, left by the deploy command, is still held: `kill -CONT {pid}` lets it go on, `kill -KILL {pid}` ends it"
                ));
            } else {
                one.let_go();
                told.push(format!(
                    "{shown}, left by the deploy command, goes on: it belongs to the failed release"
                ));
            }
        }
        told
    }

    /// What of the failed release goes on, and may change what was put back.
    pub(super) fn goes_on(&self, cx: &Context) -> Vec<String> {
        let has_services = self.services.compose.is_some() || !self.services.start.is_empty();
        let there = Self::held(cx).into_iter().filter(|one| !has_services && one.is_there());
        there.map(|one| one.shown()).collect()
    }

    fn held(cx: &Context) -> Vec<Left> {
        let bytes = disk::read_optional(&cx.scratch.join(HELD)).ok().flatten();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }
}
