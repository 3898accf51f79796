//! The safety policy, case by case.

use chrono::{DateTime, Utc};
use guard::engine::decide::{Next, decide};
use guard::engine::history::History;
use guard::model::artifact::{Displaced, PRICE_LATER, Prepared, Work};
use guard::model::fact::{Actor, Deployed, Ending, Fact, Failure, Record, RollbackCause, StepOutput};
use guard::model::health::{Finding, FindingCause, Tally};
use guard::model::intervention::{Choice, Intervention, Via};
use guard::model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard::model::plan::{Action, Plan, Stage, StageName, Step};
use guard::model::policy::{DataRestore, OnFailure, OnInconclusive, Policy};
use serde_json::{Value, json};

fn resource() -> ResourceName {
    "db".parse().unwrap()
}

pub fn stage(name: StageName, actions: Vec<Action>) -> Stage {
    Stage {
        name,
        steps: actions.into_iter().map(Step::of).collect(),
    }
}

/// A small deploy run over one resource.
pub fn plan(kind: RunKind, policy: Policy) -> Plan {
    let ahead = vec![
        stage(StageName::Baseline, vec![Action::Baseline]),
        stage(StageName::Databases, vec![Action::Capture(resource())]),
        stage(StageName::Seal, vec![Action::Seal]),
        stage(StageName::Deploy, vec![Action::Deploy]),
        stage(StageName::Gate, vec![Action::Gate]),
        stage(StageName::Verify, vec![Action::Verify]),
        stage(StageName::Watch, vec![Action::Watch]),
    ];
    let back = vec![
        stage(StageName::Evidence, vec![Action::Evidence]),
        stage(StageName::Prepare, vec![Action::Prepare(resource())]),
        stage(StageName::Quiesce, vec![Action::Quiesce]),
        stage(StageName::Recheck, vec![Action::Recheck(resource())]),
        stage(StageName::Data, vec![Action::Restore(resource())]),
        stage(StageName::Start, vec![Action::Start]),
        stage(StageName::Prove, vec![Action::Prove]),
        stage(StageName::Price, vec![Action::Price(resource())]),
    ];
    let ahead = if kind == RunKind::Deploy { ahead } else { Vec::new() };
    Plan {
        kind,
        backup: timestamp(),
        ahead,
        back,
        policy,
        command: vec!["true".to_owned()],
    }
}

fn timestamp() -> Timestamp {
    "20251022_153000".parse().unwrap()
}

/// A journal being written by hand.
struct Journal(Vec<Record>);

impl Journal {
    fn of(plan: Plan) -> Self {
        let run = RunId::new(&timestamp(), plan.kind);
        let mut journal = Self(Vec::new());
        journal.add(Fact::Opened {
            run,
            plan: Box::new(plan),
            actor: actor(),
            reason: None,
        });
        journal
    }

    fn add(&mut self, fact: Fact) -> &mut Self {
        let record = Record {
            seq: self.0.len() as u64,
            at: DateTime::<Utc>::UNIX_EPOCH,
            fact,
        };
        self.0.push(record);
        self
    }

    fn begun(&mut self, action: Action) -> &mut Self {
        self.add(Fact::Begun {
            step: Step::of(action).id,
        })
    }

    fn done(&mut self, action: Action, yields: StepOutput) -> &mut Self {
        self.begun(action.clone()).add(Fact::Done {
            step: Step::of(action).id,
            yields: Box::new(yields),
        })
    }

    fn failed(&mut self, action: Action) -> &mut Self {
        self.begun(action.clone()).add(Fact::Failed {
            step: Step::of(action).id,
            failure: Failure::new("it broke"),
        })
    }

    fn deployed(&mut self) -> &mut Self {
        self.done(Action::Baseline, StepOutput::Nothing)
            .done(Action::Capture(resource()), StepOutput::Nothing)
            .done(Action::Seal, StepOutput::Nothing)
            .done(Action::Deploy, StepOutput::Deployed(Deployed::default()))
    }

    fn prepared(&mut self, work: Work) -> &mut Self {
        self.done(Action::Evidence, StepOutput::Nothing)
            .done(Action::Prepare(resource()), found(work))
    }

    fn quiesced(&mut self) -> &mut Self {
        self.done(Action::Quiesce, StepOutput::Nothing)
            .done(Action::Recheck(resource()), StepOutput::Nothing)
    }

    fn history(&self) -> History {
        History::of(&self.0).unwrap()
    }
}

