//! The images that the services of a Compose project run: held in the engine, and named again as they were.

mod live;
mod names;
mod obtain;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::names::{Names, drop_pins, encode};
use super::{Built, Kind, Resource, ResourceError, Result, Site, Slot, Survey};
use crate::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use crate::model::fingerprint::Fingerprint;
use crate::model::name::ResourceName;
use crate::model::plan::StageName;
use crate::model::policy::DataRestore;
use crate::model::section::Section;
use crate::model::text::plural;
use crate::system::context::Context;
use crate::system::disk::sha256_hex;
use crate::system::docker::{Compose, Pin, image, pin};

/// The kind `images`.
pub const KIND: Kind = Kind {
    key: "images",
    about: "the images that the services run, by id: no registry is needed to go back",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Images,
    build,
};

struct Images {
    name: ResourceName,
    compose: Compose,
    /// Whether the images are written into the backup as well.
    saves: bool,
    /// Whether an image that is nowhere any more may be built again.
    rebuilds: bool,
}

/// The image of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Recorded {
    /// Its full id.
    image: String,
    /// The names by which Compose asks for it.
    names: Vec<String>,
    /// Its digests in registries, `name@sha256:…`.
    digests: Vec<String>,
}

/// What the manifest keeps of a capture.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    compose: Compose,
    services: BTreeMap<String, Recorded>,
    /// One for each service.
    pins: BTreeMap<String, Pin>,
}

impl Details {
    /// The name of the image that guard builds for a service whose recorded one is nowhere any more.
    fn built(&self, service: &str) -> String {
        self.pins
            .get(service)
            .map(|pin| format!("{}-built", pin.tag))
            .unwrap_or_default()
    }
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let saves = section.flag("save").unwrap_or(false);
    let rebuilds = section.flag("rebuild").unwrap_or(false);
    let Some(compose) = site.compose.clone() else {
        section.problem(
            "kind",
            "there is no Compose project here, so there are no services whose images could be recorded",
            Some("name its files by `files` under [compose]".to_owned()),
        );
        return None;
    };
    Some(Box::new(Images {
        name,
        compose,
        saves,
        rebuilds,
    }))
}

fn details(artifact: &Artifact) -> Result<Details> {
    let read: std::result::Result<Details, _> = serde_json::from_value(artifact.details.clone());
    read.map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because("could not read the copy's description", error)
    })
}

impl Images {
    fn differences(&self, details: &Details, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let mut differences = live::differences(&details.services, &artifact.fingerprint, &details.compose, cx)?;
        for (service, recorded) in details.services.iter().filter(|_| self.rebuilds) {
            if live::runs_what_was_built(service, recorded, &details.built(service), &details.compose, cx)? {
                let is_own = |part: &String| {
                    *part == format!("service {service}")
                        || recorded.names.iter().any(|name| *part == format!("name {name}"))
                };
                differences.retain(|part| !is_own(part));
            }
        }
        Ok(differences)
    }
}

