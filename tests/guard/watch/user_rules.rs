//! The user's own rules: what is wrong with them, what they see, and what follows.

use std::time::Duration;

use guard::model::health::{Class, FindingCause, Numbers, Outcome, Reading, Rule, Verdict};
use guard::model::notice::Severity;
use guard::model::section::Section;
use guard::model::setting::{Problem, Source};
use guard::watch::rules::{FUNCTIONS, parse};
use guard::watch::{Fired, Judge, Then, Trace, UserRule};
use serde_json::json;

use super::{down, name, reading};
use crate::probes::item;

fn rule(settings: &serde_json::Value) -> Result<UserRule, Vec<Problem>> {
    let (source, mut problems) = (Source::default(), Vec::new());
    let mut section = Section::new("rules.mine", &source, item(settings), &mut problems);
    let read = UserRule::read(
        "mine".parse().unwrap(),
        &mut section,
        &[
            (name("web"), Numbers::One),
            (name("db"), Numbers::One),
            (name("machine"), Numbers::Named(&["cpu", "disk"])),
        ],
    );
    section.finish();
    if problems.is_empty() {
        Ok(read.unwrap())
    } else {
        Err(problems)
    }
}

/// What became of a watch.
struct Watched {
    fired: Vec<(f64, Fired)>,
    traces: Vec<Trace>,
    verdict: Verdict,
    when: f64,
}

/// Watches `web` for this long, by these rules, one reading a second.
fn watched(rules: Vec<UserRule>, seconds: u32, mut read: impl FnMut(f64) -> Reading) -> Watched {
    let lenient = Rule {
        persist: Duration::from_mins(20),
        error_threshold: 1.0,
        ..Rule::default()
    };
    let usual: Vec<Reading> = (0..10)
        .map(|t| reading(&name("web"), f64::from(t), Outcome::Ok))
        .collect();
    let mut judge = Judge::new(lenient, vec![name("web")])
        .with_rules(rules)
        .with_pace(&usual)
        .behind_the_gate();
    let (mut fired, mut traces) = (Vec::new(), Vec::new());
    for t in (0..seconds).map(f64::from) {
        judge.take(&read(t));
        fired.extend(judge.fired().into_iter().map(|fired| (t, fired)));
        traces.extend(judge.traces());
        let verdict = judge.verdict(t + 0.1);
        if verdict != Verdict::Undecided {
            return Watched {
                fired,
                traces,
                verdict,
                when: t,
            };
        }
    }
    Watched {
        fired,
        traces,
        verdict: Verdict::Undecided,
        when: f64::from(seconds),
    }
}

fn of(when: &str, then: &str) -> UserRule {
    rule(&json!({"when": when, "then": then})).unwrap_or_else(|problems| panic!("{when}: {problems:?}"))
}

