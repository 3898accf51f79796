//! `guard list` and `guard show`: the backups, and what one of them holds.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use guard_model::exit::ExitCode;
use guard_model::name::{RunId, RunKind, Timestamp};
use guard_model::text;
use guard_report::tables::Table;
use guard_resources::{compose, images};
use guard_run::backup_words::{holds, knowledge, live_then, missing_words};
use guard_run::choosing::{choose, store_refusal};
use guard_run::narrowing::container;
use guard_run::outcome::Outcome;
use guard_run::project::Project;
use guard_run::request::{List, Show};
use guard_run::service_choice::Belonging;
use guard_run::session::{Session, width_of_stdout};
use guard_store::{Backup, Knowledge, Listed, Manifest};

/// Lists the backups of this system and environment, the newest first.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn list(asked: &List, project: &Project, session: &Session) -> Outcome {
    let refused = |error| store_refusal(&error, &session.style.program);
    let mut listed = project.store.list().map_err(refused)?;
    let added = added(&listed);
    let scope = project.own_scope();
    let before = listed.len();
    listed.retain(|entry| match entry {
        Listed::Backup(backup) => asked.all || scope.objection(backup).is_none(),
        _ => true,
    });
    let hidden = (before - listed.len()) as u64;
    let missing = project.store.missing_newest().map_err(refused)?;
    let shown = listed.iter().filter_map(|entry| match entry {
        Listed::Backup(backup) => added.get(backup.timestamp()),
        _ => None,
    });
    let total: u64 = shown.clone().sum();
    let count = shown.count() as u64;
    if session.style.json {
        let backups: Vec<Value> = listed.iter().map(|entry| value(entry, &added)).collect();
        return Ok(session
            .answer(json!({ "backups": backups, "bytes": total, "of_other_places": hidden, "missing": missing })));
    }
    let mut said = String::new();
    if listed.is_empty() {
        said = format!("no backups in {}\n", project.store.directory().display());
    } else {
        let names_environment = asked.all && project.settings.environments.len() + usize::from(hidden > 0) > 0;
        let mut columns = vec!["backup", "state", "live then", "holds", "size", "note"];
        if names_environment {
            columns.insert(1, "environment");
        }
        let size = columns.iter().position(|column| *column == "size").unwrap_or_default();
        let mut table = Table::new(columns).right(size);
        for entry in &listed {
            let mut cells = row(entry, &added).to_vec();
            if names_environment {
                cells.insert(1, environment(entry));
            }
            table = table.row(cells);
        }
        said.push_str(&table.render(Some(width_of_stdout())));
    }
    let mut lines: Vec<String> = Vec::new();
    lines.extend((count > 1).then(|| format!("{}, {} together", text::plural(count, "backup"), text::bytes(total))));
    lines.extend((hidden > 0).then(|| {
        let (what, program) = (text::plural(hidden, "backup"), &session.style.program);
        format!("{what} of another environment, or of other data, not shown: `{program} list --all`")
    }));
    lines.extend(missing.as_ref().map(missing_words));
    for line in lines {
        said.push_str(&line);
        said.push('\n');
    }
    session.reporter.data(said);
    Ok(ExitCode::DONE)
}

