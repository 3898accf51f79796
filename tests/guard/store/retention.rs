//! Retention as a plan: counted by sort, by generation, never the last way back, never on a clock in doubt.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use guard::model::artifact::Artifact;
use guard::model::fingerprint::Fingerprint;
use guard::model::name::{ResourceName, Timestamp};
use guard::store::{Backup, Keep, Knowledge, Last, Listed, Manifest, Why, clock_doubt, plan_removals, plan_retention};

use super::{Place, backup, moment};

/// A backup as it would be listed, the `generation`th, made this many days after the fixed moment.
fn listed(generation: u64, days: i64, known_good: Knowledge) -> Listed {
    let begun = moment(0) + TimeDelta::days(days);
    Listed::Backup(Backup {
        directory: "/nonexistent".into(),
        verdict: None,
        manifest: Manifest {
            side: None,
            timestamp: Timestamp::at(begun, u32::try_from(generation).unwrap()),
            generation,
            begun,
            guard: "0.1.0".to_owned(),
            host: "here".to_owned(),
            run: None,
            environment: None,
            target: None,
            known_good,
            description: None,
            command: Vec::new(),
            git: None,
            settings: None,
            identities: BTreeMap::new(),
            live: BTreeMap::new(),
            recipients: Vec::new(),
            artifacts: Vec::new(),
        },
    })
}

fn generations(listed: &[Listed], removals: &[guard::store::Removal]) -> Vec<u64> {
    let generation = |timestamp: &Timestamp| {
        listed.iter().find_map(|listed| match listed {
            Listed::Backup(backup) if backup.timestamp() == timestamp => Some(backup.manifest.generation),
            _ => None,
        })
    };
    removals
        .iter()
        .map(|removal| generation(&removal.timestamp).unwrap())
        .collect()
}

fn stamp_of(listed: &Listed) -> Timestamp {
    listed.name().parse().unwrap()
}

fn day(days: i64) -> DateTime<Utc> {
    moment(60) + TimeDelta::days(days)
}

#[test]
fn the_oldest_beyond_the_newest_ten_go() {
    let all: Vec<Listed> = (1..=13)
        .map(|n| listed(n, i64::try_from(n).unwrap(), Knowledge::KnownGood))
        .collect();
    let removals = plan_retention(&all, 10, None, &[], day(13));
    assert_eq!(generations(&all, &removals), [1, 2, 3]);
    assert!(removals.iter().all(|removal| removal.why == Why::Beyond(10)));
    assert!(plan_retention(&all[3..], 10, None, &[], day(13)).is_empty());
    // Younger ones stay as well, however many there are, and older ones as far as the number goes.
    let removals = plan_retention(&all, 2, Some(7), &[], day(13));
    assert_eq!(
        generations(&all, &removals),
        [1, 2, 3, 4, 5, 6],
        "older than seven days"
    );
    assert_eq!(
        removals[0].why.to_string(),
        "newer backups of what it holds: 2, and it is older than 7 days"
    );
    assert!(plan_retention(&all, 13, Some(1), &[], day(13)).is_empty());
}

#[test]
fn fault_l11_bad_days_push_out_no_good_backup() {
    let mut all = vec![listed(1, 0, Knowledge::KnownGood), listed(2, 1, Knowledge::KnownGood)];
    all.extend((3..=40).map(|n| listed(n, 2, Knowledge::Tainted("probes failed".to_owned()))));
    let removals = plan_retention(&all, 10, None, &[], day(3));
    assert_eq!(
        generations(&all, &removals),
        (3..=30).collect::<Vec<_>>(),
        "the tainted ones are counted by themselves"
    );
    let removals = plan_retention(&all, 1, Some(30), &[], day(300));
    assert!(
        !generations(&all, &removals).contains(&2),
        "the last known-good one stays, however old"
    );
    assert!(generations(&all, &removals).contains(&1));
}

#[test]
fn fault_l10_what_is_pinned_stays() {
    let all: Vec<Listed> = (1..=20).map(|n| listed(n, 0, Knowledge::KnownGood)).collect();
    let pins = [stamp_of(&all[0]), stamp_of(&all[4])];
    let removals = plan_retention(&all, 10, None, &pins, day(0));
    assert_eq!(generations(&all, &removals), [2, 3, 4, 6, 7, 8, 9, 10]);
}

