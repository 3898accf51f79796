//! What `guard check` and every run look at before anything begins, and what they find.

use std::path::{Path, PathBuf};

use crate::assembly::Owned;
use crate::drill::book;
use crate::findings::Report;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::{backup_words, coverage, encryption, front, service_findings};
use guard_config::ServiceSettings;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_resources::Survey;
use guard_resources::abilities::ServiceNeeds;
use guard_services::{starters, updaters};
use guard_store::{Listed, Scope};
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{Compose, containers_of};

/// What a restore is taken to do in a second, in bytes, where nothing better is known: `pg_restore` and an unpacking tar on
/// one disk, measured at 45 to 100 MB/s.
const RESTORE_RATE: u64 = 40_000_000;

/// What journal, readings, evidence and reports of a run may take, with room to spare.
const JOURNAL_ROOM: u64 = 32 << 20;

/// Looks at everything; production is only read. `tries`: what no backup has proven yet is tried beside it.
#[must_use]
pub fn look(project: &Project, resources: &[Owned], command: Option<&[String]>, tries: bool) -> Report {
    let mut report = Report::default();
    report.fact("state", project.state.display().to_string());
    match project.store.exposures() {
        Ok(exposures) => exposures
            .into_iter()
            .for_each(|exposure| report.warn("backups", exposure, "close it")),
        Err(error) => report.refuse("backups", error.to_string(), "see the directory's owner and mode"),
    }
    ground(project, &mut report);
    if let Some((fact, found)) = encryption::look(project) {
        report.fact("encryption", fact);
        if let Err(why) = found {
            report.refuse(
                "encryption",
                why,
                "correct [encryption]; `age-keygen` makes an identity and its recipient",
            );
        }
    }
    if let Some(compose) = &project.compose {
        compose_check(&project.cx, compose, &mut report);
    }
    for further in &project.further {
        compose_check(&project.cx.at(further.engine.as_ref()), &further.compose, &mut report);
    }
    front::look(project, &mut report);
    service_findings::look(project, &[], &mut report);
    surveys(project, resources, tries, &mut report);
    overlaps(project, resources, &mut report);
    coverage::look(project, resources, &mut report);
    space(project, &mut report);
    drills(project, &mut report);
    starts_by_itself(project, &mut report);
    if let Some(words) = command {
        deploy_command(words, project, &mut report);
    }
    let own = [
        &project.settings.verify.commands,
        &project.settings.services.stop,
        &project.settings.services.start,
    ];
    let of_services = project
        .settings
        .services
        .named
        .iter()
        .flat_map(ServiceSettings::commands);
    for words in own.into_iter().flatten().chain(of_services) {
        deploy_command(words, project, &mut report);
    }
    report
}

/// Looks at some services alone, and at the resources that belong to them.
#[must_use]
pub fn look_at(services: &[String], project: &Project, resources: &[Owned]) -> Report {
    let mut report = Report::default();
    service_findings::look(project, services, &mut report);
    surveys(project, resources, true, &mut report);
    report
}

/// What each resource says of itself.
fn surveys(project: &Project, resources: &[Owned], tries: bool, report: &mut Report) {
    let scope = project.scope(resources, false);
    std::thread::scope(|threads| {
        let surveys: Vec<_> = resources
            .iter()
            .map(|owned| (owned, threads.spawn(|| survey(project, owned, &scope, tries))))
            .collect();
        for (owned, survey) in surveys {
            let name = owned.resource.name().as_str();
            match survey.join() {
                Ok(survey) => {
                    room_beside(&project.cx, owned, &survey, report);
                    report.take(name, survey);
                }
                Err(_) => report.refuse(name, "a bug in guard: its survey panicked", "report it"),
            }
        }
    });
}

/// Whether the file system of a resource has room for what a way back stages beside it: that may be another one than that of
/// the backups.
fn room_beside(cx: &Context, owned: &Owned, survey: &Survey, report: &mut Report) {
    let (resource, cx) = owned.resource.at(cx);
    let (Some(side), Some(ground)) = (survey.side_bytes, resource.grounds(&cx).into_iter().next()) else {
        return;
    };
    let there = ground.ancestors().find(|path| path.is_dir());
    if let Some(free) = there
        .and_then(|path| disk::free_bytes(path).ok())
        .filter(|free| *free < side)
    {
        let (free, side) = (text::bytes(free), text::bytes(side));
        report.warn(
            owned.resource.name().as_str(),
            format!("{free} are free on its file system, and a way back of all of it stages {side} there"),
            "free some space there, or what has changed much may not go back",
        );
    }
}

