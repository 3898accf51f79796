//! What people bring along from other tools: words, variables of scripts, the first command that everybody tries.

use serde_json::Value;

use crate::support::embedded::{Embedded, end};
use crate::support::watched::json;

const FILES: &str = "[resources.config]\nkind = \"files\"\npaths = [\"conf/**\"]\n";
const PROBE: &str =
    "[probes.app]\nkind = \"command\"\ncommand = [\"grep\", \"-q\", \"mode=good\", \"conf/app.conf\"]\n";

#[test]
fn words_of_other_tools_do_what_they_say() {
    let project = Embedded::with(&format!("{FILES}{PROBE}"));
    let guard = || project.guard();
    assert!(
        guard()
            .run(&["help", "rollback"])
            .expect(0)
            .stdout
            .contains("--backup-timestamp")
    );
    assert!(guard().run(&["help"]).expect(0).stdout.contains("deploy"));
    let version = guard().run(&["version"]).expect(0).stdout.clone();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    guard().run(&["-f", "guard.toml", "backup"]).expect(0);
    guard().run(&["validate"]).expect(0);
    assert!(guard().run(&["backups"]).expect(0).stdout.contains("known good") || !project.backups().is_empty());
    let stamp = project.backups().pop().unwrap();

    for words in [["rollback", "latest"], ["rollback", stamp.as_str()]] {
        project.sh("echo mode=bad > conf/app.conf");
        guard().run(&[words[0], words[1], "--yes", "--force"]).expect(0);
        assert!(project.sh("cat conf/app.conf").contains("mode=good"), "{words:?}");
    }
    guard().run(&["undo", "--yes", "--force"]).expect(32);
    assert!(project.sh("cat conf/app.conf").contains("mode=bad"));

    // Two names for one backup: nobody knows which is meant.
    let ran = guard()
        .run(&["rollback", "latest", "--backup-timestamp", &stamp, "--yes"])
        .expect(2);
    assert!(ran.stderr.contains("two backups are named"), "{}", ran.stderr);
    guard().run(&["rollback", &stamp, "--undo"]).expect(2);
}

#[test]
fn the_logs_of_a_run_are_printed_by_one_word() {
    let project = Embedded::with(&format!(
        "{FILES}[verify]\ncommands = [[\"sh\", \"-c\", \"echo smoke is fine\"]]\n"
    ));
    project
        .guard()
        .run(&["logs"])
        .expect(2)
        .says("no run has run a command yet");
    project
        .guard()
        .run(&[
            "deploy",
            "--",
            "./deploy.sh",
            "echo hello from the script; echo mode=bad > conf/app.conf",
        ])
        .expect(0);
    let shown = project.guard().run(&["logs"]).expect(0).stdout.clone();
    let at = |text: &str| {
        shown
            .find(text)
            .unwrap_or_else(|| panic!("{text:?} is not in:\n{shown}"))
    };
    assert!(at("== deploy.log") < at("hello from the script") && at("hello from the script") < at("== verify-1.log"));
    assert!(at("== verify-1.log") < at("smoke is fine"));
    let run = project.newest_run();
    let name = run.file_name().unwrap().to_str().unwrap();
    let told = project
        .guard()
        .run(&["--output", "json", "logs", name])
        .expect(0)
        .stdout
        .clone();
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(told["result"]["logs"][1]["name"], "verify-1.log", "{told}");
    project
        .guard()
        .run(&["logs", "20200101_000000-deploy"])
        .expect(2)
        .says("guard history");
}

