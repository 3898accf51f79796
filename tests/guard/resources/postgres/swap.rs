//! The swap: under clients that keep coming back, from every state that an interruption can leave, and its price.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guard::model::artifact::{Artifact, Live, Prepared, Work};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::{EVERYTHING, SPOIL, by_url, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;

struct Stage {
    cluster: Cluster,
    scene: Scene,
    resource: Box<dyn Resource>,
    slot: Slot,
    artifact: Artifact,
    prepared: Prepared,
    original: String,
    failed: String,
}

/// A database that was captured, spoilt, and is prepared to be put back.
fn stage() -> Stage {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    cluster.sql("postgres", "COMMENT ON DATABASE shop IS 'its own';");
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let original = cluster.observe("shop");
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SPOIL);
    let failed = cluster.observe("shop");
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    Stage {
        cluster,
        scene,
        resource,
        slot,
        artifact,
        prepared,
        original,
        failed,
    }
}

impl Stage {
    fn name(&self, key: &str) -> String {
        self.prepared.details[key].as_str().unwrap().to_owned()
    }

    fn restore_and_undo(&self) {
        let restore = || {
            self.resource
                .restore(&self.prepared, &self.artifact, &self.slot, &self.scene.cx)
                .unwrap()
        };
        let displaced = restore();
        assert_eq!(restore(), displaced, "a second restore finds what the first one did");
        assert_eq!(self.cluster.observe("shop"), self.original);
        assert_eq!(
            self.resource.check(&self.artifact, &self.scene.cx).unwrap(),
            Live::Matches
        );
        let kept = displaced.kept_as[0].trim_start_matches("database ").to_owned();
        let about = format!(
            "SELECT datallowconn || ' ' || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{kept}'"
        );
        let about = self.cluster.sql("postgres", &about);
        assert!(
            about.starts_with("false [guard ") && about.contains("DROP DATABASE") && about.ends_with("its own"),
            "{about}"
        );
        let undone = self.resource.undo(&displaced, &self.scene.cx).unwrap();
        assert_eq!(
            self.resource.undo(&displaced, &self.scene.cx).unwrap(),
            undone,
            "an undo can be repeated"
        );
        assert_eq!(self.cluster.observe("shop"), self.failed);
        self.resource.forget(&undone, &self.scene.cx).unwrap();
        assert_eq!(self.cluster.databases(), ["shop"], "nothing is left behind");
    }
}

#[test]
fn in_fenced_surroundings_nobody_is_let_in_until_somebody_says_so() {
    let stage = stage();
    let (cx, fenced) = (&stage.scene.cx, stage.scene.cx.fenced());
    let is_open = || {
        let asked = "SELECT datallowconn FROM pg_database WHERE datname = 'shop'";
        stage.cluster.sql("postgres", asked) == "t"
    };
    let restore = || {
        let displaced = stage
            .resource
            .restore(&stage.prepared, &stage.artifact, &stage.slot, &fenced)
            .unwrap();
        assert!(
            stage.resource.is_compared(&displaced),
            "else somebody has to look before it is shut"
        );
        displaced
    };
    // Repeated as behind a kill: it stays shut all the while.
    let displaced = restore();
    assert!(!is_open() && stage.resource.is_shut(cx).unwrap());
    assert_eq!(restore(), displaced);
    stage.resource.shut_out(cx).unwrap();
    assert!(!is_open());
    assert!(stage.resource.let_in(cx).unwrap());
    assert!(is_open() && !stage.resource.is_shut(cx).unwrap());
    assert!(!stage.resource.let_in(cx).unwrap(), "it was open");
    assert_eq!(stage.cluster.observe("shop"), stage.original);
    // An undo is fenced as well; and who is in is put out.
    let undone = stage.resource.undo(&displaced, &fenced).unwrap();
    assert!(!is_open());
    stage.resource.let_in(cx).unwrap();
    assert_eq!(stage.cluster.observe("shop"), stage.failed);
    stage.resource.shut_out(cx).unwrap();
    assert!(!is_open());
    // Whoever prepares a way back finds it shut, and opens it.
    let prepared = stage
        .resource
        .prepare(&stage.artifact, &stage.slot, DataRestore::Always, cx)
        .unwrap();
    assert!(is_open() && prepared.work.is_needed());
    stage.resource.discard(&prepared, cx).unwrap();
    stage.resource.forget(&undone, cx).unwrap();
    assert_eq!(stage.cluster.databases(), ["shop"], "nothing is left behind");
}

