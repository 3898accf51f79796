//! How the objects are reached, and what they are like now.

use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use super::bucket::Objects;
use super::record::{ASIDE, PutBack};
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use guard_model::fingerprint::Fingerprint;
use guard_model::secret::Secret;
use guard_system::context::Context;
use guard_system::disk::Digest;
use guard_system::s3::{Bucket, Credentials, Object, RemoteError};

/// Up to so many parts of the first level are told apart by name.
const NAMED: usize = 100;

/// What a storage said, as an error of the resource.
pub(super) fn refused(error: RemoteError) -> ResourceError {
    let RemoteError { what, why } = error;
    ResourceError::new(format!("{what}: {why}"))
}

impl Objects {
    /// The bucket, ready to be asked.
    pub(super) fn bucket(&self, cx: &Context) -> Result<Bucket> {
        let access_key = self.who.0.read(cx)?.expose().to_owned();
        let who = Credentials {
            access_key,
            secret_key: self.who.1.read(cx)?,
            session_token: cx.environment.text("AWS_SESSION_TOKEN").map(Secret::new),
        };
        if let Some(token) = &who.session_token {
            cx.redaction.learn(token.expose());
        }
        let runtime = self.runtime.get_or_init(|| {
            let built = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build();
            built.ok()
        });
        let runtime = runtime
            .as_ref()
            .ok_or_else(|| ResourceError::new("could not start the threads that talk to the storage"))?;
        Bucket::open(&self.address, who, runtime.handle().clone(), cx).map_err(refused)
    }

    /// The live objects, without what guard has put aside.
    pub(super) fn live(&self, bucket: &Bucket) -> Result<Vec<Object>> {
        let mut found = bucket.list(&self.address.prefix).map_err(refused)?;
        self.without_asides(&mut found);
        Ok(found)
    }

    /// Leaves out what guard has put aside.
    pub(super) fn without_asides(&self, found: &mut Vec<Object>) {
        let aside = format!("{}{ASIDE}", self.address.prefix);
        found.retain(|object| !object.key.starts_with(&aside));
    }

    /// The key below the prefix.
    pub(super) fn short<'k>(&self, key: &'k str) -> &'k str {
        key.strip_prefix(&self.address.prefix).unwrap_or(key)
    }

    /// The fingerprint of these objects: names, lengths, and the storage's own marks of their content. What this run put back
    /// may have got another mark for the same content, and counts as what it is.
    pub(super) fn portrait(&self, objects: &[Object], put_back: &PutBack) -> Fingerprint {
        let mut whole = Digest::default();
        let mut tops: BTreeMap<&str, Digest> = BTreeMap::new();
        for object in objects {
            let key = self.short(&object.key);
            let etag = put_back.meant(key, &object.etag);
            let top = key.split_once('/').map_or(key, |(top, _)| top);
            let mut into = vec![&mut whole];
            let is_named = tops.len() <= NAMED || tops.contains_key(top);
            into.extend(is_named.then(|| tops.entry(top).or_default()));
            for digest in into {
                for text in [key, etag] {
                    digest.update(&(text.len() as u64).to_le_bytes());
                    digest.update(text.as_bytes());
                }
                digest.update(&object.size.to_le_bytes());
            }
        }
        if tops.len() > NAMED {
            return Fingerprint::default().with("content", whole.hex());
        }
        tops.iter().fold(Fingerprint::default(), |print, (top, digest)| {
            print.with(format!("objects {}", escaped(top.as_bytes())), digest.hex())
        })
    }

    pub(super) fn shown(&self) -> String {
        format!("s3://{}/{}", self.address.bucket, self.address.prefix)
    }
}

/// Ends the threads without waiting for them: a resource may be dropped where waiting is not allowed.
pub(super) fn end(runtime: &mut std::sync::OnceLock<Option<Runtime>>) {
    if let Some(runtime) = runtime.take().flatten() {
        runtime.shutdown_background();
    }
}
