//! The last words of a run: for each ending one sentence, the state of production, and the next command.

use std::collections::BTreeSet;

use super::failure::{Account, Next};
use super::line::{Line, Tone};
use super::run_view::{RunView, StageFailure, State};
pub use super::sentences::reason;
use super::sentences::{asked, decided, of_deploy, unchanged, unseen};
use guard_model::artifact::Work;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, RollbackCause, UNSEEN};
use guard_model::name::RunKind;
use guard_model::now::Now;
use guard_model::plan::StageName;

/// How a run ended, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// One sentence with its full stop.
    pub sentence: String,
    /// The state of production: `old, verified`.
    pub production: &'static str,
    /// The exit code.
    pub code: ExitCode,
    /// What of files was put aside, and how it is had again; one sentence without its full stop.
    pub aside: Option<String>,
    /// What to type next.
    pub next: Option<Next>,
}

/// How a drill is done again: its own deploy command is guard's, and nobody types that. `None`: it was none.
fn drill_again(reason: &str, command: &[String]) -> Option<String> {
    let fault = reason.strip_prefix("drill: ")?;
    let part = command.iter().position(|word| word == "drill-part")?;
    // Behind the part, its name and the dashes stands the command of whoever drills.
    let own = command.get(part + 3..).unwrap_or_default();
    let own = shlex::try_join(own.iter().map(String::as_str)).ok()?;
    let own = if own.is_empty() { own } else { format!(" -- {own}") };
    Some(format!("drill --fault {fault}{own}"))
}

impl Closing {
    /// The last words of a course that has ended. `program` is how guard is called, for the next command: `guard -C /srv`.
    #[must_use]
    pub fn of(view: &RunView, ending: Ending, program: &str) -> Self {
        let plan = view.opened.as_ref().map(|opened| &opened.plan);
        let backup = plan.map(|plan| plan.backup.to_string()).unwrap_or_default();
        let kind = plan.map_or(RunKind::Deploy, |plan| plan.kind);
        let drilled = view
            .opened
            .as_ref()
            .and_then(|opened| drill_again(opened.reason.as_deref()?, &opened.plan.command));
        let again = drilled.or_else(|| {
            let plan = plan.filter(|plan| !plan.command.is_empty())?;
            let words = shlex::try_join(plan.command.iter().map(String::as_str)).ok()?;
            Some(format!("deploy -- {words}"))
        });
        let again = again.unwrap_or_else(|| command_of(kind).to_owned());
        let (mut sentence, mut purpose, mut command) = if ending.turn() == Some(RollbackCause::Asked) {
            // Where nothing had to be put back there is nothing to undo either.
            let ending = match ending {
                Ending::RolledBack(turn) if kind == RunKind::Rollback && has_put_back_nothing(view) => {
                    Ending::NothingToUndo(turn)
                }
                other => other,
            };
            asked(ending, kind, &backup, again)
        } else {
            of_deploy(ending, kind, &backup, again)
        };
        if matches!(ending, Ending::Withheld(_)) && is_backup_gone(view) {
            (purpose, command) = ("to see which backups are left", "list".to_owned());
        }
        let mut aside = None;
        if let (Ending::RolledBack(_), Some(opened), true) = (ending, &view.opened, kind != RunKind::Undo) {
            if !view.salvageable().is_empty() {
                purpose = "to bring rows back that were discarded";
                command = format!("salvage {}", opened.run);
            }
            let files = view.files_aside();
            let salvage = format!("{program} salvage {}", opened.run);
            aside =
                (!files.is_empty()).then(|| format!("Put aside: {}; `{salvage}` gives them back", files.join(", ")));
        }
        let mut production = ending.production_after(kind);
        if is_unseen(view) {
            (sentence, production) = unseen(ending, has_done(view, StageName::Verify), sentence, production);
        }
        if view.deployed.changed == Some(false) {
            (sentence, production) = unchanged(ending, sentence, production);
        }
        if let (Ending::RolledBack(_), false) = (ending, view.widened.is_empty()) {
            let names: Vec<String> = view.widened.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            sentence = format!(
                "{sentence} With it went {names}, since what ran before did not come up with the rows that the release left."
            );
        }
        if let Some(person) = &view.person {
            (sentence, production) = decided(ending, person, sentence, production);
        }
        Self {
            sentence,
            production,
            code: ending.exit_code(),
            aside,
            next: Some(Next::new(purpose, format!("{program} {command}"))),
        }
    }

