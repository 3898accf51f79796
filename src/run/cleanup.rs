//! After a run: what was staged and not needed is discarded, old backups go, and what old rollbacks displaced.
//!
//! Nothing here can change the ending of a run: a failure is told, and that is all.

use chrono::{DateTime, Utc};

use crate::assembly::Owned;
use crate::audit::{self, Deed};
use crate::kept::{self, ANNOUNCED, FORGOTTEN, Kept, NOTICE, ends};
use crate::project::Project;
use crate::{encryption, offsite, unfinished};
use guard_engine::history::History;
use guard_engine::steps::StepRunner;
use guard_journal::{Run, State};
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::fact::Ending;
use guard_model::name::{RunKind, Timestamp};
use guard_store::{Keep, Last, Listed, Removal, Store, clock_doubt, plan_removals};
use guard_system::context::Context;
use guard_system::disk;

/// Cleans up behind a run that is over.
pub fn after(history: &History, ending: Ending, runner: &StepRunner, project: &Project) {
    // A copy that failed or was cut off has not come to it.
    runner.services.end_copy(&runner.cx.unstoppable());
    if is_left(ending) {
        for prepared in history.prepared().filter(|prepared| prepared.work.is_needed()) {
            let owner = runner.resources.get(&prepared.resource);
            if let Some((resource, cx)) = owner.map(|member| member.at(&runner.cx.unstoppable()))
                && let Err(error) = resource.discard(prepared, &cx)
            {
                project.cx.note(
                    Level::Warn,
                    format!("what was staged for {} is still there: {error}", prepared.resource),
                );
            }
        }
    }
    let copies = matches!(history.plan().kind, RunKind::Deploy | RunKind::Backup);
    if !matches!(ending, Ending::Stuck(_) | Ending::Unready(_)) && copies {
        for (name, member) in &runner.resources {
            let (resource, cx) = member.at(&runner.cx.unstoppable());
            if let Err(error) = resource.stand_down(&cx) {
                let note = format!("what stood by for {name} is still there: {error}");
                project.cx.note(Level::Warn, note);
            }
        }
    }
    if matches!(ending, Ending::Untouched(_)) {
        sweep(project);
    }
    if !matches!(ending, Ending::Untouched(_)) {
        offsite::after(&history.plan().backup, project);
    }
    if matches!(ending, Ending::Deployed | Ending::Captured) {
        for removal in removals(project) {
            // Whoever wants to stop waits for one of them at most; the next run removes the others.
            if project.cx.stop.is_asked() {
                return;
            }
            remove(&removal, project);
        }
        forget_old(false, project);
    }
}

/// Lets go of the run's own key, when it is over: not between the two halves of a rollback to an adopted backup.
pub fn shut(runner: &StepRunner, project: &Project) {
    if runner.adopting.is_empty() {
        encryption::forget(project);
    }
}

/// Removes half a backup, as a run leaves it that failed or was interrupted while it copied.
fn sweep(project: &Project) {
    let swept = unfinished::pinned(project)
        .map_err(|refusal| refusal.account.failed)
        .and_then(|pinned| {
            let swept = project.store.sweep(project.cx.clock.now(), &pinned);
            swept.map_err(|error| error.to_string())
        });
    if let Err(why) = swept {
        let note = format!("what was copied so far is still there, and goes with the next run: {why}");
        project.cx.note(Level::Warn, note);
    }
}

/// What retention would remove now.
#[must_use]
pub fn removals(project: &Project) -> Vec<Removal> {
    let planned = project
        .store
        .list()
        .map_err(|error| error.to_string())
        .and_then(|mut listed| {
            let scope = project.own_scope();
            listed.retain(|entry| match entry {
                Listed::Backup(backup) => scope.objection(backup).is_none(),
                _ => true,
            });
            if let Some(doubt) = clock_doubt(&listed, project.cx.clock.now()) {
                let what = format!("the clock is in doubt, so no backup goes for its age: {doubt}");
                project.cx.note(Level::Warn, what);
            }
            let pinned = unfinished::pinned(project).map_err(|refusal| refusal.account.failed)?;
            let set = &project.settings.retention;
            let keep = Keep {
                newest: usize::try_from(set.keep).unwrap_or(usize::MAX),
                days: set.keep_days,
                weekly: set.keep_weekly,
                monthly: set.keep_monthly,
            };
            Ok(plan_removals(&listed, keep, &pinned, project.cx.clock.now()))
        });
    planned.unwrap_or_else(|why| {
        project
            .cx
            .note(Level::Warn, format!("retention removed nothing: {why}"));
        Vec::new()
    })
}

/// Removes one backup that retention has chosen. One that stays is told.
pub fn remove(removal: &Removal, project: &Project) {
    let artifacts = project
        .store
        .get(&removal.timestamp)
        .map(|backup| backup.manifest.artifacts);
    let deed = Deed {
        did: "prune",
        what: format!("backup {}: {}", removal.timestamp, removal.why),
        why: None,
        forced: false,
    };
    if let Err(refusal) = audit::record(deed, project) {
        let what = format!("backup {} stays: {}", removal.timestamp, refusal.account.failed);
        project.cx.note(Level::Warn, what);
        return;
    }
    match project.store.delete(&removal.timestamp, &[], Last::Stays) {
        Ok(()) => {
            release(&artifacts.unwrap_or_default(), project);
            project.cx.note(
                Level::Info,
                format!("removed backup {}: {}", removal.timestamp, removal.why),
            );
        }
        Err(error) => {
            project
                .cx
                .note(Level::Warn, format!("backup {} stays: {error}", removal.timestamp));
        }
    }
}

