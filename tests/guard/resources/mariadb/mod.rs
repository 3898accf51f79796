//! MariaDB databases on a private server: the promises, the swap from every state, and what is refused by name.

mod schemas;
mod zoo;

use std::sync::atomic::{AtomicBool, Ordering};

use guard::model::artifact::{Artifact, Live, Prepared};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Site, Slot, Survey};

use crate::resources::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::compose::Project;
use crate::support::kinds::{build, try_build};
use crate::support::mariadb::{PASSWORD, Server};

/// Something of every kind that a restore could lose.
const EVERYTHING: &str = r#"
CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name text, born timestamp(6) NULL, weight double, mood enum('sad', 'ok'),
  raw blob, flags bit(5), place point, about json, long_name varchar(90) GENERATED ALWAYS AS (concat(name, '!')) STORED,
  KEY (name(10)), CHECK (weight > 0)) COMMENT 'it''s a \\ comment';
CREATE TABLE `a or``ders` (id int PRIMARY KEY, who bigint, total decimal(12, 2), CONSTRAINT who FOREIGN KEY (who) REFERENCES users (id) ON DELETE CASCADE)
  CHARACTER SET latin1;
CREATE TABLE `events` (at date NOT NULL, what text) PARTITION BY RANGE (year(at)) (PARTITION p0 VALUES LESS THAN (2026), PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE TABLE keyless (v varchar(9));
CREATE TABLE log (what text);
INSERT INTO users (name, born, weight, mood, raw, flags, place, about) SELECT concat('user ', seq, '\n\t\\😀'), '2025-05-05 12:00:00.123456', 1.0 / seq, 'ok', x'00ff0d0a', 5, point(seq, 1), '{"a": [1]}' FROM seq_1_to_50;
INSERT INTO users (name) VALUES (NULL), ('');
INSERT INTO `a or``ders` SELECT id, id, id * 1.25 FROM users WHERE id <= 50;
INSERT INTO events VALUES ('2025-05-05', 'x'), ('2027-01-01', 'y');
INSERT INTO keyless VALUES ('twice'), ('twice'), (NULL);
CREATE FUNCTION shout(t text) RETURNS text DETERMINISTIC RETURN upper(t);
CREATE VIEW `b loud` AS SELECT shout(name) AS name FROM users;
CREATE VIEW a_first AS SELECT * FROM `b loud`;
CREATE TRIGGER touching BEFORE UPDATE ON users FOR EACH ROW INSERT INTO log VALUES (concat('touched ', OLD.id));
CREATE EVENT cleaning ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 00:00:00' DO DELETE FROM log;
DELIMITER ;;
CREATE PROCEDURE twice(IN n int) BEGIN SELECT n; SELECT n * 2; END;;
DELIMITER ;
"#;

/// What a bad release does: something added, altered, removed.
const SPOIL: &str = r"
DROP TRIGGER touching; DROP VIEW a_first; DROP EVENT cleaning;
DROP TABLE `a or``ders`;
ALTER TABLE users ADD COLUMN email text;
UPDATE users SET name = 'spoilt' WHERE id < 10;
DELETE FROM users WHERE id > 40;
CREATE TABLE a_first (token text);
CREATE TABLE children (id int PRIMARY KEY, of bigint, CONSTRAINT who FOREIGN KEY (of) REFERENCES users (id));
INSERT INTO children VALUES (1, 1);
CREATE VIEW keyless2 AS SELECT * FROM keyless;
CREATE TRIGGER added AFTER INSERT ON a_first FOR EACH ROW DELETE FROM log;
";

fn alone(scene: &Scene) -> Site {
    Site {
        directory: scene.project(),
        compose: None,
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    }
}

fn by_url(server: &Server, scene: &Scene, database: &str) -> Box<dyn Resource> {
    build(
        "mariadb",
        &[("url", &server.url(database)), ("lock_wait", "2s")],
        &alone(scene),
    )
}

struct ByUrl<'a> {
    server: &'a Server,
    database: &'a str,
    resource: Box<dyn Resource>,
}

impl Subject for ByUrl<'_> {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        self.server.sql(self.database, SPOIL);
    }
    fn observe(&self) -> String {
        self.server.observe(self.database)
    }
}

