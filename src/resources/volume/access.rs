//! Who reads a volume and moves entries in it: guard itself, where it sees the directory, or guard in a container beside it.

use std::collections::BTreeSet;
use std::path::Path;

use super::agent::{self, Look, Wish};
use super::place::{Place, Reach};
use super::remote::RemoteVolume;
use super::salvage::{Salvaged, salvage};
use super::{capture, unpack};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::chunks::form::{Form, Packed};
use crate::trees::chunks::{self, Backup, Differences, Extent, Lines, Swapped};
use crate::trees::copied::Copied;
use crate::trees::details::Details;
use crate::trees::exchange::Patch;
use crate::trees::exchange_record::{Seen, Side};
use crate::trees::keep::Keep;
use crate::trees::node::Precision;
use crate::trees::put_aside::{Aside, Home};
use crate::trees::stand_in::StandIn;
use crate::trees::walk::{self, Stays};
use crate::wanted::Wanted;
use guard_model::artifact::Artifact;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{At, Dir};

/// What can read a volume and move entries in it.
pub(crate) enum Access<'c> {
    /// guard itself, in this directory.
    Here(Dir),
    /// guard in a container beside the volume.
    There(RemoteVolume<'c>),
}

impl<'c> Access<'c> {
    pub(crate) fn of(place: &Place, cx: &'c Context) -> Result<Self> {
        match &place.reach {
            Reach::Directory(path) => Self::here(path),
            Reach::Engine(volume) => Self::in_volume(volume, cx),
        }
    }

    /// guard itself, in the directory at this path, of which no part is a link.
    pub(crate) fn here(live: &Path) -> Result<Self> {
        Ok(Self::Here(Dir::open(live).at("open", live)?))
    }

    pub(crate) fn in_volume(volume: &str, cx: &'c Context) -> Result<Self> {
        RemoteVolume::of(volume, cx).map(Self::There)
    }

    /// What lies aside in it.
    pub(crate) fn look(&self) -> Result<Look> {
        match self {
            Self::Here(live) => agent::look(live),
            Self::There(remote) => remote.look(),
        }
    }

    /// The fingerprint of the volume, with its entries and the bytes of its files. Contents are not read.
    pub(crate) fn portrait(&self, precision: Precision, cx: &Context) -> Result<(Fingerprint, (u64, u64))> {
        match self {
            Self::Here(live) => walk::portrait(live, precision, cx),
            Self::There(remote) => remote.portrait(&BTreeSet::new(), precision),
        }
    }

    /// In which parts the volume differs from a copy; what times do not tell is read.
    pub(crate) fn differences(
        &self,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        keep: &Keep,
        cx: &Context,
    ) -> Result<Differences> {
        let told = (details.packed.begun, details.precision);
        match self {
            Self::Here(live) => {
                let spoiled = |error| ResourceError::because("could not read the index of the copy", error);
                let index = chunks::packed_index(artifact, slot).map_err(spoiled)?;
                chunks::differences(live, (details.form, index), told, keep, cx)
            }
            Self::There(remote) => remote.differences((artifact, slot), details.form, told, keep),
        }
    }

    /// The same, as if these directories (escaped paths) were not there; what is in them counts.
    pub(crate) fn portrait_without(
        &self,
        bare: &BTreeSet<String>,
        precision: Precision,
        cx: &Context,
    ) -> Result<(Fingerprint, (u64, u64))> {
        match self {
            Self::Here(live) => walk::portrait_without(live, bare, precision, cx),
            Self::There(remote) => remote.portrait(bare, precision),
        }
    }

    /// Copies the volume, whose files have about `expected` bytes, into the slot. `force`: nothing is taken for unchanged.
    pub(crate) fn copy(
        &self,
        form: Form,
        slot: &Slot,
        level: i32,
        (force, expected): (bool, Option<u64>),
        cx: &Context,
    ) -> Result<(Copied, Packed)> {
        match self {
            Self::Here(live) => copy_directory(live, form, slot, level, (force, expected, None), cx),
            Self::There(remote) => remote.copy(form, slot, level, (force, expected)),
        }
    }

