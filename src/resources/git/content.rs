//! Reads the files of a work tree as the bytes that they are, through handles, and makes a tree of them: git itself would
//! convert them as its attributes say, which no version can be kept from in the same way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;
use sha2::Digest as _;

use super::ground::{Ground, Seen, is_below, shown, split};
use super::repository::Repository;
use super::wear::{Marks, around};
use crate::error::{ResourceError, Result};
use guard_system::call::Call;
use guard_system::disk::At;

/// So often is a file read again that is written to while it is read. A guess.
const ATTEMPTS: usize = 5;
/// Copies of files on their way into the repository: so many bytes, and so many of them, at once.
const BATCH: (u64, usize) = (256 * 1024 * 1024, 2000);

/// A file or link of the work tree.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The mode as git's trees have it.
    pub(super) mode: u32,
    /// The id of its content.
    pub(super) id: String,
    pub(super) seen: Seen,
}

/// What is in a work tree.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) files: BTreeMap<Vec<u8>, Entry>,
    /// Directories with files in them.
    pub(super) directories: BTreeMap<Vec<u8>, Seen>,
    /// Directories that are not ignored and have nothing in them.
    pub(super) empty: BTreeSet<Vec<u8>>,
    /// Directories that are the work trees of other repositories.
    pub(super) nested: BTreeSet<Vec<u8>>,
    pub(super) marks: Marks,
    /// What the index has.
    index: Index,
}

/// The entries of an index.
#[derive(Debug, Default)]
struct Index {
    /// Mode and id of those that are not in conflict.
    entries: BTreeMap<Vec<u8>, (u32, String)>,
    has_conflicts: bool,
    marks: Marks,
    /// What lies in the work tree beside them and is not ignored.
    others: BTreeSet<Vec<u8>>,
}

impl Content {
    /// Whether the files are, byte for byte, what the index has: the tree of the one is that of the other.
    pub(super) fn is_as_staged(&self) -> bool {
        let staged = &self.index.entries;
        let is_same = |(path, entry): (&Vec<u8>, &Entry)| {
            let found = staged.get(path);
            found.is_some_and(|(mode, id)| *mode == entry.mode && *id == entry.id)
        };
        !self.index.has_conflicts
            && self.marks.intended.is_empty()
            && self.files.len() == staged.len()
            && self.files.iter().all(is_same)
    }
}

/// Computes the id of content as git does.
enum Hash {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Hash {
    fn of(is_sha256: bool, length: u64) -> Self {
        let mut hash = if is_sha256 {
            Self::Sha256(sha2::Sha256::new())
        } else {
            Self::Sha1(sha1::Sha1::new())
        };
        hash.update(format!("blob {length}\0").as_bytes());
        hash
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    fn hex(self) -> String {
        let bytes = match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
        };
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}

/// Parts of a list that are separated by NUL.
pub(super) fn list(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty())
}

struct Reader<'r, 'c> {
    repository: &'r Repository<'c>,
    ground: &'r Ground,
    is_sha256: bool,
}

impl Reader<'_, '_> {
    /// A file as it is at one moment: what was read is what the file system tells of, before and after.
    fn file(&self, path: &[u8], mut to: Option<&mut dyn Write>) -> io::Result<Option<(Seen, String)>> {
        let mut file = match self.ground.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let before = Seen::of(&rustix::fs::fstat(&file)?);
        if before.shape() != FileType::RegularFile {
            return Ok(None);
        }
        let length = u64::try_from(before.size).unwrap_or_default();
        let mut hash = Hash::of(self.is_sha256, length);
        let mut read = 0;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count = file.read(&mut buffer)?;
            let piece = buffer.get(..count).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            read += piece.len() as u64;
            hash.update(piece);
            if let Some(to) = &mut to {
                to.write_all(piece)?;
            }
        }
        let after = Seen::of(&rustix::fs::fstat(&file)?);
        if read != length || after != before {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(Some((after, hash.hex())))
    }

    fn read(&self, path: &[u8], seen: Seen) -> Result<Option<Entry>> {
        if seen.shape() == FileType::Symlink {
            let place = self.ground.at(path);
            let target = self.ground.target(path).at("read", &place)?;
            let mut hash = Hash::of(self.is_sha256, target.len() as u64);
            hash.update(&target);
            return Ok(Some(Entry {
                mode: 0o120_000,
                id: hash.hex(),
                seen,
            }));
        }
        for _ in 0..ATTEMPTS {
            match self.file(path, None) {
                Ok(found) => {
                    return Ok(found.map(|(seen, id)| Entry {
                        mode: if seen.mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 },
                        id,
                        seen,
                    }));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read", &self.ground.at(path))?,
            }
        }
        Err(
            ResourceError::new(format!("{} is written to all the time", shown(path)))
                .with_hint("let git ignore it, or stop what writes"),
        )
    }

