//! Images in the backup itself: what `docker save` writes, in chunks that backups share, and how it is loaded again.

use std::collections::BTreeSet;
use std::io::{self, Read};

use tar::{Archive, EntryType};

use super::record::{Details, Recorded, details};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::stream::piped;
use crate::trees::archive::{Writer, inside};
use crate::trees::chunks::{self, Take};
use crate::trees::details::Details as Packed;
use crate::trees::node::{Node, Shape};
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::section::Section;
use guard_model::setting::{Item, Value};
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::{self, At};
use guard_system::docker::{docker, explained};

/// zstd's level: layers are mostly programs, which more effort hardly makes smaller.
const LEVEL: i32 = 3;
/// The file in which guard kept saved images before it had chunks: what `docker save` writes, compressed.
const WHOLE: &str = "images.tar.zst";

/// Which images are written into the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saves {
    /// None: pins hold them.
    Never,
    /// Those that no registry is known to have, so that nothing but this engine could give them back.
    OnlyHere,
    /// All.
    Always,
}

impl Saves {
    /// The key `save`: a word, or `true` and `false` for all and none.
    pub(super) fn of(section: &mut Section<'_>) -> Self {
        let is_flag = |item: Item| matches!(item.value, Value::Flag(_));
        if section.take("save").is_some_and(is_flag) {
            let all = section.flag("save") == Some(true);
            return if all { Self::Always } else { Self::Never };
        }
        let words = [
            ("never", Self::Never),
            ("only-here", Self::OnlyHere),
            ("always", Self::Always),
        ];
        section.choice("save", &words).unwrap_or(Self::Never)
    }

    /// The images among these that are to be saved, by their ids.
    pub(super) fn chosen<'r>(self, services: impl Iterator<Item = &'r Recorded>) -> BTreeSet<String> {
        let is_chosen = |recorded: &&Recorded| match self {
            Self::Never => false,
            Self::OnlyHere => recorded.digests.is_empty(),
            Self::Always => true,
        };
        services.filter(is_chosen).map(|one| one.image.clone()).collect()
    }
}

/// Writes these images into the slot. What an earlier copy holds is not stored again; where it holds exactly these images,
/// the engine is not even asked for them. Returns the files, their description, and a word on what it took.
///
/// # Errors
/// The engine cannot give them, or they cannot be written.
pub(super) fn save(ids: &BTreeSet<String>, slot: &Slot, cx: &Context) -> Result<(Vec<FileEntry>, Packed, String)> {
    if let Some((files, packed)) = taken_over(ids, slot)? {
        return Ok((files, packed, "saved before".to_owned()));
    }
    let failed = |error| ResourceError::because("could not save the images", explained(error));
    // By their ids and not by names: a load must not name anything.
    let call = docker().arg("save").args(ids);
    let (copied, packed) = piped(&call, None, failed, cx, |tar| {
        let mut tar = Some(tar);
        let mut hand_over = |take: &mut Take<'_>| {
            let tar = tar
                .take()
                .ok_or_else(|| ResourceError::new("the engine's archive is read once"))?;
            read(tar, take).map_err(|error| ResourceError::because("could not save the images", error))
        };
        chunks::copy_entries(slot, LEVEL, &mut hand_over, cx)
    })?;
    let word = format!(
        "saved {}, {} of it new",
        text::bytes(copied.content_bytes),
        text::bytes(packed.stored)
    );
    let list = ids.iter().cloned().collect::<Vec<_>>().join(" ");
    let described = Packed::of_entries(list, &copied, packed);
    Ok((copied.files, described, word))
}

