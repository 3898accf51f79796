//! Drills on a staging with a Postgres server and an application, seen by an observer outside of guard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::only;
use crate::support::program::Ran;
use crate::support::staging::{Staging, is_well};

/// What an observer has seen: when each answer was asked for and had come, and whether it was well.
type Seen = Vec<(DateTime<Utc>, DateTime<Utc>, bool)>;

/// Drills, and asks the application all the while.
fn observed(staging: &Staging, args: &[&str]) -> (Ran, Seen) {
    let is_over = AtomicBool::new(false);
    let port = staging.port();
    std::thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut seen = Seen::new();
            while !is_over.load(Ordering::SeqCst) {
                let asked = Utc::now();
                let is_well = is_well(port);
                seen.push((asked, Utc::now(), is_well));
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        let ran = staging.guard().run(args);
        is_over.store(true, Ordering::SeqCst);
        (ran, observer.join().unwrap())
    })
}

fn injected_at(staging: &Staging, told: &Value) -> DateTime<Utc> {
    let run = staging.project.state().join("runs").join(told["run"].as_str().unwrap());
    let record = crate::support::watched::json(&run.join("drill.json"));
    record["injected_at"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_killed_application_is_back_when_the_observer_sees_it_back() {
    let staging = Staging::open("4s", "");
    let (before, process) = (staging.everything(), staging.process());
    let (ran, seen) = observed(&staging, &["drill", "--fault", "service-killed", "--json"]);
    let told = only(&ran.expect(0));
    assert_eq!(staging.everything(), before);
    assert_ne!(staging.process(), process, "it was killed and started again");
    assert_eq!(told["was_noticed"], true, "{told}");
    // The observer's outage lies within guard's: not before the fault, and over when guard says so.
    let injected = injected_at(&staging, &told);
    let rto = told["rto"].as_f64().unwrap();
    let well = injected + chrono::TimeDelta::from_std(Duration::from_secs_f64(rto)).unwrap();
    let failed: Vec<_> = seen.iter().filter(|(_, _, is_well)| !is_well).collect();
    let (first, last) = (failed.first().unwrap(), failed.last().unwrap());
    assert!(first.1 >= injected, "failed before the fault: {first:?} {injected}");
    assert!(last.0 <= well, "failed after guard saw it well: {last:?} {well}");
    let outside = (last.0 - first.1).as_seconds_f64();
    assert!(rto >= outside, "{rto} s by guard, {outside} s outside");
    // And guard does not make it longer than until its own proof was done.
    let noticed = told["noticed"].as_f64().unwrap() + told["back"].as_f64().unwrap();
    assert!((noticed - rto).abs() < 0.01, "{told}");
}

#[test]
fn answers_of_500_are_noticed_through_the_proxy_and_the_application_never_fails() {
    let staging = Staging::open("20s", "");
    let before = staging.everything();
    let (ran, seen) = observed(&staging, &["drill", "--fault", "http-errors", "--json"]);
    let told = only(&ran.expect(0));
    assert_eq!(told["was_noticed"], true, "{told}");
    assert!(
        seen.iter().all(|(_, _, is_well)| *is_well),
        "the fault is between probe and application"
    );
    assert_eq!(staging.everything(), before);
    let run = staging.project.newest_run();
    let readings = std::fs::read_to_string(run.join("probes.jsonl")).unwrap();
    assert!(readings.contains("500"), "{readings}");
    let record = crate::support::watched::json(&run.join("drill.json"));
    let proxy = u32::try_from(record["agents"][0]["process"]["pid"].as_u64().unwrap()).unwrap();
    assert!(!crate::support::watched::is_alive(proxy), "the proxy is gone");
}

#[test]
fn rows_of_postgres_come_back_and_what_was_written_since_is_counted() {
    // When what writes is stopped, somebody else counts what there is beyond the nine notes of before.
    let staging = Staging::open("20s", "");
    let before = staging.everything();
    let url = staging.cluster.url("shop");
    let insert = "INSERT INTO notes (text) SELECT 'since' FROM generate_series(1, 30)";
    let counting = format!("psql -X -At -d '{url}' -c 'SELECT count(*) FROM notes WHERE id > 9' > ../outside");
    let settings = staging.project.sh("cat guard.toml");
    let stop = "stop = [[\"../app.sh\", \"stop\"]";
    assert!(settings.contains(stop));
    staging.project.write(
        "guard.toml",
        &settings.replace(stop, &format!("{stop}, [\"sh\", \"-c\", \"{counting}\"]")),
    );
    let ran = staging.guard().run(&[
        "drill",
        "--fault",
        "rows-deleted",
        "--within",
        "500ms",
        "--json",
        "--",
        "psql",
        "-X",
        "-d",
        &url,
        "-c",
        insert,
    ]);
    let told = only(&ran.expect(0));
    assert_eq!(
        without_sequences(&staging.cluster.observe("shop")),
        without_sequences(&before.0)
    );
    let outside: u64 = staging.project.sh("cat ../outside").trim().parse().unwrap();
    assert!(outside > 0);
    assert_eq!(
        (&told["discarded"], &told["lost"]),
        (&outside.into(), &0.into()),
        "{told}"
    );
    assert_eq!(staging.count("SELECT count(*) FROM notes"), 9);
    // The same, and somebody takes a row away behind the way back.
    let settings = staging.project.sh("cat guard.toml");
    let gone = format!("psql -X -d '{url}' -c 'DELETE FROM tags'");
    let settings = settings.replace("start = [[", &format!("start = [[\"sh\", \"-c\", \"{gone}\"], ["));
    staging.project.write("guard.toml", &settings);
    let told = only(
        &staging
            .guard()
            .run(&["drill", "--fault", "migration-fails", "--json"])
            .expect(37),
    );
    assert!(
        told["differing"]
            .to_string()
            .contains("table public.tags: 2 rows are missing"),
        "{told}"
    );
    assert_eq!(told["lost"], 2);
}

/// A dump without where its sequences stand: numbers that were given out are not given out again.
fn without_sequences(dump: &str) -> String {
    let lines = dump.lines().filter(|line| !line.contains("pg_catalog.setval"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn rows_that_are_carried_over_are_kept_and_no_difference() {
    let staging = Staging::open("20s", "");
    let settings = staging.project.sh("cat guard.toml");
    let settings = settings.replace("kind = \"postgres\"", "kind = \"postgres\"\ncarry_over = \"inserts\"");
    staging.project.write("guard.toml", &settings);
    // Somebody writes while the release is watched: what the deploy command writes is the release's own.
    let mut guard = staging
        .guard()
        .command(&["drill", "--fault", "rows-deleted", "--within", "4s", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    staging
        .project
        .until_journal_says("{\"begun\":{\"step\":\"watch\"}}", &mut guard);
    staging.cluster.sql(
        "shop",
        "INSERT INTO notes (text) SELECT 'since' FROM generate_series(1, 30)",
    );
    let output = guard.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let told = &last["result"]["drills"][0];
    assert_eq!(output.status.code(), Some(0), "{told}");
    let now = staging.count("SELECT count(*) FROM notes WHERE id > 9");
    assert!(now > 0, "{told}");
    assert_eq!((&told["kept"], &told["lost"]), (&now.into(), &0.into()), "{told}");
}

#[test]
fn an_application_that_is_stopped_that_restarts_and_that_is_slow_is_noticed_each_time() {
    let staging = Staging::open("5s", "");
    let before = staging.everything();
    for fault in ["service-stopped", "service-restarting", "http-slow"] {
        let ran = staging.guard().run(&["drill", "--fault", fault, "--json"]);
        let told = only(&ran.expect(0));
        assert_eq!(
            (&told["was_noticed"], &told["equal"]),
            (&true.into(), &true.into()),
            "{fault}: {told}"
        );
        assert_eq!(staging.everything(), before, "{fault}");
        assert!(staging.is_well(), "{fault}");
        let record = crate::support::watched::json(&staging.project.newest_run().join("drill.json"));
        for agent in record["agents"].as_array().unwrap() {
            let pid = u32::try_from(agent["process"]["pid"].as_u64().unwrap()).unwrap();
            assert!(!crate::support::watched::is_alive(pid), "{fault}: {agent}");
        }
    }
}
