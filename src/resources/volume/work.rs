//! The acts of a volume that several promises share: finding it, looking at it, copying it, swapping it.

use super::chunks::{self, Differences, Form, Packed};
use super::halt::{Halt, Mode};
use super::hand::Hand;
use super::home::Record;
use super::node::Precision;
use super::place::{self, Place, Target};
use super::record::{Details, Spot, details};
use super::swap::Seen;
use super::{KIND, Volume, capture, survey};
use crate::model::artifact::{Artifact, Displaced};
use crate::model::event::Level;
use crate::model::text;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::docker::Container;
use crate::system::servers::{self, Server, User};

impl Volume {
    pub(super) fn find(&self, cx: &Context) -> Result<Place> {
        let place = place::find(self, cx)?;
        // The name of a volume does not change while guard runs; a second answer would be the same.
        let _same = self.found.set(place.source.clone());
        Ok(place)
    }

    /// What the manifest says of a copy; where everything is to be read, no time of it tells anything.
    pub(super) fn told(&self, artifact: &Artifact) -> Result<Details> {
        let mut details = details(artifact)?;
        if self.force_read {
            details.packed.begun = 0;
        }
        Ok(details)
    }

    /// The parts in which the live volume differs from a copy; a swap that this run began and did not finish counts. The times
    /// of directories are told apart: a file that came and went leaves nothing else.
    pub(super) fn differences(
        &self,
        place: &Place,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        cx: &Context,
    ) -> Result<Differences> {
        let hand = Hand::of(place, cx)?;
        let mut differences = hand.differences((artifact, slot), details, cx)?;
        if self.is_cut_off(&hand, cx)? {
            differences.parts.push("a swap that was cut off".to_owned());
        }
        Ok(differences)
    }

    /// Whether a swap that this run began is not finished.
    pub(super) fn is_cut_off(&self, hand: &Hand<'_>, cx: &Context) -> Result<bool> {
        let record = Record::of(&self.name, cx)?;
        let look = hand.look()?;
        for home in record.homes.iter().filter(|home| record.is_begun(home)) {
            if hand.seen(home, &look)?.as_ref().is_some_and(Seen::is_unfinished) {
                return Ok(true);
                break;
            }
        }
        Ok(false)
    }

    /// Why a copy of a server's data directory would be none, where that is so: it writes meanwhile, or it keeps in memory what
    /// is not in its files yet.
    pub(super) fn torn(&self, place: &Place, cx: &Context) -> Result<Option<ResourceError>> {
        let found = match place.directory() {
            Some(directory) => place::database_in(directory)?,
            // Where guard's program does not run beside the volume, the survey has said so.
            None => Hand::of(place, cx)
                .and_then(|hand| hand.look())
                .ok()
                .and_then(|look| Server::named(look.database.as_deref()?)),
        };
        let running: Vec<Container> = match (&self.target, self.mode) {
            // A directory may have users that no engine knows of; a volume has not.
            (Target::Path(_), Mode::Live) if found.is_some() => Vec::new(),
            _ => place.users(cx)?.into_iter().filter(Container::is_running).collect(),
        };
        let host_users = || match (&self.target, place.directory()) {
            (Target::Path(_), Some(directory)) => servers::users_of(directory),
            _ => Vec::new(),
        };
        let Some(server) = found else {
            if self.mode == Mode::Stop {
                return Ok(None);
            }
            // What it keeps in memory may never have been in a file here.
            let in_memory = |server: &&Server| server.is_in_memory;
            let contained = running.iter().find_map(|user| {
                let server = Server::of_image(&user.image_name).filter(in_memory)?;
                let mount = user.mounts.iter().find(|mount| mount.source == place.source)?;
                (mount.target.ends_with("/data") || mount.target.starts_with("/var/lib/")).then_some(server)
            });
            let server = contained.or_else(|| {
                let users = host_users();
                users
                    .iter()
                    .find_map(|user| Server::of_process(&user.name).filter(in_memory))
            });
            return Ok(server.map(|server| survey::refused_database(place, server)));
        };
        match self.mode {
            Mode::Live => {
                let is_used = matches!(self.target, Target::Path(_)) || !running.is_empty();
                Ok(is_used.then(|| survey::refused_database(place, server)))
            }
            Mode::Pause if server.is_in_memory && !running.is_empty() => {
                Ok(Some(survey::refused_database(place, server)))
            }
            // Only containers are held.
            Mode::Pause | Mode::Stop if running.is_empty() => {
                let is_its_own = |user: &User| user.has_open || Server::of_process(&user.name).is_some();
                let user = host_users().into_iter().find(is_its_own);
                Ok(user.map(|user| survey::refused_user(place, server, &user, self.mode)))
            }
            Mode::Pause | Mode::Stop => Ok(None),
        }
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
        let home = spot.home();
        let mut record = Record::of(&self.name, cx)?;
        record.begin(&home, &self.name, cx)?;
        let bare = match (spot.form, from) {
            (Form::Chunks, Some((artifact, copy))) => {
                hand.swap_changed(&home, (artifact, copy), &self.told(artifact)?, cx)?
            }
            (Form::Chunks, None) => hand.swap_back_changed(&home, spot.to)?,
            (Form::Archive, _) => hand.swap(&home, spot.to, cx)?,
        };
        for path in &bare {
            let what = format!(
                "{path} in the {} stays: something in it is no part of any copy",
                hand.name()
            );
            cx.note(Level::Info, what);
        }
        record.bare = bare;
        record.write(&self.name, cx)?;
        let back = Spot {
            form: spot.form,
            ..Spot::at(&hand, &home, spot.to.other())
        };
        Ok(Displaced {
            resource: self.name.clone(),
            details: back.value()?,
            kept_as: vec![hand.shown(&home)],
        })
    }
}
