//! `guard report`: what became of a run, as a page, as Markdown or as JSON, made anew from what was kept of it.

use crate::commands::outside::INTO;
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_report::result::Outcome as Told;
use guard_report::run_report::{RunReport, markdown, page};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::{ReportForm, ReportOf};
use guard_run::run_report::material;
use guard_run::session::Session;
use guard_system::disk;

/// Prints the report of a run, or writes it into a file.
///
/// # Errors
/// There is no such run, its journal cannot be read, or the file cannot be written.
pub(super) fn report(asked: &ReportOf, project: &Project, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let run = chosen(asked.run.as_deref(), project, session)?;
    let material = material(&run, project).map_err(|error| refused(&error))?;
    if material.records.is_empty() {
        let refusal = Refusal::new(
            ExitCode::USAGE,
            format!("run {} never began, so there is nothing to report", run.id),
        );
        return Err(refusal.next("to see the runs", format!("{} history", session.style.program)));
    }
    let (redaction, program) = (&project.cx.redaction, &session.style.program);
    let report = RunReport::of(&material, redaction, program);
    let value = || report.to_value(&Told::of(&material.records, None, program), redaction);
    if session.style.json && asked.into.is_none() {
        return Ok(session.answer(value()));
    }
    let by_name = asked.into.as_deref().and_then(ReportForm::of_file);
    let text = match asked.format.or(by_name).unwrap_or(ReportForm::Markdown) {
        ReportForm::Html => page(&report),
        ReportForm::Markdown => markdown(&report),
        ReportForm::Json => serde_json::to_string(&value()).map_err(|error| refused(&error))? + "\n",
    };
    let Some(into) = &asked.into else {
        session.reporter.data(text);
        return Ok(ExitCode::DONE);
    };
    // From outside the file is to be there, where it was asked for.
    let brought = session.visit.as_ref().map(|visit| visit.file(INTO));
    let path = brought.unwrap_or_else(|| project.cx.resolve(into));
    disk::write_whole(&path, text.as_bytes()).map_err(|error| refused(&error))?;
    project.cx.note(
        Level::Info,
        format!(
            "the report of {} is in {}",
            run.id,
            if session.visit.is_some() { into } else { &path }.display()
        ),
    );
    Ok(ExitCode::DONE)
}

/// The run that is named; without a name, or with `latest`, the newest.
fn chosen(name: Option<&str>, project: &Project, session: &Session) -> Result<Run, Refusal> {
    let runs = project.runs.list();
    let runs = runs.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let wanted = name.filter(|name| *name != "latest");
    let mut found = runs.into_iter();
    let run = found.find(|run| wanted.is_none_or(|name| name == run.id.as_str()));
    run.ok_or_else(|| {
        let what = match wanted {
            Some(name) => format!("there is no run {name:?}"),
            None => "nothing has run yet".to_owned(),
        };
        Refusal::new(ExitCode::USAGE, what).next("to see the runs", format!("{} history", session.style.program))
    })
}
