//! Which files a set of patterns means now, and what is recorded of each.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::selection::Files;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::trees::metadata::{Above, Metadata};
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{At, Digest, sha256_hex};

/// One file or link, as it is recorded in a backup and in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Path below the project's directory, escaped.
    pub(super) path: String,
    /// What it holds.
    #[serde(flatten)]
    pub(super) content: Content,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
    /// All that a regular file has beside its content; `None`: a link, or written by a guard that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "attire")]
    pub(super) metadata: Option<Metadata>,
    /// Where it really is, where the way there leads over a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) through: Option<Through>,
}

/// Where a file is that is named by a path with a link in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Through {
    /// The directory that it is in, without a link in its path, escaped.
    around: String,
    /// That directory and those above it.
    pub(super) above: Vec<Above>,
}

impl Through {
    /// The directory that the file is in.
    pub(super) fn around(&self) -> Option<PathBuf> {
        unescaped(&self.around).map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
    }
}

/// A directory of the project that holds what the patterns mean, or that they mean themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Directory {
    /// Path below the project's directory, escaped.
    pub(super) path: String,
    #[serde(alias = "attire")]
    pub(super) metadata: Metadata,
}

impl Directory {
    /// The path below the project's directory.
    ///
    /// # Errors
    /// As for [`Entry::below`].
    pub(super) fn below(&self) -> Result<PathBuf> {
        below(&self.path)
    }
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Content {
    /// A regular file of these bytes.
    File { bytes: u64, sha256: String },
    /// A symbolic link to this target, escaped. It is never followed.
    Symlink { target: String },
}

/// What is recorded of a set of files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) entries: Vec<Entry>,
    /// `None`: written by a guard that did not keep them.
    #[serde(default)]
    pub(super) directories: Option<Vec<Directory>>,
}

impl Recorded {
    /// In what files that are there now differ from it.
    pub(super) fn differences(&self, live: &Listing) -> Vec<String> {
        let known = |entry: &Entry| self.entries.iter().find(|known| known.path == entry.path);
        let now = live.entries.iter().map(|entry| {
            let metadata = entry
                .metadata
                .clone()
                .filter(|_| known(entry).is_none_or(|known| known.metadata.is_some()));
            Entry {
                metadata,
                ..entry.clone()
            }
        });
        let now: Vec<Entry> = now.collect();
        // Directories that nobody recorded cannot differ.
        let none = Vec::new();
        let (wanted, has) = match &self.directories {
            Some(wanted) => (wanted, &live.directories),
            None => (&none, &none),
        };
        fingerprint(&now, has).differences(&fingerprint(&self.entries, wanted))
    }

    /// The files that are as recorded but for the time of their last change.
    pub(super) fn times(&self, live: &Listing) -> Vec<String> {
        let other = |entry: &&Entry| {
            let is_other = |now: &Entry| now.is_like(entry) && now.time() != entry.time();
            live.entries.iter().any(is_other)
        };
        let found = self.entries.iter().filter(other);
        found.map(|entry| format!("time of file {}", entry.path)).collect()
    }
}

/// What the patterns mean now.
pub(super) struct Listing {
    /// In order of their paths.
    pub(super) entries: Vec<Entry>,
    /// The directories that hold them, and those that the patterns mean themselves; but for those in which something else lies
    /// that nobody keeps and no entry.
    pub(super) directories: Vec<Directory>,
    /// What matches and is neither file nor link, each a sentence.
    pub(super) not_kept: Vec<String>,
}

impl Entry {
    /// The path below the project's directory.
    ///
    /// # Errors
    /// It is malformed or leads out of the directory: such a record was not written by guard.
    pub(super) fn below(&self) -> Result<PathBuf> {
        below(&self.path)
    }

    /// Everything but the time of the last change, which tells nothing that the digest does not.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let both = self.metadata.as_ref().zip(other.metadata.as_ref());
        (&self.path, &self.content, self.mode, self.uid, self.gid)
            == (&other.path, &other.content, other.mode, other.uid, other.gid)
            && both.is_none_or(|(one, other)| one.is_like(other))
            && self.place() == other.place()
    }

    /// The time of the last change, seconds and nanoseconds.
    pub(super) fn time(&self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }

    fn place(&self) -> Option<&str> {
        self.through.as_ref().map(|through| through.around.as_str())
    }
}

