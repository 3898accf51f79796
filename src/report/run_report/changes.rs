//! Commits, images and services: what was live before, what the deploy command made of it, and what is live now.

use std::collections::BTreeSet;

use serde::Serialize;

use super::material::Material;
use super::safe::Safe;
use crate::run_view::RunView;
use guard_model::secret::Redaction;

/// One part of what was live.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The part: `code: commit`.
    pub what: Safe,
    /// Before the deploy command; `None`: not known, or not there.
    pub before: Option<Safe>,
    /// After it.
    pub after: Option<Safe>,
    /// What the run has left.
    pub left: Option<Safe>,
    /// Whether the deploy command changed it.
    pub changed: bool,
}

/// One service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceLine {
    /// Its name.
    pub name: Safe,
    /// What the run did to it: `stopped and started again`; empty where it did nothing.
    pub done: &'static str,
    /// Whether it runs now; `None`: nobody looked.
    pub runs: Option<bool>,
    /// What else is to be said of it.
    pub how: Safe,
}

/// Every part that can tell which release it is, those that changed first.
pub(super) fn changes(material: &Material, redaction: &Redaction) -> Vec<Change> {
    let mut parts = BTreeSet::new();
    for release in [&material.before, &material.after, &material.left] {
        for (resource, of_it) in release {
            parts.extend(of_it.keys().map(|part| (resource, part)));
        }
    }
    let mut changes: Vec<Change> = parts
        .into_iter()
        .map(|(resource, part)| {
            let of = |release: &super::material::Release| {
                let value = release.get(resource)?.get(part)?;
                Some(Safe::of(value, redaction))
            };
            let (before, after) = (of(&material.before), of(&material.after));
            Change {
                what: Safe::of(&format!("{resource}: {part}"), redaction),
                changed: after.is_some() && before != after,
                left: of(&material.left),
                before,
                after,
            }
        })
        .collect();
    changes.sort_by_key(|change| !change.changed);
    changes
}

/// The services that were touched or looked at.
pub(super) fn services(view: &RunView, redaction: &Redaction) -> Vec<ServiceLine> {
    let now = view.now.iter().flat_map(|now| &now.services);
    let seen: Vec<ServiceLine> = now
        .map(|service| ServiceLine {
            name: Safe::of(&service.name, redaction),
            done: done(view, &service.name, service.runs),
            runs: Some(service.runs),
            how: Safe::of(&service.how, redaction),
        })
        .collect();
    let is_seen = |name: &str| seen.iter().any(|line| line.name.as_str() == name);
    let others: Vec<ServiceLine> = view
        .stopped
        .iter()
        // A command that stops something, in backticks, is no service that could be looked at.
        .filter(|name| !is_seen(name) && !name.starts_with('`'))
        .map(|name| ServiceLine {
            name: Safe::of(name, redaction),
            done: "stopped for the way back",
            runs: None,
            how: Safe::of("", redaction),
        })
        .collect();
    seen.into_iter().chain(others).collect()
}

fn done(view: &RunView, name: &str, runs: bool) -> &'static str {
    match (view.stopped.iter().any(|stopped| stopped == name), runs) {
        (true, true) => "stopped for the way back, and started again",
        (true, false) => "stopped for the way back",
        (false, _) => "",
    }
}
