//! The last words of a run: for each ending one sentence, the state of production, and the next command.

use super::course::{Course, Mishap};
use super::failure::{Account, Next};
use super::words::{Line, Tone};
use crate::model::exit::ExitCode;
use crate::model::fact::{Ending, Turn};
use crate::model::name::RunKind;

/// How a run ended, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// One sentence with its full stop.
    pub sentence: String,
    /// The state of production: `old, verified`.
    pub production: &'static str,
    /// The exit code.
    pub code: ExitCode,
    /// What to type next.
    pub next: Option<Next>,
}

/// Why a run turned back, as a sentence without its full stop.
#[must_use]
pub fn reason(turn: Turn) -> &'static str {
    match turn {
        Turn::Refused => "Production was not well before the deployment",
        Turn::BackupFailed => "The backup could not be made or proven",
        Turn::DeployFailed => "The deploy command failed",
        Turn::DeployUnknown => "guard was cut off while the deploy command ran, so its outcome is unknown",
        Turn::VerifyFailed => "The verification failed",
        Turn::WatchFailed => "The watch found the release bad",
        Turn::Inconclusive => "The watch saw too little to judge the release",
        Turn::Interrupted => "The run was interrupted",
        Turn::Asked => "Going back was asked for",
    }
}

impl Closing {
    /// The last words of a course that has ended. `program` is how guard is called, for the next command: `guard -C /srv`.
    #[must_use]
    pub fn of(course: &Course, ending: Ending, program: &str) -> Self {
        let plan = course.opened.as_ref().map(|opened| &opened.plan);
        let backup = plan.map(|plan| plan.backup.to_string()).unwrap_or_default();
        let kind = plan.map_or(RunKind::Deploy, |plan| plan.kind);
        let again = plan.filter(|plan| !plan.command.is_empty()).and_then(|plan| {
            let words = shlex::try_join(plan.command.iter().map(String::as_str)).ok()?;
            Some(format!("deploy -- {words}"))
        });
        let again = again.unwrap_or_else(|| command_of(kind).to_owned());
        let (sentence, purpose, command) = if ending.turn() == Some(Turn::Asked) {
            asked(ending, kind, &backup, again)
        } else {
            of_deploy(ending, kind, &backup, again)
        };
        Self {
            sentence,
            production: ending.production(),
            code: ending.exit_code(),
            next: Some(Next::new(purpose, format!("{program} {command}"))),
        }
    }

    /// The four parts for an ending that is not a good one: the cause, and for a stuck run what is in the way.
    #[must_use]
    pub fn account(&self, course: &Course, ending: Ending) -> Account {
        let mut why = Vec::new();
        let failed = match (ending.turn(), course.cause(), course.obstacle()) {
            (_, _, Some(obstacle)) if matches!(ending, Ending::Stuck(_)) => {
                why.extend(reasons(obstacle));
                if let Some(cause) = course.cause() {
                    why.push(format!(
                        "the run was going back because {}",
                        lowered(&cause.failure.sentence())
                    ));
                }
                format!("Could not go back: {} failed", obstacle.step)
            }
            (turn, cause, obstacle) => {
                why.extend(cause.into_iter().chain(obstacle).flat_map(reasons));
                turn.map_or_else(
                    || self.sentence.trim_end_matches('.').to_owned(),
                    |turn| reason(turn).to_owned(),
                )
            }
        };
        Account {
            failed,
            why,
            did: vec![self.sentence.clone()],
            next: self.next.clone(),
        }
    }

    /// The last lines of a run; the very last one is the verdict.
    #[must_use]
    pub fn lines(&self, course: &Course, ending: Ending) -> Vec<Line> {
        if ending.is_good() {
            let info = |text| Line {
                tone: Tone::Final,
                text,
            };
            let next = self
                .next
                .iter()
                .map(|next| format!("{}: {}", raised(&next.purpose), next.command));
            return std::iter::once(self.sentence.clone())
                .chain(next)
                .chain([format!("Production is {}.", self.production)])
                .map(info)
                .collect();
        }
        let mut lines = self.account(course, ending).lines();
        let verdict = format!("Production is {} (exit code {}).", self.production, self.code.number());
        lines.push(Line {
            tone: Tone::Error,
            text: verdict,
        });
        lines
    }
}

/// The sentence, and the next command with its purpose, of a run that went ahead.
fn of_deploy(ending: Ending, kind: RunKind, backup: &str, again: String) -> (String, &'static str, String) {
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
        Ending::Untouched(Turn::BackupFailed) if kind == RunKind::Deploy => (
            "There is no sound backup, so the deploy command was not run.".to_owned(),
            "to see what is in the way",
            check,
        ),
        Ending::Untouched(Turn::BackupFailed) => (
            "There is no sound backup.".to_owned(),
            "to see what is in the way",
            check,
        ),
        Ending::Untouched(Turn::Asked) => (
            format!("Backup {backup} could not be made ready, so nothing was put back."),
            "to see the other backups",
            "list".to_owned(),
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
            format!(
                "{}; nothing had been changed, so there was nothing to undo.",
                reason(turn)
            ),
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
        Ending::Stuck(_) => (
            "The way back stopped half-way: a part of production is old, a part is new.".to_owned(),
            "to continue",
            "resume".to_owned(),
        ),
    }
}

/// The same for a run that a person asked to go back.
fn asked(ending: Ending, kind: RunKind, backup: &str, again: String) -> (String, &'static str, String) {
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
        Ending::NothingToUndo(_) => (
            format!("Everything is as backup {backup} has it; there was nothing to put back."),
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

fn command_of(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Undo => "rollback --undo",
        other => other.as_str(),
    }
}

fn reasons(mishap: &Mishap) -> Vec<String> {
    let failure = &mishap.failure;
    let mut why: Vec<String> = failure
        .chain
        .iter()
        .filter(|cause| !cause.is_empty())
        .cloned()
        .collect();
    let mut add = |text: String| {
        if !why.iter().any(|known| known.contains(&text)) {
            why.push(text);
        }
    };
    failure.finding.iter().for_each(|finding| add(finding.sentence.clone()));
    failure.exit.iter().for_each(|exit| add(exit.clone()));
    failure.hint.iter().for_each(|hint| add(format!("hint: {hint}")));
    why
}

/// The text with a capital at its head.
fn raised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The text without a capital at its head, unless its first word is all capitals.
fn lowered(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), second) if second.is_none_or(char::is_lowercase) => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