/// The resource's own survey, and whether its newest copy could be put back.
fn survey(project: &Project, owned: &Owned, scope: &Scope, tries: bool) -> Survey {
    let (resource, cx) = owned.resource.at(&project.cx);
    let mut survey = resource.survey(&cx);
    // What keeps a resource from being looked at at all is told already.
    if survey.obstacles.iter().any(|obstacle| obstacle.refuses) {
        return survey;
    }
    let name = owned.resource.name();
    let newest = project
        .store
        .list()
        .unwrap_or_default()
        .into_iter()
        .find_map(|listed| match listed {
            Listed::Backup(backup) if scope.objection(&backup).is_none() => {
                let artifact = backup.manifest.artifact(name).cloned();
                artifact.map(|artifact| (backup.manifest.timestamp.clone(), artifact))
            }
            _ => None,
        });
    if tries {
        let artifact = newest.as_ref().map(|(_, artifact)| artifact);
        resource.try_back(artifact, &cx, &mut survey);
    }
    if let Some((timestamp, artifact)) = newest
        && let Err(error) = resource.agrees(&artifact, &cx)
    {
        survey.warn(
            format!("the newest backup, {timestamp}, could not be put back here: {error}"),
            error
                .hint
                .clone()
                .unwrap_or_else(|| "take a new backup: guard backup".to_owned()),
        );
    }
    survey
}

/// Tries the ground that the backups and the state stand on, and says which backup has vanished from it.
fn ground(project: &Project, report: &mut Report) {
    match project.store.try_out() {
        Ok(()) => {}
        Err(error) => report.refuse(
            "backups",
            text::chain(&error),
            "keep backups and state on a local file system that can be written: see `backup_dir` and `state_dir`",
        ),
    }
    if let Err(error) = project.store.try_links() {
        report.warn(
            "backups",
            format!(
                "no hard links are possible there, so backups of a volume share nothing: {}",
                text::chain(&error)
            ),
            "set `backup_dir` to a file system that has them, or leave room for whole copies",
        );
    }
    match project.store.missing_newest() {
        Ok(None) => {}
        Ok(Some(backup)) => report.warn(
            "backups",
            backup_words::missing_words(&backup),
            "mount or bring back what held it; `guard fetch` may have it; the next backup ends this warning",
        ),
        Err(error) => report.warn("backups", text::chain(&error), "see the file that it names"),
    }
    match disk::free_bytes(&project.state) {
        Ok(free) if free < JOURNAL_ROOM => report.refuse(
            "state",
            format!("{} are free where the journal is written", text::bytes(free)),
            "free some space there, or set `state_dir` to a larger disk",
        ),
        Ok(_) => {}
        Err(error) => report.refuse("state", error.to_string(), "see the state directory"),
    }
}

fn compose_check(cx: &Context, compose: &Compose, report: &mut Report) {
    match Compose::version(cx) {
        Ok(version) => report.fact("compose", format!("v{version}, project {}", compose.project)),
        Err(error) => return report.refuse("compose", error.to_string(), "install or start it"),
    }
    // Compose reads its files without the engine; nothing else works without it.
    if let Err(error) = containers_of(cx, &compose.project) {
        return report.refuse(
            "docker",
            error.to_string(),
            "start it, or see DOCKER_HOST and DOCKER_CONTEXT",
        );
    }
    if let Err(error) = compose.services(cx) {
        report.refuse("compose", error.to_string(), "docker compose config");
    }
}

