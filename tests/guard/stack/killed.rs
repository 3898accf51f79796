//! guard killed at random moments of a deployment and of rollbacks: `guard resume` ends in the right state each time.

use std::time::{Duration, Instant, SystemTime};

use super::{Stage, State, same};
use crate::support::program::Program;

/// How many kills the two tests do together, half of them each, unless `GUARD_TEST_KILLS` says otherwise.
const KILLS: u32 = 8;

fn kills_each() -> u32 {
    let kills = std::env::var("GUARD_TEST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    kills.div_ceil(2)
}

/// About how long a rollback of the shop takes.
const ROLLBACK: Duration = Duration::from_secs(14);

/// Random moments, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn thrown(test: &str) -> Self {
        let seed = std::env::var("GUARD_TEST_SEED").map_or_else(
            |_| {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                u64::from(now.subsec_nanos()) ^ now.as_secs()
            },
            |text| text.parse().unwrap(),
        );
        eprintln!("{test}: GUARD_TEST_SEED={seed}");
        Self(seed)
    }

    /// A part of a time span.
    fn part_of(&mut self, span: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        span * u32::try_from(self.0 >> 40).unwrap() / (1 << 24)
    }
}

impl Stage {
    /// guard as this series needs it: nobody but the test finishes what was killed.
    fn alone(&self) -> Program {
        self.guard().env("GUARD_NO_WATCHER", "1")
    }

    /// Starts guard and kills it after this long; whether it had ended before.
    fn kill(&self, args: &[&str], after: Duration) -> bool {
        let mut running = self.alone().start(args);
        std::thread::sleep(after);
        let had_ended = running.try_wait().unwrap().is_some();
        running.kill().unwrap();
        running.wait().unwrap();
        had_ended
    }

    /// The last lines of the newest journal.
    fn last_words(&self) -> String {
        let runs = self.runs();
        let Some(run) = runs.last() else {
            return "no run".to_owned();
        };
        let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
        let last = journal.lines().last().unwrap_or_default();
        format!("{}: {}", run.display(), last.chars().take(200).collect::<String>())
    }

    /// Resumes until nothing is unfinished; the exit code of the last one that had something to do.
    fn resume(&self) -> Option<i32> {
        let mut code = None;
        for _ in 0..5 {
            let ran = self.alone().run(&["resume"]);
            if ran.everything().contains("nothing is unfinished") {
                assert_eq!(ran.code, Some(0));
                return code;
            }
            code = ran.code;
            assert!(
                matches!(code, Some(0 | 14 | 20..=24 | 32)),
                "resume: {}",
                ran.everything()
            );
        }
        panic!("it is unfinished after five resumes: {}", self.last_words());
    }

    /// Nobody of a run that was killed acts on: what it had started is gone.
    fn has_no_actor(&self) {
        let state = self.shop.state().display().to_string();
        // What only looks, before a run has begun, carries neither.
        let theirs = ["GUARD_ACT", "GUARD_BACKUP_DIR"].map(|name| format!("{name}={state}/"));
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let is_theirs = String::from_utf8_lossy(&environment)
                .split('\0')
                .any(|one| theirs.iter().any(|theirs| one.starts_with(theirs)));
            assert!(
                !is_theirs,
                "still acting: {}",
                String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).unwrap_or_default())
            );
        }
    }
}

#[test]
fn a_deployment_that_is_killed_is_finished() {
    let stage = Stage::open();
    let mut dice = Dice::thrown("deployments");
    let marks = stage.shop.directory().join(".git/marks");
    let script = format!("echo begun >> {}; exec ./deploy.sh migrate", marks.display());
    let deploy = [
        "deploy",
        "--again",
        "--data-restore",
        "always",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let before = stage.state();
    let begun = Instant::now();
    stage.alone().run(&deploy).expect(21);
    let span = begun.elapsed();
    same("before any kill", &stage.state(), &before, &[]);
    for number in 1..=kills_each() {
        std::fs::write(&marks, "").unwrap();
        let after = dice.part_of(span);
        let had_ended = stage.kill(&deploy, after);
        let words = stage.last_words();
        eprintln!("deployment {number} of {span:.1?} killed after {after:.1?}: {words}");
        let was_begun = !std::fs::read_to_string(&marks).unwrap().is_empty();
        if was_begun && !had_ended && !words.contains("closed") {
            stage.alone().run(&["deploy", "--", "true"]).expect(13);
        }
        let code = stage.resume();
        assert!(!was_begun || code != Some(0), "a bad release was called good");
        stage.has_no_actor();
        same(&format!("deployment {number}, {words}"), &stage.state(), &before, &[]);
        let begun = std::fs::read_to_string(&marks).unwrap().lines().count();
        assert!(begun <= 1, "the deploy command ran {begun} times");
        stage.shop.sh("./smoke.sh");
    }
}

#[test]
fn a_rollback_that_is_killed_is_finished() {
    let stage = Stage::open();
    let mut dice = Dice::thrown("rollbacks");
    let old = stage.state();
    let deploy = ["deploy", "--again", "--no-rollback", "--", "./deploy.sh", "migrate"];
    stage.alone().run(&deploy).expect(31);
    let failed = stage.state();
    let latest = stage.shop.state().join("backups/.latest_backup");
    let backup = format!("--backup-timestamp={}", std::fs::read_to_string(latest).unwrap().trim());
    // By turns: the failed release is rolled back by hand, for the first time each time, and the undo brings it back.
    let back = ["rollback", "--yes", "--data-restore", "always", &backup];
    let undo = ["rollback", "--undo", "--yes"];
    let mut is_failed = true;
    for number in 1..=kills_each() {
        let (args, name) = if is_failed {
            (&back[..], "rollback")
        } else {
            (&undo[..], "undo")
        };
        // Both take as long as this, the first more at its beginning and the other at its end.
        let after = dice.part_of(ROLLBACK);
        let runs = stage.runs().len();
        stage.kill(args, after);
        let words = stage.last_words();
        eprintln!("{name} {number} of {ROLLBACK:.1?} killed after {after:.1?}: {words}");
        // A run whose first record is on disk is finished; before that nothing was done.
        let has_begun = stage.runs().len() > runs && words.contains("\"record\"");
        stage.resume();
        stage.has_no_actor();
        is_failed ^= has_begun;
        let expected: &State = if is_failed { &failed } else { &old };
        same(&format!("{name} {number}, {words}"), &stage.state(), expected, &[]);
    }
}
