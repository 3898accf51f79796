//! Stages a copy of a volume where the live one differs from it.

use serde_json::Value;

use super::chunks::Form;
use super::hand::Hand;
use super::inside::Look;
use super::place::Place;
use super::record::{Details, Spot};
use super::swap::{Seen, Side};
use super::{Volume, aside, survey, unpack};
use crate::model::artifact::{Artifact, Prepared, Work};
use crate::model::policy::DataRestore;
use crate::model::text;
use crate::resources::{Result, Slot};
use crate::system::context::Context;

impl Volume {
    /// Stages a copy where the volume differs from it.
    pub(super) fn stage(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let details = self.told(artifact)?;
        let place = self.find(cx)?;
        let prepared = |work, details, price| Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        };
        let differences = Self::differences(&place, (artifact, slot), &details, cx)?;
        let parts: Vec<String> = differences.parts.into_iter().chain(differences.times).collect();
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
        if details.form == Form::Chunks {
            return self.prepare_chunks(parts, (artifact, slot), &details, &place, (&hand, &look), cx);
        }
        survey::room(&place.shown, look.free, details.content_bytes)?;
        let copy = &unpack::listed(artifact)?.sha256;
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

    /// Stages what differs from a copy in chunks.
    fn prepare_chunks(
        &self,
        parts: Vec<String>,
        (artifact, slot): (&Artifact, &Slot),
        details: &Details,
        place: &Place,
        (hand, look): (&Hand<'_>, &Look),
        cx: &Context,
    ) -> Result<Prepared> {
        let mut serial = 1;
        // A state that was live must not be staged over: a further restore in the same run takes a further directory.
        while look
            .asides
            .get(&aside::name(&cx.token(), serial))
            .is_some_and(Seen::is_used)
        {
            serial += 1;
        }
        let aside = aside::name(&cx.token(), serial);
        let room = |bytes| survey::room(&place.shown, look.free, bytes);
        let extent = hand.stage_changed(&aside, (artifact, slot), details, &room, cx)?;
        let staged = Spot {
            form: Form::Chunks,
            ..Spot::at(hand, aside, Side::After)
        };
        Ok(Prepared {
            resource: self.name.clone(),
            work: Work::Changed(parts),
            details: staged.value()?,
            price: vec![format!(
                "{} of {} entries are put back, and {} put aside; the others stay as they are",
                text::count(extent.fetched),
                text::count(details.entries),
                text::count(extent.surplus)
            )],
        })
    }
}