#[test]
fn a_mariadb_database_keeps_all_promises() {
    let server = Server::start();
    for database in ["shop", "-rf we`ird DB. Ünï % $"] {
        server.create(database, EVERYTHING);
        let scene = Scene::new();
        let resource = by_url(&server, &scene, database);
        hold(
            &ByUrl {
                server: &server,
                database,
                resource,
            },
            &scene,
        );
        assert_eq!(server.databases(), [database], "nothing is left behind");
        server.sql("", &format!("DROP DATABASE `{}`;", database.replace('`', "``")));
    }
}

struct InService<'a> {
    project: &'a Project,
    resource: Box<dyn Resource>,
}

impl InService<'_> {
    fn sql(&self, script: &str) {
        let client =
            "exec mariadb --user=root --password=\"$MARIADB_ROOT_PASSWORD\" --default-character-set=utf8mb4 shop";
        self.project.exec("database", &["sh", "-c", client], script);
    }
}

impl Subject for InService<'_> {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        self.sql(SPOIL);
    }
    fn observe(&self) -> String {
        let dump = "exec mariadb-dump --user=root --password=\"$MARIADB_ROOT_PASSWORD\" --routines --triggers --events --hex-blob --skip-comments --order-by-primary --databases shop";
        self.project.exec("database", &["sh", "-c", dump], "")
    }
}

#[test]
fn a_mariadb_database_in_a_service_keeps_all_promises() {
    let scene = Scene::new();
    let project = Project::up(
        &scene,
        "services:
  database:
    image: guard-test/mariadb:11
    pull_policy: never
    network_mode: none
    environment: {MARIADB_ROOT_PASSWORD: canary-in-the-container, MARIADB_DATABASE: shop}
",
    );
    let site = Site {
        directory: scene.project(),
        compose: Some(project.compose.clone()),
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    let resource = build("mariadb", &[("service", "database")], &site);
    assert_eq!(resource.needs_running(), ["database"]);
    let subject = InService {
        project: &project,
        resource,
    };
    subject.sql(EVERYTHING);
    hold(&subject, &scene);
    let said = scene.cx.redaction.clean("canary-in-the-container");
    assert_eq!(said, "[REDACTED]", "the container's password is known to be one");
    project.call(&["stop", "database"]);
    let survey = subject.resource.survey(&scene.cx);
    let told = survey
        .obstacles
        .iter()
        .any(|found| found.refuses && found.what.contains("it is exited"));
    assert!(told, "{survey:?}");
}

/// A database that a bad release has spoilt, its backup, and what was prepared.
struct Stage {
    server: Server,
    scene: Scene,
    resource: Box<dyn Resource>,
    slot: Slot,
    artifact: Artifact,
    original: String,
    failed: String,
}

fn stage() -> Stage {
    let server = Server::start();
    server.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&server, &scene, "shop");
    let slot = Slot::new(&scene.backup(), resource.name());
    let original = server.observe("shop");
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    server.sql("shop", SPOIL);
    let failed = server.observe("shop");
    Stage {
        server,
        scene,
        resource,
        slot,
        artifact,
        original,
        failed,
    }
}

impl Stage {
    fn prepare(&self) -> Prepared {
        let prepared = self
            .resource
            .prepare(&self.artifact, &self.slot, DataRestore::Always, &self.scene.cx);
        prepared.unwrap()
    }

    /// Restores, and undoes it; both end where they should.
    fn restore_and_undo(&self, prepared: &Prepared) {
        let cx = &self.scene.cx;
        let displaced = self.resource.restore(prepared, &self.artifact, &self.slot, cx).unwrap();
        assert_eq!(self.server.observe("shop"), self.original);
        assert_eq!(self.resource.check(&self.artifact, cx).unwrap(), Live::Matches);
        let written = || self.resource.written_since(&displaced, &self.artifact, cx).unwrap();
        assert_eq!(written(), Vec::<String>::new());
        let table = "CREATE TABLE since_then (a INT); INSERT INTO since_then VALUES (1), (2);";
        self.server.sql("shop", table);
        assert_eq!(
            written(),
            ["drops the table since_then, new since the rollback, with 2 rows"]
        );
        let undone = self.resource.undo(&displaced, cx).unwrap();
        assert_eq!(self.server.observe("shop"), self.failed);
        self.resource.forget(&undone, cx).unwrap();
        assert_eq!(self.server.databases(), ["shop"], "nothing is left behind");
    }
}

