//! Backups on their way to a remote place and back: what is there already is not sent, what arrives is compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Copied, Remote, RemoteError, Result};
use crate::listing::{Backup, TAG, is_draft};
use crate::{Store, StoreError, manifest, sums, verdict, verify};
use guard_model::artifact::FileEntry;
use guard_model::event::Level;
use guard_model::name::Timestamp;
use guard_system::context::Context;
use guard_system::disk::{self, Staged};
use guard_system::s3::{PART, Upload, part_of};

/// In the state directory: uploads that were begun and not ended, so that they can go on.
const UPLOADS: &str = "uploads.json";

fn entries(backup: &manifest::Manifest) -> impl Iterator<Item = &FileEntry> {
    backup
        .artifacts
        .iter()
        .flat_map(|artifact| &artifact.files)
        .chain(&backup.settings)
}

fn unread(path: &Path, why: String) -> RemoteError {
    RemoteError::new(format!("could not read {}", path.display()), why)
}

fn changed(path: &Path) -> RemoteError {
    unread(path, "it is not what the manifest lists".to_owned())
}

fn found(backup: &Backup, entry: &FileEntry) -> Result<PathBuf> {
    verify::look(&backup.directory, entry)
        .map_err(|fault| RemoteError::new(format!("could not copy {}", entry.path), fault.to_string()))
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
        let foreign = || {
            let why = "another backup of this name is there, and this key has not sealed it";
            Err(RemoteError::new(format!("could not write {key}"), why))
        };
        let before = remote.bucket.get(&key)?;
        match &before {
            Some(there) if !is_ours(there) => return foreign(),
            Some(there) if *there != text => return Ok(copied),
            _ => {}
        }
        let missing = Self::missing(remote, backup)?;
        let send = async |entry: &FileEntry| self.send(remote, backup, entry).await;
        let lost = || {
            Err(RemoteError::new(
                "could not copy a file",
                "a bug in guard: sending it panicked",
            ))
        };
        remote.bucket.side_by_side(&send, &lost, |giver| {
            for entry in missing {
                // A large file is read whole before its first part is put: not by those that talk to the storage.
                if entry.bytes > PART {
                    let path = found(backup, entry)?;
                    let known = disk::sha256_file(&path)?;
                    if (known.0, known.1.as_str()) != (entry.bytes, entry.sha256.as_str()) {
                        return Err(changed(&path));
                    }
                }
                // What it holds in memory is counted where it is put.
                while !giver.may_give(0) {
                    copied.add(giver.take()?);
                }
                giver.give(entry, 0);
            }
            while giver.is_on_the_way() {
                copied.add(giver.take()?);
            }
            Ok(())
        })?;
        remote.introduce()?;
        if before.is_none() {
            // Asked for once more, too: a server that does not know `If-None-Match` overwrites without a word.
            let is_sealed = match remote.bucket.get(&key)? {
                None if remote.bucket.put_new(&key, &text)? => true,
                None => remote.bucket.get(&key)?.is_some_and(|there| is_ours(&there)),
                Some(there) => is_ours(&there),
            };
            if !is_sealed {
                return foreign();
            }
        }
        if let Some(text) = disk::read_optional(&backup.directory.join(verdict::FILE))? {
            remote.bucket.put(&remote.of(timestamp, verdict::FILE), &text)?;
        }
        Ok(copied)
    }

    /// The files of a backup that are not there yet, each content once.
    fn missing<'b>(remote: &Remote, backup: &'b Backup) -> Result<Vec<&'b FileEntry>> {
        let look = async |entry: &FileEntry| remote.bucket.requests().length(&remote.file(entry)).await;
        let lost = || {
            Err(RemoteError::new(
                "could not look at a file",
                "a bug in guard: asking for it panicked",
            ))
        };
        let mut of_content: BTreeMap<&str, &'b FileEntry> = BTreeMap::new();
        let mut wanted: Vec<&'b FileEntry> = entries(&backup.manifest).collect();
        wanted.retain(|entry| of_content.insert(entry.sha256.as_str(), entry).is_none());
        remote.bucket.side_by_side(&look, &lost, |giver| {
            let (mut missing, mut asked) = (Vec::new(), wanted.iter());
            for entry in &wanted {
                while giver.may_give(0)
                    && let Some(next) = asked.next()
                {
                    giver.give(*next, 0);
                }
                if giver.take()? != Some(entry.bytes) {
                    missing.push(*entry);
                }
            }
            Ok(missing)
        })
    }

    /// Sends a file, and looks whether it has arrived. Returns its bytes.
    async fn send(&self, remote: &Remote, backup: &Backup, entry: &FileEntry) -> Result<u64> {
        let (key, requests) = (remote.file(entry), remote.bucket.requests());
        let path = found(backup, entry)?;
        if entry.bytes <= PART {
            let _room = requests.room(entry.bytes).await;
            let body = disk::read_optional(&path)?.unwrap_or_default();
            // What is sent under the name of a digest has to be of that digest.
            if disk::sha256_hex(&body) != entry.sha256 {
                return Err(changed(&path));
            }
            requests.put(&key, body.into()).await?;
        } else {
            let file = File::open(&path).map_err(|error| unread(&path, error.to_string()))?;
            let known = self.uploads().remove(&key);
            let mut noted = Ok(());
            let mut begun = |id: &str| noted = self.note_upload(&key, Some(id));
            let upload = Upload {
                key: &key,
                file: &file,
                length: entry.bytes,
                part: part_of(entry.bytes),
                headers: &[],
            };
            requests.go_on_with_parts(&upload, known.as_deref(), &mut begun).await?;
            noted?;
            self.note_upload(&key, None)?;
        }
        let told = requests.length(&key).await?;
        if told != Some(entry.bytes) {
            let why = match told {
                None => "it was sent, and is not there",
                Some(_) => "the storage tells another length",
            };
            return Err(RemoteError::new(format!("could not copy {}", entry.path), why));
        }
        Ok(entry.bytes)
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
        let mut missing = Vec::new();
        for entry in entries(&manifest) {
            let place = directory.join(&entry.path);
            let inside = Path::new(&entry.path)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            let around = place.parent().filter(|_| inside);
            let around =
                around.ok_or_else(|| RemoteError::new(what.clone(), format!("{} leads out of it", entry.path)))?;
            disk::create_private_dir(around)?;
            if verify::look(&directory, entry).is_err() || disk::sha256_file(&place)?.1 != entry.sha256 {
                missing.push((entry, place));
            }
        }
        let bring = async |(entry, place): &(&FileEntry, PathBuf)| -> Result<Staged> {
            let mut staged = Staged::beside(place)?;
            let mut to = || -> Result<Box<dyn std::io::Write>> {
                staged = Staged::beside(place)?;
                let file = staged.file().try_clone();
                Ok(Box::new(file.map_err(|error| {
                    RemoteError::new("could not write", error.to_string())
                })?))
            };
            let key = remote.file(entry);
            let requests = remote.bucket.requests();
            requests.fetch(&key, entry.bytes, &entry.sha256, &mut to).await?;
            Ok(staged)
        };
        let lost = || {
            Err(RemoteError::new(
                what.clone(),
                "a bug in guard: reading a file panicked",
            ))
        };
        remote.bucket.side_by_side(&bring, &lost, |giver| {
            let (mut asked, mut ended) = (missing.iter(), Ok(()));
            for (entry, place) in &missing {
                // Behind a failure none is asked for any more. What is on its way is kept: the next try has less to do.
                while ended.is_ok()
                    && giver.may_give(0)
                    && let Some(next) = asked.next()
                {
                    giver.give(next, 0);
                }
                if !giver.is_on_the_way() {
                    break;
                }
                match giver.take().and_then(|staged| Ok(staged.replace(place)?)) {
                    Ok(_) => cx.note(Level::Detail, format!("fetched {}", entry.path)),
                    Err(error) => ended = ended.and(Err(error)),
                }
            }
            ended
        })?;
        if let Some(text) = remote.bucket.get(&remote.of(timestamp, verdict::FILE))? {
            disk::write_whole(&directory.join(verdict::FILE), &text)?;
        }
        disk::write_whole(&directory.join(sums::FILE), sums::text(entries(&manifest)).as_bytes())?;
        disk::write_whole(&directory.join(manifest::FILE), &text)?;
        let backup = self.get(timestamp)?;
        Ok(self.finish(backup)?)
    }
}
