//! Hand-made records of runs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guard::model::artifact::{Artifact, Displaced, FileEntry, Prepared, Work};
use guard::model::event::Event;
use guard::model::fact::{Actor, Deployed, Ending, Fact, Failure, Record, RollbackCause, StepOutput};
use guard::model::fingerprint::Fingerprint;
use guard::model::health::{Class, Finding, FindingCause, Outcome, Reading, Tally};
use guard::model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard::model::plan::{Action, Plan, Stage, StageName, Step};
use guard::model::policy::Policy;
use serde_json::json;

/// 2025-10-22 15:30:00 UTC and some seconds.
pub fn at(seconds: i64) -> DateTime<Utc> {
    stamp().moment() + TimeDelta::seconds(seconds)
}

pub fn stamp() -> Timestamp {
    "20251022_153000".parse().unwrap()
}

pub fn run() -> RunId {
    RunId::new(&stamp(), RunKind::Deploy)
}

pub fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// Records that number themselves.
#[derive(Default, Clone)]
pub struct Journal(pub Vec<Record>);

impl Journal {
    pub fn and(mut self, seconds: i64, fact: Fact) -> Self {
        let seq = self.0.len() as u64;
        self.0.push(Record {
            seq,
            at: at(seconds),
            fact,
        });
        self
    }

    pub fn begun(self, seconds: i64, action: Action) -> Self {
        self.and(
            seconds,
            Fact::Begun {
                step: Step::of(action).id,
            },
        )
    }

    pub fn done(self, seconds: i64, action: Action, yields: StepOutput) -> Self {
        let step = Step::of(action).id;
        self.and(
            seconds,
            Fact::Done {
                step,
                yields: Box::new(yields),
            },
        )
    }

    pub fn failed(self, seconds: i64, action: Action, failure: Failure) -> Self {
        self.and(
            seconds,
            Fact::Failed {
                step: Step::of(action).id,
                failure,
            },
        )
    }

    pub fn turned(self, seconds: i64, why: RollbackCause) -> Self {
        self.and(seconds, Fact::RollbackBegan { why, then: None })
    }

    pub fn closed(self, seconds: i64, ending: Ending) -> Self {
        self.and(seconds, Fact::Closed { ending, now: None })
    }

    pub fn events(&self) -> Vec<Event> {
        let event = |record: &Record| Event::Fact {
            run: run(),
            record: Box::new(record.clone()),
        };
        self.0.iter().map(event).collect()
    }
}

fn stage(name: StageName, actions: &[Action]) -> Stage {
    Stage {
        name,
        steps: actions.iter().cloned().map(Step::of).collect(),
    }
}

/// A plan over a database and a volume.
pub fn plan(kind: RunKind) -> Plan {
    let (db, objects) = (name("db"), name("objects"));
    let ahead = vec![
        stage(StageName::Databases, &[Action::Capture(db.clone())]),
        stage(StageName::Volumes, &[Action::Capture(objects.clone())]),
        stage(StageName::Deploy, &[Action::Deploy]),
        stage(StageName::Watch, &[Action::Watch]),
    ];
    let back = vec![
        stage(
            StageName::Prepare,
            &[Action::Prepare(db.clone()), Action::Prepare(objects.clone())],
        ),
        stage(StageName::Quiesce, &[Action::Quiesce]),
        stage(StageName::Data, &[Action::Restore(db), Action::Restore(objects)]),
        stage(StageName::Prove, &[Action::Prove]),
    ];
    let is_back = matches!(kind, RunKind::Rollback | RunKind::Undo);
    Plan {
        kind,
        backup: stamp(),
        ahead: if is_back { Vec::new() } else { ahead },
        back,
        policy: Policy::default(),
        command: if is_back {
            Vec::new()
        } else {
            vec!["./deploy.sh".into(), "--to".into(), "new version".into()]
        },
    }
}

pub fn opened(kind: RunKind) -> Journal {
    let actor = Actor {
        pid: 42,
        group: 42,
        host: "web-1".into(),
        boot: "b".into(),
        user: "alice".into(),
        version: "0.1.0".into(),
        watcher: false,
    };
    let fact = Fact::Opened {
        run: RunId::new(&stamp(), kind),
        plan: Box::new(plan(kind)),
        actor,
        reason: None,
    };
    Journal::default().and(0, fact)
}

