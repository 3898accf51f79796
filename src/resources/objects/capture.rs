//! Copies objects into the backup: what an earlier copy knows by its mark is not read again.

use super::reach::refused;
use super::record::{Details, PutBack};
use super::{KIND, Objects};
use crate::model::artifact::Artifact;
use crate::model::text;
use crate::resources::names::escaped;
use crate::resources::volume::chunks;
use crate::resources::volume::node::{Node, Shape};
use crate::resources::volume::record::Details as Packed;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::s3::Object;

const LEVEL: i32 = 3;
/// How often an object that is written to while it is read is read again.
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

impl Objects {
    /// Copies every object below the prefix.
    pub(super) fn copied(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let bucket = self.bucket(cx)?;
        let listed = self.live(&bucket)?;
        let mut taken: Vec<Object> = Vec::new();
        let mut hand_over = |keeper: &mut chunks::Keeper<'_, '_>| {
            for object in &listed {
                let key = self.short(&object.key);
                if keeper.offer(&node(key, object), &object.etag)? {
                    taken.push(object.clone());
                    continue;
                }
                // One that is replaced while it is asked for is asked for again, as it is then.
                let mut current = Some(object.clone());
                for attempt in 1.. {
                    let Some(object) = current else { break };
                    let Some((headers, mut content)) = bucket.open_object(&object).map_err(refused)? else {
                        if attempt == ATTEMPTS {
                            return Err(ResourceError::new(format!("{key} is replaced again and again")));
                        }
                        current = bucket.look(&object.key).map_err(refused)?;
                        continue;
                    };
                    let mut node = node(key, &object);
                    let bytes = |(name, value): (String, String)| (name, value.into_bytes());
                    node.xattrs = headers.into_iter().map(bytes).collect();
                    node.xattrs.push((MARK.to_owned(), object.etag.clone().into_bytes()));
                    keeper
                        .take(node, &object.etag, &mut content)
                        .map_err(|error| ResourceError::because(format!("could not copy {key}"), error))?;
                    taken.push(object);
                    break;
                }
            }
            Ok(())
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
            kind: KIND.key.to_owned(),
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
