//! The time for the whole way back inside of a step: one that hangs is stopped when it is over.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::drive::is_limited;
use crate::history::History;
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::plan::{Action, Step};
use guard_model::text;
use guard_system::context::Context;

/// How long a step has to end once it is asked to, before it is told that it does not. Three times what a program has between
/// SIGTERM and SIGKILL, which a step may have to wait for.
const GRACE: Duration = Duration::from_secs(30);

/// What is left of the time for the whole way back, and all of it; `None` where the step has no limit.
pub(super) fn left(step: &Step, history: &History, cx: &Context) -> Option<(Duration, Duration)> {
    let limit = history
        .plan()
        .policy
        .rollback_timeout
        .filter(|_| is_limited(&step.action))?;
    let taken = (cx.clock.now() - history.taken_up()?).to_std().unwrap_or_default();
    Some((limit.saturating_sub(taken), limit))
}

/// Does a step, and asks it to stop when the time is over. A step that has ended well all the same is done.
pub(super) fn within(
    (left, limit): (Duration, Duration),
    step: &Step,
    cx: &Context,
    act: impl FnOnce() -> Result<StepOutput, Failure>,
) -> Result<StepOutput, Failure> {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(left) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let shown = text::duration(limit);
            let note = format!(
                "{}: the time for the whole way back, {shown}, is over: it is stopped, nothing more is put back, and what ran \
                 is started",
                step.id
            );
            cx.note(Level::Error, note);
            cx.stop.ask();
            if waiting.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                let note = format!("{} does not end: it is at a point where it cannot be stopped", step.id);
                cx.note(Level::Error, note);
            }
        });
        let result = act();
        drop(done);
        match result {
            Err(failure) if cx.stop.is_asked() => Err(stopped(&failure, step, limit)),
            other => other,
        }
    })
}

fn stopped(failure: &Failure, step: &Step, limit: Duration) -> Failure {
    let shown = text::duration(limit);
    let what = format!("the time for the whole way back, {shown}, was over, and this was stopped in the middle");
    let stopped = Failure {
        permanent: true,
        // What exchanges may have changed something by now; what only prepares has not.
        interrupted: !matches!(step.action, Action::Restore(_) | Action::Undo(_)),
        ..Failure::new(what)
    };
    let stopped = stopped.with_cause(failure.sentence());
    stopped.with_hint(
        "`guard resume` goes on, with as much time again; `guard resume --rollback-timeout none` takes what it needs",
    )
}
