//! What differs between live objects and a copy, staged beside them in the bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, Write};

use super::bucket::{NOUN, Objects};
use super::capture::{MARK, key_of, shown};
use super::keeping::Keep;
use super::reach::refused;
use super::record::{PutBack, Side, details};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::chunks;
use crate::trees::toll::Toll;
use guard_model::artifact::{Artifact, CarriedOver};
use guard_system::context::Context;
use guard_system::s3::{Bucket, Content, Object};

/// What has to be exchanged so that the live objects become the copy.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Keys that come from the copy.
    pub(super) fetched: BTreeSet<String>,
    /// Keys that the copy does not know.
    pub(super) surplus: BTreeSet<String>,
    /// What that means, in numbers.
    pub(super) toll: Toll,
}

impl Difference {
    /// Has what is `live` by its key and is kept stay, and counts all.
    fn settled(mut self, live: &BTreeMap<&str, &Object>, gone: &BTreeMap<String, u64>, keep: &Keep) -> Self {
        let size = |key: &str| live.get(key).map(|object| object.size);
        let mut surplus = BTreeSet::new();
        for key in std::mem::take(&mut self.surplus) {
            let bytes = size(&key).unwrap_or_default();
            if keep.takes(&key) {
                self.toll.kept.add(key.as_bytes(), bytes);
                continue;
            }
            let group = if keep.is_wanted() {
                &mut self.toll.own
            } else {
                &mut self.toll.came
            };
            group.add(key.as_bytes(), bytes);
            surplus.insert(key);
        }
        self.surplus = surplus;
        for key in &self.fetched {
            match size(key) {
                Some(bytes) => self.toll.changed.add(key.as_bytes(), bytes),
                None => self
                    .toll
                    .gone
                    .add(key.as_bytes(), gone.get(key).copied().unwrap_or_default()),
            }
        }
        self
    }
}

/// An object of the copy on its way into the bucket.
struct Job {
    key: String,
    /// What is live under its key, where it is as long.
    known: Option<Object>,
    headers: Vec<(String, String)>,
    spool: std::fs::File,
    size: u64,
}

