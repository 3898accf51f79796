//! Who waits for whom: the services of a project with what they need, and the levels in which they are stopped and started.

use std::collections::{BTreeMap, BTreeSet};

use super::{Result, ServiceError};
use guard_system::context::Context;
use guard_system::docker::{Compose, Container, containers_of};

/// By service, those that it waits for.
pub(crate) type Needs = BTreeMap<String, BTreeSet<String>>;

/// The project's containers, and what its files say that services wait for. Both take their time, so they are asked at once.
pub(crate) fn containers_and_needs(compose: &Compose, cx: &Context) -> Result<(Vec<Container>, Needs)> {
    std::thread::scope(|scope| {
        let needs = scope.spawn(|| declared(compose, cx));
        let containers =
            containers_of(cx, &compose.project).map_err(ServiceError::engine("see the project's containers"));
        // Without the files' word what the containers themselves say still counts.
        Ok((containers?, needs.join().unwrap_or_default()))
    })
}

fn declared(compose: &Compose, cx: &Context) -> Needs {
    let mut needs = Needs::new();
    // Files that Compose refuses say nothing; the containers still do.
    if let Ok(resolved) = compose.resolved(cx) {
        let services = resolved.pointer("/services").and_then(serde_json::Value::as_object);
        for (service, value) in services.into_iter().flatten() {
            let on = value.get("depends_on").and_then(serde_json::Value::as_object);
            needs
                .entry(service.clone())
                .or_default()
                .extend(on.into_iter().flatten().map(|(name, _)| name.clone()));
        }
    }
    needs
}

/// The services in levels, those that nobody else of them waits for first.
pub(crate) fn levels(services: &BTreeSet<String>, needs: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut left = services.clone();
    let mut levels = Vec::new();
    while !left.is_empty() {
        let is_needed = |service: &String| {
            left.iter()
                .any(|other| other != service && needs.get(other).is_some_and(|on| reaches(on, service, needs)))
        };
        let mut level: Vec<String> = left.iter().filter(|service| !is_needed(service)).cloned().collect();
        if level.is_empty() {
            // Compose refuses circles; if there is one all the same, all of it goes at once.
            level = left.iter().cloned().collect();
        }
        left.retain(|service| !level.contains(service));
        levels.push(level);
    }
    levels
}

/// Whether a service is among these, or among those that they wait for, or further on.
fn reaches(from: &BTreeSet<String>, service: &str, needs: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&String> = from.iter().collect();
    while let Some(next) = waiting.pop() {
        if next == service {
            return true;
        }
        if seen.insert(next) {
            waiting.extend(needs.get(next).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        edges.iter().map(|(name, on)| ((*name).to_owned(), set(on))).collect()
    }

    #[test]
    fn dependents_come_first_also_over_a_service_that_is_left_out() {
        let needs = graph(&[
            ("web", &["proxy"]),
            ("proxy", &["app"]),
            ("app", &["db"]),
            ("db", &[]),
            ("job", &["db"]),
        ]);
        let services = ["web", "app", "db", "job"].map(str::to_owned).into();
        assert_eq!(levels(&services, &needs), [vec!["job", "web"], vec!["app"], vec!["db"]]);
    }

    #[test]
    fn a_circle_ends() {
        let needs = graph(&[("one", &["two"]), ("two", &["one"])]);
        assert_eq!(
            levels(&["one", "two"].map(str::to_owned).into(), &needs),
            [["one", "two"]]
        );
    }
}
