//! Backups, journals and disks that cannot be used: refused with the code that says so, and production untouched.

use crate::support::embedded::Embedded;
use crate::support::program::Ran;

/// A project with one release behind it, and the backup from before.
fn deployed() -> (Embedded, String) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let backup = project.backups().remove(0);
    project.guard().run(&["verify", "--all"]).expect(0).says("1 backup");
    (project, backup)
}

#[track_caller]
fn refused(project: &Embedded, timestamp: &str, code: i32) -> Ran {
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["rollback", "--yes", "--backup-timestamp", timestamp])
        .expect(code);
    assert_eq!(project.everything(), before, "production was touched");
    assert!(
        ["guard list", "guard rollback", "guard backup"]
            .iter()
            .any(|next| ran.stderr.contains(next)),
        "no next command in:\n{}",
        ran.stderr
    );
    ran
}

#[test]
fn a_backup_that_is_not_there_is_40() {
    let (project, _) = deployed();
    refused(&project, "20200101_000000", 40).says("20200101_000000");
    let empty = Embedded::new();
    refused(&empty, "latest", 40);
    refused(&empty, "previous", 40);
    empty.guard().run(&["rollback", "--yes"]).expect(40);
    empty.guard().run(&["rollback", "--undo", "--yes"]).expect(40);
}

#[test]
fn a_backup_without_a_manifest_is_40_and_is_not_offered() {
    let (project, backup) = deployed();
    std::fs::remove_file(project.state().join("backups").join(&backup).join("manifest.json")).unwrap();
    refused(&project, &backup, 40);
}

#[test]
fn a_manifest_that_was_edited_is_40() {
    let (project, backup) = deployed();
    let path = project.state().join("backups").join(&backup).join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("app.db", "app.dc", 1)).unwrap();
    refused(&project, &backup, 40);
    project.guard().run(&["verify", &backup]).expect(40);
}

#[test]
fn a_lost_key_is_40() {
    let (project, backup) = deployed();
    std::fs::remove_file(project.state().join("key")).unwrap();
    refused(&project, &backup, 40).says("key");
}

#[test]
fn a_flipped_bit_and_a_shorter_file_are_40() {
    for spoil in [
        "truncate -s -1 \"$f\"",
        "printf x | dd of=\"$f\" bs=1 seek=100 conv=notrunc 2> /dev/null",
        "rm \"$f\"",
        "echo more >> \"$f\"",
    ] {
        for resource in ["db", "objects"] {
            let (project, backup) = deployed();
            let directory = project.state().join("backups").join(&backup).join(resource);
            project.sh(&format!(
                "chmod -R u+w {d}; f=$(find {d} -type f | sort | head -1); {spoil}",
                d = directory.display()
            ));
            project.guard().run(&["verify", &backup]).expect(40).says(resource);
            project.guard().run(&["verify", "--all"]).expect(40).says(&backup);
            refused(&project, &backup, 40).says(resource);
        }
    }
}

#[test]
fn a_manifest_of_a_newer_guard_is_41() {
    let (project, backup) = deployed();
    let path = project.state().join("backups").join(&backup).join("manifest.json");
    let mut value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    newer(&mut value);
    std::fs::write(&path, value.to_string()).unwrap();
    refused(&project, &backup, 41).says("newer");
}

fn newer(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if key == "schema_version" {
                    *value = serde_json::Value::from(99);
                } else {
                    newer(value);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(newer),
        _ => {}
    }
}

#[test]
fn a_journal_of_a_newer_guard_is_41() {
    let (project, _) = deployed();
    let path = project.newest_run().join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let ours = format!("{{\"v\":{},", guard::journal::VERSION);
    std::fs::write(&path, text.replacen(&ours, "{\"v\":99,", 1)).unwrap();
    let before = project.everything();
    for words in [
        &["deploy", "--", "./deploy.sh", "all"][..],
        &["resume"],
        &["rollback", "--yes"],
    ] {
        project.guard().run(words).expect(41);
    }
    assert_eq!(project.everything(), before);
    assert_eq!(project.deployments().len(), 1);
}

#[test]
fn a_backup_that_the_file_system_takes_no_more_of_is_11() {
    let project = Embedded::new();
    project.sh("head -c 3000000 /dev/urandom > objects/large");
    let before = project.everything();
    let guard = project.guard().command(&["deploy", "--", "./deploy.sh", "all"]);
    let mut limited = std::process::Command::new("sh");
    // 512 or 1024 bytes a block, as the shell likes: less than the object in both cases.
    limited
        .args(["-c", "ulimit -f 1000; exec \"$@\"", "sh"])
        .arg(guard.get_program())
        .args(guard.get_args());
    limited.current_dir(project.directory());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = limited.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(11), "{told}");
    assert!(told.contains("untouched"), "{told}");
    assert_eq!(project.everything(), before);
    assert!(project.deployments().is_empty());
    assert!(project.backups().is_empty());
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
}
