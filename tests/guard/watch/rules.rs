//! The gate, evidence from containers, blindness, late answers, the baseline, and how a rule is said.

use std::time::Duration;

use guard::model::health::{Class, Decision, FAILED_FURTHER, FindingCause, Outcome, Reading, Rule, Started, Verdict};
use guard::watch::{Judge, judge, warnings, words};

use super::{down, name, reading, run};

#[test]
fn fault_j11_what_cannot_be_seen_counts_for_nothing() {
    let (when, verdict) = run(
        &Rule::default(),
        |t| if t < 2.0 { Outcome::Ok } else { Outcome::Unknown },
    );
    assert_eq!(when.floor(), 602.0);
    assert!(
        matches!(&verdict, Verdict::Inconclusive(why) if why.contains("0 known answers")),
        "{verdict:?}"
    );
    let (when, verdict) = run(&Rule::default(), |_| Outcome::Unknown);
    assert_eq!(when.floor(), 60.0);
    assert!(matches!(verdict, Verdict::Inconclusive(_)), "{verdict:?}");
    // Blindness does not end an outage, nor does it prolong one.
    let (when, verdict) = run(&Rule::default(), |t| {
        if (305.0..309.0).contains(&t) {
            Outcome::Unknown
        } else {
            down(t, &[(300.0, 9e9)])
        }
    });
    assert_eq!(when.floor(), 310.0);
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.sentence.starts_with("web failed 7 times in a row over 10 s")),
        "{verdict:?}"
    );
}

#[test]
fn an_ended_container_speaks_at_once() {
    let (web, boxes) = (name("web"), name("containers"));
    let exited = |t| Reading {
        class: Some(Class::Container),
        note: "app exited with code 1".to_owned(),
        ..reading(&boxes, t, Outcome::Failed)
    };
    let mut judge = Judge::new(Rule::default(), vec![web.clone(), boxes.clone()]);
    for t in [0.0, 1.0, 2.0] {
        assert_eq!(judge.verdict(t), Verdict::Undecided);
        judge.take(&reading(&web, t, Outcome::Failed));
        judge.take(&exited(t));
    }
    let verdict = judge.verdict(2.1);
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.cause == FindingCause::DeadOnArrival
        && finding.sentence == "containers: app exited with code 1"),
        "{verdict:?}"
    );

    // After the gate it takes away the excuse of an early outage.
    let mut judge = Judge::new(Rule::default(), vec![web.clone(), boxes.clone()]);
    let mut fired = None;
    for t in (0..60).map(f64::from) {
        let is_down = t >= 20.0;
        judge.take(&reading(&web, t, if is_down { Outcome::Failed } else { Outcome::Ok }));
        judge.take(&if is_down {
            exited(t)
        } else {
            reading(&boxes, t, Outcome::Ok)
        });
        if fired.is_none() && judge.verdict(t + 0.1) != Verdict::Undecided {
            fired = Some(t);
        }
    }
    assert_eq!(fired, Some(30.0));
}

#[test]
fn an_answer_that_comes_late_does_not_undo_a_later_one() {
    let probe = name("web");
    let mut judge = Judge::new(Rule::default(), vec![probe.clone()]);
    for t in (0..100).map(f64::from) {
        judge.take(&reading(&probe, t, Outcome::Ok));
    }
    // Asked at 100 to 111, all silent for 5 s, while what was asked at 112 was answered at once.
    judge.take(&reading(&probe, 112.0, Outcome::Ok));
    for t in (100..112).map(f64::from) {
        judge.take(&Reading {
            latency: Duration::from_secs(5),
            ..reading(&probe, t, Outcome::Failed)
        });
    }
    assert_eq!(judge.tally().consecutive, 0);
    assert_eq!(judge.verdict(117.0), Verdict::Undecided);
}

#[test]
fn the_gate_needs_two_successes_of_each_probe() {
    let (web, api) = (name("web"), name("api"));
    let mut judge = Judge::new(Rule::default(), vec![web.clone(), api.clone()]);
    for t in [0.0, 1.0, 2.0] {
        judge.take(&reading(&web, t, Outcome::Ok));
    }
    judge.take(&reading(&api, 3.0, Outcome::Ok));
    judge.take(&reading(&api, 4.0, Outcome::Failed));
    judge.take(&reading(&api, 5.0, Outcome::Ok));
    assert!(!judge.gate_passed(), "they have to be in a row");
    judge.take(&reading(&name("other"), 5.5, Outcome::Failed));
    judge.take(&reading(&api, 6.0, Outcome::Ok));
    assert!(judge.gate_passed());
    assert_eq!(judge.tally().checks, 0, "the window counts from here");
    assert_eq!(judge.ends_at(), Some(606.01));
}

