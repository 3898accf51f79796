//! A Compose project at one moment: how it was called, and which of its services ran.

use std::collections::{BTreeMap, BTreeSet};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Compose, Container, DockerError, containers_of};
use crate::context::Context;
use crate::disk::{self, DiskError, sha256_hex};

/// What a project was like: what a start has to bring back, and, as much, what it must leave stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// How it is called.
    pub compose: Compose,
    /// The services that its files name, in the active profiles, sorted.
    pub declared: Vec<String>,
    /// Its containers, without those of `docker compose run`, in order of service and name.
    pub containers: Vec<RecordedContainer>,
}

/// One container of a service at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedContainer {
    /// Its service.
    pub service: String,
    /// Its full id.
    pub id: String,
    /// The full id of its image.
    pub image_id: String,
    /// The engine's word for its state: `running`, `exited`.
    pub state: String,
}

impl RecordedContainer {
    /// Whether it was meant to run; a container between two restarts is.
    #[must_use]
    pub fn is_up(&self) -> bool {
        is_up(&self.state)
    }
}

fn is_up(state: &str) -> bool {
    matches!(state, "running" | "restarting" | "paused")
}

impl Container {
    /// Whether it is meant to run; a container between two restarts is.
    #[must_use]
    pub fn is_up(&self) -> bool {
        is_up(&self.state)
    }

    /// Whether it belongs to a `docker compose run` and not to the service's own set.
    #[must_use]
    pub fn is_one_off(&self) -> bool {
        self.labels
            .get("com.docker.compose.oneoff")
            .is_some_and(|value| value == "True")
    }
}

/// When a note was made of what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Before the deploy command of this run began.
    Deploy,
    /// Before this run stopped any container.
    Stop,
}

fn note_of(before: Before, project: &str, cx: &Context) -> PathBuf {
    // Two engines may have projects of one name.
    let engine = cx.engine.as_ref().map(|engine| sha256_hex(engine.name().as_bytes()));
    let engine = engine.as_ref().and_then(|digest| digest.get(..8)).unwrap_or("here");
    let when = match before {
        Before::Deploy => "deploy",
        Before::Stop => "stop",
    };
    cx.scratch.join(format!("before-{when}-{project}-{engine}.json"))
}

impl Recorded {
    /// What the project is like now.
    ///
    /// # Errors
    /// The engine does not answer, or Compose refuses the files.
    pub fn of(cx: &Context, compose: &Compose) -> Result<Self, DockerError> {
        Ok(Self {
            declared: compose.services(cx)?,
            ..Self::of_containers(cx, compose)?
        })
    }

    /// What the project is like now; `resolved` is what Compose has just made of its files.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn of_resolved(cx: &Context, compose: &Compose, resolved: &serde_json::Value) -> Result<Self, DockerError> {
        let services = resolved.get("services").and_then(serde_json::Value::as_object);
        let declared: BTreeSet<String> = services.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        Ok(Self {
            declared: declared.into_iter().collect(),
            ..Self::of_containers(cx, compose)?
        })
    }

    /// What the project is like now, as its containers alone tell: for files that Compose may refuse.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn of_containers(cx: &Context, compose: &Compose) -> Result<Self, DockerError> {
        let containers: Vec<RecordedContainer> = containers_of(cx, &compose.project)?
            .into_iter()
            .filter_map(Self::own)
            .collect();
        let declared: BTreeSet<String> = containers.iter().map(|container| container.service.clone()).collect();
        Ok(Self {
            compose: compose.clone(),
            declared: declared.into_iter().collect(),
            containers,
        })
    }

    /// Writes down what a project's containers are like before this run deploys, or stops any of them; only the first word
    /// counts, so that a repeated stop does not take what it stopped itself for stopped by others.
    ///
    /// # Errors
    /// The note cannot be read or written.
    pub fn note(before: Before, project: &str, containers: &[Container], cx: &Context) -> Result<(), DiskError> {
        let path = note_of(before, project, cx);
        if disk::read_optional(&path)?.is_some() {
            return Ok(());
        }
        let containers: Vec<RecordedContainer> = containers.iter().cloned().filter_map(Self::own).collect();
        let bytes = serde_json::to_vec(&containers).unwrap_or_default();
        disk::write_whole(&path, &bytes)
    }

    /// This state with its containers as they were before this run stopped any of them, where it did.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn as_before_stop(mut self, cx: &Context) -> Result<Self, DiskError> {
        let noted = disk::read_optional(&note_of(Before::Stop, &self.compose.project, cx))?;
        if let Some(containers) = noted.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            self.containers = containers;
        }
        Ok(self)
    }

    /// The project as this run has noted it; `None` where there is no such note. What its files declare is not known of it.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn noted(before: Before, compose: &Compose, cx: &Context) -> Result<Option<Self>, DiskError> {
        let noted = disk::read_optional(&note_of(before, &compose.project, cx))?;
        let containers: Option<Vec<RecordedContainer>> = noted.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(containers.map(|containers| Self {
            compose: compose.clone(),
            declared: containers
                .iter()
                .map(|one| one.service.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            containers,
        }))
    }

    fn own(container: Container) -> Option<RecordedContainer> {
        (!container.is_one_off()).then_some(RecordedContainer {
            service: container.service,
            id: container.id,
            image_id: container.image_id,
            state: container.state,
        })
    }

    /// The services that ran, each with the number of its running containers.
    #[must_use]
    pub fn running(&self) -> BTreeMap<String, usize> {
        let mut running = BTreeMap::new();
        for container in self.containers.iter().filter(|container| container.is_up()) {
            *running.entry(container.service.clone()).or_default() += 1;
        }
        running
    }

    /// Whether the project had this service, running or not.
    #[must_use]
    pub fn has(&self, service: &str) -> bool {
        self.declared.iter().any(|declared| declared == service)
            || self.containers.iter().any(|container| container.service == service)
    }

    /// Every service with its state: `running`, `running x 3`, or `stopped`. Whether one that does not run has left a
    /// container, as a finished job does, is no part of it.
    #[must_use]
    pub fn states(&self) -> BTreeMap<String, String> {
        let running = self.running();
        let mut states = BTreeMap::new();
        for service in self
            .declared
            .iter()
            .chain(self.containers.iter().map(|one| &one.service))
        {
            let state = match running.get(service) {
                Some(1) => "running".to_owned(),
                Some(count) => format!("running x {count}"),
                None => "stopped".to_owned(),
            };
            states.insert(service.clone(), state);
        }
        states
    }
}
