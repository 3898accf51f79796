//! The display in a real terminal: a pseudo-terminal of util-linux's `script`, in which this test binary plays a run.

use std::process::Command;
use std::time::Duration;

use guard::model::event::{Audience, Event};
use guard::model::health::{Outcome, Tally};
use guard::model::secret::Redaction;
use guard::report::printer::{Reporter, Streams, size_of_stderr};
use guard::report::style::{Flags, Style, Terminal};
use guard::system::clock::MachineClock;
use guard::system::environment::Environment;

use super::records::{reading, walked_back};

/// Plays a run for the test below, or for a person: `cargo test --test guard -- --ignored --nocapture --exact
/// report::terminal::play`. `GUARD_TEST_BEAT` is the time between two events in milliseconds.
#[test]
#[ignore = "plays a run on the terminal it is started in"]
fn play() {
    let environment = Environment::of_this_process();
    let size = size_of_stderr();
    let terminal = Terminal {
        is_terminal: size.is_some(),
        columns: size.map(|(columns, _)| columns),
    };
    let style = Style::detect(&environment, terminal, Flags::default());
    let clock = MachineClock::start();
    let reporter = Reporter::start(style, Streams::of_this_process(), clock.clone(), Redaction::default()).unwrap();
    let beat = environment
        .text("GUARD_TEST_BEAT")
        .map_or(50, |beat| beat.parse().unwrap());
    let mut round: u32 = 0;
    for event in walked_back().events() {
        reporter.tell(&event);
        for part in 1..=8_u32 {
            round += 1;
            clock.sleep(Duration::from_millis(beat));
            let done = u64::from(part) * 50_000_000;
            reporter.tell(&Event::Progress {
                step: None,
                what: "dump app".into(),
                done,
                total: Some(412_000_000),
            });
            let outcome = [Outcome::Ok, Outcome::Ok, Outcome::Failed, Outcome::Unknown][round as usize % 4];
            reporter.tell(&Event::Reading(reading(1, outcome)));
            let tally = Tally {
                checks: u64::from(round),
                ..Tally::default()
            };
            reporter.tell(&Event::Watching {
                elapsed: f64::from(round),
                window: 600.0,
                tally,
            });
        }
        reporter.tell(&Event::Output {
            source: "deploy".into(),
            line: "pulling \u{1b}[32mlayer\u{1b}[0m".into(),
        });
    }
    assert!(reporter.finish(None, Duration::from_secs(20)));
}

fn played(columns: u16, variables: &[(&str, &str)]) -> String {
    let own = std::env::current_exe().unwrap();
    let line = format!(
        "stty cols {columns} rows 20; exec {} --exact report::terminal::play --ignored --nocapture --color never",
        own.display()
    );
    let mut call = Command::new("script");
    call.args(["-qec", &line, "/dev/null"])
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .env("GUARD_TEST_BEAT", "8");
    for name in ["CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR"] {
        call.env_remove(name);
    }
    let output = call
        .envs(variables.iter().copied())
        .output()
        .expect("`script` of util-linux is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn a_terminal_gets_a_live_display_that_fits() {
    for columns in [80, 40] {
        let text = played(columns, &[]);
        assert!(text.contains("\u{1b}[J"), "it is painted: {text:?}");
        let bars: Vec<&str> = text
            .split(['\r', '\n'])
            .filter(|line| line.contains('█') || line.contains('▁'))
            .collect();
        assert!(!bars.is_empty(), "{text:?}");
        for line in bars {
            assert!(
                console::measure_text_width(line.trim_end()) < usize::from(columns),
                "{columns}: {line:?}"
            );
        }
        assert!(
            text.contains("[ERROR]\u{1b}[0m Production is old, verified (exit code 22)."),
            "{text:?}"
        );
    }
}

#[test]
fn a_terminal_that_wants_none_gets_no_escape_sequence() {
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let text = played(80, &variables);
        assert!(!text.contains('\u{1b}'), "{variables:?}: {text:?}");
        assert!(
            text.contains("[STEP] Step 3: put databases and volumes back\r\n"),
            "{text:?}"
        );
        assert!(
            text.contains("[ERROR] Production is old, verified (exit code 22).\r\n"),
            "{text:?}"
        );
    }
}
