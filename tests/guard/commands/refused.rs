//! Bad input: a clear error with its place and the next command, before anything is touched.

use crate::support::embedded::Embedded;
use crate::support::program::{Program, Ran};

/// A deployment that must be refused with this code: the command does not run, no backup is left, no file changes.
#[track_caller]
fn refused(project: &Embedded, guard: &Program, words: &[&str], code: i32) -> Ran {
    let before = project.everything();
    let ran = guard.run(words).expect(code);
    assert_eq!(project.everything(), before);
    assert!(project.deployments().is_empty(), "the deploy command ran");
    assert!(
        !project.state().join("runs").exists() || project.runs().is_empty(),
        "a run was begun"
    );
    assert!(!ran.stderr.contains("hint: hint"), "{}", ran.stderr);
    assert!(ran.stderr.contains("guard "), "no next command in:\n{}", ran.stderr);
    ran
}

const DEPLOY: [&str; 3] = ["deploy", "--", "./deploy.sh"];

#[test]
fn settings_that_are_wrong_are_told_with_their_line_and_the_right_name() {
    let cases = [
        ("interval = \"50ms\"", "intervall = \"50ms\"", "interval"),
        ("interval = \"50ms\"", "interval = [1]", "interval"),
        (
            "min_samples = 3",
            "min_samples = 3\nerror_threshold = nan",
            "error_threshold",
        ),
        ("min_samples = 3", "min_samples = 3\nerror_threshold = 10", "0.10"),
        (
            "min_samples = 3",
            "min_samples = 3\nerror_threshold = -0.1",
            "error_threshold",
        ),
        ("min_samples = 3", "min_samples = -3", "min_samples"),
        (
            "consecutive_failures = 2",
            "consecutive_failures = 0",
            "consecutive_failures",
        ),
        ("duration = \"400ms\"", "duration = \"-1s\"", "duration"),
        (
            "kind = \"volume\"\npath = \"objects\"",
            "kind = \"volume\"\nvolume = \"-rf\"",
            "-rf",
        ),
        (
            "kind = \"volume\"\npath = \"objects\"",
            "kind = \"volum\"\npath = \"objects\"",
            "volume",
        ),
        ("[resources.code]", "[resources.-rf]", "-rf"),
        ("[probes.app]", "[probes.\"../app\"]", "app"),
        ("[policy]", "[retention]\nkeep = 0\n[policy]", "keep"),
        ("[policy]", "[policy", "guard.toml:"),
    ];
    for (old, new, says) in cases {
        let project = Embedded::but(old, new);
        let ran = refused(&project, &project.guard(), &DEPLOY, 2);
        assert!(
            ran.stderr.contains("guard.toml:"),
            "no place for {new:?} in:\n{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains(says),
            "{says:?} is missing for {new:?} in:\n{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("untouched"), "{}", ran.stderr);
    }
}

#[test]
fn all_that_is_wrong_is_told_in_one_go_whatever_table_it_is_in() {
    let project = Embedded::but("interval = \"50ms\"", "intervall = \"50ms\"");
    let text = std::fs::read_to_string(project.directory().join("guard.toml")).unwrap();
    let more = "[resources.more]\nkind = \"files\"\npaths = [\"a\", 3]\n\
        [probes.page]\nkind = \"http\"\nurl = \"ftp://a\"\n\
        [rules.odd]\nprobe = \"nobody\"\n\
        [notify.team]\nkind = \"webhook\"\nurll = \"x\"\n";
    let all = [
        "intervall",
        "resources.more.paths",
        "probes.page.url",
        "rules.odd",
        "urll",
    ];
    // With a mistake in what guard itself reads, and without one.
    for (text, says) in [
        (format!("{text}{more}"), &all[..]),
        (format!("{}{more}", text.replace("intervall", "interval")), &all[1..]),
    ] {
        project.write("guard.toml", &text);
        for words in [&["check"][..], &DEPLOY, &["backup"], &["rollback", "--yes"]] {
            let ran = refused(&project, &project.guard(), words, 2);
            for one in says {
                assert!(ran.stderr.contains(one), "{one:?} is missing in:\n{}", ran.stderr);
            }
            let shown = ran.stderr.lines().filter(|line| line.trim_end().ends_with('^')).count();
            assert!(shown >= says.len(), "a line for each:\n{}", ran.stderr);
        }
    }
}

#[test]
fn variables_and_flags_that_are_wrong_are_told_by_their_name() {
    let cases = [
        ("ERROR_THRESHOLD", "10"),
        ("ERROR_THRESHOLD", "NaN"),
        ("GUARD_ERROR_THRESHOLD", "inf"),
        ("MONITORING_DURATION", "soon"),
        ("HEALTH_CHECK_FAILURES_THRESHOLD", "0"),
        ("GUARD_HEALTH_URL", "file:///etc/passwd"),
    ];
    for (name, value) in cases {
        let project = Embedded::new();
        let guard = project.guard().env(name, value);
        refused(&project, &guard, &DEPLOY, 2).says(name);
    }
    for (flag, value) in [
        ("--error-threshold", "10"),
        ("--consecutive-failures", "0"),
        ("--monitor-duration", "-5"),
        ("--data-restore", "perhaps"),
        ("--only", "nothing"),
        ("--skip", "-rf"),
    ] {
        let project = Embedded::new();
        let words = ["deploy", &format!("{flag}={value}"), "--", "./deploy.sh"];
        project.guard().run(&words).expect(2);
        assert!(project.deployments().is_empty());
    }
    let project = Embedded::new();
    for words in [
        &["deploy"][..],
        &["deploy", "--"],
        &["deplyo", "--", "x"],
        &["rollback", "--undo", "--only", "db"],
        &["rollback", "--service", "-rf", "--yes"],
    ] {
        let ran = project.guard().run(words);
        assert!(matches!(ran.code, Some(2 | 40)), "{words:?}: {ran:?}");
    }
}

#[test]
fn fault_k8_a_release_that_nothing_would_look_at_has_to_be_meant() {
    let settings = "[resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n";
    let project = Embedded::with(settings);
    refused(&project, &project.guard(), &DEPLOY, 2).says("verify = \"none\"");
    let project = Embedded::with(&format!("verify = \"none\"\n{settings}"));
    project.guard().run(&DEPLOY).expect(0).says("not known");
}

#[test]
fn what_does_not_exist_is_found_before_the_backup() {
    let cases = [
        ("path = \"objects\"", "path = \"object\"", "object"),
        ("path = \"app.db\"", "path = \"ap.db\"", "ap.db"),
        ("command = [\"grep\"", "command = [\"no-such-probe\"", "no-such-probe"),
    ];
    for (old, new, says) in cases {
        let project = Embedded::but(old, new);
        let before = project.everything();
        let ran = project.guard().run(&DEPLOY).expect(10).says(says);
        assert!(ran.stderr.contains("guard "), "{}", ran.stderr);
        assert_eq!(project.everything(), before);
        assert!(project.deployments().is_empty());
        project.guard().run(&["check"]).expect(10).says(says);
    }
}

#[test]
fn fault_f1_a_deploy_command_that_cannot_run_is_10() {
    let project = Embedded::new();
    project.write("not-executable.sh", "#!/bin/sh\n");
    project.sh(
        "rm -f ../state; git add not-executable.sh; git -c user.name=t -c user.email=t@example.invalid commit -qm more",
    );
    for (command, says) in [
        ("no-such-command", "not found"),
        ("./no-such.sh", "not found"),
        ("./not-executable.sh", "not executable"),
        ("./objects", "directory"),
    ] {
        refused(&project, &project.guard(), &["deploy", "--", command], 10).says(says);
    }
}

#[test]
fn a_timestamp_that_is_none_reads_no_file() {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    for odd in [
        "../../etc",
        "/etc/passwd",
        "20250101_000000/../..",
        "-rf",
        "",
        "garbage",
        "2025-10-22",
        "20251399_996199",
        "20251022_153000\n",
        "\u{202e}1",
    ] {
        for words in [
            &["rollback", "--yes", &format!("--backup-timestamp={odd}")][..],
            &["show", "--", odd],
            &["verify", "--", odd],
            &["delete", "--yes", "--", odd],
        ] {
            project.guard().run(words).expect(2).says("guard list");
        }
    }
    assert_eq!(project.backups().len(), 1);
}

#[test]
fn fault_e15_no_terminal_to_ask_on_is_2_and_names_the_flag() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let new = project.everything();
    project.guard().run(&["rollback"]).expect(2).says("--yes");
    let backup = project.backups().remove(0);
    project
        .guard()
        .run(&["delete", "--force", &backup])
        .expect(2)
        .says(&format!("guard delete --force {backup} --yes"));
    assert_eq!(project.backups().len(), 1);
    assert_eq!(project.everything(), new);
    // The variables of older scripts answer too.
    project
        .guard()
        .env("ROLLBACK_CONFIRM", "yes")
        .run(&["rollback"])
        .expect(0);
}

