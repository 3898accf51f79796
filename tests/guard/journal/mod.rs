//! The journal: what it promises, held against torn, changed and foreign files.

mod disk;
mod runs;
mod tail;

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, TimeZone, Utc};
use guard::journal::Journal;
use guard::model::fact::{Actor, Ending, Fact, Failure, Record, RollbackCause, StepOutput};
use guard::model::name::RunId;
use guard::model::plan::{Action, Plan, Stage, StageName, Step};
use guard::model::policy::Policy;

/// A moment, the same in every test.
pub fn moment() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 10, 22, 15, 30, 0).unwrap()
}

/// Somebody on this host.
pub fn actor(host: &str) -> Actor {
    Actor {
        pid: 4711,
        group: 4711,
        host: host.to_owned(),
        boot: "b".to_owned(),
        user: "ops".to_owned(),
        version: "0.1.0".to_owned(),
        watcher: false,
    }
}

/// The facts of a short run, with text that JSON has to escape.
pub fn facts(run: &RunId, host: &str) -> Vec<Fact> {
    let capture = Step::of(Action::Capture("db".parse().unwrap()));
    let deploy = Step::of(Action::Deploy);
    let plan = Plan {
        kind: guard::model::name::RunKind::Deploy,
        backup: "20251022_153000".parse().unwrap(),
        ahead: vec![
            Stage {
                name: StageName::Databases,
                steps: vec![capture.clone()],
            },
            Stage {
                name: StageName::Deploy,
                steps: vec![deploy.clone()],
            },
        ],
        back: Vec::new(),
        policy: Policy::default(),
        command: vec![
            "./deploy.sh".to_owned(),
            "a \"quoted\" \n line, ünïcode \u{1f600}".to_owned(),
        ],
    };
    vec![
        Fact::Opened {
            run: run.clone(),
            plan: Box::new(plan),
            actor: actor(host),
            reason: Some("because".to_owned()),
        },
        Fact::Begun {
            step: capture.id.clone(),
        },
        Fact::Done {
            step: capture.id,
            yields: Box::new(StepOutput::Nothing),
        },
        Fact::Begun {
            step: deploy.id.clone(),
        },
        Fact::Failed {
            step: deploy.id,
            failure: Failure::new("exit code 3"),
        },
        Fact::RollbackBegan {
            why: RollbackCause::DeployFailed,
            then: None,
        },
        Fact::Closed {
            ending: Ending::RolledBack(RollbackCause::DeployFailed),
            now: None,
        },
    ]
}

/// A journal of that run in a directory.
pub fn written(directory: &Path, run: &RunId, host: &str, count: usize) -> Vec<Record> {
    let mut journal = Journal::create(directory).unwrap();
    let facts = facts(run, host).into_iter().take(count);
    facts.map(|fact| journal.append(fact, moment()).unwrap()).collect()
}

/// The run's name in these tests.
pub fn run() -> RunId {
    "20251022_153000-deploy".parse().unwrap()
}

/// Set for a test that was started again by another one, in surroundings that fail.
const CHILD: &str = "GUARD_TEST_CHILD";

/// Where such a test works; `None` where nobody started it.
pub fn child_directory() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Starts a test of this binary again, behind these words, with a directory to work in.
pub fn again(words: &[&str], test: &str, directory: &Path) -> std::process::Output {
    Command::new(words[0])
        .args(&words[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, directory)
        .output()
        .unwrap()
}
