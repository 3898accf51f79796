//! What a work tree has and git does not keep: modes, owners, access lists, empty directories, checkouts inside,
//! and the marks of the index.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::ground::{Ground, Seen, above, is_of_owner};
use super::repository::Repository;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::trees::attributes::Attributes;
use guard_system::disk::Digest;
use guard_system::privilege::is_root;

/// The name of the description inside its tree.
const NAME: &str = "wear.json";

/// The mode and owner of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Dress {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Dress {
    fn of(seen: &Seen) -> Self {
        Self {
            mode: if seen.shape() == FileType::Symlink {
                0o777
            } else {
                seen.bits()
            },
            uid: seen.uid,
            gid: seen.gid,
        }
    }

    pub(super) fn owner(self) -> (u32, u32) {
        (self.uid, self.gid)
    }
}

/// The shapes that have a usual dress of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    File,
    Program,
    Link,
    Directory,
}

impl Shape {
    fn of(seen: &Seen) -> Self {
        match seen.shape() {
            FileType::Symlink => Self::Link,
            FileType::Directory => Self::Directory,
            _ if seen.mode & 0o100 != 0 => Self::Program,
            _ => Self::File,
        }
    }
}

/// All of it. Paths are escaped, so that any name survives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wear {
    /// What most entries of a shape wear.
    usual: BTreeMap<Shape, Dress>,
    /// Those that wear something else.
    odd: BTreeMap<String, Dress>,
    /// Directories with nothing in them.
    empty: BTreeSet<String>,
    /// Checkouts of other repositories inside, submodules among them.
    nested: BTreeSet<String>,
    /// Entries of the index that are marked: what is passed over by a sparse checkout.
    skipped: BTreeSet<String>,
    /// What git is told to take as unchanged.
    assumed: BTreeSet<String>,
    /// What is only meant to be added.
    intended: BTreeSet<String>,
    /// Attributes and access lists, of entries that have any, their values escaped; `None`: an older guard did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<BTreeMap<String, Vec<(String, String)>>>,
}

/// The attributes and access lists of entries that have any.
pub(super) type Listed = BTreeMap<Vec<u8>, Attributes>;

/// Reads them of these entries; of links none, which have no more than a label that they are given where they are made.
pub(super) fn listed(ground: &Ground, entries: &BTreeMap<Vec<u8>, Seen>) -> Result<Listed> {
    let mut found = Listed::new();
    let plain = entries.iter().filter(|(_, seen)| seen.shape() != FileType::Symlink);
    for (path, _) in plain {
        let attributes = ground.attributes(path)?;
        if !attributes.is_empty() {
            found.insert(path.clone(), attributes);
        }
    }
    Ok(found)
}

/// Digests of the attributes of these entries that their owners may set, and of those that only root may.
pub(super) fn digests_of(listed: &Listed, entries: &BTreeMap<Vec<u8>, Seen>) -> (String, String) {
    let (mut owners, mut roots) = (Digest::default(), Digest::default());
    for (path, attributes) in listed.iter().filter(|(path, _)| entries.contains_key(*path)) {
        for (name, value) in attributes {
            let digest = if is_of_owner(name) { &mut owners } else { &mut roots };
            let text = format!("\0{name}={}\n", escaped(value));
            digest.update(&[path.as_slice(), text.as_bytes()].concat());
        }
    }
    (owners.hex(), roots.hex())
}

/// The marks of entries of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) skipped: BTreeSet<Vec<u8>>,
    pub(super) assumed: BTreeSet<Vec<u8>>,
    pub(super) intended: BTreeSet<Vec<u8>>,
}

fn in_text(attributes: &Attributes) -> Vec<(String, String)> {
    let texts = attributes.iter().map(|(name, value)| (name.clone(), escaped(value)));
    texts.collect()
}

fn texts(paths: &BTreeSet<Vec<u8>>) -> BTreeSet<String> {
    paths.iter().map(|path| escaped(path)).collect()
}

fn paths(texts: &BTreeSet<String>) -> BTreeSet<Vec<u8>> {
    texts.iter().filter_map(|text| unescaped(text)).collect()
}

