//! Compressing the archives of an older backup again, harder: the new file lies beside the old one until a new manifest names
//! it, so that a cut leaves a whole backup, the one or the other.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::listing::Backup;
use super::manifest;
use super::{Result, Store, StoreError, sums, verify};
use guard_model::artifact::{Artifact, FileEntry};
use guard_system::context::Context;
use guard_system::disk::{self, At, Digest, Staged};

/// What is not made smaller by so many of a thousand stays as it is. Three per cent: a guess.
const WORTH: u64 = 30;
/// Files below this are not worth the time.
const LEAST: u64 = 64 * 1024;
/// What the name of a directory begins with in which files that were compressed again lie: `again-1`.
const AGAIN: &str = "again-";

/// What came of compressing a backup again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recompressed {
    /// Files that are smaller now.
    pub files: u64,
    /// Their bytes before.
    pub before: u64,
    /// And now.
    pub after: u64,
}

/// Whether guard compressed this file itself, as a whole: packs are shared with other backups, and what is encrypted looks
/// like chance.
fn is_ours(entry: &FileEntry) -> bool {
    let is_zstd = Path::new(&entry.path).extension().is_some_and(|end| end == "zst");
    is_zstd && entry.bytes >= LEAST && !entry.is_sealed()
}

/// Whether a copy shares nothing: what lies beside packs is found by its place, also without guard.
fn is_whole(artifact: &Artifact) -> bool {
    let is_pack = |entry: &FileEntry| Path::new(entry.name()).extension().is_some_and(|end| end == "pack");
    !artifact.files.iter().any(is_pack)
}

/// `db/dump.zst` → `db/again-1/dump.zst` → `db/again-2/dump.zst`.
fn next_path(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let number = parts
        .last()
        .and_then(|last| last.strip_prefix(AGAIN)?.parse::<u32>().ok());
    if number.is_some() {
        parts.pop();
    }
    let above = parts.join("/");
    format!("{above}/{AGAIN}{}/{name}", number.unwrap_or_default() + 1)
}

/// Reads, the digest running along.
struct Tap<'c, R> {
    from: R,
    digest: Digest,
    cx: &'c Context,
}