    /// Puts the content of these files into the repository, by copies of guard's own.
    fn put(
        &self,
        paths: &mut dyn Iterator<Item = &Vec<u8>>,
        place: &Path,
        files: &mut BTreeMap<Vec<u8>, Entry>,
    ) -> Result<()> {
        let mut batch: Vec<(Vec<u8>, std::path::PathBuf)> = Vec::new();
        let mut bytes = 0;
        let mut paths = paths.peekable();
        while let Some(path) = paths.next() {
            let Some(entry) = files.get_mut(path) else { continue };
            let copy = place.join(format!("content-{}", batch.len()));
            let mut is_whole = false;
            for _ in 0..ATTEMPTS {
                let mut file = tempfile::NamedTempFile::new_in(place).at("make a file in", place)?;
                if entry.mode == 0o120_000 {
                    let target = self.ground.target(path).at("read", &self.ground.at(path))?;
                    file.write_all(&target).at("write", &copy)?;
                } else {
                    match self.file(path, Some(&mut file)) {
                        Ok(Some((seen, id))) => (entry.seen, entry.id) = (seen, id),
                        Ok(None) => break,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error).at("read", &self.ground.at(path))?,
                    }
                }
                self.repository.give(file.path())?;
                file.persist(&copy).map_err(|error| error.error).at("write", &copy)?;
                is_whole = true;
                break;
            }
            if !is_whole {
                return Err(ResourceError::new(format!("{} changes while it is read", shown(path)))
                    .with_hint("let git ignore it, or stop what writes; then run the same command again"));
            }
            bytes += u64::try_from(entry.seen.size).unwrap_or_default();
            batch.push((path.clone(), copy));
            if bytes >= BATCH.0 || batch.len() >= BATCH.1 || paths.peek().is_none() {
                self.put_batch(&batch, files)?;
                batch.clear();
                bytes = 0;
            }
        }
        Ok(())
    }

    fn put_batch(&self, batch: &[(Vec<u8>, std::path::PathBuf)], files: &BTreeMap<Vec<u8>, Entry>) -> Result<()> {
        let mut input = String::new();
        for (_, copy) in batch {
            input.extend([&copy.display().to_string(), "\n"]);
        }
        let words = ["hash-object", "-w", "--no-filters", "--stdin-paths"];
        let told = self
            .repository
            .run(&self.repository.git(words).input(input), "keep the files")?
            .text();
        let mut ids = told.lines();
        for (path, copy) in batch {
            let id = ids.next().unwrap_or_default();
            if let Some(entry) = files.get(path).filter(|entry| entry.id != id) {
                let what = format!("git keeps {} as {id}, and it is {}", shown(path), entry.id);
                return Err(ResourceError::new(what));
            }
            std::fs::remove_file(copy).at("remove", copy)?;
        }
        Ok(())
    }
}

/// Whether a part of the path has a name that only a run of guard gives: `.app.db.guard-20251022_153000_deploy`, or `failed-`
/// with the same.
fn is_of_a_run(path: &[u8]) -> bool {
    let is_token = |text: &[u8]| {
        let shape = b"00000000_000000_";
        let fits = |(known, byte): (&u8, &u8)| {
            if *known == b'0' {
                byte.is_ascii_digit()
            } else {
                known == byte
            }
        };
        text.len() > shape.len() && shape.iter().zip(text).all(fits)
    };
    let is_named = |name: &[u8]| {
        [b".guard-".as_slice(), b".failed-"].iter().any(|mark| {
            let mut places = name.windows(mark.len()).enumerate();
            places.any(|(at, part)| part == *mark && name.get(at + mark.len()..).is_some_and(is_token))
        })
    };
    path.split(|byte| *byte == b'/').any(is_named)
}

