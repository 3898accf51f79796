//! A drill of images: what the engine says that each service runs, and what each name stands for.

use std::collections::{BTreeMap, BTreeSet};

use crate::abilities::Drills;
use crate::error::{ResourceError, Result};
use guard_model::drill::{Census, Counts, Part};
use guard_system::context::Context;
use guard_system::docker::{docker, explained};
use guard_system::processes::CallError;

/// Service, image and the name that the image was asked for by, of each container.
const FORM: &str = "{{index .Config.Labels \"com.docker.compose.service\"}}\t{{.Image}}\t{{.Config.Image}}";

impl Drills for super::Images {
    fn census(&self, _like: Option<&Census>, cx: &Context) -> Result<Census> {
        let ask = |call| {
            let output = cx.output(&call).map_err(explained);
            output.map_err(|error| ResourceError::because("could not ask the engine for images", error))
        };
        let label = format!("label=com.docker.compose.project={}", self.compose.project);
        let running = ask(docker().args(["ps", "--quiet", "--no-trunc", "--filter", &label]))?.text();
        let ids: Vec<&str> = running.lines().collect();
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        let mut names = BTreeSet::new();
        if !ids.is_empty() {
            let found = ask(docker()
                .args(["inspect", "--type", "container", "--format", FORM])
                .args(&ids))?
            .text();
            for line in found.lines() {
                let mut fields = line.split('\t').map(str::to_owned);
                let (Some(service), Some(image), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
                    continue;
                };
                let all = told.entry(format!("service {service}")).or_default();
                if !all.contains(&image) {
                    *all = format!("{all} {image}");
                }
                names.insert(name);
            }
        }
        for name in names.iter().filter(|name| !name.contains("sha256:")) {
            let call = docker().args(["image", "inspect", "--format", "{{.Id}}", name]);
            let found = match cx.output(&call) {
                Ok(output) => output.text(),
                // A name that stands for nothing is told as that; an engine that does not answer is no proof of anything.
                Err(CallError::Exit { stderr, .. }) if stderr.to_lowercase().contains("no such image") => String::new(),
                Err(error) => {
                    let what = format!("could not ask the engine what {name} is");
                    return Err(ResourceError::because(what, explained(error)));
                }
            };
            told.insert(format!("name {name}"), found);
        }
        let parts = told.into_iter().map(|(name, digest)| {
            let part = Part {
                counts: Counts::Facts,
                number: 1,
                digest,
                members: None,
                columns: Vec::new(),
            };
            (name, part)
        });
        Ok(Census { parts: parts.collect() })
    }
}
