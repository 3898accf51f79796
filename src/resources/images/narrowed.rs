//! A way back of some services alone: their images and no others, or an image that was named for them.

use std::collections::BTreeSet;

use super::live::names_asked_for;
use super::record::Details;
use crate::definition::Narrowed;
use crate::error::{ResourceError, Result};
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::docker::image;

impl Narrowed {
    /// What was recorded, as far as this way back is about it. The names are also those by which the files ask for the images now:
    /// what Compose starts is decided by them, and the files stay as they are.
    ///
    /// # Errors
    /// The copy knows none of the services, the engine has no such image, or a name is another service's as well.
    pub(super) fn of(&self, mut details: Details, cx: &Context) -> Result<Details> {
        if self.services.is_empty() {
            return Ok(details);
        }
        details.services.retain(|service, _| self.services.contains(service));
        if details.services.is_empty() {
            let what = format!("the copy holds no image of {}", self.services.join(", "));
            return Err(ResourceError::new(what).with_hint("`guard show` tells which services a backup knows"));
        }
        let asked = names_asked_for(&details.compose, cx);
        for (service, recorded) in &mut details.services {
            let name = asked
                .get(service)
                .filter(|name| !(name.contains('@') || name.starts_with("sha256:")));
            recorded.names.extend(name.cloned());
            recorded.names.sort();
            recorded.names.dedup();
            if let Some(named) = &self.image {
                let found = image(cx, named);
                let found =
                    found.map_err(|error| ResourceError::because("could not ask the engine for an image", error))?;
                let Some(found) = found else {
                    let what = format!("the engine has no image {named}");
                    return Err(ResourceError::new(what).with_hint(format!("`docker pull {named}` fetches it")));
                };
                (recorded.image, recorded.digests) = (found.id, found.digests);
                // A name that is another image's stays that.
                recorded.names.retain(|name| asked.get(service) == Some(name));
            }
            if recorded.names.is_empty() {
                let what = format!("the files ask for the image of {service} by a digest, which no name can change");
                return Err(ResourceError::new(what).with_hint("put the compose file back: leave --service out"));
            }
        }
        let own: BTreeSet<&String> = details.services.values().flat_map(|one| &one.names).collect();
        let shared = asked
            .iter()
            .find(|(service, name)| !self.services.contains(service) && own.contains(name));
        if let Some((service, name)) = shared {
            let what = format!("{service} asks for {name} as well, and would get another image with its next start");
            let all = format!("{},{service}", self.services.join(","));
            return Err(ResourceError::new(what).with_hint(format!("put both back: --service={all}")));
        }
        Ok(details)
    }

    /// What the narrowed copy is known by; `None`: it is the whole one.
    pub(super) fn fingerprint(&self, details: &Details) -> Option<Fingerprint> {
        if self.services.is_empty() {
            return None;
        }
        let mut print = Fingerprint::default();
        for (service, recorded) in &details.services {
            print = print.with(format!("service {service}"), &recorded.image);
            for name in &recorded.names {
                print = print.with(format!("name {name}"), &recorded.image);
            }
        }
        Some(print)
    }

    /// What is to be said before: names whose meaning changes although the files stay.
    pub(super) fn price(&self, details: &Details, cx: &Context) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for (service, recorded) in details.services.iter().filter(|_| !self.services.is_empty()) {
            for name in &recorded.names {
                let found = image(cx, name);
                let found =
                    found.map_err(|error| ResourceError::because("could not ask the engine for an image", error))?;
                if found.is_none_or(|found| found.id != recorded.image) {
                    let id = recorded.image.trim_start_matches("sha256:");
                    told.push(format!(
                        "{name} is another image on this engine until it is built or pulled again: the one that {service} runs \
                         then, {}",
                        id.get(..12).unwrap_or(id)
                    ));
                }
            }
        }
        Ok(told)
    }
}
