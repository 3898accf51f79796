//! What was learnt about a backup after it was made: a sealed file beside its manifest, which stays as it was.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::manifest::Knowledge;
use super::{Result, Store, StoreError};
use guard_model::name::Timestamp;
use guard_system::disk;

pub(super) const FILE: &str = "verdict.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    mac: String,
    known_good: Knowledge,
}

fn parts(timestamp: &Timestamp, knowledge: &Knowledge) -> Result<[Vec<u8>; 3]> {
    let knowledge = serde_json::to_vec(knowledge).map_err(StoreError::Json)?;
    Ok([b"verdict".to_vec(), timestamp.as_str().as_bytes().to_vec(), knowledge])
}

/// The verdict on a backup; `None` where there is none.
pub(super) fn read(directory: &Path, timestamp: &Timestamp, key: &Key) -> Result<Option<Knowledge>> {
    let path = directory.join(FILE);
    let Some(bytes) = disk::read_optional(&path)? else {
        return Ok(None);
    };
    let refuse = |reason: &str| StoreError::NotAuthentic {
        timestamp: timestamp.clone(),
        reason: format!(
            "its verdict {reason}; remove {} to fall back to the manifest's own",
            path.display()
        ),
    };
    let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|_| refuse("cannot be read"))?;
    let parts = parts(timestamp, &sealed.known_good)?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    if !key.has_signed(&parts, &sealed.mac) {
        return Err(refuse("was edited, or moved here from another backup"));
    }
    Ok(Some(sealed.known_good))
}

impl Store {
    /// Notes what was learnt about a backup: that the release it holds was watched and is well, or that it is not.
    ///
    /// # Errors
    /// There is no such backup, it is not authentic, or the verdict cannot be written.
    pub fn mark(&self, timestamp: &Timestamp, knowledge: &Knowledge) -> Result<()> {
        let backup = self.get(timestamp)?;
        let parts = parts(timestamp, knowledge)?;
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let sealed = Sealed {
            mac: self.key.sign(&parts),
            known_good: knowledge.clone(),
        };
        let bytes = serde_json::to_vec(&sealed).map_err(StoreError::Json)?;
        Ok(disk::write_whole(&backup.directory.join(FILE), &bytes)?)
    }
}
