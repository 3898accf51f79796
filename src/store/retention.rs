//! Retention: which backups may go. A pure function of the list, the settings and the time.
//!
//! The rule: a backup stays while it is among the newest `keep` of its sort and not older than `keep_days`. Known-good
//! backups of one target are a sort, all others of it another, so that a row of bad days pushes out no good one. Whatever
//! the rule says, the newest known-good backup stays, and so does every pinned one. While the clock is in doubt, age counts for nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::listing::{Backup, Listed};
use crate::model::name::Timestamp;
use crate::model::text;

/// A time between one backup and the next that speaks for a clock that jumped rather than for a project that rested.
const ABSURD_DAYS: i64 = 2 * 365;
/// Clocks may differ by this much.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// A backup that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The backup.
    pub timestamp: Timestamp,
    /// Why.
    pub why: Why,
}

/// Why a backup may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// So many newer ones of its sort are kept.
    Beyond(usize),
    /// It is older than so many days.
    Age(u32),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beyond(keep) => write!(f, "{} newer of its sort are kept", text::count(*keep as u64)),
            Self::Age(days) => write!(f, "it is older than {}", text::plural(u64::from(*days), "day")),
        }
    }
}

/// Why the clock cannot be trusted to tell how old backups are, in words; `None` where nothing speaks against it. In the
/// order of their generations the backups must not go back in time, nor leap, up to now.
#[must_use]
pub fn clock_doubt(listed: &[Listed], now: DateTime<Utc>) -> Option<String> {
    let mut ordered: Vec<&Backup> = backups(listed).collect();
    ordered.sort_by_key(|backup| backup.order());
    let shown = |moment: DateTime<Utc>| moment.format("%Y-%m-%d %H:%M UTC").to_string();
    let newest = ordered.iter().map(|backup| backup.manifest.begun).max()?;
    if newest > now + TOLERANCE {
        return Some(format!("a backup is from {}, which lies in the future", shown(newest)));
    }
    let moments: Vec<DateTime<Utc>> = ordered
        .iter()
        .map(|backup| backup.manifest.begun)
        .chain([now])
        .collect();
    moments.windows(2).find_map(|pair| {
        let [before, after] = pair else { return None };
        if *after + TOLERANCE < *before {
            Some(format!(
                "a backup from {} was made after one from {}",
                shown(*after),
                shown(*before)
            ))
        } else if *after - *before > TimeDelta::days(ABSURD_DAYS) {
            Some(format!("the clock leaps from {} to {}", shown(*before), shown(*after)))
        } else {
            None
        }
    })
}

fn backups(listed: &[Listed]) -> impl Iterator<Item = &Backup> {
    listed.iter().filter_map(|listed| match listed {
        Listed::Backup(backup) => Some(backup),
        _ => None,
    })
}

/// The backups that may go, the oldest first. Foreign, incomplete and unreadable ones are never among them.
///
/// `keep` is at least 1; 0 is taken for 1, since a retention that keeps nothing is a mistake.
#[must_use]
pub fn plan_retention(
    listed: &[Listed],
    keep: usize,
    keep_days: u32,
    pinned: &[Timestamp],
    now: DateTime<Utc>,
) -> Vec<Removal> {
    let keep = keep.max(1);
    let oldest = clock_doubt(listed, now)
        .is_none()
        .then(|| now.checked_sub_signed(TimeDelta::days(i64::from(keep_days))))
        .flatten();
    let mut ordered: Vec<&Backup> = backups(listed).collect();
    ordered.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
    let pinned: HashSet<&Timestamp> = pinned.iter().collect();
    let mut ranks: HashMap<(Option<&str>, bool), usize> = HashMap::new();
    let mut removals = Vec::new();
    for backup in ordered {
        let is_good = backup.is_known_good();
        let rank = ranks.entry((backup.manifest.target.as_deref(), is_good)).or_default();
        *rank += 1;
        let is_last_way_back = is_good && *rank == 1;
        if is_last_way_back || pinned.contains(backup.timestamp()) {
            continue;
        }
        let why = if *rank > keep {
            Some(Why::Beyond(keep))
        } else if oldest.is_some_and(|oldest| backup.manifest.begun < oldest) {
            Some(Why::Age(keep_days))
        } else {
            None
        };
        removals.extend(why.map(|why| Removal {
            timestamp: backup.timestamp().clone(),
            why,
        }));
    }
    removals.reverse();
    removals
}
