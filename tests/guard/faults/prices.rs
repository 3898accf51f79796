//! The price of going back by a real run with a real database: no row is forgotten, and a guard that is killed while it tells
//! what it cost leaves it to be told.

use std::process::Stdio;

use crate::servers::until_begun;
use crate::support::cluster::Cluster;
use crate::support::embedded::Embedded;

const USERS: &str = "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 500) n;";
const RELEASE: &str = "ALTER TABLE users ADD COLUMN mail text; UPDATE users SET name = 'another' WHERE id IN (7, 70, 499); \
    DELETE FROM users WHERE id = 8; INSERT INTO users (name) VALUES ('new'), ('newer');";
const PRICE: [&str; 4] = [
    "db: discards 2 rows in users since ",
    "db: undoes changes to 3 rows in users since ",
    "db: brings back 1 row in users",
    "db: drops the new column mail of users",
];

fn project(cluster: &Cluster) -> Embedded {
    cluster.create("shop", USERS);
    let url = cluster.url("shop");
    let project = Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n[probes.db]\nkind = \"postgres\"\nurl = \"{url}\"\n\
         [monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"20s\"\nmin_samples = 2\n"
    ));
    project.sh("chmod 600 guard.toml");
    project.write("migration.sql", RELEASE);
    project
}

fn words(cluster: &Cluster) -> [String; 5] {
    let migrate = format!("psql -q -v ON_ERROR_STOP=1 '{}' -f migration.sql", cluster.url("shop"));
    ["deploy", "--", "./deploy.sh", &migrate, "exit 7"].map(str::to_owned)
}

/// What a run says of itself once it is over: its journal and its report.
fn told(project: &Embedded) -> String {
    let run = project.runs().pop().unwrap();
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let is_later = journal
        .find("\"price_later\":true")
        .expect("the price was left for later");
    let swapped = journal
        .find("{\"done\":{\"step\":\"restore/db\"")
        .expect("it was swapped");
    assert!(is_later < swapped, "{journal}");
    let result = std::fs::read_to_string(run.join("result.json")).unwrap();
    for sentence in PRICE {
        assert!(result.contains(sentence), "{sentence}: {result}");
    }
    assert!(!result.contains("told once it is back"), "{result}");
    journal.get(swapped..).unwrap_or_default().to_owned()
}

#[test]
fn no_row_is_forgotten() {
    let cluster = Cluster::start();
    let project = project(&cluster);
    let words = words(&cluster);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = project.guard().run(&words).expect(20);
    let ran = ran.says("what it costs in rows is told once it is back");
    PRICE.into_iter().fold(ran, |ran, sentence| ran.says(sentence));
    let journal = told(&project);
    assert!(journal.contains("\"priced\""), "{journal}");
}

#[test]
fn a_guard_that_is_killed_while_it_tells_leaves_it_to_be_told() {
    let cluster = Cluster::start();
    let project = project(&cluster);
    let alone = project.guard().env("GUARD_NO_WATCHER", "1");
    let words = words(&cluster);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut guard = alone.command(&words);
    let mut guard = guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(until_begun(&project, "price/db", &mut guard));
    guard.kill().unwrap();
    guard.wait().unwrap();
    let resumed = alone.run(&["resume"]);
    let journal = told(&project);
    for sentence in PRICE {
        let sentence = sentence.trim_start_matches("db: ");
        assert!(
            journal.contains(sentence),
            "{sentence}: {journal}\n{}",
            resumed.everything()
        );
    }
    assert_eq!(journal.matches("\"priced\"").count(), 1, "{journal}");
    assert_eq!(
        cluster.sql("shop", "SELECT count(*) FROM users WHERE name LIKE 'user %'"),
        "500"
    );
}
