//! Copies objects into the backup: what an earlier copy knows by its mark is not read again.

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
use guard_system::s3::{Bucket, Headers, Object};

/// zstd's own default.
const LEVEL: i32 = 3;
/// An object up to this length is read ahead into memory, beside others.
const WHOLE: u64 = 16 * 1024 * 1024;
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

impl Objects {
    /// An object as it is now, whole in memory or as it comes; `None`: it was removed since it was listed. One that is
    /// replaced while it is asked for is asked for again, as it is then.
    fn fetched(&self, bucket: &Bucket, object: &Object, whole: bool) -> Result<Option<Came>> {
        let mut object = object.clone();
        for _ in 0..ATTEMPTS {
            if let Some((headers, mut content)) = bucket.open_object(&object).map_err(refused)? {
                if !whole {
                    let content = Box::new(content);
                    return Ok(Some(Came {
                        object,
                        headers,
                        content,
                    }));
                }
                let mut bytes = Vec::new();
                // One whose content breaks off is asked for again.
                if content.read_to_end(&mut bytes).is_ok() && bytes.len() as u64 == object.size {
                    let content = Box::new(Cursor::new(bytes));
                    return Ok(Some(Came {
                        object,
                        headers,
                        content,
                    }));
                }
            }
            match bucket.look(&object.key).map_err(refused)? {
                Some(now) => object = now,
                // Gone only where the listing agrees: what it names and the storage does not give would be missing.
                None => return bucket.is_gone(&object.key).map(|()| None).map_err(refused),
            }
        }
        let what = format!("{} is replaced or breaks off again and again", self.short(&object.key));
        Err(ResourceError::new(what))
    }

    /// Copies every object below the prefix.
    pub(super) fn copied(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let bucket = self.bucket(cx)?;
        let listed = self.live(&bucket)?;
        let mut taken: Vec<Object> = Vec::new();
        // What an earlier copy knows by its mark is not asked for; all else comes side by side, and is taken in its order.
        let known = match slot.earlier() {
            Some((backup, artifact)) => {
                Self::marks(artifact, &slot.beside(backup, &artifact.resource)).unwrap_or_default()
            }
            None => std::collections::BTreeMap::new(),
        };
        let is_known = |object: &Object| {
            known
                .get(self.short(&object.key))
                .is_some_and(|(size, mark)| *size == object.size && *mark == object.etag)
        };
        let ahead: Vec<&Object> = listed
            .iter()
            .filter(|object| object.size <= WHOLE && !is_known(object))
            .collect();
        let fetch = |object: &Object| self.fetched(&bucket, object, true);
        let lost = || Err(ResourceError::new("a bug in guard: reading an object panicked"));
        let mut hand_over = |keeper: &mut chunks::Keeper<'_, '_>| {
            bucket.side_by_side(&fetch, &lost, |giver| {
                let mut next = 0;
                for object in &listed {
                    while let Some(one) = ahead.get(next).filter(|one| giver.may_give(one.size)) {
                        giver.give(*one, one.size);
                        next += 1;
                    }
                    let is_ahead = object.size <= WHOLE && !is_known(object);
                    let key = self.short(&object.key);
                    let came = if is_ahead { giver.take()? } else { None };
                    // One that was not there when it was asked for ahead is looked at again: it may have been replaced.
                    if !is_ahead && keeper.offer(&node(key, object), &object.etag)? {
                        taken.push(object.clone());
                        continue;
                    }
                    let came = match came {
                        Some(came) => Some(came),
                        None => self.fetched(&bucket, object, false)?,
                    };
                    let Some(mut came) = came else { continue };
                    let mut node = node(key, &came.object);
                    let bytes = |(name, value): (String, String)| (name, value.into_bytes());
                    node.xattrs = came.headers.into_iter().map(bytes).collect();
                    node.xattrs
                        .push((MARK.to_owned(), came.object.etag.clone().into_bytes()));
                    if !is_ahead || !keeper.offer(&self::node(key, &came.object), &came.object.etag)? {
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