#[test]
fn no_git_repository_is_10() {
    let project = Embedded::new();
    project.sh("rm -rf .git");
    let ran = project.guard().run(&DEPLOY).expect(10).says("code");
    assert!(ran.stderr.contains("git"), "{}", ran.stderr);
    assert!(project.deployments().is_empty());
}

#[test]
fn a_dirty_tree_and_a_detached_head_come_back_as_they_were() {
    let project = Embedded::new();
    project.sh("git checkout --quiet --detach; echo 'half a thought' >> code.txt; echo staged > staged.txt; git add staged.txt; echo loose > loose.txt");
    let before = project.everything();
    let loose = "cat code.txt staged.txt loose.txt; git diff --cached --name-only";
    let files = project.sh(loose);
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "sick", "rm loose.txt"])
        .expect(21);
    assert_eq!(project.everything(), before);
    assert_eq!(project.sh(loose), files);
}

#[test]
fn fault_d9_f16_a_guard_inside_a_guard_is_2() {
    let project = Embedded::new();
    let inner = format!(
        "{} deploy -- true; echo $? > ../inner; exit 1",
        env!("CARGO_BIN_EXE_guard")
    );
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", &inner])
        .expect(24)
        .says("guard was called by a command");
    assert_eq!(project.sh("cat ../inner"), "2\n");
}
