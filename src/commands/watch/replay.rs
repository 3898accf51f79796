//! `guard watch --replay`: a run's readings through the judge again, by its own rule and by the one in force now.

use std::path::Path;

use serde_json::json;

use guard_engine::steps;
use guard_model::exit::ExitCode;
use guard_model::health::{Rule, Verdict, Watched};
use guard_report::tables::Table;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::session::{Session, width_of_stdout};

/// Judges every watch of a run again.
///
/// # Errors
/// There is none, or one of them comes out differently: the readings are not those that were judged.
pub(super) fn replay(path: &Path, project: &Project, session: &Session) -> Outcome {
    let path = project.cx.resolve(path);
    let directory = if path.is_dir() {
        path.as_path()
    } else {
        path.parent().unwrap_or(&path)
    };
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::USAGE, error);
    let watches = steps::watches(directory).map_err(|error| refused(&error))?;
    if watches.is_empty() {
        let refusal = Refusal::new(ExitCode::USAGE, format!("no watch is kept in {}", directory.display()));
        return Err(refusal.because(format!(
            "a run that was watched to its end has {} there",
            steps::WATCHES
        )));
    }
    let rules = project.rules()?;
    let mut table = Table::new([
        "",
        "began",
        "readings",
        "decided then",
        "by the same rule",
        "by the rule of now",
    ])
    .right(2);
    let (mut rows, mut different) = (Vec::new(), 0);
    for watched in &watches {
        let again =
            |rule: Option<&Rule>| steps::replay(directory, watched, rule, &rules).map_err(|error| refused(&error));
        let (same, tally) = again(None)?;
        let (now, _) = again(Some(&as_of_now(watched, project)))?;
        let is_same = same == watched.verdict;
        different += u64::from(!is_same);
        let began = watched.at.format("%Y-%m-%d %H:%M:%S").to_string();
        let count = watched.readings.to_string();
        let mark = if is_same { "ok" } else { "NO" };
        table = table.row([mark, &began, &count, &said(&watched.verdict), &said(&same), &said(&now)]);
        rows.push(json!({
            "at": watched.at, "readings": watched.readings, "then": watched.verdict, "again": same, "now": now,
            "same": is_same, "checks": tally.checks, "failures": tally.failures,
        }));
    }
    if different > 0 {
        session.reporter.data(table.render(Some(width_of_stdout())));
        let sentence = format!("{different} of {} watches come out differently", watches.len());
        return Err(Refusal::new(ExitCode::REFUSED, sentence)
            .because("the readings are not those that were judged, or rules of your own have changed since"));
    }
    if session.style.json {
        return Ok(session.answer(json!({ "watches": rows })));
    }
    session.reporter.data(table.render(Some(width_of_stdout())));
    Ok(ExitCode::DONE)
}

/// The rule of now over the time of then: readings that nobody took cannot be judged.
fn as_of_now(watched: &Watched, project: &Project) -> Rule {
    Rule {
        window: watched.rule.window,
        interval: watched.rule.interval,
        ..project.rule()
    }
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Undecided => "came up".to_owned(),
        Verdict::Healthy => "well".to_owned(),
        Verdict::Bad(finding) => finding.sentence.clone(),
        Verdict::Inconclusive(why) => format!("inconclusive: {why}"),
    }
}
