//! Objects in S3-compatible storage: copied and put back through the server, for servers whose files must not be touched.

mod bucket;
mod build;
mod capture;
mod keeping;
mod reach;
mod record;
mod stage;
mod swap;

use serde_json::Value;

pub(super) use self::build::KIND;

use self::bucket::{NOUN, Objects};
use self::reach::refused;
use self::record::{ASIDE, PutBack, Side, Spot, details};
use crate::abilities::{
    Abilities, Account, Comparison, CopyProof, FileSalvage, Leftovers, Location, Mark, Moments, Price, ServiceNeeds,
};
use crate::contract::Resource;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::trees::toll::salvaged;
use crate::trees::{chunks, copied};
use crate::wanted::Wanted;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_model::text;
use guard_system::context::Context;
use guard_system::s3::{Address, Beside, Bucket, Object};

/// The largest object that a storage copies in one request.
const LARGEST: u64 = 5 * 1024 * 1024 * 1024;

/// How many objects are asked for what stands beside them.
const LOOKED_AT: usize = 5;

impl Drop for Objects {
    fn drop(&mut self) {
        reach::end(&mut self.runtime);
    }
}

impl Objects {
    /// Where this run stages a copy.
    fn aside(&self, artifact: &Artifact, cx: &Context) -> Result<String> {
        let mark = copied::mark(artifact)?;
        let mark = mark.get(..8).unwrap_or(mark);
        Ok(format!("{}{ASIDE}{}-{mark}/", self.address.prefix, cx.token()))
    }

    fn now(&self, bucket: &Bucket, cx: &Context) -> Result<Fingerprint> {
        Ok(self.portrait(&self.live(bucket)?, &PutBack::read(&self.name, cx)?))
    }

    /// Does what a way back does, with an object of guard's own; and looks for uploads that broke off.
    fn tried(&self, bucket: &Bucket, survey: &mut Survey, cx: &Context) -> Result<()> {
        let now = cx.clock.now();
        let name = format!("{}-{}", std::process::id(), now.format("%Y%m%dT%H%M%S%f"));
        let key = |end: &str| format!("{}{ASIDE}check-{name}/{end}", self.address.prefix);
        let (one, other) = (key("put"), key("copied"));
        let text = name.clone();
        let done = (|| {
            bucket.put(&one, text.as_bytes())?;
            bucket.copy_object(&one, text.len() as u64, &other)?;
            bucket.get(&other)
        })();
        // Removed whatever came of it; a removal that is refused is told.
        let removed = bucket.remove_object(&one).and(bucket.remove_object(&other));
        if done.map_err(refused)?.as_deref() != Some(text.as_bytes()) {
            return Err(ResourceError::new(
                "the storage gives back other bytes than were put there",
            ));
        }
        removed.map_err(refused)?;
        let mut unended = bucket
            .unended(&self.address.prefix)
            .map_err(refused)?
            .unwrap_or_default();
        // What somebody uploads just now is nobody's leaving.
        let is_old = |begun: &str| {
            let begun = chrono::DateTime::parse_from_rfc3339(begun);
            begun.is_ok_and(|begun| now.signed_duration_since(begun) > chrono::TimeDelta::days(1))
        };
        unended.retain(|upload| upload.begun.as_deref().is_none_or(is_old));
        if let Some(first) = unended.first() {
            survey.warn(
                format!(
                    "{} in parts were begun and never ended, that of {} first; what they hold is paid for, and no listing of objects shows it",
                    text::plural(unended.len() as u64, "upload"),
                    capture::shown(&first.key)
                ),
                "where nobody uploads just now, end them with your own tools, or by a rule of the bucket that ends them after some days; guard ends its own",
            );
        }
        Ok(())
    }

    fn nothing(&self) -> Displaced {
        Displaced {
            resource: self.name.clone(),
            details: Value::Null,
            kept_as: Vec::new(),
        }
    }

    fn displaced(&self, spot: &Spot, carried: Option<CarriedOver>) -> Result<Displaced> {
        let back = Spot {
            aside: spot.aside.clone(),
            to: spot.to.other(),
            carried,
            put_aside: spot.put_aside.clone().filter(|_| spot.to == Side::After),
        };
        Ok(Displaced {
            resource: self.name.clone(),
            details: back.value()?,
            kept_as: vec![format!("objects below {}", self.aside_shown(&spot.aside))],
        })
    }
}