#[test]
fn variables_are_obeyed_or_warned_of_and_never_passed_over() {
    let project = Embedded::with(&format!("{FILES}{PROBE}"));
    project.guard().run(&["backup"]).expect(0);
    project.sh("echo mode=bad > conf/app.conf");
    // A flag's variable does what the flag does.
    let dry = project.guard().env("GUARD_DRY_RUN", "yes");
    dry.run(&["rollback", "latest", "--yes", "--force"]).expect(0);
    assert!(
        project.sh("cat conf/app.conf").contains("mode=bad"),
        "a dry run changed something"
    );
    project
        .guard()
        .env("GUARD_DRY_RUN", "maybe")
        .run(&["rollback", "latest", "--yes"])
        .expect(2);
    project
        .guard()
        .env("GUARD_ONLY", "code")
        .run(&["backup"])
        .expect(2)
        .says("code");
    project.guard().env("GUARD_ONLY", "").run(&["backup"]).expect(0);
    let ran = project.guard().env("GUARD_QUIET", "1").run(&["backup"]).expect(0);
    assert!(!ran.stderr.contains("[STEP]"), "{}", ran.stderr);
    // What older scripts set and guard does not read is named with what to set instead.
    for (name, instead) in [
        ("HEALTH_CHECK_INTERVAL", "GUARD_INTERVAL"),
        ("DRY_RUN", "--dry-run"),
        ("MAX_BACKUPS", "keep"),
    ] {
        let ran = project.guard().env(name, "1").run(&["check"]);
        let line = ran
            .stderr
            .lines()
            .chain(ran.stdout.lines())
            .find(|line| line.contains(name) && line.contains(instead));
        assert!(line.is_some(), "{name} is passed over:\n{}{}", ran.stdout, ran.stderr);
    }
}

/// A name that the docs or the sources tell people is one that guard knows.
#[test]
fn documented_variables_are_known() {
    let project = Embedded::with(FILES);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = pages.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut text: String = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.push_str(&std::fs::read_to_string(root.join("README.md")).unwrap());
    let mut names: Vec<&str> = text
        .split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_'))
        .filter(|word| {
            word.starts_with("GUARD_")
                && word.len() > 6
                && !word.starts_with("GUARD_FAULTS_")
                && !word.starts_with("GUARD_TEST")
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 25, "{names:?}");
    let mut guard = project.guard();
    for name in &names {
        if !["GUARD_STATE_ROOT", "GUARD_STATE_DIR", "GUARD_TRUSTED_UIDS"].contains(name) {
            // What each would do does not matter here: the values are looked at behind the names.
            guard = guard.env(name, "x");
        }
    }
    let ran = guard.run(&["check"]);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains("knows no variable"), "{said}");
}

#[test]
fn a_short_watch_needs_fewer_readings_and_one_that_cannot_judge_is_refused() {
    // The settings as `guard init` writes them say nothing of the readings that are needed.
    let project = Embedded::with(&format!("{FILES}{PROBE}"));
    project
        .guard()
        .run(&[
            "deploy",
            "--monitor-duration",
            "4s",
            "--",
            "./deploy.sh",
            "echo mode=good version=2 > conf/app.conf",
        ])
        .expect(0);
    // A number in the file is for the usual watch, and a shorter one by a flag is for this run.
    let project = Embedded::with(&format!("{FILES}{PROBE}[monitor]\nmin_samples = 20\n"));
    project
        .guard()
        .run(&[
            "deploy",
            "--monitor-duration",
            "4s",
            "--",
            "./deploy.sh",
            "echo mode=good version=2 > conf/app.conf",
        ])
        .expect(0);
    // Both in one place contradict each other: refused before anything is touched.
    let project = Embedded::with(&format!(
        "{FILES}{PROBE}[monitor]\nduration = \"4s\"\nmin_samples = 20\n"
    ));
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "sick"]).expect(2);
    assert!(
        ran.stderr.contains("guard.toml:9") && ran.stderr.contains("20 readings"),
        "{}",
        ran.stderr
    );
    assert!(project.deployments().is_empty());
    let ran = project
        .guard()
        .run(&[
            "deploy",
            "--monitor-duration",
            "4s",
            "--min-samples",
            "20",
            "--",
            "./deploy.sh",
            "sick",
        ])
        .expect(2);
    assert!(ran.stderr.contains("--min-samples"), "{}", ran.stderr);
}

