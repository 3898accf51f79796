//! A run that somebody else drives, heard from its journal: what it does is told as it would be by itself, to its end.

use std::path::PathBuf;
use std::time::Duration;

use crate::outcome::{Outcome, Refusal};
use crate::project::Project;
use crate::results::{is_told, publish, tell_report};
use crate::session::Session;
use crate::watchdog;
use guard_engine::history::History;
use guard_engine::steps::DEPLOY_LOG;
use guard_journal::{JournalError, Run};
use guard_model::event::{Event, Level, Voice};
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact, Record};
use guard_model::plan::{Action, Step};
use guard_system::disk;
use guard_system::lock::Lock;

/// How often the journal is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long nobody may be at work on a run until it is believed: a watcher takes over within a second.
const GRACE: Duration = Duration::from_secs(12);
/// How long a run that is over may take to say so.
const LAST: Duration = Duration::from_secs(30);

/// From where on a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// From its first record.
    Beginning,
    /// From where the guard that was killed has told it, in the same words.
    Kill,
}

/// What has been told of a run.
struct Told<'f> {
    run: &'f Run,
    voice: Voice,
    records: usize,
    /// Bytes of what the deploy command has written.
    log: usize,
}

/// Tells a run from its first record on, and goes on with it until it is over, or until nobody is at work on it.
///
/// # Errors
/// The journal cannot be read, nobody finishes the run, or whoever listens wants to leave.
pub fn follow(run: &Run, from: From, project: &Project, session: &Session) -> Outcome {
    let lock = lock_of(run);
    let reporter: std::sync::Arc<_> = session.reporter.clone();
    let mut told = Told {
        run,
        voice: Voice::new(reporter),
        records: 0,
        log: 0,
    };
    let mut idle = None;
    loop {
        // Asked before the journal is read, so that its last record cannot come in between.
        let is_held = Lock::holder(&lock).is_ok_and(|holder| holder.is_some()) || watchdog::process_of(run).is_some();
        let records = match run.read() {
            Ok(records) => records,
            Err(JournalError::Absent { .. }) => Vec::new(),
            Err(error) => return Err(Refusal::of_error(ExitCode::UNFINISHED, &error)),
        };
        if from == From::Kill && told.records == 0 {
            told.pass_over(&records, session);
        }
        told.tell(&records);
        if let Some(ending) = records.iter().rev().find_map(ending_of) {
            return finish(run, ending, project, session);
        }
        if session.stop.is_asked() {
            let refusal = Refusal::new(ExitCode::LOST, format!("left the run {}, which goes on", run.id));
            return Err(refusal.next("to hear it again", format!("{} attach", session.style.program)));
        }
        let now = session.clock.steady();
        let since = if is_held { now } else { idle.unwrap_or(now) };
        idle = Some(since);
        if now.saturating_sub(since) > GRACE {
            return Err(deserted(run, &records, session));
        }
        session.clock.sleep(TICK);
    }
}

fn lock_of(run: &Run) -> PathBuf {
    let state = run.directory.ancestors().nth(2).unwrap_or(&run.directory);
    state.join("lock")
}

fn ending_of(record: &Record) -> Option<Ending> {
    match record.fact {
        Fact::Closed { ending, .. } => Some(ending),
        _ => None,
    }
}

impl Told<'_> {
    /// Knows what the guard that was killed had told. Its last record may have been written and not told.
    fn pass_over(&mut self, records: &[Record], session: &Session) {
        let taken_over = |record: &Record| matches!(&record.fact, Fact::Reopened { actor } if actor.watcher);
        let its_own = records.iter().rposition(taken_over).unwrap_or(records.len());
        self.records = its_own.saturating_sub(1);
        session.reporter.recall(records.get(..self.records).unwrap_or_default());
        let log = disk::read_optional(&self.run.directory.join(DEPLOY_LOG)).ok().flatten();
        self.log = log.map_or(0, |log| log.len());
    }

    fn tell(&mut self, records: &[Record]) {
        let deploy = Step::of(Action::Deploy).id;
        for record in records.iter().skip(self.records) {
            // What the command has written comes before the word that it has ended.
            if matches!(&record.fact, Fact::Done { step, .. } | Fact::Failed { step, .. } if *step == deploy) {
                self.lines(true);
            }
            self.voice.tell(&Event::Fact {
                run: self.run.id.clone(),
                record: Box::new(record.clone()),
            });
        }
        self.records = records.len().max(self.records);
        self.lines(false);
    }

    /// What the deploy command has written since; it was redacted when it was written.
    fn lines(&mut self, is_over: bool) {
        let bytes = disk::read_optional(&self.run.directory.join(DEPLOY_LOG)).ok().flatten();
        let bytes = bytes.unwrap_or_default();
        let new = bytes.get(self.log..).unwrap_or_default();
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let taken = if is_over { new.len() } else { whole };
        for line in String::from_utf8_lossy(new.get(..taken).unwrap_or_default()).lines() {
            self.voice.tell(&Event::Output {
                source: "deploy".to_owned(),
                line: line.to_owned(),
            });
        }
        self.log += taken;
    }
}

/// What is left behind the last record: whoever drives the run writes its reports, and they are told to the CI system here as
/// they are there.
fn finish(run: &Run, ending: Ending, project: &Project, session: &Session) -> Outcome {
    let begun = session.clock.steady();
    let lock = lock_of(run);
    while !is_told(run)? && session.clock.steady().saturating_sub(begun) < LAST {
        if Lock::holder(&lock).is_ok_and(|holder| holder.is_none()) && watchdog::process_of(run).is_none() {
            break;
        }
        session.clock.sleep(TICK);
    }
    let exit = ending.exit_code();
    if is_told(run)? {
        tell_report(run, exit != ExitCode::DONE, project);
    }
    if let Err(error) = publish(run, project, session) {
        let note = format!("the CI system is not told of the run {}: {error}", run.id);
        project.cx.note(Level::Warn, note);
    }
    Ok(exit)
}

/// Nobody goes on with the run.
fn deserted(run: &Run, records: &[Record], session: &Session) -> Refusal {
    let history = History::of(records).ok();
    let has_touched = history.is_none_or(|history| history.has_deploy_begun() || history.plan().ahead.is_empty());
    let exit = if has_touched {
        ExitCode::CUT_OFF
    } else {
        ExitCode::UNFINISHED
    };
    Refusal::new(
        exit,
        format!("nobody is at work on the run {}, and it is not over", run.id),
    )
    .next("to finish it", format!("{} resume", session.style.program))
}