/// Names what stands beside objects and would not come back, by some that are spread over all.
fn ask_beside(bucket: &Bucket, objects: &[Object], survey: &mut Survey) {
    if bucket.keeps_versions() {
        survey.fact(
            "the bucket keeps earlier versions: a way back adds to them and removes none, and no copy holds them",
        );
    }
    let step = objects.len().div_ceil(LOOKED_AT).max(1);
    let chosen: Vec<&Object> = objects.iter().step_by(step).collect();
    let beside = chosen.iter().map(|object| (*object, bucket.beside(&object.key)));
    let beside: Vec<_> = beside.collect();
    for (count, what, again) in [
        (
            beside.iter().filter(|(_, beside)| beside.tags > 0).count(),
            "tags",
            "tags",
        ),
        (
            beside.iter().filter(|(_, beside)| beside.grants > 0).count(),
            "access rules of their own",
            "rules",
        ),
    ] {
        let has = |beside: &Beside| {
            if what == "tags" {
                beside.tags > 0
            } else {
                beside.grants > 0
            }
        };
        let Some((first, _)) = beside.iter().find(|(_, beside)| has(beside)) else {
            continue;
        };
        survey.warn(
            format!(
                "{count} of {} that were looked at have {what}, as {} has: no copy holds them, and what is put back has none",
                text::plural(chosen.len() as u64, "object"),
                capture::shown(&first.key)
            ),
            format!("set the {again} again after a rollback, by a rule of the bucket, or copy the server's volume instead"),
        );
    }
}

impl Resource for Objects {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            proof: Some(self),
            moments: Some(self),
            account: Some(self),
            comparison: Some(self),
            leftovers: Some(self),
            price: Some(self),
            files: Some(self),
            location: Some(self),
            services: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        let listed = self.bucket(cx).and_then(|bucket| self.live(&bucket));
        let objects = match listed {
            Ok(objects) => objects,
            Err(error) => {
                let advice =
                    "see that `endpoint` is reached from this host, and that the credentials may list, read and write";
                survey.refuse(
                    cx.redaction.clean(&text::chain(&error)),
                    error.hint.unwrap_or(advice.to_owned()),
                );
                return survey;
            }
        };
        let bytes = objects.iter().map(|object| object.size).sum();
        survey.fact(format!(
            "{}: {}, {}",
            self.shown(),
            text::plural(objects.len() as u64, "object"),
            text::bytes(bytes)
        ));
        survey.copy_bytes = Some(bytes);
        if !objects.is_empty() {
            survey.fact("not kept: earlier versions, tags, access rules and times of objects");
        }
        if let Ok(bucket) = self.bucket(cx) {
            ask_beside(&bucket, &objects, &mut survey);
        }
        if let Err(error) = self.bucket(cx).and_then(|bucket| self.tried(&bucket, &mut survey, cx)) {
            survey.refuse(
                cx.redaction.clean(&text::chain(&error)),
                "a way back lists, reads, writes, copies and removes objects below the prefix, those of guard's own below `.guard-…`: let the credentials do that",
            );
        }
        if let Some(object) = objects.iter().find(|object| object.size > LARGEST) {
            survey.refuse(
                format!(
                    "{} is over 5 GB, which no storage copies in one request",
                    capture::shown(&object.key)
                ),
                "leave it out by a prefix of its own, or copy the server's volume instead",
            );
        }
        survey
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        self.now(&self.bucket(cx)?, cx)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        self.copied(slot, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let prepared = |work, details, price| Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        };
        let bucket = self.bucket(cx)?;
        let parts = self.now(&bucket, cx)?.differences(&artifact.fingerprint);
        if parts.is_empty() {
            return Ok(prepared(Work::Unchanged, Value::Null, Vec::new()));
        }
        if data == DataRestore::Never {
            let left = Work::Left("the policy leaves data as it is".to_owned());
            let price = self.outlook(artifact, slot, data, cx)?;
            return Ok(prepared(left, Value::Null, price));
        }
        let aside = self.aside(artifact, cx)?;
        let keep = self.keep(cx)?;
        let difference = self.stage(&bucket, (artifact, slot), &aside, &keep, cx)?;
        let kept = difference.toll.price(NOUN, None, data);
        if difference.fetched.is_empty() && difference.surplus.is_empty() {
            // Only the storage's marks differ, and content says more than a mark; or all that came stays.
            return Ok(prepared(Work::Unchanged, Value::Null, kept));
        }
        let mut price = Vec::new();
        for (count, what, keys) in [
            (
                difference.fetched.len(),
                "put back",
                stage::some(difference.fetched.iter().cloned()),
            ),
            (
                difference.surplus.len(),
                "put aside",
                stage::some(difference.surplus.iter().cloned()),
            ),
        ] {
            if count > 0 {
                price.push(format!("{} {what}: {keys}", text::plural(count as u64, "object")));
            }
        }
        price.extend(kept);
        let run = cx.run.as_ref().map_or_else(|| "latest".to_owned(), ToString::to_string);
        price.extend(difference.toll.remedy(&run, data));
        let place = Spot {
            aside,
            to: Side::After,
            carried: None,
            put_aside: difference.toll.put_aside(NOUN),
        };
        Ok(prepared(Work::Changed(parts), place.value()?, price))
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(self.nothing());
        }
        let place = Spot::of(&prepared.details)?;
        let bucket = self.bucket(cx)?;
        let keep = self.keep(cx)?;
        if !Self::is_used(&bucket, &place.aside)? {
            // Once more, now that nobody writes: what came to differ since is staged as well.
            let found = self.stage(&bucket, (artifact, slot), &place.aside, &keep, &cx.unstoppable())?;
            Self::plan(&bucket, &place.aside, &found)?;
        }
        self.swap(&bucket, &place)?;
        self.note_marks(&bucket, &place.aside, (artifact, slot), cx)?;
        let carried = self.kept(&bucket, (artifact, slot), &keep, cx)?;
        self.displaced(&place, carried)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        details(artifact)?;
        let now = self.bucket(cx).and_then(|bucket| self.now(&bucket, cx));
        Ok(match now.map(|now| now.differences(&artifact.fingerprint)) {
            Ok(parts) if parts.is_empty() => Live::Matches,
            Ok(parts) => Live::Differs(parts),
            Err(error) => Live::Unknown(cx.redaction.clean(&text::chain(&error))),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        let spot = Spot::of(&displaced.details)?;
        self.swap(&self.bucket(cx)?, &spot)?;
        self.displaced(&spot, None)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        self.remove(&self.bucket(cx)?, &Spot::of(&displaced.details)?.aside)
    }
}

