//! `guard logs`: what the deploy and verify commands of a run have written.

use serde_json::json;

use guard_engine::steps::{DEPLOY_LOG, check_log};
use guard_journal::{Run, Runs};
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::LogsOf;
use guard_run::session::Session;
use guard_system::disk;

/// Prints the logs of a run, each below its name. They were redacted when they were written.
///
/// # Errors
/// There is no such run, or a log cannot be read.
pub(super) fn logs(asked: &LogsOf, runs: &Runs, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let to_history = |refusal: Refusal| refusal.next("to see the runs", format!("{} history", session.style.program));
    let runs = runs.list().map_err(|error| refused(&error))?;
    for run in &runs {
        if asked.run.as_ref().is_some_and(|name| name != run.id.as_str()) {
            continue;
        }
        let logs = logs_of(run).map_err(|error| refused(&error))?;
        if logs.is_empty() && asked.run.is_none() {
            continue;
        }
        if session.style.json {
            let logs: Vec<_> = logs
                .iter()
                .map(|(name, log)| json!({ "name": name, "text": log }))
                .collect();
            return Ok(session
                .answer(json!({ "run": run.id, "directory": run.directory.display().to_string(), "logs": logs })));
        }
        let mut shown = format!("{}: {}\n", run.id, run.directory.display());
        if logs.is_empty() {
            shown.push_str("this run ran no command of yours\n");
        }
        for (name, log) in &logs {
            let lines = log.lines().map(|line| text::sanitised(line) + "\n");
            shown.push_str("== ");
            shown.push_str(name);
            shown.push('\n');
            shown.extend(lines);
        }
        session.reporter.data(shown);
        return Ok(ExitCode::DONE);
    }
    let what = match &asked.run {
        Some(name) => format!("there is no run {name:?}"),
        None => "no run has run a command yet".to_owned(),
    };
    Err(to_history(Refusal::new(ExitCode::USAGE, what)))
}

/// The logs that a run has, in the order in which they were written.
fn logs_of(run: &Run) -> Result<Vec<(String, String)>, disk::DiskError> {
    let mut logs = Vec::new();
    let mut take = |name: String| -> Result<bool, disk::DiskError> {
        let Some(bytes) = disk::read_optional(&run.directory.join(&name))? else {
            return Ok(false);
        };
        logs.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        Ok(true)
    };
    take(DEPLOY_LOG.to_owned())?;
    for stage in ["verify", "prove"] {
        for number in 1.. {
            if !take(check_log(stage, number))? {
                break;
            }
        }
    }
    Ok(logs)
}
