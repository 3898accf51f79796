//! What the probes saw of a run: a lane for each, the share of failures with its limit, and how long production was down.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::material::Material;
use super::phases::Axis;
use super::safe::Safe;
use crate::run_view::RunView;
use guard_model::health::{Outcome, Reading, Started, Watched, share};
use guard_model::name::ProbeName;
use guard_model::plan::{Action, Step};
use guard_model::secret::Redaction;

/// The columns of a lane at most: more cannot be told apart on a wide screen. Fewer where there are many probes, so that the
/// size of a report stays bounded.
const COLUMNS: usize = 240;
/// Columns of all lanes together.
const COLUMNS_IN_ALL: usize = 6_000;
/// The points of the share's curve at most.
const POINTS: usize = 240;

/// What one probe saw.
#[derive(Debug, Clone, Serialize)]
pub struct Lane {
    /// The probe.
    pub probe: Safe,
    /// Whether its failures decide.
    pub decides: bool,
    /// How often it saw.
    pub checks: u64,
    /// How often it failed.
    pub failures: u64,
    /// How often it could not see.
    pub unknown: u64,
    /// The seconds that a good answer usually took: the median before the deploy command. `None`: there is none.
    pub usual: Option<f64>,
    /// The median of the good answers since.
    pub since: Option<f64>,
    /// The seconds at full height.
    pub scale: f64,
    /// Its columns that hold readings.
    pub columns: Vec<Column>,
    /// What its last failure saw.
    pub last_failure: Option<Safe>,
    /// What its last answer saw.
    pub last: Safe,
}

/// The readings of one column.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Column {
    /// Where it begins on the axis, 0 to 1.
    pub from: f64,
    /// How wide it is.
    pub width: f64,
    /// The worst of its outcomes: failed, else unknown, else ok.
    pub outcome: Outcome,
    /// The longest of its answers, in seconds.
    pub took: f64,
}

/// The share of failures that the verdict weighs, as it grew.
#[derive(Debug, Clone, Serialize)]
pub struct ShareCurve {
    /// The limit, a ratio.
    pub limit: f64,
    /// Moments on the axis, and the share of the worst probe that decides.
    pub points: Vec<(f64, f64)>,
    /// Its highest value.
    pub highest: f64,
}

/// A time in which a probe that decides saw production down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outage {
    /// The first failed reading.
    pub from: DateTime<Utc>,
    /// The last one; the same where there is one only.
    pub to: DateTime<Utc>,
    /// The last good reading before it; the first failed one where there is none.
    pub earliest: DateTime<Utc>,
    /// The first good one behind it; `None`: it was never seen well again.
    pub latest: Option<DateTime<Utc>>,
}

/// How long production was down, as the probes saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Downtime {
    /// The outages of all probes that decide, joined where they touch.
    pub outages: Vec<Outage>,
    /// Seconds between the first and the last failure of each: so long at least.
    pub at_least: f64,
    /// Seconds between the good readings around each: so long at most.
    pub at_most: f64,
    /// Whether the last outage was seen to end.
    pub is_over: bool,
}

/// The probes whose failures decide; all of them where no watch says which.
fn deciding(material: &Material) -> Vec<&ProbeName> {
    let mut names: Vec<&ProbeName> = material.watches.iter().flat_map(|watched| &watched.probes).collect();
    if names.is_empty() {
        names = material.readings.iter().map(|reading| &reading.probe).collect();
    }
    names.sort();
    names.dedup();
    names
}

/// When the deploy command, or the way back, began to change things; what came before is usual.
pub(super) fn changed_from(view: &RunView) -> Option<DateTime<Utc>> {
    let deploy = view.began(&Step::of(Action::Deploy).id);
    deploy.or_else(|| view.began(&Step::of(Action::Quiesce).id))
}

