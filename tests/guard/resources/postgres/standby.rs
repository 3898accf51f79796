//! A restored copy that stands by, and the restore as a proof.

use std::sync::atomic::{AtomicBool, Ordering};

use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::Resource;

use super::{EVERYTHING, SPOIL, alone, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::embedded::{Embedded, until};
use crate::support::kinds::{build, text, try_build_of};

fn by_url(cluster: &Cluster, scene: &Scene, key: &str, value: &str) -> Box<dyn Resource> {
    build(
        "postgres",
        &[("url", &cluster.url("shop")), (key, value)],
        &alone(scene),
    )
}

#[test]
fn what_stands_by_is_swapped_in_without_a_load() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    cluster.sql("postgres", "COMMENT ON DATABASE shop IS 'its own'; CREATE DATABASE shop__guard_20200101_000000_deploy; CREATE DATABASE shopping__guard_20200101_000000_deploy;");
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "standby", "always");
    let original = cluster.observe("shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let databases = cluster.databases();
    assert_eq!(
        databases.len(),
        3,
        "what an earlier run left is gone, and a namesake is not: {databases:?}"
    );
    let side = databases.iter().find(|name| name.starts_with("shop__guard_")).unwrap();
    let about = format!("SELECT oid || ' ' || datallowconn FROM pg_database WHERE datname = '{side}'");
    let (oid, open) = cluster
        .sql("postgres", &about)
        .split_once(' ')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(open, "false", "nobody can write to what stands by");
    cluster.sql("shop", SPOIL);
    for _ in 0..2 {
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert!(prepared.work.is_needed());
        assert!(
            prepared
                .price
                .iter()
                .any(|price| price.contains("undoes changes to 9 rows in users")),
            "{prepared:?}"
        );
        assert_eq!(
            cluster.sql("postgres", &about),
            format!("{oid} false"),
            "it is the same database, not another load"
        );
    }
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(cluster.observe("shop"), original);
    resource.stand_down(&scene.cx).unwrap();
    resource.forget(&displaced, &scene.cx).unwrap();
    assert_eq!(
        cluster.sql("postgres", "SELECT oid FROM pg_database WHERE datname = 'shop'"),
        oid
    );
    // One that nobody needed.
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(cluster.databases().len(), 3);
    // A copy that is not the one that stands by is loaded anew.
    let mut other = artifact.clone();
    other.files[0].sha256 = "0".repeat(64);
    let error = resource.prepare(&other, &slot, DataRestore::Always, &scene.cx);
    assert!(error.is_ok(), "nothing differs, so nothing is done");
    resource.stand_down(&scene.cx).unwrap();
    resource.stand_down(&scene.cx).unwrap();
    assert_eq!(cluster.databases(), ["shop", "shopping__guard_20200101_000000_deploy"]);
}

#[test]
fn what_would_cost_too_much_does_not_stand_by_unasked() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE t (id int PRIMARY KEY);");
    let url = cluster.url("shop");
    let standing = |scene: &Scene, standby: &str, load: i64| {
        let keys = [
            ("url", text(&url)),
            ("standby", text(standby)),
            ("standby_load", Value::Whole(load)),
        ];
        let resource = try_build_of("postgres", &keys, &alone(scene)).unwrap_or_else(|problems| panic!("{problems:?}"));
        resource
            .capture(&slot(scene, resource.as_ref()), &scene.cx)
            .expect("a copy");
        let count = cluster.databases().len() - 1;
        resource.stand_down(&scene.cx).unwrap();
        count
    };
    assert_eq!(standing(&Scene::new(), "auto", 100), 1);
    // At a hundredth of the server's time the load is estimated at three hundred times the dump, which waits here.
    let dump_waits = || {
        std::thread::scope(|scope| {
            let lock = "BEGIN; LOCK TABLE t; SELECT pg_sleep(1); COMMIT;";
            scope.spawn(|| cluster.sql("shop", lock));
            let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted";
            until(|| cluster.sql("shop", held) != "0");
            standing(&Scene::new(), "auto", 1)
        })
    };
    assert_eq!(dump_waits(), 0);
    assert_eq!(cluster.databases(), ["shop"]);
}

#[test]
fn a_restore_is_a_proof() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "proof", "restore");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(cluster.databases(), ["shop"], "the rehearsal leaves nothing");
    resource.rehearse(&artifact, &slot, &scene.cx).unwrap();
    // A manifest that promises other rows than the dump holds: reading it back would not have told.
    let mut forged = artifact.clone();
    let part = "table users";
    let wrong = artifact
        .fingerprint
        .part(part)
        .unwrap()
        .replacen("50 rows", "51 rows", 1);
    forged.fingerprint = artifact.fingerprint.clone().with(part, wrong);
    resource.prove(&forged, &slot, &scene.cx).expect("every byte is there");
    let error = resource
        .rehearse(&forged, &slot, &scene.cx)
        .expect_err("a row is missing");
    assert!(error.copy_is_bad, "{error:?}");
    assert_eq!(cluster.databases(), ["shop"]);
}

#[test]
fn a_release_that_is_kept_leaves_nothing_standing_by() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1);",
    );
    let url = cluster.url("shop");
    let project = Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\nstandby = \"always\"\n
[verify]\ncommands = [[\"true\"]]\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n"
    ));
    let seen = format!("psql -qAtX '{url}' -c \"SELECT datname FROM pg_database\" > ../seen");
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", &seen]).expect(0);
    ran.says("a restored copy stands by as database shop__guard_");
    let seen = std::fs::read_to_string(project.root().join("seen")).unwrap();
    assert!(
        seen.contains("shop__guard_"),
        "it stood by during the deployment: {seen}"
    );
    assert_eq!(cluster.databases(), ["shop"]);
    let backup = project.backups().remove(0);
    project
        .guard()
        .run(&["verify", &backup, "--restore"])
        .expect(0)
        .says("sound");
    assert_eq!(cluster.databases(), ["shop"]);
}

#[test]
fn people_who_write_through_backup_and_rollback_do_not_spoil_the_proof() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1); CREATE TABLE visits (id bigserial PRIMARY KEY);",
    );
    let url = cluster.url("shop");
    let project = Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\ncarry_over = [\"visits\"]\n
[verify]\ncommands = [[\"sh\", \"-c\", \"test $GUARD_STAGE = prove\"]]\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n"
    ));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut written = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        let mut client = cluster.client("shop");
                        client.args(["-c", "INSERT INTO visits DEFAULT VALUES RETURNING id"]);
                        let output = client.output().unwrap();
                        if output.status.success() {
                            written.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
                        }
                    }
                    written
                })
            })
            .collect();
        let release = format!("psql -qX '{url}' -c 'ALTER TABLE users ADD COLUMN mail text'");
        let ran = project.guard().run(&["deploy", "--", "./deploy.sh", &release]);
        over.store(true, Ordering::SeqCst);
        let mut written: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        ran.expect(21);
        let count = written.len();
        written.sort();
        written.dedup();
        assert_eq!(written.len(), count, "no number was given out twice");
        let kept = cluster.sql("shop", "SELECT id FROM visits");
        let kept: std::collections::BTreeSet<&str> = kept.lines().collect();
        let lost: Vec<&String> = written.iter().filter(|id| !kept.contains(id.as_str())).collect();
        assert!(
            count > 5 && lost.is_empty(),
            "every visit that was confirmed is there: {lost:?} of {count}"
        );
    });
}
