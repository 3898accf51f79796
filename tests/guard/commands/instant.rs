//! Ground that copies in an instant: snapshots of btrfs, clones of xfs, by the commands that people call; and what is said where
//! there is none.

use std::time::Duration;

use crate::support::embedded::until;
use crate::support::instant::{Instant, SETTINGS};

/// A release that writes over much, removes something, and is found bad.
const BAD: &str = "for i in 2 3 5; do seq 5 ${i}7000 > data/sub/$i; done; rm data/sub/8; mkdir data/made; echo new > data/made/new; touch data/bad";

fn bad(ground: &Instant) -> crate::support::program::Ran {
    ground.guard().run(&["deploy", "--", "sh", "-c", BAD])
}

/// What is younger than two seconds is not believed to be unchanged, so files grow older first.
fn aged(kind: &'static str) -> Instant {
    let ground = Instant::new(kind, 600);
    std::thread::sleep(Duration::from_millis(3500));
    ground
}

fn journal(ground: &Instant) -> String {
    let run = ground.runs().pop().expect("a run");
    std::fs::read_to_string(run.join("journal.jsonl")).unwrap()
}

#[test]
fn a_snapshot_stands_by_and_a_bad_release_goes_back_by_shared_blocks() {
    let ground = Instant::new("btrfs", 600);
    let checked = ground.guard().run(&["check"]).expect(0);
    assert!(
        checked.everything().contains("standby: a snapshot of "),
        "{}",
        checked.everything()
    );
    assert!(
        ground.snapshots().is_empty(),
        "a check leaves none: {:?}",
        ground.snapshots()
    );
    let before = ground.seen("shop/data");
    let ran = bad(&ground).expect(21).says("a snapshot stands by");
    assert!(ran.stderr.contains("stands by as the snapshot "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("come out of the backup"), "{}", ran.stderr);
    assert!(journal(&ground).contains("\"ready\""), "the journal has it");
    assert_eq!(ground.seen("shop/data"), before);
    assert!(
        ground.is_shared("shop/data/sub/5"),
        "its blocks are those of the snapshot"
    );
    assert_eq!(ground.snapshots().len(), 1);
    // What failed is kept, as ever.
    ground.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(
        ground.sh("cat shop/data/made/new; test -e shop/data/sub/8 || echo gone"),
        "new\ngone\n"
    );
    ground.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(ground.seen("shop/data"), before);
}

#[test]
fn one_snapshot_is_kept_of_a_volume_and_it_goes_with_its_backup() {
    let ground = Instant::new("btrfs", 600);
    ground.guard().run(&["backup"]).expect(0);
    let first = ground.snapshots();
    ground.sh("echo later > shop/data/small");
    ground.guard().run(&["backup"]).expect(0);
    let second = ground.snapshots();
    assert!(
        first.len() == 1 && second.len() == 1 && first != second,
        "{first:?} {second:?}"
    );
    let backups = ground.backups();
    // The older one goes back without it.
    let before = ground.sh("cat shop/data/sub/1 shop/data/name | sha256sum");
    let back = ground
        .guard()
        .run(&["rollback", "--yes", &format!("--backup-timestamp={}", backups[0])])
        .expect(0);
    assert!(
        back.stderr
            .contains("nothing stands by of data: it is not there any more"),
        "{}",
        back.stderr
    );
    assert_eq!(ground.sh("cat shop/data/small"), "old\n");
    assert_eq!(ground.sh("cat shop/data/sub/1 shop/data/name | sha256sum"), before);
    // Days later, in another process, the newest one still has its snapshot.
    let back = ground
        .guard()
        .run(&["rollback", "--yes", &format!("--backup-timestamp={}", backups[1])])
        .expect(0);
    assert!(!back.stderr.contains("nothing stands by"), "{}", back.stderr);
    assert_eq!(ground.sh("cat shop/data/small"), "later\n");
    ground.guard().run(&["delete", &backups[1], "--yes"]).expect(0);
    assert!(ground.snapshots().is_empty(), "{:?}", ground.snapshots());
    assert_eq!(ground.sh("ls state/standbys"), "");
}

#[test]
fn volumes_of_one_subvolume_are_copied_from_one_moment_whoever_writes() {
    let ground = Instant::bare("btrfs", 900);
    ground.sh("btrfs subvolume create shop; mkdir shop/one shop/two; echo 0 > shop/one/zz; echo 0 > shop/two/aa; head -c 120000000 /dev/urandom > shop/one/large");
    let two = "[resources.one]\nkind = \"volume\"\npath = \"one\"\n[resources.two]\nkind = \"volume\"\npath = \"two\"\n[policy]\ndata_restore = \"always\"\n";
    ground.write("shop/guard.toml", two);
    let writer = "n=0; while test ! -e stop; do n=$((n+1)); echo $n > one/w; mv one/w one/zz; echo $n > two/w; mv two/w two/aa; done";
    let mut writer = std::process::Command::new("sh")
        .args(["-c", writer])
        .current_dir(ground.at("shop"))
        .spawn()
        .unwrap();
    let taken = ground.guard().run(&["backup"]);
    ground.sh("touch shop/stop");
    writer.wait().unwrap();
    let taken = taken.expect(0);
    assert!(
        taken.stderr.contains("a snapshot stands by until the run is over"),
        "{}",
        taken.stderr
    );
    assert!(ground.snapshots().is_empty(), "it is over: {:?}", ground.snapshots());
    ground.guard().run(&["rollback", "--yes", "--backup-timestamp=latest"]);
    let number = |path: &str| -> i64 { ground.sh(&format!("cat shop/{path}")).trim().parse().unwrap() };
    let (one, two) = (number("one/zz"), number("two/aa"));
    assert!(
        one > 0 && (one == two || one == two + 1),
        "two moments: {one} and {two}"
    );
}

#[test]
fn killed_anywhere_on_a_snapshot_the_old_state_comes_back_and_nothing_is_left() {
    let kills: u64 = std::env::var("GUARD_TEST_KILLS").map_or(8, |text| text.parse().expect("a number"));
    let ground = Instant::new("btrfs", 600);
    let before = ground.seen("shop/data");
    let mut codes = std::collections::BTreeSet::new();
    for number in 0..kills {
        let runs = ground.runs().len();
        let guard = ground.guard().env("GUARD_NO_WATCHER", "1");
        let mut deploying = guard.start(&["deploy", "--again", "--", "sh", "-c", BAD]);
        let records = 1 + usize::try_from(number * 31 / kills).unwrap();
        let has_come = || {
            let all = ground.runs();
            let text = all
                .last()
                .filter(|_| all.len() > runs)
                .map(|run| std::fs::read_to_string(run.join("journal.jsonl")));
            text.is_some_and(|text| text.is_ok_and(|text| text.lines().count() >= records))
        };
        until(|| has_come() || deploying.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(number * 7 % 20));
        let _gone = deploying.kill();
        deploying.wait().unwrap();
        let resumed = guard.run(&["resume"]);
        let code = resumed.code.unwrap();
        codes.insert(code);
        assert!(![30, 32, 33, 70].contains(&code), "{number}: {}", resumed.everything());
        guard.run(&["resume"]).expect(0);
        assert_eq!(
            ground.seen("shop/data"),
            before,
            "kill {number} at {records}: {}",
            resumed.everything()
        );
    }
    assert!(codes.contains(&21), "no kill was behind the deploy command: {codes:?}");
    // Of all that were begun, the last copy's is left, and that goes with it.
    ground.guard().run(&["backup"]).expect(0);
    assert_eq!(ground.snapshots().len(), 1, "{:?}", ground.snapshots());
    assert_eq!(ground.sh("ls state/standbys | wc -l"), "1\n");
}

#[test]
fn a_subvolume_inside_stays_where_it_is_and_is_told() {
    let ground = Instant::new("btrfs", 600);
    ground.sh("btrfs subvolume create shop/data/nested; echo mine > shop/data/nested/file; mkdir shop/data/around; btrfs subvolume create shop/data/around/other");
    let before = ground.seen("shop/data");
    ground.guard().run(&["backup"]).expect(0).says("nested");
    assert_eq!(ground.guard().run(&["deploy", "--", "sh", "-c", BAD]).code, Some(21));
    assert_eq!(ground.seen("shop/data"), before);
    assert_eq!(ground.sh("cat shop/data/nested/file"), "mine\n");
}

#[test]
fn a_snapshot_that_was_removed_or_written_to_by_hand_is_not_believed() {
    let ground = aged("btrfs");
    let before = ground.seen("shop/data");
    for harm in [
        "btrfs subvolume delete $S",
        "btrfs property set -f -ts $S ro false; echo forged > $S/sub/5; rm $S/sub/3; mv $S/sub/2 $S/sub/4",
        "btrfs subvolume delete $S; mkdir $S; cp -a data/. $S",
        "rm ../state/standbys/*",
    ] {
        let script = format!(
            "S=$(find . ../state/aside -maxdepth 2 -path '*/.guard-*/.guard-*'); test -d $S; {harm} >&2; {BAD}"
        );
        let ran = ground.guard().run(&["deploy", "--", "sh", "-euc", &script]);
        assert_eq!(ran.code, Some(21), "{harm}: {}", ran.everything());
        assert_eq!(ground.seen("shop/data"), before, "{harm}");
        assert!(ran.stderr.contains("come out of the backup"), "{harm}: {}", ran.stderr);
        ground.sh(
            "for s in $(find . -path '*/.guard-*/.guard-*' -prune); do btrfs subvolume delete $s || rm -r $s; done",
        );
    }
}

#[test]
fn a_volume_that_is_the_root_of_a_mount_stands_by_inside_of_itself() {
    let ground = Instant::bare("btrfs", 600);
    ground.sh("btrfs subvolume create data; mkdir -p shop/data");
    ground.write("shop/guard.toml", SETTINGS);
    ground.sh("device=$(findmnt -no SOURCE --target . | sed 's/\\[.*//'); mount -o subvol=data $device shop/data; mkdir shop/data/sub; \
        for i in 2 3 5 8; do seq 1 ${i}000 > shop/data/sub/$i; done");
    let before = ground.seen("shop/data");
    let ran = bad(&ground).expect(21);
    assert!(
        ran.stderr.contains("a snapshot stands by") && !ran.stderr.contains("come out of the backup"),
        "{}",
        ran.stderr
    );
    assert_eq!(ground.seen("shop/data"), before);
    assert!(ground.is_shared("shop/data/sub/5"));
    ground.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(ground.sh("cat shop/data/made/new"), "new\n");
}

#[test]
fn on_a_file_system_that_the_release_has_filled_the_way_back_writes_no_content() {
    let ground = Instant::bare("btrfs", 600);
    ground.sh("mkdir shop; btrfs subvolume create shop/data; for i in 1 2 3; do head -c 40000000 /dev/urandom > shop/data/$i; done");
    ground.write("shop/guard.toml", SETTINGS);
    let before = ground.seen("shop/data");
    let elsewhere = tempfile::tempdir().unwrap();
    let guard = || crate::support::program::Program::new(&ground.at("shop"), &elsewhere.path().join("state"));
    // What it writes over keeps its old blocks in the snapshot, so that 120 MB are missing beside what fills the rest.
    let fill = "for i in 1 2 3; do head -c 40000000 /dev/urandom > data/$i; done; touch data/bad; cat /dev/zero > fill || true; sync -f .";
    let ran = guard().run(&["deploy", "--", "sh", "-c", fill]).expect(21);
    assert!(!ran.stderr.contains("come out of the backup"), "{}", ran.stderr);
    assert_eq!(ground.seen("shop/data"), before);
}

#[test]
fn where_little_is_free_nothing_stands_by_and_that_is_said() {
    let ground = Instant::new("btrfs", 1200);
    ground.guard().run(&["backup"]).expect(0);
    assert_eq!(ground.snapshots().len(), 1);
    ground.sh("fallocate -l $(( $(stat -f -c '%a*%S' .) - 90000000 )) fill; sync -f .");
    let told = ground.guard().run(&["check"]).expect(0);
    assert!(
        told.everything().contains("nothing will stand by of") && told.everything().contains("less than a tenth"),
        "{}",
        told.everything()
    );
    ground.sh("echo more > shop/data/more");
    ground.guard().run(&["backup"]).expect(0).says("nothing stands by");
    assert!(
        ground.snapshots().is_empty(),
        "the earlier one holds on to nothing any more: {:?}",
        ground.snapshots()
    );
    ground.sh("echo bad > shop/data/more");
    ground
        .guard()
        .run(&["rollback", "--yes", "--backup-timestamp=latest"])
        .expect(0);
    assert_eq!(ground.sh("cat shop/data/more"), "more\n");
}

#[test]
fn clones_stand_by_on_xfs_and_one_that_was_written_to_is_not_believed() {
    let ground = aged("xfs");
    let told = ground.guard().run(&["check"]).expect(0);
    assert!(
        told.everything().contains("standby: clones of its files"),
        "{}",
        told.everything()
    );
    let before = ground.seen("shop/data");
    let ran = bad(&ground).expect(21).says("clones of 10 files stand by");
    assert!(
        ran.stderr.contains("stands by as clones of 10 files in "),
        "{}",
        ran.stderr
    );
    assert_eq!(ground.seen("shop/data"), before);
    assert!(ground.is_shared("shop/data/sub/5"));
    ground.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(ground.sh("cat shop/data/made/new"), "new\n");
    ground.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    std::thread::sleep(Duration::from_millis(3500));
    let clones = "C=$(find .. -path '*/.guard-*/clones'); test -d $C";
    for harm in [
        "for f in $C/*; do echo forged > $f; done",
        "rm -r $C",
        "echo {} > $C/../clones.jsonl",
    ] {
        let ran = ground
            .guard()
            .run(&["deploy", "--", "sh", "-euc", &format!("{clones}; {harm}; {BAD}")]);
        assert_eq!(ran.code, Some(21), "{harm}: {}", ran.everything());
        assert_eq!(ground.seen("shop/data"), before, "{harm}");
        std::thread::sleep(Duration::from_millis(3500));
    }
    let backups = ground.backups();
    ground
        .guard()
        .run(&["delete", backups.last().unwrap(), "--yes"])
        .expect(0);
    assert_eq!(ground.sh("find . -path '*/.guard-*/clones'; ls state/standbys"), "");
}

#[test]
fn where_the_ground_cannot_copy_in_an_instant_that_is_said_and_all_goes_on_as_before() {
    for kind in ["ext4", "tmpfs"] {
        let ground = Instant::new(kind, 600);
        let told = ground.guard().run(&["check"]).expect(0);
        let sentence = format!("no standby: {kind} cannot copy in an instant");
        assert!(told.everything().contains(&sentence), "{}", told.everything());
        let before = ground.seen("shop/data");
        bad(&ground).expect(21);
        assert!(journal(&ground).contains(&format!("{kind} cannot copy in an instant")));
        assert_eq!(ground.seen("shop/data"), before);
    }
    let ground = Instant::new("btrfs", 600);
    let settings = SETTINGS.replace("path = \"data\"", "path = \"data\"\nstandby = \"never\"");
    ground.write("shop/guard.toml", &settings);
    let told = ground.guard().run(&["check"]).expect(0);
    assert!(
        told.everything().contains("`standby = \"never\"` is set"),
        "{}",
        told.everything()
    );
    let before = ground.seen("shop/data");
    bad(&ground).expect(21);
    assert_eq!(ground.seen("shop/data"), before);
    assert!(ground.snapshots().is_empty());
}

#[test]
fn where_no_snapshot_can_be_taken_files_are_cloned_and_that_is_said() {
    // A file that is swapped to keeps its subvolume from being snapshotted; here the program that does it is missing.
    let ground = aged("btrfs");
    let tools = tempfile::tempdir().unwrap();
    for name in ["sh", "seq", "rm", "mkdir", "touch", "test", "git"] {
        let found = ground.sh(&format!("command -v {name} || true"));
        if found.starts_with('/') {
            std::os::unix::fs::symlink(found.trim(), tools.path().join(name)).unwrap();
        }
    }
    let guard = || ground.guard().env("PATH", tools.path().to_str().unwrap());
    let told = guard().run(&["check"]);
    assert!(
        told.everything()
            .contains("standby: clones of its files, since a snapshot failed"),
        "{}",
        told.everything()
    );
    let before = ground.seen("shop/data");
    let ran = guard().run(&["deploy", "--", "sh", "-c", BAD]);
    assert_eq!(ran.code, Some(21), "{}", ran.everything());
    assert!(
        ran.stderr.contains("a snapshot failed") && ran.stderr.contains("clones of "),
        "{}",
        ran.stderr
    );
    assert_eq!(ground.seen("shop/data"), before);
    assert!(ground.is_shared("shop/data/sub/5"));
}