/// Lets go of what the copies of a deleted backup held outside of it.
pub fn release(artifacts: &[Artifact], project: &Project) {
    let Ok(resources) = project.resources() else { return };
    for artifact in artifacts {
        let owner = resources
            .iter()
            .find(|owned| owned.resource.name() == &artifact.resource && owned.kind.key == artifact.kind);
        let bound = owner.map(|owned| owned.resource.at(&project.cx));
        if let Some(Err(error)) = bound.map(|(resource, cx)| resource.release(artifact, &cx)) {
            project.cx.note(
                Level::Warn,
                format!(
                    "what the deleted backup held of {} is still there: {error}",
                    artifact.resource
                ),
            );
        }
    }
}

/// The runs that put something aside whose backup is gone: while the backup is there, an undo may be wanted.
#[must_use]
pub fn loose(project: &Project) -> Vec<(Run, History)> {
    let runs = project.runs.list().unwrap_or_default();
    let over = runs.into_iter().filter(|run| {
        let is_over = matches!(run.state(), Ok(State::Closed(_)));
        is_over && !disk::exists(&run.directory.join(FORGOTTEN)).unwrap_or(true)
    });
    let read = over.filter_map(|run| {
        let history = History::of(&run.read().ok()?).ok()?;
        let is_loose = history.plan().kind != RunKind::Backup && !is_kept(&history.plan().backup, &project.store);
        is_loose.then_some((run, history))
    });
    read.collect()
}

/// Announces what no backup holds on to any more, and removes what was announced long enough ago; `at_once`: all that was
/// announced before. What is put aside may be the only place of rows or files, so it never goes without a word.
pub fn forget_old(at_once: bool, project: &Project) {
    let Ok(resources) = project.resources() else { return };
    let now = project.cx.clock.now();
    for (run, history) in loose(project) {
        let kept = kept::of(&run, &history, &resources, &project.cx);
        if kept.is_empty() {
            mark(&run, FORGOTTEN, "", &project.cx);
            continue;
        }
        match ends(&run) {
            Some(end) if at_once || now >= end => forget(&run, &history, &kept, &resources, project),
            Some(_) => {}
            None => {
                mark(&run, ANNOUNCED, &now.to_rfc3339(), &project.cx);
                for one in &kept {
                    project.cx.note(Level::Warn, announcement(one, now + NOTICE));
                }
            }
        }
    }
}

/// That something that was put aside goes, when, and how to save it.
fn announcement(kept: &Kept, end: DateTime<Utc>) -> String {
    let rows = if kept.holds_rows {
        format!("; `guard salvage {}` takes rows out of it before", kept.run)
    } else if kept.holds_files {
        format!("; `guard salvage {}` gives files of it back before", kept.run)
    } else {
        String::new()
    };
    format!(
        "what {} put aside of {} ({}) has outlived its backup and goes after {}, or with the next `guard prune`{rows}",
        kept.run,
        kept.resource,
        kept.place(),
        end.format("%Y-%m-%d %H:%M UTC"),
    )
}

fn mark(run: &Run, name: &str, text: &str, cx: &Context) {
    if let Err(error) = disk::write_whole(&run.directory.join(name), text.as_bytes()) {
        cx.note(Level::Warn, error.to_string());
    }
}

fn is_kept(timestamp: &Timestamp, store: &Store) -> bool {
    // What cannot be seen is not taken to be gone.
    disk::exists(&store.directory().join(timestamp.as_str())).unwrap_or(true)
}

fn forget(run: &Run, history: &History, kept: &[Kept], resources: &[Owned], project: &Project) {
    let mut is_gone = true;
    for displaced in history.displaced().filter(|displaced| !displaced.details.is_null()) {
        let found = resources
            .iter()
            .find(|owned| owned.resource.name() == &displaced.resource);
        let told = kept.iter().find(|kept| kept.resource == displaced.resource);
        let (Some(owned), Some(told)) = (found, told) else {
            // Of what the settings do not know any more nothing is removed, and it stays on the list.
            is_gone = false;
            continue;
        };
        let what = format!(
            "what {} had put aside of {} ({})",
            run.id,
            displaced.resource,
            told.place()
        );
        let deed = Deed {
            did: "prune",
            what: what.clone(),
            why: None,
            forced: false,
        };
        if let Err(refusal) = audit::record(deed, project) {
            project.cx.note(Level::Warn, refusal.account.failed);
            return;
        }
        let (resource, cx) = owned.resource.at(&project.cx.unstoppable());
        match resource.forget(displaced, &cx) {
            Ok(()) => project.cx.note(Level::Info, format!("removed {what}")),
            Err(error) => {
                is_gone = false;
                project.cx.note(Level::Warn, format!("{what} is still there: {error}"));
            }
        }
    }
    if is_gone {
        mark(run, FORGOTTEN, "", &project.cx);
    }
}

/// Whether a run of this ending has left the failed state for a person.
#[must_use]
pub fn is_left(ending: Ending) -> bool {
    matches!(
        ending,
        Ending::Withheld(_) | Ending::NothingToUndo(_) | Ending::Untouched(_) | Ending::Unprepared(_)
    )
}
