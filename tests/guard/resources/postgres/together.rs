//! Databases of one cluster that go back in one run: all of them in one transaction, or none.

use guard::model::artifact::{Artifact, Displaced, Prepared};
use guard::model::policy::DataRestore;
use guard::resources::{Group, Resource, Slot, SwapBarrier};

use super::alone;
use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::embedded::Embedded;
use crate::support::kinds::build;

struct One {
    resource: Box<dyn Resource>,
    slot: Slot,
    artifact: Artifact,
    prepared: Prepared,
}

/// A database with one row, captured, spoilt, and prepared to be put back.
fn one(cluster: &Cluster, scene: &Scene, database: &str, standby: &str) -> One {
    cluster.create(
        database,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);",
    );
    let keys = [
        ("url", cluster.url(database)),
        ("lock_wait", "2s".to_owned()),
        ("standby", standby.to_owned()),
    ];
    let keys = keys.each_ref().map(|(key, value)| (*key, value.as_str()));
    let resource = build("postgres", &keys, &alone(scene));
    let slot = Slot::new(&scene.backup().join(database), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql(database, "ALTER TABLE t ADD COLUMN bad int; DELETE FROM t;");
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    One {
        resource,
        slot,
        artifact,
        prepared,
    }
}

/// The number of the transaction that last changed a database's row.
fn transaction(cluster: &Cluster, database: &str) -> String {
    cluster.sql(
        "postgres",
        &format!("SELECT xmin FROM pg_database WHERE datname = '{database}'"),
    )
}

