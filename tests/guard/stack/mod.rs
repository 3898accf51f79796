//! guard on a real Compose stack: good releases stay, bad ones are walked back, and others than guard compare the states.

mod bad;
mod choices;
mod cleaned;
mod drills;
mod good;
mod killed;
mod projects;
mod secrets;
mod traffic;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};

use crate::support::program::Program;
use crate::support::shop::Shop;

/// How many shops run at the same time: each has four containers, and builds.
const SHOPS: usize = 3;
static FREE: (Mutex<usize>, Condvar) = (Mutex::new(SHOPS), Condvar::new());

/// The leave to run a shop; given back when it is dropped.
struct Leave;

impl Leave {
    fn wait() -> Self {
        let mut free = FREE.0.lock().unwrap();
        while *free == 0 {
            free = FREE.1.wait(free).unwrap();
        }
        *free -= 1;
        Self
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        // A test that failed gives its leave back like any other.
        *FREE.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
        FREE.1.notify_one();
    }
}

/// What somebody other than guard sees of the shop.
type State = BTreeMap<&'static str, String>;

/// A shop with v1 running, and guard's settings for it beside.
struct Stage {
    // In this order: the shop goes before the leave does.
    shop: Shop,
    _leave: Leave,
}

impl Stage {
    /// A well shop with settings.
    fn open() -> Self {
        let stage = Self::bare();
        stage.settle("");
        stage
    }

    /// A well shop without settings.
    fn bare() -> Self {
        let leave = Leave::wait();
        Self {
            shop: Shop::open(),
            _leave: leave,
        }
    }

    /// Gives a release another time to get well, until the settings are written again.
    fn gate(&self, time: &str) {
        self.shop
            .sh(&format!("sed -i 's/^gate = .*/gate = \"{time}\"/' guard.toml"));
    }

    /// Writes the settings, with something more at their end; git does not see them.
    fn settle(&self, more: &str) {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stack/guard.toml");
        let url = self.shop.url("");
        let port = url.rsplit(':').next().unwrap();
        let text = std::fs::read_to_string(fixture).unwrap();
        let text = text.replace("@PORT@", port);
        std::fs::write(self.shop.directory().join("guard.toml"), format!("{text}\n{more}")).unwrap();
        self.shop
            .sh("mkdir -p .git/info && echo guard.toml > .git/info/exclude");
    }

    fn guard(&self) -> Program {
        self.shop.guard()
    }

    fn state(&self) -> State {
        self.shop.state_of_everything()
    }

    /// The directories of guard's runs, oldest first.
    fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.shop.state().join("runs")) else {
            return Vec::new();
        };
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs
    }
}

/// Asserts that two states are the same, and shows where they are not; some parts may be left out.
#[track_caller]
fn same(what: &str, now: &State, then: &State, without: &[&str]) {
    for (part, value) in then {
        if !without.contains(part) {
            assert_eq!(&now[part], value, "{what}: {part} is not the same");
        }
    }
}
