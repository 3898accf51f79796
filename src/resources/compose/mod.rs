//! The Compose project itself: its files, and which of its services were running.

mod drill;
mod files;
mod swap;

use std::path::Path;

use regex::Regex;
use serde::{Deserialize, Serialize};

use self::swap::{State, encode};
use crate::abilities::{Abilities, ServiceNeeds};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Site};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::disk::{self, sha256_hex};
use guard_system::docker::{Compose, Container, DockerError, Recorded, containers_of};

/// The kind `compose`.
pub const KIND: Kind = Kind {
    key: "compose",
    about: "the Compose project: its files, and which services ran",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Code,
    build,
};

struct Project {
    name: ResourceName,
    compose: Compose,
}

/// The project's containers for people: a line for each, its fields apart by tabs.
fn listing(containers: &[Container]) -> String {
    let head = "NAME\tSERVICE\tSTATE\tHEALTH\tIMAGE\tIMAGE ID\tCREATED\tSTARTED\tID\n".to_owned();
    let lines = containers.iter().map(|one| {
        let fields = [
            one.name.as_str(),
            one.service.as_str(),
            one.state.as_str(),
            one.health.as_deref().unwrap_or("-"),
            one.image_name.as_str(),
            one.image_id.as_str(),
            one.created_at.as_str(),
            one.started_at.as_str(),
            one.id.as_str(),
        ];
        format!("{}\n", fields.join("\t"))
    });
    std::iter::once(head).chain(lines).collect()
}

/// What the manifest keeps of a capture.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    state: State,
    /// The variables that the files ask for; their values are not kept.
    variables: Vec<String>,
    /// Those of them that the environment held.
    from_shell: Vec<String>,
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let Some(compose) = site.compose.clone() else {
        section.problem(
            "kind",
            "there is no Compose project here",
            Some("name its files by `files` under [compose]".to_owned()),
        );
        return None;
    };
    Some(Box::new(Project { name, compose }))
}

/// How the project was called and what ran in it when this copy was made: what a start has to bring back. `None` for an
/// artifact of another kind.
#[must_use]
pub fn recorded(artifact: &Artifact) -> Option<Recorded> {
    let details: Details = serde_json::from_value(artifact.details.clone()).ok()?;
    (artifact.kind == KIND.key).then_some(details.state.recorded)
}

/// What ran in the project when a restore displaced it: what a start after an undo has to bring back.
#[must_use]
pub fn recorded_in(displaced: &Displaced) -> Option<Recorded> {
    let state: State = serde_json::from_value(displaced.details.clone()).ok()?;
    Some(state.recorded)
}

fn unseen(error: DockerError) -> ResourceError {
    ResourceError::because("could not see the Compose project", error)
}

fn details(artifact: &Artifact, from: Option<(&Slot, &Context)>) -> Result<Details> {
    let read: std::result::Result<Details, _> = serde_json::from_value(artifact.details.clone());
    let mut details = read.map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because("could not read the copy's description", error)
    })?;
    if let Some((slot, cx)) = from {
        details.state.copies = slot.opened(artifact, &cx.scratch)?;
    }
    Ok(details)
}

/// The project as it is now, called as it is called there.
fn fingerprint_of(cx: &Context, compose: &Compose) -> Result<Fingerprint> {
    let mut print = Fingerprint::default().with("project", &compose.project);
    // Each question to Compose takes its time, and a way back asks often.
    let (found, resolved) = std::thread::scope(|scope| {
        let found = scope.spawn(|| files::find(cx, compose));
        let resolved = compose.resolved(cx);
        (found.join(), resolved)
    });
    let found = found.map_err(|_| ResourceError::new("a bug in guard: looking for the project's files panicked"))?;
    for path in found? {
        let state = files::read(&path, 0)?.state;
        let value = match state.content {
            Some(_) => format!("{} {:04o} {}:{}", state.sha256, state.mode, state.owner, state.group),
            None => "absent".to_owned(),
        };
        print = print.with(format!("file {}", shown(&path, &compose.directory)), value);
    }
    let (resolved, recorded) = match resolved {
        Ok(resolved) => (
            sha256_hex(resolved.to_string().as_bytes()),
            Recorded::of_resolved(cx, compose, &resolved),
        ),
        // What a release broke must be seen as a difference, and not keep anyone from going back.
        Err(DockerError::Call(guard_system::processes::CallError::Exit { .. })) => {
            ("refused by Compose".to_owned(), Recorded::of_containers(cx, compose))
        }
        Err(error) => return Err(unseen(error)),
    };
    print = print.with("resolved configuration", resolved);
    for (service, state) in recorded.map_err(unseen)?.states() {
        print = print.with(format!("service {service}"), state);
    }
    Ok(print)
}

