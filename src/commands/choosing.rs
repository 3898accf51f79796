//! Which backup is meant: by its name, `latest`, `previous`, or the newest that is known to be good; of this system and
//! environment, unless another one is named and forced.

use super::list::{holds, knowledge, live_then};
use super::refusal::Refusal;
use super::setup::{Desk, width_of_stdout};
use super::workbench::{Bench, Owned};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::{ResourceName, Timestamp};
use guard_model::text;
use guard_report::tables::Table;
use guard_store::{Backup, Knowledge, Listed, Scope, StoreError, candidates, holding};

/// So many candidates are shown.
const SHOWN: usize = 5;

impl Bench {
    /// What a backup has to be of, to be chosen here without being named. The databases' servers are asked who they are only
    /// where `asks`: a list must not wait for one that does not answer.
    #[must_use]
    pub(super) fn scope(&self, resources: &[Owned], asks: bool) -> Scope {
        let asked = resources.iter().filter(|owned| asks || !owned.kind.is_of_server());
        let identities = asked.map(|owned| {
            let (resource, cx) = owned.resource.at(&self.cx);
            (resource.name().clone(), resource.identity(&cx))
        });
        Scope {
            target: self.target(),
            environment: self.settings.environment_name.clone(),
            identities: identities.filter(|(_, names)| !names.is_empty()).collect(),
        }
    }

    /// The scope of the resources in force, as far as it can be told without asking a server. Settings that are wrong are not
    /// this one's to tell.
    #[must_use]
    pub(super) fn own_scope(&self) -> Scope {
        self.scope(&self.resources().unwrap_or_default(), false)
    }
}

/// The backup that was asked for, to look at it or to keep it elsewhere.
///
/// # Errors
/// It is not there, not authentic, or made by a newer guard; or there is none to choose.
pub(super) fn choose(asked: Option<&str>, bench: &Bench, desk: &Desk) -> Result<Backup, Refusal> {
    let listed = listed(bench, desk)?;
    match named(asked, &listed, bench, desk)? {
        Some(backup) => Ok(backup),
        None => place(asked, &[], &bench.own_scope(), &listed, desk).cloned(),
    }
}

/// The backup that was asked for, to do something to this system with it that cannot be taken back as easily: `force` lets it
/// be one of another environment or of other resources.
///
/// # Errors
/// As [`choose`]; or it is of something else, and nobody forces it.
pub(super) fn choose_own(
    asked: Option<&str>,
    wanted: &[ResourceName],
    scope: &Scope,
    force: bool,
    command: &str,
    bench: &Bench,
    desk: &Desk,
) -> Result<Backup, Refusal> {
    let program = &desk.style.program;
    let listed = listed(bench, desk)?;
    if let Some(backup) = named(asked, &listed, bench, desk)? {
        let Some(objection) = scope.objection(&backup) else {
            return Ok(backup);
        };
        if force {
            bench.cx.note(
                Level::Warn,
                format!("backup {} is not of this place: {objection}", backup.timestamp()),
            );
            return Ok(backup);
        }
        let what = format!("backup {} is not of this place: {objection}", backup.timestamp());
        let refusal = Refusal::new(ExitCode::REFUSED, what);
        return Err(match &backup.manifest.environment {
            Some(theirs) if scope.environment.as_ref() != Some(theirs) => refusal
                .because(format!("`--environment {theirs}` chooses the place that it is of"))
                .next("to use it here all the same", format!("{program} {command} --force")),
            _ => refusal.next("to use it all the same", format!("{program} {command} --force")),
        });
    }
    let chosen = place(asked, wanted, scope, &listed, desk)?;
    if asked.is_none() {
        let good = candidates(&listed, scope, wanted);
        desk.reporter.data(shown(&good, desk));
        doubts(chosen, &holding(&listed, scope, wanted), bench);
    }
    Ok(chosen.clone())
}

fn listed(bench: &Bench, desk: &Desk) -> Result<Vec<Listed>, Refusal> {
    let listed = bench.store.list();
    listed.map_err(|error| store_refusal(&error, &desk.style.program))
}

/// The backup of a timestamp; `None` where a place in the order was asked for.
fn named(asked: Option<&str>, listed: &[Listed], bench: &Bench, desk: &Desk) -> Result<Option<Backup>, Refusal> {
    let program = &desk.style.program;
    let Some(text) = asked.filter(|text| !matches!(*text, "latest" | "previous")) else {
        return Ok(None);
    };
    let timestamp: Timestamp = text.parse().map_err(|error| {
        Refusal::of_error(ExitCode::USAGE, &error).next("to see the backups", format!("{program} list"))
    })?;
    let found = bench.store.get(&timestamp);
    found
        .map(Some)
        .map_err(|error| store_refusal(&error, program).because(near(&timestamp, listed)))
}

/// The newest candidate, or the one before it.
fn place<'l>(
    asked: Option<&str>,
    wanted: &[ResourceName],
    scope: &Scope,
    listed: &'l [Listed],
    desk: &Desk,
) -> Result<&'l Backup, Refusal> {
    let good = candidates(listed, scope, wanted);
    let found = if asked == Some("previous") {
        good.get(1)
    } else {
        good.first()
    };
    found
        .copied()
        .ok_or_else(|| none(!good.is_empty(), wanted, scope, listed, desk))
}

