//! Every ending has its code, its state of production, its last words and its next command.

use guard::model::exit::{ExitCode, TABLE};
use guard::model::fact::{Ending, RollbackCause, StepOutput, UNSEEN};
use guard::model::name::RunKind;
use guard::model::secret::Redaction;
use guard::report::closing::Closing;
use guard::report::result::Outcome;
use guard::report::run_view::RunView;
use insta::assert_snapshot;

use super::capture::{said, style};
use super::records::{Journal, deployed, name, opened, walked_back, watch_failure};
use guard::model::artifact::{Prepared, Work};
use guard::model::plan::Action;
use guard::report::style::Form;

const TURNS: [RollbackCause; 9] = [
    RollbackCause::BackupFailed,
    RollbackCause::DeployFailed,
    RollbackCause::DeployUnknown,
    RollbackCause::VerifyFailed,
    RollbackCause::WatchFailed,
    RollbackCause::Inconclusive,
    RollbackCause::Interrupted,
    RollbackCause::Asked,
    RollbackCause::Decided,
];

fn every_ending() -> Vec<Ending> {
    let forms: [fn(RollbackCause) -> Ending; 8] = [
        Ending::Untouched,
        Ending::Unprepared,
        Ending::RolledBack,
        Ending::NothingToUndo,
        Ending::Withheld,
        Ending::RestoredUnhealthy,
        Ending::Unready,
        Ending::Stuck,
    ];
    let turned = forms.iter().flat_map(|form| TURNS.map(form));
    [
        Ending::Captured,
        Ending::Deployed,
        Ending::Inconclusive,
        Ending::Abandoned,
    ]
    .into_iter()
    .chain(turned)
    .collect()
}

#[test]
fn the_codes_are_those_that_are_promised() {
    let promised = [
        (Ending::Captured, 0, "untouched"),
        (Ending::Deployed, 0, "new, verified"),
        (Ending::RolledBack(RollbackCause::Asked), 0, "old, verified"),
        (Ending::Untouched(RollbackCause::BackupFailed), 11, "untouched"),
        (Ending::Untouched(RollbackCause::Interrupted), 14, "untouched"),
        (Ending::Untouched(RollbackCause::Asked), 40, "untouched"),
        (Ending::Unprepared(RollbackCause::Asked), 10, "untouched"),
        (Ending::RolledBack(RollbackCause::DeployFailed), 20, "old, verified"),
        (Ending::RolledBack(RollbackCause::DeployUnknown), 20, "old, verified"),
        (Ending::RolledBack(RollbackCause::VerifyFailed), 21, "old, verified"),
        (Ending::RolledBack(RollbackCause::WatchFailed), 22, "old, verified"),
        (Ending::RolledBack(RollbackCause::Inconclusive), 22, "old, verified"),
        (Ending::RolledBack(RollbackCause::Interrupted), 23, "old, verified"),
        (Ending::RolledBack(RollbackCause::Decided), 23, "old, verified"),
        (Ending::NothingToUndo(RollbackCause::DeployFailed), 24, "old, verified"),
        (Ending::Stuck(RollbackCause::WatchFailed), 30, "mixed"),
        (Ending::Withheld(RollbackCause::VerifyFailed), 31, "new, failed"),
        (
            Ending::RestoredUnhealthy(RollbackCause::DeployFailed),
            32,
            "old, unhealthy",
        ),
        (Ending::Inconclusive, 34, "new, unproven"),
        (Ending::Abandoned, 35, "as it was left"),
        (Ending::Unready(RollbackCause::WatchFailed), 36, "new, failed"),
    ];
    for (ending, code, production) in promised {
        assert_eq!(ending.exit_code().number(), code, "{ending:?}");
        assert_eq!(ending.production(), production, "{ending:?}");
    }
    let numbers: Vec<u8> = TABLE.iter().map(|row| row.code.number()).collect();
    assert_eq!(
        numbers,
        [
            0, 2, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40, 41, 70
        ]
    );
}

#[test]
fn code_and_state_of_every_ending_agree_with_the_table() {
    for ending in every_ending() {
        let row = ending.exit_code().meaning().expect("in the table");
        if ending.exit_code() != ExitCode::DONE {
            assert_eq!(ending.production(), row.production, "{ending:?}");
        }
        let good = matches!(
            ending,
            Ending::Captured
                | Ending::Deployed
                | Ending::RolledBack(RollbackCause::Asked)
                | Ending::NothingToUndo(RollbackCause::Asked)
        );
        assert_eq!(ending.is_good(), good, "{ending:?}");
    }
}

