//! Plain lines: exact, few, and nothing in them that a terminal would obey.

use guard::model::event::{Event, Level};
use guard::model::fact::{Ending, Fact, RollbackCause, StepOutput};
use guard::model::health::Tally;
use guard::model::plan::Action;
use guard::model::policy::OnFailure;
use guard::model::standing::Phase;
use guard::report::style::{Form, Volume};

use super::capture::{said, shown, style};
use super::records::{deployed, tally, walked_back};

#[test]
fn a_run_that_walks_back_is_told_in_full() {
    let text = said(style(Form::Plain), walked_back().events());
    let expected = "\
[INFO] Run 20251022_153000-deploy begins: 4 stages ahead, and 4 stages back if the release is bad
[STEP] Step 1: back up databases
[INFO] db: app: 12 tables, 48,210 rows (412.0 MB, 5.0 s)
[STEP] Step 2: back up volumes
[INFO] objects: 3 files (9 kB, 2.0 s)
[STEP] Step 3: deploy
[INFO] Running: ./deploy.sh --to 'new version'
[INFO] The deploy command ended well after 23 s
[INFO] Version 1.4.2 is expected to answer
[WARN] Cannot be undone: 3 mails sent
[STEP] Step 4: watch
[ERROR] Step 4: watch: watch failed: backend failed 12 times in a row over 11 s (connection refused)
[WARN] The watch found the release bad: turning back
[STEP] Step 1: keep the evidence, and prepare beside what is live
[INFO] objects: is as it was, nothing to put back
[INFO] db: will be put back (changed: schema, table users)
[WARN] db: discards 3 rows in users since 15:30:07
[STEP] Step 2: stop services
[INFO] Stopped: web, worker
[STEP] Step 3: put databases and volumes back
[INFO] db: put back in 1.0 s
[INFO] db: the failed state is kept as database app__failed_20251022_153000_deploy
[STEP] Step 4: prove
[INFO] db: 12 tables, as in the backup
[ERROR] The watch found the release bad
[ERROR]   why: backend failed 12 times in a row over 11 s (connection refused)
[ERROR]   guard: The watch found the release bad; rolled back to 20251022_153000, and proven.
[ERROR]   now, to see what is kept of the failed state: guard status
[ERROR] Production is old, verified (exit code 22).
";
    assert_eq!(text, expected);
}

#[test]
fn quiet_says_what_is_wrong_and_how_it_ended() {
    let mut quiet = style(Form::Plain);
    quiet.volume = Volume::Quiet;
    let good = deployed()
        .done(
            630,
            Action::Watch,
            StepOutput::Watched {
                tally: tally(),
                inconclusive: None,
                person: None,
            },
        )
        .closed(630, Ending::Deployed);
    let mut events = good.events();
    events.insert(
        3,
        Event::Output {
            source: "deploy".into(),
            line: "pulling".into(),
        },
    );
    events.insert(
        3,
        Event::Watching {
            elapsed: 1.0,
            window: 600.0,
            tally: tally(),
        },
    );
    assert_eq!(
        said(quiet, events),
        "[WARN] Cannot be undone: 3 mails sent\n\
         [INFO] The new release is live: deployed, verified and watched.\n\
         [INFO] To go back to the state before it: guard rollback --backup-timestamp=20251022_153000\n\
         [INFO] Production is new, verified.\n"
    );
}

#[test]
fn details_are_for_those_who_ask() {
    let note = vec![Event::Note {
        level: Level::Detail,
        text: "docker inspect web".into(),
    }];
    assert_eq!(said(style(Form::Plain), note.clone()), "");
    let mut verbose = style(Form::Plain);
    verbose.volume = Volume::Verbose;
    assert_eq!(said(verbose, note), "[INFO] docker inspect web\n");
}