#[test]
fn what_was_usual_before_is_not_held_against_the_release() {
    let probe = name("web");
    let fails = |t: f64| if t % 7.0 == 3.0 { Outcome::Failed } else { Outcome::Ok };
    let before: Vec<Reading> = (0..60).map(f64::from).map(|t| reading(&probe, t, fails(t))).collect();
    let after: Vec<Reading> = (0..=602).map(f64::from).map(|t| reading(&probe, t, fails(t))).collect();
    assert!(matches!(
        judge(&Rule::default(), std::slice::from_ref(&probe), &after, 602.1),
        Verdict::Bad(_)
    ));
    let mut tolerant = Judge::new(Rule::default(), vec![probe]).with_baseline(&before);
    for reading in &after {
        tolerant.take(reading);
    }
    assert_eq!(tolerant.verdict(602.1), Verdict::Healthy);
    // One stray failure among three is no habit.
    let few = before.get(2..5).unwrap();
    let mut strict = Judge::new(Rule::default(), vec![name("web")]).with_baseline(few);
    for reading in &after {
        strict.take(reading);
    }
    assert!(matches!(strict.verdict(602.1), Verdict::Bad(_)));
}

#[test]
fn a_rule_is_said_in_words() {
    assert_eq!(
        words(&Rule::default()),
        "rolls back after an outage of 10 s (at least 3 probes in a row), or when more than 10 % of the probes fail, \
         or when more than half of the answers take over 2 times as long as before; \
         dead on arrival after 60 s; one outage right behind the start is excused for 30 s; window 10 min"
    );
    let classic = Rule {
        decision: Decision::Classic,
        error_threshold: 0.025,
        ..Rule::default()
    };
    assert_eq!(
        words(&classic),
        "rolls back after 3 failed probes in a row, or when more than 2.5 % of the probes have failed, from the tenth on; \
         dead on arrival after 60 s; window 10 min"
    );
}

#[test]
fn what_cancels_itself_is_warned_about() {
    let secs = Duration::from_secs;
    assert_eq!(warnings(&Rule::default()), Vec::<String>::new());
    let table = [
        (
            Rule {
                interval: secs(300),
                ..Rule::default()
            },
            "3 failures in a row take 15 min",
        ),
        (
            Rule {
                window: secs(15),
                ..Rule::default()
            },
            "room for 15 probes, and 20 are needed",
        ),
        (
            Rule {
                persist: secs(900),
                ..Rule::default()
            },
            "longer than the window of 10 min: it never decides",
        ),
        (
            Rule {
                persist: secs(30),
                ..Rule::default()
            },
            "the share decides first",
        ),
        (
            Rule {
                error_threshold: 1.0,
                ..Rule::default()
            },
            "the share never decides",
        ),
        (
            Rule {
                interval: secs(40),
                ..Rule::default()
            },
            "do not fit into the 60 s",
        ),
    ];
    for (rule, expected) in table {
        let found = warnings(&rule);
        assert!(
            found.iter().any(|warning| warning.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn what_had_run_out_stays_run_out() {
    let probe = name("web");
    // Nobody asked at second 60, and the successes came after it.
    let late: Vec<Reading> = (0..80)
        .map(f64::from)
        .map(|t| reading(&probe, t, down(t, &[(0.0, 65.0)])))
        .collect();
    let verdict = judge(&Rule::default(), std::slice::from_ref(&probe), &late, 80.0);
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.cause == FindingCause::DeadOnArrival),
        "{verdict:?}"
    );
    // The window was over and well before the outage began.
    let after: Vec<Reading> = (0..700)
        .map(f64::from)
        .map(|t| reading(&probe, t, down(t, &[(610.0, 9e9)])))
        .collect();
    assert_eq!(judge(&Rule::default(), &[probe], &after, 700.0), Verdict::Healthy);
}

#[test]
fn an_answer_to_a_question_from_before_the_gate_is_not_counted() {
    let probe = name("web");
    let mut judge = Judge::new(Rule::default(), vec![probe.clone()]);
    judge.take(&reading(&probe, 3.0, Outcome::Ok));
    judge.take(&reading(&probe, 4.0, Outcome::Ok));
    assert!(judge.gate_passed());
    judge.take(&Reading {
        latency: Duration::from_secs(5),
        ..reading(&probe, 0.0, Outcome::Failed)
    });
    assert_eq!(judge.tally().checks, 0);
    judge.take(&reading(&probe, 5.0, Outcome::Failed));
    assert_eq!(judge.tally().failures, 1);
}

#[test]
fn evidence_waits_for_its_samples() {
    let rule = Rule {
        min_samples: 100,
        ..Rule::default()
    };
    let (when, verdict) = run(&rule, |t| {
        let is_down = t >= 2.0 && t % 2.0 == 0.0;
        if is_down { Outcome::Failed } else { Outcome::Ok }
    });
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.cause == FindingCause::Rate),
        "{verdict:?}"
    );
    assert!((101.0..110.0).contains(&when), "{when}");
}