#[test]
fn numbers_go_on_behind_a_swap_and_its_undo() {
    let server = Server::start();
    let add = "INSERT INTO users (name) VALUES ('somebody'); SELECT LAST_INSERT_ID();";
    server.create(
        "shop",
        &format!("CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name text); {add}"),
    );
    let scene = Scene::new();
    let resource = by_url(&server, &scene, "shop");
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    server.sql(
        "shop",
        &format!("ALTER TABLE users ADD COLUMN mail text; {add} {add} {add}"),
    );
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(server.sql("shop", "SELECT max(id) FROM users;"), "1");
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    assert_eq!(server.sql("shop", add), "5", "number 4 was the last one");
    resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(server.sql("shop", "SELECT max(id) FROM users;"), "4");
    assert_eq!(server.sql("shop", add), "6");
}

#[test]
fn a_swap_is_completed_from_every_state_that_an_interruption_leaves() {
    let mut stage = stage();
    let cx = stage.scene.cx.clone();
    let name = |prepared: &Prepared, key: &str| prepared.details[key].as_str().unwrap().to_owned();
    // Cut off after what stands beside the tables was removed: the server has the script of it.
    let prepared = stage.prepare();
    let failed = name(&prepared, "failed");
    // A session that is in the middle of a transaction on a table holds the swap up, and is ended.
    let mut reader = stage.server.client("shop");
    reader.args(["-e", "BEGIN; SELECT count(*) FROM users; SELECT SLEEP(600);"]);
    let mut reader = reader
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while stage.server.sql(
        "",
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(600)%' AND DB = 'shop';",
    ) == "0"
    {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    stage.restore_and_undo(&prepared);
    assert!(!reader.wait().unwrap().success(), "the session was ended");
    // A swap that fails leaves what is live as it was: here a table of that name stands in the way where it would be put.
    let prepared = stage.prepare();
    stage.server.sql(
        "",
        &format!("CREATE DATABASE `{failed}`; CREATE TABLE `{failed}`.users (id int);"),
    );
    let error = stage
        .resource
        .restore(&prepared, &stage.artifact, &stage.slot, &cx)
        .expect_err("in the way");
    assert_eq!(stage.server.observe("shop"), stage.failed, "{error}");
    stage.server.sql("", &format!("DROP TABLE `{failed}`.users;"));
    // Killed now, with the script written and all beside the tables gone; a repeated restore goes on, an undo brings all back.
    stage
        .server
        .sql("shop", "DROP TRIGGER added; DROP VIEW keyless2; DROP FUNCTION shout;");
    stage.restore_and_undo(&prepared);
    // The server dies in the moment of the swap, again and again: either side of it, never between.
    let (mut before, mut after) = (0, 0);
    for round in 0..6 {
        let prepared = stage.prepare();
        let (side, failed) = (name(&prepared, "side"), name(&prepared, "failed"));
        let victim = stage.server.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(150 + 60 * round));
            let _killed = std::process::Command::new("kill")
                .args(["-9", &victim.to_string()])
                .status();
        });
        let first = stage.resource.restore(&prepared, &stage.artifact, &stage.slot, &cx);
        killer.join().unwrap();
        stage.server.down();
        stage.server.up();
        let there = |schema: &str| {
            let count = format!(
                "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = 'users';"
            );
            stage.server.sql("", &count) == "1"
        };
        assert!(there("shop"), "round {round}: what is live is never without its tables");
        assert_ne!(there(&side), there(&failed), "round {round}: {first:?}");
        if there(&failed) {
            after += 1;
        } else {
            before += 1;
        }
        stage.restore_and_undo(&prepared);
    }
    eprintln!("killed {before} times before the swap and {after} times after it");
    // Nothing staged, and nothing put aside: refused, and production is as it was.
    let error = stage
        .resource
        .restore(&prepared, &stage.artifact, &stage.slot, &cx)
        .expect_err("not staged");
    assert!(error.to_string().contains("untouched"), "{error}");
    // The release has dropped the database.
    stage.server.sql("", "DROP DATABASE shop;");
    assert_eq!(
        stage.resource.check(&stage.artifact, &cx).unwrap(),
        Live::Differs(vec!["database".to_owned()])
    );
    let prepared = stage.prepare();
    stage
        .resource
        .restore(&prepared, &stage.artifact, &stage.slot, &cx)
        .unwrap();
    assert_eq!(stage.server.observe("shop"), stage.original);
}