#[test]
fn fault_c2_age_counts_for_nothing_while_the_clock_is_in_doubt() {
    let good = |n, days| listed(n, days, Knowledge::KnownGood);
    let cases = [
        (vec![good(1, 0), good(2, 1)], day(3650), "leaps"),
        (vec![good(1, 0), good(2, 1), good(3, 3650)], day(3650), "leaps"),
        (vec![good(1, 0), good(2, 1), good(3, 3650)], day(2), "future"),
        (vec![good(1, 365), good(2, 0)], day(400), "after"),
    ];
    for (all, now, word) in cases {
        let doubt = clock_doubt(&all, now).unwrap();
        assert!(doubt.contains(word), "{doubt}");
        // Order is not a matter of time: the count alone holds by generation, and what age might keep is kept.
        assert!(plan_retention(&all, 1, Some(30), &[], now).is_empty(), "{doubt}");
        let by_count = plan_retention(&all, 1, None, &[], now);
        assert_eq!(by_count.len(), all.len() - 1);
        assert!(by_count.iter().all(|removal| removal.why == Why::Beyond(1)));
    }
    let all = [good(1, 0), good(2, 40)];
    assert_eq!(clock_doubt(&all, day(41)), None);
    assert_eq!(generations(&all, &plan_retention(&all, 1, Some(30), &[], day(41))), [1]);
}

#[test]
fn fault_k7_a_retention_of_nothing_still_keeps_the_newest() {
    let all: Vec<Listed> = (1..=3).map(|n| listed(n, 0, Knowledge::KnownGood)).collect();
    assert_eq!(generations(&all, &plan_retention(&all, 0, None, &[], day(0))), [1, 2]);
    assert!(plan_retention(&[], 10, Some(30), &[], day(0)).is_empty());
}

#[test]
fn ten_thousand_backups_keep_every_promise() {
    // A small generator of its own, so that a failure can be repeated.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let all: Vec<Listed> = (1..=10_000)
        .map(|n| {
            let known = match random(3) {
                0 => Knowledge::KnownGood,
                1 => Knowledge::Tainted("bad".to_owned()),
                _ => Knowledge::Unknown,
            };
            listed(n, i64::try_from(n / 30).unwrap(), known)
        })
        .collect();
    let pins: Vec<Timestamp> = (0..50)
        .map(|_| stamp_of(&all[usize::try_from(random(10_000)).unwrap()]))
        .collect();
    let removals = plan_retention(&all, 25, None, &pins, day(334));
    let gone = generations(&all, &removals);
    assert!(gone.is_sorted(), "the oldest go first");
    let good: Vec<u64> = all
        .iter()
        .filter_map(|listed| match listed {
            Listed::Backup(backup) if backup.is_known_good() => Some(backup.manifest.generation),
            _ => None,
        })
        .collect();
    let newest_good = &good[good.len() - 25..];
    assert!(newest_good.iter().all(|generation| !gone.contains(generation)));
    assert!(
        pins.iter()
            .all(|pin| removals.iter().all(|removal| &removal.timestamp != pin))
    );
    let kept = all.len() - gone.len();
    assert!((50..=100).contains(&kept), "{kept} kept");
}

/// The same, holding these resources of an environment, each told apart by a name.
fn holding(generation: u64, environment: Option<&str>, held: &[(&str, &str)]) -> Listed {
    let Listed::Backup(mut backup) = listed(generation, 0, Knowledge::KnownGood) else {
        unreachable!("a backup")
    };
    backup.manifest.environment = environment.map(str::to_owned);
    for (name, thing) in held {
        let name: ResourceName = name.parse().unwrap();
        backup.manifest.artifacts.push(Artifact {
            project: None,
            resource: name.clone(),
            kind: "sqlite".to_owned(),
            fingerprint: Fingerprint::default(),
            files: Vec::new(),
            details: serde_json::Value::Null,
            summary: String::new(),
            not_kept: Vec::new(),
            tools: Vec::new(),
        });
        if !thing.is_empty() {
            backup.manifest.identities.insert(name, vec![(*thing).to_owned()]);
        }
    }
    Listed::Backup(backup)
}