#[test]
fn a_deployment_that_changes_nothing_is_not_called_a_new_release() {
    let project = Embedded::new();
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "true"]).expect(0);
    assert!(
        ran.stderr.contains("changed nothing") && ran.stderr.contains("verify.expect_change"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.trim_end().ends_with("Production is unchanged, verified."),
        "{}",
        ran.stderr
    );
    let told = json(&project.newest_run().join("result.json"));
    assert_eq!(
        (&told["changed"], &told["production"]),
        (&false.into(), &"unchanged, verified".into())
    );

    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let told = json(&project.newest_run().join("result.json"));
    assert_eq!(
        (&told["changed"], &told["production"]),
        (&true.into(), &"new, verified".into())
    );
    // Data alone is a change as well.
    let data = "sqlite3 app.db 'INSERT INTO users (name) VALUES (1)'";
    project.guard().run(&["deploy", "--", "./deploy.sh", data]).expect(0);
    assert_eq!(json(&project.newest_run().join("result.json"))["changed"], true);
}

#[test]
fn a_rollback_while_a_release_is_watched_lets_that_run_go_back() {
    let project = Embedded::but(
        "duration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"",
        "duration = \"1h\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"1m\"\ngate = \"5m\"",
    );
    project.guard().run(&["backup"]).expect(0);
    let older = project.backups().pop().unwrap();
    let before = project.everything();
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    project.until_journal_says("{\"begun\":{\"step\":\"watch\"}}", &mut guard);
    // Nobody is there to say yes.
    let ran = project.guard().run(&["rollback"]).expect(2);
    assert!(
        ran.stderr.contains("guard decide rollback") || ran.stderr.contains("decide rollback"),
        "{}",
        ran.stderr
    );
    // What is not the way back of this release has to wait for it.
    let ran = project.guard().run(&["rollback", &older, "--yes"]).expect(12);
    assert!(ran.stderr.contains("decide rollback"), "{}", ran.stderr);
    project
        .guard()
        .run(&["rollback", "--yes", "--reason", "orders fail"])
        .expect(0);
    assert_eq!(project.everything(), before);
    assert_eq!(end(&mut guard).code(), Some(23));
    assert_eq!(
        json(&project.newest_run().join("result.json"))["person"]["reason"],
        "orders fail"
    );
}

#[test]
fn status_speaks_of_a_run_in_its_own_last_words() {
    let project = Embedded::with(&format!("verify = \"none\"\n{FILES}"));
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "sick", "exit 3"])
        .expect(20);
    assert!(ran.stderr.contains("Production is old, unverified"), "{}", ran.stderr);
    let status = project.guard().run(&["status"]).expect(0).stdout.clone();
    assert!(status.contains("production is old, unverified"), "{status}");
}

#[test]
fn a_release_that_is_left_is_told_to_nobody_as_turned_back() {
    let project = Embedded::with(&format!(
        "verify = \"none\"\n{FILES}[notify.log]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >> ../notices; echo >> ../notices\"]\n"
    ));
    project
        .guard()
        .run(&["deploy", "--no-rollback", "--", "./deploy.sh", "sick", "exit 3"])
        .expect(31);
    let told = std::fs::read_to_string(project.root().join("notices")).unwrap();
    assert!(told.contains("needs-person") && !told.contains("turned-back"), "{told}");
    project
        .guard()
        .run(&[
            "deploy",
            "--",
            "./deploy.sh",
            "echo mode=good > conf/app.conf",
            "exit 4",
        ])
        .expect(20);
    let told = std::fs::read_to_string(project.root().join("notices")).unwrap();
    assert!(told.contains("turned-back"), "{told}");
}

#[test]
fn a_start_that_takes_too_long_names_the_setting_for_it() {
    let project = Embedded::new();
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "sick"]).expect(21);
    assert!(ran.stderr.contains("monitor.gate"), "{}", ran.stderr);
}

/// The words of the page on CI are tried as they stand there.
#[test]
fn what_the_page_on_ci_pipes_into_jq_finds_something() {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md")).unwrap();
    let lines: Vec<&str> = page.lines().filter(|line| line.contains("| jq ")).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    for line in lines {
        if line.contains("select(.refuses)") {
            continue;
        }
        let ours = line.replace("guard -C /srv/shop", &project.guard().shell_words());
        let found = project.sh(&ours);
        assert!(!found.trim().is_empty() && found.trim() != "null", "{line}: {found:?}");
    }
}