#[test]
fn in_fenced_surroundings_nobody_writes_until_clients_are_let_in() {
    let stage = stage();
    let (cx, fenced) = (&stage.scene.cx, stage.scene.cx.fenced());
    let prepared = stage.prepare();
    // A worker of the failed release that writes again and again.
    let is_over = AtomicBool::new(false);
    let written = || {
        stage
            .server
            .sql("shop", "SELECT count(*) FROM keyless WHERE v = 'worker';")
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let mut worker = stage.server.client("shop");
                // What it waited for too long, or was ended in, it begins anew.
                let _tried = worker.args(["-e", "INSERT INTO keyless VALUES ('worker');"]).output();
            }
        });
        while written() == "0" {}
        let displaced = stage
            .resource
            .restore(&prepared, &stage.artifact, &stage.slot, &fenced)
            .unwrap();
        stage.resource.shut_out(cx).unwrap();
        assert!(stage.resource.is_shut(cx).unwrap());
        // It may have come in the moment between the swap and the lock; the engine compares, and exchanges it again then.
        let slipped_in = written();
        if slipped_in == "0" {
            assert_eq!(stage.resource.check(&stage.artifact, cx).unwrap(), Live::Matches);
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(written(), slipped_in, "it wrote although it is shut");
        assert!(stage.resource.let_in(cx).unwrap());
        assert!(!stage.resource.is_shut(cx).unwrap());
        while written() == slipped_in {}
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(displaced.kept_as.len(), 1);
    });
    // The lock ends with who holds it.
    stage.resource.shut_out(cx).unwrap();
    drop(stage.resource);
    stage.server.sql("shop", "INSERT INTO keyless VALUES ('free');");
}

/// A user who lacks rights is told the ones that help, one after the other.
fn rights_that_help(server: &Server, poor: &dyn Resource, scene: &Scene) {
    server.sql(
        "shop",
        "CREATE DEFINER = nobody_here@localhost FUNCTION one() RETURNS int DETERMINISTIC RETURN 1;",
    );
    let tried = || {
        let mut survey = poor.survey(&scene.cx);
        poor.try_back(None, &scene.cx, &mut survey);
        survey.obstacles.into_iter().find(|found| found.refuses)
    };
    for (sign, grant) in [
        (
            "GRANT SELECT ON mysql.proc TO",
            "GRANT SELECT ON mysql.proc TO poor@localhost;",
        ),
        ("GRANT SET USER ON *.* TO", "GRANT SET USER ON *.* TO poor@localhost;"),
    ] {
        let told = tried().unwrap_or_else(|| panic!("{sign}: nothing is in the way"));
        assert!(told.advice.contains(sign), "{told:?}");
        server.sql("", grant);
    }
    assert_eq!(tried().map(|found| found.what), None);
    server.sql("shop", "DROP FUNCTION one;");
}

/// Of the two columns of the type FLOAT only one holds a number that six digits do not tell.
fn tells_one_rounded_column(survey: &Survey) {
    let rounded = survey.obstacles.iter().map(|obstacle| obstacle.what.as_str());
    let rounded: Vec<&str> = rounded.filter(|what| what.contains("a FLOAT")).collect();
    assert!(rounded.len() == 1 && rounded[0].contains("scales.fine"), "{rounded:?}");
}