/// Why there is nothing to choose.
fn none(has_one: bool, wanted: &[ResourceName], scope: &Scope, listed: &[Listed], desk: &Desk) -> Refusal {
    let program = &desk.style.program;
    let all: Vec<&Backup> = listed
        .iter()
        .filter_map(|entry| match entry {
            Listed::Backup(backup) => Some(backup),
            _ => None,
        })
        .collect();
    let own: Vec<&Backup> = all
        .iter()
        .copied()
        .filter(|backup| scope.objection(backup).is_none())
        .collect();
    let refuse = |what: &str| Refusal::new(ExitCode::NO_BACKUP, what);
    let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    if has_one {
        return refuse("there is one backup to go back to, and none before it")
            .next("to see the backups", format!("{program} list"));
    }
    if all.is_empty() {
        return refuse("there is no backup to go back to").next("to take one", format!("{program} backup"));
    }
    if own.is_empty() {
        let mut environments: Vec<&String> = all.iter().filter_map(|one| one.manifest.environment.as_ref()).collect();
        environments.sort();
        environments.dedup();
        let refusal = refuse("there is no backup of this place to go back to");
        let refusal = all
            .first()
            .and_then(|backup| Some(format!("{}: {}", backup.timestamp(), scope.objection(backup)?)))
            .into_iter()
            .fold(refusal, Refusal::because);
        return match environments.as_slice() {
            [one] if scope.environment.is_none() => refusal.next(
                "to see those of that environment",
                format!("{program} --environment {one} list"),
            ),
            // An address that was changed, as of a server that moved: only a person knows that it is the same one.
            _ => all
                .first()
                .map(|backup| {
                    format!(
                        "where that is the same place by another name: {program} rollback --backup-timestamp={} --force",
                        backup.timestamp()
                    )
                })
                .into_iter()
                .fold(refusal, Refusal::because)
                .next("to see those of other places", format!("{program} list --all")),
        };
    }
    if holding(listed, scope, wanted).is_empty() {
        let what = format!("no backup holds {}", names.join(" and "));
        return refuse(&what).next("to see what each holds", format!("{program} list"));
    }
    refuse("there is no known-good backup to go back to")
        .because("tainted backups are never chosen by themselves; name one with --backup-timestamp")
        .next("to see the backups", format!("{program} list"))
}

fn near(timestamp: &Timestamp, listed: &[Listed]) -> String {
    let names: Vec<&str> = listed.iter().map(Listed::name).collect();
    let near = guard_model::setting::nearest(timestamp.as_str(), names.iter().copied());
    near.unwrap_or_else(|| match names.len() {
        0 => "there is no backup at all".to_owned(),
        count if count > SHOWN => format!("no backup has a name like it; the newest are: {}", newest(&names)),
        _ => format!("there are: {}", newest(&names)),
    })
}

/// The newest of some names of backups.
fn newest(names: &[&str]) -> String {
    names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ")
}

/// Says what is not known of the choice, before anybody says yes to it.
fn doubts(chosen: &Backup, all: &[&Backup], bench: &Bench) {
    if !chosen.is_known_good() {
        let what = "no backup is known to be good: neither a probe nor a verify command has judged one, nor a person \
                    (`guard mark`). The newest is taken";
        bench.cx.note(Level::Warn, what);
    }
    let is_newer = |backup: &&&Backup| backup.manifest.generation > chosen.manifest.generation;
    let newer: Vec<&&Backup> = all.iter().filter(is_newer).collect();
    if let Some(newest) = newer.first() {
        let count = text::plural(newer.len() as u64, "newer backup");
        let bad = newer
            .iter()
            .filter(|one| matches!(one.knowledge(), Knowledge::Tainted(_)))
            .count();
        let what = format!(
            "passed over: {count}, of which {bad} were taken while something was wrong and nobody has judged the others; \
             the newest is {}",
            newest.timestamp()
        );
        bench.cx.note(Level::Info, what);
    }
}

fn shown(good: &[&Backup], desk: &Desk) -> String {
    let mut table = Table::new(["backup", "age", "state", "live then", "holds", "size"]).right(5);
    for backup in good.iter().take(SHOWN) {
        let age = (desk.clock.now() - backup.manifest.begun).to_std().unwrap_or_default();
        table = table.row([
            backup.timestamp().to_string(),
            text::duration(age),
            knowledge(backup.knowledge()),
            live_then(&backup.manifest),
            holds(&backup.manifest),
            text::bytes(backup.manifest.bytes()),
        ]);
    }
    let of = good.first().and_then(|backup| backup.manifest.environment.as_ref());
    let of = of.map(|name| format!(" of {name}")).unwrap_or_default();
    format!(
        "Backups{of} to go back to, the newest first; the first is chosen:\n{}",
        table.render(Some(width_of_stdout()))
    )
}

/// A store's error with the exit code that says what is wrong with the backup.
#[must_use]
pub(super) fn store_refusal(error: &StoreError, program: &str) -> Refusal {
    let exit = match error {
        StoreError::Newer { .. } => ExitCode::NEWER,
        StoreError::Disk(_) | StoreError::Unsafe(_) => ExitCode::REFUSED,
        _ => ExitCode::NO_BACKUP,
    };
    Refusal::of_error(exit, error).next("to see the backups", format!("{program} list"))
}
