//! Containers that update the images of others by themselves: held while a way back lasts, since they would undo it.

use super::noted::noted;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker;

/// The file in the run's directory that lists those that are held.
const HELD: &str = "held-updaters.json";

/// The last part of the image's name of each updater that is known.
const KNOWN: [&str; 10] = [
    "watchtower",
    "ouroboros",
    "whats-up-docker",
    "wud",
    "shepherd",
    "dockcheck",
    // It tells others of new images, who may act on it.
    "diun",
    // It starts containers anew.
    "autoheal",
    "deunhealth",
    // It starts jobs in containers.
    "ofelia",
];

/// An updater on this engine.
struct Updater {
    id: String,
    name: String,
    is_paused: bool,
}

/// The names of the updaters that run on this engine.
#[must_use]
pub fn running(cx: &Context) -> Vec<String> {
    found(cx).into_iter().map(|one| one.name).collect()
}

fn found(cx: &Context) -> Vec<Updater> {
    // Without an engine there is no updater that could reach it.
    let running = docker::running_containers(cx).unwrap_or_default();
    let updaters = running.into_iter().filter(|one| is_updater(&one.image));
    updaters
        .map(|one| Updater {
            id: one.id,
            name: one.name,
            is_paused: one.state == "paused",
        })
        .collect()
}

/// Pauses every updater that runs on this engine. Returns a sentence for each; one that cannot be held is told as well. One
/// that a person has paused is left as it is. Safe to repeat.
#[must_use]
pub fn hold(cx: &Context) -> Vec<String> {
    let mut found = found(cx);
    found.retain(|one| !one.is_paused);
    if found.is_empty() {
        return Vec::new();
    }
    let mut ids = recorded(cx);
    ids.extend(found.iter().map(|one| one.id.clone()));
    let record = serde_json::to_vec(&ids).unwrap_or_default();
    if let Err(error) = disk::write_whole(&cx.scratch.join(HELD), &record) {
        return vec![format!("an image updater runs and is not held: {}", chain(&error))];
    }
    let held = found
        .iter()
        .map(|Updater { id, name, .. }| match docker::pause(cx, &[id]) {
            Ok(()) => format!("{name} acts on containers by itself, and is held while the way back lasts"),
            Err(error) => format!(
                "{name} acts on containers by itself, and could not be held: {}",
                chain(&error)
            ),
        });
    held.collect()
}

/// Lets those go on that were held. Returns what is to be said of them.
#[must_use]
pub fn release(cx: &Context) -> Vec<String> {
    let let_go = recorded(cx).into_iter().filter_map(|id| {
        let found = docker::container_by_id(cx, &id).ok()??;
        if found.state != "paused" {
            return None;
        }
        let name = found.name;
        Some(match docker::unpause(cx, &[&id]) {
            Ok(()) => format!(
                "{name} acts on containers again by itself, and may bring the failed release back: name images by digest"
            ),
            Err(error) => format!("{name} is still paused (`docker unpause {name}` lets it go on): {}", chain(&error)),
        })
    });
    let_go.collect()
}

fn recorded(cx: &Context) -> Vec<String> {
    noted(HELD, cx)
}

fn is_updater(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    KNOWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_updater_is_known_by_the_last_part_of_its_image() {
        assert!(is_updater("containrrr/watchtower:1.7.1"));
        assert!(is_updater("registry.example:5000/x/watchtower@sha256:00"));
        assert!(!is_updater("watchtower/app:1"));
    }
}
