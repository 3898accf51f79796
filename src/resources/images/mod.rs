//! The images that the services of a Compose project run: held in the engine, and named again as they were.

mod drill;
mod live;
mod names;
mod narrowed;
mod obtain;
mod record;
mod release;
mod saved;

use std::collections::{BTreeMap, BTreeSet};

use self::names::{Names, drop_pins, encode};
use self::record::{Details, LISTING, Staged, details};
use self::saved::Saves;
use crate::abilities::{Abilities, Adoption, CopyProof, Holdings, Releases, ServiceNeeds};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Narrowed, Site};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::trees::chunks;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::{Material, NamedRelease, Naming, Part};
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::disk::sha256_hex;
use guard_system::docker::{Compose, image, pin};

/// The kind `images`.
pub const KIND: Kind = Kind {
    key: "images",
    about: "the images that the services run, by id: no registry is needed to go back",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Images,
    build,
};

/// The image of each service in a copy: by its id, and the names by which it was asked for. Empty for an artifact of another kind.
#[must_use]
pub fn recorded(artifact: &Artifact) -> BTreeMap<String, (String, Vec<String>)> {
    let found = details(artifact).ok().filter(|_| artifact.kind == KIND.key);
    let services = found.map(|details| details.services).unwrap_or_default();
    let told = services.into_iter();
    told.map(|(service, recorded)| (service, (recorded.image, recorded.names)))
        .collect()
}

struct Images {
    name: ResourceName,
    compose: Compose,
    /// Which images are written into the backup as well.
    saves: Saves,
    /// Whether an image that is nowhere any more may be built again.
    rebuilds: bool,
    /// Which services a way back is about.
    only: Narrowed,
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let saves = Saves::of(section);
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
        only: site.only.clone(),
    }))
}

impl Images {
    fn differences(&self, details: &Details, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let narrowed = self.only.fingerprint(details);
        let then = narrowed.as_ref().unwrap_or(&artifact.fingerprint);
        let mut differences = live::differences(&details.services, then, &details.compose, cx)?;
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

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            adoption: Some(self),
            drills: Some(self),
            proof: Some(self),
            holdings: Some(self),
            services: Some(self),
            releases: Some(self),
            ..Abilities::default()
        }
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
        let saved = self.saves.chosen(services.values());
        for (service, recorded) in &services {
            if recorded.digests.is_empty() && !saved.contains(&recorded.image) {
                survey.fact(format!(
                    "only this engine has the image of {service}: a pin holds it, which `docker system prune --all` removes; \
                     `save = \"only-here\"` keeps a copy in the backup"
                ));
            }
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
        let mut files = vec![slot.keep_bytes(&listing, LISTING)?];
        let ids = self.saves.chosen(services.values());
        let (mut saved, mut word) = (None, "pinned".to_owned());
        if !ids.is_empty() {
            let (written, described, how) = saved::save(&ids, slot, cx)?;
            files.extend(written);
            (saved, word) = (Some(described), format!("{} {how}", plural(ids.len() as u64, "image")));
        }
        let images: BTreeSet<_> = services.values().map(|one| &one.image).collect();
        let summary = format!(
            "{} of {}, {word}",
            plural(images.len() as u64, "image"),
            plural(services.len() as u64, "service")
        );
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint,
            files,
            details: encode(&Details {
                compose: self.compose.clone(),
                services,
                pins,
                saved,
            })?,
            summary,
            not_kept: Vec::new(),
            tools: Vec::new(),
        })
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let details = self.only.of(details(artifact)?, cx)?;
        let differences = self.differences(&details, artifact, cx)?;
        let mut price = self.only.price(&details, cx)?;
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
            details: encode(&Staged {
                replaces: record::services_in(&work),
            })?,
            work,
            price,
        })
    }

    fn restore(&self, _: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        let details = self.only.of(details(artifact)?, cx)?;
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
        let details = self.only.of(details(artifact)?, cx)?;
        let differences = self
            .differences(&details, artifact, cx)
            .and_then(|all| live::of_running(all, &details.compose, cx));
        Ok(match differences {
            Ok(same) if same.is_empty() => Live::Matches,
            Ok(differences) => Live::Differs(differences),
            Err(error) => Live::Unknown(cx.redaction.clean(&error.to_string())),
        })
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

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        drop_pins(&Names::of(displaced)?.pins, cx)
    }
}

impl Adoption for Images {
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let Part::Release { release, live } = &material.part else {
            return Err(ResourceError::new(format!("{} takes only a release", self.name)));
        };
        let found = release::find(&self.compose, release, live, cx)?;
        let mut pins = BTreeMap::new();
        for (service, recorded) in &found.services {
            let pin = pin(cx, &recorded.image, &self.compose.project, service, &cx.token())
                .map_err(|error| ResourceError::because(format!("could not pin the image of {service}"), error))?;
            pins.insert(service.clone(), pin);
        }
        let listing = serde_json::to_vec_pretty(&found.services)
            .map_err(|error| ResourceError::because("could not write down the images", error))?;
        let summary = format!(
            "{}, as the engine has them of {}",
            plural(found.services.len() as u64, "service"),
            release.shown
        );
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint: found.print,
            files: vec![slot.keep_bytes(&listing, LISTING)?],
            details: encode(&Details {
                compose: self.compose.clone(),
                services: found.services,
                pins,
                saved: None,
            })?,
            summary,
            not_kept: Vec::new(),
            tools: Vec::new(),
        })
    }
}

impl CopyProof for Images {
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        match details(artifact)?.saved {
            Some(packed) => chunks::prove(artifact, slot, packed.entries, cx),
            None => Ok(()),
        }
    }
}

impl Holdings for Images {
    fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Vec<String>> {
        let details = details(artifact)?;
        let lost = obtain::lost(&details, cx)?;
        let gone = if lost.is_empty() {
            Vec::new()
        } else {
            obtain::all(&details, self.rebuilds, artifact, slot, cx)?
        };
        for (service, recorded) in details.services.iter().filter(|(service, _)| !gone.contains(service)) {
            pin(cx, &recorded.image, &details.compose.project, service, &cx.token())
                .map_err(|error| ResourceError::because(format!("could not pin the image of {service}"), error))?;
        }
        let told = lost.iter().map(|service| {
            let now = if gone.contains(service) {
                "a rollback would build another one"
            } else {
                "it was had again, and is held"
            };
            format!("the image that {service} ran was removed from the engine; {now}")
        });
        Ok(told.collect())
    }

    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let details = details(artifact)?;
        names::drop_built(&details, cx)?;
        drop_pins(details.pins.values(), cx)
    }
}

impl ServiceNeeds for Images {
    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        match serde_json::from_value(prepared.details.clone()) {
            Ok(Staged { replaces }) => replaces,
            // A preparation of before tells it by the names of what differs alone.
            Err(_) => record::services_in(&prepared.work),
        }
    }
}

impl Releases for Images {
    fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>> {
        live::release(&self.compose, cx)
    }

    fn shown_release(&self, cx: &Context) -> Vec<String> {
        live::shown(&self.compose, cx)
    }

    fn release_called(&self, name: &str, cx: &Context) -> Result<Naming> {
        // A tag of git is no name of an image, and is not asked for.
        let found = if name.contains(':') {
            release::revision_of(name, cx)?
        } else {
            None
        };
        Ok(found.map_or_else(
            || Naming::Unknown(Vec::new()),
            |commit| {
                Naming::Release(NamedRelease {
                    shown: format!("{name}, built from {commit}"),
                    commit,
                    ..NamedRelease::default()
                })
            },
        ))
    }
}
