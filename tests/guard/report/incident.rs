//! The incident report, made from records and readings.

use guard::model::health::Outcome;
use guard::model::secret::Redaction;
use guard::report::incident::incident;
use insta::assert_snapshot;

use super::records::{deployed, reading, walked_back};

#[test]
fn the_report_of_a_run_that_walked_back() {
    let readings: Vec<_> = (31..90)
        .map(|second| {
            reading(
                second,
                if second >= 79 || second == 40 {
                    Outcome::Failed
                } else {
                    Outcome::Ok
                },
            )
        })
        .collect();
    let text = incident(&walked_back().0, &readings, &Redaction::default(), "guard");
    assert_snapshot!("incident", text);
    assert!(text.ends_with("(exit code 22).\n"), "{text}");
}

#[test]
fn a_run_without_an_end_says_so() {
    let text = incident(&deployed().0, &[], &Redaction::default(), "guard -C /srv");
    assert!(
        text.contains("The run has no end: it was cut off, or is still at work."),
        "{text}"
    );
    assert!(text.contains("```\nguard -C /srv resume\n```"), "{text}");
    assert!(
        text.contains("## What the probes saw\n\nNo probe was asked.\n"),
        "{text}"
    );
}

#[test]
fn secrets_and_escape_sequences_stay_out() {
    let redaction = Redaction::default();
    redaction.learn("hunter2hunter2");
    let mut bad = reading(80, Outcome::Failed);
    bad.note = "401 for hunter2hunter2\u{1b}[2J\u{1b}]0;x\u{7}".into();
    let text = incident(&walked_back().0, &[bad], &redaction, "guard");
    assert!(text.contains("401 for [REDACTED]"), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
