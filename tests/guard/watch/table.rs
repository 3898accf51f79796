//! Sequences of readings, and what they mean at which second.

use std::time::Duration;

use guard::model::health::{Decision, FindingCause, Outcome, RateForm, Rule, Verdict};
use guard::watch::Judge;

use super::{down, name, reading, run};

/// What was decided, and in which second.
fn decided(rule: &Rule, spans: &[(f64, f64)]) -> (f64, Option<FindingCause>) {
    let (when, verdict) = run(rule, |t| down(t, spans));
    match verdict {
        Verdict::Bad(finding) => (when.floor(), Some(finding.cause)),
        Verdict::Healthy => (when.floor(), None),
        other => panic!("{other:?}"),
    }
}

/// A row: what happens, the spans in which the probe fails, the second of the decision, the decision.
type Row<'r> = (&'r str, &'r [(f64, f64)], f64, Option<FindingCause>);

#[test]
fn sequences_decide_when_they_should() {
    use FindingCause::{DeadOnArrival, Flapping, Outage, Rate};
    let rule = Rule::default();
    let window = 602.0; // The gate opens at second 1; the first reading past its end is at 602.
    let table: &[Row<'_>] = &[
        ("well throughout", &[], window, None),
        ("one failure", &[(300.0, 301.0)], window, None),
        (
            "three in a row are not yet an outage of 10 s",
            &[(300.0, 303.0)],
            window,
            None,
        ),
        ("an outage of 9 s", &[(300.0, 309.0)], window, None),
        ("down for good", &[(300.0, 9e9)], 310.0, Some(Outage)),
        ("an early restart of 28 s is excused", &[(10.0, 38.0)], window, None),
        ("an early outage that stays", &[(10.0, 9e9)], 40.0, Some(Outage)),
        (
            "the excuse holds once",
            &[(10.0, 25.0), (40.0, 9e9)],
            50.0,
            Some(Outage),
        ),
        ("a slow start of 45 s", &[(0.0, 45.0)], window + 45.0, None),
        ("never came up", &[(0.0, 9e9)], 60.0, Some(DeadOnArrival)),
        (
            "the third outage of 6 s",
            &[(200.0, 207.0), (300.0, 307.0), (400.0, 407.0)],
            405.0,
            Some(Flapping),
        ),
        (
            "half of the time",
            &[
                (300.0, 302.0),
                (304.0, 306.0),
                (308.0, 310.0),
                (312.0, 314.0),
                (316.0, 318.0),
                (320.0, 322.0),
                (324.0, 326.0),
                (328.0, 330.0),
                (332.0, 334.0),
            ],
            326.0,
            Some(Rate),
        ),
    ];
    for (what, spans, when, cause) in table {
        assert_eq!(decided(&rule, spans), (*when, *cause), "{what}");
    }
}

#[test]
fn an_outage_that_begins_in_the_window_is_seen_to_its_end() {
    assert_eq!(
        decided(&Rule::default(), &[(598.0, 9e9)]),
        (608.0, Some(FindingCause::Outage))
    );
    assert_eq!(decided(&Rule::default(), &[(598.0, 604.0)]), (604.0, None));
}

#[test]
fn the_third_scheduled_failure_decides_at_the_latest() {
    let rule = Rule {
        interval: Duration::from_secs(30),
        ..Rule::default()
    };
    assert_eq!(decided(&rule, &[(300.0, 9e9)]), (360.0, Some(FindingCause::Outage)));
}

#[test]
fn early_questions_after_a_failure_hasten_an_outage_and_do_not_bend_the_share() {
    let rule = Rule {
        interval: Duration::from_secs(10),
        rate: RateForm::Observed,
        ..Rule::default()
    };
    let probe = name("web");
    let mut judge = Judge::new(rule.clone(), vec![probe.clone()]);
    // One failure in twenty, each asked about nine times more, of which two fail too.
    let mut t = 0.0;
    while t < 600.0 {
        let fails = (t / 10.0) % 20.0 == 10.0;
        judge.take(&reading(&probe, t, if fails { Outcome::Failed } else { Outcome::Ok }));
        for early in 1..10 {
            if fails {
                let outcome = if early < 3 { Outcome::Failed } else { Outcome::Ok };
                judge.take(&reading(&probe, t + f64::from(early), outcome));
            }
        }
        assert_eq!(judge.verdict(t + 9.5), Verdict::Undecided, "at {t}");
        t += 10.0;
    }
    for (early, expected) in [(0.0, false), (1.0, false), (5.0, false), (9.0, false), (10.0, true)] {
        judge.take(&reading(&probe, 600.0 + early, Outcome::Failed));
        assert_eq!(
            matches!(judge.verdict(600.0 + early + 0.02), Verdict::Bad(_)),
            expected,
            "at {early}"
        );
    }
}

#[test]
fn fault_j10_the_observed_share_decides_from_its_samples_on() {
    let rule = Rule {
        rate: RateForm::Observed,
        ..Rule::default()
    };
    let (when, verdict) = run(&rule, |t| {
        if t >= 2.0 && t % 4.0 == 0.0 {
            Outcome::Failed
        } else {
            Outcome::Ok
        }
    });
    assert_eq!(when.floor(), 21.0, "the twentieth reading after the gate");
    let Verdict::Bad(finding) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(
        finding.sentence,
        "web: 5 of 20 probes failed (25 %) since the release came up ()"
    );
}

#[test]
fn the_older_rule_is_kept_to_the_letter() {
    let rule = Rule {
        decision: Decision::Classic,
        interval: Duration::from_secs(10),
        ..Rule::default()
    };
    // Three in a row, at once and without an excuse.
    assert_eq!(decided(&rule, &[(20.0, 9e9)]), (40.0, Some(FindingCause::Outage)));
    assert_eq!(
        decided(&rule, &[(20.0, 40.0)]),
        (100.0, Some(FindingCause::Rate)),
        "2 of 10 at the tenth"
    );
    assert_eq!(
        decided(&rule, &[(20.0, 30.0)]),
        (610.0, None),
        "1 of 10 is not over 10 %"
    );
    assert_eq!(
        decided(&rule, &[(20.0, 30.0), (110.0, 120.0)]),
        (110.0, Some(FindingCause::Rate)),
        "2 of 11"
    );
}
