//! The report of a run, made from records, readings and logs: what it says, in three forms.

use std::collections::BTreeMap;

use guard::model::fact::Ending;
use guard::model::health::{Outcome, Reading, Rule, Verdict, Watched};
use guard::model::plan::Action;
use guard::model::secret::Redaction;
use guard::report::result::Outcome as Told;
use guard::report::run_report::{Log, LogSource, Material, RunReport, markdown, page};
use insta::assert_snapshot;

use super::records::{at, deployed, name, reading, tally, walked_back, watch_failure};

fn log(source: LogSource, path: &str, lines: &[&str]) -> Log {
    Log {
        source,
        path: path.into(),
        trouble: None,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn release(commit: &str) -> guard::report::run_report::Release {
    let parts = BTreeMap::from([("commit".to_owned(), commit.to_owned())]);
    BTreeMap::from([(name("code"), parts)])
}

/// A run that turned back: a probe that fails now and then, and for good at the end; logs, and which release was live.
pub(super) fn turned_back() -> Material {
    let readings: Vec<Reading> = (0..97)
        .filter(|second| !(7..31).contains(second))
        .map(|second| {
            let is_bad = (79..95).contains(&second) || second == 40;
            reading(second, if is_bad { Outcome::Failed } else { Outcome::Ok })
        })
        .collect();
    let watched = Watched {
        at: at(31),
        rule: Rule::default(),
        probes: vec!["backend".parse().unwrap()],
        behind_the_gate: true,
        started: guard::model::health::Started::Deployed,
        from: 0,
        readings: 59,
        before: Some(at(6)),
        asked: 59.0,
        verdict: Verdict::Bad(watch_failure().finding.unwrap()),
    };
    Material {
        project: "shop".into(),
        environment: Some("production".into()),
        records: walked_back().0,
        readings,
        watches: vec![watched],
        before: release("4f9c2d1"),
        after: release("b77a010"),
        left: release("4f9c2d1"),
        logs: vec![
            log(LogSource::Deploy, "deploy.log", &["pulling", "starting", "deployed"]),
            Log {
                trouble: Some("exited with 1, restarted 3 times".into()),
                ..log(
                    LogSource::Container,
                    "evidence/logs/shop-web-1.log",
                    &["listening", "KeyError: 'STRIPE_KEY' is missing", "bye"],
                )
            },
        ],
        salvaged: Vec::new(),
        unread: Vec::new(),
    }
}

fn report(material: &Material) -> RunReport {
    RunReport::of(material, &Redaction::default(), "guard")
}

/// One that went well.
pub(super) fn good() -> Material {
    let yields = guard::model::fact::StepOutput::Watched {
        tally: tally(),
        inconclusive: None,
        person: None,
    };
    let records = deployed().done(90, Action::Watch, yields).closed(90, Ending::Deployed);
    Material {
        records: records.0,
        watches: Vec::new(),
        readings: (31..90).map(|second| reading(second, Outcome::Ok)).collect(),
        ..turned_back()
    }
}

#[test]
fn a_run_that_turned_back_is_told_with_the_line_that_says_why() {
    let text = markdown(&report(&turned_back()));
    assert_snapshot!("turned_back", text);
    assert!(text.contains("\n> KeyError: 'STRIPE_KEY' is missing\n"), "{text}");
    assert!(text.ends_with("(exit code 22).\n"), "{text}");
}

#[test]
fn a_good_run_has_a_report_without_failure_and_post_mortem() {
    let report = report(&good());
    let (text, html) = (markdown(&report), page(&report));
    for form in [&text, &html] {
        assert!(form.contains("The new release is live"), "{form}");
        for wrong in ["What failed", "Post-mortem, to fill in", "the way back<"] {
            assert!(!form.contains(wrong), "{wrong} in {form}");
        }
    }
    assert!(
        text.contains("- [x] The new release stayed well for the whole watch (600 checks"),
        "{text}"
    );
}

#[test]
fn a_run_without_an_end_says_so() {
    let material = Material {
        records: deployed().0,
        ..Material::default()
    };
    let text = markdown(&RunReport::of(&material, &Redaction::default(), "guard -C /srv"));
    assert!(
        text.contains("The run has no end: it was cut off, or is still at work."),
        "{text}"
    );
    assert!(text.contains("```\nguard -C /srv resume\n```"), "{text}");
    assert!(
        text.contains("## What the probes saw\n\nNo probe was asked.\n"),
        "{text}"
    );
    // Nothing of it can be drawn, and the page is one all the same.
    assert!(page(&report(&Material::default())).ends_with("</html>"));
}

#[test]
fn what_others_wrote_stays_text_in_every_form() {
    let redaction = Redaction::default();
    redaction.learn("hunter2hunter2");
    let hostile =
        "</pre><script>alert(1)</script> | [x](http://evil.example) hunter2hunter2\u{1b}[2J\u{1b}]0;x\u{7} ```";
    let mut material = turned_back();
    hostile.clone_into(&mut material.project);
    material.environment = Some(hostile.into());
    material.before = BTreeMap::from([(name("code"), BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]))]);
    material.salvaged = vec![hostile.into()];
    material.unread = vec![hostile.into()];
    for log in &mut material.logs {
        hostile.clone_into(&mut log.path);
        log.lines.push(hostile.into());
        log.trouble = log.trouble.as_ref().map(|_| hostile.into());
    }
    for reading in &mut material.readings {
        hostile.clone_into(&mut reading.note);
    }
    let report = RunReport::of(&material, &redaction, "guard");
    let result = Told::of(&material.records, None, "guard");
    let json = serde_json::to_string(&report.to_value(&result, &redaction)).unwrap();
    let (text, html) = (markdown(&report), page(&report));
    for form in [&text, &html, &json] {
        assert!(form.contains("[REDACTED]") || form.contains("\\[REDACTED\\]"), "{form}");
        assert!(!form.contains("hunter2"), "{form}");
        assert!(!form.contains(|c: char| c.is_control() && c != '\n'), "{form:?}");
    }
    assert_eq!(html.matches("<script").count(), 0, "{html}");
    assert_eq!(html.matches("</pre>").count(), html.matches("<pre").count(), "{html}");
    // Outside of the fences no tag and no link is left, and every fence is longer than what stands in it.
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let ticks = line.split(|c| c != '`').next().unwrap_or_default();
        match fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            Some(open) if line.trim_end() == open => fence = None,
            None => assert!(!line.contains("<script") && !line.contains("[x](http"), "{line}"),
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "a fence is open at the end of\n{text}");
}

