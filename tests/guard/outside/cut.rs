//! The link is cut at every stage, and both guards are killed: what was begun goes on, and is heard to its end.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use super::{Going, code_of, last_line, verdict};
use crate::support::embedded::{signal, until};
use crate::support::sshd::Sshd;

/// A good deployment, and a bad one.
const GOOD: [&str; 5] = ["deploy", "--", "./deploy.sh", "all", "echo one; sleep 0.3; echo two"];
const BAD: [&str; 6] = [
    "deploy",
    "--",
    "./deploy.sh",
    "all",
    "sick",
    "echo one; sleep 0.3; echo two",
];

fn words(number: u64) -> &'static [&'static str] {
    if number.is_multiple_of(2) { &GOOD } else { &BAD }
}

/// The processes whose command line holds this text.
fn processes(text: &str) -> Vec<i32> {
    let found = Command::new("pgrep").args(["-f", "--", text]).output().unwrap();
    String::from_utf8_lossy(&found.stdout)
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect()
}

fn kill(pids: &[i32]) {
    for pid in pids {
        let _gone = rustix::process::kill_process(rustix::process::Pid::from_raw(*pid).unwrap(), Signal::KILL);
    }
}

const MOMENTS: u64 = 36;

#[test]
fn a_link_that_is_torn_at_any_moment_loses_neither_the_run_nor_its_end() {
    let sshd = Sshd::start();
    let outside = tempfile::tempdir().unwrap();
    // How much comes back in all, once the program is there.
    let mut whole = [0, 0];
    for (number, whole) in whole.iter_mut().enumerate() {
        let project = super::project("");
        let line = sshd.line();
        let guard = sshd.guard(&project, &line, outside.path());
        if number == 0 {
            guard.run(&["list"]).expect(0);
        }
        let before = line.passed();
        let (code, said) = Going::start(&guard, words(number as u64)).end();
        assert_eq!(code, Some(code_of(&project)), "{said}");
        *whole = line.passed() - before;
    }
    let next = AtomicU64::new(0);
    let unbegun = AtomicU64::new(0);
    let reattached = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= MOMENTS {
                        return;
                    }
                    let project = super::project("");
                    let torn_at = whole[usize::try_from(number % 2).unwrap()] * number / MOMENTS;
                    let line = sshd.line_torn_at(torn_at);
                    let place = outside.path().join(number.to_string());
                    std::fs::create_dir(&place).unwrap();
                    let guard = sshd.guard(&project, &line, &place);
                    let (code, said) = Going::start(&guard, words(number)).end();
                    let shown = format!("torn after {torn_at} bytes: {code:?}\n{said}");
                    assert!(line.was_torn(), "{shown}");
                    if said.contains("nothing was started") {
                        unbegun.fetch_add(1, Ordering::SeqCst);
                        assert!(code == Some(10) && project.runs().is_empty(), "{shown}");
                        continue;
                    }
                    reattached.fetch_add(u64::from(said.contains("is lost")), Ordering::SeqCst);
                    assert_eq!(code, Some(code_of(&project)), "{shown}");
                    assert_eq!(code, Some(if number.is_multiple_of(2) { 0 } else { 21 }), "{shown}");
                    assert_eq!(project.deployments().len(), 1, "{shown}");
                    assert_eq!(
                        said.matches("Production is new,").count() + said.matches("Production is old,").count(),
                        1,
                        "{shown}"
                    );
                    for line in ["deploy | one\n", "deploy | two\n", "Step 1: look"] {
                        assert_eq!(said.matches(line).count(), 1, "{line}: {shown}");
                    }
                    assert_eq!(project.runs().len(), 1, "{shown}");
                }
            });
        }
    });
    let (unbegun, reattached) = (unbegun.into_inner(), reattached.into_inner());
    eprintln!("of {MOMENTS} torn links: {unbegun} before anything was begun, {reattached} were made again");
    assert!(
        unbegun < MOMENTS / 2 && reattached > MOMENTS / 4,
        "{unbegun}, {reattached}"
    );
}

#[test]
fn a_link_that_falls_silent_is_given_up_and_made_again() {
    let sshd = Sshd::start();
    let project = super::project("");
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let guard = sshd.guard(&project, &line, outside.path());
    let going = Going::start(&guard, &["deploy", "--", "./deploy.sh", "all", "touch ../up; sleep 1"]);
    until(|| project.root().join("up").exists());
    line.freeze();
    until(|| going.said("err").contains("is lost"));
    line.thaw();
    let (code, said) = going.end();
    assert_eq!((code, code_of(&project)), (Some(0), 0), "{said}");
    assert!(said.contains("is back") && project.deployments().len() == 1, "{said}");
}