impl CopyProof for Objects {
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        chunks::prove(artifact, slot, details(artifact)?.saved.entries, cx)
    }
}

impl Moments for Objects {
    fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        self.note(mark, cx)
    }
}

impl Account for Objects {
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        Spot::of(&displaced.details).ok()?.carried
    }
}

impl Comparison for Objects {
    fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live> {
        if !self.carry_over.is_wanted() {
            return self.check(artifact, cx);
        }
        let found = self
            .bucket(cx)
            .and_then(|bucket| self.looked_at(&bucket, (artifact, slot), &self.keep(cx)?, cx));
        Ok(match found {
            Ok(found) => {
                let differs = found.fetched.union(&found.surplus).take(100);
                let differs: Vec<String> = differs.map(|key| format!("object {}", capture::shown(key))).collect();
                if differs.is_empty() {
                    Live::Matches
                } else {
                    Live::Differs(differs)
                }
            }
            Err(error) => Live::Unknown(cx.redaction.clean(&text::chain(&error))),
        })
    }

    fn keeps_new(&self) -> bool {
        self.carry_over.is_wanted()
    }
}

impl Leftovers for Objects {
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        if prepared.details.is_null() {
            return Ok(());
        }
        let (spot, bucket) = (Spot::of(&prepared.details)?, self.bucket(cx)?);
        if Self::is_used(&bucket, &spot.aside)? {
            return Ok(());
        }
        self.remove(&bucket, &spot.aside)
    }
}

impl Price for Objects {
    fn outlook(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let found = self.looked_at(&self.bucket(cx)?, (artifact, slot), &self.keep(cx)?, cx)?;
        let mut price = found.toll.price(NOUN, None, data);
        price.extend(found.toll.remedy("latest", data));
        Ok(price)
    }

    fn reprice(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        let (place, bucket) = (Spot::of(&prepared.details)?, self.bucket(cx)?);
        // What was begun to be exchanged is half the one and half the other.
        if Self::is_used(&bucket, &place.aside)? {
            return Ok(None);
        }
        let found = self.looked_at(&bucket, (artifact, slot), &self.keep(cx)?, cx)?;
        let mut price = found.toll.price(NOUN, None, DataRestore::Always);
        let run = cx.run.as_ref().map_or_else(|| "latest".to_owned(), ToString::to_string);
        price.extend(found.toll.remedy(&run, DataRestore::Always));
        Ok(Some(price).filter(|price| !price.is_empty()))
    }
}

impl FileSalvage for Objects {
    fn salvage_files(
        &self,
        displaced: &Displaced,
        patterns: &[String],
        command: &str,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let (spot, wanted) = (Spot::of(&displaced.details)?, Wanted::of(patterns)?);
        let (aside, other, given) = self.give_back(&self.bucket(cx)?, &spot, &wanted)?;
        Ok(salvaged((&aside, &other, &given), NOUN, command))
    }
}

impl Location for Objects {
    fn identity(&self, _: &Context) -> Vec<String> {
        let Address {
            bucket,
            prefix,
            endpoint,
            ..
        } = &self.address;
        vec![format!("objects {bucket}/{prefix} at {endpoint}")]
    }
}

impl ServiceNeeds for Objects {
    fn needs_running(&self) -> Vec<String> {
        self.service.iter().cloned().collect()
    }

    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        if prepared.work.is_needed() {
            self.writers.clone()
        } else {
            Vec::new()
        }
    }
}
