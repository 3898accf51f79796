//! Backups that older scripts made: found, listed with what they hold, and tested for wholeness.

use std::path::{Path, PathBuf};
use std::process::Command;

use guard::store::{Foreign, ForeignKind, Knowledge, Listed, Store};

use super::{Place, backup, moment, shown};

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\nCREATE TABLE t (i int);\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n";

fn run(directory: &Path, words: &[&str]) {
    let status = Command::new(words[0])
        .args(&words[1..])
        .current_dir(directory)
        .status()
        .unwrap();
    assert!(status.success(), "{words:?}");
}

fn foreigners(listed: Vec<Listed>) -> Vec<Foreign> {
    listed
        .into_iter()
        .filter_map(|listed| {
            if let Listed::Foreign(foreign) = listed {
                Some(foreign)
            } else {
                None
            }
        })
        .collect()
}

fn kinds(foreign: &Foreign) -> Vec<ForeignKind> {
    foreign.parts.iter().map(|part| part.kind).collect()
}

/// A project as older scripts leave it.
fn project(place: &Place) -> PathBuf {
    let project = place.root().join("project");
    let backups = project.join("backups");
    let nested = backups.join("pre-deployment-20240303_030303");
    std::fs::create_dir_all(&nested).unwrap();
    std::fs::write(backups.join("db_backup_20240101_010101.sql"), DUMP).unwrap();
    std::fs::write(backups.join("compose_20240101_010101.yml"), "services: {}\n").unwrap();
    std::fs::write(backups.join("db_backup_20240202_020202.sql"), DUMP).unwrap();
    run(&backups, &["gzip", "db_backup_20240202_020202.sql"]);
    std::fs::write(nested.join("db_app.sql"), DUMP).unwrap();
    run(&nested, &["gzip", "db_app.sql"]);
    std::fs::write(nested.join("one"), vec![7; 5000]).unwrap();
    run(&nested, &["tar", "czf", "minio_data.tar.gz", "one"]);
    std::fs::write(project.join("db_by_hand.sql"), DUMP).unwrap();
    let info = "# written by hand\nexport DEPLOYMENT_TIMESTAMP='20240404_040404'\nBACKUP_DIR=\"./backups/pre deployment\"\n\
                DB_BACKUP_FILE=old\nDB_BACKUP_FILE=db_by_hand.sql\nMINIO_BACKUP_FILE=\"minio_$(touch pwned) x.tar.gz\"\n\
                GIT_COMMIT=c0ffee\nGIT_BRANCH=\"main\"\n";
    std::fs::write(project.join(".last-deployment-backup"), info).unwrap();
    let odd = backups.join("pre deployment");
    std::fs::create_dir(&odd).unwrap();
    run(
        &nested,
        &[
            "cp",
            "minio_data.tar.gz",
            odd.join("minio_$(touch pwned) x.tar.gz").to_str().unwrap(),
        ],
    );
    project
}

#[test]
fn older_layouts_are_found_and_proven() {
    let place = Place::new();
    let project = project(&place);
    let store = place.store().beside_project(&project);
    backup(&store, moment(0), Knowledge::KnownGood);
    let listed = store.list().unwrap();
    let expected = [
        "backup 20251022_153000",
        "foreign 20240404_040404",
        "foreign 20240303_030303",
        "foreign 20240202_020202",
        "foreign 20240101_010101",
    ];
    assert_eq!(shown(&listed), expected);
    let found = foreigners(listed);
    assert_eq!(kinds(&found[0]), [ForeignKind::Sql, ForeignKind::ObjectsTarGzip]);
    assert_eq!(
        (found[0].commit.as_deref(), found[0].branch.as_deref()),
        (Some("c0ffee"), Some("main"))
    );
    assert_eq!(kinds(&found[1]), [ForeignKind::SqlGzip, ForeignKind::ObjectsTarGzip]);
    assert_eq!(kinds(&found[2]), [ForeignKind::SqlGzip]);
    assert_eq!(kinds(&found[3]), [ForeignKind::Sql, ForeignKind::Compose]);
    for part in found.iter().flat_map(|foreign| &foreign.parts) {
        assert_eq!(part.prove(), Ok(()));
        assert_eq!(part.bytes, std::fs::metadata(&part.path).unwrap().len());
    }
    assert!(!project.join("pwned").exists());
}

#[test]
fn the_same_is_found_where_the_store_is_the_directory_of_the_scripts() {
    let place = Place::new();
    let project = project(&place);
    let backups = project.join("backups");
    let store = Store::open(&backups, &place.state()).unwrap().beside_project(&project);
    let before = shown(&store.list().unwrap());
    assert_eq!(before.len(), 4, "{before:?}");
    // The script's plain directory under a name that guard could have given.
    let plain = backups.join("20240505_050505");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("db_app.sql"), DUMP).unwrap();
    backup(&store, moment(0), Knowledge::KnownGood);
    store.sweep(moment(100), &[]).unwrap();
    let after = shown(&store.list().unwrap());
    assert_eq!(after[..2], ["backup 20251022_153000", "foreign 20240505_050505"]);
    assert_eq!(after.len(), 6, "{after:?}");
    assert!(plain.join("db_app.sql").exists());
}