/// The files of an earlier copy of exactly these images, linked into the slot.
fn taken_over(ids: &BTreeSet<String>, slot: &Slot) -> Result<Option<(Vec<FileEntry>, Packed)>> {
    let Some((backup, artifact)) = slot.earlier() else {
        return Ok(None);
    };
    let Some(packed) = details(artifact).ok().and_then(|details| details.saved) else {
        return Ok(None);
    };
    let theirs: BTreeSet<String> = packed.source.split(' ').map(str::to_owned).collect();
    let earlier = slot.beside(backup, &artifact.resource);
    let is_shut = artifact.files.iter().any(|entry| earlier.seek(entry).is_err());
    if theirs != *ids || is_shut || earlier.compare(artifact).is_err() {
        return Ok(None);
    }
    disk::create_private_dir(&slot.directory())?;
    let mut files = Vec::new();
    for entry in artifact
        .files
        .iter()
        .filter(|entry| entry.name() != super::record::LISTING)
    {
        let Some(from) = earlier.path_of(entry) else {
            continue;
        };
        let place = slot.directory().join(from.file_name().unwrap_or_default());
        if disk::exists(&place)? {
            disk::remove_file(&place)?;
        }
        chunks::share(&from, &place).at("link", &place)?;
        files.push(entry.clone());
    }
    disk::sync_directory(&slot.directory())?;
    Ok(Some((files, packed)))
}

/// Reads what `docker save` writes. Whose it is and when it was made says nothing of an image, and would only make two equal
/// layers differ.
fn read(input: impl Read, take: &mut Take<'_>) -> io::Result<()> {
    let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut archive = Archive::new(input);
    let mut has_list = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = inside(&[b"./", entry.path_bytes().as_ref()].concat())?;
        has_list |= path == b"manifest.json";
        let shape = match entry.header().entry_type() {
            EntryType::Directory => Shape::Directory,
            EntryType::Regular => Shape::File,
            EntryType::Symlink => Shape::Symlink(entry.link_name_bytes().unwrap_or_default().into_owned()),
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                Shape::Hardlink(inside(&[b"./", target.as_slice()].concat())?)
            }
            _ => return Err(refused("the engine's archive of images holds what is no file")),
        };
        let size = if shape == Shape::File { entry.size() } else { 0 };
        let node = Node {
            path,
            mode: if shape == Shape::Directory { 0o755 } else { 0o644 },
            shape,
            uid: 0,
            gid: 0,
            size,
            mtime: (0, 0),
            xattrs: Vec::new(),
            flags: 0,
        };
        take(node, &mut entry)?;
    }
    // An archive that was cut off at the end of an entry reads as a shorter one.
    if !has_list {
        return Err(refused(
            "the engine's archive of images has no manifest.json: it was cut off",
        ));
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop)
}

/// Loads what was saved into the engine. `false`: nothing was.
///
/// # Errors
/// The copy is not sound, or the engine refuses it.
pub(super) fn load(details: &Details, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<bool> {
    let call = docker().args(["load", "--quiet"]);
    let refused = |error| ResourceError::because("could not load the saved images", explained(error));
    if let Some(packed) = &details.saved {
        let mut unsound = None;
        let pushed = cx.push(&call, &mut |pipe| {
            let mut writer = Writer::new(pipe);
            let mut is_gone = false;
            let read = chunks::read_entries(artifact, slot, packed.entries, &mut |node, data| {
                let written = writer.append(&node, data);
                written.inspect_err(|error| is_gone |= error.kind() == io::ErrorKind::BrokenPipe)
            });
            match read {
                Ok(()) => writer.finish().map(drop),
                // The engine gave up first, and says why.
                Err(_) if is_gone => Err(io::ErrorKind::BrokenPipe.into()),
                Err(error) => {
                    unsound = Some(error);
                    Err(io::Error::other("the saved images could not be handed on"))
                }
            }
        });
        return match (unsound, pushed) {
            (Some(error), _) => Err(error),
            (None, pushed) => pushed.map(|_| true).map_err(refused),
        };
    }
    let Some(entry) = artifact.file(WHOLE) else {
        return Ok(false);
    };
    let mut decoder = zstd::Decoder::new(slot.read(entry)?)
        .map_err(|error| ResourceError::because(format!("could not decode {}", entry.path), error))?;
    cx.push(&call, &mut |pipe| io::copy(&mut decoder, pipe).map(drop))
        .map_err(refused)?;
    Ok(true)
}

/// The names of files that hold saved images, for people.
#[must_use]
pub(super) fn is_saved(details: &Details, artifact: &Artifact) -> bool {
    details.saved.is_some() || artifact.file(WHOLE).is_some()
}
