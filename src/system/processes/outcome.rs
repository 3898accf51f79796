//! How a program ended, in a form that people can read.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The program is not there.
    #[error("`{program}` was not found; is it installed and on PATH?")]
    NotFound {
        /// Its name.
        program: String,
    },
    /// It could not be started.
    #[error("could not start `{call}`")]
    Start {
        /// The call.
        call: String,
        /// Why.
        source: io::Error,
    },
    /// It ended badly.
    #[error("`{call}` ended with {exit}{}", said(stderr))]
    Exit {
        /// The call.
        call: String,
        /// Exit code or signal, in words.
        exit: String,
        /// The end of what it wrote to standard error, redacted.
        stderr: String,
    },
    /// It took too long and was ended.
    #[error("`{call}` was ended after {}", guard_model::text::duration(*after))]
    TimedOut {
        /// The call.
        call: String,
        /// The limit.
        after: Duration,
    },
    /// Somebody asked to stop.
    #[error("`{call}` was stopped because guard was asked to stop")]
    Stopped {
        /// The call.
        call: String,
    },
    /// What it wrote could not be taken, or what it should read could not be given.
    #[error("could not pass data to or from `{call}`")]
    Data {
        /// The call.
        call: String,
        /// Why.
        source: io::Error,
    },
}

fn said(stderr: &str) -> String {
    let text = stderr.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {}", guard_model::text::sanitised(&text.replace('\n', "; ")))
    }
}

/// What a program did.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output, where that was not streamed.
    pub stdout: Vec<u8>,
    /// The end of what it wrote to standard error, redacted.
    pub stderr: String,
}

impl Output {
    /// Standard output as text, without the white space around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Exit code or signal, in words.
    #[must_use]
    pub fn exit(&self) -> String {
        exit_words(self.status)
    }
}

/// `exit code 3`, `SIGKILL (killed, maybe out of memory)`.
#[must_use]
pub fn exit_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(137), _) | (_, Some(9)) => "SIGKILL (killed, maybe out of memory)".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(15)) => "SIGTERM".to_owned(),
        (_, Some(2)) => "SIGINT".to_owned(),
        (_, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
