//! Where text goes: foreign parts made harmless, and a reader that is gone forgotten.

use std::io::{self, Write};

use guard_model::secret::Redaction;
use guard_model::text;

/// A stream that takes whole texts and never fails: when its reader is gone, what is written is lost.
pub struct Sink {
    writer: Box<dyn Write + Send>,
    is_dead: bool,
}

impl Sink {
    /// A sink into this writer.
    #[must_use]
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, is_dead: false }
    }

    /// Writes a text in one piece.
    pub fn write(&mut self, text: &str) {
        if self.is_dead {
            return;
        }
        let result = self
            .writer
            .write_all(text.as_bytes())
            .and_then(|()| self.writer.flush());
        // A full disk may have room again; a reader that went away, or a terminal that was closed, does not come back.
        self.is_dead = result.is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
                || error.raw_os_error() == Some(EIO)
        });
    }
}

impl Sink {
    /// Writes a question, its line open for the answer.
    pub fn ask(&mut self, question: &str, redaction: &Redaction) {
        let question = safe_lines(question, redaction).join("\n");
        self.write(&format!("{question} "));
    }
}

/// What a terminal answers after it was closed.
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// A foreign text as lines that are safe to show: without colours and other escape sequences, without secrets, and with
/// control characters shown escaped. Of what a carriage return would have painted over, only the last is kept.
#[must_use]
pub fn safe_lines(foreign: &str, redaction: &Redaction) -> Vec<String> {
    let painted = |line: &str| {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r')
            .find(|part| !part.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let plain = console::strip_ansi_codes(foreign);
    // Redacted after the escape sequences are gone: one of them inside a secret would hide it.
    let lines: Vec<String> = redaction
        .clean(&plain)
        .split('\n')
        .map(|line| text::sanitised(&painted(line)))
        .collect();
    let used = lines
        .iter()
        .rposition(|line| !line.trim().is_empty())
        .map_or(0, |last| last + 1);
    lines.into_iter().take(used).collect()
}

/// As [`safe_lines`], in one line.
#[must_use]
pub fn safe(foreign: &str, redaction: &Redaction) -> String {
    safe_lines(foreign, redaction).join(" | ")
}
