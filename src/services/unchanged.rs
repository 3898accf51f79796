//! Which services need only be started: their containers are those that were recorded, and as the files that are back say.
//!
//! Compose decides by two things whether it makes a container anew: the image that the service's name for it stands for, and a
//! digest of the service's settings, which it leaves as a label. Both are compared here, the digest by what Compose itself makes
//! of the files.

use std::collections::{BTreeMap, BTreeSet};

use guard_system::context::Context;
use guard_system::docker::{Container, Image, Recorded, images};

/// Compose's label with the digest of a service's settings.
const HASH: &str = "com.docker.compose.config-hash";

/// The services that ran when this was recorded and whose containers need only be started. Empty where Compose does not tell.
/// `hashes` are what Compose makes of the settings of each service.
pub(super) fn unchanged(
    recorded: &Recorded,
    containers: &[Container],
    hashes: &BTreeMap<String, String>,
    cx: &Context,
) -> BTreeSet<String> {
    let names = containers.iter().map(|one| one.image_name.clone()).collect();
    // Files that Compose refuses are told by the start itself, and so is an engine that does not answer.
    let now = Now {
        containers,
        hashes,
        images: images(cx, &names).unwrap_or_default(),
    };
    let ran = recorded.running();
    let services = ran.keys().filter(|service| now.is_unchanged(service, recorded));
    services.cloned().collect()
}

/// What there is now.
struct Now<'n> {
    containers: &'n [Container],
    /// By service, the digest of its settings in the files.
    hashes: &'n BTreeMap<String, String>,
    /// What names of images stand for.
    images: BTreeMap<String, Image>,
}

impl Now<'_> {
    fn is_unchanged(&self, service: &str, recorded: &Recorded) -> bool {
        let Some(hash) = self.hashes.get(service) else {
            return false;
        };
        let now: Vec<&Container> = self
            .containers
            .iter()
            .filter(|one| one.service == service && !one.is_one_off())
            .collect();
        let then: Vec<_> = recorded
            .containers
            .iter()
            .filter(|one| one.service == service)
            .collect();
        let is_as_files_say = |one: &Container| {
            let named = self.images.get(&one.image_name);
            one.labels.get(HASH) == Some(hash) && named.is_some_and(|image| image.id == one.image_id)
        };
        // One more or one less is a matter of scale, which is Compose's.
        now.len() == then.len()
            && then.iter().all(|then| {
                let same = now
                    .iter()
                    .find(|now| now.id == then.id && now.image_id == then.image_id);
                then.is_up() && same.is_some_and(|now| is_as_files_say(now))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use guard_system::docker::{Compose, RecordedContainer};

    use super::*;

    fn container(id: &str, image: &str, hash: &str) -> Container {
        Container {
            id: id.to_owned(),
            service: "app".to_owned(),
            image_id: image.to_owned(),
            image_name: "app:latest".to_owned(),
            labels: [(HASH.to_owned(), hash.to_owned())].into(),
            ..Container::default()
        }
    }

    fn recorded(ids: &[&str]) -> Recorded {
        let one = |id: &&str| RecordedContainer {
            service: "app".to_owned(),
            id: (*id).to_owned(),
            image_id: "image".to_owned(),
            state: "running".to_owned(),
        };
        Recorded {
            compose: Compose {
                files: Vec::new(),
                env_files: Vec::new(),
                profiles: Vec::new(),
                project: "shop".to_owned(),
                directory: PathBuf::from("/srv/shop"),
            },
            declared: vec!["app".to_owned()],
            containers: ids.iter().map(one).collect(),
        }
    }

    fn is(then: &[&str], now: &[Container], (hash, named): (&str, &str)) -> bool {
        let image = Image {
            id: named.to_owned(),
            tags: Vec::new(),
            digests: Vec::new(),
        };
        let now = Now {
            containers: now,
            hashes: &[("app".to_owned(), hash.to_owned())].into(),
            images: [("app:latest".to_owned(), image)].into(),
        };
        now.is_unchanged("app", &recorded(then))
    }

    #[test]
    fn only_the_very_containers_with_their_image_and_settings_are_unchanged() {
        let files = ("hash", "image");
        let one = || container("one", "image", "hash");
        let two = || container("two", "image", "hash");
        assert!(is(&["one", "two"], &[two(), one()], files));
        assert!(!is(&["one"], &[two()], files), "made anew");
        assert!(
            !is(&["one"], &[container("one", "other", "hash")], files),
            "of another image"
        );
        assert!(
            !is(&["one"], &[one()], ("hash", "other")),
            "its name stands for another image"
        );
        assert!(!is(&["one"], &[one()], ("other", "image")), "with other settings");
        assert!(!is(&["one", "two"], &[one()], files), "one is gone");
        assert!(!is(&["one"], &[one(), two()], files), "one more");
    }
}
