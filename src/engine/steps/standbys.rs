//! The threads that make copies which stand by, aside of the steps: one at a time is at work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use guard_model::fact::StandbyState;
use guard_model::name::ResourceName;
use guard_system::stop::Stop;

/// What stands for a copy that nobody needs any more before it is whole.
pub(super) const CALLED_OFF: &str = "it was not needed any more";

/// The copies that are being made. When this is dropped, nothing makes one any more.
#[derive(Default)]
pub struct Standbys {
    known: Mutex<Known>,
    /// Held by the one that is at work: two loads would take twice the server's time.
    turn: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Known {
    loads: Vec<Load>,
    /// Those that have ended, and were not heard of yet.
    ended: Vec<(ResourceName, StandbyState)>,
}

/// One of them.
struct Load {
    name: ResourceName,
    stop: Stop,
    work: Work,
}

enum Work {
    Begun(JoinHandle<StandbyState>),
    /// The kernel refused a thread.
    Refused(String),
}

impl Work {
    fn is_over(&self) -> bool {
        match self {
            Self::Begun(thread) => thread.is_finished(),
            Self::Refused(_) => true,
        }
    }

    fn result(self) -> StandbyState {
        match self {
            Self::Begun(thread) => thread.join().unwrap_or_else(|_| StandbyState::Failed {
                why: "a bug in guard: what made it panicked".to_owned(),
            }),
            Self::Refused(why) => StandbyState::Failed { why },
        }
    }
}

impl Standbys {
    pub(super) fn begin(&self, name: &ResourceName, stop: Stop, work: impl FnOnce() -> StandbyState + Send + 'static) {
        let (turn, asked) = (Arc::clone(&self.turn), stop.clone());
        let in_turn = move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is_asked() {
                let why = CALLED_OFF.to_owned();
                return StandbyState::Without { why };
            }
            // A panic must not keep the turn: it would be taken for one that goes on.
            catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| StandbyState::Failed {
                why: "a bug in guard: what made it panicked".to_owned(),
            })
        };
        let begun = std::thread::Builder::new()
            .name(format!("standby {name}"))
            .spawn(in_turn);
        let work = match begun {
            Ok(thread) => Work::Begun(thread),
            Err(error) => Work::Refused(format!("no thread could be had: {error}")),
        };
        let load = Load {
            name: name.clone(),
            stop,
            work,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.loads.push(load);
    }

    pub(super) fn ended(&self) -> Vec<(ResourceName, StandbyState)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { loads, ended } = &mut *known;
        let over = loads.extract_if(.., |load| load.work.is_over());
        ended.extend(over.map(|load| (load.name, load.work.result())));
        std::mem::take(ended)
    }

    /// Asks all of them to end, and waits until they have; what has become of them is still to be heard.
    pub(super) fn call_off(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { loads, ended } = &mut *known;
        for load in loads.iter() {
            load.stop.ask();
        }
        ended.extend(loads.drain(..).map(|load| (load.name, load.work.result())));
    }
}

impl Drop for Standbys {
    fn drop(&mut self) {
        self.call_off();
    }
}