fn found(work: Work) -> StepOutput {
    StepOutput::Prepared(Prepared {
        resource: resource(),
        work,
        details: Value::Null,
        price: Vec::new(),
    })
}

fn actor() -> Actor {
    Actor {
        pid: 1,
        group: 1,
        host: "here".into(),
        boot: "now".into(),
        user: "me".into(),
        version: "0".into(),
        watcher: false,
    }
}

fn displaced() -> StepOutput {
    StepOutput::Displaced(Displaced {
        resource: resource(),
        details: Value::Null,
        kept_as: Vec::new(),
    })
}

/// What comes next, as short words: the ids of steps, or the turn or ending.
fn next(journal: &Journal) -> String {
    match decide(&journal.history()) {
        Next::Begin(_, steps) => steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join("+"),
        Next::RollbackCause(turn) => format!("turn {turn:?}"),
        Next::Widen(resources) => format!(
            "widen {}",
            resources.iter().map(ResourceName::as_str).collect::<Vec<_>>().join("+")
        ),
        Next::Close(ending) => format!("close {ending:?}"),
        Next::Over(ending) => format!("over {ending:?}"),
    }
}

fn deploy() -> Journal {
    Journal::of(plan(RunKind::Deploy, Policy::default()))
}

#[test]
fn the_way_ahead_is_walked_in_order_and_ends_deployed() {
    let mut journal = deploy();
    assert_eq!(next(&journal), "baseline");
    journal.deployed();
    assert_eq!(next(&journal), "gate");
    journal
        .done(Action::Gate, StepOutput::Nothing)
        .done(Action::Verify, StepOutput::Nothing);
    assert_eq!(next(&journal), "watch");
    journal.done(
        Action::Watch,
        StepOutput::Watched {
            tally: Tally::default(),
            inconclusive: None,
            person: None,
        },
    );
    assert_eq!(next(&journal), "close Deployed");
}

#[test]
fn a_failure_before_the_deploy_command_leaves_production_untouched() {
    let mut journal = deploy();
    journal
        .done(Action::Baseline, StepOutput::Nothing)
        .failed(Action::Capture(resource()));
    assert_eq!(next(&journal), "turn BackupFailed");
    journal.add(Fact::RollbackBegan {
        why: RollbackCause::BackupFailed,
        then: None,
    });
    assert_eq!(next(&journal), "close Untouched(BackupFailed)");
}

#[test]
fn a_deploy_command_that_was_cut_off_is_unknown_and_never_begun_again() {
    let mut journal = deploy();
    journal
        .done(Action::Baseline, StepOutput::Nothing)
        .done(Action::Capture(resource()), StepOutput::Nothing)
        .done(Action::Seal, StepOutput::Nothing)
        .begun(Action::Deploy);
    assert_eq!(next(&journal), "turn DeployUnknown");
    journal.add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "turn DeployUnknown");
    let mut twice = journal.0.clone();
    let seq = twice.len() as u64;
    twice.push(Record {
        seq,
        at: DateTime::<Utc>::UNIX_EPOCH,
        fact: Fact::Begun {
            step: Step::of(Action::Deploy).id,
        },
    });
    assert!(
        History::of(&twice).is_err(),
        "a journal in which the command runs twice is refused"
    );
}

#[test]
fn a_run_that_was_cut_off_before_the_deploy_command_is_closed_untouched() {
    let mut journal = deploy();
    journal.begun(Action::Baseline).add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "turn Interrupted");
    journal.add(Fact::RollbackBegan {
        why: RollbackCause::Interrupted,
        then: None,
    });
    assert_eq!(next(&journal), "close Untouched(Interrupted)");
}

#[test]
fn the_way_back_is_walked_in_order_and_names_its_cause() {
    for (action, turn) in [
        (Action::Gate, RollbackCause::VerifyFailed),
        (Action::Verify, RollbackCause::VerifyFailed),
        (Action::Watch, RollbackCause::WatchFailed),
    ] {
        let mut journal = deploy();
        journal.deployed();
        for before in [Action::Gate, Action::Verify]
            .into_iter()
            .take_while(|before| *before != action)
        {
            journal.done(before, StepOutput::Nothing);
        }
        journal.failed(action);
        assert_eq!(next(&journal), format!("turn {turn:?}"));
        journal.add(Fact::RollbackBegan { why: turn, then: None });
        assert_eq!(next(&journal), "evidence");
        journal.prepared(Work::Changed(vec!["schema".into()]));
        assert_eq!(next(&journal), "quiesce");
        journal.quiesced().done(Action::Restore(resource()), displaced());
        assert_eq!(next(&journal), "start");
        journal
            .done(Action::Start, StepOutput::Nothing)
            .done(Action::Prove, StepOutput::Nothing);
        assert_eq!(next(&journal), format!("close RolledBack({turn:?})"));
    }
}