pub fn artifact(resource: &str, bytes: u64, summary: &str) -> Artifact {
    Artifact {
        resource: name(resource),
        project: None,
        kind: "postgres".into(),
        fingerprint: Fingerprint::default(),
        files: vec![FileEntry {
            path: format!("{resource}/dump"),
            bytes,
            sha256: "0".repeat(64),
        }],
        details: json!({}),
        summary: summary.into(),
        not_kept: Vec::new(),
        tools: Vec::new(),
    }
}

/// A deployment up to the end of its deploy command, 30 seconds in.
pub fn deployed() -> Journal {
    let (db, objects) = (Action::Capture(name("db")), Action::Capture(name("objects")));
    opened(RunKind::Deploy)
        .begun(0, db.clone())
        .done(
            5,
            db,
            StepOutput::Captured(artifact("db", 412_000_000, "app: 12 tables, 48,210 rows")),
        )
        .begun(5, objects.clone())
        .done(7, objects, StepOutput::Captured(artifact("objects", 9_000, "3 files")))
        .begun(7, Action::Deploy)
        .done(
            30,
            Action::Deploy,
            StepOutput::Deployed(Deployed {
                expect_version: Some("1.4.2".into()),
                irreversible: vec!["3 mails sent".into()],
                phase: None,
                changed: None,
            }),
        )
        .begun(30, Action::Watch)
}

pub fn tally() -> Tally {
    Tally {
        checks: 600,
        failures: 12,
        consecutive: 12,
        unknown: 1,
        worst: None,
    }
}

pub fn watch_failure() -> Failure {
    let sentence = "backend failed 12 times in a row over 11 s (connection refused)";
    let finding = Finding {
        probe: "backend".parse().unwrap(),
        cause: FindingCause::Outage,
        sentence: sentence.into(),
    };
    Failure {
        finding: Some(finding),
        ..Failure::new(sentence)
    }
}

/// The same, found bad by the watch and put back.
pub fn walked_back() -> Journal {
    let (db, objects) = (name("db"), name("objects"));
    let prepared = |resource: &ResourceName, work: Work, price: Vec<String>| {
        StepOutput::Prepared(Prepared {
            resource: resource.clone(),
            work,
            details: json!({}),
            price,
        })
    };
    let displaced = |resource: &ResourceName, kept_as: Vec<String>| {
        let details = if kept_as.is_empty() { json!(null) } else { json!({}) };
        StepOutput::Displaced(Displaced {
            resource: resource.clone(),
            details,
            kept_as,
        })
    };
    let changed = Work::Changed(vec!["schema".into(), "table users".into()]);
    deployed()
        .failed(90, Action::Watch, watch_failure())
        .turned(90, RollbackCause::WatchFailed)
        .begun(90, Action::Prepare(db.clone()))
        .begun(90, Action::Prepare(objects.clone()))
        .done(
            92,
            Action::Prepare(objects.clone()),
            prepared(&objects, Work::Unchanged, vec![]),
        )
        .done(
            93,
            Action::Prepare(db.clone()),
            prepared(&db, changed, vec!["discards 3 rows in users since 15:30:07".into()]),
        )
        .begun(93, Action::Quiesce)
        .done(
            94,
            Action::Quiesce,
            StepOutput::Quiesced(vec!["web".into(), "worker".into()]),
        )
        .begun(94, Action::Restore(db.clone()))
        .begun(94, Action::Restore(objects.clone()))
        .done(94, Action::Restore(objects.clone()), displaced(&objects, vec![]))
        .done(
            95,
            Action::Restore(db.clone()),
            displaced(&db, vec!["database app__failed_20251022_153000_deploy".into()]),
        )
        .begun(95, Action::Prove)
        .done(
            97,
            Action::Prove,
            StepOutput::Proven(vec!["db: 12 tables, as in the backup".into()]),
        )
        .closed(97, Ending::RolledBack(RollbackCause::WatchFailed))
}

pub fn reading(seconds: i64, outcome: Outcome) -> Reading {
    let failed = outcome == Outcome::Failed;
    Reading {
        probe: "backend".parse().unwrap(),
        at: at(seconds),
        t: 0.0,
        outcome,
        class: failed.then_some(Class::Refused),
        note: if failed {
            "connection refused".into()
        } else {
            "200".into()
        },
        latency: Duration::from_millis(3),
        figures: std::collections::BTreeMap::new(),
        number: None,
        is_restart: false,
    }
}
