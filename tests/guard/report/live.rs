//! The live display: its panel at several widths, its permanent lines, its behaviour when the terminal changes.

use std::sync::Mutex;
use std::time::Duration;

use console::measure_text_width;
use guard::model::event::Event;
use guard::model::health::{Outcome, Tally};
use guard::model::standing::Standing;
use guard::report::pace::Work;
use guard::report::panel::{Brush, Panel, Strip};
use guard::report::style::Form;
use insta::assert_snapshot;

use super::capture::{shown, shown_in, style};
use super::records::walked_back;

const PLAIN: Brush = Brush {
    unicode: true,
    colour: false,
};
const ASCII: Brush = Brush {
    unicode: false,
    colour: false,
};

fn watching() -> Panel {
    let mut backend = Strip::new("backend");
    let mut database = Strip::new("database-primary-with-a-long-name");
    for round in 0..60 {
        let failed = (10..13).contains(&round) || round >= 58;
        backend.push(if failed { Outcome::Failed } else { Outcome::Ok });
        database.push(if round % 20 == 7 { Outcome::Unknown } else { Outcome::Ok });
    }
    let tally = Tally {
        checks: 117,
        failures: 5,
        consecutive: 2,
        unknown: 3,
        worst: None,
    };
    Panel {
        stage: Some(("Step 4: watch".into(), Duration::from_mins(1))),
        watch: Some((60.0, 600.0, tally)),
        strips: vec![backend, database],
        ..Panel::default()
    }
}

/// The same with what the rule knows of it, what happened last, and keys.
fn judged() -> Panel {
    let mut panel = watching();
    panel.strips[0].standing = Some(Standing {
        probe: "backend".parse().unwrap(),
        known: 60,
        failed: 5,
        limit: 0.1,
        latency: Some(0.0234),
        usual: Some(0.02),
    });
    panel.happened("15:30:40 backend: 503".into());
    panel.happened("15:30:43 backend is well again after 3.0 s".into());
    panel.keys = Some("keys: r roll back, a accept, h hold".into());
    panel
}

fn working() -> Panel {
    let mut dump = Work::new("dump app");
    dump.update(Duration::from_secs(1), 316_000_000, Some(886_000_000));
    dump.update(Duration::from_secs(2), 412_000_000, Some(886_000_000));
    let mut pack = Work::new("pack objects");
    pack.update(Duration::from_secs(1), 0, None);
    pack.update(Duration::from_secs(2), 9_500_000, None);
    Panel {
        stage: Some(("Step 1: back up databases".into(), Duration::from_secs(2))),
        works: vec![dump, pack],
        ..Panel::default()
    }
}

#[test]
fn the_panels_at_eighty_columns() {
    assert_eq!(
        watching().lines(80, 20, PLAIN),
        [
            "▸ Step 4: watch 1 min",
            "  ████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 60s / 600s, 9 min left",
            "  117 checks, 5 failures (4.27%), 3 unknown",
            "  backend             ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁✗✗ failed x2 8.3%",
            "  database-primary-w… ▁▁▁▁?▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁?▁▁▁▁▁▁▁▁▁▁▁▁ ok x57 0.0%",
        ]
    );
    assert_eq!(
        working().lines(80, 20, ASCII),
        [
            "> Step 1: back up databases 2 s",
            "  dump app #############---------------- 412.0 MB / 886.0 MB, 96 MB/s, 5 s left",
            "  pack objects 9.5 MB, 9.5 MB/s",
        ]
    );
}

#[test]
fn the_panels_at_forty_columns() {
    assert_eq!(
        watching().lines(40, 20, ASCII),
        [
            "> Step 4: watch 1 min",
            "  #------------- 60s / 600s, 9 min left",
            "  117 checks, 5 failures (4.27%), 3 un~",
            "  backend   ..............xx failed x2",
            "  database~ ...?............ ok x57",
        ]
    );
    assert_eq!(
        working().lines(40, 20, PLAIN),
        [
            "▸ Step 1: back up databases 2 s",
            "  dump app ███████░░░░░░░ 47%, 5 s left",
            "  pack objects 9.5 MB, 9.5 MB/s",
        ]
    );
}

