//! `guard salvage`: out of what a rollback put aside, rows into files or into the live database, and files to where they were.

use guard_engine::history::History;
use guard_journal::{Run, Runs};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::RunId;
use guard_model::setting::nearest_or_all;
use guard_run::assembly::Owned;
use guard_run::confirmation::confirm;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Salvage;
use guard_run::session::Session;
use guard_run::{locks, preconditions};
use guard_system::disk;

/// Exports, and carries over what was asked for.
///
/// # Errors
/// The run displaced nothing of the kind, what it displaced is gone, or a database refuses.
pub(super) fn salvage(asked: &Salvage, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard salvage")?;
    preconditions::refuse_open(project, &session.style.program)?;
    let (run, displaced) = chosen(asked, &project.runs, &session.style.program)?;
    let resources = project.resources()?;
    refuse_unknown(asked.resource.as_ref(), &run, &displaced)?;
    let is_asked = |owned: &Owned| {
        let named = asked.resource.as_ref();
        named.is_none_or(|name| owned.resource.name().as_str() == name)
    };
    let all: Vec<(&Owned, &Displaced)> = displaced
        .iter()
        .filter_map(|displaced| {
            let owned = resources
                .iter()
                .find(|owned| owned.resource.name() == &displaced.resource)?;
            Some((owned, displaced))
        })
        .filter(|(owned, _)| is_asked(owned))
        .collect();
    let (mut pairs, mut files) = (Vec::new(), Vec::new());
    for (owned, displaced) in all {
        // Who asks for tables means databases, and who asks for files means the others.
        if owned.resource.holds_rows(displaced) && (asked.files.is_empty() || !asked.tables.is_empty()) {
            pairs.push((owned, displaced));
        } else if displaced.files().is_some() && (asked.tables.is_empty() || !asked.files.is_empty()) {
            files.push((owned, displaced));
        }
    }
    if pairs.is_empty() && files.is_empty() {
        let what = match (asked.tables.is_empty(), asked.files.is_empty()) {
            (false, true) => "no rows",
            (true, false) => "no files",
            _ => "no rows and no files",
        };
        let refusal = Refusal::new(
            ExitCode::NO_BACKUP,
            format!("run {} put {what} aside that could be salvaged", run.id),
        );
        return Err(refusal.next("to see what happened", format!("{} history", session.style.program)));
    }
    let names = |of: &[(&Owned, &Displaced)]| {
        let names: Vec<&str> = of.iter().map(|(owned, _)| owned.resource.name().as_str()).collect();
        names.join(", ")
    };
    if !asked.files.is_empty() && !files.is_empty() {
        let patterns = &asked.files;
        let question = format!(
            "Give files that match {} back to {}?",
            patterns.join(", "),
            names(&files)
        );
        let command = format!("salvage {} --files '{}'", run.id, patterns.join(","));
        confirm(&question, &command, project.settings.confirmed, session)?;
    }
    if !asked.tables.is_empty() {
        let tables = &asked.tables;
        let question = format!("Put rows of {} back into {}?", tables.join(", "), names(&pairs));
        let command = format!("salvage {} --tables {}", run.id, tables.join(","));
        confirm(&question, &command, project.settings.confirmed, session)?;
    }
    for (owned, displaced) in files {
        let name = owned.resource.name();
        let command = format!("{} salvage {} --files '**'", session.style.program, run.id);
        let (resource, cx) = owned.resource.at(&project.cx);
        let done = resource.salvage_files(displaced, &asked.files, &command, &cx);
        for sentence in done.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))? {
            project.cx.note(Level::Info, format!("{name}: {sentence}"));
        }
    }
    let into = asked
        .into
        .as_ref()
        .map_or_else(|| run.directory.join("salvaged"), |into| project.cx.resolve(into));
    let only_files = !pairs.is_empty() && asked.tables.is_empty();
    for (owned, displaced) in pairs {
        let name = owned.resource.name();
        let directory = into.join(name.as_str());
        let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
        let taken = disk::list(&directory).map_err(|error| refused(&error))?;
        if asked.into.is_some() && !taken.is_empty() {
            return Err(Refusal::new(
                ExitCode::USAGE,
                format!("{} is not empty", directory.display()),
            ));
        }
        let (resource, cx) = owned.resource.at(&project.cx);
        let done = resource.salvage(displaced, &asked.tables, &directory, &cx);
        for sentence in done.map_err(|error| refused(&error))? {
            project.cx.note(Level::Info, format!("{name}: {sentence}"));
        }
    }
    if only_files {
        let text = format!(
            "to put rows back into tables that people write to: `{} salvage {} --tables NAME,NAME`",
            session.style.program, run.id
        );
        project.cx.note(Level::Info, text);
    }
    Ok(ExitCode::DONE)
}

/// Refuses the name of a resource of which the run put nothing aside.
fn refuse_unknown(asked: Option<&String>, run: &Run, displaced: &[Displaced]) -> Result<(), Refusal> {
    let mut names: Vec<&str> = displaced
        .iter()
        .filter(|displaced| !displaced.details.is_null())
        .map(|displaced| displaced.resource.as_str())
        .collect();
    names.dedup();
    match asked.filter(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let what = format!("run {} put nothing aside of a resource called {name:?}", run.id);
            Err(Refusal::new(ExitCode::USAGE, what).because(nearest_or_all(name, &names)))
        }
    }
}

/// The run that is meant, and what it displaced.
fn chosen(asked: &Salvage, runs: &Runs, program: &str) -> Result<(Run, Vec<Displaced>), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| {
        Refusal::of_error(ExitCode::USAGE, error).next("to see the runs", format!("{program} history"))
    };
    let wanted: Option<RunId> = match asked.run.as_str() {
        "latest" => None,
        text => Some(text.parse().map_err(|error| refused(&error))?),
    };
    for run in runs.list().map_err(|error| refused(&error))? {
        if wanted.as_ref().is_some_and(|wanted| wanted != &run.id) {
            continue;
        }
        let history = run.read().ok().and_then(|records| History::of(&records).ok());
        let displaced: Vec<Displaced> = history.iter().flat_map(History::displaced).cloned().collect();
        if wanted.is_some() || displaced.iter().any(|displaced| !displaced.details.is_null()) {
            return Ok((run, displaced));
        }
    }
    let refusal = Refusal::new(
        ExitCode::USAGE,
        format!("there is no run {:?} that put anything aside", asked.run),
    );
    Err(refusal.next("to see the runs", format!("{program} history")))
}
