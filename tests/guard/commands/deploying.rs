//! What a deploy command is given, what it may do, and what guard makes of it.

use std::os::unix::process::CommandExt;

use super::looking::{objects, result};
use crate::support::embedded::Embedded;

#[test]
fn the_command_knows_its_run_and_its_backup() {
    let project = Embedded::and(
        "[environments.production.retention]\nkeep = 5\n[verify]\ncommands = [[\"sh\", \"-c\", \"echo $GUARD_STAGE $GUARD_RUN_ID > ../verify.env\"]]",
    );
    let line = "env | grep ^GUARD_ | sort > ../deploy.env; test -f \"$GUARD_BACKUP_DIR/manifest.json\" || exit 3";
    project
        .guard()
        .run(&[
            "--environment",
            "production",
            "deploy",
            "--",
            "./deploy.sh",
            "all",
            line,
        ])
        .expect(0);
    let env = project.sh("cat ../deploy.env");
    let run = project.newest_run().file_name().unwrap().to_string_lossy().into_owned();
    for wanted in [
        format!("GUARD_RUN_ID={run}"),
        format!("GUARD_BACKUP_TIMESTAMP={}", project.backups()[0]),
        "GUARD_ENVIRONMENT=production".to_owned(),
        "GUARD_STAGE=deploy".to_owned(),
        "GUARD_EVENTS=/".to_owned(),
    ] {
        assert!(env.contains(&wanted), "{wanted} is missing in:\n{env}");
    }
    assert_eq!(project.sh("cat ../verify.env"), format!("verify {run}\n"));
}

#[test]
fn what_the_command_announces_is_told_again() {
    let project = Embedded::new();
    let line = "printf 'phase=migrate\\nirreversible=4711 mails sent\\nnonsense\\n' >> \"$GUARD_EVENTS\"; exit 3";
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", line])
        .expect(20);
    let ran = ran.says("nonsense").says("4711 mails sent");
    let report = project.sh("cat ../state/runs/*/incident.md");
    assert!(
        report.contains("4711 mails sent") && report.contains("migrate"),
        "{report}\n{}",
        ran.stderr
    );
}

#[test]
fn fault_f10_secrets_in_its_output_are_nowhere_and_its_bytes_do_no_harm() {
    let project = Embedded::new();
    project.sh("printf 'API_TOKEN=canary-4f9c2\\n' >> .env");
    let line = "printf 'nul \\000 bell \\007 title \\033]0;pwned\\007 clip \\033]52;c;aGk=\\007 clear \\033[2J bad \\377\\n'; cat .env";
    let ran = project
        .guard()
        .run(&["--output", "json", "deploy", "--", "./deploy.sh", line, "all", "exit 3"])
        .expect(20);
    objects(&ran);
    assert!(!ran.everything().contains("canary-4f9c2"), "{}", ran.everything());
    for byte in ['\u{1b}', '\u{7}', '\0'] {
        assert!(!ran.stderr.contains(byte), "{:?}", ran.stderr);
    }
    assert_eq!(project.shell("grep -rl canary-4f9c2 ../state/runs").stdout, b"");
    assert!(project.sh("cat ../state/runs/*/deploy.log").contains("REDACTED"));
}

#[test]
fn fault_f11_f12_the_command_has_the_callers_umask_and_standard_input() {
    let project = Embedded::new();
    let line = "umask > ../umask; cat > ../stdin; pwd > ../pwd";
    let guard = project.guard().command(&["deploy", "--", "./deploy.sh", line]);
    let mut caller = std::process::Command::new("sh");
    caller
        .args(["-c", "umask 027; echo from a pipe | \"$@\"", "sh"])
        .arg(guard.get_program())
        .args(guard.get_args());
    caller.current_dir(project.directory()).process_group(0);
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => caller.env(name, value),
            None => caller.env_remove(name),
        };
    }
    let output = caller.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(project.sh("cat ../umask"), "0027\n");
    assert_eq!(project.sh("cat ../pwd").trim(), project.directory().to_str().unwrap());
    assert_eq!(project.sh("stat -c %a ../state"), "700\n");
    assert_eq!(project.sh("cat ../stdin"), "from a pipe\n");
}

#[test]
fn fault_f6_f7_a_daemon_that_keeps_the_pipe_open_does_not_hold_guard_up() {
    let project = Embedded::new();
    let line = "setsid sh -c 'echo $$ > ../daemon; exec sleep 600' &";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all", line]);
    // It is allowed to stay, and it did.
    project.sh("kill $(cat ../daemon)");
    ran.expect(0);
}

#[test]
fn fault_f8_much_output_is_kept_in_part_and_told_as_lines() {
    let project = Embedded::new();
    let line = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 3";
    let ran = project
        .guard()
        .run(&["-q", "deploy", "--", "./deploy.sh", line])
        .expect(24);
    let log = std::fs::metadata(project.newest_run().join("deploy.log"))
        .unwrap()
        .len();
    assert!(log < 20_000_000, "{log}");
    assert!(
        project.sh("tail -c 100 ../state/runs/*/deploy.log").contains("the end"),
        "{}",
        ran.stderr.len()
    );
}

