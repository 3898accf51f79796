//! What image names stand for: set anew, with what they stood for before pinned and remembered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::Details;
use crate::error::{ResourceError, Result};
use guard_model::artifact::Displaced;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{Compose, DockerError, Pin, explained, image, pin, tag, unpin, untag};

/// Names and the images they stood for; `None` where a name stood for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    pub compose: Compose,
    /// By name: the image's id and the service that asks for it.
    pub meanings: BTreeMap<String, (Option<String>, String)>,
    pub pins: Vec<Pin>,
}

impl Names {
    pub(super) fn of(displaced: &Displaced) -> Result<Self> {
        serde_json::from_value(displaced.details.clone())
            .map_err(|error| ResourceError::because("could not read what was displaced", error))
    }
}

/// Names the images as the target says, and keeps what the names stood for. `act` names the attempt: a second one of
/// that name goes on where the first was cut off, and tells the same.
pub(super) fn rename(resource: &ResourceName, target: &Names, act: &str, cx: &Context) -> Result<Displaced> {
    let directory = cx.scratch.join(format!("{resource}-displaced-{act}"));
    let record = directory.join("displaced.json");
    let displaced = if let Some(text) = disk::read_text_optional(&record)? {
        serde_json::from_str(&text)
            .map_err(|error| ResourceError::because(format!("could not read {}", record.display()), error))?
    } else {
        let displaced = displace(resource, target, cx)?;
        disk::create_private_dir(&directory)?;
        disk::write_whole(&record, encode(&displaced)?.to_string().as_bytes())?;
        displaced
    };
    let name_one = |name: &String, id: Option<&String>| match id {
        Some(id) => tag(cx, id, name).map_err(unnamed),
        None => untag(cx, name).map_err(unnamed),
    };
    // Services are down meanwhile, and one name has nothing to do with another.
    std::thread::scope(|scope| {
        let threads: Vec<_> = target
            .meanings
            .iter()
            .map(|(name, (id, _))| scope.spawn(move || name_one(name, id.as_ref())))
            .collect();
        let panicked = |_| Err(ResourceError::new("a bug in guard: naming an image panicked"));
        let named = threads.into_iter().map(|one| one.join().unwrap_or_else(panicked));
        named.collect::<Vec<_>>().into_iter().collect::<Result<()>>()
    })?;
    Ok(displaced)
}

/// Pins what the names stand for now, so that nothing that happens to the names loses it.
fn displace(resource: &ResourceName, target: &Names, cx: &Context) -> Result<Displaced> {
    let mut meanings = BTreeMap::new();
    let mut pins: Vec<Pin> = Vec::new();
    let hold = &|name: &str, service: &str| -> Result<(Option<String>, Option<Pin>)> {
        let Some(id) = image(cx, name).map_err(unnamed)?.map(|found| found.id) else {
            return Ok((None, None));
        };
        let short = id.trim_start_matches("sha256:").get(..12).unwrap_or_default();
        let token = format!("{}-displaced-{short}", cx.token());
        let pin = pin(cx, &id, &target.compose.project, service, &token).map_err(unnamed)?;
        Ok((Some(id), Some(pin)))
    };
    // Services are down while this is done. Names of one service may share a pin, so only services go side by side.
    let mut services: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (name, (_, service)) in &target.meanings {
        services.entry(service).or_default().push(name);
    }
    let services = std::thread::scope(|scope| {
        let threads: Vec<_> = services
            .into_iter()
            .map(|(service, names)| {
                let found = move |name: &String| (name.clone(), service.clone(), hold(name, service));
                scope.spawn(move || names.into_iter().map(found).collect::<Vec<_>>())
            })
            .collect();
        let joined: std::thread::Result<Vec<_>> =
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        joined.map_err(|_| ResourceError::new("a bug in guard: pinning an image panicked"))
    });
    for (name, service, found) in services?.into_iter().flatten() {
        let (found, pin) = found?;
        pins.extend(pin.filter(|pin| !pins.contains(pin)));
        meanings.insert(name, (found, service));
    }
    Ok(Displaced {
        resource: resource.clone(),
        kept_as: pins.iter().map(|pin| format!("image {}", pin.tag)).collect(),
        details: encode(&Names {
            compose: target.compose.clone(),
            meanings,
            pins,
        })?,
    })
}

pub(super) fn drop_pins<'a>(pins: impl IntoIterator<Item = &'a Pin>, cx: &Context) -> Result<()> {
    for pin in pins {
        unpin(cx, pin).map_err(|error| ResourceError::because("could not remove a pin", error))?;
    }
    Ok(())
}

pub(super) fn encode(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| ResourceError::because("could not write down the images", error))
}

fn unnamed(error: DockerError) -> ResourceError {
    ResourceError::because("could not name the images", error)
}

/// Builds images of these services from the files that are there now, and remembers which ones it built.
pub(super) fn build_again(details: &Details, services: &[String], cx: &Context) -> Result<()> {
    let unbuilt = |error| ResourceError::because("could not build the images that are gone", error);
    for service in services {
        let call = details.compose.call(["build", "--", service]);
        cx.output(&call).map_err(|error| unbuilt(explained(error)))?;
        let name = details
            .services
            .get(service)
            .and_then(|recorded| recorded.names.first());
        if let Some(name) = name {
            tag(cx, name, &details.built(service)).map_err(unbuilt)?;
        }
    }
    Ok(())
}

/// Takes away the names of what `build_again` built.
pub(super) fn drop_built(details: &Details, cx: &Context) -> Result<()> {
    for service in details.pins.keys() {
        untag(cx, &details.built(service)).map_err(unnamed)?;
    }
    Ok(())
}