fn shown(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

/// The names of the variables in a text that Compose would interpolate, sorted.
fn variables(text: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(r"\$\$|\$\{?([A-Za-z_][A-Za-z0-9_]*)") else {
        return Vec::new();
    };
    let names = pattern.captures_iter(text).filter_map(|found| found.get(1));
    let names: std::collections::BTreeSet<String> = names.map(|name| name.as_str().to_owned()).collect();
    names.into_iter().collect()
}

impl Resource for Project {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            drills: Some(self),
            services: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        match Compose::version(cx) {
            Ok(version) => survey.fact(format!("Compose {version}")),
            Err(error) => survey.refuse(error.to_string(), "install Docker's Compose plugin, version 2"),
        }
        match self.compose.services(cx) {
            Ok(services) => survey.fact(format!("project {}: {}", self.compose.project, services.join(", "))),
            Err(error) => survey.refuse(
                cx.redaction.clean(&error.to_string()),
                "correct the compose files until `docker compose config --quiet` accepts them",
            ),
        }
        survey
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        fingerprint_of(cx, &self.compose)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let compose = &self.compose;
        let fingerprint = fingerprint_of(cx, compose)?;
        let recorded = Recorded::of(cx, compose).map_err(unseen)?;
        let mut kept = Vec::new();
        let mut states = Vec::new();
        for (number, path) in files::find(cx, compose)?.iter().enumerate() {
            let read = files::read(path, number)?;
            let Some(content) = &read.state.content else {
                return Err(ResourceError::new(format!("could not find {}", path.display()))
                    .with_hint("correct `files` under [compose]"));
            };
            kept.push(slot.keep_bytes(&read.bytes, content)?);
            states.push(read.state);
        }
        let text = compose.uninterpolated(cx, "yaml").map_err(unseen)?;
        kept.push(slot.keep_bytes(cx.redaction.clean(&text).as_bytes(), "configuration.yml")?);
        let listing = listing(&containers_of(cx, &compose.project).map_err(unseen)?);
        kept.push(slot.keep_bytes(cx.redaction.clean(&listing).as_bytes(), "containers.txt")?);
        let running = recorded.running().len();
        let summary = format!(
            "{}: {}, {} of {} running",
            compose.project,
            plural(states.len() as u64, "file"),
            running,
            plural(recorded.states().len() as u64, "service")
        );
        let variables = variables(&text);
        let is_set = |name: &&String| cx.environment.text(name).is_some();
        let details = Details {
            from_shell: variables.iter().filter(is_set).cloned().collect(),
            variables,
            state: State {
                recorded,
                files: states,
                copies: slot.directory(),
            },
        };
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint,
            files: kept,
            details: encode(&details)?,
            summary,
            not_kept: Vec::new(),
            tools: vec![("docker compose".to_owned(), Compose::version(cx).map_err(unseen)?)],
        })
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let details = details(artifact, Some((slot, cx)))?;
        let now = fingerprint_of(cx, &details.state.recorded.compose)?;
        let differences = artifact.fingerprint.differences(&now);
        let mut price: Vec<String> = swap::orphans(&details.state, cx)?
            .iter()
            .map(|one| {
                format!(
                    "removes the container {} of the added service {}",
                    one.name, one.service
                )
            })
            .collect();
        let unset = |name: &&String| cx.environment.text(name).is_none();
        for name in details.from_shell.iter().filter(unset) {
            price.push(format!(
                "{name} was set when the copy was made and is not set now; the compose files ask for it"
            ));
        }
        let work = if differences.is_empty() {
            Work::Unchanged
        } else {
            Work::Changed(differences)
        };
        Ok(Prepared {
            resource: self.name.clone(),
            work,
            details: swap::made_since(&details.state, cx)?.into(),
            price,
        })
    }

    fn restore(&self, _: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        let details = details(artifact, Some((slot, cx)))?;
        swap::swap(&self.name, &details.state, "restore", cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let details = details(artifact, None)?;
        Ok(match fingerprint_of(cx, &details.state.recorded.compose) {
            Ok(now) => match artifact.fingerprint.differences(&now) {
                same if same.is_empty() => Live::Matches,
                differences => Live::Differs(differences),
            },
            Err(error) => Live::Unknown(cx.redaction.clean(&error.to_string())),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        let state: State = serde_json::from_value(displaced.details.clone())
            .map_err(|error| ResourceError::because("could not read what was displaced", error))?;
        let digest = sha256_hex(displaced.details.to_string().as_bytes());
        let act = format!("undo-{}", digest.get(..12).unwrap_or_default());
        swap::swap(&self.name, &state, &act, cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        let state: std::result::Result<State, _> = serde_json::from_value(displaced.details.clone());
        let state = state.map_err(|error| ResourceError::because("could not read what was displaced", error))?;
        let name = state.copies.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&format!("{}-displaced-", self.name)) {
            return Err(ResourceError::new(format!(
                "{} is not a directory of displaced files",
                state.copies.display()
            )));
        }
        Ok(disk::remove_tree(&state.copies, &cx.scratch.join("trash"))?)
    }
}

impl ServiceNeeds for Project {
    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        // `prepare` wrote them; a preparation of another form names none.
        serde_json::from_value(prepared.details.clone()).unwrap_or_default()
    }
}