#[test]
fn a_release_that_answers_and_never_well_is_given_up_after_three_usual_starts() {
    let web = name("web");
    let answering = |t| Reading {
        class: Some(Class::Status),
        note: "500".to_owned(),
        ..reading(&web, t, Outcome::Failed)
    };
    let silent = |t| Reading {
        class: Some(Class::Refused),
        ..reading(&web, t, Outcome::Failed)
    };
    let ends = |rule: &Rule, at: &dyn Fn(f64) -> Reading| {
        let mut judge = Judge::new(rule.clone(), vec![web.clone()]);
        let times = (0..100).map(f64::from);
        let mut ended = times.filter_map(|t| {
            judge.take(&at(t));
            (judge.verdict(t + 0.1) != Verdict::Undecided).then_some((t, judge.verdict(t + 0.1)))
        });
        ended.next().unwrap()
    };
    let usual = |seconds| Rule {
        usual_start: Some(Duration::from_secs(seconds)),
        ..Rule::default()
    };
    // It is not shorter than an outage has to last, and counts from the first answer.
    let (when, verdict) = ends(&usual(2), &answering);
    assert_eq!(when, 10.0);
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.cause == FindingCause::DeadOnArrival
            && finding.sentence.contains("monitor.gate") && finding.sentence.contains("(500)")),
        "{verdict:?}"
    );
    assert_eq!(ends(&usual(5), &answering).0, 15.0);
    let late = |t| if t < 20.0 { silent(t) } else { answering(t) };
    assert_eq!(ends(&usual(5), &late).0, 35.0);
    // Nobody who is silent, or has answered well in between, is taken for such a one; and nothing is known at first.
    assert_eq!(ends(&usual(5), &silent).0, 60.0);
    let now_and_then = |t| {
        if t % 8.0 == 7.0 {
            reading(&web, t, Outcome::Ok)
        } else {
            answering(t)
        }
    };
    assert_eq!(ends(&usual(2), &now_and_then).0, 60.0);
    assert_eq!(ends(&Rule::default(), &answering).0, 60.0);
}

/// A gate at which `site` never answers well and `starts`, which decides nothing, reads as is said; when it ended, and how.
fn gate(rule: &Rule, mut starts: impl FnMut(f64) -> Option<Class>) -> (f64, Verdict) {
    let (site, boxes) = (name("site"), name("starts"));
    let mut judge = Judge::new(rule.clone(), vec![site.clone()]).of_started(Started::Back);
    let mut ended = (0..10_000).map(f64::from).filter_map(|t| {
        judge.take(&reading(&site, t, Outcome::Failed));
        let class = starts(t);
        let outcome = if class.is_some() { Outcome::Failed } else { Outcome::Ok };
        judge.take(&Reading {
            class,
            ..reading(&boxes, t, outcome)
        });
        (judge.verdict(t + 0.1) != Verdict::Undecided).then(|| (t, judge.verdict(t + 0.1)))
    });
    ended.next().unwrap()
}

#[test]
fn the_time_of_the_gate_counts_from_the_end_of_the_last_start() {
    let patient = Rule {
        longest_start: Some(Duration::from_mins(10)),
        ..Rule::default()
    };
    let until = |end: f64| move |t: f64| (t <= end).then_some(Class::Starting);
    assert_eq!(gate(&patient, until(-1.0)).0, 60.0, "nothing is starting");
    let (when, verdict) = gate(&patient, until(100.0));
    assert_eq!(when, 160.0);
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.sentence.starts_with(
            "site was not well 160 s after the old release was started")),
        "{verdict:?}"
    );
    assert_eq!(gate(&patient, until(1e9)).0, 600.0, "and it ends");
    // What is unhealthy is not starting any more.
    let sick = |t: f64| Some(if t <= 100.0 { Class::Starting } else { Class::Unhealthy });
    assert_eq!(gate(&patient, sick).0, 160.0);
    // Nobody allowed more.
    assert_eq!(gate(&Rule::default(), until(100.0)).0, 60.0);
}

