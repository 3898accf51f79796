//! What is shipped for Prometheus and Grafana: read by Prometheus' own tool, and held to the figures that guard has.

use std::collections::BTreeSet;
use std::process::Command;

use guard::report::board::Board;
use guard::report::metrics::metrics;
use guard::report::overview::{Counts, Overview, RunRow};
use serde_json::Value;

/// Every name of a figure in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| word.starts_with("guard_"))
        .map(str::to_owned)
        .collect()
}

/// The figures that guard writes, when there is something to tell of each.
fn figures() -> BTreeSet<String> {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut board = Board::new("shop", at);
    let told = r#"{"probe":"site","at":"2026-01-01T00:00:00Z","t":0.0,"outcome":"ok","class":null,"note":"","latency":{"secs":0,"nanos":1},"number":null}"#;
    board.take(&serde_json::from_str(told).unwrap());
    board.overview = Overview {
        runs: vec![RunRow {
            name: "one".to_owned(),
            ended: String::new(),
            exit_code: Some(0),
            took: std::time::Duration::ZERO,
            at,
        }],
        counts: Counts::default(),
        known_good: Some(at),
        ..Overview::default()
    };
    let told = r#"{"fault":"stopped","kind":"application","run":"one","at":"2026-01-01T00:00:00Z","equal":true,"rto":1.0,"lost":0,
        "discarded":0,"kept":0,"was_noticed":true,"passed":true,"exit":0}"#;
    board.drills.push(serde_json::from_str(told).unwrap());
    names(&metrics(&board))
}

#[test]
fn alerts_are_read_and_say_what_they_are_held_to() {
    let place = super::root().join("docs/monitoring");
    for words in [
        ["check", "rules", "guard.rules.yml"],
        ["test", "rules", "guard.rules.test.yml"],
    ] {
        let told = Command::new("promtool")
            .args(words)
            .current_dir(&place)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        assert!(told.status.success(), "{words:?}: {said}");
    }
}

#[test]
fn every_figure_of_alerts_dashboard_and_page_is_one_of_guards_and_each_is_on_the_page() {
    let there = figures();
    let read = |name: &str| std::fs::read_to_string(super::root().join("docs").join(name)).unwrap();
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 8);
    for file in [
        "monitoring.md",
        "monitoring/guard.rules.yml",
        "monitoring/dashboard.json",
    ] {
        let strange: Vec<String> = names(&read(file)).difference(&there).cloned().collect();
        assert_eq!(
            strange,
            Vec::<String>::new(),
            "{file} names figures that guard does not have"
        );
    }
    let told = names(&read("monitoring.md"));
    let untold: Vec<&String> = there.difference(&told).collect();
    assert!(untold.is_empty(), "docs/monitoring.md does not tell of {untold:?}");
}
