//! Exchanges objects with what lies aside in the same bucket, so that a cut leaves nothing that a repeat does not finish.
//!
//! Before the first object moves, it is written down in the bucket which objects are exchanged, and by which mark each was
//! live. One that is live by that mark still has not been exchanged; it is copied aside before anything takes its place.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::bucket::Objects;
use super::reach::refused;
use super::record::{PutBack, Side, Spot};
use super::stage::Difference;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::toll::Group;
use crate::wanted::Wanted;
use guard_model::artifact::Artifact;
use guard_system::context::Context;
use guard_system::s3::{Bucket, Object};

/// The record's name below the prefix aside.
const PLAN: &str = "plan.json";

/// What is written down in the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    /// The side that is live, or is becoming so.
    to: Side,
    /// Whether it is wholly so.
    done: bool,
    items: Vec<Item>,
}

/// An object that is exchanged.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    /// Below the prefix.
    key: String,
    /// Whether each side has it.
    before: bool,
    after: bool,
    /// What was live when the exchange began.
    live: Option<Object>,
}

impl Item {
    fn has(&self, side: Side) -> bool {
        match side {
            Side::Before => self.before,
            Side::After => self.after,
        }
    }
}

fn read(bucket: &Bucket, aside: &str) -> Result<Option<Plan>> {
    let Some(text) = bucket.get(&format!("{aside}{PLAN}")).map_err(refused)? else {
        return Ok(None);
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| ResourceError::because(format!("could not understand {aside}{PLAN}"), error))
}

fn write(bucket: &Bucket, aside: &str, plan: &Plan) -> Result<()> {
    let text = serde_json::to_vec(plan)
        .map_err(|error| ResourceError::because("could not write down an exchange of objects", error))?;
    let written = bucket.put(&format!("{aside}{PLAN}"), &text);
    written.map_err(refused)
}

/// Does something for all items, some side by side, and returns what came of each, in their order; the first failure is told,
/// and the rest is not begun.
fn each<I: Sync, T: Send>(bucket: &Bucket, items: &[I], act: impl AsyncFn(&I) -> Result<T> + Sync) -> Result<Vec<T>> {
    let lost = || Err(ResourceError::new("a bug in guard: exchanging an object panicked"));
    bucket.side_by_side(&async |item: &I| act(item).await, &lost, |giver| {
        let mut done = Vec::new();
        for item in items {
            while !giver.may_give(0) {
                done.push(giver.take()?);
            }
            giver.give(item, 0);
        }
        while giver.is_on_the_way() {
            done.push(giver.take()?);
        }
        Ok(done)
    })
}

impl Objects {
    /// Whether a state that was live once may lie there.
    pub(super) fn is_used(bucket: &Bucket, aside: &str) -> Result<bool> {
        Ok(read(bucket, aside)?.is_some())
    }

    /// Writes down what is to be exchanged, where nothing is yet.
    pub(super) fn plan(bucket: &Bucket, aside: &str, difference: &Difference) -> Result<()> {
        let item = |key: &String, after| Item {
            key: key.clone(),
            before: false,
            after,
            live: None,
        };
        let fetched = difference.fetched.iter().map(|key| item(key, true));
        let surplus = difference.surplus.iter().map(|key| item(key, false));
        let plan = Plan {
            to: Side::Before,
            done: true,
            items: fetched.chain(surplus).collect(),
        };
        write(bucket, aside, &plan)
    }

    /// Makes this side live, and keeps what was. Safe to repeat; an exchange that was cut off is finished.
    ///
    /// # Errors
    /// What is needed is not there any more, or the storage refuses; a repeat goes on.
    pub(super) fn swap(&self, bucket: &Bucket, spot: &Spot) -> Result<()> {
        let missing = || ResourceError::new(format!("{} is not there any more", self.aside_shown(&spot.aside)));
        let mut plan = read(bucket, &spot.aside)?.ok_or_else(missing)?;
        if !plan.done {
            self.exchange(bucket, &spot.aside, &mut plan, false)?;
        }
        if plan.to == spot.to {
            return Ok(());
        }
        let live = self.live(bucket)?;
        for item in &mut plan.items {
            let key = format!("{}{}", self.address.prefix, item.key);
            let found = live.binary_search_by(|object| object.key.cmp(&key)).ok();
            item.live = found.and_then(|at| live.get(at)).cloned();
            match spot.to.other() {
                Side::Before => item.before = item.live.is_some(),
                Side::After => item.after = item.live.is_some(),
            }
        }
        (plan.to, plan.done) = (spot.to, false);
        write(bucket, &spot.aside, &plan)?;
        self.exchange(bucket, &spot.aside, &mut plan, true)
    }

