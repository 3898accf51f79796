//! Who wants to stop is heard during the proof, and while the price is told: they change nothing, so they can be left at any moment.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_system::context::Context;
use guard_system::stop::Stop;

/// How often it is looked whether somebody asked.
const GLANCE: Duration = Duration::from_millis(50);

/// Does the proof, and ends it when a person has asked twice since the run turned back, as between two steps. `asked` counts
/// the wishes, of which there were `before` when it turned; `cx` is the proof's own, which no signal reaches otherwise. `what`
/// goes on is told after the first wish.
pub(super) fn proof(
    asked: &Stop,
    before: u32,
    (what, cx): (&str, &Context),
    prove: impl FnOnce() -> Result<StepOutput, Failure>,
) -> Result<StepOutput, Failure> {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut told = before;
            while waiting.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                let times = asked.times();
                if times.saturating_sub(before) >= 2 {
                    cx.stop.ask();
                    return;
                }
                if times > told {
                    told = times;
                    cx.note(Level::Warn, format!("all is back, and {what}; once more to stop that"));
                }
            }
        });
        let result = prove();
        drop(done);
        result.map_err(|failure| Failure {
            interrupted: failure.interrupted || cx.stop.is_asked(),
            ..failure
        })
    })
}
