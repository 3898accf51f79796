//! Nobody reads, nobody can write: the run goes on.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use guard::model::event::{Audience, Event, Level};
use guard::model::secret::Redaction;
use guard::report::printer::{BRIEFLY, Reporter, Streams};
use guard::report::queue::CAPACITY;
use guard::report::style::{Form, Style};
use guard::system::clock::MachineClock;

use super::capture::{Kept, style};
use super::records::{deployed, walked_back};

fn reporter(style: Style, out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Arc<Reporter> {
    let streams = Streams {
        out: Box::new(out),
        err: Box::new(err),
        size: Box::new(|| Some((80, 24))),
    };
    Reporter::start(style, streams, MachineClock::start(), Redaction::default()).unwrap()
}

fn both() -> Style {
    Style {
        json: true,
        ..style(Form::Plain)
    }
}

fn output(line: &str) -> Event {
    Event::Output {
        source: "deploy".into(),
        line: line.into(),
    }
}

#[test]
fn a_full_disk_and_a_reader_that_is_gone_change_nothing() {
    for form in [Form::Plain, Form::Live] {
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let reporter = reporter(Style { form, ..both() }, full, gone);
        walked_back().events().iter().for_each(|event| reporter.tell(event));
        assert!(
            reporter.finish(None, Duration::from_secs(20)),
            "the printer came to its end"
        );
    }
}

#[test]
fn a_stream_that_fails_does_not_silence_the_other() {
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let kept = Kept::default();
    let reporter = reporter(both(), gone, kept.clone());
    walked_back().events().iter().for_each(|event| reporter.tell(event));
    assert!(reporter.finish(None, Duration::from_secs(20)));
    assert!(kept.text().ends_with("Production is old, verified (exit code 22).\n"));
}

#[test]
fn fault_e12_a_pipe_that_nobody_reads_does_not_block_and_facts_outlive_display_lines() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let reporter = reporter(style(Form::Plain), std::io::sink(), writer);
    // Far more than the pipe and the queue hold: telling would never return if it waited.
    for number in 0..CAPACITY * 20 {
        reporter.tell(&output(&format!("line {number} {}", "x".repeat(100))));
    }
    walked_back().events().iter().for_each(|event| reporter.tell(event));
    assert!(
        !reporter.finish(None, BRIEFLY),
        "the pipe is still blocked, and finishing did not wait for it"
    );
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert!(
        reporter.finish(None, Duration::from_mins(1)),
        "a reader came, and all that was kept is written"
    );
    drop(reporter);
    let text = read.join().unwrap();
    assert!(text.contains("lines were not shown: nobody read them in time"));
    for line in [
        "[STEP] Step 1: back up databases",
        "[STEP] Step 3: put databases and volumes back",
    ] {
        assert!(text.contains(line), "no fact is lost: {line}");
    }
    assert!(text.ends_with("[ERROR] Production is old, verified (exit code 22).\n"));
}

#[test]
fn nothing_is_lost_to_a_reader_who_is_only_slow() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let reporter = reporter(style(Form::Plain), writer, std::io::sink());
    let table = (0..50_000)
        .map(|number| format!("row {number}"))
        .collect::<Vec<_>>()
        .join("\n");
    reporter.data(table.clone());
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert!(reporter.finish(None, Duration::from_mins(1)));
    drop(reporter);
    assert_eq!(read.join().unwrap(), table);
}

#[test]
fn nothing_is_said_after_the_end() {
    let kept = Kept::default();
    let reporter = reporter(style(Form::Plain), std::io::sink(), kept.clone());
    assert!(reporter.finish(None, Duration::from_secs(20)));
    reporter.tell(&output("late"));
    assert_eq!(kept.text(), "");
}

#[test]
fn a_continued_run_is_told_as_a_continuation() {
    let kept = Kept::default();
    let reporter = reporter(style(Form::Plain), std::io::sink(), kept.clone());
    let all = walked_back().0;
    let known = deployed().0.len();
    reporter.recall(&all[..known]);
    for record in &all[known..] {
        reporter.tell(&Event::Fact {
            run: super::records::run(),
            record: Box::new(record.clone()),
        });
    }
    reporter.tell(&Event::Note {
        level: Level::Info,
        text: "after".into(),
    });
    assert!(reporter.finish(None, Duration::from_secs(20)));
    let text = kept.text();
    assert!(text.starts_with("[ERROR] Step 4: watch: watch failed"), "{text}");
    assert!(text.contains("[STEP] Step 3: put databases and volumes back"), "{text}");
}

#[test]
fn real_descriptors_can_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let reporter = reporter(style(Form::Plain), std::io::sink(), File::create(&path).unwrap());
    walked_back().events().iter().for_each(|event| reporter.tell(event));
    assert!(reporter.finish(None, Duration::from_secs(20)));
    assert!(
        std::fs::read_to_string(path)
            .unwrap()
            .contains("[STEP] Step 2: stop services")
    );
}

#[test]
fn a_question_stands_below_everything_told_before_and_its_line_stays_open() {
    for form in [Form::Plain, Form::Live] {
        let kept = Kept::default();
        let reporter = reporter(style(form), std::io::sink(), kept.clone());
        reporter.tell(&Event::Note {
            level: Level::Warn,
            text: "db: discards 3 rows".into(),
        });
        assert!(reporter.ask("Roll back to 20251022_153000? [y/N]", Duration::from_secs(20)));
        let text = kept.text();
        let told: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            told,
            ["[WARN] db: discards 3 rows", "Roll back to 20251022_153000? [y/N] "],
            "{form:?}"
        );
    }
    let (_reader, writer) = std::io::pipe().unwrap();
    let reporter = reporter(style(Form::Plain), std::io::sink(), writer);
    for _ in 0..CAPACITY {
        reporter.tell(&output(&"x".repeat(100)));
    }
    assert!(
        !reporter.ask("Anybody there?", Duration::from_millis(50)),
        "who cannot be asked has not agreed"
    );
}
