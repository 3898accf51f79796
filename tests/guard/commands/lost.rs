//! A machine is lost: what was copied to a bucket is enough for another one, the tree and its history among it.

use std::process::Command;

use crate::support::embedded::Embedded;
use crate::support::program::Program;
use crate::support::storage::{SECRET, Storage, WHO};

#[test]
fn a_machine_that_knows_nothing_gets_the_tree_from_the_bucket_alone() {
    let storage = Storage::with("copies");
    let project = Embedded::and(&format!(
        "[copy]\nurl = \"s3://copies/shop\"\nendpoint = \"{}\"\n",
        storage.endpoint()
    ));
    project.sh("sed -i '1i project = \"shop\"' guard.toml");
    project.sh("echo 'not committed' >> code.txt; echo new > notes.txt");
    let known = |program: Program| {
        program
            .env("AWS_ACCESS_KEY_ID", WHO)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    };
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