impl<'c, R> Tap<'c, R> {
    fn new(from: R, cx: &'c Context) -> Self {
        Self {
            from,
            digest: Digest::default(),
            cx,
        }
    }
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cx.stop.is_asked() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
        }
        let count = self.from.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Store {
    /// Compresses the archives of a backup again at this level of zstd. What they hold is compared before they replace the
    /// old ones. Safe to repeat after a cut; files of a backup that encrypts, and packs, which backups share, stay.
    ///
    /// # Errors
    /// A file is not what the manifest lists (`Damaged`), something cannot be written, or it was stopped: the backup is
    /// whole, as it was or as it becomes.
    pub fn recompress(&self, backup: &Backup, level: i32, cx: &Context) -> Result<Recompressed> {
        sweep_unlisted(backup)?;
        let mut manifest = backup.manifest.clone();
        let mut done = Recompressed::default();
        let mut old = Vec::new();
        for artifact in manifest.artifacts.iter_mut().filter(|artifact| is_whole(artifact)) {
            for entry in artifact.files.iter_mut().filter(|entry| is_ours(entry)) {
                if cx.stop.is_asked() {
                    return Err(StoreError::Stopped);
                }
                let Some(smaller) = self.again(backup, entry, level, cx)? else {
                    continue;
                };
                done.files += 1;
                done.before += entry.bytes;
                done.after += smaller.bytes;
                old.push(backup.directory.join(&entry.path));
                *entry = smaller;
            }
        }
        if done.files == 0 {
            return Ok(done);
        }
        let sealed = manifest::seal(&manifest, &self.key)?;
        disk::write_whole(&backup.directory.join(manifest::FILE), sealed.as_bytes())?;
        let files = manifest.artifacts.iter().flat_map(|artifact| &artifact.files);
        let listed = sums::text(files.chain(&manifest.settings));
        disk::write_whole(&backup.directory.join(sums::FILE), listed.as_bytes())?;
        for path in old {
            disk::remove_file(&path)?;
        }
        if self.is_marked(backup)? {
            self.write_markers(&self.get(backup.timestamp())?)?;
        }
        Ok(done)
    }

    /// One file again, beside the old one; `None`: it would hardly be smaller.
    fn again(&self, backup: &Backup, entry: &FileEntry, level: i32, cx: &Context) -> Result<Option<FileEntry>> {
        let path = match verify::look(&backup.directory, entry) {
            Ok(path) => path,
            Err(fault) => return Err(self.damaged(backup, entry, fault, cx)?),
        };
        let target = next_path(&entry.path);
        let place = backup.directory.join(&target);
        disk::create_private_dir(place.parent().unwrap_or(&backup.directory))?;
        let mut staged = Staged::beside(&place)?;
        let file = File::open(&path).at("open", &path)?;
        let mut packed = |file| -> io::Result<(Digest, Digest)> {
            let mut decoder = zstd::Decoder::new(Tap::new(file, cx))?;
            let mut encoder = zstd::Encoder::new(&mut staged, level)?;
            encoder.include_checksum(true)?;
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            encoder.multithread(u32::try_from(cores).unwrap_or(1))?;
            let (mut content, mut buffer) = (Digest::default(), vec![0; 256 * 1024]);
            loop {
                let count = decoder.read(&mut buffer)?;
                let bytes = buffer.get(..count).unwrap_or_default();
                if bytes.is_empty() {
                    break;
                }
                content.update(bytes);
                encoder.write_all(bytes)?;
                cx.progress(&format!("compress {}", entry.path), content.bytes(), None);
            }
            encoder.finish()?;
            let mut rest = decoder.finish();
            io::copy(&mut rest, &mut io::sink())?;
            Ok((rest.into_inner().digest, content))
        };
        let (read, content) = match packed(file) {
            Err(_) if cx.stop.is_asked() => return Err(StoreError::Stopped),
            // Whether it was the file or the disk that failed, the file itself says.
            Err(error) => {
                return match verify::compare(&backup.directory, entry) {
                    Err(fault) => Err(self.damaged(backup, entry, fault, cx)?),
                    Ok(()) => Err(error).at("compress", &path)?,
                };
            }
            Ok(both) => both,
        };
        if (read.bytes(), read.hex()) != (entry.bytes, entry.sha256.clone()) {
            return Err(self.damaged(backup, entry, super::Fault::Contents, cx)?);
        }
        if staged.digest().bytes() > entry.bytes / 1000 * (1000 - WORTH) {
            return Ok(None);
        }
        let (bytes, sha256) = staged.replace(&place)?;
        let again = File::open(&place).at("open", &place)?;
        let mut proof = Tap::new(zstd::Decoder::new(again).at("read", &place)?, cx);
        io::copy(&mut proof, &mut io::sink()).at("read", &place)?;
        if proof.digest.hex() != content.hex() {
            disk::remove_file(&place)?;
            let why = "what was compressed again does not hold the same";
            return Err(StoreError::Unsafe(why.to_owned()));
        }
        Ok(Some(FileEntry {
            path: target,
            bytes,
            sha256,
        }))
    }
}

/// Removes what a cut left beside the files of the manifest, of those that are compressed again.
fn sweep_unlisted(backup: &Backup) -> Result<()> {
    let files = backup.manifest.artifacts.iter().flat_map(|artifact| &artifact.files);
    let listed: Vec<&FileEntry> = files.collect();
    let known: HashSet<PathBuf> = listed.iter().map(|entry| backup.directory.join(&entry.path)).collect();
    for entry in listed.iter().filter(|entry| is_ours(entry)) {
        let here = backup.directory.join(&entry.path);
        let first = Path::new(&entry.path)
            .components()
            .next()
            .map(|part| backup.directory.join(part));
        let Some(slot) = first else { continue };
        let mut candidates = vec![slot.join(entry.name())];
        let below = disk::list(&slot)?;
        let is_again = |path: &&PathBuf| {
            path.is_dir()
                && !path.is_symlink()
                && path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(AGAIN))
        };
        candidates.extend(below.iter().filter(is_again).map(|path| path.join(entry.name())));
        for candidate in candidates {
            if candidate != here && !known.contains(&candidate) && disk::exists(&candidate)? {
                disk::remove_file(&candidate)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_has_a_directory_of_its_own() {
        assert_eq!(next_path("db/dump.zst"), "db/again-1/dump.zst");
        assert_eq!(next_path("db/again-1/dump.zst"), "db/again-2/dump.zst");
        assert_eq!(next_path("db/blobs/again-9/x.zst"), "db/blobs/again-10/x.zst");
    }
}
