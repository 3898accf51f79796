//! The acts of a volume that several promises share: finding it, looking at it, copying it, swapping it.

use super::chunks::{self, Form, Packed};
use super::halt::{Halt, Mode};
use super::hand::Hand;
use super::node::Precision;
use super::place::{self, Place, Target};
use super::record::{Details, Spot, details};
use super::swap::Seen;
use super::{KIND, Volume, aside, capture};
use crate::model::artifact::{Artifact, Displaced};
use crate::model::event::Level;
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

    /// The parts in which the live volume differs from a copy; a swap that this run began and did not finish counts.
    pub(super) fn differences(
        place: &Place,
        artifact: &Artifact,
        details: &Details,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let hand = Hand::of(place, cx)?;
        let (now, _) = hand.portrait(details.precision, cx)?;
        let mut parts = now.differences(&artifact.fingerprint);
        let look = hand.look()?;
        for serial in 1.. {
            let seen = look.asides.get(&aside::name(&cx.token(), serial));
            if seen.is_some_and(Seen::is_unfinished) {
                parts.push("a swap that was cut off".to_owned());
            } else if seen.is_some_and(Seen::is_used) {
                continue;
            }
            break;
        }
        Ok(parts)
    }

    /// The database that would be copied while it writes, where that is so.
    pub(super) fn live_database(&self, place: &Place, cx: &Context) -> Result<Option<String>> {
        if self.mode != Mode::Live {
            return Ok(None);
        }
        let found = match place.directory() {
            Some(directory) => place::database_in(directory, 2)?.map(str::to_owned),
            // Where guard's program does not run beside the volume, the survey has said so.
            None => Hand::of(place, cx)
                .and_then(|hand| hand.look())
                .ok()
                .and_then(|look| look.database),
        };
        let Some(database) = found else {
            return Ok(None);
        };
        // A directory may have users that no engine knows of; a volume has not.
        let is_used = match &self.target {
            Target::Path(_) => true,
            Target::Volume(_) => place.users(cx)?.iter().any(Container::is_running),
        };
        Ok(is_used.then_some(database))
    }

    /// The form that a copy takes: the one that is set, or that of what is there already, or what its size asks for.
    fn form(&self, place: &Place, slot: &Slot, cx: &Context) -> Result<Form> {
        if let Some(form) = self.form {
            return Ok(form);
        }
        let before = slot.earlier().and_then(|(_, artifact)| details(artifact).ok());
        if before.is_some_and(|details| details.form == Form::Chunks) {
            return Ok(Form::Chunks);
        }
        Ok(if self.counted(place, cx)? < chunks::LARGE {
            Form::Archive
        } else {
            Form::Chunks
        })
    }

    /// Bytes in the files of the live volume, counted where nobody did yet.
    fn counted(&self, place: &Place, cx: &Context) -> Result<u64> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(*bytes);
        }
        let (_, (_, bytes)) = Hand::of(place, cx)?.portrait(Precision::Seconds, cx)?;
        Ok(*self.bytes.get_or_init(|| bytes))
    }

    /// How many bytes a copy will have to read, as far as that is known or cheap to know; an estimate, for what is shown.
    fn expected(&self, place: &Place, slot: &Slot, cx: &Context) -> Option<u64> {
        let earlier = || Some(details(slot.earlier()?.1).ok()?.content_bytes);
        let known = self.bytes.get().copied().or_else(earlier);
        known.or_else(|| self.counted(place, cx).ok())
    }

    pub(super) fn copy(&self, place: &Place, slot: &Slot, cx: &Context) -> Result<(Form, Packed, capture::Copied)> {
        let form = self.form(place, slot, cx)?;
        let expected = self.expected(place, slot, cx);
        let users = if self.mode == Mode::Live {
            Vec::new()
        } else {
            place.users(cx)?
        };
        let halt = Halt::of(&users, self.mode, &self.name, cx)?;
        let hand = Hand::of(place, cx)?;
        let copied = hand.copy(form, slot, self.level, (self.force_read, expected), cx);
        let woken = halt.release();
        let (mut copied, packed) = copied?;
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
        Ok((form, packed, copied))
    }

    /// What the manifest says of a copy.
    pub(super) fn artifact(
        &self,
        place: &Place,
        precision: Precision,
        (form, packed): (Form, Packed),
        copied: capture::Copied,
    ) -> Result<Artifact> {
        let stored = match form {
            Form::Archive => String::new(),
            Form::Chunks => format!(", {} of it new", text::bytes(packed.stored)),
        };
        let details = Details {
            source: place.source.clone(),
            mode: self.mode,
            precision,
            entries: copied.entries,
            content_bytes: copied.content_bytes,
            tar_bytes: copied.tar_bytes,
            form,
            packed,
        };
        let details = serde_json::to_value(&details)
            .map_err(|error| ResourceError::because("could not describe the copy", error))?;
        let size = text::bytes(copied.content_bytes);
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint: copied.fingerprint,
            files: copied.files,
            details,
            summary: format!(
                "{}: {} entries, {size}{stored}",
                place.shown,
                text::count(copied.entries)
            ),
            not_kept: copied.not_kept,
            tools: vec![("guard".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        })
    }

    pub(super) fn swap(&self, spot: &Spot, from: Option<(&Artifact, &Slot)>, cx: &Context) -> Result<Displaced> {
        let hand = spot.hand(cx)?;
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
        match (spot.form, from) {
            (Form::Chunks, Some((artifact, copy))) => {
                hand.swap_changed(&spot.aside, (artifact, copy), &details(artifact)?, cx)?;
            }
            (Form::Chunks, None) => hand.swap_back_changed(&spot.aside, spot.to)?,
            (Form::Archive, _) => hand.swap(&spot.aside, spot.to)?,
        }
        let back = Spot {
            form: spot.form,
            ..Spot::at(&hand, spot.aside.clone(), spot.to.other())
        };
        Ok(Displaced {
            resource: self.name.clone(),
            details: back.value()?,
            kept_as: vec![hand.shown(&spot.aside)],
        })
    }
}
