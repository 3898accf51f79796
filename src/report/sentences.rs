//! What is said of each ending: one sentence, and the next command with its purpose.

use guard_model::fact::{Ending, RollbackCause};
use guard_model::intervention::{Choice, Intervention};
use guard_model::name::RunKind;

/// The end of a sentence about a state that was put back, where no probe is set.
const UNSEEN: &str = ". What was put back is as it was; no probe is set, so whether it is well is not known.";

/// Why a run turned back, as a sentence without its full stop.
#[must_use]
pub fn reason(turn: RollbackCause) -> &'static str {
    match turn {
        RollbackCause::Refused => "Production was not well before the deployment",
        RollbackCause::BackupFailed => "The backup could not be made or proven",
        RollbackCause::DeployFailed => "The deploy command failed",
        RollbackCause::DeployUnknown => "guard was cut off while the deploy command ran, so its outcome is unknown",
        RollbackCause::VerifyFailed => "The verification failed",
        RollbackCause::SwitchFailed => "Traffic could not be switched to the release",
        RollbackCause::WatchFailed => "The watch found the release bad",
        RollbackCause::Inconclusive => "The watch saw too little to judge the release",
        RollbackCause::Interrupted => "The run was interrupted",
        RollbackCause::Asked => "Going back was asked for",
        RollbackCause::Decided => "A person decided to roll back",
    }
}

/// The sentence, and the next command with its purpose, of a run that went ahead.
pub(super) fn of_deploy(ending: Ending, kind: RunKind, backup: &str, again: String) -> (String, &'static str, String) {
    let back = format!("rollback --backup-timestamp={backup}");
    let check = "check".to_owned();
    match ending {
        Ending::Captured => (
            format!("Backup {backup} is complete and proven."),
            "to look at it",
            format!("show {backup}"),
        ),
        Ending::Deployed => (
            "The new release is live: deployed, verified and watched.".to_owned(),
            "to go back to the state before it",
            back,
        ),
        Ending::Inconclusive => (
            "The release was left in place, but too little was seen to say that it is well.".to_owned(),
            "to go back",
            back,
        ),
        Ending::Untouched(RollbackCause::BackupFailed) if kind == RunKind::Deploy => (
            "There is no sound backup, so the deploy command was not run.".to_owned(),
            "to see what is in the way",
            check,
        ),
        Ending::Untouched(RollbackCause::BackupFailed) => (
            "There is no sound backup.".to_owned(),
            "to see what is in the way",
            check,
        ),
        Ending::Untouched(RollbackCause::Asked) => (
            format!("Backup {backup} could not be made ready, so nothing was put back."),
            "to see the other backups",
            "list".to_owned(),
        ),
        Ending::Unprepared(_) => (
            format!("The way back to {backup} could not be made ready, so nothing was put back."),
            "to see what is in the way",
            check,
        ),
        Ending::Untouched(_) if kind == RunKind::Deploy => {
            ("The deploy command was not run.".to_owned(), "to try again", again)
        }
        Ending::Untouched(_) => (
            "The run ended before it changed anything.".to_owned(),
            "to try again",
            again,
        ),
        Ending::RolledBack(turn) => (
            format!("{}; rolled back to {backup}, and proven.", reason(turn)),
            "to see what is kept of the failed state",
            "status".to_owned(),
        ),
        Ending::NothingToUndo(turn) => (
            format!("{}; there was nothing to put back.", reason(turn)),
            "to try again",
            again,
        ),
        Ending::Withheld(turn) => (
            format!(
                "{}; the rollback was withheld, and the failed release is still there.",
                reason(turn)
            ),
            "to go back",
            back,
        ),
        Ending::RestoredUnhealthy(_) => (
            format!("Rolled back to {backup}, but that state does not pass its probes."),
            "to see which, and why",
            check,
        ),
        Ending::Abandoned => (
            "A person has ended the run as things were; what it kept is still there.".to_owned(),
            "to see what is kept",
            "status".to_owned(),
        ),
        Ending::Unready(turn) => (
            format!(
                "{}; the way back to {backup} could not be made ready, so nothing was put back, and the failed release is \
                 still there.",
                reason(turn)
            ),
            "to try again to go back, once that is mended",
            "resume".to_owned(),
        ),
        Ending::Stuck(_) => (
            "The way back stopped half-way: a part of production is old, a part is new.".to_owned(),
            "to continue",
            "resume".to_owned(),
        ),
    }
}

