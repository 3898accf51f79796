//! Copies objects into the backup: what an earlier copy knows by its mark is not read again.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use super::bucket::{KEY, Objects};
use super::reach::refused;
use super::record::{Details, PutBack};
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::slot::Slot;
use crate::trees::chunks;
use crate::trees::details::Details as Packed;
use crate::trees::node::{Node, Shape};
use guard_model::artifact::Artifact;
use guard_model::text;
use guard_system::context::Context;
use guard_system::s3::{Bucket, Headers, Object, Requests};

/// zstd's own default.
const LEVEL: i32 = 3;
/// An object up to this length is read ahead into memory, beside others; a longer one is taken as it comes, beside those that
/// are read ahead.
const WHOLE: u64 = 4 * 1024 * 1024;
/// How often an object that is written to while it is read is read again. A guess.
const ATTEMPTS: usize = 4;
/// In the index, the attribute that holds an object's mark; the others are its headers.
pub(super) const MARK: &str = "guard.etag";

/// A key as a path of the index: a key may be anything, and a path may not.
pub(super) fn path_of(key: &str) -> Vec<u8> {
    key.bytes()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect()
}

/// The key that a path of the index means.
pub(super) fn key_of(path: &[u8]) -> Option<String> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes = path.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

fn node(key: &str, object: &Object) -> Node {
    Node {
        path: path_of(key),
        shape: Shape::File,
        mode: 0o600,
        uid: 0,
        gid: 0,
        size: object.size,
        mtime: (0, 0),
        xattrs: Vec::new(),
        flags: 0,
    }
}

/// An object on its way into the copy.
struct Came {
    object: Object,
    headers: Headers,
    content: Box<dyn Read + Send>,
}

/// What became of an object that was asked for ahead.
enum Ahead {
    Came(Came),
    /// An earlier copy knows it by its mark.
    Known(Object),
    /// It was removed since it was listed.
    Gone,
}

/// What an earlier copy knows: the length and the mark of each key.
type Known = BTreeMap<String, (u64, String)>;

impl Objects {
    fn is_known(&self, known: &Known, object: &Object) -> bool {
        known
            .get(self.short(&object.key))
            .is_some_and(|(size, mark)| *size == object.size && *mark == object.etag)
    }

    fn again_and_again(&self, key: &str) -> ResourceError {
        let what = format!("{} is replaced or breaks off again and again", self.short(key));
        ResourceError::new(what)
    }

    /// An object as it is now, whole in memory. One that is replaced or breaks off while it is asked for is asked for again, as
    /// it is then.
    async fn whole(&self, requests: &Requests, object: &Object, known: &Known) -> Result<Ahead> {
        let mut object = object.clone();
        // Where the listing tells no marks, only that of an object which may be known is asked for before the object.
        let has_size = |(size, _): &(u64, String)| *size == object.size;
        if object.etag.is_empty() && known.get(self.short(&object.key)).is_some_and(has_size) {
            match requests.look(&object.key).await.map_err(refused)? {
                Some(now) if self.is_known(known, &now) => return Ok(Ahead::Known(now)),
                Some(now) => object = now,
                None => {}
            }
        }
        for _ in 0..ATTEMPTS {
            if object.size <= WHOLE
                && let Some(mut opened) = requests.open_object(&object).await.map_err(refused)?
            {
                let mut bytes = Vec::with_capacity(usize::try_from(object.size).unwrap_or_default());
                let is_whole = loop {
                    match opened.content.next().await {
                        Ok(Some(more)) if (bytes.len() + more.len()) as u64 <= object.size => bytes.extend(&*more),
                        Ok(Some(_)) | Err(_) => break false,
                        Ok(None) => break bytes.len() as u64 == object.size,
                    }
                };
                if is_whole {
                    object.etag = opened.etag;
                    return Ok(Ahead::Came(Came {
                        object,
                        headers: opened.headers,
                        content: Box::new(Cursor::new(bytes)),
                    }));
                }
            }
            match requests.look(&object.key).await.map_err(refused)? {
                // What was counted for it in memory was its length as it was listed.
                Some(now) if now.size > object.size => return Ok(Ahead::Gone),
                Some(now) => object = now,
                // Gone only where the listing agrees: what it names and the storage does not give would be missing.
                None => {
                    requests.is_gone(&object.key).await.map_err(refused)?;
                    return Ok(Ahead::Gone);
                }
            }
        }
        Err(self.again_and_again(&object.key))
    }

