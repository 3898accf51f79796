//! Volumes and directories: copied as one archive, staged inside the live tree, and exchanged entry by entry.

mod adopt;
pub(super) mod archive;
mod aside;
mod build;
mod capture;
pub(super) mod chunks;
mod halt;
mod hand;
mod inside;
pub(super) mod node;
mod place;
pub(super) mod record;
mod stage;
pub(super) mod stream;
mod survey;
mod swap;
mod unpack;
mod walk;
mod work;

use std::sync::OnceLock;

use serde_json::Value;

pub use build::KIND;
pub use inside::inside;

use self::chunks::Form;
use self::halt::Mode;
use self::hand::Hand;
use self::node::Precision;
use self::place::Target;
use self::record::{Spot, details};
use self::swap::{Seen, Side};
use super::{Resource, ResourceError, Result, Slot, Survey};
use crate::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use crate::model::fingerprint::Fingerprint;
use crate::model::foreign::{Material, Part};
use crate::model::name::ResourceName;
use crate::model::policy::DataRestore;
use crate::system::context::Context;

/// A Docker volume, or a directory.
pub(super) struct Volume {
    name: ResourceName,
    target: Target,
    mode: Mode,
    /// zstd's level.
    level: i32,
    /// The form of a copy; `None`: by its size.
    form: Option<Form>,
    /// Reads also what cannot have changed.
    force_read: bool,
    /// Reaches the volume as if the engine were on another host.
    through_engine: bool,
    project: Option<String>,
    /// What containers mount, once it was found.
    found: OnceLock<String>,
    /// What its files came to when they were last counted.
    bytes: OnceLock<u64>,
}

impl Resource for Volume {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let place = self.find(cx)?;
        let precision = if place.directory().is_some() {
            Precision::Nanoseconds
        } else {
            Precision::Seconds
        };
        Self::portrait(&place, precision, cx)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let place = self.find(cx)?;
        if let Some(database) = self.live_database(&place, cx)? {
            return Err(survey::refused_database(&place, &database));
        }
        let (form, packed, copied) = self.copy(&place, slot, cx)?;
        let precision = if place.directory().is_some() {
            Precision::Nanoseconds
        } else {
            Precision::Seconds
        };
        self.artifact(&place, precision, (form, packed), copied)
    }

    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let Part::Archive { path } = &material.part else {
            return Err(ResourceError::new(format!("{} takes only an archive", self.name)));
        };
        let place = self.find(cx)?;
        let Some(live) = place.directory() else {
            return Err(survey::refused_adoption(&place));
        };
        let copied = adopt::copy(path, live, slot, self.level, cx)?;
        self.artifact(&place, Precision::Seconds, Default::default(), copied)
    }

    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        let details = details(artifact)?;
        match details.form {
            Form::Archive => unpack::prove(artifact, slot, &details),
            Form::Chunks => chunks::prove(artifact, slot, details.entries, cx),
        }
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let details = details(artifact)?;
        let place = self.find(cx)?;
        let prepared = |work, details, price| Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        };
        let parts = Self::differences(&place, artifact, &details, cx)?;
        if parts.is_empty() {
            return Ok(prepared(Work::Unchanged, Value::Null, Vec::new()));
        }
        if data == DataRestore::Never {
            return Ok(prepared(
                Work::Left("the policy leaves data as it is".to_owned()),
                Value::Null,
                Vec::new(),
            ));
        }
        let hand = Hand::of(&place, cx)?;
        let look = hand.look()?;
        // Single entries are exchanged where the tree is seen; a volume behind an engine is put back whole.
        if let (Form::Chunks, Some(live)) = (details.form, place.directory()) {
            return self.prepare_chunks(parts, (artifact, slot), &details, (live, &place), (&hand, &look), cx);
        }
        survey::room(&place, look.free, details.content_bytes)?;
        let copy = hand::mark(artifact, &details)?;
        let (mut serial, mut name) = (1, aside::name(&cx.token(), 1));
        // A state that was live must not be staged over: a further restore in the same run takes a further directory.
        while look
            .asides
            .get(&name)
            .is_some_and(|seen| !seen.holds(copy) && seen.is_used())
        {
            serial += 1;
            name = aside::name(&cx.token(), serial);
        }
        if !look.asides.get(&name).is_some_and(|seen| seen.holds(copy)) {
            hand.stage(&name, artifact, slot, &details, cx)?;
        }
        let staged = Spot::at(&hand, name, Side::After);
        let price = vec![format!(
            "what was written to the {} since the backup is put aside",
            place.shown
        )];
        Ok(prepared(Work::Changed(parts), staged.value()?, price))
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(Displaced {
                resource: self.name.clone(),
                details: Value::Null,
                kept_as: Vec::new(),
            });
        }
        self.swap(&Spot::of(&prepared.details)?, Some((artifact, slot)), cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let details = details(artifact)?;
        let live = self
            .find(cx)
            .and_then(|place| Self::differences(&place, artifact, &details, cx));
        Ok(match live {
            Ok(parts) if parts.is_empty() => Live::Matches,
            Ok(parts) => Live::Differs(parts),
            Err(error) => Live::Unknown(error.to_string()),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        self.swap(&Spot::of(&displaced.details)?, None, cx)
    }

    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        let spot = Spot::of(&displaced.details)?;
        // Behind the engine it would take a container to look.
        if spot.volume.is_some() {
            return Ok(None);
        }
        spot.hand(cx)?.weigh(&spot.aside)
    }

    fn settle(&self, cx: &Context) -> Result<()> {
        halt::wake_left(cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        let spot = Spot::of(&displaced.details)?;
        spot.hand(cx)?.remove(&spot.aside)
    }

    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        if prepared.details.is_null() {
            return Ok(());
        }
        let spot = Spot::of(&prepared.details)?;
        let hand = spot.hand(cx)?;
        let look = hand.look()?;
        if look.asides.get(&spot.aside).is_some_and(Seen::is_used) {
            Ok(())
        } else {
            hand.remove(&spot.aside)
        }
    }

    fn occupies(&self) -> Vec<String> {
        if let Some(found) = self.found.get() {
            return vec![found.clone()];
        }
        match &self.target {
            Target::Path(path) => vec![path.to_string_lossy().into_owned()],
            Target::Volume(key) => {
                let full = self.project.as_ref().map(|project| format!("{project}_{key}"));
                full.into_iter().chain([key.clone()]).collect()
            }
        }
    }
}
