//! Stages a copy of a volume where the live one differs from it.

use std::path::Path;

use serde_json::Value;

use super::access::Access;
use super::agent::Look;
use super::home::{self, Record};
use super::made::Lack;
use super::place::Place;
use super::source::{Target, Volume};
use super::spot::Spot;
use super::work::make_volume;
use super::{space, unpack};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::chunks::form::Form;
use crate::trees::details::Details;
use crate::trees::exchange_record::{Seen, Side};
use crate::trees::pin::Link;
use crate::trees::put_aside::{Aside, Home};
use crate::trees::toll::Toll;
use guard_model::artifact::{Artifact, Prepared, Work};
use guard_model::event::Level;
use guard_model::policy::DataRestore;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::At;

impl Volume {
    /// Stages a copy where the volume differs from it.
    pub(super) fn stage(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let details = self.told(artifact)?;
        let (mut place, mut lack) = self.meant(&details, cx)?;
        if let Target::Volume(_) = self.target {
            match &lack {
                Some(Lack::Gone) => {
                    make_volume(&self.made(&details).unwrap_or_default(), &details, cx)?;
                    (place, lack) = self.meant(&details, cx)?;
                }
                Some(Lack::Otherwise(what)) => return self.stage_remade(what, &details, data, cx),
                None => self.tell_labels(&details, cx),
            }
        }
        let is_there = lack.is_none();
        let prepared = |work, details, price| Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        };
        let (mut parts, toll): (Vec<String>, Toll) = if is_there {
            let found = self.differences(&place, (artifact, slot), &details, cx)?;
            (found.parts.into_iter().chain(found.times).collect(), found.toll)
        } else {
            (vec!["the directory itself".to_owned()], Toll::default())
        };
        let price = Self::told_price(&toll, artifact, data, cx)?;
        let links = self.links(&details, cx)?;
        parts.extend(links.iter().map(Link::shown));
        if parts.is_empty() {
            return Ok(prepared(Work::Unchanged, Value::Null, price));
        }
        if data == DataRestore::Never {
            return Ok(prepared(
                Work::Left("the policy leaves data as it is".to_owned()),
                Value::Null,
                price,
            ));
        }
        if is_there {
            let access = Access::of(&place, cx)?;
            if let (Access::Here(live), Some(pin)) = (&access, &details.pin)
                && !pin.is(live)
            {
                let what = format!(
                    "the {} is another one than was copied; the copy goes there",
                    place.shown
                );
                cx.note(Level::Info, what);
            }
            let (staged, mut head) = self.stage_aside((artifact, slot), &details, &place, &access, cx)?;
            if details.form == Form::Archive && !price.is_empty() {
                head.clear();
            }
            let price = head.into_iter().chain(price).collect();
            Record::of(&self.name, cx)?.tell(&staged.home(), toll, &self.name, cx)?;
            let staged = Spot { links, ..staged };
            return Ok(prepared(Work::Changed(parts), staged.value()?, price));
        }
        // As beside an empty directory, which is what it will be when it is made.
        let void = void(&place, cx)?;
        let access = Access::Here(void.dir.again().at("open", void.shown())?);
        let staged = self.stage_aside((artifact, slot), &details, &place, &access, cx);
        drop(access);
        void.remove()?;
        let (staged, _) = staged?;
        let anew = Spot {
            anew: Some(details.pin.clone().unwrap_or_default()),
            links,
            ..staged
        };
        let live = place.directory().unwrap_or(Path::new("")).to_owned();
        let price = vec![format!("the {} is made anew from the backup", place.shown)];
        Ok(prepared(Work::Changed(parts), anew.of_live(&live).value()?, price))
    }

    /// Stages a copy, whole or where the volume differs, and says what that costs.
    fn stage_aside(
        &self,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        place: &Place,
        access: &Access<'_>,
        cx: &Context,
    ) -> Result<(Spot, Vec<String>)> {
        let look = access.look()?;
        if details.form == Form::Chunks {
            return self.stage_chunks((artifact, slot), details, place, (access, &look), cx);
        }
        space::room(&place.shown, look.free, details.content_bytes)?;
        let copy = &unpack::listed(artifact)?.sha256;
        // A state that was live must not be staged over: a further restore in the same run takes a further directory.
        let is_free = |seen: Option<&Seen>| seen.is_none_or(|seen| seen.holds(copy) || !seen.is_used());
        let (mut home, seen) = self.home(place, access, &look, &is_free, cx)?;
        if !seen.is_some_and(|seen| seen.holds(copy)) {
            access.stage(&home, artifact, slot, details, cx)?;
            home = self.learnt(access, home, cx)?;
        }
        let price = vec![format!(
            "what was written to the {} since the backup is put aside",
            place.shown
        )];
        Ok((Spot::at(access, &home, Side::After), price))
    }

    /// The directory to stage in, which is there, and what is staged in it: the one of an earlier try where it `is_free`, else a
    /// further one.
    pub(super) fn home(
        &self,
        place: &Place,
        access: &Access<'_>,
        look: &Look,
        is_free: &dyn Fn(Option<&Seen>) -> bool,
        cx: &Context,
    ) -> Result<(Home, Option<Seen>)> {
        let mut record = Record::of(&self.name, cx)?;
        for home in record.homes.clone() {
            match access.seen(&home, look) {
                // One that was known and is gone has given its name away.
                Ok(None) if home.is_known() && access.is_gone(&home)? => {}
                Ok(seen) if is_free(seen.as_ref()) => {
                    let made = access.make(&home)?;
                    record.learn(&made, &self.name, cx)?;
                    return Ok((made, seen));
                }
                Ok(_) => {}
                Err(error) if record.is_begun(&home) => return Err(error),
                Err(error) => cx.note(
                    Level::Warn,
                    format!("{error}; it is left alone, and another one is used"),
                ),
            }
        }
        let around = match access {
            Access::Here(live) => home::around(place, live, cx),
            Access::There(_) => None,
        };
        let additional = record.additional(around.as_deref(), &self.name, cx)?;
        let made = access.make(&additional)?;
        record.learn(&made, &self.name, cx)?;
        Ok((made, None))
    }

    /// The same directory, known by more than its name now that something is staged in it.
    fn learnt(&self, access: &Access<'_>, home: Home, cx: &Context) -> Result<Home> {
        if home.is_known() {
            return Ok(home);
        }
        let known = access.known(home)?;
        Record::of(&self.name, cx)?.learn(&known, &self.name, cx)?;
        Ok(known)
    }

    /// Stages what differs from a copy in chunks.
    fn stage_chunks(
        &self,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        place: &Place,
        (access, look): (&Access<'_>, &Look),
        cx: &Context,
    ) -> Result<(Spot, Vec<String>)> {
        // A state that was live must not be staged over: a further restore in the same run takes a further directory.
        let is_free = |seen: Option<&Seen>| !seen.is_some_and(Seen::is_used);
        let (home, _) = self.home(place, access, look, &is_free, cx)?;
        let stand_in = self.stand_in_told(details, cx);
        if stand_in.is_some() && look.free < space::RESERVE {
            Self::make_room(details, cx)?;
        }
        let room = |bytes| {
            if stand_in.is_none() {
                return space::room(&place.shown, look.free, bytes);
            }
            // Names alone find room on a file system that is full to others.
            if bytes == 0 {
                return Ok(());
            }
            let what = format!(
                "{}: {} of what goes back are not in what stands by as they were copied, and come out of the backup",
                self.name,
                text::bytes(bytes)
            );
            cx.note(Level::Info, what);
            space::room(&place.shown, look.free, bytes)
        };
        let keep = self.keep(details, cx)?;
        let copy = (artifact, slot);
        let extent = access.stage_changed(&home, copy, (details, &keep), stand_in.as_ref(), &room, cx)?;
        let home = self.learnt(access, home, cx)?;
        let staged = Spot {
            form: Form::Chunks,
            ..Spot::at(access, &home, Side::After)
        };
        let price = vec![format!(
            "{} of {} entries are put back, and {} put aside; the others stay as they are",
            text::count(extent.fetched),
            text::count(details.entries),
            text::count(extent.surplus)
        )];
        Ok((staged, price))
    }
}

/// An empty directory on the file system on which a directory is to be made anew.
fn void(place: &Place, cx: &Context) -> Result<Aside> {
    let nowhere = || ResourceError::new(format!("the {} is gone, and cannot be made anew", place.shown));
    let parent = place
        .directory()
        .and_then(|live| live.ancestors().skip(1).find(|above| above.is_dir()));
    let parent = Access::here(parent.ok_or_else(nowhere)?)?;
    let Access::Here(parent) = &parent else {
        return Err(nowhere());
    };
    let around = home::around(place, parent, cx)
        .ok_or_else(|| nowhere().with_hint("create the directory, and run the same command again"))?;
    Home::new(Some(&around))?.make(parent)
}
