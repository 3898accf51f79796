//! Containers that update the images of others by themselves: held while a way back lasts, since they would undo it.

use super::noted::noted;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::docker;

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
    let format = "{{.ID}} {{.Image}} {{.Names}} {{.State}}";
    let call = docker().args(["ps", "--no-trunc", "--format", format]);
    // Without an engine there is no updater that could reach it.
    let text = cx.output(&call).map(|listed| listed.text()).unwrap_or_default();
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (id, image, name, state) = (words.next()?, words.next()?, words.next()?, words.next()?);
        is_updater(image).then(|| Updater {
            id: id.to_owned(),
            name: name.to_owned(),
            is_paused: state == "paused",
        })
    };
    text.lines().filter_map(read).collect()
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
    let held = found.iter().map(
        |Updater { id, name, .. }| match cx.output(&docker().args(["pause", id])) {
            Ok(_) => format!("{name} acts on containers by itself, and is held while the way back lasts"),
            Err(error) => format!(
                "{name} acts on containers by itself, and could not be held: {}",
                chain(&error)
            ),
        },
    );
    held.collect()
}

/// Lets those go on that were held. Returns what is to be said of them.
#[must_use]
pub fn release(cx: &Context) -> Vec<String> {
    let let_go = recorded(cx).into_iter().filter_map(|id| {
        let asked = docker().args(["container", "inspect", "--format", "{{.Name}} {{.State.Paused}}", &id]);
        let text = cx.output(&asked).ok()?.text();
        let (name, paused) = text.trim().trim_start_matches('/').split_once(' ')?;
        if paused != "true" {
            return None;
        }
        Some(match cx.output(&docker().args(["unpause", &id])) {
            Ok(_) => format!(
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
