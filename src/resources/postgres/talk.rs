//! How psql is talked to while it runs: scripts and rows go in, whole lines come out.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::processes::CallError;

/// How often a silent conversation is looked after.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// What psql prints when a script is done; no row can look like it, since rows of these scripts have tabs or braces.
pub(super) const END: &str = "guard-end";

/// What psql is given.
pub(super) enum Item {
    Script(String),
    /// A `COPY … FROM STDIN` and its rows: in one piece, since an empty line between the two would be a row.
    Rows(String, PathBuf),
}

/// Gives psql what is asked until nobody can ask any more, and hands on what it prints, in whole lines.
pub(super) fn talk(
    call: &Call,
    begin: &str,
    asking: Receiver<Item>,
    found: &SyncSender<Vec<u8>>,
    cx: &Context,
) -> std::result::Result<(), CallError> {
    let mut rest = Vec::new();
    let mut sink = |bytes: &[u8]| {
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            rest.extend_from_slice(bytes);
            return Ok(());
        };
        let (whole, next) = bytes.split_at(end + 1);
        rest.extend_from_slice(whole);
        let piece = std::mem::replace(&mut rest, next.to_vec());
        found.send(piece).map_err(io::Error::other)
    };
    let mut feed = move |writer: &mut dyn Write| {
        writer.write_all(begin.as_bytes())?;
        loop {
            match asking.recv_timeout(TICK) {
                Ok(Item::Script(script)) => writer.write_all(script.as_bytes())?,
                Ok(Item::Rows(script, path)) => {
                    writer.write_all(script.as_bytes())?;
                    io::copy(&mut File::open(path)?, &mut { &mut *writer })?;
                    writer.write_all(b"\\.\n")?;
                }
                // An empty line means nothing to psql, and tells us when it is gone.
                Err(RecvTimeoutError::Timeout) => writer.write_all(b"\n")?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            writer.flush()?;
        }
    };
    cx.converse(call, &mut sink, &mut feed).map(|_| ())
}