#[test]
fn the_page_is_one_file_that_fetches_nothing() {
    let html = page(&report(&turned_back()));
    assert!(html.starts_with("<!DOCTYPE html>"), "{html}");
    for wrong in [
        "<script", "<link", "<img", "<iframe", "url(", "@import", " onload", " src=", " href=",
    ] {
        assert!(!html.contains(wrong), "{wrong} in {html}");
    }
    assert!(html.contains("default-src 'none'"), "{html}");
    for wanted in [
        "What failed",
        "KeyError",
        "class=\"limit\"",
        "class=\"verdict\"",
        "4f9c2d1",
        "discards 3 rows in users",
        "Post-mortem",
    ] {
        assert!(html.contains(wanted), "{wanted} is missing in {html}");
    }
}

#[test]
fn json_tells_the_same_and_the_result_beside_it() {
    let material = turned_back();
    let told = Told::of(&material.records, None, "guard");
    let value = report(&material).to_value(&told, &Redaction::default());
    assert_eq!(value["exit_code"], 22);
    assert_eq!(value["result"]["exit_code"], 22);
    assert_eq!(value["standing"], "back");
    assert_eq!(value["excerpts"][0]["lines"][1], "KeyError: 'STRIPE_KEY' is missing");
    assert_eq!(value["excerpts"][0]["telling"], 1);
    assert_eq!(value["changes"][0]["changed"], true);
    assert_eq!(value["share"]["limit"], 0.1);
    // 79 to 94 failed, 78 and 95 were well; and the one at 40.
    let down = &value["downtime"];
    let figure = |name: &str| down[name].as_f64().unwrap();
    assert!((figure("at_least") - 15.0).abs() < 0.01, "{down}");
    assert!((figure("at_most") - (17.0 + 2.0)).abs() < 0.01, "{down}");
}

#[test]
fn ten_thousand_readings_of_twenty_probes_make_a_small_page() {
    let mut material = turned_back();
    for probe in 0..20 {
        material.readings.extend((0..500).map(|place| {
            let mut one = reading(place / 6, if place % 7 == 0 { Outcome::Failed } else { Outcome::Ok });
            one.probe = format!("probe-{probe}").parse().unwrap();
            one.latency = std::time::Duration::from_millis(u64::try_from(place * 13 % 400).unwrap());
            one
        }));
    }
    assert!(material.readings.len() > 10_000);
    let report = report(&material);
    assert_eq!(report.lanes.len(), 21);
    for (form, text) in [("html", page(&report)), ("markdown", markdown(&report))] {
        assert!(text.len() <= 300_000, "{form}: {} bytes", text.len());
    }
}
