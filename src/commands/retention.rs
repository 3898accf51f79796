//! After a run: what was staged and not needed is discarded, old backups go, and what old rollbacks displaced.
//!
//! Nothing here can change the ending of a run: a failure is told, and that is all.

use chrono::{DateTime, TimeDelta, Utc};

use super::audit::{self, Deed};
use super::elsewhere;
use super::journey::is_left;
use super::kept::{self, Kept};
use super::sealing;
use super::session;
use super::workbench::{Bench, Owned};
use guard_engine::crew::Crew;
use guard_engine::history::History;
use guard_journal::{Run, State};
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::fact::Ending;
use guard_model::name::{RunKind, Timestamp};
use guard_store::{Keep, Last, Listed, Removal, clock_doubt, plan_removals};
use guard_system::disk;

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
        forget_old(false, bench);
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
        .and_then(|mut listed| {
            let scope = bench.own_scope();
            listed.retain(|entry| match entry {
                Listed::Backup(backup) => scope.objection(backup).is_none(),
                _ => true,
            });
            if let Some(doubt) = clock_doubt(&listed, bench.cx.clock.now()) {
                let what = format!("the clock is in doubt, so no backup goes for its age: {doubt}");
                bench.cx.note(Level::Warn, what);
            }
            let pinned = session::pinned(bench).map_err(|refusal| refusal.account.failed)?;
            let set = &bench.settings.retention;
            let keep = Keep {
                newest: usize::try_from(set.keep).unwrap_or(usize::MAX),
                days: set.keep_days,
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

/// Removes one backup that retention has chosen; returns whether it is gone.
pub(super) fn remove(removal: &Removal, bench: &Bench) -> bool {
    let artifacts = bench
        .store
        .get(&removal.timestamp)
        .map(|backup| backup.manifest.artifacts);
    let deed = Deed {
        did: "prune",
        what: format!("backup {}: {}", removal.timestamp, removal.why),
        why: None,
        forced: false,
    };
    if let Err(refusal) = audit::record(deed, bench) {
        let what = format!("backup {} stays: {}", removal.timestamp, refusal.account.failed);
        bench.cx.note(Level::Warn, what);
        return false;
    }
    match bench.store.delete(&removal.timestamp, &[], Last::Stays) {
        Ok(()) => {
            release(&artifacts.unwrap_or_default(), bench);
            bench.cx.note(
                Level::Info,
                format!("removed backup {}: {}", removal.timestamp, removal.why),
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

/// Of a run that put something aside whose backup is gone: when it was announced that this goes, as RFC 3339.
const ANNOUNCED: &str = "announced";
/// So long what was put aside stays once that was announced, unless somebody prunes. A guess.
const NOTICE: TimeDelta = TimeDelta::days(3);

/// When what a run put aside goes, where that was announced; it goes with no backup any more.
pub(super) fn ends(run: &Run) -> Option<DateTime<Utc>> {
    let text = disk::read_text_optional(&run.directory.join(ANNOUNCED)).ok()??;
    let announced = DateTime::parse_from_rfc3339(text.trim()).ok()?;
    Some(announced.with_timezone(&Utc) + NOTICE)
}

/// The runs that put something aside whose backup is gone: while the backup is there, an undo may be wanted.
pub(super) fn loose(bench: &Bench) -> Vec<(Run, History)> {
    let runs = bench.runs.list().unwrap_or_default();
    let over = runs.into_iter().filter(|run| {
        let is_over = matches!(run.state(), Ok(State::Closed(_)));
        is_over && !disk::exists(&run.directory.join(FORGOTTEN)).unwrap_or(true)
    });
    let read = over.filter_map(|run| {
        let history = History::of(&run.read().ok()?).ok()?;
        let is_loose = history.plan().kind != RunKind::Backup && !is_kept(&history.plan().backup, bench);
        is_loose.then_some((run, history))
    });
    read.collect()
}

/// Announces what no backup holds on to any more, and removes what was announced long enough ago; `at_once`: all that was
/// announced before. What is put aside may be the only place of rows or files, so it never goes without a word.
pub(super) fn forget_old(at_once: bool, bench: &Bench) {
    let Ok(resources) = bench.resources() else { return };
    let now = bench.cx.clock.now();
    for (run, history) in loose(bench) {
        let kept = kept::of(&run, &history, &resources, bench);
        if kept.is_empty() {
            mark(&run, FORGOTTEN, "", bench);
            continue;
        }
        match ends(&run) {
            Some(end) if at_once || now >= end => forget(&run, &history, &kept, &resources, bench),
            Some(_) => {}
            None => {
                mark(&run, ANNOUNCED, &now.to_rfc3339(), bench);
                for one in &kept {
                    bench.cx.note(Level::Warn, announcement(one, now + NOTICE));
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

fn mark(run: &Run, name: &str, text: &str, bench: &Bench) {
    if let Err(error) = disk::write_whole(&run.directory.join(name), text.as_bytes()) {
        bench.cx.note(Level::Warn, error.to_string());
    }
}

fn is_kept(timestamp: &Timestamp, bench: &Bench) -> bool {
    // What cannot be seen is not taken to be gone.
    disk::exists(&bench.store.directory().join(timestamp.as_str())).unwrap_or(true)
}

fn forget(run: &Run, history: &History, kept: &[Kept], resources: &[Owned], bench: &Bench) {
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
        if let Err(refusal) = audit::record(deed, bench) {
            bench.cx.note(Level::Warn, refusal.account.failed);
            return;
        }
        match owned.resource.forget(displaced, &bench.cx.unstoppable()) {
            Ok(()) => bench.cx.note(Level::Info, format!("removed {what}")),
            Err(error) => {
                is_gone = false;
                bench.cx.note(Level::Warn, format!("{what} is still there: {error}"));
            }
        }
    }
    if is_gone {
        mark(run, FORGOTTEN, "", bench);
    }
}