#[test]
fn a_deployment_that_changed_nothing_stops_nothing() {
    let mut journal = deploy();
    journal
        .done(Action::Baseline, StepOutput::Nothing)
        .done(Action::Capture(resource()), StepOutput::Nothing)
        .done(Action::Seal, StepOutput::Nothing)
        .failed(Action::Deploy)
        .add(Fact::RollbackBegan {
            why: RollbackCause::DeployFailed,
            then: None,
        })
        .prepared(Work::Unchanged);
    // What ran is started in any case: the command may have stopped it.
    assert_eq!(next(&journal), "start");
    journal.done(Action::Start, StepOutput::Nothing);
    assert_eq!(next(&journal), "prove");
    journal.done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&journal), "close NothingToUndo(DeployFailed)");
}

#[test]
fn a_rollback_by_hand_that_cannot_be_made_ready_has_touched_nothing() {
    let mut journal = Journal::of(plan(RunKind::Rollback, Policy::default()));
    journal.add(Fact::RollbackBegan {
        why: RollbackCause::Asked,
        then: None,
    });
    journal.done(Action::Evidence, StepOutput::Nothing);
    for _ in 0..3 {
        assert_eq!(next(&journal), "prepare/db");
        journal.failed(Action::Prepare(resource()));
    }
    assert_eq!(next(&journal), "close Unprepared(Asked)");

    let mut journal = Journal::of(plan(RunKind::Rollback, Policy::default()));
    journal.add(Fact::RollbackBegan {
        why: RollbackCause::Asked,
        then: None,
    });
    journal.done(Action::Evidence, StepOutput::Nothing);
    journal.begun(Action::Prepare(resource())).add(Fact::Failed {
        step: Step::of(Action::Prepare(resource())).id,
        failure: Failure {
            permanent: true,
            ..Failure::new("the copy is bad")
        },
    });
    assert_eq!(next(&journal), "close Untouched(Asked)");
}

#[test]
fn a_step_back_is_tried_three_times_and_then_a_person_is_needed() {
    let mut journal = deploy();
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: None,
    });
    journal.prepared(Work::Changed(Vec::new())).quiesced();
    for _ in 0..2 {
        journal.failed(Action::Restore(resource()));
        assert_eq!(next(&journal), "restore/db");
    }
    journal.failed(Action::Restore(resource()));
    assert_eq!(next(&journal), "start", "what failed does not keep the rest down");
    journal
        .done(Action::Start, StepOutput::Nothing)
        .done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&journal), "close Stuck(VerifyFailed)");
    journal
        .add(Fact::Closed {
            ending: Ending::Stuck(RollbackCause::VerifyFailed),
            now: None,
        })
        .add(Fact::Reopened { actor: actor() });
    assert_eq!(
        next(&journal),
        "quiesce",
        "what runs again is stopped before data goes back"
    );
    journal
        .done(Action::Quiesce, StepOutput::Nothing)
        .done(Action::Recheck(resource()), StepOutput::Nothing);
    assert_eq!(next(&journal), "restore/db", "a resume tries again");
}

#[test]
fn a_way_back_that_cannot_be_made_ready_leaves_the_release_and_is_not_called_half_way() {
    let mut journal = deploy();
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: Some(OnFailure::Rollback),
    });
    journal.done(Action::Evidence, StepOutput::Nothing);
    for _ in 0..3 {
        assert_eq!(next(&journal), "prepare/db");
        journal.failed(Action::Prepare(resource()));
    }
    // The deploy command may have stopped what ran.
    assert_eq!(next(&journal), "start");
    journal.done(Action::Start, StepOutput::Nothing);
    assert_eq!(next(&journal), "close Unready(VerifyFailed)");
    journal
        .add(Fact::Closed {
            ending: Ending::Unready(RollbackCause::VerifyFailed),
            now: None,
        })
        .add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "prepare/db", "a resume tries again");
}

