//! How guard on the host answers the one in a container, which finds out what differs and says what it wants.

use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::chunks;
use crate::trees::frames::{Frames, Kind, Pieces, put};
use guard_model::artifact::Artifact;

/// How often guard on the host says that it is still there while it waits: by it, it learns that the other one is gone.
const SIGN: Duration = Duration::from_millis(100);

/// Sends the index of a copy.
pub(crate) fn send_index(artifact: &Artifact, slot: &Slot, pipe: &mut dyn Write) -> io::Result<()> {
    let mut index = chunks::packed_index(artifact, slot)?;
    let kind = Kind::Index;
    io::copy(&mut index, &mut Pieces { to: &mut *pipe, kind })?;
    put(pipe, Kind::IndexEnd, b"")?;
    pipe.flush()
}

/// The next wish; while there is none, a sign of life goes out.
pub(crate) fn awaited(wishes: &Receiver<Vec<Vec<u8>>>, pipe: &mut dyn Write) -> io::Result<Option<Vec<Vec<u8>>>> {
    loop {
        match wishes.recv_timeout(SIGN) {
            Ok(wanted) => return Ok(Some(wanted)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                put(pipe, Kind::Waiting, b"")?;
                pipe.flush()?;
            }
        }
    }
}

/// Hears what guard in the container says: wishes, and at the end what came of it.
pub(crate) fn hear(said: PipeReader, to: &Sender<Vec<Vec<u8>>>) -> Result<Vec<u8>> {
    let unclear = |error| ResourceError::because("could not understand what guard said inside of a volume", error);
    let mut said = BufReader::new(said);
    // An act that fails says nothing here, and why on its other output.
    if said.fill_buf().map_err(unclear)?.is_empty() {
        return Ok(Vec::new());
    }
    let mut frames = Frames::new(said);
    let mut wanted = Vec::new();
    loop {
        match frames.take() {
            Ok((Kind::Wanted, path)) => wanted.push(chunks::wanted_path(&path).map_err(unclear)?),
            Ok((Kind::End, _)) => {
                // Where nobody hears it any more, the other side says why.
                let _heard = to.send(std::mem::take(&mut wanted));
            }
            Ok((Kind::Told, told)) => return Ok(told),
            Ok(_) => return Err(unclear(io::ErrorKind::InvalidData.into())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
            Err(error) => return Err(unclear(error)),
        }
    }
}
