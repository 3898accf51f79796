//! Every command that looks or keeps house, used as a person or a script would.

use serde_json::Value;

use crate::support::embedded::Embedded;
use crate::support::program::Ran;

/// The objects of a JSON stream; each line has to be one, with the fields that all have.
#[track_caller]
pub(super) fn objects(ran: &Ran) -> Vec<Value> {
    let parse = |(number, line): (usize, &str)| -> Value {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(value["schema_version"], 1, "{line}");
        assert_eq!(value["seq"], number, "{line}");
        assert!(value["ts"].is_string() && value["event"].is_string(), "{line}");
        value
    };
    ran.stdout.lines().enumerate().map(parse).collect()
}

/// The result at the end of a JSON stream, whose exit code is that of the process.
#[track_caller]
pub(super) fn result(ran: &Ran) -> Value {
    let last = objects(ran).pop().expect("no line at all");
    assert_eq!(last["event"], "result", "{last}");
    assert_eq!(last["result"]["exit_code"].as_i64(), ran.code.map(i64::from), "{last}");
    last["result"].clone()
}

#[test]
fn settings_are_written_once_and_never_over_others() {
    let project = Embedded::new();
    let own = project.sh("cat guard.toml");
    project
        .guard()
        .run(&["init"])
        .expect(2)
        .says("never overwritten")
        .says("guard init --print");
    assert_eq!(project.sh("cat guard.toml"), own);
    project.sh("rm guard.toml");
    let printed = project.guard().run(&["init", "--print"]).expect(0);
    assert!(printed.stdout.contains("[resources."), "{}", printed.stdout);
    assert!(!project.directory().join("guard.toml").exists());
    project.guard().run(&["init"]).expect(0).says("guard check");
    assert_eq!(project.sh("cat guard.toml"), printed.stdout);
}

#[test]
fn a_check_shows_everything_and_where_it_comes_from() {
    let project = Embedded::new();
    let shown = project
        .guard()
        .env("MONITORING_DURATION", "2s")
        .run(&["check", "-v"])
        .expect(0);
    for fact in [
        "objects",
        "code",
        "disk",
        "MONITORING_DURATION",
        "guard.toml:",
        "default",
    ] {
        assert!(shown.stdout.contains(fact), "{fact:?} is missing in:\n{}", shown.stdout);
    }
    let told = result(&project.guard().run(&["check", "-v", "--output", "json"]).expect(0));
    assert_eq!(told["way_back"], "open");
    let has = |list: &str, key: &str, value: &str| told[list].as_array().unwrap().iter().any(|one| one[key] == value);
    assert!(
        has("facts", "about", "objects") && has("facts", "about", "app"),
        "{told}"
    );
    assert!(has("settings", "key", "monitor.gate"), "{told}");
    project.sh("echo mode=bad > conf/app.conf");
    let told = result(&project.guard().run(&["check", "--output", "json"]).expect(10));
    assert_eq!(told["way_back"], "closed");
    let finding = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["refuses"] == true);
    assert_eq!(finding.unwrap()["about"], "app", "{told}");
    assert!(
        told["error"]["failed"].is_string() && told.get("settings").is_none(),
        "{told}"
    );
    let ran = project.guard().run(&["check"]).expect(10).says("app");
    assert!(ran.stdout.contains("NO"), "{}", ran.stdout);
    project.guard().run(&["deploy", "--", "./deploy.sh"]).expect(10);
    let tainted = ["deploy", "--allow-unhealthy-baseline", "--", "./deploy.sh", "all"];
    project.guard().run(&tainted).expect(0);
    assert!(project.guard().run(&["list"]).stdout.contains("tainted"));
    project.guard().run(&["rollback", "--yes"]).expect(40).says("tainted");
}