    /// How it stands with what lies aside there; `None` where nothing is staged whole.
    ///
    /// # Errors
    /// What is there is not guard's.
    pub(crate) fn seen(&self, home: &Home, look: &Look) -> Result<Option<Seen>> {
        match self {
            Self::Here(live) => match home.open(live)? {
                Some(aside) => aside.seen(),
                None => Ok(None),
            },
            Self::There(_) => Ok(look.asides.get(home.name()).cloned()),
        }
    }

    /// Whether nothing is there any more; never said where only the engine sees it.
    pub(crate) fn is_gone(&self, home: &Home) -> Result<bool> {
        match self {
            Self::Here(live) => Ok(home.open(live)?.is_none()),
            Self::There(_) => Ok(false),
        }
    }

    /// The directory aside, made where it is not there. Where the volume is reached through the engine, it is made when
    /// something is staged.
    pub(crate) fn make(&self, home: &Home) -> Result<Home> {
        match self {
            Self::Here(live) => match home.open(live)? {
                Some(_) if home.is_known() => Ok(home.clone()),
                _ => Ok(home.make(live)?.home),
            },
            Self::There(_) => Ok(home.clone()),
        }
    }

    /// The same, by more than its name, once something is staged in it.
    pub(crate) fn known(&self, home: Home) -> Result<Home> {
        match self {
            Self::Here(_) => Ok(home),
            Self::There(remote) => {
                let object = remote.look()?.homes.get(home.name()).copied();
                Ok(home.known(object))
            }
        }
    }

    /// Stages an archive aside, whole.
    pub(crate) fn stage(
        &self,
        home: &Home,
        artifact: &Artifact,
        slot: &Slot,
        details: &Details,
        cx: &Context,
    ) -> Result<()> {
        match self {
            Self::Here(live) => unpack::stage(artifact, slot, details, &opened(home, live)?, cx),
            Self::There(remote) => {
                let word = home.word()?;
                let staged = remote.stage(&word, artifact, slot, details);
                if staged.is_err() {
                    // The first failure is the one to tell; what is there is not sealed, and the next attempt removes it.
                    let _later = self.remove(home);
                }
                staged
            }
        }
    }

    /// Stages what differs from a copy in chunks, where there is `room` for what is written; a volume that only the engine reaches
    /// has nothing that stands in for it.
    pub(crate) fn stage_changed(
        &self,
        home: &Home,
        (artifact, slot): (&Artifact, &Slot),
        (details, keep): (&Details, &Keep),
        stand_in: Option<&StandIn>,
        room: &dyn Fn(u64) -> Result<()>,
        cx: &Context,
    ) -> Result<Extent> {
        match self {
            Self::Here(live) => {
                let mut backup = Backup::of(artifact, slot, details.packed.begun, stand_in)?;
                chunks::prepare(&mut backup, &opened(home, live)?, keep, room, cx)
            }
            Self::There(remote) => remote.patch(Wish::Stage, &home.word()?, (artifact, slot), (details, keep)),
        }
    }

    /// Looks once more what differs from a copy in chunks, and exchanges it with what was staged.
    pub(crate) fn swap_changed(
        &self,
        home: &Home,
        (artifact, slot): (&Artifact, &Slot),
        (details, keep): (&Details, &Keep),
        stand_in: Option<&StandIn>,
        cx: &Context,
    ) -> Result<Swapped> {
        match self {
            Self::Here(live) => {
                let mut backup = Backup::of(artifact, slot, details.packed.begun, stand_in)?;
                chunks::swap_in(&mut backup, &opened(home, live)?, keep, cx)
            }
            Self::There(remote) => remote.patch(Wish::Swap, &home.word()?, (artifact, slot), (details, keep)),
        }
    }