pub(super) fn lanes(material: &Material, view: &RunView, axis: &Axis, redaction: &Redaction) -> Vec<Lane> {
    let mut by_probe: BTreeMap<&ProbeName, Vec<&Reading>> = BTreeMap::new();
    for reading in &material.readings {
        by_probe.entry(&reading.probe).or_default().push(reading);
    }
    let deciding = deciding(material);
    let from = changed_from(view);
    let columns = (COLUMNS_IN_ALL / by_probe.len().max(1)).clamp(20, COLUMNS);
    by_probe
        .into_iter()
        .map(|(probe, readings)| {
            let count = |outcome| readings.iter().filter(|reading| reading.outcome == outcome).count() as u64;
            let took = |is_wanted: &dyn Fn(&Reading) -> bool| {
                let good = readings
                    .iter()
                    .filter(|reading| reading.outcome == Outcome::Ok && is_wanted(reading));
                median(good.map(|reading| reading.latency.as_secs_f64()).collect())
            };
            let usual = took(&|reading| from.is_none_or(|from| reading.at < from));
            let last = |outcome: Option<Outcome>| {
                let mut found = readings.iter().rev();
                found.find(|reading| outcome.is_none_or(|outcome| reading.outcome == outcome))
            };
            let failures = count(Outcome::Failed);
            Lane {
                probe: Safe::of(probe.as_str(), redaction),
                decides: deciding.binary_search(&probe).is_ok(),
                checks: count(Outcome::Ok) + failures,
                failures,
                unknown: count(Outcome::Unknown),
                usual,
                since: from.and_then(|from| took(&|reading| reading.at >= from)),
                scale: scale(&readings, usual),
                columns: binned(&readings, axis, columns),
                last_failure: last(Some(Outcome::Failed)).map(|reading| Safe::of(&reading.note, redaction)),
                last: Safe::of(last(None).map_or("", |reading| reading.note.as_str()), redaction),
            }
        })
        .collect()
}

/// The seconds at full height: three times what is usual, so that an answer that took twice as long is seen, and more where
/// most of the slow ones were slower.
fn scale(readings: &[&Reading], usual: Option<f64>) -> f64 {
    let good = readings.iter().filter(|reading| reading.outcome == Outcome::Ok);
    let mut took: Vec<f64> = good.map(|reading| reading.latency.as_secs_f64()).collect();
    took.sort_by(f64::total_cmp);
    let slow = took.get(took.len() * 95 / 100).copied().unwrap_or_default();
    slow.max(3.0 * usual.unwrap_or_default()).max(0.001)
}

fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "columns: small whole numbers that are not negative"
)]
fn binned(readings: &[&Reading], axis: &Axis, columns: usize) -> Vec<Column> {
    let mut bins: BTreeMap<usize, Column> = BTreeMap::new();
    let width = 1.0 / columns as f64;
    for reading in readings {
        let bin = ((axis.place(reading.at) * columns as f64) as usize).min(columns - 1);
        let took = reading.latency.as_secs_f64();
        let known = bins.entry(bin).or_insert(Column {
            from: bin as f64 * width,
            width,
            outcome: Outcome::Ok,
            took: 0.0,
        });
        known.took = known.took.max(took);
        known.outcome = match (known.outcome, reading.outcome) {
            (Outcome::Failed, _) | (_, Outcome::Failed) => Outcome::Failed,
            (Outcome::Unknown, _) | (_, Outcome::Unknown) => Outcome::Unknown,
            _ => Outcome::Ok,
        };
    }
    bins.into_values().collect()
}

/// The watch that judged the release.
fn judging(material: &Material) -> Option<&Watched> {
    let mut watches = material.watches.iter().rev();
    watches.find(|watched| watched.behind_the_gate && watched.started == Started::Deployed)
}

pub(super) fn share_curve(material: &Material, axis: &Axis) -> Option<ShareCurve> {
    let watched = judging(material)?;
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a watch")]
    let until = watched.at + chrono::TimeDelta::milliseconds((watched.asked * 1000.0) as i64 + 1);
    let mut counts: BTreeMap<&ProbeName, (u64, u64)> = BTreeMap::new();
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut highest = 0.0_f64;
    for reading in &material.readings {
        let is_of_it = reading.at >= watched.at && reading.at <= until && watched.probes.contains(&reading.probe);
        if !is_of_it || reading.outcome == Outcome::Unknown {
            continue;
        }
        let (failed, known) = counts.entry(&reading.probe).or_default();
        *known += 1;
        *failed += u64::from(reading.outcome == Outcome::Failed);
        let worst = counts
            .values()
            .map(|(failed, known)| share(*failed, *known))
            .fold(0.0, f64::max);
        highest = highest.max(worst);
        points.push((axis.place(reading.at), worst));
    }
    let last = points.last().copied()?;
    let step = points.len().div_ceil(POINTS).max(1);
    // Of each stretch the highest value is kept: a peak is what a reader looks for.
    let mut thinned: Vec<(f64, f64)> = points
        .chunks(step)
        .filter_map(|stretch| stretch.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)))
        .collect();
    if thinned.last() != Some(&last) {
        thinned.push(last);
    }
    Some(ShareCurve {
        limit: watched.rule.error_threshold,
        points: thinned,
        highest,
    })
}