#[test]
fn fault_g21_a_swap_is_completed_from_every_state_that_an_interruption_leaves() {
    let stage = stage();
    let (live, side, failed) = ("shop".to_owned(), stage.name("side"), stage.name("failed"));
    // Cut off after clients were shut out.
    stage
        .cluster
        .sql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS false;");
    assert!(matches!(
        stage.resource.check(&stage.artifact, &stage.scene.cx).unwrap(),
        Live::Unknown(_)
    ));
    stage.restore_and_undo();
    // Cut off after the renames, before anybody wrote that they took place, and clients still shut out.
    let again = || {
        stage
            .resource
            .prepare(&stage.artifact, &stage.slot, DataRestore::Always, &stage.scene.cx)
            .unwrap()
    };
    again();
    let renames = format!(
        "ALTER DATABASE {live} ALLOW_CONNECTIONS false; ALTER DATABASE {live} RENAME TO \"{failed}\";
         ALTER DATABASE \"{side}\" RENAME TO {live}; ALTER DATABASE {live} ALLOW_CONNECTIONS false;"
    );
    stage.cluster.sql("postgres", &renames);
    let displaced = stage
        .resource
        .restore(&stage.prepared, &stage.artifact, &stage.slot, &stage.scene.cx)
        .unwrap();
    assert_eq!(displaced.kept_as, [format!("database {failed}")]);
    assert_eq!(stage.cluster.observe("shop"), stage.original);
    // A second restore of the same run puts a second database aside, and keeps the first.
    stage.cluster.sql("shop", "DROP TABLE events;");
    let prepared = again();
    let second = stage
        .resource
        .restore(&prepared, &stage.artifact, &stage.slot, &stage.scene.cx)
        .unwrap();
    assert_ne!(second.kept_as, displaced.kept_as);
    assert_eq!(stage.cluster.databases().len(), 3);
    // Only one of three: the live one has gone, and the staged one takes its place.
    let prepared = {
        stage.cluster.sql("shop", "DROP TABLE events;");
        again()
    };
    stage.cluster.sql("postgres", "DROP DATABASE shop WITH (FORCE);");
    stage
        .resource
        .restore(&prepared, &stage.artifact, &stage.slot, &stage.scene.cx)
        .unwrap();
    assert_eq!(stage.cluster.observe("shop"), stage.original);
    // Nothing staged, and nothing put aside: refused, and production is as it was.
    for displaced in [&displaced, &second] {
        stage.resource.forget(displaced, &stage.scene.cx).unwrap();
    }
    let error = stage
        .resource
        .restore(&prepared, &stage.artifact, &stage.slot, &stage.scene.cx)
        .expect_err("not staged");
    assert!(error.to_string().contains("untouched"), "{error}");
    assert_eq!(stage.cluster.databases(), ["shop"]);
}

