//! The rule against chance: thousands of watches with seeded luck, their figures printed with `--nocapture`.

use std::time::Duration;

use guard::model::health::{Class, Decision, Outcome, RateForm, Reading, Rule, Verdict};
use guard::watch::{Judge, judge};

use super::{name, reading, run};

const TRIALS: u32 = 2_000;

/// A linear congruential generator (Knuth's constants): the same luck on every machine.
struct Luck(u64);

impl Luck {
    fn new(seed: u32) -> Self {
        let mut luck = Self(u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03);
        luck.share();
        luck
    }

    /// A number from 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn fails(&mut self, share: f64) -> Outcome {
        if self.share() < share {
            Outcome::Failed
        } else {
            Outcome::Ok
        }
    }
}

/// The share of watches that ended as bad, in percent, and the seconds from `begin` to that: median, 95th, 99th percentile.
fn measured(what: &str, begin: f64, mut trial: impl FnMut(&mut Luck) -> (f64, Verdict)) -> (f64, [f64; 3]) {
    let mut times = Vec::new();
    for seed in 0..TRIALS {
        if let (when, Verdict::Bad(_)) = trial(&mut Luck::new(seed)) {
            times.push(when - begin);
        }
    }
    times.sort_by(f64::total_cmp);
    let bad = 100.0 * f64::from(u32::try_from(times.len()).unwrap()) / f64::from(TRIALS);
    let at = |percent: usize| {
        times
            .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
            .copied()
    };
    let times = [50, 95, 99].map(|percent| at(percent).unwrap_or(f64::NAN));
    eprintln!(
        "{what:<44} bad {bad:6.2} %   after {:5.1} / {:5.1} / {:5.1} s",
        times[0], times[1], times[2]
    );
    (bad, times)
}

#[test]
fn a_healthy_release_with_stray_failures_stays() {
    for (share, most) in [(0.01, 0.05), (0.02, 0.05), (0.05, 0.1)] {
        let what = format!("{:.0} % stray failures", share * 100.0);
        let (bad, _) = measured(&what, 0.0, |luck| run(&Rule::default(), |_| luck.fails(share)));
        assert!(bad <= most, "{what}: {bad} %");
    }
    // The older rule and the plain share do worse, which is why they are not the default.
    let classic = Rule {
        decision: Decision::Classic,
        interval: Duration::from_secs(10),
        ..Rule::default()
    };
    let (bad, _) = measured("5 % stray failures, classic", 0.0, |luck| {
        run(&classic, |_| luck.fails(0.05))
    });
    assert!(bad > 10.0);
    let plain = Rule {
        rate: RateForm::Observed,
        ..Rule::default()
    };
    let (bad, _) = measured("5 % stray failures, rate = observed", 0.0, |luck| {
        run(&plain, |_| luck.fails(0.05))
    });
    assert!(bad > 1.0);
}

#[test]
fn outages_decide_when_they_last() {
    let rule = Rule::default();
    let (bad, times) = measured("down for good after minute 1", 120.0, |luck| {
        let begin = 120.0 + luck.share();
        let (when, verdict) = run(&rule, |t| if t >= begin { Outcome::Failed } else { luck.fails(0.01) });
        (when - (begin - 120.0), verdict)
    });
    assert!((bad - 100.0).abs() < 1e-9 && times[2] <= 12.0, "{bad} {times:?}");
    let (bad, _) = measured("one outage of 9 s", 0.0, |luck| {
        let begin = 5.0 + 580.0 * luck.share();
        run(&rule, |t| {
            if (begin..begin + 9.0).contains(&t) {
                Outcome::Failed
            } else {
                luck.fails(0.01)
            }
        })
    });
    assert!(bad <= 0.1, "{bad}");
    let (bad, _) = measured("slow start up to 55 s, then restart of 28 s", 0.0, |luck| {
        let start = 55.0 * luck.share();
        let restart = start + 5.0 + 50.0 * luck.share();
        run(&rule, |t| {
            let is_down = t < start || (restart..restart + 28.0).contains(&t);
            if is_down { Outcome::Failed } else { Outcome::Ok }
        })
    });
    assert!(bad <= 0.1, "{bad}");
    for (up, most) in [(10.0, 60.0), (20.0, 90.0), (40.0, 150.0)] {
        let (bad, times) = measured(&format!("flapping, 8 s down and {up} s up"), 60.0, |luck| {
            let shift = luck.share() * (8.0 + up);
            run(&rule, |t| {
                let is_down = t >= 60.0 + shift && (t - 60.0 - shift) % (8.0 + up) < 8.0;
                if is_down { Outcome::Failed } else { Outcome::Ok }
            })
        });
        // The shift, up to one period, is in the measured time.
        assert!(
            (bad - 100.0).abs() < 1e-9 && times[1] <= most + 8.0 + up,
            "{bad} {times:?}"
        );
    }
}

/// A watch of a server that takes connections but says nothing from `begin` for `span` seconds: a probe waits until it
/// speaks again, 5 s at most.
fn hang(begin: f64, span: f64) -> (f64, Verdict) {
    let end = begin + span;
    let probe = name("web");
    let mut readings: Vec<Reading> = (0..800)
        .map(f64::from)
        .map(|t| {
            let wait = if (begin..end).contains(&t) { end - t } else { 0.01 };
            let outcome = if wait > 5.0 { Outcome::Failed } else { Outcome::Ok };
            let latency = Duration::from_secs_f64(wait.min(5.0));
            Reading {
                latency,
                ..reading(&probe, t, outcome)
            }
        })
        .collect();
    let answered = |reading: &Reading| reading.t + reading.latency.as_secs_f64();
    readings.sort_by(|one, other| answered(one).total_cmp(&answered(other)));
    let mut judge = Judge::new(Rule::default(), vec![probe]);
    for reading in &readings {
        judge.take(reading);
        let verdict = judge.verdict(answered(reading));
        if verdict != Verdict::Undecided {
            return (answered(reading), verdict);
        }
    }
    panic!("a watch ends");
}

