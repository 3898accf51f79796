//! Retention: which backups may go. A pure function of the list, the settings and the time.
//!
//! The rule: a backup stays while it is among the newest `keep` that hold a resource of one system and environment, or
//! younger than `keep_days`. It is counted for each resource that it holds, so that points of the configuration alone push
//! out no database; and known-good ones are counted apart from all others, so that a row of bad days pushes out no good one.
//! The newest good one of a week or a month may stay for longer, as the last `weekly` weeks and `monthly` months that have
//! one. Every pinned one stays. While the clock is in doubt, age takes nothing away.

use std::collections::{HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::listing::{Backup, Listed};
use guard_model::name::Timestamp;
use guard_model::text;

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
    /// So many newer ones hold what it holds, and nothing is kept for its age.
    Beyond(usize),
    /// So many newer ones hold what it holds, and it is older than so many days.
    BeyondAndOld(usize, u32),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beyond(keep) => write!(f, "newer backups of what it holds: {}", text::count(*keep as u64)),
            Self::BeyondAndOld(keep, days) => write!(
                f,
                "newer backups of what it holds: {}, and it is older than {}",
                text::count(*keep as u64),
                text::plural(u64::from(*days), "day")
            ),
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
    /// The newest so many that hold a resource; 0 is taken for 1, since a retention that keeps nothing is a mistake.
    pub newest: usize,
    /// And all of the last so many days; `None`: only the count keeps them.
    pub days: Option<u32>,
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
    keep_days: Option<u32>,
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

/// What backups are counted by: the system, its environment, and one of the things that they hold, `None` for a backup that
/// holds nothing.
type Sort<'b> = (Option<&'b str>, Option<&'b str>, Option<(&'b str, Option<&'b str>)>);

/// What the resources of each system and environment are, by the newest backup that notes it: those of an older guard, which
/// noted nothing, are taken to be copies of the same.
type Known<'b> = HashMap<(Option<&'b str>, Option<&'b str>, &'b str), &'b str>;

/// The sorts that a backup is counted in. Called for the newest first.
fn sorts<'b>(backup: &'b Backup, known: &mut Known<'b>) -> Vec<Sort<'b>> {
    let manifest = &backup.manifest;
    let (target, environment) = (manifest.target.as_deref(), manifest.environment.as_deref());
    if manifest.artifacts.is_empty() {
        return vec![(target, environment, None)];
    }
    let mut all = Vec::new();
    for artifact in &manifest.artifacts {
        let name = artifact.resource.as_str();
        let noted = manifest
            .identities
            .get(&artifact.resource)
            .and_then(|names| names.first());
        if let Some(noted) = noted {
            known.entry((target, environment, name)).or_insert(noted);
        }
        let thing = noted
            .map(String::as_str)
            .or_else(|| known.get(&(target, environment, name)).copied());
        all.push((target, environment, Some((name, thing))));
    }
    all
}

/// The backups that may go, the oldest first. Foreign, incomplete and unreadable ones are never among them.
#[must_use]
pub fn plan_removals(listed: &[Listed], keep: Keep, pinned: &[Timestamp], now: DateTime<Utc>) -> Vec<Removal> {
    let newest = keep.newest.max(1);
    let is_doubted = clock_doubt(listed, now).is_some();
    let is_young = |backup: &Backup| {
        keep.days.is_some_and(|days| {
            let oldest = now.checked_sub_signed(TimeDelta::days(i64::from(days)));
            is_doubted || oldest.is_none_or(|oldest| backup.manifest.begun >= oldest)
        })
    };
    let mut ordered: Vec<&Backup> = backups(listed).collect();
    ordered.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
    let pinned: HashSet<&Timestamp> = pinned.iter().collect();
    let mut ranks: HashMap<(Sort<'_>, bool), usize> = HashMap::new();
    let mut calendars: HashMap<Sort<'_>, (Calendar, Calendar)> = HashMap::new();
    let mut known = Known::new();
    let mut removals = Vec::new();
    for backup in ordered {
        let is_good = backup.is_known_good();
        let begun = backup.manifest.begun;
        let (week, month) = (begun.iso_week(), (begun.year(), begun.month()));
        let mut stays = pinned.contains(backup.timestamp()) || is_young(backup);
        // Every sort is asked, also where one has spoken: each counts for itself.
        for sort in sorts(backup, &mut known) {
            let rank = ranks.entry((sort, is_good)).or_default();
            *rank += 1;
            stays |= *rank <= newest;
            let (weeks, months) = calendars.entry(sort).or_default();
            stays |= is_good && weeks.takes((week.year(), week.week()), keep.weekly);
            stays |= is_good && months.takes(month, keep.monthly);
        }
        let why = match keep.days {
            _ if stays => continue,
            None => Why::Beyond(newest),
            Some(days) => Why::BeyondAndOld(newest, days),
        };
        removals.push(Removal {
            timestamp: backup.timestamp().clone(),
            why,
        });
    }
    removals.reverse();
    removals
}
