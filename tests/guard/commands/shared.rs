//! Backups that share their packs: killed while they are taken or deleted, none of the others loses a byte.

use std::time::Duration;

use crate::support::embedded::Embedded;

/// Two changes to the objects, different for each number.
fn change(project: &Embedded, number: u32) {
    project.sh(&format!(
        "head -c 3000000 /dev/urandom > objects/big-{}; printf {number} | dd of=objects/large bs=1 seek={} conv=notrunc status=none",
        number % 3,
        number * 700_000
    ));
}

/// Reads every backup that there is; their names, the newest first.
fn expect_all_sound(project: &Embedded) -> Vec<String> {
    project.guard().run(&["verify", "--all"]).expect(0);
    let is_whole = |backup: &String| {
        project
            .state()
            .join("backups")
            .join(backup)
            .join("manifest.json")
            .exists()
    };
    project.backups().into_iter().filter(is_whole).collect()
}

#[test]
fn fault_a8_a_kill_takes_no_chunk_that_another_backup_needs() {
    let project = Embedded::but("path = \"objects\"", "path = \"objects\"\nform = \"chunks\"");
    project.sh("head -c 20000000 /dev/urandom > objects/large");
    project.guard().run(&["backup"]).expect(0);
    let first = project.backups().remove(0);
    let before = project.everything();
    let (mut killed, mut whole) = (0, 0);
    for number in 1..=14_u32 {
        change(&project, number);
        let mut child = project.guard().start(&["backup", "--only", "objects"]);
        std::thread::sleep(Duration::from_millis(u64::from(number) * 25));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            whole += 1;
        } else {
            killed += 1;
        }
        if number % 4 == 0 {
            project.guard().run(&["backup", "--only", "objects"]).expect(0);
            let backups = expect_all_sound(&project);
            // The oldest but the first goes, cut off as well: what others share with it stays.
            if let [.., oldest, _] = backups.as_slice() {
                let mut child = project.guard().start(&["delete", "--yes", "--force", oldest]);
                std::thread::sleep(Duration::from_millis(u64::from(number) * 3));
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
    assert!(killed > 2, "{killed} were killed, {whole} were not");
    expect_all_sound(&project);
    project
        .guard()
        .run(&["rollback", "--yes", "--backup-timestamp", &first])
        .expect(0);
    assert_eq!(project.everything(), before);
}
