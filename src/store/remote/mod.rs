//! Copies of backups in S3-compatible storage: files by their content, manifests last; what is there is never overwritten.
//!
//! Below the prefix, each installation of guard has a place of its own, named by the id of its key, so that two hosts never
//! meet: `about.json` says whose it is, `files/<sha256>` holds the content of files, once for all its backups, and
//! `backups/<timestamp>/` a manifest and a verdict. guard never deletes there.

mod transfer;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::StoreError;
use guard_model::artifact::FileEntry;
use guard_model::name::Timestamp;
use guard_model::text;
use guard_system::context::Context;
use guard_system::s3::Bucket;
pub use guard_system::s3::{Address, Credentials, Patience, RemoteError};

impl From<StoreError> for RemoteError {
    fn from(error: StoreError) -> Self {
        Self::new("could not use the backup", error.to_string())
    }
}

type Result<T> = std::result::Result<T, RemoteError>;

/// Says whose a place is.
const ABOUT: &str = "about.json";

/// What a copy came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that were not there yet.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Copied {
    /// One more file.
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A place for copies.
pub struct Remote {
    bucket: Bucket,
    /// Of all installations.
    above: String,
    /// Of this one.
    prefix: String,
    about: About,
}

/// Whose copies are in a place; for people, and proven by nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    /// The id of the key that seals them, which is the place's name.
    pub key: String,
    /// The project.
    pub project: String,
    /// The host.
    pub host: String,
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} (key {})", self.project, self.host, self.key)
    }
}

impl Remote {
    /// Makes ready; nothing is asked yet.
    ///
    /// # Errors
    /// TLS cannot be made ready.
    pub fn open(
        address: &Address,
        about: About,
        who: Credentials,
        patience: Patience,
        runtime: Handle,
        cx: &Context,
    ) -> Result<Self> {
        Ok(Self {
            bucket: Bucket::open(address, who, runtime, cx)?.with(patience),
            prefix: format!("{}{}/", address.prefix, about.key),
            above: address.prefix.clone(),
            about,
        })
    }

    fn file(&self, entry: &FileEntry) -> String {
        format!("{}files/{}", self.prefix, entry.sha256)
    }

    fn of(&self, timestamp: &Timestamp, name: &str) -> String {
        format!("{}backups/{timestamp}/{name}", self.prefix)
    }

    /// Writes down whose this place is, where nobody has.
    fn introduce(&self) -> Result<()> {
        let text = serde_json::to_vec(&self.about)
            .map_err(|error| RemoteError::new("could not write JSON", error.to_string()))?;
        self.bucket.put_new(&format!("{}{ABOUT}", self.prefix), &text).map(drop)
    }

    /// The other installations that have copies below the same prefix.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub fn others(&self) -> Result<Vec<About>> {
        let mut found = Vec::new();
        for name in self.bucket.names(&self.above)? {
            let text = self.bucket.get(&format!("{}{name}/{ABOUT}", self.above))?;
            let about = text.and_then(|text| serde_json::from_slice::<About>(&text).ok());
            let is_known = |about: &About| about.key == name && name != self.about.key;
            found.extend(about.filter(is_known).map(|about| About {
                project: text::sanitised(&about.project),
                host: text::sanitised(&about.host),
                key: text::sanitised(&about.key),
            }));
        }
        Ok(found)
    }

    /// The backups that are there, by their names alone.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub fn list(&self) -> Result<Vec<Timestamp>> {
        let names = self.bucket.names(&format!("{}backups/", self.prefix))?;
        let mut found: Vec<Timestamp> = names.iter().filter_map(|name| name.parse().ok()).collect();
        found.sort();
        Ok(found)
    }
}
