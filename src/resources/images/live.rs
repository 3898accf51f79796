//! Which image each service of a project runs, and which image its name stands for.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Recorded;
use crate::error::{ResourceError, Result};
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::docker::{Compose, Container, DockerError, containers_of, image, images};

/// What a name's part of the fingerprint says when the name does not stand for what the service runs: it was moved, by a
/// pull or a build, before guard came.
const ASTRAY: &str = "another image than the one that runs";

/// Every service with its image. Of a service whose containers have several images it is the one of the first running.
pub(super) fn read(compose: &Compose, cx: &Context) -> Result<BTreeMap<String, Recorded>> {
    let unseen = |error| ResourceError::because("could not see the images of the services", error);
    let asked = names_asked_for(compose, cx);
    let mut services: BTreeMap<String, Recorded> = BTreeMap::new();
    let own = own(compose, cx).map_err(unseen)?;
    let ids = own.iter().map(|container| container.image_id.clone()).collect();
    let known = images(cx, &ids).map_err(unseen)?;
    for container in own {
        if services.contains_key(&container.service) {
            continue;
        }
        let found = known.get(&container.image_id);
        let mut names = BTreeSet::from([container.image_name.clone()]);
        names.extend(asked.get(&container.service).cloned());
        // An image that is asked for by digest or by id has no name that could be moved.
        names.retain(|name| !name.contains('@') && !name.starts_with("sha256:"));
        let recorded = Recorded {
            image: container.image_id,
            names: names.into_iter().collect(),
            digests: found.map(|image| image.digests.clone()).unwrap_or_default(),
        };
        services.insert(container.service, recorded);
    }
    Ok(services)
}

/// The project's containers, running ones first, those of `docker compose run` left out.
fn own(compose: &Compose, cx: &Context) -> std::result::Result<Vec<Container>, DockerError> {
    let mut containers = containers_of(cx, &compose.project)?;
    containers.retain(|container| !container.is_one_off());
    containers.sort_by_key(|container| !container.is_up());
    Ok(containers)
}

/// The names that the compose files ask for now; they differ from what runs when the files were changed before guard came.
pub(super) fn names_asked_for(compose: &Compose, cx: &Context) -> BTreeMap<String, String> {
    // Files that Compose refuses ask for nothing; the kind `compose` tells that they are refused.
    let Ok(resolved) = compose.resolved(cx) else {
        return BTreeMap::new();
    };
    let services = resolved.pointer("/services").and_then(serde_json::Value::as_object);
    let named = services.into_iter().flatten().filter_map(|(service, value)| {
        let name = value.get("image")?.as_str()?;
        Some((service.clone(), name.to_owned()))
    });
    named.collect()
}

/// The image of each service that runs, in words.
pub(super) fn release(compose: &Compose, cx: &Context) -> Result<BTreeMap<String, String>> {
    let containers = own(compose, cx).map_err(|error| ResourceError::because("could not see the containers", error))?;
    let mut images: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for container in containers.iter().filter(|container| container.is_up()) {
        let digest = container.image_id.trim_start_matches("sha256:");
        let shown = digest.get(..12).unwrap_or(digest);
        images.entry(container.service.clone()).or_default().insert(shown);
    }
    let told = images.into_iter().map(|(service, shown)| {
        let shown: Vec<&str> = shown.into_iter().collect();
        (service, format!("image {}", shown.join(" and ")))
    });
    Ok(told.collect())
}

/// What each of these services runs now, and what their names stand for.
pub(super) fn fingerprint(
    services: &BTreeMap<String, Recorded>,
    compose: &Compose,
    cx: &Context,
) -> Result<Fingerprint> {
    let unseen = |error| ResourceError::because("could not see the images of the services", error);
    let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let containers = own(compose, cx).map_err(unseen)?;
    for container in &containers {
        let others_run = containers
            .iter()
            .any(|one| one.service == container.service && one.is_up());
        if container.is_up() || !others_run {
            running
                .entry(container.service.clone())
                .or_default()
                .insert(container.image_id.clone());
        }
    }
    let mut print = Fingerprint::default();
    for (service, images) in running {
        let images: Vec<String> = images.into_iter().collect();
        print = print.with(format!("service {service}"), images.join(", "));
    }
    let names = services
        .values()
        .flat_map(|recorded| recorded.names.iter().cloned())
        .collect();
    let known = images(cx, &names).map_err(unseen)?;
    for recorded in services.values() {
        for name in &recorded.names {
            let value = match known.get(name) {
                Some(found) if found.id == recorded.image => found.id.clone(),
                Some(_) => ASTRAY.to_owned(),
                None => "no image".to_owned(),
            };
            print = print.with(format!("name {name}"), value);
        }
    }
    Ok(print)
}

/// In what the services that were recorded differ now. Services that were added since are not an image's concern, and a
/// name that was astray when it was recorded is not asked about.
pub(super) fn differences(
    recorded: &BTreeMap<String, Recorded>,
    then: &Fingerprint,
    compose: &Compose,
    cx: &Context,
) -> Result<Vec<String>> {
    let now = fingerprint(recorded, compose, cx)?;
    let mut differences = then.differences(&now);
    differences.retain(|part| {
        let is_known = then.part(part).is_some();
        let was_astray = part.starts_with("name ") && recorded.values().all(|one| then.part(part) != Some(&one.image));
        is_known && !was_astray
    });
    Ok(differences)
}

/// Those of these differences that are not about the container of a service that does not run, as of a job that has done its
/// work: whether a service runs that should is not an image's concern.
pub(super) fn of_running(mut differences: Vec<String>, compose: &Compose, cx: &Context) -> Result<Vec<String>> {
    if differences.iter().any(|part| part.starts_with("service ")) {
        let containers = own(compose, cx);
        let containers = containers.map_err(|error| ResourceError::because("could not see the containers", error))?;
        let runs = |service: &str| containers.iter().any(|one| one.service == service && one.is_up());
        differences.retain(|part| part.strip_prefix("service ").is_none_or(runs));
    }
    Ok(differences)
}

/// Whether the service runs, and its names stand for, the image that guard built because the recorded one is nowhere any
/// more; `built` is the name that guard gave it.
pub(super) fn runs_what_was_built(
    service: &str,
    recorded: &Recorded,
    built: &str,
    compose: &Compose,
    cx: &Context,
) -> Result<bool> {
    let unseen = |error| ResourceError::because("could not see the images of the services", error);
    let Some(built) = image(cx, built).map_err(unseen)? else {
        return Ok(false);
    };
    for name in &recorded.names {
        if image(cx, name)
            .map_err(unseen)?
            .is_none_or(|found| found.id != built.id)
        {
            return Ok(false);
        }
    }
    let containers = own(compose, cx).map_err(unseen)?;
    let mut running = containers
        .iter()
        .filter(|one| one.service == service && one.is_up())
        .peekable();
    Ok(running.peek().is_some() && running.all(|one| one.image_id == built.id))
}

/// The image of each service that runs, by the name that Compose asked for.
pub(super) fn shown(compose: &Compose, cx: &Context) -> Vec<String> {
    let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for container in own(compose, cx).unwrap_or_default() {
        if container.is_up() {
            let short = container.image_name.trim_start_matches("sha256:");
            let is_id = short.len() < container.image_name.len();
            let name = if is_id { short.get(..12).unwrap_or(short) } else { short };
            services.entry(container.service).or_default().insert(name.to_owned());
        }
    }
    let told = services.into_iter().map(|(service, names)| {
        let names: Vec<String> = names.into_iter().collect();
        format!("{service} {}", names.join(" and "))
    });
    told.collect()
}
