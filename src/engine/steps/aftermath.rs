//! What a deploy command leaves: processes that still run, whether it changed what it was to change, and whether the way back
//! is still there.

use super::failure::failed;
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::artifact::Live;
use guard_model::event::Level;
use guard_model::fact::Failure;
use guard_model::name::RunKind;
use guard_store::StoreError;
use guard_system::context::Context;
use guard_system::leftovers;

/// The most processes that are named.
const NAMED: usize = 8;

impl StepRunner {
    /// Names what the command of a stage has left running: allowed where it ended well, since it may be the release, and worth
    /// a warning where it had to be ended.
    pub(super) fn tell_left_running(stage: &str, ended_well: bool, cx: &Context) {
        let mut marks = cx.announced.to_vec();
        marks.push(("GUARD_STAGE".to_owned(), stage.to_owned()));
        let mut left = leftovers::running(&marks);
        if left.is_empty() {
            return;
        }
        let more = left.len().saturating_sub(NAMED);
        left.truncate(NAMED);
        let mut names = left.join(", ");
        if more > 0 {
            names = format!("{names} and {more} more");
        }
        let (level, end) = if ended_well {
            (Level::Info, "it may be the release, and stays")
        } else {
            (Level::Warn, "guard does not end what has left the command's own group")
        };
        cx.note(level, format!("the {stage} command has left running: {names}; {end}"));
    }

    /// Why the backup that this run made is no way back any more, where it is none: a release may remove what it should not.
    /// Looks at the length of its files and not at their bytes, which are compared before anything is put back.
    pub(super) fn way_back_is_gone(&self, history: &History) -> Option<String> {
        let timestamp = &history.plan().backup;
        let is_made_here = history.plan().kind == RunKind::Deploy;
        let found = is_made_here.then(|| {
            self.store
                .get(timestamp)
                .and_then(|backup| self.store.look_through(&backup))
        })?;
        match found {
            // That it cannot be read now does not say that it is gone.
            Ok(()) | Err(StoreError::Disk(_)) => None,
            Err(error) => Some(Failure::from_error(&error).sentence()),
        }
    }

    /// Warns at once where the deploy command has taken the way back with it, and does not wait until it is needed.
    pub(super) fn look_at_way_back(&self, history: &History, cx: &Context) {
        if let Some(why) = self.way_back_is_gone(history) {
            let backup = &history.plan().backup;
            cx.note(
                Level::Error,
                format!(
                    "THE WAY BACK IS GONE: the backup {backup} is not what it was before the deploy command: {why}"
                ),
            );
        }
    }

    /// Whether the deploy command has changed anything that was copied; `None` where it cannot be told. What holds no data is
    /// looked at first, since that takes moments and a release nearly always changes it: data are read only where nothing else
    /// has changed.
    pub(super) fn has_changed(&self, history: &History, cx: &Context) -> Option<bool> {
        let artifacts = || history.artifacts();
        artifacts().next()?;
        let (data, rest): (Vec<_>, Vec<_>) = artifacts().partition(|artifact| self.data.contains(&artifact.resource));
        let mut is_known = true;
        for artifact in rest.into_iter().chain(data) {
            let live = self
                .resources
                .get(&artifact.resource)
                .map(|member| member.at(cx))
                .map(|(resource, there)| resource.check(artifact, &there));
            match live {
                Some(Ok(Live::Differs(_))) => return Some(true),
                Some(Ok(Live::Matches)) => {}
                // A bystander that cannot be read is no reason to fail a release; whether it changed is not known then.
                Some(Ok(Live::Unknown(_)) | Err(_)) | None => is_known = false,
            }
        }
        if is_known {
            cx.note(
                Level::Warn,
                "the deploy command ended well and changed nothing that was copied: this is no new release \
                 (`verify.expect_change` makes that a failure)",
            );
        }
        is_known.then_some(false)
    }

    /// Holds the release against what it was meant to change.
    pub(super) fn expect_change(&self, history: &History, cx: &Context) -> Result<(), Failure> {
        for name in &self.expect_change {
            let Some(member) = self.resources.get(name) else {
                continue;
            };
            let (resource, there) = member.at(cx);
            let artifact = self.artifact(name, history)?;
            match resource
                .compare(&artifact, &self.slot(history, name), &there)
                .map_err(|error| failed(&error, cx))?
            {
                Live::Differs(_) => {}
                Live::Matches => {
                    let what = format!("the deploy command ended well, and {name} is as it was before it");
                    let failure =
                        Failure::new(what).with_cause("`verify.expect_change` says that a release changes it");
                    return Err(failure.with_hint("see deploy.log in the run's directory for what the command did"));
                }
                Live::Unknown(why) => {
                    cx.note(
                        Level::Warn,
                        format!("whether the release changed {name} is not known: {why}"),
                    );
                }
            }
        }
        Ok(())
    }
}