#[test]
fn a_container_whose_own_check_fails_on_and_on_is_given_up() {
    let (boxes, other) = (name("boxes"), name("other"));
    // Unhealthy from 5 s on; its check is made every so many seconds. Another container is starting all the while.
    let ends = |rule: &Rule, every: f64| {
        let mut judge = Judge::new(rule.clone(), vec![boxes.clone()]);
        let mut ended = (0..10_000).map(f64::from).filter_map(|t| {
            judge.take(&Reading {
                class: Some(Class::Starting),
                ..reading(&other, t, Outcome::Failed)
            });
            let further = ((t - 5.0) / every).floor();
            let mut sick = Reading {
                class: Some(Class::Starting),
                note: "app is still starting".to_owned(),
                ..reading(&boxes, t, Outcome::Failed)
            };
            if further >= 0.0 {
                sick.class = Some(Class::Unhealthy);
                sick.note = "app is unhealthy".to_owned();
                sick.figures.insert(FAILED_FURTHER.to_owned(), further);
            }
            judge.take(&sick);
            (judge.verdict(t + 0.1) != Verdict::Undecided).then(|| (t, judge.verdict(t + 0.1)))
        });
        ended.next().unwrap()
    };
    let patient = Rule {
        longest_start: Some(Duration::from_mins(10)),
        ..Rule::default()
    };
    // No sooner than the usual time of the gate: a check may be stricter than the start is long.
    let (when, verdict) = ends(&patient, 1.0);
    assert_eq!(when, 60.0);
    assert!(
        matches!(&verdict, Verdict::Bad(finding) if finding.cause == FindingCause::DeadOnArrival
            && finding.sentence.starts_with("boxes: app is unhealthy, and its own check has failed 55 more times since")),
        "{verdict:?}"
    );
    // Three more checks, where they take longer …
    assert_eq!(ends(&patient, 40.0).0, 125.0);
    // … but not where starts are known to be short.
    let short = Rule {
        usual_start: Some(Duration::from_secs(5)),
        ..patient.clone()
    };
    assert_eq!(ends(&short, 1.0).0, 15.0);
    assert_eq!(ends(&short, 40.0).0, 125.0);
}

#[test]
fn what_a_gate_waits_for_is_told() {
    let (site, boxes) = (name("site"), name("starts"));
    let rule = Rule {
        longest_start: Some(Duration::from_mins(10)),
        ..Rule::default()
    };
    let mut judge = Judge::new(rule, vec![site.clone()]);
    assert_eq!((judge.waits_for(0.0), judge.gate_limit(0.0)), (None, 60.0));
    judge.take(&Reading {
        note: "503".to_owned(),
        ..reading(&site, 1.0, Outcome::Failed)
    });
    judge.take(&Reading {
        class: Some(Class::Starting),
        note: "app is still starting".to_owned(),
        ..reading(&boxes, 50.0, Outcome::Failed)
    });
    assert_eq!(judge.waits_for(51.0).unwrap(), "site: 503; app is still starting");
    assert_eq!(judge.gate_limit(51.0), 600.0);
    assert_eq!(judge.waits_for(60.0).unwrap(), "site: 503", "it starts no more");
    assert_eq!(judge.gate_limit(60.0), 110.0);
    for t in [61.0, 62.0] {
        judge.take(&reading(&site, t, Outcome::Ok));
    }
    assert_eq!(judge.waits_for(63.0), None);
}

#[test]
fn the_share_that_is_counted_is_the_one_that_is_weighed() {
    let (web, api) = (name("web"), name("api"));
    let mut judge = Judge::new(Rule::default(), vec![web.clone(), api.clone()]);
    for t in (0..10).map(f64::from) {
        judge.take(&reading(&web, t, Outcome::Ok));
        judge.take(&reading(&api, t, Outcome::Ok));
    }
    assert!(judge.gate_passed());
    let before = judge.tally();
    for (t, outcome) in [(10.0, Outcome::Failed), (11.0, Outcome::Ok)] {
        judge.take(&reading(&web, t, Outcome::Ok));
        judge.take(&reading(&api, t, outcome));
    }
    let tally = judge.tally();
    assert_eq!((tally.checks - before.checks, tally.failures), (4, 1), "{tally:?}");
    // Over both it would be half as much: below a threshold that one of them is over.
    let of_one = guard::model::health::share(1, before.checks / 2 + 2);
    assert!((tally.rate() - of_one).abs() < 1e-9, "{tally:?}");
}
