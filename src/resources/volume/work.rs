//! The acts of a volume that several promises share: finding it, looking at it, copying it, swapping it.

use std::borrow::Cow;
use std::path::Path;

use super::access::{self, Access};
use super::ground::{self, Ground};
use super::halt::Halt;
use super::home::Record;
use super::made::Lack;
use super::place::{self, Place};
use super::source::{KEY, Target, Volume};
use super::spot::Spot;
use super::standby::Moment;
use super::survey;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::chunks::form::{self, Form, Packed};
use crate::trees::chunks::{self, Differences, Swapped};
use crate::trees::copied;
use crate::trees::details::{Details, Mode, Standby, details};
use crate::trees::exchange_record::{Seen, Side};
use crate::trees::made_volume::Made;
use crate::trees::node::Precision;
use crate::trees::pin::{self, Link, Pin};
use crate::trees::toll::Toll;
use guard_model::artifact::{Artifact, CarriedOver, Displaced};
use guard_model::event::Level;
use guard_model::policy::DataRestore;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::{At, Dir};
use guard_system::docker::{self, Container};
use guard_system::servers::{self, Server, User};

/// A volume, copied.
pub(super) struct Taken {
    pub(super) form: (Form, Packed),
    pub(super) copied: copied::Copied,
    /// What stands by; `None`: its files are to be cloned.
    pub(super) standby: Option<Standby>,
}

impl Volume {
    pub(super) fn find(&self, cx: &Context) -> Result<Place> {
        let place = place::find(self, cx)?;
        // The name of a volume does not change while guard runs; a second answer would be the same.
        let _same = self.found.set(place.source.clone());
        Ok(place)
    }

    /// Where a copy goes back to, and what that lacks of being there: the directory that was copied, where the settings still name
    /// the same.
    ///
    /// # Errors
    /// Another thing is in the way, or the engine does not answer.
    pub(super) fn meant(&self, details: &Details, cx: &Context) -> Result<(Place, Option<Lack>)> {
        let path = match &self.target {
            Target::Path(path) => path,
            Target::Volume(key) => return self.meant_volume(key, details, cx),
        };
        let found = self.find(cx);
        let gone = |is_there: bool| (!is_there).then_some(Lack::Gone);
        let asked = cx.resolve(path);
        let pin = details.pin.clone().unwrap_or_default();
        match (pin.path(&asked), found) {
            (Some(path), _) => Ok((place::at(&path), gone(pin.is_there(&path)?))),
            (None, Ok(place)) => Ok((place, None)),
            // The directory around it tells where it was.
            (None, Err(error)) => match (asked.parent().map(std::fs::canonicalize), asked.file_name()) {
                (Some(Ok(parent)), Some(name)) => {
                    let path = parent.join(name);
                    Ok((place::at(&path), gone(pin.is_there(&path)?)))
                }
                _ => Err(error),
            },
        }
    }

    /// The links that led to the directory and do not any more.
    pub(super) fn links(&self, details: &Details, cx: &Context) -> Result<Vec<Link>> {
        match (&self.target, &details.pin) {
            (Target::Path(path), Some(pin)) if pin.path(&cx.resolve(path)).is_some() => pin.links_now(),
            _ => Ok(Vec::new()),
        }
    }

    /// The parts in which what a copy goes back to differs from it, by what a look tells.
    pub(super) fn apart(&self, artifact: &Artifact, details: &Details, cx: &Context) -> Result<Vec<String>> {
        let (place, lack) = self.meant(details, cx)?;
        if let Some(lack) = lack {
            return Ok(vec![lack.shown()]);
        }
        let access = Access::of(&place, cx)?;
        let (now, _) = access.portrait(details.precision, cx)?;
        let mut parts = now.differences(&artifact.fingerprint);
        let bare = Record::of(&self.name, cx)?.bare;
        if !parts.is_empty() && !bare.is_empty() {
            // Directories that the copy does not know, and that stayed for what is in them, are no difference.
            let (now, _) = access.portrait_without(&bare, details.precision, cx)?;
            parts = now.differences(&artifact.fingerprint);
        }
        if self.is_cut_off(&access, cx)? {
            parts.push("a swap that was cut off".to_owned());
        }
        parts.extend(self.links(details, cx)?.iter().map(Link::shown));
        Ok(parts)
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
        let access = Access::of(place, cx)?;
        let keep = self.keep(details, cx)?;
        let mut differences = access.differences((artifact, slot), details, &keep, cx)?;
        if self.is_cut_off(&access, cx)? {
            differences.parts.push("a swap that was cut off".to_owned());
        }
        Ok(differences)
    }

