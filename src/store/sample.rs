//! Verifying a sample: every file is looked at, and some of them, chosen anew each time, are read.

use std::str::FromStr;

use super::listing::Backup;
use super::verify::{Verified, compare, look};
use super::{Result, Store, StoreError, key};
use guard_model::artifact::FileEntry;
use guard_system::context::Context;
use guard_system::disk;

/// How many of the files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// So many.
    Files(usize),
    /// So many of a hundred, and one at least.
    Percent(usize),
}

impl FromStr for Sample {
    type Err = String;

    /// `20`, or `5%`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (digits, is_share) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let unfit = || format!("{text:?} is neither a count of files nor a share of them: 20, or 5%");
        let number: usize = digits.trim().parse().map_err(|_| unfit())?;
        match (number, is_share) {
            (1..=100, true) => Ok(Self::Percent(number)),
            (1.., false) => Ok(Self::Files(number)),
            _ => Err(unfit()),
        }
    }
}

impl Sample {
    fn of(self, all: usize) -> usize {
        match self {
            Self::Files(count) => count.min(all),
            Self::Percent(percent) => all.saturating_mul(percent).div_ceil(100),
        }
    }
}

/// What a sample came to, all of it sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Files that are there in the length that their manifests list.
    pub looked: u64,
    /// Those of them that were read.
    pub read: Verified,
}

impl Store {
    /// Looks at every file of these backups, and reads a sample of them, chosen by chance.
    ///
    /// # Errors
    /// A file is not what is listed (`Damaged`, with the newest other known-good backup that is sound); or it was stopped.
    pub fn verify_sample(&self, backups: &[Backup], sample: Sample, cx: &Context) -> Result<Sampled> {
        let seed = key::random()?;
        let mut drawn: Vec<(String, &Backup, &FileEntry)> = Vec::new();
        for backup in backups {
            for entry in backup.manifest.artifacts.iter().flat_map(|artifact| &artifact.files) {
                if let Err(fault) = look(&backup.directory, entry) {
                    return Err(self.damaged(backup, entry, fault, cx)?);
                }
                let name = [&seed, backup.timestamp().as_str().as_bytes(), entry.path.as_bytes()].concat();
                drawn.push((disk::sha256_hex(&name), backup, entry));
            }
        }
        drawn.sort_by(|one, other| one.0.cmp(&other.0));
        let looked = drawn.len();
        drawn.truncate(sample.of(looked));
        let mut read = Verified { files: 0, bytes: 0 };
        let total: u64 = drawn.iter().map(|(_, _, entry)| entry.bytes).sum();
        for (_, backup, entry) in drawn {
            if cx.stop.is_asked() {
                return Err(StoreError::Stopped);
            }
            if let Err(fault) = compare(&backup.directory, entry) {
                return Err(self.damaged(backup, entry, fault, cx)?);
            }
            read.files += 1;
            read.bytes += entry.bytes;
            cx.progress("verify a sample", read.bytes, Some(total));
        }
        Ok(Sampled {
            looked: looked as u64,
            read,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_count_or_a_share() {
        assert_eq!("20".parse(), Ok(Sample::Files(20)));
        assert_eq!("5%".parse(), Ok(Sample::Percent(5)));
        for wrong in ["", "0", "0%", "101%", "-1", "5 %x", "all"] {
            assert!(wrong.parse::<Sample>().is_err(), "{wrong}");
        }
        assert_eq!(Sample::Percent(5).of(10), 1);
        assert_eq!(Sample::Files(20).of(10), 10);
        assert_eq!(Sample::Percent(100).of(7), 7);
    }
}