#[test]
fn what_was_decided_at_the_turn_is_what_is_done() {
    let mut journal = deploy();
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: Some(OnFailure::Hold),
    });
    assert_eq!(
        next(&journal),
        "close Withheld(VerifyFailed)",
        "the policy alone would go back"
    );
}

#[test]
fn the_lack_of_evidence_does_not_keep_production_down() {
    let mut journal = deploy();
    journal
        .deployed()
        .failed(Action::Gate)
        .add(Fact::RollbackBegan {
            why: RollbackCause::VerifyFailed,
            then: None,
        })
        .failed(Action::Evidence);
    assert_eq!(next(&journal), "prepare/db");
}

#[test]
fn an_old_state_that_is_not_well_is_said_to_be_unhealthy() {
    let mut journal = deploy();
    journal
        .deployed()
        .failed(Action::Gate)
        .add(Fact::RollbackBegan {
            why: RollbackCause::VerifyFailed,
            then: None,
        })
        .prepared(Work::Changed(Vec::new()));
    journal
        .quiesced()
        .done(Action::Restore(resource()), displaced())
        .done(Action::Start, StepOutput::Nothing)
        .failed(Action::Prove);
    assert_eq!(next(&journal), "close RestoredUnhealthy(VerifyFailed)");
}

#[test]
fn no_rollback_withholds_and_so_does_the_data_policy() {
    let hold = Policy {
        on_failure: OnFailure::Hold,
        ..Policy::default()
    };
    let mut journal = Journal::of(plan(RunKind::Deploy, hold.clone()));
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: None,
    });
    assert_eq!(next(&journal), "close Withheld(VerifyFailed)");

    let mut journal = deploy();
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: None,
    });
    journal.prepared(Work::Withheld("rows were written".into()));
    assert_eq!(next(&journal), "close Withheld(VerifyFailed)");

    let asked = Journal::of(plan(RunKind::Rollback, hold));
    assert_eq!(next(&asked), "turn Asked", "a person's own wish is not withheld");
}

#[test]
fn a_watch_without_evidence_leaves_the_release_unless_told_otherwise() {
    let inconclusive = StepOutput::Watched {
        tally: Tally::default(),
        inconclusive: Some("too few".into()),
        person: None,
    };
    let mut journal = deploy();
    journal
        .deployed()
        .done(Action::Gate, StepOutput::Nothing)
        .done(Action::Verify, StepOutput::Nothing);
    journal.done(Action::Watch, inconclusive);
    assert_eq!(next(&journal), "close Inconclusive");
}

#[test]
fn what_a_person_decides_during_the_watch_is_done_whatever_the_policy_says() {
    let by = |choice| Intervention {
        choice,
        by: "ada@build-1".into(),
        at: DateTime::UNIX_EPOCH,
        via: Via::Key,
        reason: None,
    };
    let policy = Policy {
        on_failure: OnFailure::Hold,
        on_interrupt: OnFailure::Hold,
        on_inconclusive: OnInconclusive::Rollback,
        ..Policy::default()
    };
    let watched = || {
        let mut journal = Journal::of(plan(RunKind::Deploy, policy.clone()));
        journal
            .deployed()
            .done(Action::Gate, StepOutput::Nothing)
            .done(Action::Verify, StepOutput::Nothing);
        journal
    };
    for action in [Action::Gate, Action::Watch] {
        let mut journal = watched();
        if action == Action::Gate {
            journal = Journal::of(plan(RunKind::Deploy, policy.clone()));
            journal.deployed();
        }
        let step = Step::of(action).id;
        journal.add(Fact::Begun { step: step.clone() }).add(Fact::Failed {
            step,
            failure: Failure {
                person: Some(Box::new(by(Choice::Rollback))),
                ..Failure::new("ada decided")
            },
        });
        assert_eq!(next(&journal), "turn Decided");
        journal.add(Fact::RollbackBegan {
            why: RollbackCause::Decided,
            then: None,
        });
        assert_eq!(
            next(&journal),
            "evidence",
            "`--no-rollback` is about every reason but a person's own"
        );
    }
    let left = |inconclusive: Option<&str>, choice| StepOutput::Watched {
        tally: Tally::default(),
        inconclusive: inconclusive.map(str::to_owned),
        person: Some(Box::new(by(choice))),
    };
    let mut held = watched();
    held.done(Action::Watch, left(Some("held"), Choice::Hold));
    assert_eq!(next(&held), "close Inconclusive");
    let mut accepted = watched();
    accepted.done(Action::Watch, left(None, Choice::Accept));
    assert_eq!(next(&accepted), "close Deployed");
    let mut doubtful = watched();
    doubtful.done(Action::Watch, left(Some("a probe failed"), Choice::Accept));
    assert_eq!(next(&doubtful), "close Inconclusive");
}