#[test]
fn the_very_last_line_is_the_verdict_and_the_result_agrees() {
    for kind in [RunKind::Deploy, RunKind::Rollback, RunKind::Undo, RunKind::Backup] {
        for ending in every_ending() {
            let journal = opened(kind).closed(9, ending);
            let text = said(style(Form::Plain), journal.events());
            let last = text.lines().last().unwrap();
            let code = ending.exit_code().number();
            let production = ending.production_after(kind);
            let expected = if code == 0 {
                format!("[INFO] Production is {production}.")
            } else {
                format!("[ERROR] Production is {production} (exit code {code}).")
            };
            assert_eq!(last, expected, "{kind:?} {ending:?}");
            let result = Outcome::of(&journal.0, None, "guard");
            assert_eq!(
                (result.exit_code.number(), result.production.as_str()),
                (code, production)
            );
            assert!(
                result.next.unwrap().command.starts_with("guard "),
                "{kind:?} {ending:?}"
            );
        }
    }
}

fn last_words(journal: Journal, ending: Ending) -> String {
    let text = said(style(Form::Plain), journal.closed(60, ending).events());
    let lines: Vec<&str> = text.lines().collect();
    let from = lines
        .iter()
        .rposition(|line| line.starts_with("[WARN]") || line.starts_with("[STEP]"));
    lines[from.map_or(1, |at| at + 1)..].join("\n")
}

#[test]
fn a_good_deployment_says_how_to_go_back() {
    let words = last_words(opened(RunKind::Deploy), Ending::Deployed);
    assert_eq!(
        words,
        "[INFO] The new release is live: deployed, verified and watched.\n\
         [INFO] To go back to the state before it: guard rollback --backup-timestamp=20251022_153000\n\
         [INFO] Production is new, verified."
    );
}

#[test]
fn a_failure_is_told_in_four_parts() {
    let journal = deployed()
        .failed(50, Action::Watch, watch_failure())
        .turned(50, RollbackCause::WatchFailed);
    assert_eq!(
        last_words(journal, Ending::RolledBack(RollbackCause::WatchFailed)),
        "[ERROR] The watch found the release bad\n\
         [ERROR]   why: backend failed 12 times in a row over 11 s (connection refused)\n\
         [ERROR]   guard: The watch found the release bad; rolled back to 20251022_153000, and proven.\n\
         [ERROR]   now, to see what is kept of the failed state: guard status\n\
         [ERROR] Production is old, verified (exit code 22)."
    );
}

#[test]
fn a_run_that_changed_nothing_offers_the_same_command_again() {
    assert_eq!(
        last_words(
            opened(RunKind::Deploy),
            Ending::NothingToUndo(RollbackCause::DeployFailed)
        ),
        "[ERROR] The deploy command failed\n\
         [ERROR]   guard: The deploy command failed; there was nothing to put back.\n\
         [ERROR]   now, to try again: guard deploy -- ./deploy.sh --to 'new version'\n\
         [ERROR] Production is old, verified (exit code 24)."
    );
}

#[test]
fn a_stuck_run_tells_what_is_in_the_way_and_why_it_went_back() {
    let obstacle = guard::model::fact::Failure {
        chain: vec![
            "could not rename the database app".into(),
            "no space left on device".into(),
        ],
        ..guard::model::fact::Failure::new("")
    };
    let journal = deployed()
        .failed(50, Action::Watch, watch_failure())
        .turned(50, RollbackCause::WatchFailed)
        .begun(51, Action::Restore(super::records::name("db")))
        .failed(52, Action::Restore(super::records::name("db")), obstacle);
    let words = last_words(journal, Ending::Stuck(RollbackCause::WatchFailed));
    assert_eq!(
        words,
        "[ERROR] Step 3: put databases and volumes back: restore/db failed: could not rename the database app: \
         no space left on device\n\
         [ERROR] Could not go back: restore/db failed\n\
         [ERROR]   why: could not rename the database app\n\
         [ERROR]   why: no space left on device\n\
         [ERROR]   why: the run was going back because backend failed 12 times in a row over 11 s (connection refused)\n\
         [ERROR]   guard: The way back stopped half-way: a part of production is old, a part is new.\n\
         [ERROR]   guard: Not back: db\n\
         [ERROR]   now, to continue: guard resume\n\
         [ERROR] Production is mixed (exit code 30)."
    );
}

#[test]
fn what_nobody_looked_at_is_not_called_verified_or_proven() {
    let unwatched = deployed().done(50, Action::Watch, StepOutput::Nothing);
    let words = last_words(unwatched, Ending::Deployed);
    assert_eq!(
        words,
        "[INFO] The new release is deployed. No probe is set, so nobody has seen whether it is well.\n\
         [INFO] To go back to the state before it: guard rollback --backup-timestamp=20251022_153000\n\
         [INFO] Production is new, unverified."
    );
    for (kind, production) in [(RunKind::Rollback, "old"), (RunKind::Undo, "restored")] {
        let journal = opened(kind).done(50, Action::Prove, StepOutput::Proven(vec![UNSEEN.to_owned()]));
        let words = last_words(journal, Ending::RolledBack(RollbackCause::Asked));
        assert!(words.contains("whether it is well is not known"), "{words}");
        assert!(!words.contains("proven"), "{words}");
        assert!(
            words.ends_with(&format!("Production is {production}, unverified.")),
            "{words}"
        );
    }
}

