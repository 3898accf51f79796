//! `guard resume --all` and the runs that are hard to find: other projects, other states, settings that a release broke,
//! another boot.

use std::path::{Path, PathBuf};

use clap::Parser;
use guard::cli::Arguments;
use guard::journal::{Journal, Run};
use guard::model::fact::Fact;

use crate::support::embedded::{Embedded, end, until};
use crate::support::program::{Program, Ran};

/// guard in a project, without a watcher, with a directory of all states that it shares with others.
fn sharing(project: &Embedded, root: &Path, state: &Path) -> Program {
    Program::new(&project.directory(), state)
        .env("GUARD_STATE_ROOT", root.to_str().unwrap())
        .env("GUARD_NO_WATCHER", "yes")
}

/// A deployment that was killed inside its command.
fn cut_off(project: &Embedded, guard: &Program, words: &[&str]) {
    let waits = [
        &["deploy", "--", "./deploy.sh"],
        words,
        &["echo > ../reached; sleep 3600"],
    ]
    .concat();
    let mut running = guard.start(&waits);
    until(|| project.root().join("reached").exists() || running.try_wait().unwrap().is_some());
    running.kill().unwrap();
    end(&mut running);
}

fn resume_all(project: &Embedded, root: &Path) -> Ran {
    // A directory without settings: nothing there is asked.
    std::fs::create_dir_all(project.root().join("nowhere")).unwrap();
    let nowhere = Program::new(&project.root().join("nowhere"), &project.root().join("no-state"));
    let nowhere = nowhere
        .env("GUARD_STATE_ROOT", root.to_str().unwrap())
        .env("GUARD_NO_WATCHER", "yes");
    nowhere.run(&["resume", "--all"])
}

#[test]
fn every_unfinished_run_of_every_project_is_finished_and_the_worst_is_told() {
    let (one, other, stuck) = (Embedded::new(), Embedded::new(), Embedded::new());
    let root = one.root().join("states");
    resume_all(&one, &root).expect(0).says("nothing is unfinished");
    // Two are below the directory of all states, one is elsewhere.
    let states: [PathBuf; 3] = [root.join("one"), other.state(), root.join("stuck")];
    let before = [one.everything(), other.everything(), stuck.everything()];
    for (project, state) in [&one, &other].into_iter().zip(&states) {
        cut_off(project, &sharing(project, &root, state), &["all"]);
    }
    cut_off(
        &stuck,
        &sharing(&stuck, &root, &states[2]),
        &["all", "sick", "chattr +i conf/app.conf"],
    );
    let ran = resume_all(&one, &root).expect(30);
    for (project, words) in [(&one, "rolled-back"), (&other, "rolled-back"), (&stuck, "stuck")] {
        let directory = project.directory().display().to_string();
        let told = |line: &str| line.contains(&directory) && line.contains(words) && line.contains("production is");
        assert!(ran.stderr.lines().any(told), "{directory} {words}: {}", ran.stderr);
    }
    assert_eq!([one.everything(), other.everything()], before[..2]);
    stuck.sh("chattr -i conf/app.conf");
    resume_all(&one, &root).expect(0).says("old, verified");
    assert_eq!(stuck.everything(), before[2]);
    resume_all(&one, &root).expect(0).says("nothing is unfinished");
}

#[test]
fn fault_f17_a_run_whose_release_broke_the_settings_is_finished_by_those_of_its_beginning() {
    let renamed = "sed -i '1i project = \"another-name\"' guard.toml";
    for breaks in ["echo 'no such = setting' > guard.toml", renamed] {
        let project = Embedded::new();
        let before = project.everything();
        let root = project.root().join("states");
        let guard = sharing(&project, &root, &project.state());
        cut_off(&project, &guard, &["all", breaks]);
        // In another shell, nobody says where the state is.
        let mut command = guard.command(&["resume"]);
        let output = command.env_remove("GUARD_STATE_DIR").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(20), "{told}");
        assert_eq!(project.everything(), before, "{told}");
    }
}

/// Writes a journal anew, as another boot would have left it.
fn rebooted(run: &Path) {
    let id = run.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let records = Run {
        id,
        directory: run.to_owned(),
    }
    .read()
    .unwrap();
    std::fs::remove_file(run.join("journal.jsonl")).unwrap();
    let mut journal = Journal::create(run).unwrap();
    for record in records {
        let mut fact = record.fact;
        if let Fact::Opened { actor, .. } | Fact::Reopened { actor } = &mut fact {
            "00000000-the-boot-before".clone_into(&mut actor.boot);
        }
        journal.append(fact, record.at).unwrap();
    }
}

#[test]
fn fault_a11_after_a_reboot_nothing_that_was_known_of_processes_is_believed() {
    for is_rebooted in [false, true] {
        let project = Embedded::new();
        let before = project.everything();
        let guard = project.guard().env("GUARD_NO_WATCHER", "yes");
        let child = "sleep 3600 & echo $! > ../child; echo > ../reached; wait";
        let mut running = guard.start(&["deploy", "--", "./deploy.sh", "all", child]);
        until(|| project.root().join("reached").exists());
        running.kill().unwrap();
        end(&mut running);
        if is_rebooted {
            rebooted(&project.newest_run());
        }
        // In this boot it is a left-over of the run and is ended. With the numbers of another boot it is a stranger.
        guard.run(&["resume"]).expect(20);
        let is_there = project.shell("kill -9 $(cat ../child)").status.success();
        assert_eq!(is_there, is_rebooted);
        assert_eq!(project.everything(), before);
    }
}

#[test]
fn the_unit_for_the_boot_calls_guard_as_it_can_be_called() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/guard-resume.service");
    let unit = std::fs::read_to_string(path).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words = shlex::split(line).unwrap();
    assert!(Arguments::try_parse_from(&words).is_ok(), "{words:?}");
    let verified = std::process::Command::new("systemd-analyze")
        .args(["verify", path])
        .output();
    if let Ok(output) = verified {
        // Where guard is not installed, that is all that may be wrong with it.
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let strange = told
            .lines()
            .find(|line| line.contains("guard-resume") && !line.contains("is not executable"));
        assert_eq!(strange, None, "{told}");
    }
}