#[test]
fn fault_a11_what_was_stopped_is_stopped_again_after_a_resume() {
    let mut journal = deploy();
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: None,
    });
    journal
        .prepared(Work::Changed(vec!["schema".into()]))
        .done(Action::Quiesce, StepOutput::Nothing)
        .done(Action::Recheck(resource()), StepOutput::Nothing)
        .done(Action::Restore(resource()), displaced());
    assert_eq!(next(&journal), "start");
    // The host may have come up again in between, and with it what is set to restart.
    journal.add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "quiesce");
    journal.done(Action::Quiesce, StepOutput::Nothing);
    assert_eq!(next(&journal), "recheck/db");
    journal.done(Action::Recheck(resource()), StepOutput::Nothing);
    assert_eq!(next(&journal), "restore/db", "it is compared with its copy again");
    journal
        .done(Action::Restore(resource()), displaced())
        .done(Action::Start, StepOutput::Nothing)
        .add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "start", "once started, nothing is stopped any more");
}

#[test]
fn fault_a11_a_release_that_had_passed_is_asked_again_after_a_resume() {
    let mut journal = deploy();
    journal
        .deployed()
        .done(Action::Gate, StepOutput::Nothing)
        .done(Action::Verify, StepOutput::Nothing)
        .done(
            Action::Watch,
            StepOutput::Watched {
                tally: Tally::default(),
                inconclusive: None,
                person: None,
            },
        );
    assert_eq!(next(&journal), "close Deployed");
    journal.add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "gate");
}

#[test]
fn fault_a11_work_that_was_found_late_is_not_looked_for_again() {
    let changed = |work| {
        StepOutput::Prepared(Prepared {
            resource: resource(),
            work,
            details: Value::Null,
            price: Vec::new(),
        })
    };
    let mut journal = deploy();
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: None,
    });
    // It may be swapped in already, and would be found unchanged then.
    journal
        .prepared(Work::Changed(vec!["schema".into()]))
        .done(Action::Quiesce, StepOutput::Nothing)
        .done(Action::Recheck(resource()), changed(Work::Changed(vec!["rows".into()])))
        .begun(Action::Restore(resource()))
        .add(Fact::Reopened { actor: actor() })
        .done(Action::Quiesce, StepOutput::Nothing);
    assert_eq!(next(&journal), "restore/db");
}

/// A run of two resources, of which one is data.
fn two() -> Journal {
    let mut plan = plan(RunKind::Deploy, Policy::default());
    let code: ResourceName = "code".parse().unwrap();
    plan.back[1].steps.push(Step::of(Action::Prepare(code.clone())));
    plan.back.insert(5, stage(StageName::Code, vec![Action::Restore(code)]));
    let mut journal = Journal::of(plan);
    journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
        why: RollbackCause::VerifyFailed,
        then: None,
    });
    journal.done(Action::Evidence, StepOutput::Nothing);
    journal
}

fn code() -> ResourceName {
    "code".parse().unwrap()
}

fn code_changed() -> StepOutput {
    StepOutput::Prepared(Prepared {
        resource: code(),
        work: Work::Changed(vec!["commit".into()]),
        details: Value::Null,
        price: Vec::new(),
    })
}

fn for_good(journal: &mut Journal, action: Action) {
    let step = Step::of(action).id;
    journal.add(Fact::Begun { step: step.clone() }).add(Fact::Failed {
        step,
        failure: Failure {
            permanent: true,
            ..Failure::new("it cannot be")
        },
    });
}