#[test]
fn each_function_sees_what_it_says() {
    // Down from second 20 on, for 10 s; slow from 40 on; unseen from 60 on.
    let read = |t: f64| {
        let outcome = if t >= 60.0 {
            Outcome::Unknown
        } else {
            down(t, &[(20.0, 30.0)])
        };
        let latency = if t >= 40.0 { 100 } else { 10 };
        let is_restart = outcome == Outcome::Failed && t < 22.0;
        Reading {
            latency: Duration::from_millis(latency),
            class: if is_restart {
                Some(Class::Unhealthy)
            } else {
                (outcome != Outcome::Ok).then_some(Class::Refused)
            },
            note: if is_restart {
                "app was restarted".to_owned()
            } else {
                "app answered".to_owned()
            },
            number: (!is_restart && outcome != Outcome::Unknown).then_some(t),
            is_restart,
            ..reading(&name("web"), t, outcome)
        }
    };
    for (when, expected) in [
        ("failures('web', 5m) >= 3", Some(22.0)),
        ("get_failure_count(web, 5) >= 3", Some(22.0)),
        ("streak(\"web\") == 4", Some(23.0)),
        ("outage('web') >= 5s", Some(25.0)),
        ("rate('web', 20s) >= 50%", Some(29.0)),
        ("rate('web', 20s) >= 0.5 and elapsed() < 20s", None),
        ("latency('web', 10s) > 5 * baseline('web')", Some(44.0)),
        ("latency('web', 10s) - baseline('web') >= 90ms", Some(44.0)),
        ("latency('web', 10s) / baseline('web') > 9", Some(44.0)),
        ("metric('web') > 33", Some(34.0)),
        ("get_latest_metric(web).value > 33.5", Some(34.0)),
        ("log_errors('web') > 33 || streak('web') > 100", Some(34.0)),
        ("restarts('web', 1m) >= 2", Some(21.0)),
        ("elapsed() >= 17s", Some(17.0)),
        ("not (elapsed() < 17s)", Some(17.0)),
        ("!(-1 < 0) || 2 + 3 * 4 == 14 && elapsed() >= 1m / 2", Some(30.0)),
        // Of a probe that nobody read, nothing is known; and what is unknown does not hold, nor does its contrary.
        ("failures('db', 5m) < 1", None),
        ("not (streak('db') > 3)", None),
        ("metric('db') != 3 or baseline('db') > 1ms", None),
        ("streak('db') > 3 or elapsed() > 9s", Some(9.0)),
        // Nor of one that nobody can see any more.
        ("failures('web', 10s) < 1 and elapsed() > 75s", None),
        ("metric('web') < 5 and elapsed() > 62s", None),
        ("elapsed() / 0 > 1s", None),
    ] {
        let watched = watched(vec![of(when, "rollback")], 100, read);
        let found = matches!(&watched.verdict, Verdict::Bad(_)).then_some(watched.when);
        assert_eq!(found, expected, "{when}: {:?}", watched.traces.last());
    }
}

#[test]
fn what_follows_is_told_with_its_figures_and_leaves_a_trace() {
    let read = |t: f64| reading(&name("web"), t, down(t, &[(20.0, 30.0)]));
    let rules = || vec![of("failures('web', 5m) >= 3", "rollback")];
    let Watched {
        verdict, traces, fired, ..
    } = watched(rules(), 60, read);
    let Verdict::Bad(finding) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(finding.cause, FindingCause::Rule);
    assert_eq!(
        finding.sentence,
        "mine: failures('web', 5m) >= 3: roll back (failures('web', 5m) = 3)"
    );
    let told: Vec<_> = traces
        .iter()
        .map(|trace| (trace.t.floor(), trace.holds, trace.fired))
        .collect();
    assert_eq!(told, [(0.0, Some(false), false), (22.0, Some(true), true)]);
    assert_eq!((traces[1].evaluations, fired.len()), (23, 1));
    // The same readings, the same end: a rule has no clock of its own.
    assert_eq!(watched(rules(), 60, read).traces, traces);

    let left = watched(vec![of("streak('web') > 1", "hold")], 60, read);
    assert!(
        matches!(&left.verdict, Verdict::Bad(finding) if finding.cause == FindingCause::Hold),
        "{:?}",
        left.verdict
    );
    // The graver wish of two at the same moment is the one with the greater priority.
    let hold = rule(&json!({"when": "streak('web') > 1", "then": "hold", "priority": 5})).unwrap();
    let both = watched(vec![of("streak('web') > 1", "rollback"), hold], 60, read);
    assert!(
        matches!(&both.verdict, Verdict::Bad(finding) if finding.cause == FindingCause::Hold),
        "{:?}",
        both.verdict
    );
}

#[test]
fn an_alert_waits_comes_again_and_grows_graver() {
    let settings =
        json!({"when": "streak('web') >= 1", "then": "alert", "for": "5s", "cooldown": "20s", "severity": "info"});
    let spans = [(10.0, 14.0), (30.0, 95.0)];
    let watched = watched(vec![rule(&settings).unwrap()], 120, |t| {
        reading(&name("web"), t, down(t, &spans))
    });
    assert_eq!(watched.verdict, Verdict::Undecided, "an alert decides nothing");
    let told: Vec<_> = watched.fired.iter().map(|(t, fired)| (*t, fired.severity)).collect();
    assert_eq!(
        told,
        [
            (35.0, Severity::Info),
            (55.0, Severity::Warning),
            (75.0, Severity::Critical)
        ]
    );
    let command = rule(&json!({"when": "streak('web') >= 1", "then": ["./page", "--now"]})).unwrap();
    assert_eq!(command.then, Then::Run(vec!["./page".to_owned(), "--now".to_owned()]));
}

