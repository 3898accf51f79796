//! `guard mark`: what a person knows of a backup; it counts more than what the probes said when it was taken.

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_run::audit::{self, Deed};
use guard_run::choosing::{choose, store_refusal};
use guard_run::locks;
use guard_run::outcome::Outcome;
use guard_run::project::Project;
use guard_run::request::Mark;
use guard_store::Knowledge;

/// Marks a backup.
///
/// # Errors
/// It is not there, or the mark cannot be written.
pub(super) fn mark(asked: &Mark, project: &Project, program: &str) -> Outcome {
    let _lock = locks::begin(project, "guard mark")?;
    let backup = choose(Some(&asked.timestamp), project, program)?;
    let timestamp = backup.timestamp();
    let why = asked.message.as_ref().map(|text| project.cx.redaction.clean(text));
    let knowledge = match asked.knowledge.as_str() {
        "good" => Knowledge::KnownGood,
        "bad" => Knowledge::Tainted(why.clone().unwrap_or_else(|| format!("{} said so", project.actor.user))),
        _ => Knowledge::Unknown,
    };
    audit::record(
        Deed {
            did: "mark",
            what: format!("backup {timestamp} as {}", asked.knowledge),
            why,
            forced: false,
        },
        project,
    )?;
    let marked = project.store.mark(timestamp, &knowledge);
    marked.map_err(|error| store_refusal(&error, program))?;
    project.cx.note(
        Level::Info,
        format!("backup {timestamp} is marked as {}", asked.knowledge),
    );
    Ok(ExitCode::DONE)
}
