//! The way back: evidence, staging, stopping, swapping, starting.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Crew, failed};
use crate::engine::history::History;
use crate::model::artifact::{Artifact, Displaced, GONE, Live, Prepared, Work};
use crate::model::event::Level;
use crate::model::fact::{Failure, Yield};
use crate::model::name::{ResourceName, RunKind};
use crate::model::plan::Action;
use crate::resources::Resource;
use crate::services::{Affected, ServiceError, Wanted, keep_evidence};
use crate::store::Backup;
use crate::system::context::Context;
use crate::system::disk;

/// How long the services may take until they run and are healthy.
const START_LIMIT: Duration = Duration::from_mins(2);
/// The same for an undo, in which they only have to run: it may bring back a release that never becomes healthy.
const UNDO_START_LIMIT: Duration = Duration::from_secs(30);

/// Something for each project; `None` is the settings' own.
pub(super) type ByProject<T> = BTreeMap<Option<String>, T>;

impl Crew {
    /// Keeps what explains the failure, before anything is put back.
    pub(super) fn evidence(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        self.learn_secrets(cx);
        let directory = cx.scratch.join("evidence");
        disk::create_private_dir(&directory).map_err(|error| Failure::from_error(&error))?;
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            let place = name.map_or(directory.clone(), |name| directory.join(name));
            let project = services.compose.as_ref().map(|compose| compose.project.as_str());
            for note in keep_evidence(&place, project, history.opened(), &there) {
                cx.note(Level::Warn, format!("evidence: {note}"));
            }
        }
        Ok(Yield::Nothing)
    }

    /// The backup that this run goes back to.
    pub(super) fn backup(&self, history: &History) -> Result<Backup, Failure> {
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
        if let Some(withheld) = self.withheld_for_drift(name, history, cx) {
            return Ok(Yield::Prepared(withheld));
        }
        if let Some(why) = self.way_back_is_gone(history) {
            return Ok(Yield::Prepared(Prepared {
                resource: name.clone(),
                work: Work::Withheld(format!("{GONE}: {why}")),
                details: serde_json::Value::Null,
                price: Vec::new(),
            }));
        }
        self.stage(name, history, cx).map(Yield::Prepared)
    }

    /// Sees to it that the services run through which a resource is put back.
    fn reach(&self, resource: &dyn Resource, cx: &Context) -> Result<(), Failure> {
        let (services, there) = self.services.of_project(resource.project(), cx);
        services
            .ensure_running(&resource.needs_running(), START_LIMIT, &there)
            .map_err(|error| Failure::from_error(&error))
    }

    fn stage(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Prepared, Failure> {
        let resource = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        let slot = self.slot(history, name);
        self.reach(resource, cx)?;
        if !resource.compares_copies() {
            slot.compare(&artifact).map_err(|error| failed(&error, cx))?;
        }
        let policy = history.plan().policy.data_restore;
        resource
            .prepare(&artifact, &slot, policy, cx)
            .map_err(|error| failed(&error, cx))
    }

    /// Compares data again that needed nothing while the failed release still ran: a migration may have come after that.
    pub(super) fn recheck(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Yield, Failure> {
        if let Some(prepared) = history.prepared_of(name).filter(|prepared| prepared.work.is_needed()) {
            return self.reprice(prepared, history, cx);
        }
        let prepared = self.stage(name, history, cx)?;
        match &prepared.work {
            Work::Unchanged | Work::Left(_) => {}
            Work::Changed(parts) => {
                cx.note(
                    Level::Warn,
                    format!("{name} was changed until now, in: {}", parts.join(", ")),
                );
                for (project, affected) in self.affected([name.clone()])? {
                    let (services, there) = self.services.of_project(project.as_deref(), cx);
                    services
                        .stop_users(&affected, &there)
                        .map_err(|error| Failure::from_error(&error))?;
                }
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

    /// Tells the price anew, now that nobody writes any more: it may have risen since the copy was staged.
    fn reprice(&self, prepared: &Prepared, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let name = &prepared.resource;
        let resource = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        match resource.reprice(prepared, &artifact, cx) {
            Ok(Some(price)) if price != prepared.price => Ok(Yield::Prepared(Prepared {
                price,
                ..prepared.clone()
            })),
            Ok(_) => Ok(Yield::Nothing),
            Err(error) => {
                let why = failed(&error, cx).sentence();
                cx.note(
                    Level::Warn,
                    format!("{name}: what going back costs may have risen: {why}"),
                );
                Ok(Yield::Nothing)
            }
        }
    }

    /// What has to be stopped before these are put back, by project.
    fn affected(&self, names: impl IntoIterator<Item = ResourceName>) -> Result<ByProject<Affected>, Failure> {
        let mut all = ByProject::new();
        for name in names {
            let resource = self.resource(&name)?;
            let affected: &mut Affected = all.entry(resource.project().map(str::to_owned)).or_default();
            affected.occupied.extend(resource.occupies());
            affected.databases.extend(resource.needs_running());
            affected.keep_running.extend(resource.needs_running());
        }
        Ok(all)
    }

    /// Stops what uses the data that is about to be swapped, and the failed release, which may still change data that is as
    /// it was.
    pub(super) fn quiesce(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let mut all = self.affected(Self::concerned(history))?;
        for prepared in history.prepared().filter(|_| !self.data.is_empty()) {
            let resource = self.resource(&prepared.resource)?;
            let affected = all.entry(resource.project().map(str::to_owned)).or_default();
            affected.replaced.extend(resource.replaces(prepared));
        }
        for name in &self.data {
            let resource = self.resource(name)?;
            let affected = all.entry(resource.project().map(str::to_owned)).or_default();
            affected.keep_running.extend(resource.needs_running());
        }
        let failed = |error| Failure::from_error(&error);
        // The settings' own project goes first: the page is put up with it, and the user's commands run.
        let own = all.remove(&None).unwrap_or_default();
        let mut stopped = self.services.quiesce(&own, cx).map_err(failed)?;
        for (project, affected) in &all {
            let (services, there) = self.services.of_project(project.as_deref(), cx);
            let names = services.stop_users(affected, &there).map_err(failed)?;
            let project = project.as_deref().unwrap_or_default();
            stopped.extend(names.iter().map(|name| format!("{project}/{name}")));
        }
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
        self.reach(resource, cx)?;
        let slot = self.slot(history, name);
        let beside: Vec<&Prepared> = history
            .prepared()
            .filter(|other| &other.resource != name && other.work.is_needed())
            .filter(|other| !history.displaced().any(|done| done.resource == other.resource))
            .collect();
        let displaced = resource
            .restore_beside(prepared, &artifact, &slot, &beside, cx)
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
        match resource
            .compare(&meant, &slot, cx)
            .map_err(|error| failed(&error, cx))?
        {
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
    pub(super) fn undo(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let resource = self.resource(name)?;
        self.reach(resource, cx)?;
        let Some(displaced) = self.undoing.iter().find(|displaced| &displaced.resource == name) else {
            return Err(Failure {
                permanent: true,
                ..Failure::new(format!("the run before displaced nothing of `{name}`"))
            });
        };
        let others = self.undoing.iter().filter(|other| &other.resource != name);
        let beside: Vec<&Displaced> = others
            .filter(|other| !history.displaced().any(|done| done.resource == other.resource))
            .collect();
        resource
            .undo_beside(displaced, &beside, cx)
            .map(Yield::Displaced)
            .map_err(|error| failed(&error, cx))
    }

    /// Starts what ran when the backup was taken.
    pub(super) fn start(&self, history: &History, cx: &Context) -> Result<Yield, Failure> {
        let mut all = self.recorded(history)?;
        let (wanted, limit) = Self::wanted(history);
        // The settings' own project comes last: with it the page is taken down.
        let own = all.remove(&None);
        let further = all.into_iter().map(|(project, recorded)| (project, Some(recorded)));
        for (project, recorded) in further.chain([(None, own)]) {
            let (services, there) = self.services.of_project(project.as_deref(), cx);
            match services.bring_up(recorded.as_ref(), wanted, limit, &there) {
                // They were started, and starting them again would not make them well: the proof says what they are.
                Err(error @ ServiceError::NotRunning(_)) => cx.note(Level::Warn, error.to_string()),
                brought => brought.map_err(|error| Failure::from_error(&error))?,
            }
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
}