/// What was left for later is told once it is back, whatever was proven, and whether it can be told changes nothing.
#[test]
fn a_price_that_was_left_for_later_is_told_at_the_end() {
    let later = |is_later: bool, work: Work| {
        StepOutput::Prepared(Prepared {
            resource: resource(),
            work,
            details: json!({ PRICE_LATER: is_later }),
            price: Vec::new(),
        })
    };
    let back = |prepared: StepOutput| {
        let mut journal = Journal::of(plan(RunKind::Deploy, Policy::default()));
        journal.deployed().failed(Action::Gate).add(Fact::RollbackBegan {
            why: RollbackCause::VerifyFailed,
            then: Some(OnFailure::Rollback),
        });
        journal
            .done(Action::Evidence, StepOutput::Nothing)
            .done(Action::Prepare(resource()), prepared);
        journal
    };
    let changed = || Work::Changed(vec!["schema".into()]);
    let mut journal = back(later(true, changed()));
    journal
        .quiesced()
        .done(Action::Restore(resource()), displaced())
        .done(Action::Start, StepOutput::Nothing);
    let mut unproven = Journal(journal.0.clone());
    journal.done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&journal), "price/db");
    let mut cut_off = Journal(journal.0.clone());
    cut_off.begun(Action::Price(resource()));
    assert_eq!(next(&cut_off), "price/db", "it is told all the same");
    let mut failed = Journal(journal.0.clone());
    failed.failed(Action::Price(resource()));
    assert_eq!(next(&failed), "close RolledBack(VerifyFailed)", "and not tried again");
    let told = || StepOutput::Priced {
        resource: resource(),
        price: vec!["discards 1 row".into()],
    };
    journal.done(Action::Price(resource()), told());
    assert_eq!(next(&journal), "close RolledBack(VerifyFailed)");
    unwell(&mut unproven);
    assert_eq!(next(&unproven), "price/db");
    unproven.done(Action::Price(resource()), told());
    assert_eq!(next(&unproven), "close RestoredUnhealthy(VerifyFailed)");
    // Told before, or nothing is put back: there is nothing to tell.
    for prepared in [later(false, changed()), later(true, Work::Left("rows".into()))] {
        let mut journal = back(prepared);
        journal.quiesced();
        journal
            .done(Action::Restore(resource()), displaced())
            .done(Action::Start, StepOutput::Nothing)
            .done(Action::Prove, StepOutput::Nothing);
        assert_eq!(next(&journal), "close RolledBack(VerifyFailed)");
    }
    // What could not be put back has cost nothing.
    let mut stuck = back(later(true, changed()));
    stuck.quiesced();
    for_good(&mut stuck, Action::Restore(resource()));
    stuck
        .done(Action::Start, StepOutput::Nothing)
        .done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&stuck), "close Stuck(VerifyFailed)");
}

#[test]
fn what_cannot_be_made_ready_keeps_only_itself_from_going_back() {
    let mut journal = two();
    for_good(&mut journal, Action::Prepare(resource()));
    assert_eq!(next(&journal), "prepare/code");
    journal.done(Action::Prepare(code()), code_changed());
    assert_eq!(next(&journal), "quiesce");
    journal.done(Action::Quiesce, StepOutput::Nothing);
    assert_eq!(
        next(&journal),
        "restore/code",
        "what is not ready is neither looked at nor swapped"
    );
    journal
        .done(Action::Restore(code()), displaced())
        .done(Action::Start, StepOutput::Nothing)
        .done(Action::Prove, StepOutput::Nothing);
    assert_eq!(
        next(&journal),
        "close Stuck(VerifyFailed)",
        "and the end does not call all of it back"
    );
    journal
        .add(Fact::Closed {
            ending: Ending::Stuck(RollbackCause::VerifyFailed),
            now: None,
        })
        .add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&journal), "prepare/db");
    let mut skipped = Journal(journal.0.clone());
    skipped.add(Fact::LeftOut {
        resources: vec![resource()],
    });
    assert_eq!(
        next(&skipped),
        "start",
        "left as it is, nothing has to be stopped for it"
    );
    skipped
        .done(Action::Start, StepOutput::Nothing)
        .done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&skipped), "close RolledBack(VerifyFailed)");
    journal.done(Action::Prepare(resource()), found(Work::Changed(vec!["schema".into()])));
    assert_eq!(next(&journal), "quiesce", "what runs again is stopped once more");
    journal.done(Action::Quiesce, StepOutput::Nothing);
    assert_eq!(next(&journal), "recheck/db");
    journal.done(Action::Recheck(resource()), StepOutput::Nothing);
    assert_eq!(next(&journal), "restore/db");
    journal.done(Action::Restore(resource()), displaced());
    assert_eq!(next(&journal), "start", "what is back is not put back again");
}

fn unwell(journal: &mut Journal) {
    let step = Step::of(Action::Prove).id;
    journal.add(Fact::Begun { step: step.clone() }).add(Fact::Failed {
        step,
        failure: Failure {
            finding: Some(Finding {
                probe: "app".parse().unwrap(),
                cause: FindingCause::Outage,
                sentence: "app failed 3 times in a row".into(),
            }),
            ..Failure::new("app failed 3 times in a row")
        },
    });
}

