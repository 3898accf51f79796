//! What the two guards of a visit say to each other: bytes in both directions, each piece with its length before it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// The first line from the host. What a shell's own files print before it is passed over.
pub const MAGIC: &str = "guard-outside 1";

/// The longest line of a frame's head.
const HEAD: usize = 64 * 1024;
/// The longest body of one frame; files are no longer than this either.
const BODY: usize = 256 * 1024 * 1024;

/// What is to be started, where it has not been yet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Start {
    /// The arguments as they were typed, without the program's name: bytes, since they need not be UTF-8.
    pub words: Vec<Vec<u8>>,
    /// The variables that go along.
    pub variables: Vec<(String, String)>,
    /// Variables that name a file to write: it is written at the host, and brought here at the end.
    pub files: Vec<(String, String)>,
    /// How guard is called from outside: `guard --host ssh://deploy@prod`.
    pub called_as: String,
    /// Whether somebody sits at a terminal, and can answer.
    pub answers: bool,
}

/// The first word to the host.
#[derive(Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The visit: chosen by who asks, so that asking twice begins it once.
    pub visit: String,
    /// What it is to start; `None`: it was started before, and is only heard.
    pub start: Option<Start>,
    /// How often somebody has asked to stop, in all.
    pub stops: u32,
    /// How many bytes of standard output are known already.
    pub out: u64,
    /// How many of standard error.
    pub err: u64,
}

/// What is said to the host while a visit goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// A line that a person has typed.
    Answer(String),
    /// The wish to stop, as Ctrl-C at the host would be: how often it was uttered in all, so that none is heard twice.
    Stop(u32),
}

/// A piece from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of standard output.
    Out(Vec<u8>),
    /// Bytes of standard error.
    Err(Vec<u8>),
    /// A file for the CI system: its name, and all of it.
    File(String, Vec<u8>),
    /// The host is there; its time, RFC 3339.
    Time(String),
    /// The visit has begun a run, or has taken one over.
    Run(String),
    /// It is over, with this exit code.
    Exit(u8),
    /// It is over, and nobody knows with which code: in words.
    Lost(String),
    /// The host cannot begin it, and nothing was started: in words.
    Refused(String),
    /// The host knows no such visit.
    Unknown,
}

impl Frame {
    /// Writes the frame.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let (kind, name, body): (&str, &str, &[u8]) = match self {
            Self::Out(bytes) => ("o", "", bytes),
            Self::Err(bytes) => ("e", "", bytes),
            Self::File(name, bytes) => ("f", name, bytes),
            Self::Time(at) => ("t", at, &[]),
            Self::Run(id) => ("r", id, &[]),
            Self::Exit(code) => return writeln!(to, "x {code} 0"),
            Self::Lost(why) => ("l", "", why.as_bytes()),
            Self::Refused(why) => ("n", "", why.as_bytes()),
            Self::Unknown => ("u", "", &[]),
        };
        let name = if name.is_empty() { "-" } else { name };
        writeln!(to, "{kind} {name} {}", body.len())?;
        to.write_all(body)
    }

    fn of(head: &str, body: Vec<u8>) -> Option<Self> {
        let mut words = head.split(' ');
        let (kind, name) = (words.next()?, words.next()?);
        let text = || String::from_utf8_lossy(&body).into_owned();
        Some(match kind {
            "o" => Self::Out(body),
            "e" => Self::Err(body),
            "f" => Self::File(name.to_owned(), body),
            "t" => Self::Time(name.to_owned()),
            "r" => Self::Run(name.to_owned()),
            "x" => Self::Exit(name.parse().ok()?),
            "l" => Self::Lost(text()),
            "n" => Self::Refused(text()),
            "u" => Self::Unknown,
            _ => return None,
        })
    }
}

/// Frames out of a stream of bytes that comes in pieces.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    has_begun: bool,
}

impl Frames {
    /// Whether the host's guard has spoken.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes bytes in, and returns the frames that are whole by now.
    ///
    /// # Errors
    /// It is no frame.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<Vec<Frame>> {
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "what came from the host is not guard's");
        self.bytes.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(length) = self.bytes[at..].iter().position(|byte| *byte == b'\n') {
            let head = String::from_utf8_lossy(&self.bytes[at..at + length]).into_owned();
            let after = at + length + 1;
            if !self.has_begun {
                self.has_begun = head.ends_with(MAGIC);
                at = after;
                continue;
            }
            let size = head.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
            let size = size.filter(|size| *size <= BODY).ok_or_else(strange)?;
            let Some(body) = self.bytes.get(after..after + size) else {
                break;
            };
            frames.push(Frame::of(&head, body.to_vec()).ok_or_else(strange)?);
            at = after + size;
        }
        self.bytes.drain(..at);
        let is_endless = !self.bytes.contains(&b'\n') && self.bytes.len() > HEAD;
        if is_endless { Err(strange()) } else { Ok(frames) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_they_are_cut_and_whatever_a_shell_prints_before() {
        let all = [
            Frame::Out(b"a\nb\0\xff".to_vec()),
            Frame::Err(Vec::new()),
            Frame::File("summary".to_owned(), b"# x\n".to_vec()),
            Frame::Time("2026-11-30T04:20:00Z".to_owned()),
            Frame::Run("20261130_042000-deploy".to_owned()),
            Frame::Lost("killed".to_owned()),
            Frame::Refused("no room".to_owned()),
            Frame::Unknown,
            Frame::Exit(22),
        ];
        let mut bytes = format!("Welcome!\nlast login: now{MAGIC}\n").into_bytes();
        for frame in &all {
            frame.write(&mut bytes).unwrap();
        }
        for step in [1, 2, 7, bytes.len()] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(step) {
                found.extend(frames.take(piece).unwrap());
            }
            assert!(found == all && frames.has_begun(), "{step}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for wrong in ["z - 0\n", "o - -1\n", "o - 99999999999\n", "nonsense\n"] {
            let mut frames = Frames::default();
            frames.take(format!("{MAGIC}\n").as_bytes()).unwrap();
            assert!(frames.take(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let mut frames = Frames::default();
        assert!(frames.take(&vec![b'x'; HEAD + 1]).is_err());
    }
}