fn below(path: &str) -> Result<PathBuf> {
    let plain = unescaped(path).map(|bytes| PathBuf::from(OsString::from_vec(bytes)));
    let inside = |path: &PathBuf| {
        let mut parts = path.components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    plain
        .filter(inside)
        .ok_or_else(|| ResourceError::bad_copy(format!("the record names {path:?}, which leads out of the project")))
}

/// A fingerprint with one part for each file and directory.
pub(super) fn fingerprint(entries: &[Entry], directories: &[Directory]) -> Fingerprint {
    let files = entries.iter().fold(Fingerprint::default(), |fingerprint, entry| {
        let content = match &entry.content {
            Content::File { sha256, .. } => sha256.clone(),
            Content::Symlink { target } => format!("-> {target}"),
        };
        let own = match &entry.metadata {
            Some(metadata) => metadata.word(),
            None => format!("{:04o} {}:{}", entry.mode, entry.uid, entry.gid),
        };
        fingerprint.with(format!("file {}", entry.path), format!("{own} {content}"))
    });
    directories.iter().fold(files, |fingerprint, directory| {
        fingerprint.with(format!("directory {}", directory.path), directory.metadata.word())
    })
}

fn entry(below: &Path, looked: &fs::Metadata, content: Content, metadata: Option<Metadata>) -> Entry {
    let is_link = matches!(content, Content::Symlink { .. });
    Entry {
        path: escaped(below.as_os_str().as_bytes()),
        content,
        // A link's own mode means nothing.
        mode: if is_link { 0o777 } else { looked.mode() & 0o7777 },
        uid: looked.uid(),
        gid: looked.gid(),
        seconds: looked.mtime(),
        nanoseconds: u32::try_from(looked.mtime_nsec()).unwrap_or_default(),
        metadata,
        through: None,
    }
}

/// Opens a regular file for reading; `None` where it is something else by now. A pipe is never waited for, and a link
/// never followed.
pub(super) fn open(path: &Path) -> Result<Option<(File, fs::Metadata)>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error).at("open", path)?,
    };
    let looked = file.metadata().at("look at", path)?;
    Ok(looked.is_file().then_some((file, looked)))
}

/// The entry of a path, its content handed to `sink` piece by piece; `None` where nothing that can be kept is there.
pub(super) fn read(directory: &Path, below: &Path, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Option<Entry>> {
    use std::io::Read;
    let path = directory.join(below);
    let looked = match fs::symlink_metadata(&path) {
        Ok(looked) => looked,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("look at", &path)?,
    };
    if looked.is_symlink() {
        let target = std::fs::read_link(&path).at("read the link", &path)?;
        let target = escaped(target.as_os_str().as_bytes());
        return Ok(Some(entry(below, &looked, Content::Symlink { target }, None)));
    }
    if !looked.is_file() {
        return Ok(None);
    }
    let Some((mut file, looked)) = open(&path)? else {
        return Ok(None);
    };
    let mut digest = Digest::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).at("read", &path)?,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        digest.update(bytes);
        sink(bytes)?;
    }
    let after = file.metadata().at("look at", &path)?;
    let seen = |looked: &fs::Metadata| (looked.len(), looked.mtime(), looked.mtime_nsec());
    if seen(&looked) != seen(&after) || digest.bytes() != after.len() {
        let what = format!("{} was written to while it was read", path.display());
        return Err(ResourceError::new(what).with_hint("run the same command again when it is still"));
    }
    let content = Content::File {
        bytes: digest.bytes(),
        sha256: digest.hex(),
    };
    let metadata = Metadata::of_open(&file, &path)?;
    Ok(Some(entry(below, &after, content, Some(metadata))))
}

