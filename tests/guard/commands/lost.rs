//! A machine is lost: what was copied to a bucket is enough for another one, the tree and its history among it.

use std::process::Command;

use crate::support::embedded::Embedded;
use crate::support::program::Program;
use crate::support::storage::{SECRET, Storage, WHO};

fn known(program: Program) -> Program {
    program
        .env("AWS_ACCESS_KEY_ID", WHO)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
}

#[test]
fn a_machine_that_knows_nothing_gets_the_tree_from_the_bucket_alone() {
    let storage = Storage::with("copies");
    let project = Embedded::and(&format!(
        "[copy]\nurl = \"s3://copies/shop\"\nendpoint = \"{}\"\n",
        storage.endpoint()
    ));
    project.sh("sed -i '1i project = \"shop\"' guard.toml");
    project.sh("echo 'not committed' >> code.txt; echo new > notes.txt");
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("is copied elsewhere");
    let backup = project.backups().remove(0);
    let before = project.sh("cat code.txt notes.txt deploy.sh .gitignore; git log --format=%H; git status --porcelain");

    // All that is left: the key, which was kept elsewhere, and the settings, which are needed to find the bucket.
    let lost = tempfile::Builder::new().prefix("guard-fresh-").tempdir().unwrap();
    let (directory, state) = (lost.path().join("project"), lost.path().join("state"));
    std::fs::create_dir_all(&state).unwrap();
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(project.state().join("key"), state.join("key")).unwrap();
    std::fs::copy(project.directory().join("guard.toml"), directory.join("guard.toml")).unwrap();
    drop(project);

    let guard = known(Program::new(&directory, &state));
    guard.run(&["fetch", &backup]).expect(0).says("is here, whole");
    guard.run(&["verify", &backup, "--restore"]);
    let ran = guard.run(&[
        "rollback",
        "--yes",
        "--backup-timestamp",
        &backup,
        "--only",
        "code,config",
    ]);
    // Nothing runs yet that the probes could see; what was asked for is there all the same.
    let line = "cat code.txt notes.txt deploy.sh .gitignore; git log --format=%H; git status --porcelain";
    let after = Command::new("sh")
        .args(["-c", line])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&after.stdout), before, "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(directory.join(".env")).unwrap(), "TOKEN=one\n");
    ran.expect(0);
}

#[test]
fn either_of_two_machines_restores_from_the_store_that_they_share() {
    let storage = Storage::with("copies");
    let settings = format!(
        "[copy]\nurl = \"s3://copies/shop\"\nendpoint = \"{}\"\n",
        storage.endpoint()
    );
    let machines = [Embedded::patient(&settings), Embedded::patient(&settings)];
    for (number, machine) in machines.iter().enumerate() {
        machine.sh("sed -i '1i project = \"shop\"' guard.toml");
        // What only this machine has.
        machine.sh(&format!(
            "./deploy.sh all; echo 'of machine {number}' | tee code.txt > objects/own.txt"
        ));
        machine.sh(&format!("sed -i 's/^TOKEN=.*/TOKEN=machine{number}/' .env"));
        machine.sh(&format!(
            "sqlite3 app.db \"INSERT INTO users (name) VALUES ('machine {number}')\""
        ));
        machine.sh(&format!(
            "git -c user.name=t -c user.email=t@example.invalid commit -qam 'machine {number}'"
        ));
    }
    let [one, other] = &machines;
    std::fs::create_dir_all(other.state()).unwrap();
    known(one.guard()).run(&["backup"]).expect(0);
    std::fs::copy(one.state().join("key"), other.state().join("key")).unwrap();
    // Two backups of one second would have one name.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    known(other.guard())
        .run(&["backup"])
        .expect(0)
        .says("is copied elsewhere");

    let states = machines.each_ref().map(Embedded::everything);
    let backups = machines.each_ref().map(|machine| machine.backups().remove(0));
    for (machine, now, backup, wanted) in [
        (one, &states[0], &backups[1], &states[1]),
        (other, &states[1], &backups[0], &states[0]),
    ] {
        let guard = || known(machine.guard());
        let listed = guard().run(&["fetch"]).expect(0).stdout;
        assert_eq!(listed.lines().count(), 2, "{listed}");
        guard().run(&["fetch", backup]).expect(0).says("is here, whole");
        // Both stand on one host here, so the other one is another place.
        let back = ["rollback", "--yes", "--force", "--data-restore", "always"];
        guard()
            .run(&[&back[..], &["--backup-timestamp", backup]].concat())
            .expect(0);
        let after = machine.everything();
        for (part, state) in wanted {
            assert_ne!(&now[part], state, "{part} would be the same anyway");
            assert_eq!(&after[part], state, "{part}");
        }
        guard().run(&["rollback", "--yes", "--undo"]).expect(0);
        assert_eq!(&machine.everything(), now);
    }
}