#[test]
fn backups_are_listed_shown_verified_and_deleted() {
    let project = Embedded::new();
    assert!(project.guard().run(&["list"]).expect(0).stdout.contains("no backups"));
    project
        .guard()
        .run(&["backup", "--description", "before\u{1b}[2J the \u{7}night"])
        .expect(0);
    project.guard().run(&["backup", "--only", "db,code"]).expect(0);
    let names = project.backups();
    assert_eq!(names.len(), 2);
    let listed = project.guard().run(&["list"]).expect(0).stdout;
    assert!(listed.contains(&names[0]) && listed.contains("night"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "a description can paint on the terminal");
    let shown = project.guard().run(&["show", "latest"]).expect(0).stdout;
    assert!(shown.contains("db") && !shown.contains("objects"), "{shown}");
    let previous = project.guard().run(&["show", "previous"]).expect(0).stdout;
    assert!(
        previous.contains(&names[1]) && previous.contains("objects"),
        "{previous}"
    );
    project.guard().run(&["verify", &names[1]]).expect(0).says("whole");
    project.sh(&format!(
        "cd ../state/backups/{} && sha256sum --quiet -c SHA256SUMS",
        names[1]
    ));
    assert_eq!(project.sh("cat ../state/backups/.latest_backup").trim(), names[0]);
    // The last one that holds something goes only by force, whatever else there is.
    let kept = project.guard().run(&["delete", "--yes", &names[1]]).expect(10);
    assert!(kept.stderr.contains("objects"), "{}", kept.stderr);
    project
        .guard()
        .run(&["delete", "--yes", "--force", &names[1]])
        .expect(0);
    let kept = project.guard().run(&["delete", "--yes", &names[0]]);
    assert_ne!(kept.code, Some(0));
    assert!(kept.stderr.contains("--force"), "{}", kept.stderr);
    assert_eq!(project.backups(), names[..1]);
    project
        .guard()
        .run(&["delete", "--yes", "--force", &names[0]])
        .expect(0);
    assert!(project.backups().is_empty());
}

#[test]
fn retention_keeps_what_it_was_told_to() {
    let project = Embedded::and("[retention]\nkeep = 2");
    for _ in 0..3 {
        project.guard().run(&["backup"]).expect(0);
    }
    let before = project.backups();
    assert_eq!(before.len(), 2);
    project
        .guard()
        .env("GUARD_RETENTION_KEEP", "1")
        .run(&["prune", "--dry-run"]);
    assert_eq!(project.backups(), before);
    project.sh("sed -i 's/^keep = 2/keep = 1/' guard.toml");
    let would = project.guard().run(&["prune", "--dry-run"]).expect(0);
    assert!(would.stdout.contains(&before[1]), "{}", would.everything());
    let would = project
        .guard()
        .run(&["--output", "json", "prune", "--dry-run"])
        .expect(0);
    let would: serde_json::Value = serde_json::from_str(would.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        would["result"]["would_remove"][0]["timestamp"],
        before[1].as_str(),
        "{would}"
    );
    assert_eq!(project.backups(), before);
    project.guard().run(&["prune"]).expect(0).says(&before[1]);
    assert_eq!(project.backups(), before[..1]);
}

#[test]
fn history_and_status_say_who_when_and_why() {
    let project = Embedded::new();
    assert!(
        project
            .guard()
            .run(&["history"])
            .expect(0)
            .stdout
            .contains("nothing has happened")
    );
    project
        .guard()
        .run(&["deploy", "--description", "release 7", "--", "./deploy.sh", "all"])
        .expect(0);
    project
        .guard()
        .run(&["rollback", "--yes", "--reason", "customers complain"])
        .expect(0);
    let told = project.guard().run(&["history"]).expect(0).stdout;
    assert!(
        told.contains("release 7") && told.contains("customers complain"),
        "{told}"
    );
    let user = project.sh("id -un");
    assert!(told.contains(&format!("{}@", user.trim())), "{told}");
    let rows = result(&project.guard().run(&["history", "--output", "json"]).expect(0));
    assert_eq!(rows["runs"].as_array().unwrap().len(), 2);
    assert_eq!(rows["runs"][0]["reason"], "customers complain");
    assert_eq!(rows["runs"][1]["exit_code"], 0);
    let status = project.guard().run(&["status"]).expect(0).stdout;
    assert!(
        status.contains("exit code 0") && status.contains(".failed-"),
        "what is kept is not told: {status}"
    );
    // A guard that is killed at its first step leaves a directory, and no record.
    project.sh("mkdir ../state/runs/20200101_000000-deploy");
    let told = project.guard().run(&["history"]).expect(0).stdout;
    let line = told.lines().find(|line| line.starts_with("20200101_000000-deploy"));
    assert!(line.is_some_and(|line| line.contains("never began")), "{told}");
    project.sh("echo garbage > ../state/runs/20200101_000000-deploy/journal.jsonl; echo >> ../state/runs/20200101_000000-deploy/journal.jsonl");
    let told = project.guard().run(&["history"]).expect(0).stdout;
    assert!(told.contains("cannot be read"), "{told}");
}

#[test]
fn every_command_ends_its_json_with_its_exit_code() {
    let project = Embedded::new();
    let json = |words: &[&str]| {
        let mut words = words.to_vec();
        words.splice(0..0, ["--output", "json"]);
        let ran = project.guard().run(&words);
        result(&ran)
    };
    assert_eq!(json(&["backup"])["exit_code"], 0);
    let deployed = json(&["deploy", "--", "./deploy.sh", "all"]);
    assert_eq!(
        (deployed["exit_code"].clone(), deployed["production"].clone()),
        (0.into(), "new, verified".into())
    );
    for words in [
        &["check"][..],
        &["list"],
        &["show", "latest"],
        &["verify", "latest"],
        &["status"],
        &["history"],
        &["prune"],
        &["lock", "-m", "x"],
        &["unlock"],
        &["resume"],
        &["rollback", "--dry-run"],
        &["rollback", "--yes"],
        &["rollback", "--undo", "--yes"],
    ] {
        assert_eq!(json(words)["exit_code"], 0, "{words:?}");
    }
    assert_eq!(json(&["deploy", "--", "./deploy.sh", "sick"])["exit_code"], 21);
    assert_eq!(json(&["deploy", "--", "no-such-command"])["exit_code"], 10);
    assert_eq!(
        json(&["rollback", "--yes", "--backup-timestamp", "20200101_000000"])["exit_code"],
        40
    );
    assert_eq!(json(&["rollback"])["exit_code"], 2);
}

#[test]
fn a_dry_run_shows_the_price_and_changes_nothing() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let new = project.everything();
    let runs = project.runs().len();
    let shown = project.guard().run(&["rollback", "--dry-run"]).expect(0).stdout;
    assert!(shown.contains("users") && shown.contains("objects"), "{shown}");
    assert_eq!(project.everything(), new);
    assert_eq!(project.runs().len(), runs);
}

