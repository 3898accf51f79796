//! What somebody meets who does not know guard yet: each reason said once, near names only, a proof that can be left, limits
//! that can be corrected.

use std::process::Stdio;

use rustix::process::Signal;

use crate::support::embedded::{Embedded, signal, until};

/// A probe that fails while a file lies outside of the project.
const SICK: &str = "[probes.sick]\nkind = \"command\"\ncommand = [\"test\", \"!\", \"-e\", \"../sick\"]\n";

#[test]
fn who_asks_twice_while_an_undo_is_proven_is_heard_and_a_resume_proves_it() {
    for wish in [Signal::INT, Signal::TERM] {
        let project = Embedded::patient(SICK);
        project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
        let after = project.everything();
        project.guard().run(&["rollback", "--yes"]).expect(0);
        project.sh("touch ../sick");
        let mut command = project.guard().command(&["rollback", "--undo", "--yes"]);
        let mut guard = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        until(|| project.runs().len() == 3);
        project.until_journal_says("{\"begun\":{\"step\":\"prove\"}}", &mut guard);
        signal(&guard, wish);
        std::thread::sleep(std::time::Duration::from_millis(200));
        signal(&guard, wish);
        let output = guard.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(33), "{said}");
        assert!(said.contains("once more to stop that"), "{said}");
        assert!(said.contains("its proof was stopped, as was asked twice"), "{said}");
        assert!(said.contains("now, to go on: guard resume"), "{said}");
        project.sh("rm ../sick");
        project.guard().run(&["resume"]).expect(0);
        assert_eq!(project.everything(), after);
    }
}

#[test]
fn one_wish_to_stop_does_not_leave_a_proof() {
    let project = Embedded::patient(SICK);
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    project.sh("touch ../sick");
    let mut guard = project.guard().start(&["rollback", "--undo", "--yes"]);
    until(|| project.runs().len() == 3);
    project.until_journal_says("{\"begun\":{\"step\":\"prove\"}}", &mut guard);
    signal(&guard, Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(guard.try_wait().unwrap().is_none(), "the proof goes on");
    project.sh("rm ../sick");
    assert_eq!(guard.wait().unwrap().code(), Some(0));
}

#[test]
fn a_run_that_ends_unhealthy_says_each_reason_once() {
    let project = Embedded::and(SICK);
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "touch ../sick"])
        .expect(32);
    let why: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("  why: ")).collect();
    let mut once = why.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), why.len(), "{}", ran.stderr);
    let hints = ran
        .stderr
        .matches("what was put back is there and does not pass")
        .count();
    assert_eq!(hints, 1, "{}", ran.stderr);
    // The old state was not deployed.
    assert_eq!(
        ran.stderr.matches("after the old release was started").count(),
        2,
        "in its step and at the end: {}",
        ran.stderr
    );
}

#[test]
fn what_could_not_be_stopped_is_said_once_and_a_state_that_was_never_restored_is_not_proven() {
    let stop = "[services]\nstop = [[\"sh\", \"-c\", \"echo no hands >&2; exit 3\"]]\nstart = [\"true\"]\n";
    let project = Embedded::patient(&format!("{SICK}\n{stop}"));
    let spoil = "sqlite3 app.db 'ALTER TABLE users ADD COLUMN mail TEXT'; touch ../sick; exit 7";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", spoil]).expect(36);
    let steps = |line: &&str| line.contains("stop services") && line.contains("no hands");
    assert_eq!(ran.stderr.lines().filter(steps).count(), 1, "{}", ran.stderr);
    let journal = std::fs::read_to_string(project.newest_run().join("journal.jsonl")).unwrap();
    assert!(!journal.contains("\"begun\":{\"step\":\"prove\"}"), "{journal}");
    assert!(
        journal.contains("\"begun\":{\"step\":\"start\"}"),
        "what was stopped runs again"
    );
    ran.says("failed 3 times, each time of the same")
        .says("Seen now: ")
        .says("sick FAILS");
}

#[test]
fn a_check_that_refuses_does_not_name_itself_as_the_way_to_see_more() {
    let project = Embedded::but("path = \"app.db\"", "path = \"none.db\"");
    let ran = project.guard().run(&["check"]).expect(10);
    assert!(!ran.stderr.contains("to see everything"), "{}", ran.stderr);
    ran.says("when that is mended: guard check");
}

#[test]
fn only_near_names_are_offered_and_else_all_that_there_are() {
    let project = Embedded::new();
    let all = "there are: db, objects, code, config";
    for words in [&["backup", "--only", "nope"][..], &["backup", "--skip", "nope"]] {
        let ran = project.guard().run(words).expect(2).says(all);
        assert!(!ran.stderr.contains("did you mean"), "{}", ran.stderr);
    }
    for word in ["objcts", "Objects", "cloud-objects"] {
        let ran = project.guard().run(&["backup", "--only", word]).expect(2);
        ran.says("did you mean `objects`?");
    }
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    for flag in ["--only", "--skip"] {
        let ran = project.guard().run(&["rollback", flag, "nope"]).expect(2);
        assert!(!ran.stderr.contains("did you mean"), "{}", ran.stderr);
        ran.says("there are: ");
    }
    project.guard().run(&["rollback", "--yes"]).expect(0);
    let ran = project
        .guard()
        .run(&["salvage", "latest", "--resource", "nope"])
        .expect(2);
    ran.says("there are: ").says("objects");
    let ran = project
        .guard()
        .run(&["salvage", "latest", "--resource", "object"])
        .expect(2);
    ran.says("did you mean `objects`?");
}

