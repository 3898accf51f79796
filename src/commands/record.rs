//! What the runs so far come to: how many went back, how production was seen last, and what is worth doing about it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use guard_journal::Run;
use guard_model::fact::Ending;
use guard_model::name::RunKind;
use guard_model::now::Now;
use guard_model::text;
use guard_report::run_view::{RunView, State};
use guard_run::drill;

/// A known-good backup that is older is worth renewing. A guess: a release a week is usual.
const OLD: TimeDelta = TimeDelta::days(7);
/// So many runs are looked at, the newest first: each has a journal to read.
const LOOKED_AT: usize = 200;

/// What the runs come to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    /// Runs that were looked at.
    pub(super) runs: usize,
    /// Deployments that came as far as their deploy command and ended.
    pub(super) deployments: usize,
    /// Those of them whose release stayed and was verified.
    pub(super) successful: usize,
    /// Runs that put the old state back, by themselves or by hand.
    pub(super) rollbacks: usize,
    /// Those runs by why they went back, in the words of the journal.
    pub(super) causes: BTreeMap<String, u64>,
    /// Runs that are going back now, or stopped on the way.
    pub(super) active_rollbacks: usize,
    /// How production was seen last.
    pub(super) health: Option<Health>,
}

/// How production was at the end of the newest run that looked.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// The run.
    pub(super) run: String,
    /// When.
    pub(super) at: DateTime<Utc>,
    /// Whether all that was asked passed and runs.
    pub(super) is_well: bool,
    /// What was seen.
    pub(super) seen: Now,
}

impl Totals {
    /// The totals of these runs, which are the newest first.
    pub(super) fn of(runs: &[Run]) -> Self {
        let mut totals = Self::default();
        // What a drill has broken and put back is no deployment.
        let is_drill = |run: &&Run| drill::record::is_drill(&run.directory);
        for run in runs.iter().take(LOOKED_AT).filter(|run| !is_drill(run)) {
            // A journal that cannot be read is told elsewhere; it counts for nothing here.
            let Ok(records) = run.read() else { continue };
            totals.take(&RunView::of(&records));
        }
        totals
    }

    fn take(&mut self, view: &RunView) {
        let Some(opened) = &view.opened else { return };
        self.runs += 1;
        let kind = opened.plan.kind;
        match view.ended {
            Some((Ending::RolledBack(cause) | Ending::RestoredUnhealthy(cause), _)) => {
                self.rollbacks += 1;
                let named = serde_json::to_value(cause).ok();
                let named = named.as_ref().and_then(|named| named.as_str()).unwrap_or("unknown");
                *self.causes.entry(named.to_owned()).or_default() += 1;
            }
            Some((Ending::Stuck(_), _)) => self.active_rollbacks += 1,
            None if view.turned.is_some() || matches!(kind, RunKind::Rollback | RunKind::Undo) => {
                self.active_rollbacks += 1;
            }
            _ => {}
        }
        if let (RunKind::Deploy, Some((ending, _))) = (kind, view.ended)
            && !matches!(ending, Ending::Untouched(_))
        {
            self.deployments += 1;
            self.successful += usize::from(ending == Ending::Deployed);
        }
        if let (None, Some(now), Some((_, at))) = (&self.health, &view.now, view.ended) {
            self.health = Some(Health {
                run: opened.run.to_string(),
                at,
                is_well: now.seen.iter().all(|seen| seen.passes) && now.services.iter().all(|service| service.runs),
                seen: now.clone(),
            });
        }
    }

    /// The lines of `guard status`; `now` is the time.
    pub(super) fn lines(&self, now: DateTime<Utc>) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.health.as_ref().map(|health| {
            let ago = text::duration((now - health.at).to_std().unwrap_or_default());
            let sentences = health.seen.sentences().join(" ").replace(" now:", ":");
            format!("seen last    {ago} ago, at the end of {}: {sentences}", health.run)
        }));
        if self.deployments > 0 {
            lines.push(format!(
                "so far       {}, {} stayed; {}",
                text::plural(self.deployments as u64, "deployment"),
                self.successful,
                text::plural(self.rollbacks as u64, "rollback"),
            ));
        }
        lines
    }
}

/// Something worth doing, with the command.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// What is so.
    pub(super) what: String,
    /// What to type, or which setting to make.
    pub(super) todo: String,
}

