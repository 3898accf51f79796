//! A resource by a program of the user's in whole runs: cut off in the middle of an act, told wrong, and asked for its promises.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::resources::command::PROGRAM;
use crate::support::program::Program;

struct Project {
    root: tempfile::TempDir,
}

impl Project {
    fn new(keys: &str) -> Self {
        let project = Self {
            root: tempfile::Builder::new().prefix("guard-by-program-").tempdir().unwrap(),
        };
        fs::create_dir(project.path("")).unwrap();
        let settings = format!(
            "project = \"by-program\"\nverify = \"none\"\n[resources.thing]\nkind = \"command\"\ncommand = [\"./program\"]\n{keys}"
        );
        project.write("guard.toml", &settings);
        project.script("program", PROGRAM);
        project.script("bad", "#!/bin/sh\necho spoilt >live\n");
        project.write("live", "as it was\n");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("project").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn live(&self) -> String {
        fs::read_to_string(self.path("live")).unwrap()
    }

    fn guard(&self) -> Program {
        Program::new(&self.path(""), &self.root.path().join("state"))
    }
}

#[test]
fn a_guard_that_is_killed_in_the_middle_of_an_act_is_gone_on_with() {
    for act in ["capture", "stage", "exchange"] {
        let project = Project::new("");
        let guard = project.guard();
        project.write("faults", &format!("{act}:slow\nown-undo\n"));
        let arguments = ["deploy", "--no-watcher", "--verify", "grep -q was live", "--", "./bad"];
        let mut run = guard.start(&arguments);
        let begun = project.path(&format!("{act}.begun"));
        for _ in 0..1200 {
            if begun.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(begun.exists(), "{act} never began");
        run.kill().unwrap();
        run.wait().unwrap();
        project.write("faults", "own-undo\n");
        // A copy that was cut off was before anything was deployed: there is nothing to put back.
        let code = if act == "capture" { 14 } else { 21 };
        let resumed = guard.run(&["resume", "--no-watcher"]);
        assert_eq!(resumed.code, Some(code), "{act}: {}", resumed.everything());
        assert_eq!(project.live(), "as it was\n", "{act}");
        if act != "capture" {
            guard.run(&["rollback", "--undo", "--yes"]).expect(0);
            assert_eq!(
                project.live(),
                "spoilt\n",
                "{act}: the failed state was kept, and not a half of it"
            );
        }
    }
}

#[test]
fn an_act_that_does_nothing_never_passes_for_a_way_back() {
    let project = Project::new("");
    project.write("faults", "exchange:nothing\n");
    let guard = project.guard();
    let failed = guard
        .run(&["deploy", "--verify", "grep -q was live", "--", "./bad"])
        .expect(30);
    failed
        .says("`exchange` by ./program ended with 0 and changed nothing")
        .says("guard check --resource thing");
    assert_eq!(project.live(), "spoilt\n");
    project.write("faults", "");
    guard.run(&["resume"]).expect(21);
    assert_eq!(project.live(), "as it was\n");
}

#[test]
fn promises_are_asked_for_by_name_and_told_as_a_table_and_as_json() {
    let project = Project::new("");
    let guard = project.guard();
    let kept = guard.run(&["check", "--resource", "thing"]).expect(0);
    assert!(
        kept.stdout.contains("exchange and undo, killed at 3 moments"),
        "{}",
        kept.stdout
    );
    project.write("faults", "stage:touches\n");
    let broken = guard.run(&["check", "--resource", "thing"]).expect(10);
    broken.says("staging does not touch what is live");
    let json = guard
        .run(&["check", "--resource", "thing", "--output", "json"])
        .expect(10);
    assert!(json.stdout.contains("\"way_back\":\"closed\""), "{}", json.stdout);
    guard
        .run(&["check", "--resource", "thingy"])
        .expect(2)
        .says("did you mean `thing`");
    assert_eq!(project.live(), "as it was\n");
}

#[test]
fn a_secret_that_a_program_prints_is_nowhere() {
    let project = Project::new("");
    project.write("faults", "capture:fails\n");
    let guard = project.guard().env("THING_PASSWORD", "canary-of-a-program");
    let failed = guard.run(&["backup", "-v"]).expect(11);
    assert!(!failed.everything().contains("canary"), "{}", failed.everything());
    project.write("faults", "");
    let backed = guard.run(&["backup", "-v"]).expect(0);
    assert!(!backed.everything().contains("canary"), "{}", backed.everything());
    for entry in walkdir::WalkDir::new(project.root.path().join("state"))
        .into_iter()
        .flatten()
    {
        // The program itself, which has the word in it, is kept with the copy.
        if entry.file_type().is_file() && entry.file_name() != "program" {
            let bytes = fs::read(entry.path()).unwrap();
            let is_there = bytes.windows(19).any(|part| part == b"canary-of-a-program");
            assert!(!is_there, "{}", entry.path().display());
        }
    }
}