#[test]
fn who_asks_may_be_killed_and_another_one_hears_the_rest() {
    let sshd = Sshd::start();
    let line = sshd.line();
    for (number, says) in [
        "Step 1: look",
        "deploy | one",
        "Step 5: wait",
        "Step 6: verify",
        "turning back",
        "prove",
    ]
    .into_iter()
    .enumerate()
    {
        let project = super::project("[verify]\ncommands = [\"sh -c 'sleep 0.3; grep -q mode=good conf/app.conf'\"]");
        let outside = tempfile::tempdir().unwrap();
        let guard = sshd.guard(&project, &line, outside.path());
        let mut going = Going::start(&guard, words(1));
        until(|| going.said("err").contains(says) || going.child.try_wait().unwrap().is_some());
        going.child.kill().unwrap();
        going.child.wait().unwrap();
        let heard = going.said("err");
        let (code, rest) = Going::start(&guard, &["attach"]).end();
        let shown = format!("killed at {says:?}\n{heard}\n---- attach: {code:?}\n{rest}");
        assert_eq!(code, Some(code_of(&project)), "{shown}");
        assert_eq!(
            verdict(&rest),
            "[ERROR] Production is old, verified (exit code 21).",
            "{shown}"
        );
        // It goes on where the other one has left.
        let first = heard.lines().next().unwrap();
        assert!(number == 0 || !rest.contains(first), "{shown}");
        // Another machine, and the host itself, hear all of it, with the same end.
        let elsewhere = tempfile::tempdir().unwrap();
        let anew = sshd
            .guard(&project, &line, elsewhere.path())
            .run(&["attach"])
            .expect(21);
        let there = project.guard().run(&["attach", "latest"]).expect(21);
        for ran in [&anew.stderr, &there.stderr] {
            assert_eq!(verdict(ran), verdict(&rest), "{ran}");
            assert!(
                ran.contains("deploy | one\ndeploy | two\n") && ran.contains("Step 1: look"),
                "{ran}"
            );
            assert_eq!(last_line(ran), last_line(&rest), "{ran}");
        }
        assert_eq!(project.deployments().len(), 1);
    }
}

#[test]
fn a_guard_that_is_killed_at_the_host_is_finished_by_its_watcher_and_heard() {
    let sshd = Sshd::start();
    let line = sshd.line();
    // The deploy command is at work when somebody is killed, however long that takes.
    let held = "echo one; touch ../up; while [ ! -e ../go ]; do sleep 0.1; done; echo two";
    let good = ["deploy", "--", "./deploy.sh", "all", held];
    let bad = ["deploy", "--", "./deploy.sh", "all", "sick", held];
    for (who, words) in [("guard", &good[..]), ("keeper", &bad), ("both", &bad), ("guard", &bad)] {
        let project = super::project("");
        let outside = tempfile::tempdir().unwrap();
        let guard = sshd.guard(&project, &line, outside.path());
        let mut going = Going::start(&guard, words);
        until(|| {
            project
                .runs()
                .pop()
                .is_some_and(|run| run.join("watcher.json").exists())
        });
        project.until_journal_says("begun\":{\"step\":\"deploy\"", &mut going.child);
        until(|| project.root().join("up").exists());
        let directory = project.directory();
        let theirs = processes(&format!("^guard .*{}", directory.display()));
        let keepers = processes(&format!("__outside keep {}", sshd.cache().display()));
        assert!(theirs.len() == 1 && keepers.len() == 1, "{theirs:?} {keepers:?}");
        if who != "guard" {
            kill(&keepers);
        }
        if who != "keeper" {
            kill(&theirs);
        }
        std::fs::write(project.root().join("go"), "").unwrap();
        let (code, said) = going.end();
        let shown = format!("{who}: {code:?}\n{said}");
        assert_eq!(code, Some(code_of(&project)), "{shown}");
        assert_eq!(
            said.matches("Production is new,").count() + said.matches("Production is old,").count(),
            1,
            "{shown}"
        );
        assert_eq!(project.deployments().len(), 1, "{shown}");
        let expected = if who == "keeper" { 21 } else { 20 };
        assert_eq!(code, Some(expected), "{shown}");
        assert!(
            !said.contains(": guard status") && !said.contains("127.0.0.1 status"),
            "{shown}"
        );
    }
}

#[test]
fn a_job_that_is_cancelled_is_heard_at_the_host_and_a_link_that_stays_down_is_told() {
    let sshd = Sshd::start();
    let project = super::project("");
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let guard = sshd.guard(&project, &line, outside.path());
    let going = Going::start(&guard, &["deploy", "--", "./deploy.sh", "all", "touch ../up; sleep 30"]);
    until(|| project.root().join("up").exists());
    signal(&going.child, Signal::TERM);
    let (code, said) = going.end();
    assert_eq!((code, code_of(&project)), (Some(23), 23), "{said}");

    let project = super::project("");
    let guard = sshd.guard(&project, &line, outside.path());
    let words = [
        "--link-timeout",
        "1s",
        "deploy",
        "--",
        "./deploy.sh",
        "all",
        "touch ../up; sleep 3",
    ];
    let going = Going::start(&guard, &words);
    until(|| project.root().join("up").exists());
    // New connections are made, and hear nothing.
    line.freeze();
    line.tear();
    let (code, said) = going.end();
    assert_eq!(code, Some(38), "{said}");
    assert!(
        said.contains("stayed lost for 1.0 s") && said.contains("to hear the rest: guard --host ssh://"),
        "{said}"
    );
    line.thaw();
    let (code, rest) = Going::start(&guard, &["attach"]).end();
    assert_eq!((code, code_of(&project)), (Some(0), 0), "{rest}");
}
