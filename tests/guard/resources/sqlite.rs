//! SQLite files: the promises, with and without a write-ahead log, and what an interruption can leave.

use std::path::{Path, PathBuf};

use guard::model::artifact::{Live, Work};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Site, Slot};
use rusqlite::Connection;

use super::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::kinds::build;

struct Notes {
    path: PathBuf,
    resource: Box<dyn Resource>,
}

const SHOP: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, weight REAL, raw BLOB);
    CREATE TABLE \"odd \"\"table\" (x); CREATE INDEX by_name ON users (name); CREATE VIEW loud AS SELECT upper(name) FROM users;
    INSERT INTO users (name, weight, raw) VALUES ('ä 😀', 0.1, x'00ff'), (NULL, 1e300, NULL), ('c', -0.0, x'');
    INSERT INTO \"odd \"\"table\" VALUES (1), ('1'), (NULL);";

fn notes(scene: &Scene, mode: &str) -> Notes {
    let path = scene.project().join("notes.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!("PRAGMA journal_mode = {mode}; {SHOP}"))
        .unwrap();
    drop(connection);
    Notes {
        path,
        resource: resource(scene),
    }
}

fn resource(scene: &Scene) -> Box<dyn Resource> {
    let site = Site {
        directory: scene.project(),
        compose: None,
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    build("sqlite", &[("path", "notes.db")], &site)
}

fn execute(path: &Path, script: &str) {
    Connection::open(path).unwrap().execute_batch(script).unwrap();
}

/// Every object and every row, in words.
fn observe(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let mut told = String::new();
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    let objects = "SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY 1";
    let mut all = |query: &str| {
        let mut statement = connection.prepare(query).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..width {
                let value: rusqlite::types::Value = row.get(column).unwrap();
                told.extend([format!("{value:?}"), " ".to_owned()]);
            }
            told.push('\n');
        }
    };
    all(objects);
    let names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    for name in names {
        all(&format!("SELECT * FROM \"{}\" ORDER BY 1", name.replace('"', "\"\"")));
    }
    format!("{mode}\n{told}")
}

fn files(scene: &Scene) -> Vec<String> {
    let entries = std::fs::read_dir(scene.project()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

impl Subject for Notes {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        execute(&self.path, "DROP TABLE \"odd \"\"table\"; UPDATE users SET name = 'spoilt' WHERE id = 1; DELETE FROM users WHERE id = 2;
            CREATE TABLE extra (y); INSERT INTO extra VALUES (7);");
    }
    fn observe(&self) -> String {
        observe(&self.path)
    }
}

#[test]
fn a_file_keeps_all_promises_in_either_journal_mode() {
    for mode in ["DELETE", "WAL"] {
        let scene = Scene::new();
        hold(&notes(&scene, mode), &scene);
        assert_eq!(files(&scene), ["notes.db"], "nothing is left behind ({mode})");
    }
}

#[test]
fn writes_that_are_only_in_the_log_are_captured_and_stay_with_the_old_file() {
    let scene = Scene::new();
    let notes = notes(&scene, "WAL");
    let writer = Connection::open(&notes.path).unwrap();
    writer
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO users (name) VALUES ('logged');")
        .unwrap();
    let slot = Slot::new(&scene.backup(), notes.resource.name());
    let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
    assert!(artifact.summary.contains("2 tables, 7 rows"), "{}", artifact.summary);
    writer
        .execute_batch("CREATE TABLE late (z); INSERT INTO late VALUES (1);")
        .unwrap();
    let original = "logged";
    let failed = observe(&notes.path);
    let prepared = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let displaced = notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    drop(writer);
    let now = observe(&notes.path);
    assert!(now.contains(original) && !now.contains("late"), "{now}");
    let aside = displaced.kept_as[0].trim_start_matches("file ");
    assert_eq!(observe(Path::new(aside)), failed, "what was put aside is whole");
}

#[test]
fn a_swap_is_completed_from_every_state_that_an_interruption_leaves() {
    for cut in 0..3 {
        let scene = Scene::new();
        let notes = notes(&scene, "WAL");
        let original = observe(&notes.path);
        let slot = Slot::new(&scene.backup(), notes.resource.name());
        let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
        notes.spoil_live();
        let failed = observe(&notes.path);
        let prepared = notes
            .resource
            .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
            .unwrap();
        let place = |key: &str| PathBuf::from(prepared.details[key].as_str().unwrap());
        let (live, side, aside) = (place("live"), place("side"), place("aside"));
        // As far as a swap that was cut off had come: the mark, the exchange, the old file gone from the side.
        std::fs::hard_link(&live, &aside).unwrap();
        if cut > 0 {
            guard::system::disk::exchange(&side, &live).unwrap();
        }
        if cut > 1 {
            std::fs::remove_file(&side).unwrap();
        }
        let displaced = notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert_eq!(observe(&live), original, "cut {cut}");
        assert_eq!(observe(&aside), failed, "cut {cut}");
        assert_eq!(files(&scene).len(), 2, "{:?}", files(&scene));
        notes.resource.undo(&displaced, &scene.cx).unwrap();
        assert_eq!(observe(&live), failed);
    }
}

#[test]
fn a_file_that_is_missing_is_an_error_before_and_comes_back_after() {
    let scene = Scene::new();
    let absent = resource(&scene);
    let slot = Slot::new(&scene.backup(), absent.name());
    let error = absent.capture(&slot, &scene.cx).expect_err("nothing is there");
    assert!(error.to_string().contains("no database file"), "{error}");
    assert!(
        absent
            .survey(&scene.cx)
            .obstacles
            .iter()
            .any(|obstacle| obstacle.refuses)
    );
    assert!(files(&scene).is_empty(), "looking makes no file");
    let notes = notes(&scene, "DELETE");
    let original = observe(&notes.path);
    let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
    std::fs::remove_file(&notes.path).unwrap();
    assert!(matches!(
        notes.resource.check(&artifact, &scene.cx).unwrap(),
        Live::Differs(_)
    ));
    let prepared = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    for _ in 0..2 {
        let displaced = notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert!(displaced.kept_as.is_empty());
    }
    assert_eq!(observe(&notes.path), original);
}

#[test]
fn rows_alone_are_left_unless_they_are_asked_for_and_a_damaged_file_is_told() {
    let scene = Scene::new();
    let notes = notes(&scene, "DELETE");
    let slot = Slot::new(&scene.backup(), notes.resource.name());
    let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
    execute(&notes.path, "INSERT INTO users (name) VALUES ('x')");
    let left = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert!(matches!(left.work, Work::Left(_)));
    assert!(
        left.price[0].starts_with("discards 1 row in users since "),
        "{:?}",
        left.price
    );
    let wanted = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    assert!(wanted.work.is_needed());
    notes.resource.discard(&wanted, &scene.cx).unwrap();
    assert_eq!(files(&scene), ["notes.db"]);
    let mut bytes = std::fs::read(&notes.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    std::fs::write(&notes.path, bytes).unwrap();
    notes
        .resource
        .capture(&slot, &scene.cx)
        .expect_err("a damaged file is no backup");
}

/// Owner, group, mode and access list of the database file.
fn worn(path: &Path) -> String {
    let output = std::process::Command::new("getfacl")
        .args(["-pn"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn fault_n5_the_file_has_its_owner_and_mode_back_and_rows_stay_where_only_those_differ() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let scene = Scene::new();
    let notes = notes(&scene, "WAL");
    chown(&notes.path, Some(1234), Some(70_000)).unwrap();
    std::fs::set_permissions(&notes.path, std::fs::Permissions::from_mode(0o660)).unwrap();
    let slot = Slot::new(&scene.backup(), notes.resource.name());
    let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
    let before = worn(&notes.path);
    let installed = || {
        chown(&notes.path, Some(0), Some(0)).unwrap();
        std::fs::set_permissions(&notes.path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    installed();
    execute(&notes.path, "INSERT INTO users (name) VALUES ('kept')");
    let rows = observe(&notes.path);
    assert!(matches!(
        notes.resource.check(&artifact, &scene.cx).unwrap(),
        Live::Differs(_)
    ));
    // Rows that were written stay by the policy; the owner comes back all the same.
    let prepared = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert!(
        matches!(&prepared.work, Work::Changed(parts) if parts.len() == 1),
        "{prepared:?}"
    );
    let displaced = notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert!(notes.resource.is_compared(&displaced));
    assert_eq!((worn(&notes.path), observe(&notes.path)), (before.clone(), rows));
    let undone = notes.resource.undo(&displaced, &scene.cx).unwrap();
    assert_ne!(worn(&notes.path), before);
    notes.resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(worn(&notes.path), before);
    // And where rows go back, too.
    installed();
    let prepared = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(worn(&notes.path), before);
    assert_eq!(notes.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
}

#[test]
fn fault_n6_a_link_in_the_files_place_leads_nothing_elsewhere() {
    let scene = Scene::new();
    let notes = notes(&scene, "DELETE");
    let slot = Slot::new(&scene.backup(), notes.resource.name());
    let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
    let before = observe(&notes.path);
    let victim = scene.root().join("victim.db");
    execute(&victim, "CREATE TABLE s (x); INSERT INTO s VALUES ('of somebody else')");
    let theirs = std::fs::read(&victim).unwrap();
    std::fs::rename(&notes.path, scene.root().join("moved.db")).unwrap();
    std::os::unix::fs::symlink(&victim, &notes.path).unwrap();
    let prepared = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let displaced = notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert!(!notes.path.is_symlink());
    assert_eq!(observe(&notes.path), before);
    notes.resource.forget(&displaced, &scene.cx).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), theirs, "nothing of it was touched");
    // A directory above that leads elsewhere by now is refused.
    let elsewhere = scene.root().join("elsewhere");
    std::fs::rename(scene.project(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, scene.project()).unwrap();
    notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .expect_err("another directory");
}

#[test]
fn fault_n7_a_database_with_parts_of_the_application_is_copied_proven_and_put_back() {
    use rusqlite::functions::FunctionFlags;
    let scene = Scene::new();
    let notes = notes(&scene, "DELETE");
    {
        let connection = Connection::open(&notes.path).unwrap();
        connection
            .create_collation("icu_root", |one, other| other.cmp(one))
            .unwrap();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        connection
            .create_scalar_function("folded", 1, flags, |context| {
                Ok(context.get::<String>(0)?.to_lowercase())
            })
            .unwrap();
        connection
            .execute_batch(
                "CREATE TABLE titles (a TEXT COLLATE icu_root PRIMARY KEY, b TEXT CHECK (folded(b) <> 'no')) WITHOUT ROWID;
                 CREATE INDEX by_b ON titles (folded(b)); INSERT INTO titles VALUES ('x', 'Y'), ('z', 'W');",
            )
            .unwrap();
    }
    let whole = std::fs::read(&notes.path).unwrap();
    let survey = notes.resource.survey(&scene.cx);
    assert!(survey.obstacles.iter().all(|one| !one.refuses), "{survey:?}");
    let slot = Slot::new(&scene.backup(), notes.resource.name());
    let artifact = notes.resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(notes.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    execute(&notes.path, "DROP TABLE users");
    let prepared = notes
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    notes.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(notes.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    // The header counts changes; all else is page by page as it was.
    let back = std::fs::read(&notes.path).unwrap();
    assert_eq!(back.len(), whole.len());
    assert_eq!(back.get(100..), whole.get(100..));
    // Damage is seen in such a file as well.
    let mut broken = whole;
    broken.get_mut(4096..4110).unwrap().fill(0xff);
    std::fs::write(&notes.path, broken).unwrap();
    let elsewhere = Slot::new(&scene.root().join("later"), notes.resource.name());
    notes.resource.capture(&elsewhere, &scene.cx).expect_err("damaged");
}
