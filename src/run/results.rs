//! What a run leaves for people and machines when it is over: `result.json`, its report, and the account of an abort.

use crate::drill::record::is_drill;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::run_report::material;
use crate::session::Session;
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_report::ci;
use guard_report::result::Outcome as Told;
use guard_report::run_report::{self, RunReport};
use guard_system::disk;

/// What has become of a run, for machines.
const RESULT: &str = "result.json";

/// Whether a run has said what became of it: a guard that is killed behind its last record has not.
///
/// # Errors
/// The run's directory cannot be read.
pub fn is_told(run: &Run) -> Result<bool, Refusal> {
    disk::exists(&run.directory.join(RESULT)).map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))
}

/// The report of a run that went well, and of one that did not; each as Markdown and as a page.
fn names(is_bad: bool) -> [&'static str; 2] {
    if is_bad {
        ["incident.md", "incident.html"]
    } else {
        ["report.md", "report.html"]
    }
}

/// `result.json` and the report for every run, and what a CI system wants to know; the run has the last word of the program,
/// unless another one follows it.
///
/// # Errors
/// They cannot be written.
pub fn write_reports(
    run: &Run,
    exit: ExitCode,
    is_last: bool,
    project: &Project,
    session: &Session,
) -> Result<(), Box<dyn std::error::Error>> {
    let (cx, program) = (&project.cx, &session.style.program);
    let material = material(run, project)?;
    let report = RunReport::of(&material, &cx.redaction, program);
    let is_bad = exit != ExitCode::DONE;
    let [text, page] = names(is_bad).map(|name| run.directory.join(name));
    let (markdown, html) = (run_report::markdown(&report), run_report::page(&report));
    disk::write_whole(&text, markdown.as_bytes())?;
    disk::write_whole(&page, html.as_bytes())?;
    // A run that is finished later, and well, leaves no report that says otherwise.
    for name in names(!is_bad) {
        let path = run.directory.join(name);
        if disk::exists(&path)? {
            disk::remove_file(&path)?;
        }
    }
    tell_report(run, is_bad, project);
    let told = Told::of(&material.records, Some(text.as_path()), program);
    let value = told.to_value(&cx.redaction);
    let clean = cx.redaction.clean(&serde_json::to_string_pretty(&value)?);
    disk::write_whole(&run.directory.join(RESULT), clean.as_bytes())?;
    // A drill tells the CI system its own outcome: that of one of its runs would be taken for a deployment's.
    if let Some(system) = session.style.ci.as_ref().filter(|_| !is_drill(&run.directory)) {
        ci::publish(system, &told, &markdown, &html)?;
    }
    if session.style.json && is_last {
        session
            .reporter
            .finish(Some(serde_json::from_str(&clean)?), std::time::Duration::from_secs(1));
    }
    Ok(())
}

/// Says where the report of a run is: at its very end.
pub fn tell_report(run: &Run, is_bad: bool, project: &Project) {
    let [text, page] = names(is_bad);
    let level = if is_bad { Level::Info } else { Level::Detail };
    let page = run.directory.join(page);
    let note = format!("report: {}, and as text in {text}", page.display());
    project.cx.note(level, note);
}

/// Tells a run that is over, and that somebody else has driven, to the CI system and to whoever reads JSON.
///
/// # Errors
/// Its journal cannot be read, or the CI system's files not written.
pub fn publish(run: &Run, project: &Project, session: &Session) -> Result<(), Box<dyn std::error::Error>> {
    if session.style.ci.is_none() && !session.style.json {
        return Ok(());
    }
    let (redaction, program) = (&project.cx.redaction, &session.style.program);
    let material = material(run, project)?;
    let kept = [names(true), names(false)]
        .into_iter()
        .map(|[text, _]| run.directory.join(text));
    let text = kept.into_iter().find(|path| disk::exists(path).unwrap_or(false));
    let told = Told::of(&material.records, text.as_deref(), program);
    if let Some(system) = &session.style.ci {
        let report = RunReport::of(&material, redaction, program);
        ci::publish(
            system,
            &told,
            &run_report::markdown(&report),
            &run_report::page(&report),
        )?;
    }
    if session.style.json {
        let clean = redaction.clean(&serde_json::to_string(&told.to_value(redaction))?);
        let value = serde_json::from_str(&clean)?;
        session.reporter.finish(Some(value), std::time::Duration::from_secs(1));
    }
    Ok(())
}

/// What a person said who ended a run, and how things were.
pub const ACCOUNT: &str = "aborted.json";

/// Why a person ended this run, where somebody did and said why.
#[must_use]
pub fn reason_of(run: &Run) -> Option<String> {
    let bytes = disk::read_optional(&run.directory.join(ACCOUNT)).ok().flatten()?;
    let account: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(account.get("reason")?.as_str()?.to_owned())
}
