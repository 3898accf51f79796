//! Copies a volume that cannot be reached as a directory: the engine's own tar of it, written anew in guard's form.

use std::io::{self, PipeReader, Read, Write};

use tar::{Archive, EntryType};

use super::capture::{Copied, Copy};
use super::node::{Node, Portrait, Precision, Shape};
use crate::model::fingerprint::Fingerprint;
use crate::resources::names::escaped;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::call::Call;
use crate::system::context::Context;
use crate::system::docker::Carrier;
use crate::system::processes::CallError;

fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Reads the engine's tar of a volume, entry by entry.
fn read(
    input: impl Read,
    mut take: impl FnMut(Node, &mut dyn Read) -> io::Result<()>,
    mut lose: impl FnMut(String),
) -> io::Result<()> {
    let mut archive = Archive::new(Ended::new(input));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path_bytes().into_owned();
        let path = below(&name)?;
        if super::aside::is_ours(std::ffi::OsStr::new(&*String::from_utf8_lossy(
            path.split(|byte| *byte == b'/').next().unwrap_or_default(),
        ))) {
            continue;
        }
        let link = entry
            .link_name_bytes()
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default();
        let shape = match entry.header().entry_type() {
            EntryType::Directory => Shape::Directory,
            EntryType::Regular => Shape::File,
            EntryType::Symlink => Shape::Symlink(link),
            EntryType::Link => Shape::Hardlink(below(&link)?),
            EntryType::Fifo => Shape::Fifo,
            _ => {
                lose(format!("device or other special entry {}", escaped(&path)));
                continue;
            }
        };
        let number = |value: u64| u32::try_from(value).map_err(|_| bad("an owner that is no number of 32 bits"));
        let precise = entry
            .pax_extensions()?
            .into_iter()
            .flatten()
            .filter_map(std::result::Result::ok);
        let precise = precise
            .filter(|record| record.key_bytes() == b"mtime")
            .filter_map(|record| record.value().ok())
            .last();
        let precise = precise.and_then(super::archive::time);
        let header = entry.header();
        let node = Node {
            path,
            size: if shape == Shape::File { entry.size() } else { 0 },
            shape,
            mode: header.mode()? & 0o7777,
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
            mtime: match precise {
                Some((seconds, _)) => (seconds, 0),
                None => (i64::try_from(header.mtime()?).unwrap_or_default(), 0),
            },
            xattrs: Vec::new(),
        };
        take(node, &mut entry)?;
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    if rest.zeros < 1024 {
        return Err(bad("the engine's archive has no end: it was cut off"));
    }
    Ok(())
}

/// Counts the zeros at the end of what was read: a whole tar ends with at least two blocks of them.
struct Ended<R> {
    input: R,
    zeros: u64,
}

impl<R> Ended<R> {
    fn new(input: R) -> Self {
        Self { input, zeros: 0 }
    }
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count {
            self.zeros + zeros as u64
        } else {
            zeros as u64
        };
        Ok(count)
    }
}

/// `volume/a/b` → `a/b`.
fn below(name: &[u8]) -> io::Result<Vec<u8>> {
    let rest = name
        .strip_prefix(b"volume")
        .filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
    let rest = rest.ok_or_else(|| bad("the engine's archive names something outside of the volume"))?;
    super::archive::inside(&[&b"."[..], if rest.is_empty() { b"/" } else { rest }].concat())
}

/// Runs a call and hands what it writes to `work`, which runs beside it. Where `work` gives up, its failure is the one that is
/// told.
pub(in crate::resources) fn piped<T: Send>(
    call: &Call,
    failed: impl FnOnce(CallError) -> ResourceError,
    cx: &Context,
    work: impl FnOnce(PipeReader) -> Result<T> + Send,
) -> Result<T> {
    let (reader, mut writer) = io::pipe().map_err(|error| ResourceError::because("could not make a pipe", error))?;
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(reader));
        let pulled = cx.pull(call, &mut |bytes| writer.write_all(bytes));
        drop(writer);
        let outcome = worker
            .join()
            .unwrap_or_else(|_| Err(ResourceError::new("the reader of the engine's archive panicked")));
        // Where the reader gave up, the call only says that its pipe broke.
        match (outcome, pulled) {
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => Err(failed(error)),
            (Ok(value), Ok(_)) => Ok(value),
        }
    })
}

/// Runs `docker cp` and hands its tar to `work`.
fn with_tar<T: Send>(volume: &str, cx: &Context, work: impl FnOnce(PipeReader) -> Result<T> + Send) -> Result<T> {
    let failed =
        |error| ResourceError::because(format!("could not read the volume {volume} through the engine"), error);
    let carrier = Carrier::of_volume(cx, volume)
        .map_err(|error| ResourceError::because(format!("could not reach into the volume {volume}"), error))?;
    piped(&carrier.pack(), failed, cx, work)
}

/// Copies a volume, whose files have about `expected` bytes, through the engine into the slot.
///
/// # Errors
/// The engine does not answer, breaks off, or the copy cannot be written.
pub(super) fn copy_volume(
    volume: &str,
    slot: &Slot,
    level: i32,
    expected: Option<u64>,
    cx: &Context,
) -> Result<Copied> {
    with_tar(volume, cx, |tar| {
        let mut copy = Copy::begin(slot, level, Precision::Seconds, expected, cx)?;
        let mut lost =
            vec!["sub-second times, attributes and sockets, which the engine's own copy does not carry".to_owned()];
        read(tar, |node, data| copy.take(&node, data), |sentence| lost.push(sentence)).map_err(|error| {
            ResourceError::because(format!("could not copy the volume {volume} through the engine"), error)
        })?;
        for sentence in lost {
            copy.lose(sentence);
        }
        copy.finish(slot)
    })
}

/// The fingerprint of a volume, read through the engine: as slow as a copy.
///
/// # Errors
/// The engine does not answer or breaks off.
pub(super) fn portrait(volume: &str, cx: &Context) -> Result<(Fingerprint, (u64, u64))> {
    with_tar(volume, cx, |tar| {
        let mut portrait = Portrait::new(Precision::Seconds);
        let take = |node: Node, _: &mut dyn Read| {
            portrait.take(&node);
            Ok(())
        };
        read(tar, take, |_| {}).map_err(|error| {
            ResourceError::because(format!("could not read the volume {volume} through the engine"), error)
        })?;
        let counts = portrait.counts();
        Ok((portrait.finish(), counts))
    })
}