#[test]
fn the_maintenance_page_stands_around_the_deployment_and_the_way_back() {
    let project = Embedded::and(
        "[maintenance]\non = [[\"sh\", \"-c\", \"echo on >> ../page\"]]\noff = [[\"sh\", \"-c\", \"echo off >> ../page\"]]",
    );
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "echo deploy >> ../page"])
        .expect(0);
    assert_eq!(project.sh("cat ../page"), "on\ndeploy\noff\n");
    project.sh("rm ../page");
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "sick", "echo deploy >> ../page"])
        .expect(21);
    let page = project.sh("cat ../page");
    assert!(page.starts_with("on\ndeploy\n") && page.ends_with("off\n"), "{page}");
    // After a command that failed nobody needs to see the release: the page stays until the way back has ended.
    for (words, code) in [(&["sick", "exit 3"][..], 20), (&["exit 3"], 24)] {
        project.sh("rm ../page");
        let deploy = ["deploy", "--", "./deploy.sh"];
        project.guard().run(&[&deploy[..], words].concat()).expect(code);
        let page = project.sh("cat ../page");
        assert!(
            page.ends_with("on\noff\n") && page.matches("off").count() == 1,
            "{words:?}: {page}"
        );
    }
    project.sh("rm ../page");
    let held = [
        "deploy",
        "--again",
        "--no-rollback",
        "--",
        "./deploy.sh",
        "sick",
        "exit 3",
    ];
    project.guard().run(&held).expect(31);
    assert_eq!(
        project.sh("cat ../page"),
        "on\noff\n",
        "the failed release is there to be looked at"
    );
}

#[test]
fn a_secret_that_the_release_brings_is_shown_nowhere() {
    let project = Embedded::and("[verify]\ncommands = [[\"sh\", \"-c\", \"cat .env; test $GUARD_STAGE = prove\"]]");
    project.write(
        "bring.sh",
        "echo SMTP_PASSWORD=canary-of-the-release > .env; cat .env\n",
    );
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "sh ./bring.sh"])
        .expect(21);
    let kept = project.sh(
        "cat ../state/runs/*/*.log ../state/runs/*/*.md ../state/runs/*/*.json; \
                           cat ../state/runs/*/journal.jsonl; grep -r . ../state/runs/*/evidence || true",
    );
    assert!(!kept.contains("canary-of-the-release"), "{kept}");
    // Once in each of both logs; the report quotes them.
    let logs = project.sh("cat ../state/runs/*/*.log");
    assert_eq!(logs.matches("SMTP_PASSWORD=[REDACTED]").count(), 2, "{logs}");
    // While the command runs nobody can know what it is about to write; from its end on it is known.
    let shown = ran.stderr.split("The deploy command ended").nth(1).unwrap();
    assert!(shown.contains("SMTP_PASSWORD=[REDACTED]"), "{shown}");
    assert!(!shown.contains("canary-of-the-release"), "{shown}");
}

#[test]
fn a_settings_file_that_the_release_replaces_does_not_change_the_run() {
    let project = Embedded::new();
    let before = project.everything();
    project
        .guard()
        .run(&[
            "deploy",
            "--",
            "./deploy.sh",
            "all",
            "echo garbage > guard.toml; commit three",
            "sick",
        ])
        .expect(21);
    assert_eq!(project.everything(), before);
}

#[test]
fn a_result_says_what_the_process_says() {
    let project = Embedded::new();
    let told = result(
        &project
            .guard()
            .run(&["--output", "json", "deploy", "--", "./deploy.sh", "all", "exit 7"])
            .expect(20),
    );
    assert_eq!(told["production"], "old, verified");
    let kept: serde_json::Value = serde_json::from_str(&project.sh("cat ../state/runs/*/result.json")).unwrap();
    assert_eq!(kept["exit_code"], 20);
    assert_eq!(kept["production"], told["production"]);
}

#[test]
fn what_a_release_still_changes_while_it_is_stopped_is_put_back_as_well() {
    // At the time of the first look only the configuration is different; the migration comes when the release is stopped.
    let stop = "echo late > objects/late.txt; sqlite3 app.db \"ALTER TABLE users ADD COLUMN late TEXT\"";
    let project = Embedded::and(&format!(
        "[services]\nstart = [\"true\"]\nstop = [[\"sh\", \"-c\", {}]]",
        toml_text(stop)
    ));
    let before = project.everything();
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "sick"]).expect(21);
    ran.says("db was changed until now")
        .says("objects was changed until now");
    assert_eq!(project.everything(), before);
}

/// A text as TOML writes it.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
