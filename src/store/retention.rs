//! Retention: which backups may go. A pure function of the list, the settings and the time.
//!
//! The rule: a backup stays while it is among the newest `keep` of its sort and not older than `keep_days`. Known-good
//! backups of one target are a sort, all others of it another, so that a row of bad days pushes out no good one. The newest
//! good one of a week or a month may stay for longer, as the last `weekly` weeks and `monthly` months that have one. Whatever
//! the rule says, the newest known-good backup stays, and so does every pinned one. While the clock is in doubt, age counts for nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

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

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many of each sort; 0 is taken for 1, since a retention that keeps nothing is a mistake.
    pub newest: usize,
    /// None of them older than so many days.
    pub days: u32,
    /// Beside them the newest good one of each of so many weeks, whatever its age.
    pub weekly: u32,
    /// And of so many months.
    pub monthly: u32,
}

/// The weeks or months of one sort that have their backup already.
#[derive(Default)]
struct Calendar(HashSet<(i32, u32)>);

impl Calendar {
    /// Whether this is the first, so the newest, of its week or month, among the newest so many of these.
    fn takes(&mut self, page: (i32, u32), most: u32) -> bool {
        let has_room = self.0.len() < usize::try_from(most).unwrap_or(usize::MAX);
        has_room && self.0.insert(page)
    }
}

/// As [`plan_removals`], with no weeks and no months.
#[must_use]
pub fn plan_retention(
    listed: &[Listed],
    keep: usize,
    keep_days: u32,
    pinned: &[Timestamp],
    now: DateTime<Utc>,
) -> Vec<Removal> {
    let keep = Keep {
        newest: keep,
        days: keep_days,
        weekly: 0,
        monthly: 0,
    };
    plan_removals(listed, keep, pinned, now)
}

/// The backups that may go, the oldest first. Foreign, incomplete and unreadable ones are never among them.
#[must_use]
pub fn plan_removals(listed: &[Listed], keep: Keep, pinned: &[Timestamp], now: DateTime<Utc>) -> Vec<Removal> {
    let newest = keep.newest.max(1);
    let oldest = clock_doubt(listed, now)
        .is_none()
        .then(|| now.checked_sub_signed(TimeDelta::days(i64::from(keep.days))))
        .flatten();
    let mut ordered: Vec<&Backup> = backups(listed).collect();
    ordered.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
    let pinned: HashSet<&Timestamp> = pinned.iter().collect();
    let mut ranks: HashMap<(Option<&str>, bool), usize> = HashMap::new();
    let mut calendars: HashMap<Option<&str>, (Calendar, Calendar)> = HashMap::new();
    let mut removals = Vec::new();
    for backup in ordered {
        let is_good = backup.is_known_good();
        let rank = ranks.entry((backup.manifest.target.as_deref(), is_good)).or_default();
        *rank += 1;
        let is_last_way_back = is_good && *rank == 1;
        let (weeks, months) = calendars.entry(backup.manifest.target.as_deref()).or_default();
        let begun = backup.manifest.begun;
        let (week, month) = (begun.iso_week(), (begun.year(), begun.month()));
        // Both are asked: a backup may stand for its week and for its month.
        let is_weekly = is_good && weeks.takes((week.year(), week.week()), keep.weekly);
        let is_monthly = is_good && months.takes(month, keep.monthly);
        if is_last_way_back || is_weekly || is_monthly || pinned.contains(backup.timestamp()) {
            continue;
        }
        let why = if *rank > newest {
            Some(Why::Beyond(newest))
        } else if oldest.is_some_and(|oldest| backup.manifest.begun < oldest) {
            Some(Why::Age(keep.days))
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
