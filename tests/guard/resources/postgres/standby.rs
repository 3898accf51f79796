//! A restored copy that stands by, and the restore as a proof.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use guard::model::artifact::Artifact;
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::abilities::{Occasion, StandingBy};
use guard::resources::{Resource, Slot};
use guard::system::context::Context;
use guard::system::stop::Stop;

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
    assert!(matches!(
        stand_by(resource.as_ref(), &artifact, &slot, &scene.cx).unwrap(),
        StandingBy::Ready { .. }
    ));
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
    let resource = by_url(&cluster, &scene, "standby", "always");
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    stand_by(resource.as_ref(), &artifact, &slot, &scene.cx).unwrap();
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

const OCCASION: Occasion = Occasion {
    time: Duration::from_mins(10),
    goes_back_unasked: true,
};

fn stand_by(
    resource: &dyn Resource,
    artifact: &Artifact,
    slot: &Slot,
    cx: &Context,
) -> guard::resources::Result<StandingBy> {
    resource.stand_by(artifact, slot, &OCCASION, cx)
}

/// A table of so many megabytes, and an index.
fn rows(megabytes: u32) -> String {
    format!(
        "CREATE TABLE t (id int PRIMARY KEY, x text);
         INSERT INTO t SELECT i, md5(i::text) || repeat(md5((i * 7)::text), 30) FROM generate_series(1, {megabytes} * 1000) i;
         CREATE INDEX ON t (x);"
    )
}

fn built(cluster: &Cluster, scene: &Scene, keys: &[(&str, Value)]) -> Box<dyn Resource> {
    let url = text(&cluster.url("shop"));
    let keys: Vec<(&str, Value)> = std::iter::once(("url", url)).chain(keys.iter().cloned()).collect();
    try_build_of("postgres", &keys, &alone(scene)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn what_would_not_be_worth_it_does_not_stand_by_unasked() {
    let cluster = Cluster::start();
    cluster.create("shop", &rows(40));
    let scene = Scene::new();
    // What a proof would load stands by at once: here it is about the load beside the deployment.
    let read = ("proof", text("read"));
    let resource = built(&cluster, &scene, &[read.clone(), ("standby_rate", Value::Whole(1))]);
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(cluster.databases(), ["shop"], "the deploy command waits for no load");
    let able = resource.abilities().standby.unwrap();
    assert!(able.wants_standby(&artifact, &OCCASION), "auto is the default");
    let held = Occasion {
        goes_back_unasked: false,
        ..OCCASION
    };
    assert!(!able.wants_standby(&artifact, &held), "nobody goes back unasked");
    // At 1 MB a second it takes over half a minute.
    let short = Occasion {
        time: Duration::from_secs(20),
        ..OCCASION
    };
    let found = resource.stand_by(&artifact, &slot, &short, &scene.cx).unwrap();
    assert!(
        matches!(&found, StandingBy::Without { why } if why.contains("watched for 20")),
        "{found:?}"
    );
    assert_eq!(cluster.databases(), ["shop"]);
    for (keys, wants) in [
        (vec![("standby", text("never"))], false),
        (vec![("standby", text("always"))], true),
        (vec![("in_place", Value::Flag(true))], false),
    ] {
        let other = built(&cluster, &scene, &keys);
        let able = other.abilities().standby.unwrap();
        assert_eq!(able.wants_standby(&artifact, &OCCASION), wants, "{keys:?}");
    }
    // A small one is loaded in a moment on the way back.
    cluster.sql("shop", "DROP TABLE t");
    let small = resource.capture(&slot, &scene.cx).unwrap();
    assert!(!able.wants_standby(&small, &OCCASION));
}

#[test]
fn the_way_back_goes_on_with_a_load_and_never_believes_half_of_one() {
    let cluster = Cluster::start();
    cluster.create("shop", &rows(15));
    let original = cluster.observe("shop");
    let scene = Scene::new();
    let held = [
        ("proof", text("read")),
        ("standby", text("always")),
        ("standby_rate", Value::Whole(1)),
    ];
    let resource = built(&cluster, &scene, &held);
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let loads = || cluster.databases().iter().any(|name| name.starts_with("shop__guard_"));
    let rows_flow = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'shop__guard_%' AND query LIKE 'COPY%'";
    let flow = || cluster.sql("postgres", rows_flow) != "0";
    // Called off: nothing of it is left, and nothing is believed.
    let aside = Context {
        stop: Stop::default(),
        ..scene.cx.expendable()
    };
    std::thread::scope(|scope| {
        let load = scope.spawn(|| stand_by(resource.as_ref(), &artifact, &slot, &aside));
        until(flow);
        let second = stand_by(resource.as_ref(), &artifact, &slot, &aside).unwrap();
        assert!(
            matches!(second, StandingBy::Without { .. }),
            "a second one beside the first"
        );
        aside.stop.ask();
        load.join().unwrap().expect_err("it was ended");
    });
    assert!(!loads());
    // Cut off as by a kill: half of it stays, noted, and is made anew.
    let side = format!("shop__guard_{}", scene.cx.token());
    cluster.sql("postgres", &format!("CREATE DATABASE \"{side}\""));
    cluster.sql(&side, "CREATE TABLE t (id int PRIMARY KEY, x text)");
    let killed = built(&cluster, &scene, &held);
    cluster.sql("shop", "ALTER TABLE t ADD COLUMN y int");
    let prepared = killed.prepare(&artifact, &slot, DataRestore::Auto, &scene.cx).unwrap();
    assert!(prepared.work.is_needed());
    let count = "SELECT datallowconn FROM pg_database WHERE datname LIKE 'shop__guard_%'";
    assert_eq!(cluster.sql("postgres", count), "f");
    killed.discard(&prepared, &scene.cx).unwrap();
    assert!(!loads());
    // Wanted while it loads: by its rate it would take a quarter of a minute more.
    let next = Context {
        stop: Stop::default(),
        ..scene.cx.expendable()
    };
    let (found, prepared) = std::thread::scope(|scope| {
        let load = scope.spawn(|| stand_by(resource.as_ref(), &artifact, &slot, &next));
        until(flow);
        let oid = "SELECT oid FROM pg_database WHERE datname LIKE 'shop__guard_%'";
        let before = cluster.sql("postgres", oid);
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert_eq!(
            cluster.sql("postgres", oid),
            before,
            "it is the same database, not another load"
        );
        (load.join().unwrap().unwrap(), prepared)
    });
    assert!(matches!(found, StandingBy::Ready { .. }), "{found:?}");
    resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(cluster.observe("shop"), original);
    let late = stand_by(resource.as_ref(), &artifact, &slot, &next).unwrap();
    assert!(
        matches!(late, StandingBy::Without { .. }),
        "behind the way back none is begun"
    );
    resource.stand_down(&scene.cx).unwrap();
    assert!(!loads());
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
    ran.says("a copy stands by as database shop__guard_");
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
