//! The way back: evidence, staging, stopping, swapping, starting.

use std::time::Duration;

use super::{Crew, failed};
use crate::engine::history::History;
use crate::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use crate::model::event::Level;
use crate::model::fact::{Failure, Yield};
use crate::model::name::{ResourceName, RunKind};
use crate::model::plan::Action;
use crate::resources::compose;
use crate::services::{Affected, ServiceError, Wanted, keep_evidence};
use crate::store::Backup;
use crate::system::context::Context;
use crate::system::disk;
use crate::system::docker::Recorded;

/// How long the services may take until they run and are healthy.
const START_LIMIT: Duration = Duration::from_mins(2);
/// The same for an undo, in which they only have to run: it may bring back a release that never becomes healthy.
const UNDO_START_LIMIT: Duration = Duration::from_secs(30);

impl Crew {
    /// Keeps what explains the failure, before anything is put back.
    pub(super) fn evidence(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        self.learn_secrets(cx);
        let directory = cx.scratch.join("evidence");
        disk::create_private_dir(&directory).map_err(|error| Failure::from_error(&error))?;
        let project = self.services.compose.as_ref().map(|compose| compose.project.as_str());
        for note in keep_evidence(&directory, project, history.opened(), cx) {
            cx.note(Level::Warn, format!("evidence: {note}"));
        }
        Ok(Yield::Nothing)
    }

    /// The backup that this run goes back to.
    fn backup(&self, history: &History) -> Result<Backup, Failure> {
        let found = self.store.get(&history.plan().backup);
        found.map_err(|error| Failure {
            permanent: true,
            ..Failure::from_error(&error)
        })
    }

    /// The copy of a resource in the backup that this run goes back to.
    pub(super) fn artifact(&self, name: &ResourceName, history: &History) -> Result<Artifact, Failure> {
        if let Some(artifact) = history.artifacts().find(|artifact| &artifact.resource == name) {
            return Ok(artifact.clone());
        }
        let found = self.backup(history)?.manifest.artifact(name).cloned();
        found.ok_or_else(|| Failure {
            permanent: true,
            ..Failure::new(format!("backup {} holds no copy of `{name}`", history.plan().backup))
        })
    }