#[test]
fn what_was_cut_off_or_damaged_is_told() {
    let place = Place::new();
    let store = place.store().beside_project(&project(&place));
    let parts: Vec<_> = foreigners(store.list().unwrap())
        .into_iter()
        .flat_map(|foreign| foreign.parts)
        .collect();
    let mut count = 0;
    for part in parts.iter().filter(|part| part.kind != ForeignKind::Compose) {
        let bytes = std::fs::read(&part.path).unwrap();
        // What tar's compressor pads is beyond tar's own end, so only the beginning counts there.
        let lengths = [0, 1, bytes.len() / 2, bytes.len() - 9];
        let end_of_dump = "\n\n\\unrestrict x\n".len() + 10;
        let lengths = lengths.into_iter().chain([bytes.len().saturating_sub(end_of_dump)]);
        for length in lengths.filter(|length| part.kind != ForeignKind::Sql || *length < bytes.len() - 20) {
            std::fs::write(&part.path, &bytes[..length]).unwrap();
            assert!(part.prove().is_err(), "{length} bytes of {}", part.path.display());
            count += 1;
        }
        if part.kind != ForeignKind::Sql {
            let mut flipped = bytes.clone();
            flipped[bytes.len() / 2] ^= 0x10;
            std::fs::write(&part.path, flipped).unwrap();
            assert!(part.prove().is_err(), "a flipped bit in {}", part.path.display());
        }
        std::fs::remove_file(&part.path).unwrap();
        assert!(part.prove().is_err());
        std::fs::write(&part.path, &bytes).unwrap();
        assert_eq!(part.prove(), Ok(()));
    }
    assert!(count > 20);
}

#[test]
fn links_and_strangers_are_no_foreign_backups() {
    let place = Place::new();
    let store = place.store();
    let secret = place.root().join("secret");
    std::fs::write(&secret, DUMP).unwrap();
    std::os::unix::fs::symlink(&secret, place.backups().join("db_backup_20240101_010101.sql")).unwrap();
    std::os::unix::fs::symlink(place.root(), place.backups().join("pre-deployment-20240102_010101")).unwrap();
    std::fs::write(place.backups().join("db_backup_99999999_999999.sql"), DUMP).unwrap();
    std::fs::write(place.backups().join("holiday_20240101_010101.jpg"), "x").unwrap();
    std::fs::write(place.backups().join("db_120240101_0101011.sql"), DUMP).unwrap();
    std::fs::write(
        place.backups().join(".last-deployment-backup"),
        "DEPLOYMENT_TIMESTAMP=../../etc\nDB_BACKUP_FILE=/etc/passwd\n",
    )
    .unwrap();
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn names_with_stars_mean_the_file_of_that_time_and_the_commit_stays_with_them() {
    let place = Place::new();
    let project = place.root().join("project");
    let backups = project.join("backups");
    std::fs::create_dir_all(&backups).unwrap();
    for stamp in ["20250101_000001", "20250202_000002"] {
        std::fs::write(backups.join(format!("db_{stamp}.sql")), DUMP).unwrap();
    }
    std::fs::write(backups.join("minio_backup.tar.gz"), b"x").unwrap();
    let info = |stamp: &str| {
        format!(
            "DEPLOYMENT_TIMESTAMP={stamp}\nBACKUP_DIR=./backups\nDB_BACKUP_FILE=\"./backups/db_*.sql\"\n\
             MINIO_BACKUP_FILE=\"./backups/minio_*.tar.gz\"\nGIT_COMMIT=c0ffee1\n"
        )
    };
    let marker = project.join(".last-deployment-backup");
    let found = |stamp: &str| {
        std::fs::write(&marker, info(stamp)).unwrap();
        let all = guard::store::find_foreign(&project, None).unwrap();
        all.into_iter()
            .find(|foreign| foreign.timestamp.as_str() == stamp)
            .unwrap()
    };
    let then = found("20250101_000001");
    assert_eq!(kinds(&then), [ForeignKind::Sql, ForeignKind::ObjectsTarGzip]);
    assert!(then.parts[0].path.ends_with("db_20250101_000001.sql"), "{then:?}");
    assert_eq!(then.commit.as_deref(), Some("c0ffee1"));
    // Two dumps of other times: nobody can tell which is meant. The commit is there all the same.
    let other = found("20250303_000003");
    assert_eq!(
        (kinds(&other), other.commit.as_deref()),
        (vec![ForeignKind::ObjectsTarGzip], Some("c0ffee1"))
    );
}