/// The sentence and the state of production where the deploy command changed nothing: it is no new release.
pub(super) fn unchanged(ending: Ending, sentence: String, production: &'static str) -> (String, &'static str) {
    match (ending, production) {
        (Ending::Deployed, "new, verified") => (
            "The deploy command ended well and changed nothing: production is as it was, verified and watched.".to_owned(),
            "unchanged, verified",
        ),
        (Ending::Deployed, "new, unverified") => (
            "The deploy command ended well and changed nothing. No probe is set, so nobody has seen whether production is well."
                .to_owned(),
            "unchanged, unverified",
        ),
        _ => (sentence, production),
    }
}

/// The sentence and the state of production where a person ended the watch and the release stays.
pub(super) fn decided(
    ending: Ending,
    person: &Intervention,
    sentence: String,
    production: &'static str,
) -> (String, &'static str) {
    match ending {
        Ending::Deployed => (
            format!(
                "The new release is live: {} before the watch was over.",
                person.sentence()
            ),
            "new, accepted",
        ),
        Ending::Inconclusive if person.choice == Choice::Accept => (
            format!(
                "The release was left in place: {} while a probe failed.",
                person.sentence()
            ),
            production,
        ),
        Ending::Inconclusive => (format!("{}, for a person to look at.", person.sentence()), production),
        _ => (sentence, production),
    }
}

/// The same for a run that a person asked to go back.
pub(super) fn asked(ending: Ending, kind: RunKind, backup: &str, again: String) -> (String, &'static str, String) {
    let undo = "rollback --undo".to_owned();
    match ending {
        Ending::RolledBack(_) if kind == RunKind::Undo => (
            "The state that the last rollback put aside is back, and proven.".to_owned(),
            "to change the two states again",
            undo,
        ),
        Ending::RolledBack(_) => (
            format!("Rolled back to {backup}, and proven."),
            "to return to the state before",
            undo,
        ),
        Ending::RestoredUnhealthy(_) if kind == RunKind::Undo => (
            "The state that the last rollback put aside is back; it does not pass its probes.".to_owned(),
            "to change the two states again",
            undo,
        ),
        Ending::NothingToUndo(_) => (
            format!("There was nothing to put back: what goes back by itself is as backup {backup} has it."),
            "to see other backups",
            "list".to_owned(),
        ),
        Ending::Withheld(_) => (
            "The rollback was withheld by the data policy; nothing was put back.".to_owned(),
            "to put data back all the same",
            format!("rollback --backup-timestamp={backup} --data-restore=always"),
        ),
        other => of_deploy(other, kind, backup, again),
    }
}

/// The sentence and the state of production where no probe is set: what nobody looked at is not called verified.
pub(super) fn unseen(
    ending: Ending,
    verified: bool,
    sentence: String,
    production: &'static str,
) -> (String, &'static str) {
    let alone = |text: &str| sentence.replace(", and proven.", text);
    match (ending, production) {
        (Ending::Deployed, _) if verified => (
            "The new release is live: deployed and verified. No probe is set, so nobody watched it.".to_owned(),
            production,
        ),
        (Ending::Deployed, _) => (
            "The new release is deployed. No probe is set, so nobody has seen whether it is well.".to_owned(),
            "new, unverified",
        ),
        (Ending::RolledBack(_) | Ending::NothingToUndo(_), "restored, verified") => {
            (alone(UNSEEN), "restored, unverified")
        }
        (Ending::RolledBack(_) | Ending::NothingToUndo(_), _) => (alone(UNSEEN), "old, unverified"),
        _ => (sentence, production),
    }
}