/// Puts them back side by side; what each displaced, where it was put back.
fn restore_all(ones: &[One], scene: &Scene) -> Vec<Option<Displaced>> {
    let barrier = &SwapBarrier::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = ones
            .iter()
            .map(|one| {
                let others = ones.iter().filter(|other| !std::ptr::eq(*other, one));
                let beside: Vec<&Prepared> = others.map(|other| &other.prepared).collect();
                scope.spawn(move || {
                    let group = Group {
                        others: &beside,
                        barrier,
                    };
                    one.resource
                        .restore_together(&one.prepared, &one.artifact, &one.slot, &group, &scene.cx)
                        .ok()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The same for their undo.
fn undo_all(ones: &[One], displaced: &[Displaced], scene: &Scene) -> Vec<Option<Displaced>> {
    let barrier = &SwapBarrier::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = ones
            .iter()
            .zip(displaced)
            .map(|(one, own)| {
                let beside: Vec<&Displaced> = displaced.iter().filter(|other| !std::ptr::eq(*other, own)).collect();
                scope.spawn(move || {
                    let group = Group {
                        others: &beside,
                        barrier,
                    };
                    one.resource.undo_together(own, &group, &scene.cx).ok()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn all(made: Vec<Option<Displaced>>) -> Vec<Displaced> {
    made.into_iter()
        .map(|displaced| displaced.expect("it was swapped"))
        .collect()
}

fn none(made: &[Option<Displaced>]) -> bool {
    made.iter().all(Option::is_none)
}

#[test]
fn databases_of_one_cluster_are_swapped_in_one_transaction() {
    let cluster = Cluster::start();
    let scene = Scene::new();
    let ones = [("shop", "never"), ("books", "always"), ("users", "never")]
        .map(|(database, standby)| one(&cluster, &scene, database, standby));
    // What is in the way of one is in the way of all.
    cluster.sql("books", "BEGIN; INSERT INTO t VALUES (7); PREPARE TRANSACTION 'open';");
    assert!(none(&restore_all(&ones, &scene)));
    for database in ["shop", "books", "users"] {
        assert_eq!(
            cluster.sql(database, "SELECT count(*) FROM t"),
            "0",
            "{database} is as it was, and open"
        );
    }
    cluster.sql("books", "ROLLBACK PREPARED 'open';");
    all(restore_all(&ones, &scene));
    for database in ["shop", "books", "users"] {
        assert_eq!(cluster.sql(database, "SELECT count(*) FROM t"), "1");
        assert_eq!(transaction(&cluster, database), transaction(&cluster, "shop"));
    }
    // Again, as after a crash: each finds what was done.
    let displaced = all(restore_all(&ones, &scene));
    assert_eq!(cluster.sql("books", "SELECT count(*) FROM t"), "1");
    undone_together(&cluster, &scene, &ones, &displaced);
}

/// The failed state comes back in one transaction as well, or nothing of it does; and so does the undo of that.
fn undone_together(cluster: &Cluster, scene: &Scene, ones: &[One], displaced: &[Displaced]) {
    cluster.sql("users", "BEGIN; INSERT INTO t VALUES (9); PREPARE TRANSACTION 'open';");
    assert!(none(&undo_all(ones, displaced, scene)));
    cluster.sql("users", "ROLLBACK PREPARED 'open';");
    let mut displaced = displaced.to_vec();
    for rows in ["0", "1"] {
        displaced = all(undo_all(ones, &displaced, scene));
        for database in ["shop", "books", "users"] {
            assert_eq!(cluster.sql(database, "SELECT count(*) FROM t"), rows);
            assert_eq!(transaction(cluster, database), transaction(cluster, "shop"));
        }
    }
}

#[test]
fn nobody_waits_for_a_database_that_does_not_come() {
    let cluster = Cluster::start();
    let scene = Scene::new();
    let ones = ["shop", "books"].map(|database| one(&cluster, &scene, database, "never"));
    let [shop, books] = &ones;
    let barrier = SwapBarrier::default();
    for (this, other) in [(shop, books), (books, shop)] {
        let group = Group {
            others: &[&other.prepared],
            barrier: &barrier,
        };
        this.resource
            .restore_together(&this.prepared, &this.artifact, &this.slot, &group, &scene.cx)
            .unwrap();
    }
    for database in ["shop", "books"] {
        assert_eq!(cluster.sql(database, "SELECT count(*) FROM t"), "1");
    }
}

#[test]
fn a_whole_run_puts_two_databases_back_in_one_transaction() {
    let cluster = Cluster::start();
    for database in ["shop", "books"] {
        cluster.create(
            database,
            "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);",
        );
    }
    // With rows to carry over the price is told before. Told later, what was put aside is opened for it once more, each by itself.
    let table = |database: &str| {
        format!(
            "[resources.{database}]\nkind = \"postgres\"\nurl = \"{}\"\ncarry_over = \"inserts\"\n",
            cluster.url(database)
        )
    };
    let project = Embedded::with(&format!(
        "{}{}[verify]\ncommands = [[\"sh\", \"-c\", \"test $GUARD_STAGE = prove\"]]\n[policy]\ndata_restore = \"always\"\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n",
        table("shop"),
        table("books")
    ));
    let spoil =
        ["shop", "books"].map(|database| format!("psql -qX '{}' -c 'INSERT INTO t VALUES (2)'", cluster.url(database)));
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", &spoil[0], &spoil[1]])
        .expect(21);
    for database in ["shop", "books"] {
        assert_eq!(cluster.sql(database, "SELECT * FROM t"), "1");
    }
    // What was put aside tells it: what is live was opened since, each by itself.
    let aside = |database: &str| {
        let asked = format!("SELECT xmin FROM pg_database WHERE datname LIKE '{database}\\_\\_%'");
        cluster.sql("postgres", &asked)
    };
    assert_eq!(aside("shop"), aside("books"));
    project.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    for database in ["shop", "books"] {
        assert_eq!(cluster.sql(database, "SELECT count(*) FROM t"), "2");
    }
    assert_eq!(aside("shop"), aside("books"));
    // The newest backup is of this cluster; seen from another one `guard check` says so.
    project.guard().run(&["check"]).expect(0).says("the way back is open");
    let staging = Cluster::stranger();
    for database in ["shop", "books"] {
        staging.create(database, "CREATE TABLE t (id int PRIMARY KEY);");
    }
    let settings = project.root().join("project/guard.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let moved = text.replace(&format!(":{}/", cluster.port), &format!(":{}/", staging.port));
    std::fs::write(&settings, moved).unwrap();
    let told = project.guard().run(&["check"]).expect(0).everything();
    assert!(told.contains("was taken from another cluster"), "{told}");
}
