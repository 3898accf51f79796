//! What others do while guard is at work or between two of its runs: daemons, time zones, hands on the lock, deployments by
//! hand, a suspended terminal, a job whose time runs out.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guard::model::fact::Actor;
use guard::system::lock::{Lock, LockError};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::embedded::{Embedded, end, until};
use crate::support::program::Program;

const DEPLOY: [&str; 3] = ["deploy", "--", "./deploy.sh"];

fn deploy<'w>(words: &[&'w str]) -> Vec<&'w str> {
    [&DEPLOY[..], words].concat()
}

#[test]
fn fault_c4_names_and_records_are_utc_in_every_time_zone() {
    let project = Embedded::patient("");
    let utc = || project.sh("date -u +%Y%m%d_%H%M%S").trim().to_owned();
    let zones = [
        "Pacific/Kiritimati",
        "America/St_Johns",
        "Europe/Berlin",
        "no/such zone",
        "",
    ];
    for zone in zones {
        let before = utc();
        project.guard().env("TZ", zone).run(&["backup"]).expect(0);
        let after = utc();
        let newest = project.backups().remove(0);
        let name: String = newest.chars().take(before.len()).collect();
        assert!(before <= name && name <= after, "{zone}: {before} {newest} {after}");
        let journal = std::fs::read_to_string(project.newest_run().join("journal.jsonl")).unwrap();
        let record: serde_json::Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        assert!(record["record"]["at"].as_str().unwrap().ends_with('Z'), "{record:#}");
    }
    // Their order is that of their making, wherever each was made.
    let listed = project.backups();
    assert!(
        listed.len() == zones.len() && listed.is_sorted_by(|one, other| one > other),
        "{listed:?}"
    );
}

#[test]
fn fault_d4_a_daemon_of_the_release_holds_no_lock() {
    let project = Embedded::patient("");
    let daemon = "setsid sh -c 'echo $$ > ../daemon; exec sleep 600' > /dev/null 2>&1 &";
    let wait = "while [ ! -s ../daemon ]; do sleep 0.05; done; sleep 0.2";
    let ran = project.guard().run(&deploy(&["all", daemon, wait]));
    let held = project.sh("ls -l /proc/$(cat ../daemon)/fd");
    let again = project.guard().run(&["backup"]);
    project.sh("kill $(cat ../daemon)");
    ran.expect(0).says("has left running: sleep (pid ");
    assert!(!held.contains("/lock") && !held.contains("/state/"), "{held}");
    again.expect(0);
}

fn us() -> Actor {
    Actor {
        pid: std::process::id(),
        group: 1,
        host: "here".into(),
        boot: "now".into(),
        user: "me".into(),
        version: "0".into(),
        watcher: false,
    }
}

#[test]
fn fault_d6_a_lock_file_that_is_edited_or_removed_lets_nobody_in() {
    let project = Embedded::patient("");
    let mut first = project
        .guard()
        .start(&deploy(&["all", "echo > ../reached; read line < ../go"]));
    project.sh("mkfifo ../go");
    until(|| project.root().join("reached").exists());
    project.sh("echo 'nobody, feel free' > ../state/lock");
    let edited = project.guard().run(&["backup"]);
    project.sh("rm ../state/lock");
    // The lock of the target is another file.
    let removed = project.guard().run(&["backup"]);
    project.sh("echo > ../go");
    assert_eq!(end(&mut first).code(), Some(0));
    edited.expect(12).says("nobody, feel free");
    removed.expect(12).says("guard deploy");
    project.guard().run(&["backup"]).expect(0);
}