/// Places that lie in each other: what goes back at one of them would take along what belongs to the other.
fn overlaps(project: &Project, resources: &[Owned], report: &mut Report) {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let places: Vec<(&str, PathBuf)> = resources
        .iter()
        .flat_map(|owned| {
            let occupied = owned.resource.services().map(ServiceNeeds::occupies);
            let occupied = occupied.into_iter().flatten().map(PathBuf::from);
            let paths = occupied.filter(|path| path.is_absolute());
            paths.map(|path| (owned.resource.name().as_str(), real(&path)))
        })
        .collect();
    let kept = [
        ("the backups", "backup_dir", real(project.store.directory())),
        ("guard's own state", "state_dir", real(&project.state)),
    ];
    for (name, place) in places.iter().filter(|(_, place)| place.is_dir()) {
        for (what, setting, kept) in &kept {
            if kept.starts_with(place) {
                report.refuse(
                    name,
                    format!(
                        "{what} would lie in what is copied and put back: {} is in {}",
                        kept.display(),
                        place.display()
                    ),
                    format!("set `{setting}` to a directory outside of {}", place.display()),
                );
            }
        }
    }
    for (at, (name, place)) in places.iter().enumerate() {
        for (other, within) in places.iter().skip(at + 1) {
            let (outer, inner, name, other) = if within.starts_with(place) {
                (place, within, name, other)
            } else if place.starts_with(within) {
                (within, place, other, name)
            } else {
                continue;
            };
            let what = if inner == outer {
                format!("{} is the place of {other} too", outer.display())
            } else {
                format!("{} lies in it and is the place of {other}", inner.display())
            };
            report.refuse(
                name,
                what,
                format!(
                    "keep one of the two: remove [resources.{other}], or name directories that lie beside each other"
                ),
            );
        }
    }
}

fn space(project: &Project, report: &mut Report) {
    match project.store.free_bytes() {
        Ok(free) if free < report.copy_bytes => {
            let (free, needed) = (text::bytes(free), text::bytes(report.copy_bytes));
            let what = format!("{free} are free, and the backup may take {needed}");
            report.refuse(
                "disk",
                what,
                "free some space, `guard prune`, or set `backup_dir` to a larger disk",
            );
        }
        Ok(free) => {
            let (free, needed) = (text::bytes(free), text::bytes(report.copy_bytes));
            report.fact("disk", format!("{free} free, the backup takes {needed} at most"));
        }
        Err(error) => report.refuse("disk", error.to_string(), "see the backup directory"),
    }
    if report.side_bytes > 0 {
        let seconds = std::time::Duration::from_secs(report.side_bytes / RESTORE_RATE + 1);
        let about = text::duration(seconds);
        report.fact(
            "restore",
            format!("data: about {about}, most of it before anything stops"),
        );
        if let Some(limit) = project
            .settings
            .policy
            .rollback_timeout
            .filter(|limit| *limit < seconds)
        {
            let limit = text::duration(limit);
            report.warn(
                "restore",
                format!("putting all data back takes about {about}, and `policy.rollback_timeout` ends a way back after {limit}"),
                "raise policy.rollback_timeout, or remove it",
            );
        }
    }
    if let Some(limit) = project.settings.policy.rollback_timeout {
        report.fact(
            "way back",
            format!(
                "{} at most: then the step under way is stopped, nothing more is put back, what ran is started, and the run ends \
                 with 30 (36 where nothing was put back); `guard resume` goes on",
                text::duration(limit)
            ),
        );
    }
}

/// How long a way back took in drills, and how old the newest is.
fn drills(project: &Project, report: &mut Report) {
    let all = match book::all(&project.state) {
        Ok(all) => all,
        Err(error) => return report.warn("drill", error.to_string(), "see the state directory"),
    };
    let Some(newest) = book::newest(&all) else { return };
    let told = book::estimates(&all).into_iter();
    let told = told.map(|(kind, back)| format!("{} {}", kind.as_str(), book::seconds(back)));
    let told: Vec<String> = told.collect();
    let ago = book::ago(newest.at, project.cx.clock.now());
    report.fact(
        "drill",
        if told.is_empty() {
            format!("the last one was {ago}; none has passed")
        } else {
            format!(
                "a way back takes about, as measured: {}; the last drill was {ago}",
                told.join(", ")
            )
        },
    );
    let failed = book::failed(&all);
    if !failed.is_empty() {
        let what = format!("did not pass when it was tried last: {}", failed.join(", "));
        report.warn(
            "drill",
            what,
            format!("guard drill --fault {}", failed.join(" --fault ")),
        );
    }
}