/// A way back on which the database was left alone and the code went back, up to the proof.
fn left_alone() -> Journal {
    let mut journal = two();
    let left = Work::Left("rows were written but the schema is as before".into());
    journal
        .done(Action::Prepare(resource()), found(left.clone()))
        .done(Action::Prepare(code()), code_changed())
        .done(Action::Quiesce, StepOutput::Nothing)
        .done(Action::Recheck(resource()), found(left))
        .done(Action::Restore(resource()), displaced())
        .done(Action::Restore(code()), displaced())
        .done(Action::Start, StepOutput::Nothing);
    journal
}

#[test]
fn data_that_was_left_alone_goes_back_where_what_is_back_does_not_come_up() {
    let mut journal = left_alone();
    unwell(&mut journal);
    assert_eq!(next(&journal), "widen db");
    journal.add(Fact::Widened {
        resources: vec![resource()],
    });
    assert!(journal.history().is_widened(&resource()));
    assert_eq!(next(&journal), "prepare/db", "and nothing else is made ready again");
    journal.done(
        Action::Prepare(resource()),
        found(Work::Changed(vec!["table jobs".into()])),
    );
    assert_eq!(next(&journal), "quiesce", "what runs by now is stopped once more");
    // Killed in the midst, and taken up: what went back before is not put back again, since services ran on it.
    let mut cut_off = Journal(journal.0.clone());
    cut_off.begun(Action::Quiesce).add(Fact::Reopened { actor: actor() });
    assert_eq!(next(&cut_off), "quiesce");
    cut_off.done(Action::Quiesce, StepOutput::Nothing);
    assert_eq!(next(&cut_off), "recheck/db");
    journal.done(Action::Quiesce, StepOutput::Nothing);
    journal.done(Action::Recheck(resource()), StepOutput::Nothing);
    assert_eq!(next(&journal), "restore/db");
    journal.done(Action::Restore(resource()), displaced());
    assert_eq!(next(&journal), "start");
    journal.done(Action::Start, StepOutput::Nothing);
    assert_eq!(next(&journal), "prove");
    let mut well = Journal(journal.0.clone());
    well.done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&well), "close RolledBack(VerifyFailed)");
    unwell(&mut journal);
    assert_eq!(
        next(&journal),
        "close RestoredUnhealthy(VerifyFailed)",
        "once is enough"
    );
}

#[test]
fn data_is_left_alone_where_the_proof_says_nothing_of_it_or_the_policy_forbids() {
    let mut journal = left_alone();
    journal.failed(Action::Prove);
    assert_eq!(
        next(&journal),
        "close RestoredUnhealthy(VerifyFailed)",
        "what could not be looked at is not unwell"
    );
    for policy in [DataRestore::Never, DataRestore::IfNoWrites, DataRestore::Always] {
        let mut journal = left_alone();
        if let Fact::Opened { plan, .. } = &mut journal.0[0].fact {
            plan.policy.data_restore = policy;
        }
        unwell(&mut journal);
        assert_eq!(next(&journal), "close RestoredUnhealthy(VerifyFailed)", "{policy:?}");
    }
    let mut skipped = left_alone();
    skipped.add(Fact::LeftOut {
        resources: vec![resource()],
    });
    unwell(&mut skipped);
    assert_eq!(next(&skipped), "close RestoredUnhealthy(VerifyFailed)");
}

#[test]
fn data_is_not_swapped_under_what_could_not_be_stopped() {
    let mut journal = two();
    journal
        .done(Action::Prepare(resource()), found(Work::Changed(vec!["schema".into()])))
        .done(Action::Prepare(code()), code_changed());
    for_good(&mut journal, Action::Quiesce);
    assert_eq!(next(&journal), "restore/code");
    journal
        .done(Action::Restore(code()), displaced())
        .done(Action::Start, StepOutput::Nothing)
        .done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&journal), "close Stuck(VerifyFailed)");
}

