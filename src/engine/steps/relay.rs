//! What a user's command writes: cut into lines, redacted, logged, and told.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};

use guard_model::event::{Event, Voice};
use guard_model::secret::Redaction;

/// A line longer than this is told in pieces.
const LONGEST_LINE: usize = 64 * 1024;
/// The log keeps this many bytes from the beginning …
const HEAD: u64 = 8 * 1024 * 1024;
/// … and this many from the end. Both are guesses.
const TAIL: usize = 1024 * 1024;

/// Takes a command's output as it comes, in constant memory.
pub(super) struct Relay<'a> {
    source: &'a str,
    log: Option<File>,
    logged: u64,
    tail: VecDeque<u8>,
    dropped: u64,
    pending: Vec<u8>,
    redaction: &'a Redaction,
    voice: &'a Voice,
}

impl<'a> Relay<'a> {
    /// A relay to a log and to the audience.
    pub(super) fn new(source: &'a str, log: Option<File>, redaction: &'a Redaction, voice: &'a Voice) -> Self {
        Self {
            source,
            log,
            logged: 0,
            tail: VecDeque::new(),
            dropped: 0,
            pending: Vec::new(),
            redaction,
            voice,
        }
    }

    /// Takes bytes in.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            self.pending.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.pending);
                self.line(&line)?;
            } else if self.pending.len() >= LONGEST_LINE {
                // The end is held back, so that a secret on the cut is still found whole.
                let keep = self.redaction.longest().min(LONGEST_LINE / 2);
                let rest = self.pending.split_off(self.pending.len() - keep);
                let piece = std::mem::replace(&mut self.pending, rest);
                self.line(&piece)?;
            }
        }
        Ok(())
    }

    /// Ends the log: the last line, and the tail where something was left out.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let line = std::mem::take(&mut self.pending);
            self.line(&line)?;
        }
        let Some(mut log) = self.log.take() else { return Ok(()) };
        if self.dropped > 0 {
            writeln!(log, "\n[guard left out {} bytes here]", self.dropped)?;
        }
        let (front, back) = self.tail.as_slices();
        log.write_all(front)?;
        log.write_all(back)?;
        log.sync_all()
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let clean = self.redaction.clean(&String::from_utf8_lossy(line));
        self.keep(clean.as_bytes())?;
        let shown = clean.trim_end_matches(['\r', '\n']).to_owned();
        self.voice.tell(&Event::Output {
            source: self.source.to_owned(),
            line: shown,
        });
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if self.logged + bytes.len() as u64 <= HEAD {
            self.logged += bytes.len() as u64;
            return log.write_all(bytes);
        }
        self.logged = HEAD;
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.dropped += surplus as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]], secret: &str) -> String {
        let redaction = Redaction::default();
        redaction.learn(secret);
        let log = tempfile::NamedTempFile::new().unwrap();
        let voice = Voice::silent();
        let mut relay = Relay::new("deploy", Some(log.reopen().unwrap()), &redaction, &voice);
        for piece in pieces {
            relay.take(piece).unwrap();
        }
        relay.finish().unwrap();
        std::fs::read_to_string(log.path()).unwrap()
    }

    #[test]
    fn a_secret_in_two_writes_is_redacted() {
        assert_eq!(
            told(&[b"the word is corr", b"ecthorse\nnext\n"], "correcthorse"),
            "the word is [REDACTED]\nnext\n"
        );
    }

    #[test]
    fn a_secret_on_the_cut_of_an_endless_line_is_redacted() {
        for before in (LONGEST_LINE - 12)..=LONGEST_LINE {
            let mut bytes = vec![b'x'; before];
            bytes.extend(b"correcthorse");
            bytes.extend(vec![b'y'; 100]);
            assert!(
                !told(&[&bytes], "correcthorse").contains("correcthorse"),
                "cut at {before}"
            );
        }
    }

    #[test]
    fn the_log_keeps_head_and_tail() {
        let line = [b"0123456789".repeat(100), b"\n".to_vec()].concat();
        let all: Vec<&[u8]> = std::iter::repeat_n(line.as_slice(), 12_000)
            .chain([b"the end\n".as_slice()])
            .collect();
        let log = told(&all, "correcthorse");
        assert!(log.len() < 10 * 1024 * 1024 && log.contains("left out") && log.ends_with("the end\n"));
    }
}