impl Wear {
    /// Of these entries, and the directories around them.
    pub(super) fn of(
        entries: &BTreeMap<Vec<u8>, Seen>,
        empty: &BTreeSet<Vec<u8>>,
        nested: &BTreeSet<Vec<u8>>,
        marks: &Marks,
        listed: &Listed,
    ) -> Self {
        let mut counted: BTreeMap<(Shape, Dress), u64> = BTreeMap::new();
        for seen in entries.values() {
            *counted.entry((Shape::of(seen), Dress::of(seen))).or_default() += 1;
        }
        let mut usual: BTreeMap<Shape, (u64, Dress)> = BTreeMap::new();
        for ((shape, dress), count) in counted {
            let most = usual.entry(shape).or_insert((count, dress));
            if most.0 < count {
                *most = (count, dress);
            }
        }
        let usual: BTreeMap<Shape, Dress> = usual.into_iter().map(|(shape, (_, dress))| (shape, dress)).collect();
        let odd = entries
            .iter()
            .filter(|(_, seen)| usual.get(&Shape::of(seen)) != Some(&Dress::of(seen)));
        Self {
            odd: odd.map(|(path, seen)| (escaped(path), Dress::of(seen))).collect(),
            usual,
            empty: texts(empty),
            nested: texts(nested),
            skipped: texts(&marks.skipped),
            assumed: texts(&marks.assumed),
            intended: texts(&marks.intended),
            attributes: Some(listed.iter().map(|(path, had)| (escaped(path), in_text(had))).collect()),
        }
    }

    /// The attributes that an entry is to have, as far as this user may set them; `None`: nothing is known of them.
    pub(super) fn attributes(&self, path: &[u8]) -> Option<Attributes> {
        let all = self.attributes.as_ref()?;
        let plain = |(name, value): &(String, String)| Some((name.clone(), unescaped(value)?));
        let had = all.get(&escaped(path)).map(Vec::as_slice).unwrap_or_default();
        let mut wanted: Attributes = had.iter().filter_map(plain).collect();
        wanted.retain(|(name, _)| is_root() || is_of_owner(name));
        Some(wanted)
    }

    /// What an entry with this mode in git's tree is to wear; `None`: nothing is known of its shape.
    pub(super) fn wanted(&self, path: &[u8], tree_mode: u32) -> Option<Dress> {
        let shape = match tree_mode {
            0o120_000 => Shape::Link,
            0o100_755 => Shape::Program,
            0o040_000 => Shape::Directory,
            _ => Shape::File,
        };
        self.odd.get(&escaped(path)).or_else(|| self.usual.get(&shape)).copied()
    }

    pub(super) fn empty(&self) -> BTreeSet<Vec<u8>> {
        paths(&self.empty)
    }

    pub(super) fn nested(&self) -> BTreeSet<Vec<u8>> {
        paths(&self.nested)
    }

    pub(super) fn marks(&self) -> Marks {
        Marks {
            skipped: paths(&self.skipped),
            assumed: paths(&self.assumed),
            intended: paths(&self.intended),
        }
    }

    /// Keeps it in the repository as a tree.
    pub(super) fn keep(&self, repository: &Repository<'_>) -> Result<String> {
        let text =
            serde_json::to_vec(self).map_err(|error| ResourceError::because("could not describe the files", error))?;
        let call = repository
            .git(["hash-object", "-w", "--stdin", "-t", "blob"])
            .input(text);
        let id = repository.run(&call, "keep what git does not")?.text();
        let call = repository.git(["mktree"]).input(format!("100644 blob {id}\t{NAME}\n"));
        Ok(repository.run(&call, "keep what git does not")?.text())
    }

    /// Reads it again.
    pub(super) fn read(repository: &Repository<'_>, tree: &str) -> Result<Self> {
        let blob = format!("{tree}:{NAME}");
        let text = repository.run(
            &repository.git(["cat-file", "blob", &blob]),
            "read what git does not keep",
        )?;
        serde_json::from_slice(&text.stdout)
            .map_err(|error| ResourceError::because("could not understand what is known of the files", error))
    }
}

/// Digests of the modes and marks, and of the owners, of these entries.
pub(super) fn digests(entries: &BTreeMap<Vec<u8>, Seen>, marks: &Marks) -> (String, String) {
    let (mut modes, mut owners) = (Digest::default(), Digest::default());
    for (path, seen) in entries {
        let dress = Dress::of(seen);
        modes.update(&[path.as_slice(), &[0], &dress.mode.to_le_bytes()].concat());
        owners.update(
            &[
                path.as_slice(),
                &[0],
                &dress.uid.to_le_bytes(),
                &dress.gid.to_le_bytes(),
            ]
            .concat(),
        );
    }
    for (sign, marked) in [(1, &marks.skipped), (2, &marks.assumed), (3, &marks.intended)] {
        for path in marked {
            modes.update(&[path.as_slice(), &[0, sign]].concat());
        }
    }
    (modes.hex(), owners.hex())
}

/// The directories around these paths.
pub(super) fn around<'p>(paths: impl IntoIterator<Item = &'p Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for path in paths {
        for directory in above(path) {
            if !found.contains(directory) {
                found.insert(directory.to_vec());
            }
        }
    }
    found
}