#[test]
fn a_way_back_that_could_put_nothing_back_says_so_and_starts_what_ran() {
    let mut journal = two();
    for_good(&mut journal, Action::Prepare(resource()));
    for_good(&mut journal, Action::Prepare(code()));
    assert_eq!(next(&journal), "start");
    journal
        .done(Action::Start, StepOutput::Nothing)
        .done(Action::Prove, StepOutput::Nothing);
    assert_eq!(next(&journal), "close Unready(VerifyFailed)");
    let mut down = two();
    for_good(&mut down, Action::Prepare(resource()));
    for_good(&mut down, Action::Prepare(code()));
    for_good(&mut down, Action::Start);
    assert_eq!(
        next(&down),
        "close Stuck(VerifyFailed)",
        "services that are down are half-way"
    );
}

/// Every way in which each step back may go, for two resources of which one is data: whatever fails, the run ends, what ran
/// was to be started, and only a run whose every part is back is called rolled back.
#[test]
fn whatever_fails_on_the_way_back_what_ran_is_started_and_nothing_else_is_called_back() {
    let ids = [
        "prepare/db",
        "prepare/code",
        "quiesce",
        "recheck/db",
        "restore/db",
        "restore/code",
        "start",
        "prove",
    ];
    let mut endings = std::collections::BTreeSet::new();
    for mask in 0..(1_u32 << ids.len()) {
        let fails = |id: &str| {
            ids.iter()
                .position(|one| *one == id)
                .is_some_and(|at| mask & (1 << at) != 0)
        };
        let mut journal = two();
        let mut begun: Vec<String> = Vec::new();
        let ending = loop {
            assert!(begun.len() < 40, "{mask:b} does not end: {begun:?}");
            let history = journal.history();
            match decide(&history) {
                Next::Begin(_, steps) => {
                    for step in steps {
                        begun.push(step.id.to_string());
                        let action = step.action.clone();
                        if fails(step.id.as_str()) {
                            for_good(&mut journal, action);
                            continue;
                        }
                        let yields = match &action {
                            Action::Prepare(name) if name == &resource() => found(Work::Changed(vec!["schema".into()])),
                            Action::Prepare(_) => code_changed(),
                            Action::Restore(_) => displaced(),
                            _ => StepOutput::Nothing,
                        };
                        journal.done(action, yields);
                    }
                }
                Next::Close(ending) => break ending,
                other => panic!("{mask:b}: {other:?}"),
            }
        };
        let is_back = |name: &str| begun.contains(&format!("restore/{name}")) && !fails(&format!("restore/{name}"));
        let all_back = is_back("db") && is_back("code") && !fails("start") && !fails("quiesce");
        assert!(begun.contains(&"start".to_owned()), "{mask:b}: {begun:?}");
        assert_eq!(
            matches!(ending, Ending::RolledBack(_) | Ending::RestoredUnhealthy(_)),
            all_back && !fails("recheck/db"),
            "{mask:b}: {ending:?} after {begun:?}"
        );
        assert_eq!(
            matches!(ending, Ending::RolledBack(_)),
            all_back && !fails("recheck/db") && !fails("prove")
        );
        let touched = begun.iter().any(|id| id.starts_with("restore/"));
        if !touched && !fails("start") {
            assert!(
                matches!(ending, Ending::Unready(_)),
                "{mask:b}: {ending:?} after {begun:?}"
            );
        }
        endings.insert(format!("{ending:?}"));
    }
    assert_eq!(endings.len(), 4, "{endings:?}");
}

#[test]
fn a_state_that_was_never_restored_is_not_proven_and_a_proof_that_a_person_stopped_is_taken_up_again() {
    let mut journal = two();
    journal
        .done(Action::Prepare(resource()), found(Work::Changed(vec!["schema".into()])))
        .done(Action::Prepare(code()), found(Work::Unchanged));
    for_good(&mut journal, Action::Quiesce);
    journal.done(Action::Restore(code()), displaced());
    assert_eq!(next(&journal), "start");
    journal.done(Action::Start, StepOutput::Nothing);
    assert_eq!(next(&journal), "close Unready(VerifyFailed)");
    let mut stopped = two();
    stopped
        .done(Action::Prepare(resource()), found(Work::Unchanged))
        .done(Action::Prepare(code()), found(Work::Unchanged))
        .done(Action::Start, StepOutput::Nothing);
    assert_eq!(next(&stopped), "prove");
    let step = Step::of(Action::Prove).id;
    stopped.add(Fact::Begun { step: step.clone() }).add(Fact::Failed {
        step,
        failure: Failure {
            interrupted: true,
            ..Failure::new("stopped")
        },
    });
    assert_eq!(next(&stopped), "prove");
}