#[test]
fn the_progress_line_comes_every_thirty_seconds_and_at_the_end() {
    let mut events: Vec<(f64, Event)> = (1..=61_u32)
        .map(|round| {
            let elapsed = f64::from(round) * 2.0;
            let tally = Tally {
                checks: u64::from(round),
                failures: 0,
                consecutive: 0,
                unknown: 0,
                worst: None,
            };
            (
                elapsed,
                Event::Watching {
                    elapsed,
                    window: 600.0,
                    tally,
                },
            )
        })
        .collect();
    let journal = deployed();
    let facts = journal.events();
    let done = deployed().done(
        630,
        Action::Watch,
        StepOutput::Watched {
            tally: tally(),
            inconclusive: None,
            person: None,
        },
    );
    events.splice(0..0, facts.into_iter().map(|fact| (0.0, fact)));
    events.push((124.0, done.events().pop().unwrap()));
    let (_, text) = shown(style(Form::Plain), &events, 80);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("Progress")).collect();
    assert_eq!(
        lines,
        [
            "Progress: 2s / 600s | Checks: 1 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 598s",
            "Progress: 32s / 600s | Checks: 16 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 568s",
            "Progress: 62s / 600s | Checks: 31 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 538s",
            "Progress: 92s / 600s | Checks: 46 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 508s",
            "Progress: 122s / 600s | Checks: 61 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 478s",
        ]
    );
    let exact = guard::report::plain::progress_line(
        120.0,
        600.0,
        &Tally {
            checks: 12,
            ..Tally::default()
        },
    );
    assert_eq!(
        exact,
        "Progress: 120s / 600s | Checks: 12 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 480s"
    );
}

#[test]
fn the_last_progress_is_told_even_if_the_throttle_held_it_back() {
    let watching = |elapsed: f64| {
        (
            elapsed,
            Event::Watching {
                elapsed,
                window: 600.0,
                tally: tally(),
            },
        )
    };
    let failed = walked_back().events().into_iter().nth(8).unwrap();
    let mut events: Vec<_> = deployed().events().into_iter().map(|fact| (0.0, fact)).collect();
    events.extend([watching(1.0), watching(11.0), watching(12.0), (12.0, failed)]);
    let (_, text) = shown(style(Form::Plain), &events, 80);
    let tail: Vec<&str> = text.lines().rev().take(3).collect();
    assert!(tail[0].starts_with("[ERROR] Step 4: watch"), "{text}");
    assert!(tail[1].starts_with("Progress: 12s"), "{text}");
    assert!(tail[2].starts_with("Progress: 1s"), "{text}");
}

#[test]
fn long_work_is_told_every_five_seconds() {
    let events: Vec<_> = (0..=40_u32)
        .map(|tick| {
            let seconds = f64::from(tick) * 0.25;
            let done = u64::from(tick) * 24_000_000;
            (
                seconds,
                Event::Progress {
                    step: None,
                    what: "dump app".into(),
                    done,
                    total: Some(1_000_000_000),
                },
            )
        })
        .collect();
    let (_, text) = shown(style(Form::Plain), &events, 80);
    assert_eq!(
        text,
        "[INFO] dump app: 480.0 MB of about 1.00 GB, 96 MB/s, 5 s left\n\
         [INFO] dump app: 960.0 MB of about 1.00 GB, 96 MB/s, 0 s left\n"
    );
}

#[test]
fn a_withheld_rollback_is_not_called_a_way_back() {
    let held = Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: Some(OnFailure::Hold),
    };
    let text = said(style(Form::Plain), deployed().and(40, held).events());
    assert!(
        text.ends_with("[WARN] The verification failed: the rollback is withheld, as was decided before\n"),
        "{text}"
    );
}

#[test]
fn a_long_start_is_told_once_a_minute() {
    let standing = |elapsed: f64, waits_for: Option<&str>| {
        let event = Event::Standing {
            phase: Phase::Gate,
            elapsed,
            of: 240.0,
            probes: Vec::new(),
            waits_for: waits_for.map(str::to_owned),
        };
        (elapsed, event)
    };
    let starting = "containers: app is still starting";
    let mut events: Vec<_> = (0..=130_u32)
        .map(|second| standing(second.into(), Some(starting)))
        .collect();
    // The old release is waited for in its own time.
    events.extend((0..=60).map(f64::from).map(|second| {
        let (_, event) = standing(second, None);
        (200.0 + second, event)
    }));
    let (_, text) = shown(style(Form::Plain), &events, 80);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "[INFO] not up yet after 1 min, 4 min at most: containers: app is still starting",
            "[INFO] not up yet after 2 min, 4 min at most: containers: app is still starting",
            "[INFO] not up yet after 1 min, 4 min at most",
        ]
    );
}