    /// Proves the copy once more, and stages it beside what is live.
    pub(super) fn prepare(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Yield, Failure> {
        self.stage(name, history, cx).map(Yield::Prepared)
    }

    fn stage(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Prepared, Failure> {
        let resource = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        let slot = self.slot(history, name);
        self.services
            .ensure_running(&resource.needs_running(), START_LIMIT, cx)
            .map_err(|error| Failure::from_error(&error))?;
        slot.compare(&artifact).map_err(|error| failed(&error, cx))?;
        let policy = history.plan().policy.data_restore;
        resource
            .prepare(&artifact, &slot, policy, cx)
            .map_err(|error| failed(&error, cx))
    }

    /// Compares data again that needed nothing while the failed release still ran: a migration may have come after that.
    pub(super) fn recheck(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Yield, Failure> {
        if history
            .prepared_of(name)
            .is_some_and(|prepared| prepared.work.is_needed())
        {
            return Ok(Yield::Nothing);
        }
        let prepared = self.stage(name, history, cx)?;
        match &prepared.work {
            Work::Unchanged | Work::Left(_) => {}
            Work::Changed(parts) => {
                cx.note(
                    Level::Warn,
                    format!("{name} was changed until now, in: {}", parts.join(", ")),
                );
                let affected = self.affected([name.clone()])?;
                self.services
                    .stop_users(&affected, cx)
                    .map_err(|error| Failure::from_error(&error))?;
            }
            // Services are stopped by now: leaving the new state alone is not open any more.
            Work::Withheld(why) => {
                let failure = Failure {
                    permanent: true,
                    ..Failure::new(format!("{name} was changed until now, and must not be put back: {why}"))
                };
                return Err(failure.with_hint("`guard rollback --data-restore always` puts it back all the same"));
            }
        }
        Ok(Yield::Prepared(prepared))
    }

    /// What has to be stopped before these are put back.
    fn affected(&self, names: impl IntoIterator<Item = ResourceName>) -> Result<Affected, Failure> {
        let mut affected = Affected::default();
        for name in names {
            let resource = self.resource(&name)?;
            affected.occupied.extend(resource.occupies());
            affected.databases.extend(resource.needs_running());
            affected.keep_running.extend(resource.needs_running());
        }
        Ok(affected)
    }

    /// Stops what uses the data that is about to be swapped, and the failed release, which may still change data that is as
    /// it was.
    pub(super) fn quiesce(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let mut affected = self.affected(Self::concerned(history))?;
        for prepared in history.prepared().filter(|_| !self.data.is_empty()) {
            affected
                .replaced
                .extend(self.resource(&prepared.resource)?.replaces(prepared));
        }
        for name in &self.data {
            affected.keep_running.extend(self.resource(name)?.needs_running());
        }
        let stopped = self
            .services
            .quiesce(&affected, cx)
            .map_err(|error| Failure::from_error(&error))?;
        let by_command = self.services.stop.iter().map(|words| format!("`{}`", words.join(" ")));
        Ok(Yield::Quiesced(by_command.chain(stopped).collect()))
    }

    /// The resources that this run puts back or swaps back.
    fn concerned(history: &History) -> Vec<ResourceName> {
        let undone = history
            .plan()
            .back
            .iter()
            .flat_map(|stage| &stage.steps)
            .filter_map(|step| match &step.action {
                Action::Undo(name) => Some(name.clone()),
                _ => None,
            });
        let restored = history
            .prepared()
            .filter(|prepared| prepared.work.is_needed())
            .map(|prepared| prepared.resource.clone());
        restored.chain(undone).collect()
    }

    /// Swaps a prepared copy in, and looks whether the resource is as the copy then.
    pub(super) fn restore(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let nothing = Displaced {
            resource: name.clone(),
            details: serde_json::Value::Null,
            kept_as: Vec::new(),
        };
        let Some(prepared) = history.prepared_of(name).filter(|prepared| prepared.work.is_needed()) else {
            return Ok(Yield::Displaced(nothing));
        };
        let resource = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        self.services
            .ensure_running(&resource.needs_running(), START_LIMIT, cx)
            .map_err(|error| Failure::from_error(&error))?;
        let slot = self.slot(history, name);
        let displaced = resource
            .restore(prepared, &artifact, &slot, cx)
            .map_err(|error| failed(&error, cx))?;
        if !self.data.contains(name) {
            // What runs comes up later: the rest is compared when everything is started.
            return Ok(Yield::Displaced(displaced));
        }
        let carried = resource.carried(&displaced);
        for sentence in carried.iter().flat_map(|carried| &carried.sentences) {
            cx.note(Level::Info, format!("{name}: {sentence}"));
        }
        if resource.is_compared(&displaced) {
            return Ok(Yield::Displaced(displaced));
        }
        let meant = Artifact {
            fingerprint: carried.map_or(artifact.fingerprint, |carried| carried.becomes),
            ..artifact
        };
        match resource.check(&meant, cx).map_err(|error| failed(&error, cx))? {
            Live::Matches => Ok(Yield::Displaced(displaced)),
            Live::Differs(parts) => Err(Failure::new(format!(
                "{name} was put back and still differs in: {}",
                parts.join(", ")
            ))),
            Live::Unknown(why) => Err(Failure::new(format!(
                "{name} was put back and cannot be compared: {why}"
            ))),
        }
    }

    /// Swaps back what the rollback before this run displaced.
    pub(super) fn undo(&self, name: &ResourceName, cx: &Context) -> Result<Yield, Failure> {
        let resource = self.resource(name)?;
        self.services
            .ensure_running(&resource.needs_running(), START_LIMIT, cx)
            .map_err(|error| Failure::from_error(&error))?;
        let Some(displaced) = self.undoing.iter().find(|displaced| &displaced.resource == name) else {
            return Err(Failure {
                permanent: true,
                ..Failure::new(format!("the run before displaced nothing of `{name}`"))
            });
        };
        resource
            .undo(displaced, cx)
            .map(Yield::Displaced)
            .map_err(|error| failed(&error, cx))
    }

    /// Starts what ran when the backup was taken.
    pub(super) fn start(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let recorded = self.recorded(history)?;
        let (wanted, limit) = Self::wanted(history);
        match self.services.bring_up(recorded.as_ref(), wanted, limit, cx) {
            // They were started, and starting them again would not make them well: the proof says what they are.
            Err(error @ ServiceError::NotRunning(_)) => cx.note(Level::Warn, error.to_string()),
            brought => brought.map_err(|error| Failure::from_error(&error))?,
        }
        Ok(Yield::Nothing)
    }

    /// What the services have to be after the way back, and within which time.
    pub(super) fn wanted(history: &History) -> (Wanted, Duration) {
        if history.plan().kind == RunKind::Undo {
            (Wanted::Running, UNDO_START_LIMIT)
        } else {
            (Wanted::Healthy, START_LIMIT)
        }
    }

    /// What ran when the backup was taken, or, for an undo, when the rollback displaced it.
    pub(super) fn recorded(&self, history: &History) -> Result<Option<Recorded>, Failure> {
        let displaced = self.undoing.iter().find_map(compose::recorded_in);
        // A rollback that found the project as in the backup displaced nothing of it: the backup says what ran.
        if history.plan().kind == RunKind::Undo && displaced.is_some() {
            return Ok(displaced);
        }
        let artifacts: Vec<Artifact> = match history.artifacts().next() {
            Some(_) => history.artifacts().cloned().collect(),
            None => self.backup(history)?.manifest.artifacts,
        };
        Ok(artifacts.iter().find_map(compose::recorded))
    }
}