/// What could start a failed release again during a way back: it is held then, and named before.
fn starts_by_itself(project: &Project, report: &mut Report) {
    let mut found = starters(&project.settings.directory, &project.cx);
    if project.compose.is_some() {
        found.extend(updaters(&project.cx).into_iter().map(|name| (name, true)));
    }
    let named = |can_hold: bool| {
        let of_kind = found.iter().filter(|(_, is)| *is == can_hold);
        of_kind
            .map(|(phrase, _)| phrase.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (held, free) = (named(true), named(false));
    if !held.is_empty() {
        report.fact("by itself", format!("held while a way back lasts: {held}"));
    }
    if !free.is_empty() {
        report.warn(
            "by itself",
            format!("may start a failed release again during a way back, and cannot be held by this user: {free}"),
            "run guard as root, or stop it by `services.stop` and start it by `services.start`",
        );
    }
}

/// A command that is not there is found before the backup, not after it.
fn deploy_command(words: &[String], project: &Project, report: &mut Report) {
    let Some(program) = words.first() else {
        return report.refuse("command", "it is empty", "guard deploy -- CMD");
    };
    if let Some(why) = not_runnable(
        program,
        &project.settings.directory,
        project.cx.environment.text("PATH").unwrap_or_default(),
    ) {
        let advice = if meant_for_a_shell(words).is_some() {
            NO_SHELL
        } else {
            "check its name and its mode (chmod +x)"
        };
        report.refuse("command", why, advice);
    } else if let Some(word) = meant_for_a_shell(words) {
        report.warn(
            "command",
            format!("{program:?} is given {word:?} as it stands"),
            NO_SHELL,
        );
    }
}

const NO_SHELL: &str = "no shell runs a command: write [\"sh\", \"-c\", \"…\"], or name a script";

/// The word of a command that only a shell would understand, where none is called.
fn meant_for_a_shell(words: &[String]) -> Option<&str> {
    /// Those that read such words themselves, and `find`, which ends its own commands with one.
    const READERS: [&str; 10] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "env", "ssh", "find", "watch"];
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    if READERS.contains(&program) {
        return None;
    }
    let is_meant = |word: &&String| {
        matches!(
            word.as_str(),
            "|" | "||" | "&" | "&&" | ";" | ">" | ">>" | "<" | "2>&1" | "2>" | ">/dev/null" | "2>/dev/null"
        ) || word.contains("$(")
            || word.starts_with('(')
    };
    words.iter().find(is_meant).map(String::as_str)
}

fn not_runnable(program: &str, directory: &Path, path: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let places: Vec<PathBuf> = if program.contains('/') {
        vec![directory.join(program)]
    } else {
        std::env::split_paths(path).map(|place| place.join(program)).collect()
    };
    let mut found = None;
    for place in places {
        match std::fs::metadata(&place) {
            Ok(metadata) if metadata.is_dir() => found = Some(format!("{} is a directory", place.display())),
            Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
                found = Some(format!("{} is not executable", place.display()));
            }
            Ok(_) => return None,
            Err(_) => {}
        }
    }
    Some(found.unwrap_or_else(|| format!("{program:?} was not found")))
}

/// The checks that a run makes before it begins.
///
/// # Errors
/// Something is in the way.
pub fn refuse_obstacles(project: &Project, resources: &[Owned], command: Option<&[String]>) -> Result<(), Refusal> {
    let report = look(project, resources, command, false);
    for (about, fact) in &report.facts {
        project.cx.note(Level::Detail, format!("{about}: {fact}"));
    }
    for finding in report.findings.iter().filter(|finding| !finding.obstacle.refuses) {
        project.cx.note(
            Level::Warn,
            format!(
                "{}: {} ({})",
                finding.about, finding.obstacle.what, finding.obstacle.advice
            ),
        );
    }
    if report.refusals().next().is_none() {
        Ok(())
    } else {
        Err(refusal(&report))
    }
}

/// Why nothing is begun.
fn refusal(report: &Report) -> Refusal {
    let mut refusal = Refusal::new(ExitCode::REFUSED, "the way back is not open, so nothing was begun");
    refusal.account.why = in_the_way(report);
    refusal.next("to see everything", "guard check")
}

/// Each thing in the way, with what to do.
#[must_use]
pub fn in_the_way(report: &Report) -> Vec<String> {
    let told = report.refusals().map(|finding| {
        format!(
            "{}: {} — {}",
            finding.about, finding.obstacle.what, finding.obstacle.advice
        )
    });
    told.collect()
}
