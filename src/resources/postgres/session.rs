//! A conversation with psql: scripts go in, lines come out, and what was begun in one script goes on in the next.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use serde::de::DeserializeOwned;

use super::reach::Reach;
use super::talk::{END, Item, talk};
use super::trouble::{Trouble, explained};
use crate::error::{ResourceError, Result};
use guard_system::context::Context;

/// How many pieces of output may wait to be read; more would be memory.
const WAITING: usize = 16;
/// One session with a database.
pub(super) struct Session {
    asked: Sender<Item>,
    pieces: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

/// Opens a session for the time of `work`. Where `work` fails the session is cut off, and the server rolls back.
pub(super) fn converse<T>(
    reach: &Reach,
    database: &str,
    cx: &Context,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    let call = reach.psql(database);
    let (asked, asking) = channel();
    let (found, pieces) = sync_channel(WAITING);
    let begin = reach.script("");
    std::thread::scope(|scope| {
        let talker = scope.spawn(move || {
            // Moved in, so that nobody waits for a line when the session has ended.
            let found = found;
            talk(&call, &begin, asking, &found, cx)
        });
        let mut session = Session {
            asked,
            pieces,
            piece: Vec::new(),
            at: 0,
        };
        let worked = work(&mut session);
        drop(session);
        let ended = talker.join().unwrap_or(Ok(()));
        match (worked, ended) {
            // Work that was cut off by its own error made the session's end unkind: the first error counts.
            (Err(error), Err(_)) if !is_lost(&error) => Err(error),
            (_, Err(error)) => Err(explained(error, database)),
            (worked, Ok(())) => worked,
        }
    })
}

fn lost() -> ResourceError {
    ResourceError::new("the session with the server has ended")
}

fn is_lost(error: &ResourceError) -> bool {
    error.what == lost().what
}

impl Session {
    fn give(&self, item: Item) -> Result<()> {
        self.asked.send(item).map_err(|_| lost())
    }

    /// Gives a script; its lines have to be read to their end before the next one is given.
    pub(super) fn begin(&self, script: &str) -> Result<()> {
        self.give(Item::Script(format!("{script}\n\\echo {END}\n")))
    }

    /// Gives a script that is a `COPY … FROM STDIN`, and the file of its rows.
    pub(super) fn copy_in(&mut self, script: &str, rows: PathBuf) -> Result<()> {
        self.give(Item::Rows(format!("{script}\n"), rows))?;
        self.lines("").map(|_| ())
    }

    /// The next line of a script, without its end; `None` after the last.
    pub(super) fn line(&mut self) -> Result<Option<&[u8]>> {
        while self.at >= self.piece.len() {
            self.piece = self.pieces.recv().map_err(|_| lost())?;
            self.at = 0;
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        self.at += end + 1;
        let line = rest.get(..end).unwrap_or_default();
        Ok((line != END.as_bytes()).then_some(line))
    }

    /// Gives a script, and reads all its lines.
    pub(super) fn lines(&mut self, script: &str) -> Result<Vec<String>> {
        self.begin(script)?;
        let mut lines = Vec::new();
        while let Some(line) = self.line()? {
            if !line.is_empty() {
                lines.push(String::from_utf8_lossy(line).into_owned());
            }
        }
        Ok(lines)
    }

    /// Gives a script that selects one JSON value to a row, and reads them all.
    pub(super) fn values<T: DeserializeOwned>(&mut self, script: &str) -> Result<Vec<T>> {
        let lines = self.lines(script)?;
        let values = lines.iter();
        values
            .map(|line| serde_json::from_str(line).map_err(|error| Trouble::unread(line, error)))
            .collect()
    }
}