#[test]
fn a_watch_is_shown_with_limits_latency_events_and_keys() {
    assert_eq!(
        judged().lines(80, 20, PLAIN),
        [
            "▸ Step 4: watch 1 min",
            "  ████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 60s / 600s, 9 min left",
            "  117 checks, 5 failures (4.27%), 3 unknown",
            "  probe               answers                in a row       failed   now/before",
            "  backend             ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁✗✗ failed x2     8.3/10%     23/20 ms",
            "  database-primary-w… ▁▁▁▁▁▁▁▁▁?▁▁▁▁▁▁▁▁▁▁▁▁ ok x57           0.0%            -",
            "  15:30:40 backend: 503",
            "  15:30:43 backend is well again after 3.0 s",
            "  keys: r roll back, a accept, h hold",
        ]
    );
    assert_eq!(
        judged().lines(40, 20, ASCII),
        [
            "> Step 4: watch 1 min",
            "  #------------- 60s / 600s, 9 min left",
            "  117 checks, 5 failures (4.27%), 3 un~",
            "  backend   ..............xx failed x2",
            "    failed 8.3/10%, takes 23/20 ms",
            "  database~ ...?............ ok x57",
            "  15:30:40 backend: 503",
            "  15:30:43 backend is well again after~",
            "  keys: r roll back, a accept, h hold",
        ]
    );
    let low = judged().lines(80, 5, PLAIN);
    assert_eq!((low.len(), low[4].trim()), (5, "keys: r roll back, a accept, h hold"));
}

#[test]
fn a_release_that_is_waited_for_has_a_countdown() {
    let mut panel = Panel {
        gate: Some((12.0, 60.0)),
        ..Panel::default()
    };
    assert_eq!(
        panel.lines(80, 20, ASCII),
        ["  ########-------------------------------- 12s / 60s, 48 s left to come up"]
    );
    panel.gate = Some((70.0, 60.0));
    assert!(panel.lines(40, 20, ASCII)[0].contains("70s / 60s"));
    panel.waits_for = Some("site: 503; app is still starting".into());
    assert_eq!(
        panel.lines(80, 20, ASCII)[1],
        "  waits for site: 503; app is still starting"
    );
}

#[test]
fn what_happens_to_a_probe_is_told_when_it_changes() {
    let mut strip = Strip::new("web");
    let mut told = Vec::new();
    let outcomes = [
        Outcome::Ok,
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Unknown,
        Outcome::Unknown,
        Outcome::Ok,
    ];
    for (seconds, outcome) in (0_u32..).zip(outcomes) {
        told.extend(strip.take(&super::records::reading(seconds.into(), outcome)));
    }
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].contains("web: ") && told[1].contains("cannot be seen"),
        "{told:?}"
    );
    assert!(told[2].contains("is well again after"), "{told:?}");
}

#[test]
fn no_line_reaches_the_edge_at_any_width_and_rows_are_limited() {
    let coloured = Brush {
        unicode: true,
        colour: true,
    };
    for columns in 1..200 {
        for brush in [PLAIN, ASCII, coloured] {
            for line in watching()
                .lines(columns, 20, brush)
                .iter()
                .chain(&working().lines(columns, 20, brush))
                .chain(&judged().lines(columns, 20, brush))
            {
                assert!(measure_text_width(line) < columns.max(2), "{columns}: {line:?}");
            }
        }
    }
    let mut many = watching();
    many.strips = (0..50).map(|number| Strip::new(format!("probe-{number}"))).collect();
    let lines = many.lines(80, 10, PLAIN);
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[9], "  and 44 more");
}

#[test]
fn finished_stages_stay_with_their_duration_and_what_they_told() {
    let events: Vec<_> = walked_back().events().into_iter().map(|event| (0.0, event)).collect();
    let (_, text) = shown(style(Form::Live), &events, 80);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.contains('\u{1b}'))
        .collect();
    assert_snapshot!("live_lines", lines.join("\n"));
}