    /// Whether a swap that this run began is not finished.
    pub(super) fn is_cut_off(&self, access: &Access<'_>, cx: &Context) -> Result<bool> {
        let record = Record::of(&self.name, cx)?;
        let look = access.look()?;
        for home in record.homes.iter().filter(|home| record.is_begun(home)) {
            if access.seen(home, &look)?.as_ref().is_some_and(Seen::is_unfinished) {
                return Ok(true);
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
            None => Access::of(place, cx)
                .and_then(|access| access.look())
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

    /// The form that a copy takes: the one that is set, or that of what is there already, or what its size asks for. What stands
    /// by stands in for single files, so that ground which can do that has copies in chunks.
    fn form(&self, place: &Place, slot: &Slot, ground: &Ground, cx: &Context) -> Result<Form> {
        if let Some(form) = self.form {
            return Ok(form);
        }
        let before = slot.earlier().and_then(|(_, artifact)| details(artifact).ok());
        if ground.is_instant() || before.is_some_and(|details| details.form == Form::Chunks) {
            return Ok(Form::Chunks);
        }
        Ok(if self.counted(place, cx)? < form::LARGE {
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
        let (_, (_, bytes)) = Access::of(place, cx)?.portrait(Precision::Seconds, cx)?;
        Ok(*self.bytes.get_or_init(|| bytes))
    }

    /// How many bytes a copy will have to read, as far as that is known or cheap to know; an estimate, for what is shown.
    fn expected(&self, place: &Place, slot: &Slot, cx: &Context) -> Option<u64> {
        let earlier = || Some(details(slot.earlier()?.1).ok()?.content_bytes);
        let known = self.bytes.get().copied().or_else(earlier);
        known.or_else(|| self.counted(place, cx).ok())
    }

    /// Copies the volume: from a moment of it, where the ground has one, so that its containers are held for that moment only.
    pub(super) fn copy(&self, place: &Place, slot: &Slot, cx: &Context) -> Result<Taken> {
        let ground = ground::of(self, place)?;
        let form = self.form(place, slot, &ground, cx)?;
        let expected = self.expected(place, slot, cx);
        let users = if self.mode == Mode::Live {
            Vec::new()
        } else {
            place.users(cx)?
        };
        let halt = Halt::of(&users, self.mode, &self.name, cx)?;
        let (moment, standby) = self.taken_of(place, ground, form, slot, cx)?;
        let copied = if let Some(moment) = moment {
            halt.release()?;
            access::copy_directory(
                &moment.dir,
                form,
                slot,
                self.level,
                (false, expected, Some(moment.taken)),
                cx,
            )
        } else {
            let access = Access::of(place, cx)?;
            let copied = access.copy(form, slot, self.level, (self.force_read, expected), cx);
            let woken = halt.release();
            copied.and_then(|copied| woken.map(|()| copied))
        };
        let (mut copied, packed) = copied?;
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
        Ok(Taken {
            form: (form, packed),
            copied,
            standby,
        })
    }

    /// The moment of the volume that is copied, where there is one, and what stands by of it then; else why nothing does, or
    /// `None` where its files are to be cloned.
    fn taken_of(
        &self,
        place: &Place,
        ground: Ground,
        form: Form,
        slot: &Slot,
        cx: &Context,
    ) -> Result<(Option<Moment>, Option<Standby>)> {
        let none = |why: String| Some(Standby::None { why });
        let whole =
            || none("an archive is unpacked as a whole: `form = \"chunks\"` has single files stood in for".to_owned());
        let ground = match ground {
            Ground::Snapshot { subvolume, below } => {
                let kept = below.is_empty() && form == Form::Chunks;
                match self.moment(place, (&subvolume, &below), &slot.backup(), kept, cx) {
                    Ok(moment) if form == Form::Archive => return Ok((Some(moment), whole())),
                    Ok(moment) => {
                        let standby = moment.standby.clone();
                        return Ok((Some(moment), Some(standby)));
                    }
                    Err(error) => {
                        let why = format!("a snapshot failed ({})", text::chain(&error));
                        cx.note(
                            Level::Warn,
                            format!("{}: {why}; what is live is copied as it is", self.name),
                        );
                        let path = place.directory().unwrap_or(Path::new(""));
                        ground::or_clones(&Dir::open(path).at("open", path)?, why)
                    }
                }
            }
            other => other,
        };
        Ok((
            None,
            match ground {
                Ground::Clones { .. } if form == Form::Chunks => None,
                Ground::Clones { .. } => whole(),
                Ground::Snapshot { .. } => none("there is no snapshot".to_owned()),
                Ground::Plain { why, could } => {
                    let level = if could { Level::Warn } else { Level::Detail };
                    cx.note(level, format!("{}: nothing stands by: {why}", self.name));
                    none(why)
                }
            },
        ))
    }

    /// The copy with what stands by of it, and with nothing that stood by of earlier ones. A standby that fails is told, and no
    /// more: the copy is proven without it.
    pub(super) fn with_standby(
        &self,
        mut artifact: Artifact,
        standby: Option<Standby>,
        place: &Place,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Artifact> {
        let backup = slot.backup();
        let home = match &standby {
            Some(Standby::Snapshot { home, .. }) => Some(home.as_str()),
            _ => None,
        };
        self.only(home, cx);
        let standby = standby.unwrap_or_else(|| {
            let cloned = self.clones(place, (&artifact, slot), &backup, cx);
            cloned.unwrap_or_else(|error| {
                let why = format!("its files could not be cloned ({})", text::chain(&error));
                cx.note(Level::Warn, format!("{}: nothing stands by: {why}", self.name));
                Standby::None { why }
            })
        });
        let shown = match &standby {
            Standby::Snapshot { kept: true, .. } => "; a snapshot stands by".to_owned(),
            Standby::Snapshot { kept: false, .. } => "; a snapshot stands by until the run is over".to_owned(),
            Standby::Clones { files, .. } => format!("; clones of {} files stand by", text::count(*files)),
            Standby::None { .. } => String::new(),
        };
        artifact.summary.push_str(&shown);
        let mut told = details(&artifact)?;
        told.standby = Some(standby);
        artifact.details = serde_json::to_value(&told)
            .map_err(|error| ResourceError::because("could not describe the copy", error))?;
        Ok(artifact)
    }

    /// Compares what a way back reads of a copy with the manifest: all of it; where something stands in for the files, what
    /// says which they are. Chunks are compared with their names whenever one is read.
    pub(super) fn compare_needed(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let told = details(artifact)?;
        if told.form == Form::Chunks && self.stand_in(&told, cx).is_ok() {
            slot.compare(&chunks::lists_of(artifact))
        } else {
            slot.compare(artifact)
        }
    }

    /// What the manifest says of a copy.
    pub(super) fn artifact(
        &self,
        place: &Place,
        precision: Precision,
        (form, packed): (Form, Packed),
        copied: copied::Copied,
        cx: &Context,
    ) -> Result<Artifact> {
        let pin = match (&self.target, place.directory()) {
            (Target::Path(path), Some(live)) => Some(Pin::of(&cx.resolve(path), live)),
            (Target::Path(_), None) => None,
            (Target::Volume(_), _) => {
                let found = docker::volume(cx, &place.source).ok().flatten();
                found
                    .filter(|found| found.options.is_empty())
                    .map(|found| Pin::of_volume(found.labels))
            }
        };
        let made = match &self.target {
            Target::Path(_) => None,
            Target::Volume(_) => {
                let found = docker::volume(cx, &place.source).ok().flatten();
                found.as_ref().map(Made::of)
            }
        };
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
            pin,
            made,
            standby: None,
        };
        let details = serde_json::to_value(&details)
            .map_err(|error| ResourceError::because("could not describe the copy", error))?;
        let size = text::bytes(copied.content_bytes);
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KEY.to_owned(),
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

    /// What was kept when this copy was put back; `None` where that is nothing.
    fn kept(
        access: &Access<'_>,
        from: Option<(&Artifact, &Slot)>,
        toll: &Toll,
        cx: &Context,
    ) -> Result<Option<CarriedOver>> {
        let Some((artifact, _)) = from else { return Ok(None) };
        let run = cx.run.as_ref().map_or_else(|| "latest".to_owned(), ToString::to_string);
        let leaves = toll.leaves("file", &run);
        let Some(kept) = toll.keeps("file") else {
            // What may be people's is named all the same.
            for sentence in leaves {
                cx.note(Level::Info, sentence);
            }
            return Ok(None);
        };
        let (becomes, _) = access.portrait(details(artifact)?.precision, &cx.unstoppable())?;
        Ok(Some(CarriedOver {
            becomes,
            sentences: std::iter::once(kept).chain(leaves).collect(),
        }))
    }

    pub(super) fn swap(&self, spot: &Spot, from: Option<(&Artifact, &Slot)>, cx: &Context) -> Result<Displaced> {
        let mut spot = Cow::Borrowed(spot);
        let mut record = Record::of(&self.name, cx)?;
        if let Some((artifact, slot)) = from
            && !record.is_begun(&spot.home())
        {
            let keeper = spot.keeper(cx)?;
            let staged = keeper.look().and_then(|look| keeper.seen(&spot.home(), &look));
            let why = match staged {
                Ok(Some(_)) => None,
                Ok(None) => Some(format!("what was staged in {} is gone", spot.home().name())),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                cx.note(Level::Warn, format!("{why}; the copy is staged anew"));
                let anew = self.stage(artifact, slot, DataRestore::Always, &cx.unstoppable())?;
                if !anew.work.is_needed() {
                    return Ok(Displaced {
                        resource: self.name.clone(),
                        details: serde_json::Value::Null,
                        kept_as: Vec::new(),
                    });
                }
                spot = Cow::Owned(Spot::of(&anew.details)?);
                record = Record::of(&self.name, cx)?;
            }
        }
        let home = spot.home();
        record.begin(&home, &self.name, cx)?;
        if let (Some(pin), Side::After) = (&spot.anew, spot.to) {
            pin.make(&spot.live()?, &home)?;
        }
        let is_unmade = spot.to == Side::Before
            && match &spot.anew {
                Some(pin) => !pin.is_there(&spot.live()?)?,
                None => false,
            };
        let access = if is_unmade { spot.keeper(cx)? } else { spot.access(cx)? };
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
        let Swapped { bare, toll } = match (spot.form, from) {
            _ if is_unmade => Swapped::default(),
            (Form::Chunks, Some(copy)) => {
                let told = self.told(copy.0)?;
                let keep = self.keep(&told, cx)?;
                let stand_in = self.stand_in(&told, cx).ok();
                access.swap_changed(&home, copy, (&told, &keep), stand_in.as_ref(), cx)?
            }
            (Form::Archive, Some(copy)) if self.carry_over.is_wanted() => {
                let told = self.told(copy.0)?;
                let keep = self.keep(&told, cx)?;
                access.swap_around(&home, copy, (&told, &keep), cx)?
            }
            (Form::Chunks, None) | (Form::Archive, _) => Swapped::with(access.swap(&home, spot.to, cx)?),
        };
        for path in &bare {
            let what = format!(
                "{path} in the {} stays: something in it is in no copy, and is not moved",
                access.name()
            );
            cx.note(Level::Info, what);
        }
        record.bare = bare;
        record.write(&self.name, cx)?;
        if spot.anew.is_some() && spot.to == Side::Before {
            pin::unmake(&spot.live()?, &home)?;
        }
        pin::relink(&spot.links, spot.to)?;
        let toll = if toll == Toll::default() && from.is_some() {
            record.toll(&home)
        } else {
            toll
        };
        let carried = Self::kept(&access, from, &toll, cx)?;
        let back = Spot {
            carried,
            put_aside: from.and_then(|_| toll.put_aside("file")),
            form: spot.form,
            live: spot.live.clone(),
            anew: spot.anew.clone(),
            links: spot.links.clone(),
            ..Spot::at(&access, &home, spot.to.other())
        };
        Ok(Displaced {
            resource: self.name.clone(),
            details: back.value()?,
            kept_as: vec![access.shown(&home)],
        })
    }
}

/// Makes the volume of the engine's that was copied anew.
pub(super) fn make_volume(made: &Made, details: &Details, cx: &Context) -> Result<()> {
    made.make(&details.source, cx)?;
    cx.note(
        Level::Info,
        format!("the volume {} was gone, and is there again", details.source),
    );
    Ok(())
}