#[test]
fn fault_d6_a_lock_on_a_file_that_was_replaced_meanwhile_is_no_lock() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lock");
    let (inside, clashed, taken) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while taken.load(Ordering::SeqCst) < 2000 {
                    let lock = match Lock::take(&path, &us(), "a test", "now") {
                        Ok(lock) => lock,
                        Err(LockError::Held { .. }) => continue,
                        Err(LockError::Disk(error)) => panic!("{error}: {}", error.source),
                    };
                    clashed.fetch_or(inside.swap(true, Ordering::SeqCst), Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.store(false, Ordering::SeqCst);
                    // Whoever has opened it before this gets a lock on a file that nobody else will ever open.
                    let _gone = std::fs::remove_file(&path);
                    drop(lock);
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(!clashed.load(Ordering::SeqCst), "two held the lock at once");
}

/// A watch that is long enough for somebody to come in between, and ends when the release falls ill.
fn watched(policy: &str) -> Embedded {
    let project = Embedded::patient("");
    let path = project.directory().join("guard.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[policy]\n", &format!("[policy]\n{policy}\n"));
    std::fs::write(&path, text.replace("duration = \"1s\"", "duration = \"1h\"")).unwrap();
    project
}

const BY_HAND: &str =
    "echo 'code 3' > code.txt; git -c user.name=t -c user.email=t@example.invalid commit --quiet --all --message three";

#[test]
fn fault_d8_a_deployment_by_hand_during_the_watch_is_not_undone_by_itself() {
    for (policy, code) in [("", 31), ("on_drift = \"rollback\"", 22)] {
        let project = watched(policy);
        let before = project.everything();
        let mut guard = project.guard().command(&deploy(&["all"]));
        let mut guard = guard.stderr(Stdio::piped()).spawn().unwrap();
        project.until_journal_says("begun\":{\"step\":\"watch\"", &mut guard);
        project.sh(BY_HAND);
        project.sh("echo mode=bad > conf/app.conf");
        let output = guard.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains("somebody has deployed since: code: work tree is commit"),
            "{said}"
        );
        if code == 22 {
            assert_eq!(project.everything(), before);
            continue;
        }
        assert_eq!(project.sh("cat code.txt"), "code 3\n");
        // The way back is open, for somebody who means it.
        let refused = project.guard().run(&["rollback", "--yes"]).expect(10);
        refused.says("not as guard left it").says("--yes --force");
        assert_eq!(project.sh("cat code.txt"), "code 3\n");
        project.guard().run(&["rollback", "--yes", "--force"]).expect(0);
        assert_eq!(project.everything(), before);
    }
}

#[test]
fn fault_d8_a_rollback_over_a_deployment_by_hand_has_to_be_meant() {
    let project = Embedded::patient("");
    let before = project.everything();
    project.guard().run(&deploy(&["all"])).expect(0);
    project.sh(BY_HAND);
    project.guard().run(&["rollback", "--dry-run"]).expect(0);
    project
        .guard()
        .run(&["rollback", "--yes"])
        .expect(10)
        .says("code: work tree is commit");
    project.guard().run(&["rollback", "--yes", "--force"]).expect(0);
    assert_eq!(project.everything(), before);
    // What guard itself put back is as it left it; an undo goes over what was done by hand since no more than a rollback.
    project.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(project.sh("cat code.txt"), "code 3\n");
    project.sh("git reset --quiet --hard HEAD~1");
    project
        .guard()
        .run(&["rollback", "--undo", "--yes"])
        .expect(10)
        .says("--force");
}

#[test]
fn fault_e13_a_run_that_is_suspended_goes_on_and_says_so() {
    let project = Embedded::patient("");
    let words = deploy(&["all", "echo > ../reached; sleep 0.5; echo > ../ended"]);
    let mut guard = project.guard().command(&words);
    let guard = guard.process_group(0).stderr(Stdio::piped()).spawn().unwrap();
    let group = Pid::from_raw(i32::try_from(guard.id()).unwrap()).unwrap();
    until(|| project.root().join("reached").exists());
    // As a terminal does for Ctrl-Z: the whole group, and with it the deploy command.
    kill_process_group(group, Signal::TSTP).unwrap();
    let stat = format!("/proc/{}/stat", guard.id());
    until(|| std::fs::read_to_string(&stat).unwrap().contains(") T "));
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(
        !project.root().join("ended").exists(),
        "the deploy command was suspended as well"
    );
    kill_process_group(group, Signal::CONT).unwrap();
    let output = guard.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let told = said.split_once("guard was suspended for ").expect(&said).1;
    let (seconds, rest) = told.split_once(" s").unwrap();
    assert!(seconds.parse::<f64>().unwrap() >= 2.5, "{said}");
    assert!(rest.starts_with(", and goes on"), "{said}");
}

