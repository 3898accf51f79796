//! What every kind of probe begins with: its name, its deadline, whether it decides, and words that are fit for a note.

use std::time::Duration;

use guard_model::health::{Answer, Class};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::text::{duration, sanitised, shortened};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::processes::{CallError, Output};

/// How long one whole exchange may take where nobody says otherwise. A guess.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest note, in characters.
const NOTE: usize = 160;
/// How much of an answer is read, in bytes.
pub(super) const BODY: usize = 64 * 1024;

/// The keys that every kind has.
pub(super) struct Basics {
    /// The probe's name.
    pub name: ProbeName,
    /// `required`: whether its failures decide.
    pub decides: bool,
    /// `timeout`: one deadline for the whole exchange.
    pub timeout: Duration,
}

impl Basics {
    /// Reads `required` and `timeout`.
    pub(super) fn read(name: ProbeName, section: &mut Section<'_>) -> Self {
        Self::read_as(name, section, true)
    }

    /// The same for a kind whose failures decide, or do not, where nobody says otherwise.
    pub(super) fn read_as(name: ProbeName, section: &mut Section<'_>, decides: bool) -> Self {
        Self {
            name,
            decides: section.flag("required").unwrap_or(decides),
            timeout: section.duration("timeout").unwrap_or(TIMEOUT),
        }
    }

    /// The answer to silence.
    pub(super) fn silent(&self) -> Answer {
        Answer::failed(
            Class::TimeoutRead,
            format!("no answer within {}", duration(self.timeout)),
        )
    }

    /// Runs blocking work on a thread of its own. At the deadline the answer is silence, whatever the work does.
    pub(super) async fn blocking<W>(&self, cx: &Context, work: W) -> Answer
    where
        W: FnOnce(&Context) -> Answer + Send + 'static,
    {
        let cx = cx.clone();
        let thread = tokio::task::spawn_blocking(move || work(&cx));
        match tokio::time::timeout(self.timeout, thread).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::unknown(Class::NoData, "the probe itself broke off"),
            Err(_) => self.silent(),
        }
    }

    /// A call that is ended, without a grace, when the deadline has passed.
    pub(super) fn limited(&self, call: Call) -> Call {
        call.timeout(self.timeout).grace(Duration::ZERO)
    }

    /// What a program's failure to run means. That the observer cannot run it says nothing about the release.
    pub(super) fn call_failed(&self, cx: &Context, error: &CallError) -> Answer {
        match error {
            CallError::NotFound { .. } | CallError::Start { .. } => {
                Answer::unknown(Class::Spawn, spoken(cx, &error.to_string()))
            }
            CallError::TimedOut { .. } => self.silent(),
            CallError::Stopped { .. } => Answer::unknown(Class::NoData, "guard was asked to stop"),
            CallError::Exit { .. } | CallError::Data { .. } => {
                Answer::failed(Class::Exit, spoken(cx, &error.to_string()))
            }
        }
    }
}

/// Foreign words made fit for a note: without secrets, on one line, safe for a terminal, short.
pub(super) fn spoken(cx: &Context, text: &str) -> String {
    shortened(&sanitised(cx.redaction.clean(text.trim()).trim()), NOTE)
}

/// Runs a call and keeps the first [`BODY`] bytes that it writes; the rest is read and forgotten.
pub(super) fn run(cx: &Context, call: &Call) -> Result<Output, CallError> {
    let mut kept = Vec::new();
    let mut sink = |bytes: &[u8]| {
        let room = BODY.saturating_sub(kept.len());
        kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        Ok(())
    };
    let output = cx.stream(call, &mut sink)?;
    Ok(Output { stdout: kept, ..output })
}