impl Resource for Images {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        let services = match live::read(&self.compose, cx) {
            Ok(services) => services,
            Err(error) => {
                survey.refuse(error.to_string(), "see that `docker ps` works for this user");
                return survey;
            }
        };
        for (service, recorded) in &services {
            match image(cx, &recorded.image) {
                Ok(Some(_)) => survey.fact(format!(
                    "{service} runs {} ({})",
                    recorded.names.join(", "),
                    recorded.image
                )),
                Ok(None) => survey.refuse(
                    format!(
                        "{service} runs an image that the engine has no more, {}",
                        recorded.image
                    ),
                    format!("build or pull it again, and `docker compose up --detach {service}`"),
                ),
                Err(error) => survey.refuse(error.to_string(), "see that `docker image ls` works for this user"),
            }
            if recorded.names.len() > 1 {
                survey.warn(
                    format!(
                        "the compose files ask for another image than {service} runs: {}",
                        recorded.names.join(" and ")
                    ),
                    "a rollback names the image that runs now by both names; let guard run before the files change",
                );
            }
        }
        if !self.saves {
            survey
                .fact("images are held by pins; `docker system prune --all` removes them, `save = true` keeps copies");
        }
        survey
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        live::fingerprint(&live::read(&self.compose, cx)?, &self.compose, cx)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let services = live::read(&self.compose, cx)?;
        let mut pins = BTreeMap::new();
        for (service, recorded) in &services {
            let pin = pin(cx, &recorded.image, &self.compose.project, service, &cx.token())
                .map_err(|error| ResourceError::because(format!("could not pin the image of {service}"), error))?;
            pins.insert(service.clone(), pin);
        }
        let fingerprint = live::fingerprint(&services, &self.compose, cx)?;
        let listing = serde_json::to_vec_pretty(&services)
            .map_err(|error| ResourceError::because("could not write down the images", error))?;
        let mut files = vec![slot.keep_bytes(&listing, "images.json")?];
        if self.saves && !pins.is_empty() {
            let names: Vec<String> = pins.values().map(|pin| pin.tag.clone()).collect();
            files.push(obtain::save(&names, slot, cx)?);
        }
        let count = services
            .values()
            .map(|one| &one.image)
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        let summary = format!(
            "{} of {}{}",
            plural(count as u64, "image"),
            plural(services.len() as u64, "service"),
            if self.saves { ", saved" } else { ", pinned" }
        );
        Ok(Artifact {
            resource: self.name.clone(),
            kind: KIND.key.to_owned(),
            fingerprint,
            files,
            details: encode(&Details {
                compose: self.compose.clone(),
                services,
                pins,
            })?,
            summary,
            not_kept: Vec::new(),
            tools: Vec::new(),
        })
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let details = details(artifact)?;
        let differences = self.differences(&details, artifact, cx)?;
        let mut price = Vec::new();
        let work = if differences.is_empty() {
            Work::Unchanged
        } else {
            // What has to be loaded or pulled is, while everything still runs.
            for service in obtain::all(&details, self.rebuilds, artifact, slot, cx)? {
                price.push(format!(
                    "the image of {service} is gone; it is built again, and is not the same artifact"
                ));
            }
            Work::Changed(differences)
        };
        Ok(Prepared {
            resource: self.name.clone(),
            work,
            details: Value::Null,
            price,
        })
    }

    fn restore(&self, _: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        let details = details(artifact)?;
        let gone = obtain::all(&details, self.rebuilds, artifact, slot, cx)?;
        let mut names = BTreeMap::new();
        for (service, recorded) in &details.services {
            for name in recorded.names.iter().filter(|_| !gone.contains(service)) {
                names.insert(name.clone(), (Some(recorded.image.clone()), service.clone()));
            }
        }
        let target = Names {
            compose: details.compose.clone(),
            meanings: names,
            pins: Vec::new(),
        };
        let displaced = names::rename(&self.name, &target, "restore", cx)?;
        names::build_again(&details, &gone, cx)?;
        Ok(displaced)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let details = details(artifact)?;
        Ok(match self.differences(&details, artifact, cx) {
            Ok(same) if same.is_empty() => Live::Matches,
            Ok(differences) => Live::Differs(differences),
            Err(error) => Live::Unknown(cx.redaction.clean(&error.to_string())),
        })
    }

    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        let Work::Changed(parts) = &prepared.work else {
            return Vec::new();
        };
        let services = parts.iter().filter_map(|part| part.strip_prefix("service "));
        services.map(str::to_owned).collect()
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        let target = Names::of(displaced)?;
        let digest = sha256_hex(displaced.details.to_string().as_bytes());
        names::rename(
            &self.name,
            &target,
            &format!("undo-{}", digest.get(..12).unwrap_or_default()),
            cx,
        )
    }

    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let details = details(artifact)?;
        names::drop_built(&details, cx)?;
        drop_pins(details.pins.values(), cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        drop_pins(&Names::of(displaced)?.pins, cx)
    }
}