/// Reads what is in a work tree but for these directories; paths in `with` are taken in even where they are ignored. `index` is
/// a copy of the real one.
pub(super) fn read(
    repository: &Repository<'_>,
    ground: &Ground,
    index: &Path,
    without: &[Vec<u8>],
    with: &[Vec<u8>],
) -> Result<Content> {
    let index = listed(repository, repository.with_index(index, LISTING), true)?;
    // What lies there for another resource until its way back is done, or was put aside by one, is no part of the code.
    let found = index.entries.keys().chain(&index.others).map(Vec::as_slice);
    let found = found.filter(|path| !is_of_a_run(path));
    let mut paths: BTreeSet<&[u8]> = found.chain(with.iter().map(Vec::as_slice)).collect();
    let without: Vec<&[u8]> = without.iter().map(Vec::as_slice).collect();
    paths.retain(|path| !is_below(path, without.iter().copied()));
    let mut content = Content {
        marks: index.marks.clone(),
        ..Content::default()
    };
    let reader = Reader {
        repository,
        ground,
        is_sha256: repository.empty_tree().len() > 40,
    };
    // Who is in one directory stands one after the other, so that it is looked for once.
    let mut last: Option<(Vec<u8>, Option<std::os::fd::OwnedFd>)> = None;
    for path in paths {
        if repository.cx().stop.is_asked() {
            return Err(ResourceError::new("guard was asked to stop"));
        }
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let (directory, name) = split(path);
        if last.as_ref().is_none_or(|(known, _)| known != directory) {
            let opened = match ground.directory(directory) {
                Ok(opened) => Some(opened),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error).at("open", &ground.at(directory))?,
            };
            last = Some((directory.to_vec(), opened));
        }
        let Some((_, Some(handle))) = &last else { continue };
        let Some(seen) = super::ground::look_in(handle, name).at("look at", &ground.at(path))? else {
            continue;
        };
        match seen.shape() {
            FileType::Directory => {
                let inner = [path, b"/.git"].concat();
                if ground.look(&inner).at("look at", &ground.at(&inner))?.is_some() {
                    content.nested.insert(path.to_vec());
                }
            }
            FileType::RegularFile | FileType::Symlink => {
                if let Some(entry) = reader.read(path, seen)? {
                    content.files.insert(path.to_vec(), entry);
                }
            }
            _ => {}
        }
    }
    // A file inside of another repository is that one's.
    let nested: Vec<Vec<u8>> = content.nested.iter().cloned().collect();
    content
        .files
        .retain(|path, _| !is_below(path, nested.iter().map(Vec::as_slice)));
    for directory in around(content.files.keys()) {
        if let Some(seen) = ground.look(&directory).at("look at", &ground.at(&directory))? {
            content.directories.insert(directory, seen);
        }
    }
    content.empty = empty(repository, ground, &without)?;
    content.index = index;
    Ok(content)
}

fn is_absent(error: &io::Error) -> bool {
    let absent = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|error| absent.contains(&error))
}

/// Directories without anything in them, where git does not ignore them.
fn empty(repository: &Repository<'_>, ground: &Ground, without: &[&[u8]]) -> Result<BTreeSet<Vec<u8>>> {
    let words = ["ls-files", "-z", "--others", "--directory", "--exclude-standard"];
    let listed = repository.run(&repository.git(words), "list the directories")?;
    let mut open: Vec<Vec<u8>> = list(&listed.stdout)
        .filter_map(|path| Some(path.strip_suffix(b"/")?.to_vec()))
        .collect();
    let mut found = BTreeSet::new();
    while let Some(directory) = open.pop() {
        if is_below(&directory, without.iter().copied()) {
            continue;
        }
        let names = match ground.names(&directory) {
            Ok(names) => names,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error).at("list", &ground.at(&directory))?,
        };
        if names.iter().any(|name| name == b".git") {
            continue;
        }
        for name in &names {
            let path = [&directory, b"/".as_slice(), name].concat();
            let is_directory = ground
                .look(&path)
                .at("look at", &ground.at(&path))?
                .is_some_and(|seen| seen.shape() == FileType::Directory);
            if is_directory {
                open.push(path);
            }
        }
        if names.is_empty() {
            found.insert(directory);
        }
    }
    if found.is_empty() {
        return Ok(found);
    }
    // One below a directory that is listed may be ignored all the same.
    let mut input = Vec::new();
    for path in &found {
        input.extend_from_slice(path);
        input.extend_from_slice(b"/\0");
    }
    let call = repository
        .git(["check-ignore", "-z", "--stdin", "--no-index"])
        .input(input);
    if let Some(ignored) = repository.found(&call, "ask what is ignored")? {
        let ignored: HashSet<&[u8]> = list(&ignored)
            .map(|path| path.strip_suffix(b"/").unwrap_or(path))
            .collect();
        found.retain(|path| !ignored.contains(path.as_slice()));
    }
    Ok(found)
}

/// The words that list an index with its marks.
const LISTING: [&str; 4] = ["ls-files", "-z", "-v", "--stage"];

/// The marks of the index's entries.
pub(super) fn marks(repository: &Repository<'_>) -> Result<Marks> {
    Ok(listed(repository, repository.git(LISTING), false)?.marks)
}

