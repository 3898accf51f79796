//! Images saved to a file beside the backup, and how one that the engine has lost is had again.

use std::io;

use crate::model::artifact::{Artifact, FileEntry};
use crate::model::event::Level;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::disk::{At, Staged};
use crate::system::docker::{docker, explained, image};

use super::{Details, Recorded};

/// The file that holds saved images: what `docker save` writes, compressed.
pub(super) const SAVED: &str = "images.tar.zst";
const LEVEL: i32 = 3;

/// Writes these images, which their pins name, into one file of the slot.
pub(super) fn save(names: &[String], slot: &Slot, cx: &Context) -> Result<FileEntry> {
    let failed = |error| ResourceError::because("could not save the images", error);
    let mut encoder = zstd::Encoder::new(slot.stage(SAVED)?, LEVEL).map_err(failed)?;
    // More threads only where zstd was built with them.
    let _single = encoder.multithread(2);
    let mut done = 0;
    cx.pull(&docker().arg("save").args(names), &mut |bytes| {
        done += bytes.len() as u64;
        cx.progress("save images", done, None);
        io::Write::write_all(&mut encoder, bytes)
    })
    .map_err(|error| ResourceError::because("could not save the images", explained(error)))?;
    let staged: Staged = encoder.finish().map_err(failed)?;
    let entry = slot.keep(staged, SAVED)?;
    read_through(slot, &entry)?;
    Ok(entry)
}

/// Decodes a saved file to its end; its bytes alone do not tell whether it is whole.
fn read_through(slot: &Slot, entry: &FileEntry) -> Result<()> {
    let path = slot
        .path_of(entry)
        .ok_or_else(|| ResourceError::bad_copy(format!("{:?} leads out of the backup", entry.path)))?;
    let file = std::fs::File::open(&path).at("open", &path)?;
    let unread = |error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because(format!("could not decode {}", path.display()), error)
    };
    let decoder = zstd::Decoder::new(file).map_err(unread)?;
    for entry in tar::Archive::new(decoder).entries().map_err(unread)? {
        io::copy(&mut entry.map_err(unread)?, &mut io::sink()).map_err(unread)?;
    }
    Ok(())
}

fn is_there(id: &str, cx: &Context) -> Result<bool> {
    let found =
        image(cx, id).map_err(|error| ResourceError::because("could not ask the engine for an image", error))?;
    Ok(found.is_some())
}

/// Whether the engine has all of them, as it nearly always has: one question instead of one for each.
fn are_there(details: &Details, cx: &Context) -> Result<bool> {
    let ids = details.services.values().map(|recorded| &recorded.image);
    let look = docker().args(["image", "inspect", "--format", "{{.Id}}"]).args(ids);
    let found = cx
        .outcome(&look)
        .map_err(|error| ResourceError::because("could not ask the engine for the images", error))?;
    Ok(found.status.success())
}

/// Sees to it that the engine has the image: as it is, else out of the saved file, else from a registry by its digest.
/// Returns whether it is there.
fn obtain(service: &str, recorded: &Recorded, saved: Option<&FileEntry>, slot: &Slot, cx: &Context) -> Result<bool> {
    if is_there(&recorded.image, cx)? {
        return Ok(true);
    }
    if let Some(entry) = saved {
        cx.note(
            Level::Info,
            format!("the image of {service} is gone from the engine; it is loaded from the backup"),
        );
        load(slot, entry, cx)?;
        if is_there(&recorded.image, cx)? {
            return Ok(true);
        }
    }
    for digest in &recorded.digests {
        cx.note(
            Level::Info,
            format!("the image of {service} is gone from the engine; it is pulled as {digest}"),
        );
        match cx.output(&docker().args(["pull", "--quiet", digest])) {
            Ok(_) if is_there(&recorded.image, cx)? => return Ok(true),
            Ok(_) => cx.note(
                Level::Warn,
                format!("{digest} is now another image than the one that ran"),
            ),
            Err(error) => cx.note(Level::Warn, format!("could not pull {digest}: {error}")),
        }
    }
    Ok(false)
}

fn load(slot: &Slot, entry: &FileEntry, cx: &Context) -> Result<()> {
    let path = slot
        .path_of(entry)
        .ok_or_else(|| ResourceError::bad_copy(format!("{:?} leads out of the backup", entry.path)))?;
    let file = std::fs::File::open(&path).at("open", &path)?;
    let mut decoder = zstd::Decoder::new(file)
        .map_err(|error| ResourceError::because(format!("could not decode {}", path.display()), error))?;
    cx.push(&docker().args(["load", "--quiet"]), &mut |pipe| {
        io::copy(&mut decoder, pipe).map(|_| ())
    })
    .map_err(|error| ResourceError::because("could not load the saved images", explained(error)))?;
    Ok(())
}

/// Obtains the images of all services. Returns the services whose image is nowhere, where `may_lack` allows that.
pub(super) fn all(
    details: &Details,
    may_lack: bool,
    artifact: &Artifact,
    slot: &Slot,
    cx: &Context,
) -> Result<Vec<String>> {
    if are_there(details, cx)? {
        return Ok(Vec::new());
    }
    let saved = artifact.files.iter().find(|file| file.path.ends_with(SAVED));
    let mut gone = Vec::new();
    for (service, recorded) in &details.services {
        if obtain(service, recorded, saved, slot, cx)? {
            continue;
        }
        if !may_lack {
            return Err(ResourceError::new(format!(
                "the image {} of {service} is not in the engine any more, and neither a saved copy nor a registry has it",
                recorded.image
            ))
            .with_hint(format!(
                "load or build it and name it {}; `rebuild = true` lets guard build it, `save = true` keeps images in the backup",
                recorded.names.join(" and ")
            )));
        }
        gone.push(service.clone());
    }
    Ok(gone)
}
