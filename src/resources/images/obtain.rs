//! How an image that the engine has lost is had again: out of the backup, else from a registry by its digest.

use std::collections::BTreeSet;

use super::record::{Details, Recorded};
use super::saved;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_system::context::Context;
use guard_system::docker::{docker, image, images};

fn is_there(id: &str, cx: &Context) -> Result<bool> {
    let found =
        image(cx, id).map_err(|error| ResourceError::because("could not ask the engine for an image", error))?;
    Ok(found.is_some())
}

/// Whether the engine has all of them, as it nearly always has: one question instead of one for each.
pub(super) fn are_there(details: &Details, cx: &Context) -> Result<bool> {
    let ids: BTreeSet<String> = details
        .services
        .values()
        .map(|recorded| recorded.image.clone())
        .collect();
    let found =
        images(cx, &ids).map_err(|error| ResourceError::because("could not ask the engine for the images", error))?;
    Ok(found.len() == ids.len())
}

/// The services whose image the engine has no more.
pub(super) fn lost(details: &Details, cx: &Context) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    if !are_there(details, cx)? {
        for (service, recorded) in &details.services {
            if !is_there(&recorded.image, cx)? {
                lost.push(service.clone());
            }
        }
    }
    Ok(lost)
}

/// Pulls an image by one of its digests. Whether the engine has it then.
fn pull(service: &str, recorded: &Recorded, cx: &Context) -> Result<bool> {
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

/// Obtains the images of all services. Returns the services whose image is nowhere, where `may_lack` allows that.
///
/// # Errors
/// An image is nowhere and must not lack, the saved copy is not sound, or the engine does not answer.
pub(super) fn all(
    details: &Details,
    may_lack: bool,
    artifact: &Artifact,
    slot: &Slot,
    cx: &Context,
) -> Result<Vec<String>> {
    let mut lost = lost(details, cx)?;
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    if saved::is_saved(details, artifact) {
        cx.note(
            Level::Info,
            format!(
                "the engine has no image of {} any more; what the backup holds is loaded",
                lost.join(", ")
            ),
        );
        saved::load(details, artifact, slot, cx)?;
        lost = self::lost(details, cx)?;
    }
    let mut gone = Vec::new();
    for service in lost {
        let Some(recorded) = details.services.get(&service) else {
            continue;
        };
        if pull(&service, recorded, cx)? {
            continue;
        }
        if !may_lack {
            return Err(ResourceError::new(format!(
                "the image {} of {service} is not in the engine any more, and neither a saved copy nor a registry has it",
                recorded.image
            ))
            .with_hint(format!(
                "load or build it and name it {}; `rebuild = true` lets guard build it, `save = \"always\"` keeps images in the backup",
                recorded.names.join(" and ")
            )));
        }
        gone.push(service);
    }
    Ok(gone)
}
