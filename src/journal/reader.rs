//! Reading a journal: every record up to the end, a torn tail set apart from damage.

use std::path::Path;

use super::error::JournalError;
use super::line::{self, ORIGIN, VERSION, Wrong};
use guard_model::fact::Record;
use guard_system::disk;

/// The journal's name in the directory of its run.
pub const FILE: &str = "journal.jsonl";

/// What stands in a journal.
#[derive(Debug)]
pub struct Reading {
    /// The records, their numbers without a gap from 0.
    pub records: Vec<Record>,
    /// Bytes that the records take; what follows them is a torn tail.
    pub sound_bytes: u64,
    /// Bytes of the torn tail: of a record whose writing was cut off, so that nothing was done upon it.
    pub torn_bytes: u64,
    /// The sum of the last record.
    pub(super) sum: String,
}

/// Reads the records in the directory of a run without changing anything; a torn tail is left out.
///
/// # Errors
/// There is none, it is damaged, it is of a newer guard, or it cannot be read.
pub fn read(directory: &Path) -> Result<Vec<Record>, JournalError> {
    Ok(read_all(directory)?.records)
}

/// Reads the records in the directory of a run without changing anything, and says how much of the file is sound.
///
/// # Errors
/// There is none, it is damaged, it is of a newer guard, or it cannot be read.
pub fn read_all(directory: &Path) -> Result<Reading, JournalError> {
    let path = directory.join(FILE);
    match disk::read_optional(&path)? {
        Some(bytes) => parse(&path, &bytes),
        None => Err(JournalError::Absent { path }),
    }
}

/// The unit in which a disk writes: what was not written of a line are whole units, which read as zeros.
const SECTOR: usize = 512;

/// Whether the last line, which is not a record, may be one whose writing was cut off: it lacks its end, or sectors of it
/// were never written. Each line is on disk before the next is begun, so no other line can be torn. A last line that is
/// whole and wrong was changed afterwards; acts may have followed it, and leaving it out would be a guess.
fn is_torn(start: usize, line: &[u8], is_terminated: bool, rest: &[u8]) -> bool {
    if !rest.iter().all(|byte| *byte == 0) {
        return false;
    }
    if !is_terminated {
        return true;
    }
    let mut lost = 0;
    let mut at = start;
    for run in line.chunk_by(|one, other| (*one == 0) == (*other == 0)) {
        let end = at + run.len();
        if run.first() == Some(&0) {
            // Where it begins says nothing: the line may have been written twice, and the first time only its beginning.
            if !end.is_multiple_of(SECTOR) {
                return false;
            }
            lost += run.len();
        }
        at = end;
    }
    lost > 0
}

/// Reads the records in the bytes of a journal, which messages call by this path; says how much of them is sound.
///
/// # Errors
/// It is damaged, or of a newer guard.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Reading, JournalError> {
    let mut reading = Reading {
        records: Vec::new(),
        sound_bytes: 0,
        torn_bytes: 0,
        sum: ORIGIN.to_owned(),
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, behind) = match end {
            Some(end) => (
                rest.get(..end).unwrap_or_default(),
                rest.get(end + 1..).unwrap_or_default(),
            ),
            None => (rest, &[][..]),
        };
        let next = reading.records.len() as u64;
        let read = match line.split_last() {
            _ if end.is_some() => line::read(&reading.sum, next, line),
            // A record that is whole was written with its end: what stands there now came later.
            Some((last, record)) if *last != 0 && line::read(&reading.sum, next, record).is_ok() => {
                Err(Wrong::Changed("its end was changed".to_owned()))
            }
            _ => Err(Wrong::Bad("it has no end".to_owned())),
        };
        match read {
            Ok((record, sum)) => {
                reading.records.push(record);
                reading.sum = sum;
                reading.sound_bytes += line.len() as u64 + 1;
            }
            Err(Wrong::Newer(found)) => {
                return Err(JournalError::Newer {
                    path: path.to_owned(),
                    found,
                    ours: VERSION,
                });
            }
            Err(Wrong::Bad(_)) if is_torn(bytes.len() - rest.len(), line, end.is_some(), behind) => {
                reading.torn_bytes = rest.len() as u64;
                return Ok(reading);
            }
            Err(Wrong::Bad(reason) | Wrong::Changed(reason)) => {
                return Err(JournalError::Damaged {
                    path: path.to_owned(),
                    line: reading.records.len() + 1,
                    lines: bytes
                        .split(|byte| *byte == b'\n')
                        .filter(|line| !line.is_empty())
                        .count(),
                    reason,
                });
            }
        }
        rest = behind;
    }
    Ok(reading)
}
