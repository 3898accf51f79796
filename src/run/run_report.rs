//! What the report of a run is made from, read out of its directory; a part that cannot be read is told in the report.

use std::path::Path;

use walkdir::WalkDir;

use crate::project::Project;
use guard_engine::steps::{self, DEPLOY_LOG, RELEASED, Released, check_log};
use guard_journal::{JournalError, Run};
use guard_model::health::Reading;
use guard_model::text::chain;
use guard_probes::Starts;
use guard_report::run_report::{Log, LogSource, Material};
use guard_system::disk::{self, DiskError};

/// Lines of each log that are looked at, from its end.
const LINES: usize = 200;
/// Bytes of each log that are looked at, from its end.
const BYTES: usize = 64 * 1024;
/// So many files of a salvage are named.
const SALVAGED: usize = 20;

/// Reads all that the report of a run is made from.
///
/// # Errors
/// The journal cannot be read.
pub fn material(run: &Run, project: &Project) -> Result<Material, JournalError> {
    let mut material = Material {
        project: project.settings.project.clone(),
        environment: project.settings.environment_name.clone(),
        records: run.read()?,
        left: steps::left_by(&run.directory, &project.cx).unwrap_or_default(),
        salvaged: salvaged(&run.directory),
        ..Material::default()
    };
    let mut unread = Vec::new();
    let mut tell = |what: &str, error: &dyn std::error::Error| unread.push(format!("{what}: {}", chain(error)));
    match readings(run) {
        Ok(readings) => material.readings = readings,
        Err(error) => tell("the readings", &error),
    }
    match steps::watches(&run.directory) {
        Ok(watches) => material.watches = watches,
        Err(error) => tell("the watches", &error),
    }
    match released(&run.directory) {
        Ok(released) => (material.before, material.after) = (released.before, released.after),
        Err(error) => tell("which release was live", &error),
    }
    match logs(&run.directory) {
        Ok(logs) => material.logs = logs,
        Err(error) => tell("the logs", &error),
    }
    material.unread = unread;
    Ok(material)
}

/// The readings of a run's probes, as they were kept; a line that was cut off is passed over, and so is what guard asked for
/// itself.
fn readings(run: &Run) -> Result<Vec<Reading>, DiskError> {
    let text = disk::read_text_optional(&run.directory.join(steps::READINGS))?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|reading: &Reading| !Starts::is_name(&reading.probe))
        .collect())
}

fn released(directory: &Path) -> Result<Released, DiskError> {
    let bytes = disk::read_optional(&directory.join(RELEASED))?.unwrap_or_default();
    // A run that deployed nothing has none, and one of before wrote none.
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The logs of a run: the deploy command's, those of checks, what probes were answered, and those of containers, which the
/// evidence holds.
fn logs(directory: &Path) -> Result<Vec<Log>, DiskError> {
    let mut logs = Vec::new();
    let mut take = |source: LogSource, path: String, trouble: Option<String>| -> Result<bool, DiskError> {
        let Some(bytes) = disk::read_optional(&directory.join(&path))? else {
            return Ok(false);
        };
        let lines = last_lines(&bytes);
        logs.push(Log {
            source,
            path,
            trouble,
            lines,
        });
        Ok(true)
    };
    take(LogSource::Deploy, DEPLOY_LOG.to_owned(), None)?;
    for (source, stage) in [(LogSource::Verify, "verify"), (LogSource::Prove, "prove")] {
        let mut number = 1;
        while take(source, check_log(stage, number), None)? {
            number += 1;
        }
    }
    let answers = WalkDir::new(directory).max_depth(1).sort_by_file_name();
    for entry in answers.into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_answers = name
            .strip_prefix("answers-")
            .is_some_and(|rest| rest.strip_suffix(".txt").is_some());
        if is_answers && entry.file_type().is_file() {
            take(LogSource::Answer, name, None)?;
        }
    }
    let containers = WalkDir::new(directory.join("evidence/logs"))
        .max_depth(1)
        .sort_by_file_name();
    // A run that kept no evidence has no such directory.
    for entry in containers.into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(container) = name.strip_suffix(".log").filter(|_| entry.file_type().is_file()) {
            let trouble = trouble(&directory.join(format!("evidence/inspect/{container}.json")));
            take(LogSource::Container, format!("evidence/logs/{name}"), trouble)?;
        }
    }
    Ok(logs)
}

/// How a container stood, where it was not well.
fn trouble(inspected: &Path) -> Option<String> {
    let bytes = disk::read_optional(inspected).ok().flatten()?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let text = |path: &str| value.pointer(path).and_then(serde_json::Value::as_str);
    let number = |path: &str| value.pointer(path).and_then(serde_json::Value::as_i64);
    let mut parts = Vec::new();
    match text("/State/Status") {
        Some("exited" | "dead") => parts.push(format!("exited with {}", number("/State/ExitCode").unwrap_or_default())),
        Some("running") | None => {}
        Some(other) => parts.push(other.to_owned()),
    }
    if value.pointer("/State/OOMKilled").and_then(serde_json::Value::as_bool) == Some(true) {
        parts.push("out of memory".to_owned());
    }
    parts.extend(
        text("/State/Health/Status")
            .filter(|health| *health == "unhealthy")
            .map(str::to_owned),
    );
    if let Some(times) = number("/RestartCount").filter(|times| *times > 0) {
        parts.push(format!("restarted {times} times"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn last_lines(bytes: &[u8]) -> Vec<String> {
    let cut = bytes.len().saturating_sub(BYTES);
    let end = String::from_utf8_lossy(bytes.get(cut..).unwrap_or_default());
    // The first line may begin within a secret, which nobody could recognise then.
    let lines = end.lines().skip(usize::from(cut > 0));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    let used = lines
        .iter()
        .rposition(|line| !line.trim().is_empty())
        .map_or(0, |last| last + 1);
    lines.truncate(used);
    lines.split_off(lines.len().saturating_sub(LINES))
}

/// The files that `guard salvage` has written, where it wrote them into the run's directory.
fn salvaged(directory: &Path) -> Vec<String> {
    let files = WalkDir::new(directory.join("salvaged")).sort_by_file_name().into_iter();
    let files = files.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files
        .take(SALVAGED)
        .map(|entry| entry.path().display().to_string())
        .collect()
}
