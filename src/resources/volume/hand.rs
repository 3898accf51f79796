//! Who reads a volume and moves entries in it: guard itself, where it sees the directory, or guard in a container beside it.

use std::path::Path;

use super::capture::{self, Copied};
use super::chunks::{self, Backup, Differences, Extent, Form, Packed};
use super::far::Far;
use super::inside::{self, Look, Wish};
use super::node::Precision;
use super::place::{Place, Reach};
use super::record::Details;
use super::swap::{Aside, Side};
use super::{unpack, walk};
use crate::model::artifact::Artifact;
use crate::model::fingerprint::Fingerprint;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::disk::{self, At, Dir};

/// What can read a volume and move entries in it.
pub(super) enum Hand<'c> {
    /// guard itself, in this directory.
    Here(Dir),
    /// guard in a container beside the volume.
    There(Far<'c>),
}

impl<'c> Hand<'c> {
    pub(super) fn of(place: &Place, cx: &'c Context) -> Result<Self> {
        match &place.reach {
            Reach::Directory(path) => Self::here(path),
            Reach::Engine(volume) => Self::in_volume(volume, cx),
        }
    }

    /// guard itself, in the directory at this path, of which no part is a link.
    pub(super) fn here(live: &Path) -> Result<Self> {
        Ok(Self::Here(Dir::open(live).at("open", live)?))
    }

    pub(super) fn in_volume(volume: &str, cx: &'c Context) -> Result<Self> {
        Far::of(volume, cx).map(Self::There)
    }

    /// What lies aside in it.
    pub(super) fn look(&self) -> Result<Look> {
        match self {
            Self::Here(live) => inside::look(live.shown()),
            Self::There(far) => far.look(),
        }
    }

    /// The fingerprint of the volume, with its entries and the bytes of its files. Contents are not read.
    pub(super) fn portrait(&self, precision: Precision, cx: &Context) -> Result<(Fingerprint, (u64, u64))> {
        match self {
            Self::Here(live) => walk::portrait(live, precision, cx),
            Self::There(far) => far.portrait(precision),
        }
    }

    /// In which parts the volume differs from a copy; what times do not tell is read.
    pub(super) fn differences(
        &self,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        cx: &Context,
    ) -> Result<Differences> {
        let told = (details.packed.begun, details.precision);
        match self {
            Self::Here(live) => {
                let spoiled = |error| ResourceError::because("could not read the index of the copy", error);
                let index = chunks::packed_index(artifact, slot).map_err(spoiled)?;
                chunks::differences(live, (details.form, index), told, cx)
            }
            Self::There(far) => far.differences((artifact, slot), details.form, told),
        }
    }

    /// Copies the volume, whose files have about `expected` bytes, into the slot. `force`: nothing is taken for unchanged.
    pub(super) fn copy(
        &self,
        form: Form,
        slot: &Slot,
        level: i32,
        (force, expected): (bool, Option<u64>),
        cx: &Context,
    ) -> Result<(Copied, Packed)> {
        match (self, form) {
            (Self::Here(live), Form::Chunks) => chunks::copy_directory(live, slot, level, force, expected, cx),
            (Self::Here(live), Form::Archive) => {
                let begun = cx.clock.now().timestamp();
                capture::copy_directory(live, slot, level, expected, cx).map(|copied| (copied, Packed::begun(begun)))
            }
            (Self::There(far), _) => far.copy(form, slot, level, (force, expected)),
        }
    }

    /// Stages an archive aside, whole, under this name.
    pub(super) fn stage(
        &self,
        name: &str,
        artifact: &Artifact,
        slot: &Slot,
        details: &Details,
        cx: &Context,
    ) -> Result<()> {
        match self {
            Self::Here(live) => unpack::stage(artifact, slot, details, &Aside::new(live.shown(), name), cx),
            Self::There(far) => {
                let staged = far.stage(name, artifact, slot, details);
                if staged.is_err() {
                    // The first failure is the one to tell; what is there is not sealed, and the next attempt removes it.
                    let _later = self.remove(name);
                }
                staged
            }
        }
    }

    /// Stages what differs from a copy in chunks, where there is `room` for it.
    pub(super) fn stage_changed(
        &self,
        name: &str,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        room: &dyn Fn(u64) -> Result<()>,
        cx: &Context,
    ) -> Result<Extent> {
        match self {
            Self::Here(live) => {
                let mut backup = Backup::of(artifact, slot, details.packed.begun)?;
                chunks::prepare(&mut backup, (live.shown(), name), room, cx)
            }
            Self::There(far) => far.patch(Wish::Stage, name, (artifact, slot), details),
        }
    }

    /// Looks once more what differs from a copy in chunks, and exchanges it with what was staged.
    pub(super) fn swap_changed(
        &self,
        name: &str,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        cx: &Context,
    ) -> Result<()> {
        match self {
            Self::Here(live) => {
                let mut backup = Backup::of(artifact, slot, details.packed.begun)?;
                chunks::swap_in(&mut backup, live.shown(), name, cx)
            }
            Self::There(far) => far.patch(Wish::Swap, name, (artifact, slot), details).map(drop),
        }
    }

    /// Makes this side of single entries live.
    pub(super) fn swap_back_changed(&self, name: &str, to: Side) -> Result<()> {
        match self {
            Self::Here(live) => chunks::swap_back(live.shown(), name, to),
            Self::There(far) => far.act(&["patch-back", name, to.word()]),
        }
    }

    /// Makes this side of what lies aside live.
    pub(super) fn swap(&self, name: &str, to: Side) -> Result<()> {
        match self {
            Self::Here(live) => Aside::new(live.shown(), name).swap(to),
            Self::There(far) => far.act(&["swap", name, to.word()]),
        }
    }

    /// Removes what lies aside.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Here(live) => Aside::new(live.shown(), name).remove(),
            Self::There(far) => far.act(&["remove", name]),
        }
    }

    /// Bytes that what lies aside takes; `None` where only the engine sees it.
    pub(super) fn weigh(&self, name: &str) -> Result<Option<u64>> {
        match self {
            Self::Here(live) => Ok(Some(disk::weight(&Aside::new(live.shown(), name).entries())?)),
            Self::There(..) => Ok(None),
        }
    }

    /// Where displaced entries lie, for people.
    pub(super) fn shown(&self, name: &str) -> String {
        match self {
            Self::Here(live) => format!("directory {}", Aside::new(live.shown(), name).entries().display()),
            Self::There(far) => {
                let entries = Aside::new(Path::new(""), name).entries();
                format!("directory {} in the volume {}", entries.display(), far.volume)
            }
        }
    }
}