fn environment(entry: &Listed) -> String {
    match entry {
        Listed::Backup(backup) => backup.manifest.environment.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Whether the backup was taken by itself, and not before a deployment: then what somebody wrote is about the backup.
fn is_by_itself(manifest: &Manifest) -> bool {
    let of = manifest.run.as_ref().map(RunId::kind);
    manifest.command.is_empty() && of.is_none_or(|kind| kind == RunKind::Backup)
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

fn row(entry: &Listed, added: &BTreeMap<Timestamp, u64>) -> [String; 6] {
    let bare = |state: &str, holds: String, note: &str| {
        let empty = String::new();
        [
            entry.name().to_owned(),
            state.to_owned(),
            empty.clone(),
            holds,
            empty,
            note.to_owned(),
        ]
    };
    match entry {
        Listed::Backup(backup) => {
            let manifest = &backup.manifest;
            let note = manifest.description.clone().filter(|_| is_by_itself(manifest));
            let (whole, own) = (manifest.bytes(), added.get(backup.timestamp()).copied());
            let size = match own {
                Some(own) if own < whole => format!("{} of {}", text::bytes(own), text::bytes(whole)),
                _ => text::bytes(whole),
            };
            [
                entry.name().to_owned(),
                knowledge(backup.knowledge()),
                live_then(manifest),
                holds(manifest),
                size,
                note.unwrap_or_default(),
            ]
        }
        Listed::Foreign(foreign) => {
            let parts = foreign
                .parts
                .iter()
                .map(|part| format!("{:?}", part.kind).to_lowercase());
            bare("foreign", parts.collect::<Vec<_>>().join(","), "made by hand")
        }
        Listed::Incomplete { .. } => bare("incomplete", String::new(), "no manifest: not a backup"),
        Listed::Unreadable { .. } => bare("unreadable", String::new(), "see `guard verify`"),
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

/// The services that a backup knows: what each ran, and what belongs to it; empty where it knows none.
fn services(manifest: &Manifest, project: &Project) -> String {
    let recorded: BTreeMap<_, _> = manifest.artifacts.iter().flat_map(images::recorded).collect();
    let ran: BTreeMap<String, String> = manifest
        .artifacts
        .iter()
        .filter_map(compose::recorded)
        .flat_map(|recorded| recorded.states())
        .collect();
    let resources = project.resources().unwrap_or_default();
    let named = project.settings.services.named.iter();
    let mut rows: BTreeMap<String, [String; 3]> = BTreeMap::new();
    let mut row = |name: &str, container: Option<&str>| {
        let image = container.and_then(|one| recorded.get(one));
        let image = image.map(|(id, names)| {
            let id = id.trim_start_matches("sha256:");
            format!("{} ({})", names.join(", "), id.get(..12).unwrap_or(id))
        });
        let state = container.and_then(|one| ran.get(one)).cloned();
        let belongs = Belonging::of(name, &resources, project);
        let held = resources
            .iter()
            .filter(|owned| belongs.concerns(owned) && owned.kind.key != "images");
        let held = held
            .map(|owned| owned.resource.name())
            .filter(|name| manifest.artifact(name).is_some());
        let held: Vec<&str> = held.map(guard_model::name::ResourceName::as_str).collect();
        let cells = [image.unwrap_or_default(), state.unwrap_or_default(), held.join(", ")];
        rows.entry(name.to_owned()).or_insert(cells);
    };
    let mut told: Vec<String> = Vec::new();
    for service in named {
        let container = container(&service.name, &project.settings);
        row(&service.name, container.as_deref());
        told.extend(container);
    }
    for service in recorded
        .keys()
        .chain(ran.keys())
        .filter(|service| !told.contains(service))
    {
        row(service, Some(service));
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["service", "image", "was", "resources"]);
    for (name, [image, state, held]) in rows {
        table = table.row([name, image, state, held]);
    }
    format!("\n{}", table.render(Some(width_of_stdout())))
}

/// Shows one backup.
///
/// # Errors
/// It is not there, not authentic, or made by a newer guard.
pub(super) fn show(asked: &Show, project: &Project, session: &Session) -> Outcome {
    let backup = choose(Some(&asked.timestamp), project, &session.style.program)?;
    if session.style.json {
        return Ok(session.answer(manifest(&backup)));
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
            .environment
            .iter()
            .map(|name| format!("environment  {}", text::sanitised(name))),
    );
    let live = live_then(manifest);
    lines.extend((!live.is_empty()).then(|| format!("live then    {live}")));
    let description = manifest.description.iter().map(|text| text::sanitised(text));
    lines.extend(description.map(|text| {
        if is_by_itself(manifest) {
            format!("description  {text}")
        } else {
            // What came after it is not what it holds.
            format!("taken before {text}")
        }
    }));
    lines.extend(
        (!manifest.command.is_empty())
            .then(|| format!("command then {}", text::sanitised(&manifest.command.join(" ")))),
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
    session.reporter.data(format!(
        "{}\n\n{}{}{}",
        lines.join("\n"),
        table.render(Some(width_of_stdout())),
        services(manifest, project),
        not_kept.join("\n")
    ));
    Ok(ExitCode::DONE)
}