#[test]
fn what_a_swap_would_break_is_refused_by_name() {
    let server = Server::start();
    server.create(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE old (id int) ENGINE=MyISAM; \
         CREATE TABLE scales (fine float, coarse float); INSERT INTO scales VALUES (0, NULL), (1234567.75, 4.5), (-0.1, 0.1);",
    );
    server.create("other", "");
    let scene = Scene::new();
    let resource = by_url(&server, &scene, "shop");
    let refusals = || {
        let survey = resource.survey(&scene.cx);
        let refusing = survey.obstacles.into_iter().filter(|obstacle| obstacle.refuses);
        refusing.map(|obstacle| obstacle.what).collect::<Vec<_>>()
    };
    assert!(refusals().is_empty(), "{:?}", refusals());
    let survey = resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|obstacle| obstacle.what.contains("old (MyISAM)")),
        "{survey:?}"
    );
    tells_one_rounded_column(&survey);
    for (make, sign, unmake) in [
        (
            "CREATE SEQUENCE numbers;",
            "\"numbers\" is a sequence",
            "DROP SEQUENCE numbers;",
        ),
        (
            "CREATE TABLE kept (id int) WITH SYSTEM VERSIONING;",
            "\"kept\" keeps its own history",
            "DROP TABLE kept;",
        ),
        (
            "CREATE TABLE other.far (id int, FOREIGN KEY (id) REFERENCES shop.t (id));",
            "foreign key of other.far",
            "DROP TABLE other.far;",
        ),
        (
            "XA START 'half'; INSERT INTO t VALUES (1); XA END 'half'; XA PREPARE 'half';",
            "\"half\" is open",
            "XA ROLLBACK 'half';",
        ),
    ] {
        server.sql("shop", make);
        let told = refusals();
        assert!(told.len() == 1 && told[0].contains(sign), "{sign}: {told:?}");
        let slot = Slot::new(&scene.backup(), resource.name());
        let error = resource
            .capture(&slot, &scene.cx)
            .expect_err("nothing is lost in silence");
        assert!(error.to_string().contains(sign) && error.hint.is_some(), "{error:?}");
        server.sql("shop", unmake);
    }
    server.sql(
        "",
        "CREATE USER poor@localhost IDENTIFIED BY 'x'; GRANT ALL ON shop.* TO poor@localhost;",
    );
    let poor = server
        .url("shop")
        .split_once('@')
        .map(|(_, rest)| format!("mariadb://poor:x@{rest}"))
        .unwrap();
    let poor = build("mariadb", &[("url", &poor)], &alone(&scene));
    let told = poor.survey(&scene.cx);
    assert!(
        told.obstacles
            .iter()
            .any(|found| found.refuses && found.what.contains("lacks rights")),
        "{told:?}"
    );
    server.sql("", r"GRANT ALL ON `shop\_\_%`.* TO poor@localhost;");
    assert!(
        poor.survey(&scene.cx).obstacles.iter().all(|found| !found.refuses),
        "these are enough"
    );
    rights_that_help(&server, poor.as_ref(), &scene);
    let wrong = server.url("shop").replace("canary", "wrong");
    let wrong = build("mariadb", &[("url", &wrong)], &alone(&scene)).survey(&scene.cx);
    assert!(
        wrong.obstacles[0].what.contains("refuses the user or the password"),
        "{wrong:?}"
    );
    server.create("it's", "CREATE TABLE t (id int PRIMARY KEY);");
    let quoted = by_url(&server, &scene, "it's").survey(&scene.cx);
    let told = quoted.obstacles.iter().find(|found| found.refuses);
    assert!(
        told.is_some_and(|told| told.what.contains("has a quote in its name")),
        "{quoted:?}"
    );
    for keys in [&[("url", "postgres://u:canary-x@h/d")][..], &[("service", "db")], &[]] {
        let problems = try_build("mysql", keys, &alone(&scene)).err().expect("refused");
        assert!(
            !problems.is_empty() && !format!("{problems:?}").contains("canary"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_copy_taken_while_people_write_is_what_its_manifest_says() {
    let server = Server::start();
    server.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&server, &scene, "shop");
    let slot = Slot::new(&scene.backup(), resource.name());
    let over = AtomicBool::new(false);
    let artifact = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                server.sql(
                    "shop",
                    "INSERT INTO users (name) VALUES ('late'); INSERT INTO log SELECT 'x' FROM seq_1_to_20;",
                );
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    assert!(!line.contains(PASSWORD) && !line.contains("mariadb-canary-p"), "{line}");
                }
            }
        });
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        over.store(true, Ordering::SeqCst);
        artifact
    });
    assert_eq!(server.databases(), ["shop"], "what was loaded to be looked at is gone");
    resource
        .rehearse(&artifact, &slot, &scene.cx)
        .expect("the copy is what the manifest says");
    assert_eq!(server.databases(), ["shop"]);
    let price = resource.price(&artifact, &scene.cx).unwrap();
    assert!(price.iter().any(|line| line.contains("in users since")), "{price:?}");
    // A dump that was cut where its digest still fits, as by a dump program that died in silence.
    let path = slot.path_of(&artifact.files[0]).unwrap();
    let text = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    let cut = zstd::encode_all(&text[..text.len() - 40], 1).unwrap();
    std::fs::write(&path, &cut).unwrap();
    let mut forged = artifact.clone();
    let (bytes, sha256) = guard::system::disk::sha256_file(&path).unwrap();
    (forged.files[0].bytes, forged.files[0].sha256) = (bytes, sha256);
    let error = resource.prove(&forged, &slot, &scene.cx).expect_err("cut");
    assert!(
        error.copy_is_bad && error.to_string().contains("last line is missing"),
        "{error:?}"
    );
    server.sql("shop", SPOIL);
    let error = resource
        .prepare(&forged, &slot, DataRestore::Always, &scene.cx)
        .expect_err("cut");
    assert!(error.copy_is_bad, "{error:?}");
    assert_eq!(server.databases(), ["shop"], "nothing is left beside the live database");
}