#[test]
fn fault_k1_what_is_wrong_is_told_with_its_place_and_the_nearest_right_name() {
    let probes = [(name("backend"), Numbers::One), (name("db"), Numbers::One)];
    for (text, at, message, hint) in [
        (
            "failures('backnd', 5m) >= 3",
            9,
            "there is no probe \"backnd\"",
            "did you mean `backend`?",
        ),
        (
            "failurs('backend', 5m) >= 3",
            0,
            "there is no function `failurs`",
            "did you mean `failures`?",
        ),
        ("frobnicate() > 3", 0, "there is no function", "there are: failures"),
        ("failures('backend') >= 3", 18, "expected `,`", ""),
        (
            "failures('backend', 5) >= 3",
            20,
            "expected a span of time",
            "write `failures('PROBE', 5m)`",
        ),
        ("failures('backend', 2h) >= 3", 20, "nobody remembers longer", ""),
        (
            "get_failure_count('backend', 5m) > 1",
            29,
            "expected a number of minutes",
            "get_failure_count('PROBE', 5)",
        ),
        ("get_latest_metric('db') > 1", 24, "expected `.`", ""),
        (
            "latency('backend', 1m) > 500",
            25,
            "cannot compare a span of time with a number",
            "`400ms`",
        ),
        (
            "failures('backend', 5m)",
            0,
            "expected a condition, found a number",
            "failures('web', 5m) >= 3",
        ),
        (
            "failures('backend', 5m) >= 3 streak('db') > 1",
            29,
            "nothing is expected here",
            "`and` and `or`",
        ),
        ("failures('backend', 5m) = 3", 24, "means nothing here", "`==` compares"),
        ("streak('db') > 1 and 3", 21, "expected a condition", ""),
        ("streak('db') > 'x'", 15, "alone says nothing", ""),
        ("streak('db) > 1", 7, "quote is not closed", ""),
        ("elapsed() + 3 > 1m", 12, "cannot add", ""),
        ("elapsed() * elapsed() > 1m", 12, "cannot multiply", ""),
        ("not streak('db')", 4, "expected a condition", ""),
        ("1.2.3 > 1", 0, "is no number", ""),
        ("5y > 1s", 0, "is not a duration", ""),
        ("", 0, "something is missing", ""),
        ("(streak('db') > 1", 17, "expected `)`", ""),
        ("€ > 1", 0, "means nothing here", ""),
        ("elapsed( > 1m", 9, "expected `)`", "write `elapsed()`"),
    ] {
        let complaint = parse(text, &probes).expect_err(text);
        assert_eq!(complaint.at, at, "{text}: {complaint:?}");
        assert!(complaint.message.contains(message), "{text}: {complaint:?}");
        assert!(complaint.hint.unwrap_or_default().contains(hint), "{text}");
    }
}

#[test]
fn nothing_that_is_typed_brings_the_parser_down() {
    let probes = [(name("backend"), Numbers::One), (name("db"), Numbers::One)];
    let pieces = [
        "(",
        ")",
        "not ",
        "-",
        "streak('db')",
        "5m",
        "3",
        " and ",
        " >= ",
        ",",
        ".",
        "'",
        "€",
        "99999999999999999999d",
        "!",
    ];
    for seed in 0_usize..4_000 {
        let text: String = (0..12)
            .map(|at| pieces[(seed * 31 + at * at * (seed % 17 + 1) + at) % pieces.len()])
            .collect();
        let _either = parse(&text, &probes);
    }
    assert!(parse(&"(".repeat(100_000), &probes).is_err());
    assert!(parse(&"not ".repeat(100_000), &probes).is_err());
    for settings in [
        json!({"when": "streak('web') > 1"}),
        json!({"when": "streak('web') > 1", "then": "explode"}),
        json!({"then": "alert"}),
        json!({"when": "streak('web') > 1", "then": "alert", "when2": 1}),
        json!({"when": "streak('web') > 1", "then": []}),
    ] {
        assert!(rule(&settings).is_err(), "{settings}");
    }
}

