//! The acts of a volume that several promises share: finding it, looking at it, copying it, swapping it.

use super::halt::{Halt, Mode};
use super::node::Precision;
use super::place::{self, Place, Reach, Target};
use super::record::{Details, Spot};
use super::swap::Aside;
use super::{KIND, Volume, aside, capture, stream, walk};
use crate::model::artifact::{Artifact, Displaced};
use crate::model::event::Level;
use crate::model::fingerprint::Fingerprint;
use crate::model::text;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::docker::Container;

impl Volume {
    pub(super) fn find(&self, cx: &Context) -> Result<Place> {
        let place = place::find(self, cx)?;
        // The name of a volume does not change while guard runs; a second answer would be the same.
        let _same = self.found.set(place.source.clone());
        Ok(place)
    }

    pub(super) fn portrait(place: &Place, precision: Precision, cx: &Context) -> Result<Fingerprint> {
        match &place.reach {
            Reach::Directory(path) => walk::portrait(path, precision, cx),
            Reach::Engine(volume) => stream::portrait(volume, cx),
        }
        .map(|(fingerprint, _)| fingerprint)
    }

    /// The parts in which the live volume differs from a copy; a swap that this run began and did not finish counts.
    pub(super) fn differences(
        place: &Place,
        artifact: &Artifact,
        precision: Precision,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let mut parts = Self::portrait(place, precision, cx)?.differences(&artifact.fingerprint);
        if let Some(live) = place.directory() {
            for serial in 1.. {
                let aside = Aside::new(live, &aside::name(&cx.token(), serial));
                if aside.is_unfinished()? {
                    parts.push("a swap that was cut off".to_owned());
                } else if aside.is_used()? {
                    continue;
                }
                break;
            }
        }
        Ok(parts)
    }

    /// The database that would be copied while it writes, where that is so.
    pub(super) fn live_database(&self, place: &Place, cx: &Context) -> Result<Option<&'static str>> {
        let Some(directory) = place.directory().filter(|_| self.mode == Mode::Live) else {
            return Ok(None);
        };
        let Some(database) = place::database_in(directory, 2)? else {
            return Ok(None);
        };
        // A directory may have users that no engine knows of; a volume has not.
        let is_used = match &self.target {
            Target::Path(_) => true,
            Target::Volume(_) => place.users(cx)?.iter().any(Container::is_running),
        };
        Ok(is_used.then_some(database))
    }

    pub(super) fn copy(&self, place: &Place, slot: &Slot, cx: &Context) -> Result<capture::Copied> {
        let users = if self.mode == Mode::Live {
            Vec::new()
        } else {
            place.users(cx)?
        };
        let halt = Halt::of(&users, self.mode, &self.name, cx)?;
        let copied = match &place.reach {
            Reach::Directory(path) => capture::copy_directory(path, slot, self.level, cx),
            Reach::Engine(volume) => stream::copy_volume(volume, slot, self.level, cx),
        };
        let woken = halt.release();
        let mut copied = copied?;
        woken?;
        if let Some(first) = copied.restless.first() {
            if self.mode != Mode::Live {
                let what = format!(
                    "{first} in the {} was written to while its containers were held",
                    place.shown
                );
                return Err(ResourceError::new(what)
                    .with_hint("something outside of its containers writes there; stop that first"));
            }
            let noted = copied
                .restless
                .iter()
                .take(100)
                .map(|path| format!("a still moment of {path}, which was written to while it was read"));
            copied.not_kept.extend(noted);
        }
        Ok(copied)
    }

    /// What the manifest says of a copy.
    pub(super) fn artifact(&self, place: &Place, precision: Precision, copied: capture::Copied) -> Result<Artifact> {
        let details = Details {
            source: place.source.clone(),
            mode: self.mode,
            precision,
            entries: copied.entries,
            content_bytes: copied.content_bytes,
            tar_bytes: copied.tar_bytes,
        };
        let details = serde_json::to_value(&details)
            .map_err(|error| ResourceError::because("could not describe the copy", error))?;
        let size = text::bytes(copied.content_bytes);
        Ok(Artifact {
            resource: self.name.clone(),
            kind: KIND.key.to_owned(),
            fingerprint: copied.fingerprint,
            files: copied.files,
            details,
            summary: format!("{}: {} entries, {size}", place.shown, text::count(copied.entries)),
            not_kept: copied.not_kept,
            tools: vec![("guard".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        })
    }

    pub(super) fn swap(&self, spot: &Spot, cx: &Context) -> Result<Displaced> {
        let aside = spot.aside()?;
        if let (Target::Volume(_), Ok(place)) = (&self.target, self.find(cx))
            && place
                .users(cx)
                .is_ok_and(|users| users.iter().any(Container::is_running))
        {
            cx.note(
                Level::Warn,
                format!(
                    "a container is still running on the {} while it is put back",
                    place.shown
                ),
            );
        }
        aside.swap(spot.to)?;
        let back = Spot {
            live: spot.live.clone(),
            aside: spot.aside.clone(),
            to: spot.to.other(),
        };
        Ok(Displaced {
            resource: self.name.clone(),
            details: back.value()?,
            kept_as: vec![format!("directory {}", aside.entries().display())],
        })
    }
}