#[test]
fn points_of_the_configuration_push_out_no_database() {
    let full = [("db", "file /srv/app.db"), ("config", "")];
    let mut all = vec![holding(1, None, &full), holding(2, None, &full)];
    all.extend((3..=9).map(|n| holding(n, None, &[("config", "")])));
    let kept = |keep| {
        let gone = generations(&all, &plan_retention(&all, keep, None, &[], day(0)));
        (1..=9).filter(|n| !gone.contains(n)).collect::<Vec<u64>>()
    };
    assert_eq!(kept(1), [2, 9]);
    assert_eq!(kept(2), [1, 2, 8, 9]);
}

#[test]
fn environments_and_other_databases_are_counted_apart() {
    let all: Vec<Listed> = (1..=12)
        .map(|n| match n % 3 {
            0 => holding(n, Some("staging"), &[("db", "file /srv/app.db")]),
            1 => holding(n, None, &[("db", "file /srv/app.db")]),
            _ => holding(n, None, &[("db", "file /srv/other.db")]),
        })
        .collect();
    let gone = generations(&all, &plan_retention(&all, 1, None, &[], day(0)));
    assert_eq!(gone, (1..=9).collect::<Vec<u64>>());
}

#[test]
fn what_an_older_guard_did_not_note_is_taken_for_the_same() {
    let mut all: Vec<Listed> = (1..=4).map(|n| holding(n, None, &[("db", "")])).collect();
    all.extend((5..=6).map(|n| holding(n, None, &[("db", "file /srv/app.db")])));
    let gone = generations(&all, &plan_retention(&all, 2, None, &[], day(0)));
    assert_eq!(gone, [1, 2, 3, 4]);
}

#[test]
fn only_backups_are_planned_away() {
    let place = Place::new();
    let store = place.store();
    for second in 0..4 {
        backup(&store, moment(second), Knowledge::KnownGood);
    }
    store.begin(moment(9)).unwrap();
    std::fs::create_dir(place.backups().join("20200101_000000")).unwrap();
    std::fs::write(place.backups().join("20200101_000000/db_app.sql"), "select 1;").unwrap();
    let removals = plan_retention(&store.list().unwrap(), 2, None, &[], moment(10));
    let names: Vec<&str> = removals.iter().map(|removal| removal.timestamp.as_str()).collect();
    assert_eq!(names, ["20251022_153000", "20251022_153001"]);
    for removal in &removals {
        store.delete(&removal.timestamp, &[], Last::Stays).unwrap();
    }
    assert!(plan_retention(&store.list().unwrap(), 2, None, &[], moment(10)).is_empty());
    assert!(place.backups().join("20200101_000000/db_app.sql").exists());
}

#[test]
fn a_week_and_a_month_keep_their_newest_good_backup() {
    // One a day from 2025-10-22 on; some are bad, the newest of a week and of a month among them.
    let bad = [5_u64, 9, 10];
    let all: Vec<Listed> = (1..=80)
        .map(|n| {
            let known = if bad.contains(&n) {
                Knowledge::Unknown
            } else {
                Knowledge::KnownGood
            };
            listed(n, i64::try_from(n).unwrap() - 1, known)
        })
        .collect();
    let keep = |weekly, monthly| Keep {
        newest: 3,
        days: None,
        weekly,
        monthly,
    };
    let kept = |keep: Keep| {
        let gone = generations(&all, &plan_removals(&all, keep, &[], day(80)));
        (1..=80).filter(|n| !gone.contains(n)).collect::<Vec<u64>>()
    };
    assert_eq!(kept(keep(0, 0)), [5, 9, 10, 78, 79, 80]);
    // 2026-01-09 is the 80th: a Friday. Sundays before it are the 75th and the 68th.
    assert_eq!(kept(keep(3, 0)), [5, 9, 10, 68, 75, 78, 79, 80]);
    // December ends with the 71st, November with the 40th, and the last good one of October is the 8th.
    assert_eq!(kept(keep(0, 9)), [5, 8, 9, 10, 40, 71, 78, 79, 80]);
    assert_eq!(kept(keep(3, 2)), [5, 9, 10, 68, 71, 75, 78, 79, 80]);
    // On a clock in doubt they stay as well: it is their own time that counts, not their age.
    let gone = generations(&all, &plan_removals(&all, keep(3, 2), &[], day(80 + 5000)));
    assert_eq!(gone.len(), 80 - 9);
}