impl Files {
    /// The paths below the project's directory that match, in order; with what each is.
    fn matching(&self, cx: &Context) -> Result<Vec<(PathBuf, std::fs::FileType)>> {
        let mut found = Vec::new();
        for root in &self.roots {
            let start = self.directory.join(root);
            if !guard_system::disk::exists(&start)? {
                continue;
            }
            // A root that is itself a link is not followed either.
            for entry in WalkDir::new(&start).follow_links(false).follow_root_links(false) {
                if cx.stop.is_asked() {
                    return Err(ResourceError::new(
                        "looking for files was stopped because guard was asked to stop",
                    ));
                }
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error)
                        if error
                            .io_error()
                            .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) =>
                    {
                        continue;
                    }
                    Err(error) => {
                        return Err(ResourceError::because(
                            format!("could not read {}", start.display()),
                            error,
                        ));
                    }
                };
                let below = entry.path().strip_prefix(&self.directory).unwrap_or(entry.path());
                if self.patterns.is_match(below) {
                    found.push((below.to_owned(), entry.file_type()));
                }
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        found.dedup_by(|(one, _), (other, _)| one == other);
        Ok(found)
    }

    /// What the patterns mean now; each file's content is handed to `keep`.
    ///
    /// # Errors
    /// One cannot be read, `keep` fails, or guard was asked to stop.
    pub(super) fn list(&self, cx: &Context, mut keep: impl FnMut(&Path) -> Result<Option<Entry>>) -> Result<Listing> {
        let mut listing = Listing {
            entries: Vec::new(),
            directories: Vec::new(),
            not_kept: Vec::new(),
        };
        let (mut links, mut directories) = (BTreeMap::new(), BTreeSet::new());
        for (below, kind) in self.matching(cx)? {
            if kind.is_dir() {
                if !self.is_behind_a_link(&below) && self.holds_nothing_else(&below) {
                    directories.insert(below);
                }
                continue;
            }
            if let Some(entry) = keep(&below)? {
                let through = self.above(&below, &mut links, &mut directories)?;
                listing.entries.push(Entry { through, ..entry });
            } else if !kind.is_file() {
                let name = escaped(below.as_os_str().as_bytes());
                listing
                    .not_kept
                    .push(format!("{name}, which is neither a regular file nor a link"));
            }
        }
        links.retain(|_, link| !listing.entries.iter().any(|entry| entry.path == link.path));
        listing.entries.extend(links.into_values());
        listing.entries.sort_by(|one, other| one.path.cmp(&other.path));
        for below in directories {
            let path = self.directory.join(&below);
            match Metadata::of(&path) {
                Ok(metadata) => listing.directories.push(Directory {
                    path: escaped(below.as_os_str().as_bytes()),
                    metadata,
                }),
                Err(_) if !guard_system::disk::exists(&path)? => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }

    /// Takes the directories and links above a file. Returns where it really is, where a link is among them.
    fn above(
        &self,
        below: &Path,
        links: &mut BTreeMap<PathBuf, Entry>,
        directories: &mut BTreeSet<PathBuf>,
    ) -> Result<Option<Through>> {
        let mut has_link = false;
        let above = below.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        for above in above.collect::<Vec<_>>().into_iter().rev() {
            if directories.contains(above) {
                continue;
            }
            if links.contains_key(above) {
                has_link = true;
            } else if let Some(entry) = read(&self.directory, above, &mut |_| Ok(()))? {
                has_link = true;
                links.insert(above.to_owned(), entry);
            } else if !has_link {
                directories.insert(above.to_owned());
            }
        }
        if !has_link {
            return Ok(None);
        }
        let around = self.directory.join(below.parent().unwrap_or(Path::new("")));
        let around = std::fs::canonicalize(&around).at("look at", &around)?;
        Ok(Some(Through {
            above: Above::of(&around.join("file"), Path::new("/"))?,
            around: escaped(around.as_os_str().as_bytes()),
        }))
    }

    fn is_behind_a_link(&self, below: &Path) -> bool {
        below.ancestors().any(|above| self.directory.join(above).is_symlink())
    }

    /// Whether nothing lies below a directory but directories and what the patterns mean: else it is not guard's to remove.
    fn holds_nothing_else(&self, below: &Path) -> bool {
        let all = WalkDir::new(self.directory.join(below)).follow_links(false).into_iter();
        all.flatten().all(|entry| {
            let path = entry.path().strip_prefix(&self.directory).unwrap_or(entry.path());
            let kind = entry.file_type();
            kind.is_dir() || ((kind.is_file() || kind.is_symlink()) && self.patterns.is_match(path))
        })
    }

    /// What the patterns mean now, contents only digested.
    pub(super) fn look(&self, cx: &Context) -> Result<Listing> {
        self.list(cx, |below| read(&self.directory, below, &mut |_| Ok(())))
    }
}

/// A name for an entry's content in a directory of blobs.
pub(super) fn blob(content: &Content) -> String {
    match content {
        Content::File { sha256, .. } => sha256.clone(),
        Content::Symlink { target } => sha256_hex(target.as_bytes()),
    }
}