#[test]
fn fault_l15_a_part_comes_back_alone_and_an_undo_of_an_undo_is_a_redo() {
    let project = Embedded::new();
    let old = project.everything();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let new = project.everything();
    project
        .guard()
        .run(&["rollback", "--yes", "--only", "config"])
        .expect(0);
    let mixed = project.everything();
    assert_eq!(mixed["config"], old["config"]);
    assert_eq!(
        (&mixed["rows"], &mixed["objects"], &mixed["code"]),
        (&new["rows"], &new["objects"], &new["code"])
    );
    project.guard().run(&["rollback", "--yes", "--undo"]).expect(0);
    assert_eq!(project.everything(), new);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(project.everything(), old);
    for wanted in [&new, &old, &new] {
        project.guard().run(&["rollback", "--yes", "--undo"]).expect(0);
        assert_eq!(&project.everything(), wanted);
    }
    project
        .guard()
        .run(&["rollback", "--yes", "--only", "nothing"])
        .expect(2)
        .says("there are");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let project = Embedded::new();
    for shell in ["bash", "zsh", "fish"] {
        let printed = project.guard().run(&["completions", shell]).expect(0).stdout;
        assert!(printed.contains("rollback"), "{shell}");
        std::fs::write(project.root().join("completions"), printed).unwrap();
        if shell == "bash" {
            project.sh("bash -n ../completions");
        }
    }
    let manual = project.guard().run(&["man"]).expect(0).stdout;
    assert!(
        manual.contains(".TH") && manual.contains("backup\\-timestamp"),
        "{manual}"
    );
    project.guard().run(&["--help"]).expect(0);
    project.guard().run(&["--version"]).expect(0);
}

#[test]
fn a_check_that_tries_the_ground_leaves_nothing_in_the_project() {
    let project = Embedded::new();
    let all = || project.sh("find . -path ./.git -prune -o -printf '%p %y %m %T@\\n' | sort");
    let before = all();
    project.guard().run(&["check"]).expect(0);
    assert_eq!(all(), before);
}
