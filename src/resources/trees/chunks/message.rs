//! A tree on its way out of a container: guard beside the volume reads it, and guard on the host keeps it, in either form.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::fetch::{Known, read_still};
use super::index::Line;
use super::store::{Taker, line_of};
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::trees::copied::not_copied;
use crate::trees::filesystem;
use crate::trees::frames::{Frames, Kind, Pieces, put};
use crate::trees::node::Shape;
use crate::trees::walk::{Found, Met, walk};
use guard_system::context::Context;
use guard_system::disk::Dir;

/// What comes out of a container, in the order of a walk.
pub(crate) enum Message<'p> {
    /// A sentence on what cannot be kept.
    Lost(String),
    /// An entry without content.
    Entry(Line),
    /// A file that is as an earlier copy has it.
    Known(Line),
    /// A file with its content, which has the length that the line says unless the file was written to meanwhile. Where the
    /// same file came right before, that was written to while it was read, and this is instead of it.
    File(&'p mut Line, &'p mut dyn Read),
    /// The file that came last is complete; whether it was still at last.
    Kept(Line, bool),
}

fn unsent(error: io::Error) -> ResourceError {
    ResourceError::because("could not hand on what is in the volume", error)
}

fn unread(error: io::Error) -> ResourceError {
    ResourceError::because("what came out of the container beside the volume cannot be read", error)
}

fn text(line: &Line) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    line.write(&mut text)?;
    Ok(text)
}

/// Sends the tree at `root`, without the content of files that are known.
///
/// # Errors
/// It cannot be read, or nobody takes it.
pub(crate) fn send(root: &Dir, known: Known, out: &mut dyn Write, cx: &Context) -> Result<()> {
    filesystem::flush(root);
    let mut known = if filesystem::tells(root) {
        known
    } else {
        Known::of(None, 0)
    };
    walk(root, false, cx, |met| match met {
        Met::Ours(_) => Ok(()),
        Met::Stays(_, sentence) | Met::Lost(sentence) => put(out, Kind::Lost, sentence.as_bytes()).map_err(unsent),
        Met::Node(node, found, stat) => {
            let (line, lost) = line_of(node, found, stat, &mut known)?;
            for sentence in lost {
                put(out, Kind::Lost, sentence.as_bytes()).map_err(unsent)?;
            }
            if line.node.shape != Shape::File {
                return put(out, Kind::Entry, &text(&line).map_err(unsent)?).map_err(unsent);
            }
            if known.unchanged(&line).is_some() {
                return put(out, Kind::Known, &text(&line).map_err(unsent)?).map_err(unsent);
            }
            send_file(line, found, out, cx)
        }
    })?;
    put(out, Kind::End, b"").and_then(|()| out.flush()).map_err(unsent)
}

fn send_file(mut line: Line, found: &Found<'_>, out: &mut dyn Write, cx: &Context) -> Result<()> {
    let mut is_begun = false;
    let still = read_still(&mut line, found, cx, &mut |line: &mut Line, file: &mut File| {
        is_begun = true;
        put(out, Kind::File, &text(line)?)?;
        let kind = Kind::Data;
        line.node.size = io::copy(file, &mut Pieces { to: out, kind })?;
        Ok(())
    })?;
    match still {
        Some(true) => put(out, Kind::Sound, b"").map_err(unsent),
        // One that went while it was read is kept as it was seen last.
        Some(false) => put(out, Kind::Restless, b"").map_err(unsent),
        None if is_begun => put(out, Kind::Restless, b"").map_err(unsent),
        None => Ok(()),
    }
}

/// Receives what [`send`] sent, to its end.
///
/// # Errors
/// It is cut off or malformed, or `take` failed.
pub(crate) fn receive(input: impl Read, take: &mut dyn FnMut(Message<'_>) -> Result<()>) -> Result<()> {
    let line = |content: &[u8]| Line::of_text(&String::from_utf8_lossy(content)).map_err(unread);
    let mut frames = Frames::new(input);
    loop {
        let (kind, content) = frames.take().map_err(unread)?;
        match kind {
            Kind::End => return Ok(()),
            Kind::Lost => take(Message::Lost(String::from_utf8_lossy(&content).into_owned()))?,
            Kind::Entry => take(Message::Entry(line(&content)?))?,
            Kind::Known => take(Message::Known(line(&content)?))?,
            Kind::File => {
                let mut file = line(&content)?;
                let is_still = loop {
                    let mut data = frames.stream(Kind::Data);
                    take(Message::File(&mut file, &mut data))?;
                    // Of a file that grew, more may come than its line says.
                    io::copy(&mut data, &mut io::sink()).map_err(unread)?;
                    let (kind, content) = frames.take().map_err(unread)?;
                    match kind {
                        Kind::Sound => break true,
                        Kind::Restless => break false,
                        Kind::File => file = line(&content)?,
                        _ => return Err(unread(io::ErrorKind::InvalidData.into())),
                    }
                };
                take(Message::Kept(file, is_still))?;
            }
            _ => return Err(unread(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl Taker<'_> {
    /// Keeps what comes out of a container in chunks.
    pub(crate) fn receive(&mut self, input: impl Read, known: &mut Known, what: &Path) -> Result<()> {
        receive(input, &mut |message| match message {
            Message::Lost(sentence) => {
                self.lose(sentence);
                Ok(())
            }
            Message::Entry(line) => self.take(&line),
            Message::Known(mut line) => {
                known.advance(&line.node.path)?;
                let chunks = known.unchanged(&line);
                line.chunks = chunks.ok_or_else(|| {
                    let path = escaped(&line.node.path);
                    ResourceError::new(format!("an earlier copy does not know {path} as the container does"))
                })?;
                self.progress.add(line.node.size);
                self.take(&line)
            }
            Message::File(line, data) => {
                line.chunks.clear();
                let mut chunks = Vec::new();
                line.node.size = self.cut(data, &mut chunks).map_err(|error| not_copied(what, error))?;
                line.chunks = chunks;
                Ok(())
            }
            Message::Kept(line, is_still) => {
                if !is_still {
                    self.restless.push(escaped(&line.node.path));
                }
                self.take(&line)
            }
        })
    }
}
