//! The loop: decide, announce, act, record, until the run is over. A resumed run is the same loop with a longer history.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::decide::{Next, decide, response};
use crate::history::History;
use crate::ledger::{Ledger, LedgerError};
use crate::standby::due;
use guard_model::event::{Level, Voice};
use guard_model::fact::{Ending, Fact, Failure, RollbackCause, StandbyState, StepOutput};
use guard_model::name::ResourceName;
use guard_model::now::Now;
use guard_model::plan::{Action, StageName, Step};
use guard_model::text;
use guard_system::stop::Stop;

/// How long a step that failed is left alone, times its failures: an engine or a server may be coming back. Two seconds, then
/// four: a guess.
const PAUSE: Duration = Duration::from_secs(2);
/// How often is looked, while steps are waited for, what has become of the copies that are made to stand by.
const LOOK: Duration = Duration::from_millis(100);

/// What whoever does the steps of a stage tells.
pub enum Told<'s> {
    /// A step has ended like this.
    Step(&'s Step, Box<Result<StepOutput, Failure>>),
    /// None has, and some time is over: what goes on aside may have something to say.
    Waiting,
}

/// Who does the steps. A trait, so that a test can let any of them fail, hang, or happen twice.
pub trait Acts: Sync {
    /// Does a step. Called again for a step that was cut off, unless that is the user's command.
    ///
    /// # Errors
    /// How it failed.
    fn act(&self, step: &Step, history: &History) -> Result<StepOutput, Failure>;

