//! How long it takes until somebody else goes on: a lock that is free, a watcher at work, a cancelled run on disk.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::figures::reached;
use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::watched::Watched;

/// The middle of some times, and the longest of them, in words.
fn told(mut times: Vec<Duration>) -> String {
    times.sort();
    let middle = times[times.len() / 2].as_millis();
    let longest = times[times.len() - 1].as_millis();
    format!("{middle} ms in the middle of {}, {longest} ms at most", times.len())
}

const WORDS: [&str; 5] = ["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 3600"];

#[test]
fn a_watcher_is_at_work_soon_after_its_guard_was_killed() {
    let times = (0..3).map(|_| {
        let project = Embedded::patient("");
        let before = project.everything();
        let mut guard = project.guard().start(&WORDS);
        let watched = Watched::of(&project, &mut guard).unwrap();
        until(|| project.root().join("reached").exists());
        let reaction = watched.kill(&mut guard).expect("it went on");
        assert_eq!(watched.exit_code(), 20, "{}", watched.log());
        assert_eq!(project.everything(), before);
        reaction
    });
    reached(
        "R12",
        "the watcher has the lock of a killed guard within 200 ms",
        &told(times.collect()),
        "measured",
    );
}

#[test]
fn a_cancelled_run_is_safe_on_disk_soon() {
    let times = (0..3).map(|_| {
        let project = Embedded::patient("");
        let before = project.everything();
        let mut guard = project.guard().start(&WORDS);
        until(|| project.root().join("reached").exists());
        let begun = Instant::now();
        signal(&guard, Signal::TERM);
        // From this record on whoever comes next goes back, and needs to know nothing else.
        project.until_journal_says("{\"turned\":{\"why\":\"interrupted\"", &mut guard);
        let reaction = begun.elapsed();
        assert_eq!(end(&mut guard).code(), Some(23));
        assert_eq!(project.everything(), before);
        reaction
    });
    reached(
        "R13",
        "the way back is decided on disk within 1 s of a cancellation",
        &told(times.collect()),
        "measured",
    );
}