#[test]
fn every_function_is_on_the_page() {
    let page = include_str!("../../../docs/watching.md");
    for function in FUNCTIONS {
        assert!(
            page.contains(&format!("`{}(", function.name)),
            "{} is missing",
            function.name
        );
        assert!(!function.about.is_empty());
    }
}

#[test]
fn a_number_that_no_probe_tells_is_refused_and_those_of_a_host_have_names() {
    let probes = [
        (name("web"), Numbers::One),
        (name("port"), Numbers::None),
        (name("machine"), Numbers::Named(&["cpu", "memory", "disk"])),
    ];
    for (text, message, hint) in [
        ("metric('port') > 90", "never tells a number", "these do: web, machine"),
        ("metric('machine') > 90", "tells several numbers", "'machine.disk'"),
        ("metric('machine.dis') > 90", "tells no number \"dis\"", "disk"),
        ("metric('web.disk') > 90", "there is no probe", ""),
        ("failures('machine.disk', 1m) > 3", "there is no probe", ""),
        ("get_latest_metric('port').value > 1", "never tells a number", ""),
    ] {
        let complaint = parse(text, &probes).expect_err(text);
        assert!(complaint.message.contains(message), "{text}: {complaint:?}");
        assert!(complaint.hint.unwrap_or_default().contains(hint), "{text}");
    }
    parse("failures('port', 1m) > 3 and metric('web') > 1", &probes).unwrap();

    let full = rule(&json!({"when": "metric('machine.disk') > 90", "then": "rollback"})).unwrap();
    let told = |disk: f64| Reading {
        figures: [("cpu".to_owned(), 99.0), ("disk".to_owned(), disk)].into(),
        note: "cpu 99 %, disk 91 %".to_owned(),
        ..reading(&name("machine"), 0.0, Outcome::Ok)
    };
    let after = |disk: f64| {
        let seen = watched(vec![full.clone()], 30, |t| Reading {
            t,
            ..told(if t >= 10.0 { disk } else { 50.0 })
        });
        seen.verdict
    };
    assert!(matches!(after(91.0), Verdict::Bad(_)));
    assert_eq!(after(90.0), Verdict::Undecided);
}

/// Lines that were written when the number and the restart stood in the note alone.
#[test]
fn readings_of_before_are_read() {
    let line = |class: &str, outcome: &str, note: &str, more: &str| {
        let text = format!(
            r#"{{"probe":"web","at":"2025-10-22T15:30:00Z","t":1.0,"outcome":"{outcome}","class":{class},"note":"{note}","latency":{{"secs":0,"nanos":5}}{more}}}"#
        );
        serde_json::from_str::<Reading>(&text).unwrap()
    };
    assert_eq!(line("null", "ok", "200", "").number, Some(200.0));
    assert_eq!(line("\"log\"", "failed", "3 errors in 6 lines", "").number, Some(3.0));
    assert_eq!(line("\"no-data\"", "unknown", "3 of them", "").number, None);
    let restarted = line("\"container\"", "failed", "app was restarted", "");
    assert!(restarted.is_restart && restarted.number.is_none());
    assert!(!line("\"refused\"", "failed", "restart it", "").is_restart);
    // A line of today says itself what it tells, and its note tells nothing beside that.
    let today = line("\"container\"", "failed", "3 restarted", r#","number":null"#);
    assert!(today.number.is_none() && !today.is_restart);
    let written = serde_json::to_string(&restarted).unwrap();
    assert_eq!(serde_json::from_str::<Reading>(&written).unwrap(), restarted);
}
