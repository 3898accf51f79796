//! A weak file system: at a power loss, what was not synced is lost, torn, or there in another order.

use std::collections::BTreeMap;

use super::chance::Chance;

/// The unit in which a disk writes.
const SECTOR: usize = 512;

/// One file: what readers see, what is durable, and what lies between.
#[derive(Debug, Clone, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// What a failed sync was about: no later sync makes it durable, but by luck it may be.
    orphaned: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    /// Whether this, once it is durable, takes the place of what a failed sync left behind.
    fn covers(&self, orphan: &Self) -> bool {
        match (self, orphan) {
            (Self::Write(place, new), Self::Write(orphan, old)) => {
                *place < orphan + old.len() && *orphan < place + new.len()
            }
            (Self::Cut(length), Self::Write(orphan, _)) => length <= orphan,
            // The length of a file is written with everything else.
            (_, Self::Cut(_)) => true,
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(place, new) => {
                let end = place + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*place..end].copy_from_slice(new);
            }
            Self::Cut(length) => bytes.truncate(*length),
        }
    }
}

/// A change of names. Each is atomic by itself, and durable when the directory of its last name is synced.
#[derive(Debug, Clone)]
enum Renaming {
    Create(String, usize),
    Move(String, String),
    Exchange(String, String),
    Remove(String),
}

impl Renaming {
    fn directory(&self) -> &str {
        match self {
            Self::Create(name, _) | Self::Remove(name) | Self::Move(_, name) | Self::Exchange(_, name) => {
                directory(name)
            }
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Exchange(one, other) => {
                if let (Some(first), Some(second)) = (names.get(one).copied(), names.get(other).copied()) {
                    names.insert(one.clone(), second);
                    names.insert(other.clone(), first);
                }
            }
        }
    }
}

fn directory(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The disk. Names are paths; directories need not be made.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<Renaming>,
}

impl Disk {
    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// What readers see in a file.
    pub fn read(&self, name: &str) -> Option<&[u8]> {
        self.names.get(name).map(|file| self.files[*file].seen.as_slice())
    }

    /// What a power loss is sure to leave of a file.
    pub fn durable(&self, name: &str) -> Option<&[u8]> {
        let file = &self.files[*self.durable.get(name)?];
        // What is still on its way may overwrite what is durable.
        file.unsynced.is_empty().then_some(file.durable.as_slice())
    }

    /// The beginning of a file that no change on its way can reach any more.
    pub fn sure(&self, name: &str) -> Option<&[u8]> {
        let file = &self.files[*self.durable.get(name)?];
        let reached = file.unsynced.iter().map(|change| match change {
            Change::Write(place, _) | Change::Cut(place) => *place,
        });
        let length = reached.min().unwrap_or(usize::MAX).min(file.durable.len());
        Some(&file.durable[..length])
    }

    /// The names that begin so, in order.
    pub fn below<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a str> {
        self.names
            .keys()
            .map(String::as_str)
            .filter(move |name| name.starts_with(start))
    }

    /// Makes an empty file, or a fresh one in the place of another.
    pub fn create(&mut self, name: &str) {
        self.files.push(File::default());
        self.rename(Renaming::Create(name.to_owned(), self.files.len() - 1));
    }

    /// Writes bytes at a place of a file.
    pub fn write(&mut self, name: &str, place: usize, bytes: &[u8]) {
        self.change(name, Change::Write(place, bytes.to_owned()));
    }

    /// Cuts a file off behind this length.
    pub fn cut(&mut self, name: &str, length: usize) {
        self.change(name, Change::Cut(length));
    }

    fn change(&mut self, name: &str, change: Change) {
        let Some(file) = self.names.get(name) else { return };
        let file = &mut self.files[*file];
        change.apply(&mut file.seen);
        file.unsynced.push(change);
    }

    /// Makes what was written to a file durable; not what a failed sync was about.
    pub fn sync(&mut self, name: &str) {
        let Some(file) = self.names.get(name) else { return };
        let file = &mut self.files[*file];
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable);
            file.orphaned.retain(|orphan| !change.covers(orphan));
        }
    }

    /// A sync that failed: the system forgets what was to be written.
    pub fn fail_to_sync(&mut self, name: &str) {
        let Some(file) = self.names.get(name) else { return };
        let file = &mut self.files[*file];
        file.orphaned.append(&mut file.unsynced);
    }

    /// Moves a file over whatever has the other name.
    pub fn rename_to(&mut self, from: &str, to: &str) {
        self.rename(Renaming::Move(from.to_owned(), to.to_owned()));
    }

    /// Exchanges two files in one step.
    pub fn exchange(&mut self, one: &str, other: &str) {
        self.rename(Renaming::Exchange(one.to_owned(), other.to_owned()));
    }

    /// Removes a file.
    pub fn remove(&mut self, name: &str) {
        self.rename(Renaming::Remove(name.to_owned()));
    }

    fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.pending.push(renaming);
    }

    /// Makes the names of a directory durable.
    pub fn sync_directory(&mut self, name: &str) {
        let (synced, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|renaming| renaming.directory() == name);
        self.pending = pending;
        for renaming in synced {
            renaming.apply(&mut self.durable);
        }
    }

    /// A file of somebody else's, durable at once.
    pub fn put(&mut self, name: &str, bytes: &[u8]) {
        let file = File {
            seen: bytes.to_owned(),
            durable: bytes.to_owned(),
            ..File::default()
        };
        self.files.push(file);
        let created = Renaming::Create(name.to_owned(), self.files.len() - 1);
        created.apply(&mut self.names);
        created.apply(&mut self.durable);
    }

    /// The power goes: any part of what is not durable is lost, a write may be torn.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        for renaming in std::mem::take(&mut self.pending) {
            if chance.one_in(2) {
                renaming.apply(&mut self.durable);
            }
        }
        for file in &mut self.files {
            let mut left = std::mem::take(&mut file.durable);
            for change in file.orphaned.drain(..).chain(file.unsynced.drain(..)) {
                match change {
                    Change::Write(place, bytes) => tear(place, &bytes, &mut left, chance),
                    cut @ Change::Cut(_) if chance.one_in(2) => cut.apply(&mut left),
                    Change::Cut(_) => {}
                }
            }
            file.durable.clone_from(&left);
            file.seen = left;
        }
        self.names.clone_from(&self.durable);
    }
}

/// What a power loss leaves of a write: all, nothing, a beginning, or some of its sectors.
fn tear(place: usize, bytes: &[u8], left: &mut Vec<u8>, chance: &mut Chance) {
    match chance.below(4) {
        0 => {}
        1 => Change::Write(place, bytes.to_owned()).apply(left),
        2 => {
            let end = place + chance.below(bytes.len() + 1);
            // A file may end anywhere; within it, sectors are written whole.
            let end = if end < left.len() { end - end % SECTOR } else { end };
            Change::Write(place, bytes[..end.saturating_sub(place)].to_owned()).apply(left);
        }
        _ => {
            // Every second sector was written; the others hold what they held, or zeros.
            let mut torn = bytes.to_owned();
            for (index, byte) in torn.iter_mut().enumerate() {
                if ((place + index) / SECTOR).is_multiple_of(2) {
                    *byte = left.get(place + index).copied().unwrap_or(0);
                }
            }
            Change::Write(place, torn).apply(left);
        }
    }
}