    /// Does the steps of a stage, each in a thread of its own, and tells each result as it comes. A test overrides this to
    /// let the steps meet in an order of its own choice, the same every time.
    fn side_by_side(&self, steps: &[Step], history: &History, tell: &mut dyn FnMut(Told<'_>)) {
        std::thread::scope(|scope| {
            let (results, arriving) = mpsc::channel();
            for step in steps {
                let results = results.clone();
                scope.spawn(move || {
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.act(step, history)));
                    let result =
                        result.unwrap_or_else(|_| Err(Failure::new(format!("a bug in guard: `{}` panicked", step.id))));
                    // The receiver lives until every sender is gone.
                    let _received = results.send((step, result));
                });
            }
            drop(results);
            loop {
                match arriving.recv_timeout(LOOK) {
                    Ok((step, result)) => tell(Told::Step(step, Box::new(result))),
                    Err(RecvTimeoutError::Timeout) => tell(Told::Waiting),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
    }

    /// The resources that want a copy to stand by while the release is deployed and watched, as far as they know by
    /// themselves: nobody is asked.
    fn standbys(&self, _history: &History) -> Vec<ResourceName> {
        Vec::new()
    }

    /// Begins to make a copy that stands by, and returns at once. It was announced, and goes on aside of the steps.
    fn begin_standby(&self, _name: &ResourceName, _history: &History) {}

    /// What has become of those that were begun; each is told once.
    fn ended_standbys(&self) -> Vec<(ResourceName, StandbyState)> {
        Vec::new()
    }

    /// Ends what still makes a copy that stands by, and waits for that: nothing of it goes on behind this.
    fn call_off(&self) {}

    /// What has to be ready before these steps are announced. It changes nothing of production, and cannot keep them from
    /// being begun.
    fn expect(&self, _steps: &[Step], _history: &History) {}

    /// What runs and what the probes see, now that the run is about to be closed. It changes nothing.
    fn look_around(&self, _history: &History) -> Option<Now> {
        None
    }
}

/// Where a drive came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The run is over.
    Closed(Ending),
    /// It was interrupted inside a phase that has to be finished; `guard resume` goes on.
    Paused,
}

/// Drives a run to its end.
///
/// The first wish to stop ends what is going on ahead and turns the run; two wishes stop it between two steps of the way
/// back, never inside one.
///
/// # Errors
/// The journal could not be written. Nothing is begun that is not announced on disk.
pub fn drive(ledger: &mut Ledger, acts: &dyn Acts, stop: &Stop, voice: &Voice) -> Result<Arrival, LedgerError> {
    let arrival = drive_on(ledger, acts, stop, voice);
    if matches!(arrival, Ok(Arrival::Closed(_))) {
        return arrival;
    }
    // Whoever goes on with the run begins anew what goes on aside: two must not.
    acts.call_off();
    arrival.and_then(|arrival| hear(ledger, acts).map(|()| arrival))
}

fn drive_on(ledger: &mut Ledger, acts: &dyn Acts, stop: &Stop, voice: &Voice) -> Result<Arrival, LedgerError> {
    let mut at_turn = None;
    loop {
        let is_ahead = ledger.history().turned().is_none();
        if !is_ahead && at_turn.is_none() {
            at_turn = Some(stop.times());
        }
        match decide(ledger.history()) {
            Next::Over(ending) => return Ok(Arrival::Closed(ending)),
            Next::Close(ending) => {
                acts.call_off();
                hear(ledger, acts)?;
                let now = acts.look_around(ledger.history()).map(Box::new);
                ledger.append(&Fact::Closed { ending, now })?;
            }
            Next::RollbackCause(why) => ledger.append(&turned(ledger.history(), why))?,
            Next::Widen(resources) => ledger.append(&Fact::Widened { resources })?,
            Next::Begin(..) if is_ahead && stop.is_asked() => {
                ledger.append(&turned(ledger.history(), RollbackCause::Interrupted))?;
            }
            Next::Begin(stage, _) if wants_pause(stop, at_turn, stage.name) => return Ok(Arrival::Paused),
            Next::Begin(stage, steps) => {
                if let (Some(before), true) = (at_turn, stop.is_asked())
                    && stop.times() > before
                {
                    voice.note(
                        Level::Warn,
                        format!(
                            "going on, since a rollback must not stop half-way; once more to stop before \"{}\"",
                            stage.name.title()
                        ),
                    );
                }
                let steps: Vec<Step> = steps.into_iter().cloned().collect();
                if is_late(ledger) && give_up(ledger, &steps)? {
                    continue;
                }
                if let Some(failures) = failed_before(ledger.history(), &steps) {
                    ledger.wait(PAUSE * failures);
                }
                acts.expect(&steps, ledger.history());
                for step in &steps {
                    ledger.append(&Fact::Begun { step: step.id.clone() })?;
                }
                if is_ahead {
                    begin_standbys(ledger, acts)?;
                }
                side_by_side(ledger, acts, &steps)?;
            }
        }
    }
}

/// Announces the copies that are to stand by from here on, and has them begun.
fn begin_standbys(ledger: &mut Ledger, acts: &dyn Acts) -> Result<(), LedgerError> {
    hear(ledger, acts)?;
    for resource in due(ledger.history(), acts.standbys(ledger.history())) {
        let state = StandbyState::Loading;
        let begun = Fact::Standby {
            resource: resource.clone(),
            state,
        };
        ledger.append(&begun)?;
        acts.begin_standby(&resource, ledger.history());
    }
    Ok(())
}

/// Records what has become of the copies that were to stand by.
fn hear(ledger: &mut Ledger, acts: &dyn Acts) -> Result<(), LedgerError> {
    for (resource, state) in acts.ended_standbys() {
        ledger.append(&Fact::Standby { resource, state })?;
    }
    Ok(())
}

/// The turn, with what is decided to follow.
fn turned(history: &History, why: RollbackCause) -> Fact {
    Fact::RollbackBegan {
        why,
        then: response(history, why),
    }
}

/// Whether the time that the whole way back may take is over.
fn is_late(ledger: &Ledger) -> bool {
    let history = ledger.history();
    let limit = history.plan().policy.rollback_timeout;
    let taken = history
        .taken_up()
        .map(|since| (ledger.now() - since).to_std().unwrap_or_default());
    limit.zip(taken).is_some_and(|(limit, taken)| taken >= limit)
}

/// Whether the time for the whole way back is about this act: what ran is started and looked at in any case, and evidence is
/// kept.
#[must_use]
pub fn is_limited(action: &Action) -> bool {
    matches!(
        action,
        Action::Prepare(_) | Action::Quiesce | Action::Recheck(_) | Action::Restore(_) | Action::Undo(_)
    )
}

/// Records that these steps are not begun any more, where they are of those that the limit is about. Returns whether there were any.
fn give_up(ledger: &mut Ledger, steps: &[Step]) -> Result<bool, LedgerError> {
    let limit = ledger.history().plan().policy.rollback_timeout.unwrap_or_default();
    let late: Vec<&Step> = steps.iter().filter(|step| is_limited(&step.action)).collect();
    for step in &late {
        let id = step.id.clone();
        let failure = Failure {
            permanent: true,
            interrupted: true,
            ..Failure::new(format!(
                "the time for the whole way back, {}, was over before this was begun",
                text::duration(limit)
            ))
        };
        let failure = failure.with_hint("`guard resume` goes on, with as much time again; `guard resume --rollback-timeout none` takes what it needs");
        ledger.append(&Fact::Begun { step: id.clone() })?;
        ledger.append(&Fact::Failed { step: id, failure })?;
    }
    Ok(!late.is_empty())
}

/// How often the most unlucky of these steps has failed; `None` where none has.
fn failed_before(history: &History, steps: &[Step]) -> Option<u32> {
    let failures = steps
        .iter()
        .filter_map(|step| history.step(&step.id))
        .map(|past| past.failures);
    failures.max().filter(|failures| *failures > 0)
}

/// Whether a person wants the way back to stop here: twice since it began, or twice before it began.
fn wants_pause(stop: &Stop, at_turn: Option<u32>, stage: StageName) -> bool {
    let Some(before) = at_turn else { return false };
    let insisted_before = before >= 2 && matches!(stage, StageName::Evidence | StageName::Prepare);
    insisted_before || stop.times().saturating_sub(before) >= 2
}

/// Does the steps of a stage side by side, and records each result as it comes.
fn side_by_side(ledger: &mut Ledger, acts: &dyn Acts, steps: &[Step]) -> Result<(), LedgerError> {
    let history = ledger.history().clone();
    let mut outcome = Ok(());
    acts.side_by_side(steps, &history, &mut |told| {
        // The other steps are waited for even when the journal is lost: a thread must not outlive its run.
        if outcome.is_err() {
            return;
        }
        outcome = match told {
            Told::Waiting => hear(ledger, acts),
            Told::Step(step, result) => {
                let step = step.id.clone();
                ledger.append(&match *result {
                    Ok(yields) => Fact::Done {
                        step,
                        yields: Box::new(yields),
                    },
                    Err(failure) => Fact::Failed { step, failure },
                })
            }
        };
    });
    outcome
}