#[test]
fn fault_g9_clients_that_keep_coming_back_do_not_hinder_the_swap() {
    let stage = stage();
    let (over, answers) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let mut client = stage.cluster.client("shop");
                    client.args(["-c", "SELECT count(*) FROM users", "-c", "SELECT pg_sleep(0.05)"]);
                    let output = client.stderr(std::process::Stdio::null()).output().unwrap();
                    if output.status.success() {
                        let count = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                        assert!(
                            count == "40" || count == "50",
                            "an answer is the old one or the new one: {count}"
                        );
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        while answers.load(Ordering::SeqCst) < 3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let displaced = stage
            .resource
            .restore(&stage.prepared, &stage.artifact, &stage.slot, &stage.scene.cx)
            .unwrap();
        let before = answers.load(Ordering::SeqCst);
        while answers.load(Ordering::SeqCst) < before + 3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        stage.resource.undo(&displaced, &stage.scene.cx).unwrap();
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(stage.cluster.observe("shop"), stage.failed);
}

#[test]
fn fault_g10_a_prepared_transaction_stops_the_swap_and_nobody_is_shut_out() {
    let stage = stage();
    stage.cluster.sql(
        "shop",
        "BEGIN; INSERT INTO sessions VALUES ('x'); PREPARE TRANSACTION 'half';",
    );
    let error = stage
        .resource
        .restore(&stage.prepared, &stage.artifact, &stage.slot, &stage.scene.cx)
        .expect_err("blocked");
    assert!(error.to_string().contains("\"half\""), "{error}");
    stage.cluster.sql("shop", "ROLLBACK PREPARED 'half';");
    stage.restore_and_undo();
}

#[test]
fn what_was_staged_and_is_not_wanted_is_removed_and_nothing_else() {
    let stage = stage();
    assert_eq!(stage.cluster.databases().len(), 2);
    stage.resource.discard(&stage.prepared, &stage.scene.cx).unwrap();
    stage.resource.discard(&stage.prepared, &stage.scene.cx).unwrap();
    assert_eq!(stage.cluster.databases(), ["shop"]);
    let mut forged = stage.prepared.clone();
    forged.details["side"] = "shop".into();
    stage
        .resource
        .discard(&forged, &stage.scene.cx)
        .expect_err("not guard's own");
    assert_eq!(stage.cluster.observe("shop"), stage.failed);
}

#[test]
fn fault_g14_the_price_is_told_and_the_policy_obeyed() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    cluster.sql(
        "shop",
        "CREATE TABLE only_touched (id int PRIMARY KEY); INSERT INTO only_touched VALUES (1);",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let prepare = |data| resource.prepare(&artifact, &slot, data, &scene.cx).unwrap();
    let taken: chrono::DateTime<chrono::Utc> = artifact.details["taken_at"].as_str().unwrap().parse().unwrap();
    let since = taken.format("%H:%M:%S");
    cluster.sql(
        "shop",
        "INSERT INTO users (name) VALUES ('x'), ('y'), ('z'); UPDATE events SET what = 'z'; UPDATE only_touched SET id = id;",
    );
    cluster.sql("shop", "DELETE FROM \"Odd schema\".\"or\"\"ders\" WHERE id > 38;");
    let left = prepare(DataRestore::Auto);
    assert!(matches!(left.work, Work::Left(_)), "only rows were written: {left:?}");
    let stays = [
        "12 rows of \"Odd schema\".\"or\"\"ders\" that were deleted since the backup stay deleted, as the rest is kept",
        "keeps the changes to rows in events_1",
        "keeps 3 rows in users that were written since the backup",
    ];
    assert_eq!(left.price[..3], stays);
    assert_eq!(
        resource
            .outlook(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap(),
        left.price
    );
    let price = [
        "brings back 12 rows in \"Odd schema\".\"or\"\"ders\"".to_owned(),
        // Without the copy nobody knows which row was changed into which.
        format!("discards or undoes what was written to 1 row in events since {since}"),
        "brings back 1 row in events as they were".to_owned(),
        format!("discards 3 rows in users since {since}"),
    ];
    let told = resource
        .outlook(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    assert_eq!(told[..4], price);
    assert!(
        told[4].contains("`guard salvage "),
        "the way in which it is had again: {told:?}"
    );
    assert_eq!(cluster.databases(), ["shop"], "what is left alone is not staged");
    assert!(prepare(DataRestore::Always).work.is_needed());
    cluster.sql("shop", "ALTER TABLE users ADD COLUMN email text;");
    assert!(prepare(DataRestore::Auto).work.is_needed());
    assert!(matches!(prepare(DataRestore::IfNoWrites).work, Work::Withheld(_)));
    assert!(matches!(prepare(DataRestore::Never).work, Work::Withheld(_)));
}
