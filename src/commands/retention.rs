//! After a run: what was staged and not needed is discarded, old backups go, and what old rollbacks displaced.
//!
//! Nothing here can change the ending of a run: a failure is told, and that is all.

use super::elsewhere;
use super::journey::is_left;
use super::sealing;
use super::session;
use super::workbench::Bench;
use crate::engine::crew::Crew;
use crate::engine::history::History;
use crate::journal::{Run, State};
use crate::model::artifact::Artifact;
use crate::model::event::Level;
use crate::model::fact::Ending;
use crate::model::name::{RunKind, Timestamp};
use crate::store::{Keep, Removal, Why, plan_removals};
use crate::system::disk;

/// The mark in the directory of a run whose displaced state is gone.
pub(super) const FORGOTTEN: &str = "forgotten";

/// Cleans up behind a run that is over.
pub(super) fn after(history: &History, ending: Ending, crew: &Crew, bench: &Bench) {
    if is_left(ending) {
        for prepared in history.prepared().filter(|prepared| prepared.work.is_needed()) {
            if let Some(resource) = crew.resources.get(&prepared.resource)
                && let Err(error) = resource.discard(prepared, &crew.cx.unstoppable())
            {
                bench.cx.note(
                    Level::Warn,
                    format!("what was staged for {} is still there: {error}", prepared.resource),
                );
            }
        }
    }
    if !matches!(ending, Ending::Stuck(_) | Ending::Unready(_)) && history.plan().kind == RunKind::Deploy {
        for (name, resource) in &crew.resources {
            if let Err(error) = resource.stand_down(&crew.cx.unstoppable()) {
                let note = format!("what stood by for {name} is still there: {error}");
                bench.cx.note(Level::Warn, note);
            }
        }
    }
    if matches!(ending, Ending::Untouched(_)) {
        sweep(bench);
    }
    if !matches!(ending, Ending::Untouched(_)) {
        elsewhere::after(&history.plan().backup, bench);
    }
    if matches!(ending, Ending::Deployed | Ending::Captured) {
        for removal in removals(bench) {
            // Whoever wants to stop waits for one of them at most; the next run removes the others.
            if bench.cx.stop.is_asked() {
                return;
            }
            remove(&removal, bench);
        }
        forget_old(bench, crew);
    }
}

/// Lets go of the run's own key, when it is over: not between the two halves of a rollback to an adopted backup.
pub(super) fn shut(crew: &Crew, bench: &Bench) {
    if crew.adopting.is_empty() {
        sealing::forget(bench);
    }
}

/// Removes half a backup, as a run leaves it that failed or was interrupted while it copied.
fn sweep(bench: &Bench) {
    let swept = session::pinned(bench)
        .map_err(|refusal| refusal.account.failed)
        .and_then(|pinned| {
            let swept = bench.store.sweep(bench.cx.clock.now(), &pinned);
            swept.map_err(|error| error.to_string())
        });
    if let Err(why) = swept {
        let note = format!("what was copied so far is still there, and goes with the next run: {why}");
        bench.cx.note(Level::Warn, note);
    }
}

/// What retention would remove now.
pub(super) fn removals(bench: &Bench) -> Vec<Removal> {
    let planned = bench
        .store
        .list()
        .map_err(|error| error.to_string())
        .and_then(|listed| {
            let pinned = session::pinned(bench).map_err(|refusal| refusal.account.failed)?;
            let set = &bench.settings.retention;
            let keep = Keep {
                newest: usize::try_from(set.keep).unwrap_or(usize::MAX),
                days: set.keep_days.unwrap_or(u32::MAX),
                weekly: set.keep_weekly,
                monthly: set.keep_monthly,
            };
            Ok(plan_removals(&listed, keep, &pinned, bench.cx.clock.now()))
        });
    planned.unwrap_or_else(|why| {
        bench.cx.note(Level::Warn, format!("retention removed nothing: {why}"));
        Vec::new()
    })
}

/// Why retention removes a backup, in words.
#[must_use]
pub(super) fn reason(removal: &Removal) -> String {
    match removal.why {
        Why::Beyond(keep) => format!("there are {keep} newer ones"),
        Why::Age(days) => format!("it is older than {days} days"),
    }
}

/// Removes one backup that retention has chosen; returns whether it is gone.
pub(super) fn remove(removal: &Removal, bench: &Bench) -> bool {
    let artifacts = bench
        .store
        .get(&removal.timestamp)
        .map(|backup| backup.manifest.artifacts);
    match bench.store.delete(&removal.timestamp, &[], false) {
        Ok(()) => {
            release(&artifacts.unwrap_or_default(), bench);
            bench.cx.note(
                Level::Info,
                format!("removed backup {}: {}", removal.timestamp, reason(removal)),
            );
            true
        }
        Err(error) => {
            bench
                .cx
                .note(Level::Warn, format!("backup {} stays: {error}", removal.timestamp));
            false
        }
    }
}

/// Lets go of what the copies of a deleted backup held outside of it.
pub(super) fn release(artifacts: &[Artifact], bench: &Bench) {
    let Ok(resources) = bench.resources() else { return };
    for artifact in artifacts {
        let owner = resources
            .iter()
            .find(|owned| owned.resource.name() == &artifact.resource && owned.kind.key == artifact.kind);
        if let Some(Err(error)) = owner.map(|owned| owned.resource.release(artifact, &bench.cx)) {
            bench.cx.note(
                Level::Warn,
                format!(
                    "what the deleted backup held of {} is still there: {error}",
                    artifact.resource
                ),
            );
        }
    }
}

/// Removes what rollbacks displaced whose backup is gone: as long as the backup is there, an undo may be wanted.
fn forget_old(bench: &Bench, crew: &Crew) {
    let Ok(runs) = bench.runs.list() else { return };
    for run in runs {
        let Ok(State::Closed(_)) = run.state() else { continue };
        if disk::exists(&run.directory.join(FORGOTTEN)).unwrap_or(true) {
            continue;
        }
        let Some(history) = run.read().ok().and_then(|records| History::of(&records).ok()) else {
            continue;
        };
        if history.plan().kind != RunKind::Backup && !is_kept(&history.plan().backup, bench) {
            forget(&run, &history, bench, crew);
        }
    }
}

fn is_kept(timestamp: &Timestamp, bench: &Bench) -> bool {
    // What cannot be seen is not taken to be gone.
    disk::exists(&bench.store.directory().join(timestamp.as_str())).unwrap_or(true)
}

fn forget(run: &Run, history: &History, bench: &Bench, crew: &Crew) {
    let mut is_gone = true;
    for displaced in history.displaced().filter(|displaced| !displaced.details.is_null()) {
        let Some(resource) = crew.resources.get(&displaced.resource) else {
            continue;
        };
        if let Err(error) = resource.forget(displaced, &crew.cx.unstoppable()) {
            is_gone = false;
            bench.cx.note(
                Level::Warn,
                format!(
                    "what {} displaced of {} is still there: {error}",
                    run.id, displaced.resource
                ),
            );
        }
    }
    if is_gone && let Err(error) = disk::write_whole(&run.directory.join(FORGOTTEN), b"") {
        bench.cx.note(Level::Warn, error.to_string());
    }
}
