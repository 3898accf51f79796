//! Why one try of a request gave nothing, and whether another one may.

use reqwest::StatusCode;

use super::answers::{Complaint, xml};

/// What a storage says in its answer that is asked too much.
const SLOW_DOWN: &str = "SlowDown";

/// Whether it passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetbackKind {
    /// Another try gives the same.
    Lasting,
    /// Another try may give something.
    Passing,
    /// The storage is asked too much: another try may give something, with fewer of them at once.
    Slow,
}

/// Why a try gave nothing.
#[derive(Debug)]
pub(super) struct Setback {
    /// In words.
    pub(super) why: String,
    /// Whether it passes.
    pub(super) kind: SetbackKind,
}

impl Setback {
    /// One that another try does not mend.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            kind: SetbackKind::Lasting,
        }
    }

    /// There was no whole answer.
    pub(super) fn unheard(error: &reqwest::Error) -> Self {
        Self {
            why: told(error),
            kind: SetbackKind::Passing,
        }
    }

    /// An answer that is no success, by its status and its text.
    pub(super) fn of_answer(status: StatusCode, text: &[u8]) -> Self {
        let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        if may_pass {
            Self::passing(status, text)
        } else {
            Self::lasting(complaint(status, text))
        }
    }

    /// An answer that is no success, and may be one the next time.
    pub(super) fn passing(status: StatusCode, text: &[u8]) -> Self {
        let is_slow = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
            || xml(text).is_ok_and(|said: Complaint| said.code.starts_with(SLOW_DOWN));
        Self {
            why: complaint(status, text),
            kind: if is_slow {
                SetbackKind::Slow
            } else {
                SetbackKind::Passing
            },
        }
    }
}

pub(super) fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        error.to_string()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// What an answer that is no success says, where it says it as S3 does.
pub(super) fn complaint(status: StatusCode, text: &[u8]) -> String {
    let said: Complaint = xml(text).unwrap_or_default();
    let said = [said.code, said.message];
    let said: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let said = guard_model::text::sanitised(&said.join(": "));
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(" ({said})")
    };
    format!("the storage answers {status}{said}")
}
