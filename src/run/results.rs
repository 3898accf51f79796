//! What a run leaves for people and machines when it is over: `result.json`, `incident.md`, and the account of an abort.

use std::path::PathBuf;

use crate::outcome::Refusal;
use crate::session::Session;
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::health::Reading;
use guard_probes::Starts;
use guard_report::ci;
use guard_report::incident::incident;
use guard_report::result::Outcome as Told;
use guard_system::context::Context;
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

/// `result.json` for every run, `incident.md` for one that failed, and what a CI system wants to know; the run has the last
/// word of the program, unless another one follows it.
///
/// # Errors
/// They cannot be written.
pub fn write_reports(
    run: &Run,
    exit: ExitCode,
    is_last: bool,
    cx: &Context,
    session: &Session,
) -> Result<(), Box<dyn std::error::Error>> {
    let records = run.read()?;
    let path = run.directory.join("incident.md");
    let is_bad = exit != ExitCode::DONE;
    let text = incident(&records, &readings(run)?, &cx.redaction, &session.style.program);
    if is_bad {
        disk::write_whole(&path, text.as_bytes())?;
        cx.note(Level::Info, format!("report: {}", path.display()));
    }
    let told = Told::of(&records, is_bad.then_some(path.as_path()), &session.style.program);
    let value = told.to_value(&cx.redaction);
    let clean = cx.redaction.clean(&serde_json::to_string_pretty(&value)?);
    disk::write_whole(&run.directory.join(RESULT), clean.as_bytes())?;
    if let Some(system) = &session.style.ci {
        ci::publish(system, &told, &text)?;
    }
    if session.style.json && is_last {
        session
            .reporter
            .finish(Some(serde_json::from_str(&clean)?), std::time::Duration::from_secs(1));
    }
    Ok(())
}

/// The readings of a run's probes, as they were kept; a line that was cut off is passed over, and so is what guard asked for
/// itself.
fn readings(run: &Run) -> Result<Vec<Reading>, disk::DiskError> {
    let path: PathBuf = run.directory.join("probes.jsonl");
    let text = disk::read_text_optional(&path)?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|reading: &Reading| !Starts::is_name(&reading.probe))
        .collect())
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
