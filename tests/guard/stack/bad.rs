//! Every bad release: detected, walked back to what was before, its own state kept, and both brought back on demand.

use std::time::{Duration, Instant};

use super::traffic::Traffic;
use super::{Stage, State, same};

/// Guard calls this before it stops anything on the way back. It waits here until the failed state has been looked at.
const WAYSIDE: &str = r#"
[services]
stop = [["sh", "-c", 'touch "$0/failed"; until [ -e "$0/seen" ]; do sleep 0.1; done', "@DIR@"]]
start = [["true"]]
"#;

impl Stage {
    /// Runs guard, looks at the failed state just before it is put back, and returns it with the exit code and the text.
    fn fail(&self, args: &[&str]) -> (State, crate::support::program::Ran) {
        let wayside = self.shop.directory().join(".git/wayside");
        std::fs::create_dir_all(&wayside).unwrap();
        self.settle(&WAYSIDE.replace("@DIR@", &wayside.display().to_string()));
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.guard().run(args));
            let begun = Instant::now();
            while !wayside.join("failed").exists() && !running.is_finished() && begun.elapsed() < Duration::from_mins(3)
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            let failed = self.state();
            std::fs::write(wayside.join("seen"), "").unwrap();
            (failed, running.join().unwrap())
        })
    }
}

/// Deploys a bad release, and holds guard to its promises. `volatile` are the parts that go on changing by themselves.
fn is_walked_back(version: &str, codes: &[i32], volatile: &[&str]) {
    let stage = Stage::open();
    let before = stage.state();
    let traffic = Traffic::begin(&stage.shop.url(""));
    let command = ["deploy", "--data-restore", "always", "--", "./deploy.sh", version];
    let (failed, ran) = stage.fail(&command);
    let count = traffic.count();
    let code = ran.code.unwrap_or(-1);
    assert!(codes.contains(&code), "{version} ended with {code}:\n{}", ran.stderr);
    same(version, &stage.state(), &before, &[]);
    assert_ne!(failed, before, "{version} changed nothing");
    assert!(stage.shop.get("/version").contains("\"v1\""));
    eprintln!(
        "{version}: exit {code}; {} requests answered, {} lost, at most {:.1} s without an answer; {}",
        count.answered,
        count.lost,
        count.longest.as_secs_f64(),
        way_back(&stage)
    );

    // The failed state is kept: it can be looked at again, and left again. The probes do not see what is wrong with each,
    // and where they do, they need not wait long.
    stage.gate("3s");
    let undone = stage.guard().run(&["rollback", "--undo", "--yes"]);
    let is_unseen = matches!(version, "impostor" | "errors" | "replica") && undone.code == Some(0);
    undone.expect(if is_unseen { 0 } else { 32 });
    same(&format!("the undo of {version}"), &stage.state(), &failed, volatile);
    stage.settle("");
    stage.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    same(
        &format!("the undo of the undo of {version}"),
        &stage.state(),
        &before,
        &[],
    );
}

/// How long the way back took, as the journal says; the look at the failed state is in it.
fn way_back(stage: &Stage) -> String {
    let journal = std::fs::read_to_string(stage.runs()[0].join("journal.jsonl")).unwrap();
    let records: Vec<serde_json::Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let at = |fact: &str| {
        let is_it = |line: &&serde_json::Value| line["record"]["fact"].get(fact).is_some();
        let line = records.iter().find(is_it).unwrap();
        chrono::DateTime::parse_from_rfc3339(line["record"]["at"].as_str().unwrap()).unwrap()
    };
    let took = at("closed") - at("turned");
    format!("{:.1} s from the trigger to the proof", took.as_seconds_f64())
}

#[test]
fn crash() {
    is_walked_back("crash", &[21], &[]);
}

#[test]
fn errors() {
    is_walked_back("errors", &[21, 22], &[]);
}

#[test]
fn replica() {
    is_walked_back("replica", &[21, 22], &[]);
}

#[test]
fn hang() {
    is_walked_back("hang", &[21], &[]);
}

#[test]
fn impostor() {
    is_walked_back("impostor", &[21], &[]);
}

#[test]
fn migrate() {
    is_walked_back("migrate", &[21], &[]);
}

#[test]
fn deletes() {
    // Each time it starts it deletes and overwrites more.
    is_walked_back("deletes", &[21], &["objects", "owners"]);
}

#[test]
fn config() {
    is_walked_back("config", &[21], &[]);
}

#[test]
fn extra() {
    // Its worker goes on adding users, until it is stopped.
    is_walked_back("extra", &[21], &["rows"]);
}

#[test]
fn leaks() {
    is_walked_back("leaks", &[21], &[]);
}
