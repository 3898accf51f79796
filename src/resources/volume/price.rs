//! What going back costs in files: told before it, and once more when nobody writes any more.

use chrono::DateTime;

use super::access::Access;
use super::home::Record;
use super::source::Volume;
use super::spot::Spot;
use crate::error::Result;
use crate::slot::Slot;
use crate::trees::chunks::form::Form;
use crate::trees::details::details;
use crate::trees::exchange::Patch;
use crate::trees::toll::Toll;
use guard_model::artifact::{Artifact, Displaced, Prepared};
use guard_model::policy::DataRestore;
use guard_system::context::Context;

/// Of a tree with more entries than that what it costs is not told a second time: production is down then.
const MOST: u64 = 100_000;

impl Volume {
    /// What going back to this copy costs under this policy, each a sentence.
    pub(super) fn cost(&self, copy: (&Artifact, &Slot), data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let told = self.told(copy.0)?;
        let (place, lack) = self.meant(&told, cx)?;
        if lack.is_some() {
            return Ok(vec![format!("the {} is made anew from the backup", place.shown)]);
        }
        let found = self.differences(&place, copy, &told, cx)?;
        Self::told_price(&found.toll, copy.0, data, cx)
    }

    /// The same for what was found to differ.
    pub(super) fn told_price(toll: &Toll, artifact: &Artifact, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let begun = Some(details(artifact)?.packed.begun).filter(|begun| *begun > 0);
        let begun = begun.and_then(|begun| DateTime::from_timestamp(begun, 0));
        let since = begun.map(|begun| {
            let is_today = begun.date_naive() == cx.clock.now().date_naive();
            let form = if is_today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            begun.format(form).to_string()
        });
        let mut price = toll.price("file", since.as_deref(), data);
        let run = cx.run.as_ref().map_or_else(|| "latest".to_owned(), ToString::to_string);
        price.extend(toll.remedy(&run, data));
        Ok(price)
    }

    /// The price of what was prepared, told anew; `None` where it stands.
    pub(super) fn cost_now(
        &self,
        prepared: &Prepared,
        copy: (&Artifact, &Slot),
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        let told = self.told(copy.0)?;
        let spot = Spot::of(&prepared.details)?;
        // What was begun to be exchanged is half the one and half the other.
        let is_begun = spot.is_staged() && Record::of(&self.name, cx)?.is_begun(&spot.home());
        if told.entries > MOST || spot.anew.is_some() || spot.remade.is_some() || is_begun {
            return Ok(None);
        }
        let (place, _) = self.meant(&told, cx)?;
        let found = self.differences(&place, copy, &told, cx)?;
        let head = prepared.price.first().filter(|_| spot.form == Form::Chunks).cloned();
        let price: Vec<String> = head
            .into_iter()
            .chain(Self::told_price(&found.toll, copy.0, DataRestore::Always, cx)?)
            .collect();
        Ok(Some(price).filter(|price| !price.is_empty()))
    }

    /// What swapping back what a restore displaced costs: files that were written since. Not told where only the engine sees it.
    pub(super) fn undo_cost(displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        if displaced.details.is_null() {
            return Ok(Vec::new());
        }
        let spot = Spot::of(&displaced.details)?;
        if spot.remade.is_some() {
            return Ok(Vec::new());
        }
        let Access::Here(live) = spot.access(cx)? else {
            return Ok(Vec::new());
        };
        let Some(aside) = spot.home().open(&live)? else {
            return Ok(Vec::new());
        };
        let toll = Toll {
            came: Patch::new(&aside).written_since(cx)?,
            ..Toll::default()
        };
        Ok(toll.undo_price("file"))
    }
}
