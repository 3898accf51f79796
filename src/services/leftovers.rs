//! What the deploy command has left running: held while a way back lasts, and let go behind it or named.

use super::Services;
use super::noted::noted;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::leftovers::{Left, left};

/// The file in the run's directory that lists what is held.
const HELD: &str = "held.json";

/// Holds it. Returns a sentence for each. What belongs to the services was stopped with them before.
#[must_use]
pub fn hold(cx: &Context) -> Vec<String> {
    let mut marks = cx.announced.to_vec();
    marks.push(("GUARD_STAGE".to_owned(), "deploy".to_owned()));
    let found = left(&marks);
    // What is held is written down first: whoever goes on after a kill has to know of it.
    let record = serde_json::to_vec(&found).unwrap_or_default();
    if let Err(error) = disk::write_whole(&cx.scratch.join(HELD), &record) {
        return vec![format!(
            "what the deploy command left is not held, since that could not be written down: {}",
            chain(&error)
        )];
    }
    let held = found.iter().map(|one| {
        let verb = if one.hold() { "is" } else { "could not be" };
        format!(
            "{} was left by the deploy command, and {verb} held while the way back lasts",
            one.shown()
        )
    });
    held.collect()
}

/// What is held in this run's directory and stands still, each by its name and number.
#[must_use]
pub fn held(cx: &Context) -> Vec<String> {
    there(cx).iter().filter(|one| one.is_held()).map(Left::shown).collect()
}

impl Services {
    /// Lets it go on. What is held stays so where the application is started by its services: it is not the application then,
    /// and would work against what is back. Returns what is to be said of it.
    #[must_use]
    pub fn release_leftovers(&self, cx: &Context) -> Vec<String> {
        let there = there(cx).into_iter().map(|one| {
            let (shown, pid) = (one.shown(), one.pid());
            if self.starts_the_application() {
                return format!(
                    "{shown}, left by the deploy command, is still held: `kill -CONT {pid}` lets it go on, `kill -KILL {pid}` ends it"
                );
            }
            one.let_go();
            format!("{shown}, left by the deploy command, goes on: it belongs to the failed release")
        });
        there.collect()
    }

    /// What of the failed release goes on, and may change what was put back.
    #[must_use]
    pub fn leftovers_that_go_on(&self, cx: &Context) -> Vec<String> {
        let there = there(cx).into_iter().filter(|_| !self.starts_the_application());
        there.map(|one| one.shown()).collect()
    }

    fn starts_the_application(&self) -> bool {
        self.compose.is_some() || !self.start.is_empty()
    }
}

/// Those of them that are still there.
fn there(cx: &Context) -> Vec<Left> {
    let mut held: Vec<Left> = noted(HELD, cx);
    held.retain(Left::is_there);
    held
}
