//! What a rollback does to files that people wrote during the bad release: told before, kept, put aside, given back.

use std::time::Duration;

use crate::support::embedded::{Embedded, until};

/// People upload while the release is verified, and then it is found bad.
const PEOPLE: &str = "\n[verify]\ncommands = [[\"sh\", \"-c\", \"test $GUARD_STAGE = prove || { sleep 0.1; mkdir -p objects/2026; echo upload > objects/2026/cat.jpg; }\"], [\"sh\", \"-c\", \"test $GUARD_STAGE = prove\"]]\n";

fn keeping() -> Embedded {
    let project = Embedded::but("path = \"objects\"", "path = \"objects\"\ncarry_over = \"new-files\"");
    let settings = project.sh("cat guard.toml");
    project.write("guard.toml", &format!("{settings}{PEOPLE}"));
    project
}

#[test]
fn what_people_uploaded_stays_through_a_rollback_and_its_undo() {
    let project = keeping();
    let before = project.everything();
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(21);
    let run = project.runs()[0].file_name().unwrap().to_str().unwrap().to_owned();
    ran.says("objects: keeps 1 file")
        .says("objects: kept 1 file")
        .says("aside is what was written while the deploy command ran, by the release or by people, 1 file (4 bytes): new.txt")
        .says(&format!("`guard salvage {run} --files 'PATTERN'`"));
    assert_eq!(
        project
            .sh("cat objects/2026/cat.jpg; ls objects/new.txt 2>&1 || true")
            .lines()
            .next(),
        Some("upload")
    );
    assert!(project.shell("test -e objects/new.txt").status.code() == Some(1));
    project.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(project.sh("cat objects/2026/cat.jpg objects/new.txt"), "upload\nnew\n");
    project.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(project.sh("cat objects/2026/cat.jpg"), "upload\n");
    project.sh("rm -r objects/2026");
    let mut after = project.everything();
    let mut before = before;
    // The time of a directory is no part of what is compared here.
    assert_eq!(after.remove("objects"), before.remove("objects"));
}

#[test]
fn what_people_uploaded_while_the_command_ran_is_named_with_the_command_that_gives_it_back() {
    let project = Embedded::but("path = \"objects\"", "path = \"objects\"\ncarry_over = \"new-files\"");
    // Nobody can tell a person's file from one of the release: both go aside, and neither without a word.
    let ran = project.guard().run(&[
        "deploy",
        "--",
        "./deploy.sh",
        "all",
        "sick",
        "echo upload > objects/cat.jpg",
    ]);
    let run = project.runs()[0].file_name().unwrap().to_str().unwrap().to_owned();
    ran.says("aside is what was written while the deploy command ran, by the release or by people, 2 files")
        .says("cat.jpg")
        .says(&format!("guard salvage {run} --files"));
    assert!(
        !project.shell("test -e objects/cat.jpg").status.success(),
        "it went aside"
    );
    project
        .guard()
        .run(&["salvage", &run, "--files", "*.jpg", "--yes"])
        .expect(0);
    assert_eq!(project.sh("cat objects/cat.jpg"), "upload\n");
    assert!(
        !project.shell("test -e objects/new.txt").status.success(),
        "the release's own stays aside"
    );
}

#[test]
fn killed_in_the_midst_uploads_are_neither_lost_nor_doubled() {
    let kills: u64 = std::env::var("GUARD_TEST_KILLS").map_or(3, |text| text.parse().expect("a number"));
    for number in 0..kills {
        let project = keeping();
        let mut guard = project
            .guard()
            .env("GUARD_NO_WATCHER", "1")
            .start(&["deploy", "--", "./deploy.sh", "all"]);
        let begun = || {
            let run = project.runs();
            let journal = run.first().map(|run| run.join("journal.jsonl"));
            let text = journal
                .and_then(|journal| std::fs::read_to_string(journal).ok())
                .unwrap_or_default();
            text.contains("\"begun\":{\"step\":\"restore/objects\"}")
        };
        until(|| begun() || guard.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(number * 97 / kills));
        let _gone = guard.kill();
        guard.wait().unwrap();
        let resumed = project.guard().run(&["resume"]);
        assert!([Some(0), Some(21)].contains(&resumed.code), "{}", resumed.everything());
        assert_eq!(
            project.sh("cat objects/2026/cat.jpg objects/a.txt objects/b.txt"),
            "upload\na\nb\n"
        );
        assert!(project.shell("test -e objects/new.txt").status.code() == Some(1));
    }
}

#[test]
fn what_went_aside_is_told_before_and_given_back_by_its_name() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.sh("mkdir objects/2026; for n in 1 2 3 4 5; do echo upload $n > objects/2026/$n.jpg; done; echo note > objects/2026/note.txt");
    let told = project.guard().run(&["rollback", "--dry-run"]).expect(0);
    // `all` has brought a file of its own.
    assert!(
        told.stdout
            .contains("objects: puts 7 files (54 bytes) aside that came since"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout.contains("objects: brings back 1 file (2 bytes) that went"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout
            .contains("objects: puts 1 file (8 bytes) aside that changed"),
        "{}",
        told.stdout
    );
    let ran = project.guard().run(&["rollback", "--yes"]).expect(0);
    let said = ran.everything();
    assert!(said.contains("8 files (62 bytes) of objects"), "{said}");
    let run = project.newest_run();
    let run = run.file_name().unwrap().to_string_lossy().into_owned();
    assert!(said.contains(&format!("salvage {run}")), "{said}");
    let listed = project
        .guard()
        .run(&["salvage", &run, "--resource", "objects"])
        .expect(0);
    listed.says("aside and not live: 7 files").says("--files '**'");
    project
        .guard()
        .run(&["salvage", "latest", "--files", "2026/*.jpg", "--yes"])
        .expect(0)
        .says("gave back 5 files");
    assert_eq!(
        project
            .sh("cat objects/2026/3.jpg; ls objects/2026 | wc -l")
            .replace(' ', ""),
        "upload3\n5\n"
    );
    project.sh("echo newer > objects/2026/note.txt");
    project
        .guard()
        .run(&["salvage", "latest", "--files", "**", "--yes"])
        .expect(0)
        .says("others have the names by now");
    assert_eq!(project.sh("cat objects/2026/note.txt objects/b.txt"), "newer\nb\n");
}

#[test]
fn an_undo_names_what_it_costs_before_it_asks() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    project.sh("echo since > objects/b.txt");
    let asked = project.guard().run(&["rollback", "--undo"]).expect(2);
    let told = |line: &str| line.contains("objects: puts 1 file") && line.contains("since the rollback");
    assert!(asked.everything().lines().any(told), "{}", asked.everything());
    assert_eq!(project.sh("cat objects/b.txt"), "since\n");
}