#[test]
fn fault_f3_a_release_that_changes_nothing_of_what_it_should_is_21() {
    let project = Embedded::patient("[verify]\nexpect_change = [\"code\", \"db\"]");
    let before = project.everything();
    let ran = project.guard().run(&deploy(&["echo done nothing"])).expect(21);
    ran.says("code is as it was before it").says("expect_change");
    // One of two is not enough.
    let only_code = "echo more >> code.txt; commit two";
    project
        .guard()
        .run(&deploy(&[only_code]))
        .expect(21)
        .says("db is as it was before it");
    assert_eq!(project.everything(), before);
    project.guard().run(&deploy(&["all"])).expect(0);
    let project = Embedded::patient("[verify]\nexpect_change = [\"cod\"]");
    project
        .guard()
        .run(&deploy(&["all"]))
        .expect(2)
        .says("did you mean `code`");
}

#[test]
fn fault_j12_a_job_that_ends_before_the_watch_could_is_told_before() {
    let said_before = |guard: Program, says: &str| {
        let ran = guard.run(&deploy(&["all"])).expect(0).says(says);
        let (before, _) = ran.stderr.split_once("Step 1").unwrap_or((&ran.stderr, ""));
        assert!(before.contains(says), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("the watcher goes on with the run"),
            "{}",
            ran.stderr
        );
    };
    let project = Embedded::patient("");
    let guard = project.guard().env("GUARD_JOB_TIME", "800ms");
    said_before(guard, "the watch takes 1.0 s, and the job's time ends in");
    let project = Embedded::patient("");
    let begun = project.sh("date -u +%Y-%m-%dT%H:%M:%SZ");
    let guard = project
        .guard()
        .env("CI_JOB_TIMEOUT", "60")
        .env("CI_JOB_STARTED_AT", begun.trim());
    said_before(guard, "nothing is left for a way back");
    // A job with time enough is told nothing.
    let project = Embedded::patient("");
    let guard = project.guard().env("GUARD_JOB_TIME", "1h");
    let ran = guard.run(&deploy(&["all"])).expect(0);
    assert!(!ran.stderr.contains("job's time"), "{}", ran.stderr);
}

#[test]
fn fault_l16_what_was_put_aside_is_listed_with_its_size_and_date_until_it_goes() {
    let project = Embedded::patient("[retention]\nkeep = 1");
    project.sh("head -c 3000000 /dev/urandom > objects/large");
    let day = project.sh("date -u +%Y-%m-%d");
    for again in [&[][..], &["--again"]] {
        // What has failed once is deployed again only where somebody says so.
        let mut words = deploy(&["all", "rm objects/large", "exit 7"]);
        words.splice(1..1, again.iter().copied());
        project.guard().run(&words).expect(20);
        project.sh("cp code.txt objects/other");
    }
    let status = project.guard().run(&["status"]).expect(0).stdout;
    let kept: Vec<&str> = status.lines().filter(|line| line.starts_with("kept ")).collect();
    // The file, the directory, the configuration and the commit, of each of both runs.
    assert_eq!(kept.len(), 8, "{status}");
    for line in &kept {
        assert!(
            line.contains(day.trim()) && line.contains("goes some days after backup"),
            "{line}"
        );
    }
    assert!(
        kept.iter()
            .any(|line| line.contains("app.db") && line.contains(" kB, since")),
        "{status}"
    );
    assert!(status.contains(" in all"), "{status}");
    let told = project.guard().run(&["status", "--output", "json"]).expect(0);
    let told: serde_json::Value = serde_json::from_str(told.stdout.lines().last().unwrap()).unwrap();
    let told = told["result"]["kept"].as_array().unwrap();
    assert_eq!(told.len(), 8);
    assert!(
        told.iter()
            .any(|one| one["resource"] == "db" && one["bytes"].as_u64() > Some(0)),
        "{told:#?}"
    );
    // Retention removes the backups, what they were put aside for is announced, and goes when somebody wants the room.
    for _ in 0..3 {
        project
            .guard()
            .run(&deploy(&["echo >> code.txt; commit more"]))
            .expect(0);
    }
    let status = project.guard().run(&["status"]).expect(0).stdout;
    assert_eq!(status.matches("goes after").count(), 8, "{status}");
    project.guard().run(&["prune"]).expect(0).says("removed what");
    let status = project.guard().run(&["status"]).expect(0).stdout;
    assert!(!status.contains("kept "), "{status}");
}
