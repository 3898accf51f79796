//! What an operator may choose: which backup, which part, how much of the data, and only to look.

use super::{Stage, same};

/// The newest backup's timestamp.
fn newest(stage: &Stage) -> String {
    let latest = stage.shop.state().join("backups/.latest_backup");
    std::fs::read_to_string(latest).unwrap().trim().to_owned()
}

#[test]
fn a_rollback_by_hand_does_what_was_asked_and_no_more() {
    let stage = Stage::open();
    let guard = stage.guard();
    let first = stage.state();
    guard.run(&["deploy", "--", "./deploy.sh", "v2"]).expect(0);
    let to_v1 = newest(&stage);
    let add = "curl -sSf -X POST \"$0/users?name=Late\"";
    let add = add.replace("$0", &stage.shop.url(""));
    stage.shop.sh(&add);
    guard.run(&["backup", "--description", "one user more"]).expect(0);
    let second = stage.state();
    stage.shop.sh(&format!("{add}; {add}"));
    let third = stage.state();

    // Names that are none, and one that is not there.
    for (name, code) in [
        ("../../etc", 2),
        ("20251022_153000/../..", 2),
        ("garbage", 2),
        ("-rf", 2),
        ("20200101_000000", 40),
    ] {
        let asked = format!("--backup-timestamp={name}");
        guard.run(&["rollback", "--yes", &asked]).expect(code);
    }
    guard.run(&["rollback", "--yes", "--only", "nothing"]).expect(2);
    guard.run(&["rollback", "--yes", "--service", "nothing"]).expect(2);
    same("after what was refused", &stage.state(), &third, &[]);

    // A look costs nothing, and tells the price of what would be done: the schema is as before, so that rows stay unless it
    // is asked for otherwise.
    let look = |words: &[&str]| {
        let ran = guard.run(&[&["rollback", "--dry-run"], words].concat()).expect(0);
        ran.everything()
    };
    let told = look(&["--backup-timestamp=latest"]);
    assert!(told.contains("keeps 2 rows in users"), "{told}");
    let told = look(&["--backup-timestamp=latest", "--data-restore", "always"]);
    assert!(told.contains("discards 2 rows in users"), "{told}");
    let told = look(&["--backup-timestamp=previous", "--data-restore", "always"]);
    assert!(told.contains(&to_v1), "{told}");
    assert!(told.contains("discards 3 rows in users"), "{told}");
    same("after a look", &stage.state(), &third, &[]);

    // Without an answer nothing is done.
    let ran = guard.run(&["rollback", "--backup-timestamp=latest"]);
    assert_ne!(ran.code, Some(0));
    same("unanswered", &stage.state(), &third, &[]);

    // One part alone.
    let always = ["rollback", "--yes", "--data-restore", "always"];
    let only = ["--backup-timestamp=latest", "--only", "db"];
    guard.run(&[&always[..], &only].concat()).expect(0);
    same("the database alone", &stage.state(), &second, &[]);
    stage.shop.sh(&add);
    let service = ["--backup-timestamp=latest", "--service", "postgres"];
    guard.run(&[&always[..], &service].concat()).expect(0);
    same("the service alone", &stage.state(), &second, &[]);

    // Everything, although the image that v1 ran has lost its name, and no registry has it.
    let image = format!("{}-app:latest", stage.shop.project());
    stage.shop.sh(&format!("docker rmi --no-prune --force {image}"));
    let all = format!("--backup-timestamp={to_v1}");
    guard.run(&[&always[..], &[&all]].concat()).expect(0);
    same("all of it", &stage.state(), &first, &[]);
    assert!(stage.shop.get("/version").contains("\"v1\""));
}

#[test]
fn rows_are_left_where_the_old_code_can_live_with_them() {
    let stage = Stage::open();
    let before = stage.state();
    let ran = stage.guard().run(&["deploy", "--", "./deploy.sh", "extra"]).expect(21);
    ran.says("rows were written but the schema is as before");
    let after = stage.state();
    same("extra, without its rows", &after, &before, &["rows"]);
    let users = stage.shop.get("/users");
    assert!(
        users.matches("created_at").count() > 40,
        "the rows of the release are gone"
    );
}

#[test]
fn data_that_must_not_be_put_back_holds_the_rollback() {
    let stage = Stage::open();
    for policy in ["never", "if-no-writes"] {
        // It is not well, however long it is waited for.
        stage.gate("6s");
        let ran = stage.guard().run(&[
            "deploy",
            "--again",
            "--data-restore",
            policy,
            "--",
            "./deploy.sh",
            "migrate",
        ]);
        let failed = stage.state();
        assert!(failed["schema"].contains("full_name"), "{policy}");
        ran.expect(31);
        assert!(
            failed["commit"].contains("refs/heads/migrate"),
            "{policy} left a mixture"
        );
        stage.settle("");
        // Asked once more, with the price known, a person gets the old state.
        let back = ["rollback", "--yes", "--data-restore", "always"];
        stage.guard().run(&back).expect(0);
        assert!(stage.shop.get("/users").contains("\"name\""));
    }
}
