//! What runs and what the probes see at the end of a run: looked at once, written into its last record, and repeated by all.

use serde::{Deserialize, Serialize};

use super::name::ProbeName;

/// How things stood when a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The services, those of a further project as `project/service`, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What the probes that decide have answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
    /// Whatever else has to be known, each a sentence with its full stop: what could not be asked, what is still shut or held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Whether all of its containers run, and none is unhealthy.
    pub runs: bool,
    /// What else is to be said of it: `2 of 3`, `unhealthy`, `no container`; empty where nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
}

/// One probe's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The probe.
    pub probe: ProbeName,
    /// Whether it passed.
    pub passes: bool,
    /// What it saw, redacted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Now {
    /// The sentences, each with its full stop.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let named = |runs: bool| {
            let of_kind = self.services.iter().filter(|service| service.runs == runs);
            let name = |service: &Service| match service.how.as_str() {
                "" => service.name.clone(),
                how => format!("{} ({how})", service.name),
            };
            of_kind.map(name).collect::<Vec<_>>().join(", ")
        };
        let (running, stopped) = (named(true), named(false));
        let mut sentences = Vec::new();
        match (running.as_str(), stopped.as_str()) {
            ("", "") => {}
            (running, "") => sentences.push(format!("Running now: {running}; no service is stopped.")),
            ("", stopped) => sentences.push(format!("Stopped now: {stopped}; no service runs.")),
            (running, stopped) => sentences.push(format!("Running now: {running}; stopped now: {stopped}.")),
        }
        if !self.seen.is_empty() {
            let seen = self.seen.iter().map(|seen| {
                let verb = if seen.passes { "passes" } else { "FAILS" };
                if seen.note.is_empty() {
                    format!("{} {verb}", seen.probe)
                } else {
                    format!("{} {verb} ({})", seen.probe, seen.note)
                }
            });
            sentences.push(format!("Seen now: {}.", seen.collect::<Vec<_>>().join("; ")));
        }
        sentences.extend(self.others.iter().cloned());
        sentences
    }
}
