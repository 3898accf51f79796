//! Nothing foreign acts on a terminal or a CI system, and no secret is shown.

use guard::model::event::{Event, Level};
use guard::report::style::{Ci, Form};

use super::capture::{said, shown, style};
use super::records::walked_back;

/// Window title, clipboard, colours, cursor, an 8-bit control sequence, overwriting, bidirectional override.
const HOSTILE: &str =
    "\u{1b}]0;owned\u{7}\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[31mred\u{1b}[0m\u{1b}[2J\u{9b}2Jx\u{8}\u{202e}txt";

fn hostile_events() -> Vec<Event> {
    vec![
        Event::Output {
            source: "deploy".into(),
            line: HOSTILE.into(),
        },
        Event::Note {
            level: Level::Warn,
            text: HOSTILE.into(),
        },
    ]
}

#[test]
fn fault_f9_m16_escape_sequences_do_not_reach_a_terminal() {
    for form in [Form::Plain, Form::Live] {
        let text = said(style(form), hostile_events());
        let controls: Vec<char> = text
            .chars()
            .filter(|c| (c.is_control() && !matches!(c, '\n' | '\r')) || *c == '\u{202e}')
            .collect();
        assert!(controls.is_empty(), "{form:?}: {text:?}");
        assert!(text.contains("red"), "the words are still there: {text:?}");
        assert!(
            !text.contains("ZXZpbA"),
            "a clipboard sequence is not spelled out: {text:?}"
        );
    }
}

#[test]
fn plain_lines_hold_no_carriage_return_and_no_escape() {
    let mut events = walked_back().events();
    events.extend(hostile_events());
    events.push(Event::Output {
        source: "deploy".into(),
        line: "10%\r50%\r100%\r".into(),
    });
    let text = said(style(Form::Plain), events);
    assert!(!text.contains(['\r', '\u{1b}']), "{text:?}");
    assert!(
        text.ends_with("deploy | 100%\n"),
        "only what would have stayed on the screen is shown: {text:?}"
    );
}

#[test]
fn secrets_are_shown_nowhere_not_even_with_colours_inside() {
    let events = [
        Event::Output {
            source: "deploy".into(),
            line: "password is hunter2hunter2".into(),
        },
        Event::Output {
            source: "deploy".into(),
            line: "hunter2\u{1b}[1mhunter2".into(),
        },
        Event::Note {
            level: Level::Error,
            text: "could not log in with hunter2hunter2".into(),
        },
        Event::Progress {
            step: None,
            what: "dump hunter2hunter2".into(),
            done: 1,
            total: None,
        },
    ];
    for form in [Form::Plain, Form::Live] {
        let mut style = style(form);
        style.json = true;
        let timed: Vec<_> = events.iter().cloned().map(|event| (0.0, event)).collect();
        let (out, err) = shown(style, &timed, 80);
        assert!(!err.contains("hunter2"), "{err}");
        assert!(!out.contains("hunter2hunter2"), "{out}");
        assert!(out.contains("[REDACTED]") && err.contains("[REDACTED]"));
    }
}

#[test]
fn json_lines_are_objects_in_order_and_the_last_is_the_result() {
    let mut json = style(Form::Plain);
    json.json = true;
    let mut events = walked_back().events();
    events.extend(hostile_events());
    events.push(Event::Watching {
        elapsed: 1.0,
        window: 2.0,
        tally: super::records::tally(),
    });
    events.push(Event::Reading(super::records::reading(
        3,
        guard::model::health::Outcome::Failed,
    )));
    let count = events.len();
    let timed: Vec<_> = events.into_iter().map(|event| (0.5, event)).collect();
    let (out, _) = shown(json, &timed, 80);
    let objects: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(objects.len(), count + 1);
    for (index, object) in objects.iter().enumerate() {
        assert_eq!(object["seq"], index);
        assert_eq!(object["schema_version"], 1);
        assert_eq!(object["run_id"], "20251022_153000-deploy");
        assert_eq!(object["ts"], "2025-10-22T15:30:00.500Z");
        assert!(object["event"].is_string(), "{object}");
    }
    assert_eq!(objects[0]["event"], "fact");
    assert_eq!(
        objects[0]["record"]["fact"]["opened"]["plan"]["backup"],
        "20251022_153000"
    );
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["event"], &last["result"]["exit_code"]),
        (&"result".into(), &0.into())
    );
}

#[test]
fn a_secret_that_looks_like_json_does_not_break_a_line() {
    let mut json = style(Form::Plain);
    json.json = true;
    let redaction = guard::model::secret::Redaction::default();
    redaction.learn(r#""event":"output","source""#);
    redaction.learn(r"ends-with-a-backslash\");
    let kept = super::capture::Kept::default();
    let streams = guard::report::printer::Streams {
        out: Box::new(kept.clone()),
        err: Box::new(std::io::sink()),
        size: Box::new(|| None),
    };
    let clock = std::sync::Arc::new(super::capture::SetClock::default());
    let reporter = guard::report::printer::Reporter::start(json, streams, clock, redaction).unwrap();
    let line = r"x ends-with-a-backslash\".to_owned();
    guard::model::event::Audience::tell(
        &*reporter,
        &Event::Output {
            source: "deploy".into(),
            line,
        },
    );
    assert!(reporter.finish(None, std::time::Duration::from_secs(20)));
    let object: serde_json::Value = serde_json::from_str(kept.text().trim()).unwrap();
    assert_eq!(object["line"], "x [REDACTED]");
    assert_eq!(object["event"], "output");
}

#[test]
fn a_log_line_is_no_command_to_github() {
    let mut github = style(Form::Plain);
    github.ci = Some(Ci::GitHub {
        summary: None,
        output: None,
    });
    let foreign = [
        "::error::forged",
        "##[add-path]/evil",
        "  ::set-output name=x::y",
        "a ##[group]b",
    ];
    let mut events: Vec<Event> = foreign
        .iter()
        .map(|line| Event::Output {
            source: "deploy".into(),
            line: (*line).into(),
        })
        .collect();
    events.extend(foreign.iter().map(|text| Event::Note {
        level: Level::Info,
        text: format!("x\n{text}"),
    }));
    let text = said(github, events);
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("::"), "{text}");
        assert!(!line.contains("##["), "{text}");
    }
    assert!(text.contains("deploy | ::error::forged"), "{text}");
}

#[test]
fn whatever_a_command_prints_its_lines_are_safe() {
    let redaction = guard::model::secret::Redaction::default();
    redaction.learn("hunter2hunter2");
    let pieces = [
        "\u{1b}",
        "[",
        "]",
        "0;",
        "52;c;",
        "\u{7}",
        "\u{9b}",
        "\u{9d}",
        "\u{9c}",
        "\\",
        "m",
        "2J",
        "31",
        ";",
        "?",
        "\r",
        "\n",
        "\0",
        "\u{8}",
        "\u{7f}",
        "P",
        "é",
        "数",
        "hunter2",
        "hunter2hunter2",
        "\u{fffd}",
        "\u{202e}",
        "\t",
        " ",
        "a",
        "::",
        "##[",
    ];
    let mut state: u64 = 20_251_022;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
        }
        for line in guard::report::sink::safe_lines(&text, &redaction) {
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                "{text:?} became {line:?}"
            );
            assert!(!line.contains("hunter2hunter2"), "{text:?} became {line:?}");
        }
    }
}