    /// An object as it is now, as it comes; `None`: it was removed since it was listed.
    fn opened(&self, bucket: &Bucket, object: &Object) -> Result<Option<Came>> {
        let mut object = object.clone();
        for _ in 0..ATTEMPTS {
            if let Some((headers, etag, content)) = bucket.open_object(&object).map_err(refused)? {
                object.etag = etag;
                let content = Box::new(content);
                return Ok(Some(Came {
                    object,
                    headers,
                    content,
                }));
            }
            match bucket.look(&object.key).map_err(refused)? {
                Some(now) => object = now,
                None => return bucket.is_gone(&object.key).map(|()| None).map_err(refused),
            }
        }
        Err(self.again_and_again(&object.key))
    }

    /// Copies every object below the prefix.
    pub(super) fn copied(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let bucket = self.bucket(cx)?;
        let mut listed = bucket.listed(&self.address.prefix).map_err(refused)?;
        self.without_asides(&mut listed);
        let mut taken: Vec<Object> = Vec::new();
        // What an earlier copy knows by its mark is not asked for; all else comes side by side, and is taken in its order.
        let known = match slot.earlier() {
            Some((backup, artifact)) => {
                Self::marks(artifact, &slot.beside(backup, &artifact.resource)).unwrap_or_default()
            }
            None => Known::new(),
        };
        let is_ahead = |object: &Object| object.size <= WHOLE && !self.is_known(&known, object);
        let mut ahead = listed.iter().filter(|object| is_ahead(object)).peekable();
        let fetch = async |object: &Object| self.whole(bucket.requests(), object, &known).await;
        let lost = || Err(ResourceError::new("a bug in guard: reading an object panicked"));
        let mut hand_over = |keeper: &mut chunks::Keeper<'_, '_>| {
            bucket.side_by_side(&fetch, &lost, |giver| {
                for object in &listed {
                    while let Some(one) = ahead.next_if(|one| giver.may_give(one.size)) {
                        giver.give(one, one.size);
                    }
                    if cx.stop.is_asked() {
                        return Err(ResourceError::new("guard was asked to stop"));
                    }
                    let key = self.short(&object.key);
                    let came = if is_ahead(object) {
                        giver.take()?
                    } else if object.etag.is_empty() {
                        let now = bucket.look(&object.key).map_err(refused)?;
                        now.map_or(Ahead::Gone, Ahead::Known)
                    } else {
                        Ahead::Known(object.clone())
                    };
                    let came = match came {
                        Ahead::Came(came) => Some(came),
                        Ahead::Known(now) if keeper.offer(&node(key, &now), &now.etag)? => {
                            taken.push(now);
                            continue;
                        }
                        Ahead::Known(now) => self.opened(&bucket, &now)?,
                        // It may have been replaced: it is looked at once more.
                        Ahead::Gone => self.opened(&bucket, object)?,
                    };
                    let Some(mut came) = came else { continue };
                    let mut node = node(key, &came.object);
                    let bytes = |(name, value): (String, String)| (name, value.into_bytes());
                    node.xattrs = came.headers.into_iter().map(bytes).collect();
                    node.xattrs
                        .push((MARK.to_owned(), came.object.etag.clone().into_bytes()));
                    if !keeper.offer(&self::node(key, &came.object), &came.object.etag)? {
                        keeper
                            .take(node, &came.object.etag, &mut came.content)
                            .map_err(|error| ResourceError::because(format!("could not copy {key}"), error))?;
                    }
                    taken.push(came.object);
                }
                Ok(())
            })
        };
        let (copied, packed) = chunks::copy_marked(slot, LEVEL, &mut hand_over, cx)?;
        let stored = text::bytes(packed.stored);
        let saved = Packed::of_entries(String::new(), &copied, packed);
        let summary = format!(
            "{}: {}, {}, {stored} of it new",
            self.shown(),
            text::plural(taken.len() as u64, "object"),
            text::bytes(taken.iter().map(|object| object.size).sum())
        );
        let details = Details {
            place: self.shown(),
            saved,
        };
        let put_back = PutBack::read(&self.name, cx)?;
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KEY.to_owned(),
            fingerprint: self.portrait(&taken, &put_back),
            files: copied.files,
            details: serde_json::to_value(&details)
                .map_err(|error| ResourceError::because("could not describe the copy", error))?,
            summary,
            not_kept: if taken.is_empty() {
                Vec::new()
            } else {
                vec!["earlier versions, tags, access rules and times of objects".to_owned()]
            },
            tools: vec![("guard".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        })
    }
}

/// A key for people.
pub(super) fn shown(key: &str) -> String {
    escaped(key.as_bytes())
}
