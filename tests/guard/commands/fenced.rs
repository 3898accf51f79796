//! Nobody writes into a database that is back before code and images are old: through a whole way back, and behind a killed one.

use crate::support::cluster::Cluster;
use crate::support::embedded::{Embedded, until};

/// Code and a database; the probe reads both.
fn shop(cluster: &Cluster, more: &str) -> Embedded {
    let settings = format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{}\"\n[resources.code]\nkind = \"git\"\n\
         [probes.app]\nkind = \"command\"\ncommand = [\"grep\", \"-q\", \"code 1\", \"code.txt\"]\n\
         [monitor]\nduration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"\nmin_samples = 3\n\
         [policy]\ndata_restore = \"always\"\n{more}",
        cluster.url("shop")
    );
    let project = Embedded::with(&settings);
    project.sh("chmod 600 guard.toml");
    project
}

const SCHEMA: &str = "CREATE TABLE notes (by text);";

#[test]
fn a_worker_of_the_failed_release_writes_nothing_into_the_restored_database() {
    let cluster = Cluster::start();
    cluster.create("shop", SCHEMA);
    let project = shop(&cluster, "");
    // It begins again and again, as a job of cron does, by the code that is there then; nobody stops it.
    let worker = format!(
        "while [ ! -e ../end ]; do code=$(cat code.txt); psql -X -q '{}' -c \"INSERT INTO notes VALUES ('$code')\"; done",
        cluster.url("shop")
    );
    let mut working = std::process::Command::new("bash")
        .args(["-c", &worker])
        .current_dir(project.directory())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let written = |code: &str| cluster.sql("shop", &format!("SELECT count(*) FROM notes WHERE by = '{code}'"));
    until(|| written("code 1") != "0");
    let two = "echo 'code 2' > code.txt; commit two; sleep 1";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", two, "exit 1"]);
    let by_failed = written("code 2");
    let before = written("code 1");
    // The worker goes on with the old code.
    until(|| written("code 1") != before);
    std::fs::write(project.root().join("end"), "").unwrap();
    working.wait().unwrap();
    ran.expect(20).says("old, verified").says("app passes");
    assert_eq!(by_failed, "0", "the failed release wrote into the restored database");
}

#[test]
fn what_a_killed_way_back_left_shut_is_named_and_opened() {
    let cluster = Cluster::start();
    cluster.create("shop", SCHEMA);
    let project = shop(&cluster, "");
    let spoil = format!("psql -X -q '{}' -c 'DROP TABLE notes'", cluster.url("shop"));
    let two = "echo 'code 2' > code.txt; commit two";
    let cut = || {
        project
            .guard()
            .run(&[
                "deploy",
                "--no-watcher",
                "--again",
                "--",
                "./deploy.sh",
                two,
                &spoil,
                "exit 1",
            ])
            .expect(20);
        // The journal of a guard that was killed behind the database and before the code.
        let run = project.newest_run();
        let journal = run.join("journal.jsonl");
        let text = std::fs::read_to_string(&journal).unwrap();
        let ends = |line: &&str| line.contains("\"done\"") && line.contains("restore/db");
        let last = text.lines().position(|line| ends(&line)).unwrap();
        let kept: Vec<&str> = text.lines().take(last + 1).collect();
        std::fs::write(&journal, kept.join("\n") + "\n").unwrap();
        std::fs::remove_file(run.join("result.json")).unwrap();
        cluster.sql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS false;");
    };
    let is_open = || {
        cluster.sql(
            "postgres",
            "SELECT datallowconn FROM pg_database WHERE datname = 'shop'",
        )
    };
    cut();
    let status = project.guard().run(&["status"]).expect(0);
    assert!(status.stdout.contains("shut         db"), "{}", status.stdout);
    project.guard().run(&["resume"]).expect(20).says("old, verified");
    assert_eq!(is_open(), "t");
    cluster.sql("shop", "SELECT * FROM notes");
    assert!(!project.guard().run(&["status"]).expect(0).stdout.contains("shut "));
    // Whoever ends the run instead gets an open database as well.
    cut();
    project.guard().run(&["abort", "--yes"]).expect(35).says("let in");
    assert_eq!(is_open(), "t");
}
