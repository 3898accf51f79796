//! `guard list` and `guard show`: the backups, and what one of them holds.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::choosing::{choose, store_refusal};
use super::refusal::Outcome;
use super::request::Show;
use super::setup::{Desk, width_of_stdout};
use super::workbench::Bench;
use crate::model::exit::ExitCode;
use crate::model::name::Timestamp;
use crate::model::text;
use crate::report::tables::Table;
use crate::store::{Backup, Knowledge, Listed};

/// Lists the backups, the newest first.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn list(bench: &Bench, desk: &Desk) -> Outcome {
    let listed = bench
        .store
        .list()
        .map_err(|error| store_refusal(&error, &desk.style.program))?;
    let added = added(&listed);
    let total: u64 = added.values().sum();
    if desk.style.json {
        let backups: Vec<Value> = listed.iter().map(|entry| value(entry, &added)).collect();
        return Ok(desk.answer(json!({ "backups": backups, "bytes": total })));
    }
    if listed.is_empty() {
        desk.reporter
            .data(format!("no backups in {}\n", bench.store.directory().display()));
        return Ok(ExitCode::DONE);
    }
    let mut table = Table::new(["backup", "state", "size", "resources", "description"]).right(2);
    for entry in &listed {
        table = table.row(row(entry, &added));
    }
    desk.reporter.data(table.render(width_of_stdout()));
    if added.len() > 1 {
        let count = text::plural(added.len() as u64, "backup");
        desk.reporter
            .data(format!("{count}, {} together\n", text::bytes(total)));
    }
    Ok(ExitCode::DONE)
}

/// The bytes that each backup holds and no older one: what backups share is counted once, for the oldest that is there.
fn added(listed: &[Listed]) -> BTreeMap<Timestamp, u64> {
    let mut seen = HashSet::new();
    let mut added = BTreeMap::new();
    for entry in listed.iter().rev() {
        let Listed::Backup(backup) = entry else { continue };
        let files = backup.manifest.artifacts.iter().flat_map(|artifact| &artifact.files);
        let fresh = files.filter(|file| seen.insert(file.sha256.as_str()));
        added.insert(backup.timestamp().clone(), fresh.map(|file| file.bytes).sum());
    }
    added
}

fn row(entry: &Listed, added: &BTreeMap<Timestamp, u64>) -> [String; 5] {
    match entry {
        Listed::Backup(backup) => {
            let names: Vec<&str> = backup
                .manifest
                .artifacts
                .iter()
                .map(|artifact| artifact.resource.as_str())
                .collect();
            let description = backup.manifest.description.clone().unwrap_or_default();
            let (whole, own) = (backup.manifest.bytes(), added.get(backup.timestamp()).copied());
            let size = match own {
                Some(own) if own < whole => format!("{} of {}", text::bytes(own), text::bytes(whole)),
                _ => text::bytes(whole),
            };
            [
                entry.name().to_owned(),
                knowledge(backup.knowledge()),
                size,
                names.join(","),
                description,
            ]
        }
        Listed::Foreign(foreign) => {
            let parts: Vec<String> = foreign
                .parts
                .iter()
                .map(|part| format!("{:?}", part.kind).to_lowercase())
                .collect();
            [
                entry.name().to_owned(),
                "foreign".to_owned(),
                String::new(),
                parts.join(","),
                "made by hand".to_owned(),
            ]
        }
        Listed::Incomplete { .. } => [
            entry.name().to_owned(),
            "incomplete".to_owned(),
            String::new(),
            String::new(),
            "no manifest: not a backup".to_owned(),
        ],
        Listed::Unreadable { .. } => [
            entry.name().to_owned(),
            "unreadable".to_owned(),
            String::new(),
            String::new(),
            "see `guard verify`".to_owned(),
        ],
    }
}

fn knowledge(knowledge: &Knowledge) -> String {
    match knowledge {
        Knowledge::KnownGood => "known good".to_owned(),
        Knowledge::Tainted(_) => "tainted".to_owned(),
        Knowledge::Unknown => "unknown".to_owned(),
    }
}

fn value(entry: &Listed, added: &BTreeMap<Timestamp, u64>) -> Value {
    match entry {
        Listed::Backup(backup) => {
            let mut value = manifest(backup);
            if let (Some(map), Some(own)) = (value.as_object_mut(), added.get(backup.timestamp())) {
                map.insert("added_bytes".to_owned(), Value::from(*own));
            }
            value
        }
        Listed::Foreign(_) => json!({ "timestamp": entry.name(), "state": "foreign" }),
        Listed::Incomplete { .. } => json!({ "timestamp": entry.name(), "state": "incomplete" }),
        Listed::Unreadable { .. } => json!({ "timestamp": entry.name(), "state": "unreadable" }),
    }
}

fn manifest(backup: &Backup) -> Value {
    let mut value = serde_json::to_value(&backup.manifest).unwrap_or(Value::Null);
    if let Some(map) = value.as_object_mut() {
        map.insert("state".to_owned(), Value::from(knowledge(backup.knowledge())));
        map.insert("bytes".to_owned(), Value::from(backup.manifest.bytes()));
        map.insert(
            "directory".to_owned(),
            Value::from(backup.directory.display().to_string()),
        );
    }
    value
}

/// Shows one backup.
///
/// # Errors
/// It is not there, not authentic, or made by a newer guard.
pub(super) fn show(asked: &Show, bench: &Bench, desk: &Desk) -> Outcome {
    let backup = choose(Some(&asked.timestamp), bench, desk)?;
    if desk.style.json {
        return Ok(desk.answer(manifest(&backup)));
    }
    let manifest = &backup.manifest;
    let mut lines = vec![
        format!("backup       {}", manifest.timestamp),
        format!("state        {}", knowledge(backup.knowledge())),
        format!(
            "taken        {} on {} by guard {}",
            manifest.begun.format("%Y-%m-%d %H:%M:%S UTC"),
            manifest.host,
            manifest.guard
        ),
        format!("directory    {}", backup.directory.display()),
    ];
    lines.extend(
        manifest
            .recipients
            .iter()
            .map(|recipient| format!("encrypted    for {}", text::sanitised(recipient))),
    );
    if let Knowledge::Tainted(why) = backup.knowledge() {
        lines.push(format!("tainted      {why}"));
    }
    lines.extend(
        manifest
            .description
            .iter()
            .map(|text| format!("description  {}", text::sanitised(text))),
    );
    lines.extend(
        (!manifest.command.is_empty())
            .then(|| format!("before       {}", text::sanitised(&manifest.command.join(" ")))),
    );
    lines.extend(manifest.git.iter().map(|git| {
        format!(
            "commit       {}{}",
            git.commit,
            git.branch
                .as_ref()
                .map(|branch| format!(" ({branch})"))
                .unwrap_or_default()
        )
    }));
    let mut table = Table::new(["resource", "kind", "size", "what"]).right(2);
    for artifact in &manifest.artifacts {
        table = table.row([
            artifact.resource.to_string(),
            artifact.kind.clone(),
            text::bytes(artifact.bytes()),
            artifact.summary.clone(),
        ]);
    }
    let mut not_kept: Vec<String> = Vec::new();
    for artifact in &manifest.artifacts {
        not_kept.extend(
            artifact
                .not_kept
                .iter()
                .map(|what| format!("not kept     {}: {}", artifact.resource, text::sanitised(what))),
        );
    }
    desk.reporter.data(format!(
        "{}\n\n{}{}",
        lines.join("\n"),
        table.render(width_of_stdout()),
        not_kept.join("\n")
    ));
    Ok(ExitCode::DONE)
}