#[test]
fn silence_is_an_outage_like_any_other() {
    let (bad, times) = measured("hanging for good after minute 1", 0.0, |luck| {
        let begin = 120.0 + luck.share();
        let (when, verdict) = hang(begin, 9e9);
        (when - begin, verdict)
    });
    assert!((bad - 100.0).abs() < 1e-9 && times[2] <= 12.0, "{bad} {times:?}");
    let (bad, _) = measured("hanging for 9 s", 0.0, |luck| hang(5.0 + 580.0 * luck.share(), 9.0));
    assert!(bad <= 0.1, "{bad}");
}

#[test]
fn one_bad_replica_is_found() {
    for (replicas, most) in [(2.0, 65.0), (3.0, 115.0), (5.0, 300.0)] {
        let (bad, times) = measured(&format!("1 of {replicas} replicas bad from the start"), 1.0, |luck| {
            run(&Rule::default(), |t| {
                if t < 2.0 {
                    Outcome::Ok
                } else {
                    luck.fails(1.0 / replicas)
                }
            })
        });
        assert!(bad > 95.0 && times[1] <= most, "{bad} {times:?}");
    }
}

#[test]
fn a_replay_says_what_the_watch_said() {
    let probes = [name("web"), name("api")];
    for seed in 0..500 {
        let mut luck = Luck::new(seed);
        let share = luck.share() * luck.share();
        let rule = Rule {
            window: Duration::from_mins(2),
            rate: if seed % 2 == 0 {
                RateForm::Evidence
            } else {
                RateForm::Observed
            },
            decision: if seed % 5 == 0 {
                Decision::Classic
            } else {
                Decision::Guard
            },
            ..Rule::default()
        };
        let mut live = Judge::new(rule.clone(), probes.to_vec());
        let mut taken: Vec<Reading> = Vec::new();
        let mut t = 0.0;
        let (now, verdict) = loop {
            let probe = &probes[usize::from(luck.share() < 0.5)];
            let outcome = if luck.share() < 0.05 {
                Outcome::Unknown
            } else {
                luck.fails(share)
            };
            let latency = Duration::from_secs_f64(luck.share().powi(4) * 5.0);
            let class = (luck.share() < 0.02).then_some(Class::Container);
            let reading = Reading {
                latency,
                class,
                ..reading(probe, t, outcome)
            };
            live.take(&reading);
            taken.push(reading);
            let now = t + luck.share();
            if live.verdict(now) != Verdict::Undecided {
                break (now, live.verdict(now));
            }
            t += luck.share();
        };
        assert_eq!(judge(&rule, &probes, &taken, now), verdict, "seed {seed}");
        // A journal is read back from JSON: nothing of the decision may hang on what is lost there.
        let text = serde_json::to_string(&taken).unwrap();
        let again: Vec<Reading> = serde_json::from_str(&text).unwrap();
        assert_eq!(judge(&rule, &probes, &again, now), verdict, "seed {seed}");
    }
}

/// A watch whose answers take so long (a median, in seconds, spread as answers are) from second `begin` on.
fn paced(luck: &mut Luck, before: f64, after: f64, begin: f64) -> (f64, Verdict) {
    let probe = name("web");
    // The sum of twelve even numbers is nearly normal; its exponential is how latencies are spread.
    let spread = move |median: f64, luck: &mut Luck| {
        let normal: f64 = (0..12).map(|_| luck.share()).sum::<f64>() - 6.0;
        Duration::from_secs_f64(median * (0.5 * normal).exp())
    };
    let usual: Vec<Reading> = (0..60)
        .map(|t| Reading {
            latency: spread(before, luck),
            ..reading(&probe, f64::from(t), Outcome::Ok)
        })
        .collect();
    let mut judge = Judge::new(Rule::default(), vec![probe.clone()]).with_pace(&usual);
    for t in (0..700).map(f64::from) {
        let median = if t < begin { before } else { after };
        let reading = Reading {
            latency: spread(median, luck),
            ..reading(&probe, t, Outcome::Ok)
        };
        judge.take(&reading);
        let now = t + reading.latency.as_secs_f64();
        let verdict = judge.verdict(now);
        if verdict != Verdict::Undecided {
            return (now, verdict);
        }
    }
    panic!("a watch ends");
}

#[test]
fn answers_that_take_longer_than_before_are_found() {
    // The first 30 s after the gate are excused, and in the measured time of the first row.
    for (factor, begin, most) in [(3.0, 0.0, 195.0), (3.0, 120.0, 165.0), (5.0, 120.0, 135.0)] {
        let what = format!("answers take {factor} times as long from {begin} s on");
        let (bad, times) = measured(&what, begin, |luck| paced(luck, 0.1, 0.1 * factor, begin));
        assert!(bad > 99.0 && times[1] <= most, "{bad} {times:?}");
    }
    let (bad, _) = measured("answers take as long as before", 0.0, |luck| paced(luck, 0.1, 0.1, 0.0));
    assert!(bad <= 0.1, "{bad}");
    let (bad, _) = measured("2 ms become 8 ms, which nobody notices", 0.0, |luck| {
        paced(luck, 0.002, 0.008, 0.0)
    });
    assert!(bad <= 0.1, "{bad}");
}