/// Whether a file holds what comes.
async fn is_same(file: &std::fs::File, content: &mut Content) -> io::Result<bool> {
    let (mut file, mut known) = (file, Vec::new());
    while let Some(bytes) = content.next().await? {
        known.resize(bytes.len(), 0);
        let count = fill(&mut file, &mut known)?;
        if known.get(..count) != Some(&*bytes) {
            return Ok(false);
        }
    }
    Ok(file.read(&mut [0])? == 0)
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read(room)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

impl Objects {
    /// Compares the live objects with the copy, and stages below `aside` what is to be fetched and is not there yet.
    ///
    /// # Errors
    /// The copy is not sound (`copy_is_bad`), the storage refuses, or guard was asked to stop.
    pub(super) fn stage(
        &self,
        bucket: &Bucket,
        (artifact, slot): (&Artifact, &Slot),
        aside: &str,
        keep: &Keep,
        cx: &Context,
    ) -> Result<Difference> {
        let details = details(artifact)?;
        Self::end_uploads(bucket, aside)?;
        let put_back = PutBack::read(&self.name, cx)?;
        let live = self.live(bucket)?;
        let by_key: BTreeMap<&str, &Object> = live.iter().map(|object| (self.short(&object.key), object)).collect();
        let place = format!("{aside}{}/", Side::After.word());
        let staged = Self::staged(bucket, &place)?;
        let mut difference = Difference {
            surplus: by_key.keys().map(|key| (*key).to_owned()).collect(),
            ..Difference::default()
        };
        let (mut done, mut gone) = (0, BTreeMap::new());
        let what = format!("stage {}", self.name);
        let put = async |job: Job| -> Result<Option<(String, u64)>> {
            // The same content may have another mark, as when it came in parts; its headers are taken to be as they were.
            if let Some(object) = &job.known
                && let Some(mut opened) = bucket.requests().open_object(object).await.map_err(refused)?
            {
                let compared = is_same(&job.spool, &mut opened.content).await;
                let unread = |error| ResourceError::because(format!("could not compare {}", shown(&job.key)), error);
                if compared.map_err(unread)? {
                    return Ok(None);
                }
            }
            let place = format!("{place}{}", job.key);
            let requests = bucket.requests();
            let put = requests.put_object(&place, &job.headers, &job.spool, job.size).await;
            put.map_err(refused)?;
            Ok(Some((job.key, job.size)))
        };
        let lost = || Err(ResourceError::new("a bug in guard: staging an object panicked"));
        let staged = bucket.side_by_side(&put, &lost, |giver| {
            let mut came = |difference: &mut Difference| -> io::Result<()> {
                let put = giver
                    .take()
                    .map_err(|error| io::Error::other(guard_model::text::chain(&error)))?;
                if let Some((key, size)) = put {
                    done += size;
                    cx.progress(&what, done, None);
                    difference.fetched.insert(key);
                }
                Ok(())
            };
            let read = chunks::read_entries(artifact, slot, details.saved.entries, &mut |node, content| {
                let key = key_of(&node.path);
                let key =
                    key.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the index names what is no key"))?;
                if cx.stop.is_asked() {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
                }
                difference.surplus.remove(&key);
                let (mark, headers): (Vec<_>, Vec<_>) = node.xattrs.into_iter().partition(|(name, _)| name == MARK);
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                let mark = mark
                    .into_iter()
                    .map(|(_, bytes)| text(bytes))
                    .next()
                    .unwrap_or_default();
                if !by_key.contains_key(key.as_str()) {
                    gone.insert(key.clone(), node.size);
                }
                let known = by_key.get(key.as_str()).filter(|object| object.size == node.size);
                if known.is_some_and(|object| put_back.meant(&key, &object.etag) == mark) {
                    return Ok(());
                }
                if staged.get(key.as_str()) == Some(&node.size) {
                    difference.fetched.insert(key);
                    return Ok(());
                }
                let job = Job {
                    known: known.map(|object| (*object).clone()),
                    headers: headers.into_iter().map(|(name, value)| (name, text(value))).collect(),
                    spool: spooled(content, cx)?,
                    size: node.size,
                    key,
                };
                while !giver.may_give(job.size) {
                    came(&mut difference)?;
                }
                let size = job.size;
                giver.give(job, size);
                Ok(())
            });
            read?;
            while giver.is_on_the_way() {
                came(&mut difference).map_err(|error| ResourceError::because("could not stage an object", error))?;
            }
            Ok::<(), ResourceError>(())
        });
        staged.map_err(|error| ResourceError {
            copy_is_bad: error.copy_is_bad,
            ..ResourceError::because(format!("could not stage the objects of {}", self.name), error)
        })?;
        Ok(difference.settled(&by_key, &gone, keep))
    }

    /// What lies below this place already, by its key there, with its length.
    pub(super) fn staged(bucket: &Bucket, place: &str) -> Result<BTreeMap<String, u64>> {
        let staged = bucket.listed(place).map_err(refused)?;
        let short = |object: &Object| Some((object.key.strip_prefix(place)?.to_owned(), object.size));
        Ok(staged.iter().filter_map(short).collect())
    }

    /// In what the live objects differ from the copy, by their lengths and marks; nothing is read.
    ///
    /// # Errors
    /// The copy's index cannot be read, or the storage refuses.
    pub(super) fn looked_at(
        &self,
        bucket: &Bucket,
        (artifact, slot): (&Artifact, &Slot),
        keep: &Keep,
        cx: &Context,
    ) -> Result<Difference> {
        let put_back = PutBack::read(&self.name, cx)?;
        let live = self.live(bucket)?;
        let by_key: BTreeMap<&str, &Object> = live.iter().map(|object| (self.short(&object.key), object)).collect();
        let meant = Self::marks(artifact, slot)?;
        let is_same = |key: &str, (size, mark): &(u64, String)| {
            let now = by_key.get(key).filter(|object| object.size == *size);
            now.is_some_and(|object| put_back.meant(key, &object.etag) == mark)
        };
        let fetched = meant.iter().filter(|(key, known)| !is_same(key, known));
        let surplus = by_key.keys().filter(|key| !meant.contains_key(**key));
        let difference = Difference {
            fetched: fetched.map(|(key, _)| key.clone()).collect(),
            surplus: surplus.map(|key| (*key).to_owned()).collect(),
            toll: Toll::default(),
        };
        let gone = meant.iter().map(|(key, (size, _))| (key.clone(), *size)).collect();
        Ok(difference.settled(&by_key, &gone, keep))
    }

    /// What was kept when this copy was put back; `None` where that is nothing.
    pub(super) fn kept(
        &self,
        bucket: &Bucket,
        copy: (&Artifact, &Slot),
        keep: &Keep,
        cx: &Context,
    ) -> Result<Option<CarriedOver>> {
        if !keep.is_wanted() {
            return Ok(None);
        }
        let found = self.looked_at(bucket, copy, keep, cx)?;
        let Some(sentence) = found.toll.keeps(NOUN) else {
            return Ok(None);
        };
        let becomes = self.portrait(&self.live(bucket)?, &PutBack::read(&self.name, cx)?);
        Ok(Some(CarriedOver {
            becomes,
            sentences: vec![sentence],
        }))
    }

    /// Ends uploads in parts below a prefix of guard's own that a cut left: no listing of objects shows them.
    pub(super) fn end_uploads(bucket: &Bucket, aside: &str) -> Result<()> {
        for upload in bucket.unended(aside).map_err(refused)?.unwrap_or_default() {
            bucket.end_upload(&upload.key, &upload.id).map_err(refused)?;
        }
        Ok(())
    }
}

impl Objects {
    /// The keys of a copy, each with its length and the mark by which the copy knows it.
    pub(super) fn marks(artifact: &Artifact, slot: &Slot) -> Result<BTreeMap<String, (u64, String)>> {
        let mut marks = BTreeMap::new();
        chunks::read_entries(artifact, slot, details(artifact)?.saved.entries, &mut |node, _| {
            let mark = node.xattrs.into_iter().find(|(name, _)| name == MARK);
            let mark = mark.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned());
            marks.extend(key_of(&node.path).map(|key| (key, (node.size, mark.unwrap_or_default()))));
            Ok(())
        })?;
        Ok(marks)
    }
}

/// Content in a nameless file of the run.
fn spooled(content: &mut dyn Read, cx: &Context) -> io::Result<std::fs::File> {
    let mut file = tempfile::tempfile_in(&cx.scratch)?;
    io::copy(content, &mut file)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// Some keys, for people.
pub(super) fn some(keys: impl Iterator<Item = String>) -> String {
    let mut named: Vec<String> = keys.take(4).map(|key| shown(&key)).collect();
    if named.len() == 4 {
        named.pop();
        named.push("…".to_owned());
    }
    named.join(", ")
}
