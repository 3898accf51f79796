//! Writing a journal: one record at a time, durable before the call returns.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::line::{self, ORIGIN};
use super::medium::Medium;
use super::{FILE, JournalError, reader};
use guard_model::fact::{Fact, Record};
use guard_system::disk::{self, At};

/// Bytes that are set aside at a time, so that a disk that fills up cannot stop the record of a rollback. A run's records
/// take some tens of kilobytes.
const RESERVE: u64 = 1 << 20;

/// A journal that is open for writing. Whoever holds it holds the lock of its target: there is one writer.
#[derive(Debug)]
pub struct Journal {
    medium: Box<dyn Medium>,
    path: PathBuf,
    length: u64,
    reserved: u64,
    next: u64,
    sum: String,
    poisoned: bool,
}

impl Journal {
    /// Makes the journal of a new run in its directory, which is made if it is not there.
    ///
    /// # Errors
    /// There is one already, the disk has no room for it, or it cannot be made.
    pub fn create(directory: &Path) -> Result<Self, JournalError> {
        disk::create_private_dir(directory)?;
        let path = directory.join(FILE);
        let file = disk::create_private_file(&path)?;
        file.sync_all().at("sync", &path)?;
        let journal = Self::begin(Box::new(file), &path)?;
        disk::sync_directory(directory)?;
        Ok(journal)
    }

    /// Begins a journal on an empty medium, which messages call by this path.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn begin(medium: Box<dyn Medium>, path: &Path) -> Result<Self, JournalError> {
        let mut journal = Self {
            medium,
            path: path.to_owned(),
            length: 0,
            reserved: 0,
            next: 0,
            sum: ORIGIN.to_owned(),
            poisoned: false,
        };
        journal.reserve()?;
        Ok(journal)
    }

    /// Opens the journal of a run to go on with it, and returns what stands in it. A torn tail is cut off: the call that
    /// wrote it never returned, so nothing was done upon it.
    ///
    /// # Errors
    /// There is none, it is damaged, it is of a newer guard, or it cannot be read or written.
    pub fn open(directory: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let path = directory.join(FILE);
        let Some(bytes) = disk::read_optional(&path)? else {
            return Err(JournalError::Absent { path });
        };
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default())
            .open(&path)
            .at("open", &path)?;
        Self::go_on(Box::new(file), &path, &bytes)
    }

    /// Goes on with the journal on a medium that holds these bytes, as [`Journal::open`] does.
    ///
    /// # Errors
    /// The bytes are damaged or of a newer guard, or the medium cannot be written.
    pub fn go_on(mut medium: Box<dyn Medium>, path: &Path, bytes: &[u8]) -> Result<(Self, Vec<Record>), JournalError> {
        let reading = reader::parse(path, bytes)?;
        if reading.torn_bytes > 0 {
            medium.cut(reading.sound_bytes).at("cut the torn end off", path)?;
        }
        // The last record may be one whose sync failed: it can be read and is on no disk, and only what is written again is
        // made durable by the next sync.
        let sound = usize::try_from(reading.sound_bytes).unwrap_or(bytes.len());
        let sound = bytes.get(..sound).unwrap_or_default();
        let last = sound
            .split_inclusive(|byte| *byte == b'\n')
            .next_back()
            .unwrap_or_default();
        medium
            .write_at(last, reading.sound_bytes - last.len() as u64)
            .at("write", path)?;
        medium.sync().at("sync", path)?;
        let mut journal = Self {
            medium,
            path: path.to_owned(),
            length: reading.sound_bytes,
            reserved: reading.sound_bytes,
            next: reading.records.len() as u64,
            sum: reading.sum,
            poisoned: false,
        };
        // A full disk is no reason to refuse: the rollback that would free it may be what has to be recorded.
        match journal.reserve() {
            Err(JournalError::Disk(error)) if error.is_full() => {}
            other => other?,
        }
        Ok((journal, reading.records))
    }

    /// Writes a fact, and returns its record when it is on disk.
    ///
    /// After a write that failed for want of space the journal is as before, and the call can be made again. After a sync
    /// that failed nobody knows what is on disk, so the journal takes no more.
    ///
    /// # Errors
    /// It could not be written or synced, now or earlier, or somebody has removed it.
    pub fn append(&mut self, fact: Fact, at: DateTime<Utc>) -> Result<Record, JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned {
                path: self.path.clone(),
            });
        }
        if self.medium.is_removed() {
            self.poisoned = true;
            return Err(JournalError::Removed {
                path: self.path.clone(),
            });
        }
        let record = Record {
            seq: self.next,
            at,
            fact,
        };
        let (line, sum) = line::write(&self.sum, &record).map_err(JournalError::Record)?;
        // Written to a place that is known, not appended: a second try covers what a failed one has left.
        let written = self
            .medium
            .write_at(line.as_bytes(), self.length)
            .at("write", &self.path);
        if let Err(error) = written {
            self.poisoned = self.medium.cut(self.length).is_err();
            return Err(error.into());
        }
        if let Err(error) = self.medium.sync().at("sync", &self.path) {
            self.poisoned = true;
            return Err(error.into());
        }
        self.length += line.len() as u64;
        self.next += 1;
        self.sum = sum;
        if self.length + RESERVE / 2 > self.reserved {
            // Room for later; where there is none, the records that follow may still find some.
            let _full = self.reserve();
        }
        Ok(record)
    }

    /// Where the journal is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets space aside behind what is written, without a change to the file's length.
    fn reserve(&mut self) -> Result<(), JournalError> {
        match self.medium.reserve(self.length, RESERVE) {
            // Some file systems (NFS before 4.2, some of FUSE) cannot do this: then a full disk is met when writing.
            Err(error) if !matches!(Errno::from_io_error(&error), Some(Errno::OPNOTSUPP | Errno::NOSYS)) => {
                Err(error).at("set space aside for", &self.path).map_err(Into::into)
            }
            _ => {
                self.reserved = self.length + RESERVE;
                Ok(())
            }
        }
    }
}
