//! What a drill writes down in its run's directory, before it does anything that has to be undone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use guard_config::Settings;
use guard_model::drill::{DrillResult, Fault};
use guard_model::setting::{Item, Value};
use guard_system::disk::{self, DiskError};
use guard_system::identity::Identity;
use guard_system::privilege;

/// The record.
const RECORD: &str = "drill.json";
/// What came of it.
const RESULT: &str = "drill-result.json";

/// A process that makes a fault last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// What it does: `proxy`, `room`, `loop`.
    pub what: String,
    /// Which process it is.
    pub process: Identity,
    /// The boot that the process is of.
    pub boot: String,
}

impl Agent {
    /// Whether it is still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.boot == privilege::boot_id() && self.process.is_alive()
    }
}

/// A probe that is asked through a proxy of guard's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// Where the proxy answers for it.
    pub url: String,
    /// The proxy.
    pub agent: Agent,
}

/// The probes that are asked through proxies, by their names.
pub type Detours = BTreeMap<String, Through>;

/// Leads probes through their proxies, as far as these are there: behind a reboot the probes ask by themselves again.
pub fn detour(settings: &mut Settings, detours: &Detours) {
    for probe in &mut settings.probes {
        let through = detours
            .get(probe.name.as_str())
            .filter(|through| through.agent.is_alive());
        if let (Some(through), Value::Table(keys)) = (through, &mut probe.item.value)
            && let Some((_, Item { value, .. })) = keys.get_mut("url")
        {
            *value = Value::Text(through.url.clone());
        }
    }
}

/// An act that has to be undone by whoever finishes the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A container is taken off a network.
    Cut {
        /// The container's id.
        container: String,
        /// The network's name.
        network: String,
        /// The names that it has there.
        aliases: Vec<String>,
        /// The address that it has there, where it was given one.
        address: Option<String>,
    },
    /// Containers, by their ids, were killed or stopped.
    Down {
        /// The containers.
        containers: Vec<String>,
    },
}

/// What a drill has written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillRecord {
    /// The fault's name.
    pub fault: String,
    /// How long the probes have to notice it, from the beginning of the watch on.
    pub within: Duration,
    /// What is not compared.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// The processes that make the fault last.
    #[serde(default)]
    pub agents: Vec<Agent>,
    /// What is to be undone.
    #[serde(default)]
    pub acts: Vec<Act>,
    /// When the fault was injected: just before it was.
    #[serde(default)]
    pub injected_at: Option<DateTime<Utc>>,
    /// What was done, in a sentence.
    #[serde(default)]
    pub done: Option<String>,
}

impl DrillRecord {
    /// The record of a run; `None` where it is no drill.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(run: &Path) -> Result<Option<Self>, DiskError> {
        read(run, RECORD)
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// It cannot be written: nothing may be done that it was to tell.
    pub fn write(&self, run: &Path) -> Result<(), DiskError> {
        write(run, RECORD, self)
    }

    /// The fault; `None` where this guard does not know it.
    #[must_use]
    pub fn fault(&self) -> Option<&'static Fault> {
        Fault::named(&self.fault)
    }
}

/// Whether a run is a drill.
#[must_use]
pub fn is_drill(run: &Path) -> bool {
    disk::exists(&run.join(RECORD)).unwrap_or(false)
}

/// What came of the drill of a run; `None`: it is not over, or is none.
///
/// # Errors
/// It cannot be read.
pub fn result_of(run: &Path) -> Result<Option<DrillResult>, DiskError> {
    read(run, RESULT)
}

/// Keeps what came of the drill of a run.
///
/// # Errors
/// It cannot be written.
pub fn keep_result(run: &Path, result: &DrillResult) -> Result<(), DiskError> {
    write(run, RESULT, result)
}

/// What a file of JSON in a run's directory holds; `None`: it is not there.
///
/// # Errors
/// It cannot be read.
pub fn read<T: serde::de::DeserializeOwned>(run: &Path, name: &'static str) -> Result<Option<T>, DiskError> {
    let path = run.join(name);
    let Some(bytes) = disk::read_optional(&path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| DiskError {
        verb: "understand",
        path,
        source: std::io::Error::other(error),
    })
}

/// Writes JSON into a run's directory, whole and durably.
///
/// # Errors
/// It cannot be written.
pub fn write<T: Serialize>(run: &Path, name: &'static str, value: &T) -> Result<(), DiskError> {
    let path = run.join(name);
    let bytes = serde_json::to_vec(value).map_err(|error| DiskError {
        verb: "describe",
        path: path.clone(),
        source: std::io::Error::other(error),
    })?;
    disk::write_whole(&path, &bytes)
}
