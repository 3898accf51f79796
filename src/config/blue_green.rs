//! `[blue_green]`: the two sides, the front that leads visitors to one of them, and what becomes of the other.

use std::sync::Arc;
use std::time::Duration;

use super::declared::{self, Declared};
use super::layer::Layers;
use super::parts::Commands;
use super::projects::FurtherProject;
use guard_model::name::{ProbeName, ResourceName};
use guard_model::section::Section;
use guard_model::setting::{Source, nearest};

/// The name of the strategy that the table is about.
const STRATEGY: &str = "blue-green";

/// What the table says.
#[derive(Debug, Clone)]
pub struct BlueGreenSettings {
    /// The sides, in the order of the file.
    pub sides: [SideSettings; 2],
    /// The front, its own keys left to its kind.
    pub front: Declared<ResourceName>,
    /// How long the old side goes on behind a release that is kept.
    pub grace: Duration,
    /// Whether the side of a failed release goes on running.
    pub keeps_failed: bool,
}

/// One side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SideSettings {
    /// Its name.
    pub name: String,
    /// Where it answers by itself.
    pub address: String,
    /// Its Compose services.
    pub services: Vec<String>,
    /// The `[projects.NAME]` that it is.
    pub project: Option<String>,
    /// Stops it.
    pub stop: Commands,
    /// Starts it.
    pub start: Commands,
    /// The probes that ask it on its own address.
    pub probes: Vec<ProbeName>,
}

/// Reads the table; `None`: there is none, or it cannot be used, which was told.
pub(super) fn read(
    top: &mut Section<'_>,
    strategy: Option<&str>,
    projects: &[FurtherProject],
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
    probes: &mut Vec<Declared<ProbeName>>,
) -> Option<BlueGreenSettings> {
    let is_wanted = strategy == Some(STRATEGY);
    if !top.has("blue_green") {
        if is_wanted {
            top.problem(
                "strategy",
                format!("{STRATEGY:?} needs two sides and a front"),
                Some("write [blue_green.sides.blue], [blue_green.sides.green] and [blue_green.front]".to_owned()),
            );
        }
        return None;
    }
    if !is_wanted {
        top.problem(
            "blue_green",
            format!("says nothing without `strategy = {STRATEGY:?}`"),
            None,
        );
    }
    let kinds = layers.request.fronts.clone();
    let projects: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    top.section("blue_green", |section| {
        let grace = section.duration("grace").unwrap_or_default();
        let keeps_failed = section.choice("failed_side", &[("keep", true), ("stop", false)]);
        let sides = section.section("sides", |inner| self::sides(inner, &projects, source, probes));
        let front = if section.has("front") {
            declared::read_named(section, "blue_green", &["front"], &kinds, source, layers).pop()
        } else {
            section.problem("front", "is missing", Some("write [blue_green.front]".to_owned()));
            None
        };
        Some(BlueGreenSettings {
            sides: sides?,
            front: front?,
            grace,
            keeps_failed: keeps_failed.unwrap_or(true),
        })
    })
}

fn sides(
    section: &mut Section<'_>,
    projects: &[&str],
    source: &Arc<Source>,
    probes: &mut Vec<Declared<ProbeName>>,
) -> Option<[SideSettings; 2]> {
    let keys = section.keys();
    let mut all = Vec::new();
    for key in &keys {
        section.is_name(key);
        all.extend(side(section, key, projects, source, probes));
    }
    if keys.len() != 2 {
        let there = if keys.is_empty() {
            "none".to_owned()
        } else {
            keys.join(", ")
        };
        section.problem("", format!("there have to be two sides, and there are: {there}"), None);
        return None;
    }
    all.try_into().ok()
}

fn side(
    section: &mut Section<'_>,
    key: &str,
    projects: &[&str],
    source: &Arc<Source>,
    probes: &mut Vec<Declared<ProbeName>>,
) -> Option<SideSettings> {
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_');
    if !key.chars().all(is_name) {
        section.problem(key, "the name of a side has letters, digits, `-` and `_` alone", None);
        return None;
    }
    section.section(key, |inner| {
        let address = inner.required_text("address");
        if let Some(text) = &address {
            let is_port = text.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !is_port && text.strip_prefix("unix:").is_none_or(|path| !path.starts_with('/')) {
                let hint = "`127.0.0.1:8081`, or `unix:/run/app/blue.sock`";
                inner.problem("address", format!("{text:?} is no address"), Some(hint.to_owned()));
            }
        }
        let services = inner.texts("services").unwrap_or_default();
        let project = inner.text("project");
        if let Some(name) = project.as_deref().filter(|name| !projects.contains(name)) {
            let hint = nearest(name, projects.iter().copied()).or(Some(format!("write [projects.{name}]")));
            inner.problem("project", format!("there is no [projects.{name}]"), hint);
        }
        if project.is_some() && !services.is_empty() {
            inner.problem("project", "stands beside `services`; a side is one of the two", None);
        }
        let stop = inner.commands("stop").unwrap_or_default();
        let start = inner.commands("start").unwrap_or_default();
        if stop.is_empty() != start.is_empty() {
            let lonely = if stop.is_empty() { "start" } else { "stop" };
            inner.problem(lonely, "stop and start belong together", None);
        }
        let asked = self::probes(inner, key, source, probes);
        Some(SideSettings {
            name: key.to_owned(),
            address: address?,
            services,
            project,
            stop,
            start,
            probes: asked,
        })
    })
}

/// The probes of a side: those that it names, and one for its health address.
fn probes(
    inner: &mut Section<'_>,
    side: &str,
    source: &Arc<Source>,
    probes: &mut Vec<Declared<ProbeName>>,
) -> Vec<ProbeName> {
    let mut asked = Vec::new();
    for text in inner.texts("probes").unwrap_or_default() {
        let found = probes.iter().find(|probe| probe.name.as_str() == text);
        if let Some(found) = found {
            asked.push(found.name.clone());
        } else {
            let hint = nearest(&text, probes.iter().map(|probe| probe.name.as_str()));
            inner.problem("probes", format!("there is no probe {text:?}"), hint);
        }
    }
    if let Some(url) = inner.text("health") {
        asked.extend(declared::of_side(side, &url, source, probes));
    }
    if asked.is_empty() && !inner.has("probes") {
        inner.problem(
            "health",
            "is missing: nothing would look at the release before visitors are led to it",
            Some("health = \"http://127.0.0.1:8081/health\", or probes = [\"NAME\"]".to_owned()),
        );
    }
    asked
}