#[test]
fn a_limit_for_the_way_back_that_was_too_short_is_corrected_by_the_resume() {
    let project = Embedded::new();
    let before = project.everything();
    let words = [
        "deploy",
        "--rollback-timeout",
        "1ms",
        "--",
        "./deploy.sh",
        "all",
        "exit 1",
    ];
    let ran = project.guard().run(&words).expect(36);
    ran.says("guard resume --rollback-timeout none");
    project.guard().run(&["resume"]).expect(36);
    let ran = project
        .guard()
        .run(&["resume", "--rollback-timeout", "none"])
        .expect(20);
    ran.says("From here on the whole way back takes the time that it needs");
    assert_eq!(project.everything(), before);
}

#[test]
fn a_limit_for_the_way_back_is_corrected_in_the_settings_as_well() {
    let policy = "data_restore = \"always\"";
    let short = format!("{policy}\nrollback_timeout = \"1ms\"");
    let project = Embedded::but(policy, &short);
    let before = project.everything();
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "exit 1"])
        .expect(36);
    project.sh("sed -i s/1ms/5m/ guard.toml");
    let ran = project.guard().run(&["resume"]).expect(20);
    ran.says("From here on the whole way back may take 5 min");
    assert_eq!(project.everything()["rows"], before["rows"]);
}

#[test]
fn an_undo_tells_how_many_rows_go_with_it() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    let plan = project.guard().run(&["rollback", "--undo", "--dry-run"]).expect(0);
    assert!(
        !plan.everything().contains("since the rollback"),
        "{}",
        plan.everything()
    );
    project.sh("sqlite3 app.db \"INSERT INTO users (name) VALUES ('three')\"");
    let plan = project.guard().run(&["rollback", "--undo", "--dry-run"]).expect(0);
    let told = plan.everything();
    assert!(
        told.contains("db: discards 1 row in users since the rollback"),
        "{told}"
    );
}

#[test]
fn what_a_way_back_leaves_where_it_is_is_no_difference() {
    let project = Embedded::but("path = \"objects\"", "path = \"objects\"\ncarry_over = \"new-files\"");
    project.guard().run(&["backup"]).expect(0);
    let named = format!("--backup-timestamp={}", project.backups()[0]);
    project.sh("echo upload > objects/upload.txt");
    let plan = project.guard().run(&["rollback", &named, "--dry-run"]).expect(0);
    let told = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("objects as in the backup but for what stays"), "{told}");
    project.sh("echo other > objects/a.txt");
    let plan = project.guard().run(&["rollback", &named, "--dry-run"]).expect(0);
    let told = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("objects differs: entry a.txt"), "{told}");
    assert!(!told.contains("entry upload.txt"), "{told}");
}

#[test]
fn a_link_to_the_release_that_is_live_is_missed_where_nothing_holds_it() {
    let project = Embedded::new();
    project.sh("mkdir -p releases/1 && echo 1 > releases/1/app && ln -s releases/1 current && printf 'releases\\ncurrent\\n' >> .gitignore");
    let told = |project: &Embedded| {
        let told = project.guard().run(&["check"]).expect(0).everything();
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let missed = told(&project);
    assert!(
        missed.contains("no backup holds which release is live: current leads to releases/1"),
        "{missed}"
    );
    assert!(missed.contains("paths = [\"current\"]"), "{missed}");
    project.sh("printf '[resources.release]\\nkind = \"files\"\\npaths = [\"current\"]\\n' >> guard.toml");
    let held = told(&project);
    assert!(!held.contains("no backup holds which release"), "{held}");
    // What is advised brings the release back.
    let spoil = "mkdir releases/2; ln -sfn releases/2 current; exit 1";
    project.guard().run(&["deploy", "--", "./deploy.sh", spoil]).expect(20);
    assert_eq!(project.sh("readlink current"), "releases/1\n");
}

#[test]
fn where_nobody_looks_no_rule_is_told() {
    let project = Embedded::with("verify = \"none\"\n[resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n");
    let told = project.guard().run(&["check"]).expect(0).stdout;
    assert!(told.contains("nobody sees whether a release is well"), "{told}");
    assert!(!told.contains("rolls back after an outage"), "{told}");
    project.sh("rm guard.toml");
    let written = project.guard().run(&["init", "--print"]).expect(0).stdout;
    assert!(written.contains("# stop = [\"systemctl stop shop\"]"), "{written}");
}
