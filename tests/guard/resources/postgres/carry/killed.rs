//! The whole story with the real binary: a user registers after the backup, the release fails, guard goes back, and the
//! user is still there, also where guard is killed while it takes the rows along.

use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::embedded::{Embedded, until};

/// How many times guard is killed; `GUARD_TEST_KILLS` raises it.
fn kills() -> u64 {
    let asked = std::env::var("GUARD_TEST_KILLS").ok();
    asked.map_or(4, |text| text.parse().expect("a number"))
}

fn project(cluster: &Cluster, more: &str) -> Embedded {
    let url = cluster.url("shop");
    // People use the shop while the release is verified.
    let people =
        "INSERT INTO users (name, mail) VALUES ('Grace', 'Grace'); INSERT INTO orders (who) SELECT max(id) FROM users;";
    Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n{more}\n
[verify]\ncommands = [[\"sh\", \"-c\", \"test $GUARD_STAGE = prove || psql -qX '{url}' -c \\\"{people}\\\"\"], [\"sh\", \"-c\", \"test $GUARD_STAGE = prove\"]]\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n"
    ))
}

/// What the deploy command does: the release changes its tables.
fn release(cluster: &Cluster) -> String {
    let sql = "ALTER TABLE users ADD COLUMN mail text; UPDATE users SET name = upper(name) WHERE id = 1;";
    format!("psql -qX -v ON_ERROR_STOP=1 '{}' -c \"{sql}\"", cluster.url("shop"))
}

fn people(cluster: &Cluster) -> String {
    let question = "SELECT string_agg(u.id || ' ' || u.name || ' ' || o.id, ',' ORDER BY u.id) FROM users u JOIN orders o ON o.who = u.id";
    cluster.sql("shop", question)
}

const SHOP: &str = "CREATE TABLE users (id serial PRIMARY KEY, name text, created_at timestamptz DEFAULT now());
    CREATE TABLE orders (id serial PRIMARY KEY, who int NOT NULL REFERENCES users);
    INSERT INTO users (name) VALUES ('Ada'); INSERT INTO orders (who) VALUES (1);";

#[test]
fn who_registered_after_the_backup_is_still_there_after_the_rollback() {
    let cluster = Cluster::start();
    cluster.create("shop", SHOP);
    let project = project(&cluster, "carry_over = [\"users\", \"orders\"]");
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", &release(&cluster)]);
    let ran = ran.expect(21);
    assert_eq!(people(&cluster), "1 Ada 1,2 Grace 2");
    assert_eq!(
        cluster.sql(
            "shop",
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'mail'"
        ),
        "0"
    );
    let ran = ran
        .says("db: takes 1 row of users along, of ")
        .says("db: carried 1 row over into users");
    ran.says("of 3 rows written since the backup, 2 carried over, 1 exported");
    let run = project.runs().pop().unwrap();
    assert!(run.join("salvage/db/users.changed.csv").exists());
    // Undone, the failed state is there again with all that was in it; done again, so is the row that was carried.
    project.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(cluster.sql("shop", "SELECT mail FROM users WHERE id = 2"), "Grace");
    project.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(people(&cluster), "1 Ada 1,2 Grace 2");
}

#[test]
fn killed_while_rows_are_taken_along_it_ends_with_each_row_once() {
    let cluster = Cluster::start();
    cluster.create("shop", SHOP);
    let project = project(&cluster, "carry_over = [\"users\", \"orders\"]");
    let mut expected = 1;
    for number in 0..kills() {
        let runs = project.runs().len();
        let mut guard =
            project
                .guard()
                .env("GUARD_NO_WATCHER", "1")
                .start(&["deploy", "--", "./deploy.sh", &release(&cluster)]);
        let begun = || {
            let run = project.runs();
            let journal = run.get(runs).map(|run| run.join("journal.jsonl"));
            let text = journal
                .and_then(|journal| std::fs::read_to_string(journal).ok())
                .unwrap_or_default();
            text.contains("\"begun\":{\"step\":\"restore/db\"}")
        };
        until(|| begun() || guard.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(number * 977 / kills()));
        let _gone = guard.kill();
        guard.wait().unwrap();
        let resumed = project.guard().run(&["resume"]);
        assert!([Some(0), Some(21)].contains(&resumed.code), "{}", resumed.everything());
        expected += 1;
        let counts = cluster.sql("shop", "SELECT count(*) || ' ' || count(DISTINCT id) FROM users");
        assert_eq!(
            counts,
            format!("{expected} {expected}"),
            "kill {number}: {}",
            resumed.everything()
        );
        assert_eq!(cluster.sql("shop", "SELECT count(*) FROM orders"), expected.to_string());
        assert!(
            cluster.databases().iter().all(|name| !name.contains("__guard_")),
            "{:?}",
            cluster.databases()
        );
    }
}

#[test]
fn what_nobody_asked_to_take_along_is_salvaged_later() {
    let cluster = Cluster::start();
    cluster.create("shop", SHOP);
    let project = project(&cluster, "");
    project
        .guard()
        .run(&["salvage", "latest"])
        .expect(2)
        .says("there is no run");
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", &release(&cluster)]);
    ran.expect(21)
        .says("db: discards 1 row in users since ")
        .says("`guard salvage ");
    assert_eq!(people(&cluster), "1 Ada 1");
    // Somebody uses the number of the row that is gone.
    cluster.sql("shop", "INSERT INTO orders (id, who) VALUES (2, 1);");
    let ran = project.guard().run(&["salvage", "latest"]).expect(0);
    ran.says("of 3 rows written since the backup, 0 carried over, 3 exported")
        .says("-deploy --tables NAME,NAME`");
    assert_eq!(
        people(&cluster),
        "1 Ada 1,1 Ada 2",
        "files are written, and nothing else"
    );
    let exported = project.newest_run().join("salvaged/db");
    let text = std::fs::read_to_string(exported.join("users.new.csv")).unwrap();
    assert!(text.starts_with("id,name,created_at,mail\n2,Grace,"), "{text}");
    let words = [
        "salvage",
        "latest",
        "--resource",
        "db",
        "--tables",
        "users,orders",
        "--into",
        "out",
    ];
    project.guard().run(&words).expect(2).says("--yes");
    let ran = project.guard().run(&[&words[..], &["--yes"]].concat()).expect(0);
    ran.says("db: carried 1 row over into users");
    assert_eq!(cluster.sql("shop", "SELECT name FROM users WHERE id = 2"), "Grace");
    project
        .guard()
        .run(&[&words[..], &["--yes"]].concat())
        .expect(2)
        .says("is not empty");
    project
        .guard()
        .run(&["salvage", "latest", "--tables", "all", "--yes"])
        .expect(0);
    assert_eq!(
        people(&cluster),
        "1 Ada 1,1 Ada 2",
        "what is there already is not put in again"
    );
    let closed = "SELECT bool_or(datallowconn) FROM pg_database WHERE datname LIKE '%failed%'";
    assert_eq!(cluster.sql("postgres", closed), "f");
}