/// What the advice goes by.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that one advice asks for")]
pub(super) struct Standing {
    /// When the newest known-good backup was taken.
    pub(super) known_good: Option<DateTime<Utc>>,
    /// Whether any resource is declared.
    pub(super) has_resources: bool,
    /// Whether any probe is declared.
    pub(super) has_probes: bool,
    /// Whether backups are copied to another place.
    pub(super) copies: bool,
    /// Whether a watcher stands by during a run.
    pub(super) watcher: bool,
    /// Whether production was seen well last; `None`: nobody looked.
    pub(super) is_well: Option<bool>,
    /// Whether drills may be done here.
    pub(super) drills: bool,
    /// When the newest drill was.
    pub(super) drilled: Option<DateTime<Utc>>,
}

/// What is worth doing, the most urgent first.
pub(super) fn advice(standing: &Standing, now: DateTime<Utc>, program: &str) -> Vec<Advice> {
    let mut list = Vec::new();
    let mut say = |what: String, todo: String| list.push(Advice { what, todo });
    if standing.is_well == Some(false) {
        say(
            "production was not well when it was seen last".to_owned(),
            format!("{program} check"),
        );
    }
    match standing.known_good {
        None if standing.has_resources => say(
            "there is no known-good backup to go back to".to_owned(),
            format!("{program} backup"),
        ),
        Some(taken) if now - taken > OLD => say(
            format!("the newest known-good backup is {} days old", (now - taken).num_days()),
            format!("{program} backup"),
        ),
        _ => {}
    }
    if !standing.has_probes {
        say(
            "no probe is set, so nobody sees whether a release is well".to_owned(),
            "[probes.NAME] in guard.toml".to_owned(),
        );
    }
    if !standing.watcher {
        say(
            "no watcher stands by: where guard is killed, a run waits for a person".to_owned(),
            "policy.watcher = true in guard.toml".to_owned(),
        );
    }
    match standing.drilled {
        _ if !standing.drills => {}
        None => say(
            "the way back was never tried by a drill".to_owned(),
            format!("{program} drill"),
        ),
        Some(drilled) if now - drilled > drill::book::OLD => say(
            format!("the last drill was {} days ago", (now - drilled).num_days()),
            format!("{program} drill"),
        ),
        Some(_) => {}
    }
    if !standing.copies {
        say(
            "backups are on this machine only, and go with its disk".to_owned(),
            "[copy] in guard.toml".to_owned(),
        );
    }
    list
}

/// How long each phase of a run took, as far as it ended: `deploy 2.3 s, watch 10 min, back: prove 0.4 s`.
pub(super) fn phases(view: &RunView) -> String {
    let ended = view.stages.iter().filter(|stage| stage.state() != State::Waiting);
    let told = ended.filter_map(|stage| {
        let back = if stage.is_back { "back: " } else { "" };
        Some(format!(
            "{back}{} {}",
            stage.name.title(),
            text::duration(stage.took()?)
        ))
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_what_is_old_missing_or_off_and_nothing_else() {
        let now: DateTime<Utc> = "2025-10-22T15:30:00Z".parse().unwrap();
        let good = || Standing {
            known_good: Some(now - TimeDelta::days(7)),
            has_resources: true,
            has_probes: true,
            copies: true,
            watcher: true,
            is_well: Some(true),
            drills: true,
            drilled: Some(now - TimeDelta::days(40)),
        };
        assert_eq!(advice(&good(), now, "guard"), []);
        let old = Standing {
            known_good: Some(now - TimeDelta::days(9)),
            ..good()
        };
        let said = advice(&old, now, "guard -C /srv");
        assert_eq!(said[0].what, "the newest known-good backup is 9 days old");
        assert_eq!((said.len(), said[0].todo.as_str()), (1, "guard -C /srv backup"));
        let bare = Standing {
            known_good: None,
            has_resources: true,
            has_probes: false,
            copies: false,
            watcher: false,
            is_well: Some(false),
            drills: false,
            drilled: None,
        };
        assert_eq!(advice(&bare, now, "guard").len(), 5);
        for (drilled, what) in [
            (None, "the way back was never tried by a drill"),
            (Some(now - TimeDelta::days(41)), "the last drill was 41 days ago"),
        ] {
            let said = advice(&Standing { drilled, ..good() }, now, "guard");
            assert_eq!((said.len(), said[0].what.as_str()), (1, what));
            assert_eq!(said[0].todo, "guard drill");
            let drills = false;
            let unmarked = Standing {
                drills,
                drilled,
                ..good()
            };
            assert_eq!(advice(&unmarked, now, "guard"), []);
        }
        let empty = Standing {
            has_resources: false,
            ..bare
        };
        assert_eq!(advice(&empty, now, "guard").len(), 4);
    }
}