    /// The four parts for an ending that is not a good one: the cause, and for a stuck run what is in the way.
    #[must_use]
    pub fn account(&self, view: &RunView, ending: Ending) -> Account {
        let mut why = Vec::new();
        let mut did: Vec<String> = std::iter::once(self.sentence.clone())
            .chain(self.aside.clone())
            .collect();
        let failed = match (ending.turn(), view.cause(), view.obstacle()) {
            (_, cause, Some(obstacle)) if matches!(ending, Ending::Stuck(_) | Ending::Unready(_)) => {
                let (back, not) = view.back_and_not();
                why.extend(reasons(obstacle));
                let reason = obstacle.failure.sentence();
                let others = not.iter().filter(|stage_failure| stage_failure.step != obstacle.step);
                let (same, others): (Vec<&&StageFailure>, Vec<_>) =
                    others.partition(|stage_failure| stage_failure.failure.sentence() == reason);
                if !same.is_empty() {
                    let steps: Vec<&str> = same.iter().map(|stage_failure| stage_failure.step.as_str()).collect();
                    why.push(format!("failed for the same reason: {}", steps.join(", ")));
                }
                for stage_failure in others {
                    why.push(format!(
                        "{} failed: {}",
                        stage_failure.step,
                        stage_failure.failure.sentence()
                    ));
                }
                if let Some(cause) = cause {
                    why.push(format!(
                        "the run was going back because {}",
                        lowered(&cause.failure.sentence())
                    ));
                }
                if !back.is_empty() {
                    did.push(format!("Back as it was: {}", back.join(", ")));
                }
                let missing: BTreeSet<&str> = not
                    .iter()
                    .filter_map(|stage_failure| stage_failure.step.as_str().split_once('/').map(|(_, name)| name))
                    .collect();
                if !missing.is_empty() {
                    let missing: Vec<&str> = missing.into_iter().collect();
                    did.push(format!("Not back: {}", missing.join(", ")));
                }
                format!("Could not go back: {} failed", obstacle.step)
            }
            (turn, cause, obstacle) => {
                why.extend(cause.into_iter().chain(obstacle).flat_map(reasons));
                if matches!(ending, Ending::Withheld(_)) {
                    let held = withheld(view).map(|reason| format!("not put back, since {reason}"));
                    why.extend(held);
                }
                turn.map_or_else(
                    || self.sentence.trim_end_matches('.').to_owned(),
                    |turn| reason(turn).to_owned(),
                )
            }
        };
        Account {
            failed,
            why: said_once(why),
            did,
            next: self.next.clone(),
        }
    }

    /// The last lines of a run; the very last one is the verdict.
    #[must_use]
    pub fn lines(&self, view: &RunView, ending: Ending) -> Vec<Line> {
        let now = view.now.as_ref().map(Now::sentences).unwrap_or_default();
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
                .chain(self.aside.clone())
                .chain(next)
                .chain(now)
                .chain([format!("Production is {}.", self.production)])
                .map(info)
                .collect();
        }
        let mut lines = self.account(view, ending).lines();
        lines.extend(now.into_iter().map(|text| Line {
            tone: Tone::Error,
            text,
        }));
        let verdict = format!("Production is {} (exit code {}).", self.production, self.code.number());
        lines.push(Line {
            tone: Tone::Error,
            text: verdict,
        });
        lines
    }
}

fn has_put_back_nothing(view: &RunView) -> bool {
    !view.prepared.is_empty() && view.prepared.iter().all(|prepared| !prepared.work.is_needed())
}

/// Why what must not be put back must not be.
fn withheld(view: &RunView) -> impl Iterator<Item = String> {
    view.prepared.iter().filter_map(|prepared| prepared.work.forbids())
}

/// Whether there is nothing whole to go back to.
fn is_backup_gone(view: &RunView) -> bool {
    let mut prepared = view.prepared.iter();
    prepared.any(|prepared| matches!(prepared.work, Work::Gone(_)))
}

/// Whether no probe is set, so that nobody has seen the release, or the old state, well or unwell.
fn is_unseen(view: &RunView) -> bool {
    let is_unwatched = has_done(view, StageName::Watch) && view.tally.is_none();
    is_unwatched || view.proven.iter().any(|finding| finding == UNSEEN)
}

fn has_done(view: &RunView, stage: StageName) -> bool {
    let mut stages = view.stages.iter();
    stages.any(|known| known.name == stage && known.state() == State::Done)
}

fn command_of(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Undo => "rollback --undo",
        other => other.as_str(),
    }
}

fn reasons(stage_failure: &StageFailure) -> Vec<String> {
    let failure = &stage_failure.failure;
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

/// The reasons without those that another one says as well, word for word.
fn said_once(reasons: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for reason in reasons {
        let is_said = |known: &String| known == &reason || known.contains(reason.trim_start_matches("hint: "));
        if !once.iter().any(is_said) {
            once.push(reason);
        }
    }
    once
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

#[cfg(test)]
mod tests {
    use super::said_once;

    #[test]
    fn a_reason_that_another_one_says_is_left_out_and_a_hint_that_repeats_one_too() {
        let reasons = [
            "app: gone (500)",
            "app: gone (500)",
            "hint: app: gone",
            "hint: look there",
            "app: gone (500), twice",
        ];
        let once = said_once(reasons.map(str::to_owned).to_vec());
        assert_eq!(once, ["app: gone (500)", "hint: look there", "app: gone (500), twice"]);
    }
}
