//! What all kinds of probe share: their common keys, the deadline, the way to say something safely, the errors of connections.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use guard_model::health::{Answer, Class};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::setting::Value;
use guard_model::text::{duration, sanitised, shortened};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
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

/// The numbers that are well, bounds included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    min: f64,
    max: f64,
}

/// Limits within which no number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoNumber;

impl Limits {
    /// Reads `number = { min, max }`, `expect_number_above` and `expect_number_below`; `None`: nobody set any.
    ///
    /// # Errors
    /// No number is within them, which is noted.
    pub(super) fn read(section: &mut Section<'_>) -> Result<Option<Self>, NoNumber> {
        let above = number(section, "expect_number_above");
        let below = number(section, "expect_number_below");
        let (min, max) = if section.has("number") {
            section.section("number", |inner| (number(inner, "min"), number(inner, "max")))
        } else {
            let _known = section.take("number");
            (None, None)
        };
        let limits = [above, below, min, max].iter().any(Option::is_some).then(|| Self {
            min: min.or(above.map(f64::next_up)).unwrap_or(f64::NEG_INFINITY),
            max: max.or(below.map(f64::next_down)).unwrap_or(f64::INFINITY),
        });
        if limits.is_some_and(|limits| limits.min > limits.max) {
            section.problem("number", "no number is within these limits", None);
            return Err(NoNumber);
        }
        Ok(limits)
    }

    /// Judges a number; `of` says what it is of, where there are several. No number is no evidence.
    pub(super) fn judge(self, number: f64, of: &str) -> Answer {
        if number.is_nan() {
            return Answer::unknown(Class::NoData, format!("{of}NaN, which is no number"));
        }
        if number < self.min {
            return Answer::failed(Class::Exit, format!("{of}{number} is too low"));
        }
        if number > self.max {
            return Answer::failed(Class::Exit, format!("{of}{number} is too high"));
        }
        Answer::ok(format!("{of}{number}"))
    }
}

/// A secret from a variable or a file; it is learned, so that no text shows it.
pub(super) fn secret(cx: &Context, env: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Answer> {
    let text = match (env, file) {
        (Some(name), _) => {
            let value = cx.environment.text(name).map(str::to_owned);
            value.ok_or_else(|| Answer::unknown(Class::NoData, format!("the variable {name} is not set")))?
        }
        (None, Some(path)) => {
            let path = cx.resolve(path);
            let missing = || Answer::unknown(Class::NoData, format!("the file {} cannot be read", path.display()));
            disk::read_text_optional(&path).ok().flatten().ok_or_else(missing)?
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim().to_owned();
    cx.redaction.learn(&text);
    Ok(Some(text))
}

/// A failure to connect to a name says which addresses stood behind it: one family may be down and the other not.
pub(super) async fn with_addresses(answer: Answer, host: &str, port: u16) -> Answer {
    let is_about_connecting = matches!(
        answer.class,
        Some(Class::Refused | Class::TimeoutConnect | Class::Unreachable)
    );
    if !is_about_connecting || host.parse::<IpAddr>().is_ok() {
        return answer;
    }
    let Ok(found) = tokio::net::lookup_host((host, port)).await else {
        return answer;
    };
    let mut shown: Vec<String> = found.map(|address| address.to_string()).collect();
    shown.dedup();
    Answer {
        note: format!("{} ({})", answer.note, shown.join(", ")),
        ..answer
    }
}

/// A number, whole or not, as a setting.
pub(super) fn number(section: &mut Section<'_>, key: &str) -> Option<f64> {
    let number = match section.take(key)?.value {
        #[expect(clippy::cast_precision_loss, reason = "a limit that a person wrote")]
        Value::Whole(number) => number as f64,
        Value::Real(number) => number,
        _ => f64::NAN,
    };
    if number.is_finite() {
        return Some(number);
    }
    section.problem(key, "expected a number", None);
    None
}

/// What an error of a connection means; `None` where its kind says nothing.
pub(super) fn connection_failed(error: &io::Error) -> Option<Answer> {
    use io::ErrorKind as Kind;
    Some(match error.kind() {
        Kind::ConnectionRefused => Answer::failed(Class::Refused, "connection refused"),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            Answer::unknown(Class::Unreachable, "no route to the host from here")
        }
        Kind::PermissionDenied => Answer::unknown(Class::Unreachable, "this machine forbids the connection"),
        Kind::TimedOut => Answer::failed(Class::TimeoutConnect, "no connection: the network gave up waiting"),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            Answer::failed(Class::Reset, "the connection was broken")
        }
        _ => return None,
    })
}
