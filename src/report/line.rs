//! One line that is said to people: how, and what.

use super::sink::safe_lines;
use super::style::Volume;
use guard_model::event::Level;
use guard_model::secret::Redaction;

/// How a line is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Only with `-v`.
    Detail,
    /// A stage begins.
    Step,
    /// Worth knowing.
    Info,
    /// The last words of a run that went well: told with `-q` too.
    Final,
    /// Worth a look.
    Warn,
    /// Wrong.
    Error,
}

impl Tone {
    /// What opens a plain line: `[WARN]`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Step => "[STEP]",
            Self::Detail | Self::Info | Self::Final => "[INFO]",
            Self::Warn => "[WARN]",
            Self::Error => "[ERROR]",
        }
    }
}

impl From<Level> for Tone {
    fn from(level: Level) -> Self {
        match level {
            Level::Detail => Self::Detail,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

/// One thing said. The text may hold foreign parts; whoever writes it makes it safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How.
    pub tone: Tone,
    /// What, in one line.
    pub text: String,
}

impl Line {
    /// A line.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }
}

/// Whether a line of this tone is said at this volume.
#[must_use]
pub fn is_heard(tone: Tone, volume: Volume) -> bool {
    match volume {
        Volume::Quiet => tone >= Tone::Final,
        Volume::Normal => tone != Tone::Detail,
        Volume::Verbose => true,
    }
}

/// The lines with their texts made safe; one that holds line ends becomes several of the same tone.
#[must_use]
pub fn safe_text(lines: Vec<Line>, redaction: &Redaction) -> Vec<Line> {
    let parts = |line: Line| {
        let texts = safe_lines(&line.text, redaction);
        texts.into_iter().enumerate().map(move |(index, text)| {
            let text = if index == 0 { text } else { format!("    {text}") };
            Line { tone: line.tone, text }
        })
    };
    lines.into_iter().flat_map(parts).collect()
}
