//! Reads a copy back: its digest is checked in the pass that uses it, and its manifest bounds what comes out.

use std::io::{self, BufReader, Read};

use crate::error::{ResourceError, Result};
use crate::progress::Progress;
use crate::slot::Slot;
use crate::trees::archive;
use crate::trees::copied::ARCHIVE;
use crate::trees::details::Details;
use crate::trees::exchange::Patch;
use crate::trees::exchange_record::Own;
use crate::trees::node::Node;
use crate::trees::put_aside::Aside;
use crate::trees::stage::Stage;
use guard_model::artifact::{Artifact, FileEntry};
use guard_system::context::Context;
use guard_system::disk::At;

/// The archive as the manifest lists it.
///
/// # Errors
/// The manifest lists none.
pub(super) fn listed(artifact: &Artifact) -> Result<&FileEntry> {
    artifact
        .file(ARCHIVE)
        .ok_or_else(|| ResourceError::bad_copy(format!("the manifest of {} lists no {ARCHIVE}", artifact.resource)))
}

/// Reads every entry of the archive, then says that the file was the one of the manifest, to its last byte.
///
/// # Errors
/// It is not (`copy_is_bad`), or `take` failed. What was made of the entries must not be used then.
pub(super) fn read(
    artifact: &Artifact,
    slot: &Slot,
    details: &Details,
    mut take: impl FnMut(Node, &mut dyn Read) -> io::Result<()>,
) -> Result<()> {
    let entry = listed(artifact)?;
    let spoiled = |error: io::Error| {
        let is_ours = matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::Interrupted
        );
        let what = format!("could not unpack {}", entry.path);
        ResourceError {
            copy_is_bad: !is_ours,
            ..ResourceError::because(what, error)
        }
    };
    let input = slot.read(entry)?;
    let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(256 * 1024, input)).map_err(spoiled)?;
    let mut bounded = decoder.take(details.tar_bytes);
    let mut entries = 0;
    archive::read(&mut bounded, |node, data| {
        entries += 1;
        take(node, data)
    })
    .and_then(|()| io::copy(&mut bounded, &mut io::sink()).map(drop))
    .map_err(spoiled)?;
    let left = bounded.limit();
    let mut rest = bounded.into_inner().finish();
    io::copy(&mut rest, &mut io::sink()).map_err(spoiled)?;
    rest.into_inner().finish()?;
    // A file that was read again stands in the archive twice, so there may be more entries than the tree had.
    if left != 0 || entries < details.entries {
        return Err(ResourceError::bad_copy(format!(
            "{} holds less than its manifest says",
            entry.path
        )));
    }
    Ok(())
}

/// Reads the whole archive, and makes nothing of it.
///
/// # Errors
/// It is not what the manifest lists (`copy_is_bad`).
pub(super) fn prove(artifact: &Artifact, slot: &Slot, details: &Details) -> Result<()> {
    read(artifact, slot, details, |_, data| {
        io::copy(data, &mut io::sink()).map(drop)
    })
}

/// Stages the copy in the directory aside.
///
/// # Errors
/// The copy is bad, or it cannot be staged; what was staged so far is removed.
pub(super) fn stage(artifact: &Artifact, slot: &Slot, details: &Details, aside: &Aside, cx: &Context) -> Result<()> {
    let place = aside.clear()?;
    let staged = (|| {
        let mut stage = Stage::new(&place).at("open", place.shown())?;
        let what = format!("stage {}", artifact.resource);
        let mut progress = Progress::new(what, Some(details.content_bytes), cx);
        read(artifact, slot, details, |node, data| {
            if cx.stop.is_asked() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
            }
            let bytes = node.size;
            stage.make(node, data)?;
            progress.add(bytes);
            Ok(())
        })?;
        let own = stage.finish().map_err(|error| ResourceError {
            copy_is_bad: error.kind() == io::ErrorKind::InvalidData,
            ..ResourceError::because(format!("could not stage {} whole", artifact.resource), error)
        })?;
        Patch::new(aside).staged(&listed(artifact)?.sha256, &Own::of(&own))
    })();
    if staged.is_err() {
        // The first failure is the one to tell; what cannot be removed now is removed by the next attempt.
        let _later = aside.remove();
    }
    staged
}