    /// Copies aside what is live, all of it, and then puts the other side in its place. `is_fresh`: what was live has just been
    /// listed, so that nothing can be exchanged yet; else each is asked whether it still is what it was.
    fn exchange(&self, bucket: &Bucket, aside: &str, plan: &mut Plan, is_fresh: bool) -> Result<()> {
        let (to, other) = (plan.to, plan.to.other());
        let requests = bucket.requests();
        let live_key = |item: &Item| format!("{}{}", self.address.prefix, item.key);
        let lies = |side: Side, item: &Item| format!("{aside}{}/{}", side.word(), item.key);
        let there = Self::staged(bucket, &format!("{aside}{}/", to.word()))?;
        if let Some(item) = plan
            .items
            .iter()
            .find(|item| item.has(to) && !there.contains_key(&item.key))
        {
            return Err(ResourceError::new(format!("{} is not there any more", lies(to, item))));
        }
        let kept = each(bucket, &plan.items, async |item| {
            let key = live_key(item);
            let Some(live) = &item.live else {
                let removed = requests.remove_object(&lies(other, item)).await;
                return removed.map(|()| false).map_err(refused);
            };
            if !is_fresh && requests.look(&key).await.map_err(refused)?.as_ref() != Some(live) {
                return Ok(false);
            }
            let copied = requests.copy_object(&key, live.size, &lies(other, item)).await;
            copied.map(|()| true).map_err(refused)
        })?;
        // Before anything takes its place.
        let now_aside = Self::staged(bucket, &format!("{aside}{}/", other.word()))?;
        for (item, _) in plan.items.iter().zip(kept).filter(|(_, is_kept)| *is_kept) {
            if now_aside.get(&item.key) != item.live.as_ref().map(|live| &live.size) {
                let key = live_key(item);
                return Err(ResourceError::new(format!("the storage did not keep {key} aside")));
            }
        }
        each(bucket, &plan.items, async |item| {
            let key = live_key(item);
            let done = match there.get(&item.key).filter(|_| item.has(to)) {
                Some(size) => requests.copy_object(&lies(to, item), *size, &key).await,
                None if item.live.is_some() => requests.remove_object(&key).await,
                None => Ok(()),
            };
            done.map_err(refused)
        })?;
        plan.done = true;
        write(bucket, aside, plan)
    }

    /// Notes the marks that the objects got which were put back from below this prefix.
    pub(super) fn note_marks(
        &self,
        bucket: &Bucket,
        aside: &str,
        (artifact, slot): (&Artifact, &Slot),
        cx: &Context,
    ) -> Result<()> {
        let plan = read(bucket, aside)?;
        let items = plan.iter().flat_map(|plan| &plan.items);
        let fetched: BTreeSet<&str> = items.filter(|item| item.after).map(|item| item.key.as_str()).collect();
        let meant = Self::marks(artifact, slot)?;
        let mut put_back = PutBack::read(&self.name, cx)?;
        for object in self.live(bucket)? {
            let key = self.short(&object.key);
            if let Some((size, mark)) = meant.get(key).filter(|_| fetched.contains(key))
                && *size == object.size
                && *mark != object.etag
            {
                put_back.note(key, &object.etag, mark);
            }
        }
        put_back.write(&self.name, cx)
    }

    /// Gives objects back that were put aside and are `wanted`, where no other has their key. Returns those that stay aside,
    /// those whose key another has, and those that were given back.
    ///
    /// # Errors
    /// It is not there any more, or the storage refuses.
    pub(super) fn give_back(&self, bucket: &Bucket, spot: &Spot, wanted: &Wanted) -> Result<(Group, Group, Group)> {
        let (mut aside, mut other, mut given) = (Group::default(), Group::default(), Group::default());
        let missing = || ResourceError::new(format!("{} is not there any more", self.aside_shown(&spot.aside)));
        let plan = read(bucket, &spot.aside)?.ok_or_else(missing)?;
        // After an undo the copy lies there, which the backup has too.
        if plan.to != Side::After || !plan.done {
            return Ok((aside, other, given));
        }
        let place = format!("{}{}/", spot.aside, Side::Before.word());
        let live = self.live(bucket)?;
        let kept = bucket.list(&place).map_err(refused)?;
        let mut wanted_back: Vec<(&Object, &str)> = Vec::new();
        for object in &kept {
            let Some(short) = object.key.strip_prefix(&place) else {
                continue;
            };
            let key = format!("{}{short}", self.address.prefix);
            let found = live.binary_search_by(|object| object.key.cmp(&key)).ok();
            match found.and_then(|at| live.get(at)) {
                Some(now) if now.etag == object.etag => {}
                Some(_) => other.add(short.as_bytes(), object.size),
                None if !wanted.takes(short.as_bytes()) => aside.add(short.as_bytes(), object.size),
                None => wanted_back.push((object, short)),
            }
        }
        let requests = bucket.requests();
        let give = async |&(object, short): &(&Object, &str)| -> Result<bool> {
            let key = format!("{}{short}", self.address.prefix);
            // Once more, right before: a storage has no way of its own to write only where nothing is.
            if requests.look(&key).await.map_err(refused)?.is_some() {
                return Ok(false);
            }
            let copied = requests.copy_object(&object.key, object.size, &key).await;
            copied.map(|()| true).map_err(refused)
        };
        for ((object, short), is_given) in wanted_back.iter().zip(each(bucket, &wanted_back, give)?) {
            if is_given {
                given.add(short.as_bytes(), object.size);
            } else {
                other.add(short.as_bytes(), object.size);
            }
        }
        Ok((aside, other, given))
    }

    /// Removes what lies aside.
    ///
    /// # Errors
    /// An exchange is not finished, so that parts of the live state lie there; or the storage refuses.
    pub(super) fn remove(&self, bucket: &Bucket, aside: &str) -> Result<()> {
        if read(bucket, aside)?.is_some_and(|plan| !plan.done) {
            return Err(ResourceError::new(format!(
                "an exchange in {} is not finished: parts of the live state lie there",
                self.aside_shown(aside)
            ))
            .with_hint("`guard resume` finishes it"));
        }
        // The record goes first: what is left then is nobody's state.
        bucket.remove_object(&format!("{aside}{PLAN}")).map_err(refused)?;
        Self::end_uploads(bucket, aside)?;
        let left = bucket.listed(aside).map_err(refused)?;
        each(bucket, &left, async |object| {
            bucket.requests().remove_object(&object.key).await.map_err(refused)
        })
        .map(drop)
    }

    pub(super) fn aside_shown(&self, aside: &str) -> String {
        format!("s3://{}/{aside}", self.address.bucket)
    }
}
