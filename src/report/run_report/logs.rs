//! The line that says why: out of the end of a log the one that tells of an error, with the lines around it.

use serde::Serialize;

use super::material::{Log, LogSource, Material};
use super::safe::Safe;
use crate::run_view::RunView;
use guard_model::plan::StageName;
use guard_model::secret::Redaction;
use guard_model::text;

/// Lines of one log that are shown.
const SHOWN: usize = 12;
/// A line that tells of an error is looked for among so many at the end.
const LOOKED_AT: usize = 120;
/// Of a line, so many characters are shown.
const WIDE: usize = 240;
/// Containers whose logs are shown: those in trouble first.
const CONTAINERS: usize = 3;

/// What lines of errors say, in lower case. A guess that costs nothing where it is wrong: the last line is shown then.
const TELLING: &[&str] = &[
    "error",
    "fatal",
    "panic",
    "exception",
    "traceback",
    "cannot",
    "could not",
    "can't",
    "failed",
    "failure",
    "refused",
    "denied",
    "not found",
    "no such",
    "does not exist",
    "unable to",
    "out of memory",
    "killed",
    "missing",
    " gone",
];

/// Some lines of a log.
#[derive(Debug, Clone, Serialize)]
pub struct Excerpt {
    /// Whose they are: `the deploy command, in deploy.log`.
    pub of: Safe,
    /// The lines.
    pub lines: Vec<Safe>,
    /// Which of them says why, from 0; `None` where there is none.
    pub telling: Option<usize>,
}

/// The excerpts that explain how the run went, the most telling first.
pub(super) fn excerpts(material: &Material, view: &RunView, redaction: &Redaction) -> Vec<Excerpt> {
    let wanted = |source: LogSource| material.logs.iter().filter(move |log| log.source == source);
    let failed = view
        .cause()
        .and_then(|cause| view.stage_of(&cause.step))
        .map(|stage| stage.name);
    let obstacle = view
        .obstacle()
        .and_then(|cause| view.stage_of(&cause.step))
        .map(|stage| stage.name);
    let mut logs: Vec<&Log> = Vec::new();
    if obstacle == Some(StageName::Prove) {
        logs.extend(wanted(LogSource::Prove).next_back());
    }
    match failed {
        Some(StageName::Deploy) => logs.extend(wanted(LogSource::Deploy)),
        Some(StageName::Verify) => logs.extend(wanted(LogSource::Verify).next_back()),
        _ => {}
    }
    if failed.is_some() {
        logs.extend(wanted(LogSource::Answer).take(CONTAINERS));
        let (troubled, others): (Vec<&Log>, Vec<&Log>) =
            wanted(LogSource::Container).partition(|log| log.trouble.is_some());
        // A log in which nothing tells of an error is shown only of a container that is in trouble.
        let others = others.into_iter().filter(|log| telling(&log.lines).is_some());
        logs.extend(troubled.into_iter().chain(others).take(CONTAINERS));
    }
    if failed != Some(StageName::Deploy) {
        logs.extend(wanted(LogSource::Deploy));
    }
    logs.into_iter()
        .filter(|log| !log.lines.is_empty())
        .map(|log| excerpt(log, redaction))
        .collect()
}

/// The place of the last line that tells of an error.
fn telling(lines: &[String]) -> Option<usize> {
    let from = lines.len().saturating_sub(LOOKED_AT);
    let tells = |line: &String| {
        let line = line.to_lowercase();
        TELLING.iter().any(|word| line.contains(word))
    };
    lines.iter().skip(from).rposition(tells).map(|at| from + at)
}

fn excerpt(log: &Log, redaction: &Redaction) -> Excerpt {
    let told = telling(&log.lines);
    let end = match told {
        // Where much came behind it, what it stands in is worth more than the end.
        Some(at) if at + SHOWN <= log.lines.len() => at + SHOWN / 2,
        _ => log.lines.len(),
    };
    let from = end.saturating_sub(SHOWN);
    let of = match (log.source, &log.trouble) {
        (LogSource::Deploy, _) => format!("the deploy command, in {}", log.path),
        (LogSource::Verify, _) => format!("a check behind the deployment, in {}", log.path),
        (LogSource::Prove, _) => format!("a check behind the way back, in {}", log.path),
        (LogSource::Answer, _) => format!("what a probe was answered, in {}", log.path),
        (LogSource::Container, None) => format!("the container, in {}", log.path),
        (LogSource::Container, Some(trouble)) => format!("the container ({trouble}), in {}", log.path),
    };
    let shown = log.lines.get(from..end).unwrap_or_default();
    Excerpt {
        of: Safe::of(&of, redaction),
        lines: shown
            .iter()
            // Cut behind the redaction: half of a secret is not recognised.
            .map(|line| Safe::of(&text::shortened(Safe::of(line, redaction).as_str(), WIDE), redaction))
            .collect(),
        telling: told.map(|at| at - from),
    }
}