/// A terminal of so many columns, as far as the display uses one: what is on the screen after these bytes.
fn screen(bytes: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![String::new()], 0_usize, 0_usize);
    let mut chars = bytes.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(String::new());
                }
            }
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                let mut number = String::new();
                let end = loop {
                    let c = chars.next().expect("a whole sequence");
                    if c.is_ascii_alphabetic() {
                        break c;
                    }
                    number.push(c);
                };
                match end {
                    'A' => row -= number.parse::<usize>().unwrap(),
                    'J' => {
                        lines.truncate(row + 1);
                        lines[row] = lines[row].chars().take(column).collect();
                    }
                    other => panic!("unexpected sequence {other}"),
                }
            }
            c => {
                assert!(column < columns, "a line reaches the edge");
                let mut cells: Vec<char> = lines[row].chars().collect();
                cells.resize(cells.len().max(column + 1), ' ');
                cells[column] = c;
                lines[row] = cells.into_iter().collect();
                column += 1;
            }
        }
    }
    lines
}

/// A run with something in the panel all the time, and permanent lines in between.
fn busy() -> Vec<(f64, Event)> {
    let mut events: Vec<(f64, Event)> = Vec::new();
    for (index, event) in (0_u32..).zip(walked_back().events()) {
        let seconds = f64::from(index);
        events.push((seconds, event));
        let tally = Tally::default();
        let (done, total) = (u64::from(index) * 1000, Some(1_000_000));
        events.push((
            seconds + 0.25,
            Event::Watching {
                elapsed: seconds,
                window: 60.0,
                tally,
            },
        ));
        events.push((
            seconds + 0.5,
            Event::Progress {
                step: None,
                what: "dump".into(),
                done,
                total,
            },
        ));
        events.push((seconds + 0.75, Event::Reading(super::records::reading(0, Outcome::Ok))));
    }
    events
}

/// The lines that have to stay, in order.
fn permanent(screen: &[String]) -> Vec<&str> {
    let drawn = |line: &&str| !line.contains(['▸', '░', '▁']) && !line.starts_with("  0 checks") && !line.is_empty();
    screen.iter().map(|line| line.trim_end()).filter(drawn).collect()
}

#[test]
fn the_panel_is_painted_over_and_gone_at_the_end() {
    let (_, text) = shown(style(Form::Live), &busy(), 120);
    assert!(text.contains("\u{1b}["), "a panel was painted: {text:?}");
    let screen = screen(&text, 120);
    assert!(!screen.iter().any(|line| line.contains(['▸', '░', '▁'])), "{screen:#?}");
    let alone: Vec<_> = walked_back().events().into_iter().map(|event| (0.0, event)).collect();
    let (_, expected) = shown(style(Form::Live), &alone, 120);
    let expected: Vec<&str> = expected
        .lines()
        .filter(|line| !line.contains(['▸', '\u{1b}']))
        .collect();
    assert_eq!(permanent(&screen), expected);
}

#[test]
fn a_terminal_that_changes_its_size_loses_no_line() {
    let steady = shown(style(Form::Live), &busy(), 120).1;
    let asked = Mutex::new(0_u16);
    let changing = move || {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        Some((if (*asked / 7).is_multiple_of(2) { 120 } else { 45 }, 24))
    };
    let resized = shown_in(style(Form::Live), &busy(), Box::new(changing)).1;
    assert_ne!(steady, resized);
    assert_eq!(permanent(&screen(&resized, 120)), permanent(&screen(&steady, 120)));
}

#[test]
fn after_a_standstill_nothing_is_painted_over() {
    let watching = |seconds: f64| {
        let tally = Tally::default();
        (
            seconds,
            Event::Watching {
                elapsed: seconds,
                window: 60.0,
                tally,
            },
        )
    };
    let frames = |events: &[(f64, Event)]| shown(style(Form::Live), events, 80).1.matches("\u{1b}[J").count();
    assert_eq!(
        frames(&[watching(0.0), watching(1.0), watching(2.0), watching(3.0)]),
        3,
        "two paintings and the end"
    );
    assert_eq!(
        frames(&[watching(0.0), watching(1.0), watching(31.0), watching(32.0)]),
        2,
        "one less: a shell wrote there"
    );
}