#[test]
fn the_sentences_of_the_other_endings() {
    let of = |kind, ending| {
        let view = RunView::of(&opened(kind).0);
        let closing = Closing::of(&view, ending, "guard -C /srv/shop");
        format!("{} > {}", closing.sentence, closing.next.unwrap().command)
    };
    let told = [
        of(RunKind::Backup, Ending::Captured),
        of(RunKind::Deploy, Ending::Inconclusive),
        of(RunKind::Deploy, Ending::Untouched(RollbackCause::BackupFailed)),
        of(RunKind::Backup, Ending::Untouched(RollbackCause::Interrupted)),
        of(RunKind::Rollback, Ending::RolledBack(RollbackCause::Asked)),
        of(RunKind::Undo, Ending::RolledBack(RollbackCause::Asked)),
        of(RunKind::Undo, Ending::RestoredUnhealthy(RollbackCause::Asked)),
        of(RunKind::Rollback, Ending::Unprepared(RollbackCause::Asked)),
        of(RunKind::Rollback, Ending::NothingToUndo(RollbackCause::Asked)),
        of(RunKind::Rollback, Ending::Withheld(RollbackCause::Asked)),
        of(RunKind::Deploy, Ending::Withheld(RollbackCause::VerifyFailed)),
        of(RunKind::Deploy, Ending::RestoredUnhealthy(RollbackCause::DeployFailed)),
    ];
    let expected = [
        "Backup 20251022_153000 is complete and proven. > guard -C /srv/shop show 20251022_153000",
        "The release was left in place, but too little was seen to say that it is well. > guard -C /srv/shop rollback --backup-timestamp=20251022_153000",
        "There is no sound backup, so the deploy command was not run. > guard -C /srv/shop check",
        "The run ended before it changed anything. > guard -C /srv/shop deploy -- ./deploy.sh --to 'new version'",
        "Rolled back to 20251022_153000, and proven. > guard -C /srv/shop rollback --undo",
        "The state that the last rollback put aside is back, and proven. > guard -C /srv/shop rollback --undo",
        "The state that the last rollback put aside is back; it does not pass its probes. > guard -C /srv/shop rollback --undo",
        "The way back to 20251022_153000 could not be made ready, so nothing was put back. > guard -C /srv/shop check",
        "There was nothing to put back: what goes back by itself is as backup 20251022_153000 has it. > guard -C /srv/shop list",
        "The rollback was withheld by the data policy; nothing was put back. > guard -C /srv/shop rollback --backup-timestamp=20251022_153000 --data-restore=always",
        "The verification failed; the rollback was withheld, and the failed release is still there. > guard -C /srv/shop rollback --backup-timestamp=20251022_153000",
        "Rolled back to 20251022_153000, but that state does not pass its probes. > guard -C /srv/shop check",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_result_holds_what_happened() {
    let redaction = Redaction::default();
    redaction.learn("new version");
    let value = Outcome::of(
        &walked_back().0,
        Some(std::path::Path::new("/state/runs/x/incident.md")),
        "guard",
    )
    .to_value(&redaction);
    assert_snapshot!("result", format!("{value:#}"));
    let again = Outcome::of(
        &opened(RunKind::Deploy)
            .closed(9, Ending::NothingToUndo(RollbackCause::DeployFailed))
            .0,
        None,
        "guard",
    );
    let command = again.to_value(&redaction)["next"]["command"].to_string();
    assert_eq!(
        command, r#""guard deploy -- ./deploy.sh --to '[REDACTED]'""#,
        "a secret in the command is not repeated"
    );
    let open = Outcome::of(&deployed().0, None, "guard");
    assert_eq!((open.outcome.as_str(), open.exit_code), ("cut-off", ExitCode::CUT_OFF));
    assert_eq!(open.next.unwrap().command, "guard resume");
}

/// A journal of before told in words alone that the backup was not whole any more.
#[test]
fn a_backup_that_is_gone_is_told_alike_in_a_journal_of_before() {
    let read = |text: &str| serde_json::from_str::<Work>(text).unwrap();
    let old = read(r#"{"withheld":"the backup is not whole any more: db/dump.pgc is missing"}"#);
    assert_eq!(old, Work::Gone("db/dump.pgc is missing".to_owned()));
    let kept = read(r#"{"withheld":"rows were written"}"#);
    assert_eq!(kept, Work::Withheld("rows were written".to_owned()));
    let told = |work: Work| {
        let prepared = StepOutput::Prepared(Prepared {
            resource: name("db"),
            work,
            details: serde_json::Value::Null,
            price: Vec::new(),
        });
        let journal = deployed().done(50, Action::Prepare(name("db")), prepared);
        last_words(journal, Ending::Withheld(RollbackCause::VerifyFailed))
    };
    let words = told(old);
    assert!(
        words.contains("not put back, since the backup is not whole any more: db/dump.pgc is missing"),
        "{words}"
    );
    assert!(words.contains("to see which backups are left: guard list"), "{words}");
    assert!(!told(kept).contains("guard list"));
}
