//! A drill of a Compose project: its files read by themselves, and how many containers of each service the engine says run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files;
use crate::abilities::Drills;
use crate::error::{ResourceError, Result};
use crate::trees::census;
use guard_model::drill::{Census, Counts, Part};
use guard_system::context::Context;
use guard_system::docker::{docker, explained};

impl Drills for super::Project {
    fn census(&self, _like: Option<&Census>, cx: &Context) -> Result<Census> {
        let found = files::find(cx, &self.compose)?;
        let part = census::of(&self.compose.directory, found.iter().map(PathBuf::as_path))?;
        let mut parts = BTreeMap::from([("files".to_owned(), part)]);
        let label = format!("label=com.docker.compose.project={}", self.compose.project);
        let form = "{{.Label \"com.docker.compose.service\"}}";
        let call = docker().args(["ps", "--filter", &label, "--format", form]);
        let output = cx.output(&call).map_err(explained);
        let output = output.map_err(|error| ResourceError::because("could not ask the engine what runs", error))?;
        let mut running: BTreeMap<String, u64> = BTreeMap::new();
        for service in output.text().lines() {
            *running.entry(service.to_owned()).or_default() += 1;
        }
        parts.extend(running.into_iter().map(|(service, number)| {
            let part = Part {
                counts: Counts::Facts,
                number,
                digest: number.to_string(),
                members: None,
                columns: Vec::new(),
            };
            (format!("running {service}"), part)
        }));
        Ok(Census { parts })
    }
}