    /// Exchanges a whole tree that was staged, but for what is kept of what came since.
    pub(crate) fn swap_around(
        &self,
        home: &Home,
        (artifact, slot): (&Artifact, &Slot),
        (details, keep): (&Details, &Keep),
        cx: &Context,
    ) -> Result<Swapped> {
        let told = (details.packed.begun, details.precision);
        match self {
            Self::Here(live) => {
                let spoiled = |error| ResourceError::because("could not read the index of the copy", error);
                let lines = || {
                    let index = chunks::packed_index(artifact, slot).map_err(spoiled)?;
                    Lines::of_form(details.form, index).map_err(spoiled)
                };
                chunks::swap_whole(&lines, told, &opened(home, live)?, keep, cx)
            }
            Self::There(remote) => remote.swap_around(&home.word()?, (artifact, slot), details.form, told, keep),
        }
    }

    /// Makes this side of what lies aside live. Returns the directories that stay though this side does not know them.
    pub(crate) fn swap(&self, home: &Home, to: Side, cx: &Context) -> Result<BTreeSet<String>> {
        match self {
            Self::Here(live) => {
                let aside = opened(home, live)?;
                let stays = Stays::of(live, &cx.unstoppable())?;
                Patch::new(&aside).swap(to, &stays)
            }
            Self::There(remote) => remote.act(&["swap", &home.word()?, to.word()]),
        }
    }

    /// Gives back what is wanted of what lies aside.
    pub(crate) fn salvage(&self, home: &Home, wanted: &Wanted, cx: &Context) -> Result<Salvaged> {
        match self {
            Self::Here(live) => salvage(&opened(home, live)?, wanted, cx),
            Self::There(remote) => {
                let word = home.word()?;
                // A pattern may begin as an option does.
                let patterns: Vec<String> = wanted.written().iter().map(|one| format!("./{one}")).collect();
                let words: Vec<&str> = ["salvage", word.as_str()]
                    .into_iter()
                    .chain(patterns.iter().map(String::as_str))
                    .collect();
                remote.act(&words)
            }
        }
    }

    /// Removes what lies aside; what is gone already is fine.
    pub(crate) fn remove(&self, home: &Home) -> Result<()> {
        match self {
            Self::Here(live) => match home.open(live)? {
                Some(aside) => aside.remove(),
                None => Ok(()),
            },
            Self::There(remote) => remote.act(&["remove", &home.word()?]),
        }
    }

    /// Bytes that what lies aside takes; `None` where only the engine sees it.
    pub(crate) fn weigh(&self, home: &Home) -> Result<Option<u64>> {
        match self {
            Self::Here(live) => opened(home, live)?.weight().map(Some),
            Self::There(..) => Ok(None),
        }
    }

    /// What it reaches, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Here(live) => format!("directory {}", live.shown().display()),
            Self::There(remote) => format!("volume {}", remote.volume),
        }
    }

    /// Where displaced entries lie, for people.
    pub(crate) fn shown(&self, home: &Home) -> String {
        match self {
            Self::Here(live) => format!("directory {}", home.shown(live.shown()).display()),
            Self::There(remote) => {
                let entries = home.shown(Path::new(""));
                format!("directory {} in the volume {}", entries.display(), remote.volume)
            }
        }
    }
}

/// Copies this directory, which is live, or was taken as a snapshot in the second that the third of the words says.
pub(super) fn copy_directory(
    root: &Dir,
    form: Form,
    slot: &Slot,
    level: i32,
    (force, expected, taken): (bool, Option<u64>, Option<i64>),
    cx: &Context,
) -> Result<(Copied, Packed)> {
    match form {
        Form::Chunks => chunks::copy_directory(root, slot, level, (force, expected), taken, cx),
        Form::Archive => {
            let begun = taken.unwrap_or_else(|| cx.clock.now().timestamp());
            let copied = capture::copy_directory(root, slot, level, (expected, taken.is_some()), cx);
            copied.map(|copied| (copied, Packed::begun(begun)))
        }
    }
}

fn opened(home: &Home, live: &Dir) -> Result<Aside> {
    let missing = || ResourceError::new(format!("{} is not there any more", home.shown(live.shown()).display()));
    home.open(live)?.ok_or_else(missing)
}