/// The outages that the probes that decide saw, joined; `None` where nothing was asked.
pub(super) fn downtime(material: &Material, axis: &Axis) -> Option<Downtime> {
    if material.readings.is_empty() {
        return None;
    }
    let mut outages: Vec<Outage> = Vec::new();
    for probe in deciding(material) {
        outages.extend(of_probe(
            material.readings.iter().filter(|reading| &reading.probe == probe),
        ));
    }
    outages.sort_by_key(|outage| outage.from);
    let mut joined: Vec<Outage> = Vec::new();
    for outage in outages {
        match joined.last_mut() {
            // What begins before the one before was seen to be over is the same outage.
            Some(last) if last.latest.is_none_or(|latest| outage.earliest < latest) => {
                last.to = last.to.max(outage.to);
                last.earliest = last.earliest.min(outage.earliest);
                last.latest = last.latest.zip(outage.latest).map(|(a, b)| a.max(b));
            }
            _ => joined.push(outage),
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "the length of a run in milliseconds")]
    let end = axis.from + chrono::TimeDelta::milliseconds((axis.seconds * 1000.0) as i64);
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| crate::moment::span(from, to).as_secs_f64();
    Some(Downtime {
        at_least: joined.iter().map(|outage| seconds(outage.from, outage.to)).sum(),
        at_most: joined
            .iter()
            .map(|outage| seconds(outage.earliest, outage.latest.unwrap_or(end)))
            .sum(),
        is_over: joined.iter().all(|outage| outage.latest.is_some()),
        outages: joined,
    })
}

fn of_probe<'r>(readings: impl Iterator<Item = &'r Reading>) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    let (mut last_good, mut open): (Option<DateTime<Utc>>, Option<Outage>) = (None, None);
    for reading in readings {
        match (reading.outcome, &mut open) {
            (Outcome::Unknown, _) => {}
            (Outcome::Ok, _) => {
                last_good = Some(reading.at);
                outages.extend(open.take().map(|outage| Outage {
                    latest: Some(reading.at),
                    ..outage
                }));
            }
            (Outcome::Failed, Some(outage)) => outage.to = reading.at,
            (Outcome::Failed, None) => {
                open = Some(Outage {
                    from: reading.at,
                    to: reading.at,
                    earliest: last_good.unwrap_or(reading.at),
                    latest: None,
                });
            }
        }
    }
    outages.extend(open);
    outages
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reading(probe: &str, second: i64, outcome: Outcome) -> Reading {
        Reading {
            probe: probe.parse().unwrap(),
            at: DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(second),
            t: 0.0,
            outcome,
            class: None,
            note: String::new(),
            latency: Duration::from_millis(5),
            figures: BTreeMap::new(),
            number: None,
            is_restart: false,
        }
    }

    fn axis(seconds: f64) -> Axis {
        Axis {
            from: DateTime::UNIX_EPOCH,
            seconds,
        }
    }

    #[test]
    fn outages_of_two_probes_that_touch_are_one_and_count_once() {
        let (ok, failed) = (Outcome::Ok, Outcome::Failed);
        let readings = [
            ("a", 0, ok),
            ("b", 0, ok),
            ("a", 10, failed),
            ("b", 12, failed),
            ("a", 14, failed),
            ("b", 15, ok),
            ("a", 16, ok),
            ("a", 30, failed),
        ];
        let readings = readings.map(|(probe, second, outcome)| reading(probe, second, outcome));
        let material = Material {
            readings: readings.to_vec(),
            ..Material::default()
        };
        let downtime = downtime(&material, &axis(40.0)).unwrap();
        assert_eq!(downtime.outages.len(), 2, "{downtime:?}");
        // 10 to 14 at least, 0 to 16 at most; the second was seen once, and never seen to end.
        assert!((downtime.at_least - 4.0).abs() < 1e-6, "{downtime:?}");
        assert!((downtime.at_most - (16.0 + 40.0 - 16.0)).abs() < 1e-6, "{downtime:?}");
        assert!(!downtime.is_over);
    }

    #[test]
    fn a_column_tells_the_worst_that_it_holds_and_a_lane_stays_small() {
        let mut readings: Vec<Reading> = (0..10_000).map(|second| reading("a", second, Outcome::Ok)).collect();
        readings[5_000].outcome = Outcome::Failed;
        let all: Vec<&Reading> = readings.iter().collect();
        let columns = binned(&all, &axis(10_000.0), COLUMNS);
        assert_eq!(columns.len(), COLUMNS);
        let failed: Vec<&Column> = columns
            .iter()
            .filter(|column| column.outcome == Outcome::Failed)
            .collect();
        assert_eq!(failed.len(), 1);
        assert!((failed[0].from - 0.5).abs() < 0.01, "{failed:?}");
    }
}
