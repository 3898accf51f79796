//! Backups on their way to a remote place and back: what is there already is not sent, what arrives is compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::{Copied, Remote, RemoteError, Result};
use crate::listing::{Backup, TAG, is_draft};
use crate::{Store, StoreError, manifest, sums, verdict, verify};
use guard_model::artifact::FileEntry;
use guard_model::event::Level;
use guard_model::name::Timestamp;
use guard_system::context::Context;
use guard_system::disk::{self, Staged};
use guard_system::s3::Upload;

/// A file over this length is put in parts. A guess; the storage asks for 5 MiB at least.
const PART: u64 = 16 * 1024 * 1024;
/// No upload has more parts. S3 allows 10,000.
const PARTS: u64 = 9_000;
/// In the state directory: uploads that were begun and not ended, so that they can go on.
const UPLOADS: &str = "uploads.json";

fn entries(backup: &manifest::Manifest) -> impl Iterator<Item = &FileEntry> {
    backup
        .artifacts
        .iter()
        .flat_map(|artifact| &artifact.files)
        .chain(&backup.settings)
}

impl Store {
    fn uploads(&self) -> BTreeMap<String, String> {
        let text = disk::read_text_optional(&self.state.join(UPLOADS)).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    fn note_upload(&self, key: &str, id: Option<&str>) -> Result<()> {
        let mut uploads = self.uploads();
        match id {
            Some(id) => uploads.insert(key.to_owned(), id.to_owned()),
            None => uploads.remove(key),
        };
        let text = serde_json::to_vec(&uploads)
            .map_err(|error| RemoteError::new("could not write JSON", error.to_string()))?;
        Ok(disk::write_whole(&self.state.join(UPLOADS), &text)?)
    }

    /// Copies a backup to a remote place: what is there already is not sent again. A copy that was cut off goes on.
    ///
    /// # Errors
    /// The storage cannot be asked, refuses, or holds another backup of this name; or a file of the backup is not sound.
    pub fn copy_to(&self, remote: &Remote, backup: &Backup) -> Result<Copied> {
        let mut copied = Copied::default();
        let timestamp = backup.timestamp();
        let text = disk::read_optional(&backup.directory.join(manifest::FILE))?.unwrap_or_default();
        let key = remote.of(timestamp, manifest::FILE);
        // A manifest that this key sealed for this name is the same backup, before it was compressed again.
        let is_ours = |text: &[u8]| manifest::open(text, timestamp, &self.key).is_ok();
        if let Some(there) = remote.bucket.get(&key)?
            && there != text
            && is_ours(&there)
        {
            return Ok(copied);
        }
        for entry in entries(&backup.manifest) {
            let key = remote.file(entry);
            if remote.bucket.length(&key)? == Some(entry.bytes) {
                continue;
            }
            let path = verify::look(&backup.directory, entry)
                .map_err(|fault| RemoteError::new(format!("could not copy {}", entry.path), fault.to_string()))?;
            let refused = |why: String| RemoteError::new(format!("could not read {}", path.display()), why);
            let file = File::open(&path).map_err(|error| refused(error.to_string()))?;
            // What is sent under the name of a digest has to be of that digest.
            let (bytes, sha256) = disk::sha256_file(&path)?;
            if (bytes, sha256.as_str()) != (entry.bytes, entry.sha256.as_str()) {
                return Err(refused("it is not what the manifest lists".to_owned()));
            }
            if entry.bytes <= PART {
                let body = disk::read_optional(&path)?.unwrap_or_default();
                remote.bucket.put(&key, &body)?;
            } else {
                let part = PART.max(entry.bytes.div_ceil(PARTS));
                let known = self.uploads().remove(&key);
                let mut noted = Ok(());
                let mut begun = |id: &str| noted = self.note_upload(&key, Some(id));
                let upload = Upload {
                    key: &key,
                    file: &file,
                    length: entry.bytes,
                    part,
                    headers: &[],
                };
                remote.bucket.go_on_with_parts(&upload, known.as_deref(), &mut begun)?;
                noted?;
                self.note_upload(&key, None)?;
            }
            if remote.bucket.length(&key)? != Some(entry.bytes) {
                return Err(RemoteError::new(
                    format!("could not copy {}", entry.path),
                    "the storage tells another length",
                ));
            }
            copied.files += 1;
            copied.bytes += entry.bytes;
        }
        remote.introduce()?;
        let is_there = !remote.bucket.put_new(&key, &text)?;
        if is_there && !remote.bucket.get(&key)?.as_deref().is_some_and(is_ours) {
            let why = "another backup of this name is there, sealed by the same key";
            return Err(RemoteError::new(format!("could not write {key}"), why));
        }
        if let Some(text) = disk::read_optional(&backup.directory.join(verdict::FILE))? {
            remote.bucket.put(&remote.of(timestamp, verdict::FILE), &text)?;
        }
        Ok(copied)
    }

    /// Brings a backup from a remote place into the store, each file compared with the manifest; the manifest has to be one
    /// that this installation's key has sealed.
    ///
    /// # Errors
    /// It is not there, is not authentic, or a file of it is not what the manifest lists; or there is one here already.
    pub fn fetch_from(&self, remote: &Remote, timestamp: &Timestamp, cx: &Context) -> Result<Backup> {
        let what = format!("could not fetch {timestamp}");
        match self.get(timestamp) {
            Ok(_) => return Err(RemoteError::new(what, "it is here already")),
            Err(StoreError::NotFound { .. }) => {}
            // Begun before and cut off: what has come already is not asked for again.
            Err(StoreError::NoManifest { .. }) if is_draft(&self.directory.join(timestamp.as_str()))? => {}
            Err(error) => return Err(error.into()),
        }
        let text = remote.bucket.get(&remote.of(timestamp, manifest::FILE))?;
        let text = text.ok_or_else(|| RemoteError::new(what.clone(), "there is no such backup"))?;
        let manifest = manifest::open(&text, timestamp, &self.key)
            .map_err(|error| RemoteError::new(what.clone(), error.to_string()))?;
        let directory = self.directory.join(timestamp.as_str());
        disk::create_private_dir(&directory)?;
        disk::write_whole(
            &directory.join(TAG),
            b"guard began to fetch this backup and has not completed it\n",
        )?;
        for entry in entries(&manifest) {
            let place = directory.join(&entry.path);
            let inside = Path::new(&entry.path)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            let around = place.parent().filter(|_| inside);
            let around =
                around.ok_or_else(|| RemoteError::new(what.clone(), format!("{} leads out of it", entry.path)))?;
            disk::create_private_dir(around)?;
            if verify::look(&directory, entry).is_ok() && disk::sha256_file(&place)?.1 == entry.sha256 {
                continue;
            }
            let mut staged = Staged::beside(&place)?;
            let length = entry.bytes;
            let mut to = || -> Result<Box<dyn std::io::Write>> {
                staged = Staged::beside(&place)?;
                let file = staged.file().try_clone();
                Ok(Box::new(file.map_err(|error| {
                    RemoteError::new("could not write", error.to_string())
                })?))
            };
            remote
                .bucket
                .fetch(&remote.file(entry), length, &entry.sha256, &mut to)?;
            staged.replace(&place)?;
            cx.note(Level::Detail, format!("fetched {}", entry.path));
        }
        if let Some(text) = remote.bucket.get(&remote.of(timestamp, verdict::FILE))? {
            disk::write_whole(&directory.join(verdict::FILE), &text)?;
        }
        disk::write_whole(&directory.join(sums::FILE), sums::text(entries(&manifest)).as_bytes())?;
        disk::write_whole(&directory.join(manifest::FILE), &text)?;
        let backup = self.get(timestamp)?;
        Ok(self.finish(backup)?)
    }
}