/// What an index has, and, where they are asked for, what lies beside.
fn listed(repository: &Repository<'_>, call: Call, others: bool) -> Result<Index> {
    let call = if others {
        call.args(["--cached", "--others", "--exclude-standard"])
    } else {
        call
    };
    let told = repository.run(&call, "list the files")?;
    let mut index = Index::default();
    let mut may_be_intended = false;
    for line in list(&told.stdout) {
        let (Some(tag), Some(rest)) = (line.first(), line.get(2..)) else {
            continue;
        };
        if *tag == b'?' {
            index.others.insert(rest.to_vec());
            continue;
        }
        let Some((mode, id, stage, path)) = entry(rest) else {
            return Err(ResourceError::new(
                "git lists the index in a form that is not understood",
            ));
        };
        if tag.eq_ignore_ascii_case(&b'S') {
            index.marks.skipped.insert(path.to_vec());
        }
        if tag.is_ascii_lowercase() {
            index.marks.assumed.insert(path.to_vec());
        }
        may_be_intended |= EMPTY_BLOBS.contains(&id);
        index.has_conflicts |= stage != "0";
        index.entries.insert(path.to_vec(), (mode, id.to_owned()));
    }
    // What is only meant to be added stands in the index as a file without anything in it.
    if may_be_intended {
        let words = [
            "diff-files",
            "-z",
            "--name-only",
            "--diff-filter=A",
            "--ignore-submodules=all",
        ];
        let intended = repository.run(&repository.git(words), "read what is meant to be added")?;
        index.marks.intended = list(&intended.stdout).map(<[u8]>::to_vec).collect();
    }
    Ok(index)
}

/// The ids of files with nothing in them, by what ids are made with.
const EMPTY_BLOBS: [&str; 2] = [
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
];

/// `100644 e69de29b… 0<tab>path`: mode, id, stage and path.
fn entry(line: &[u8]) -> Option<(u32, &str, &str, &[u8])> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(line.get(..tab)?).ok()?.split(' ');
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    Some((mode, words.next()?, words.next()?, line.get(tab + 1..)?))
}

/// Sees to it that the repository has the content of all files.
pub(super) fn keep(repository: &Repository<'_>, ground: &Ground, content: &mut Content, place: &Path) -> Result<()> {
    let mut by_id: HashMap<&str, &Vec<u8>> = HashMap::new();
    for (path, entry) in &content.files {
        by_id.entry(&entry.id).or_insert(path);
    }
    let mut input = String::new();
    for id in by_id.keys() {
        input.extend([*id, "\n"]);
    }
    let call = repository
        .git(["cat-file", "--batch-check=%(objectname) %(objecttype)"])
        .input(input);
    let told = repository.run(&call, "ask which files are known")?.text();
    let missing = told.lines().filter_map(|line| line.strip_suffix(" missing"));
    let missing: BTreeSet<Vec<u8>> = missing
        .filter_map(|id| by_id.get(id).map(|path| (*path).clone()))
        .collect();
    let reader = Reader {
        repository,
        ground,
        is_sha256: repository.empty_tree().len() > 40,
    };
    let before: HashMap<Vec<u8>, String> = missing
        .iter()
        .filter_map(|path| Some((path.clone(), content.files.get(path)?.id.clone())))
        .collect();
    reader.put(&mut missing.iter(), place, &mut content.files)?;
    // One that was written to between the two looks is another file now, and its twins were not kept.
    let moved: HashSet<&String> = before
        .iter()
        .filter(|(path, id)| content.files.get(*path).is_some_and(|entry| entry.id != **id))
        .map(|(_, id)| id)
        .collect();
    let twins: Vec<Vec<u8>> = content
        .files
        .iter()
        .filter(|(_, entry)| moved.contains(&entry.id))
        .map(|(path, _)| path.clone())
        .collect();
    reader.put(&mut twins.iter(), place, &mut content.files)
}

/// Makes a tree of files whose content the repository has, or, for a look, need not have.
pub(super) fn tree(
    repository: &Repository<'_>,
    files: &BTreeMap<Vec<u8>, Entry>,
    index: &Path,
    keep: &dyn Fn(Call) -> Result<Call>,
) -> Result<String> {
    let mut input = Vec::new();
    for (path, entry) in files {
        input.extend_from_slice(format!("{:o} {}\t", entry.mode, entry.id).as_bytes());
        input.extend_from_slice(path);
        input.push(0);
    }
    // What the file system takes is a name, whatever another one would make of it.
    let own = [
        "-c",
        "core.protectNTFS=false",
        "-c",
        "core.protectHFS=false",
        "-c",
        "core.ignoreCase=false",
        "-c",
        "core.sparseCheckout=false",
    ];
    let words = own.into_iter().chain(["update-index", "--add", "-z", "--index-info"]);
    let call = repository.with_index(index, words).input(input);
    repository.run(&keep(call)?, "take in the files")?;
    let words = own.into_iter().chain(["write-tree", "--missing-ok"]);
    Ok(repository
        .run(&keep(repository.with_index(index, words))?, "write a tree")?
        .text())
}
