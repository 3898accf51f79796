//! Volumes and directories: copied as one archive, staged inside the live tree, and exchanged entry by entry.

mod access;
mod adopt;
mod agent;
mod build;
mod capture;
mod deploy_window;
mod drill;
mod ground;
mod halt;
mod home;
mod made;
mod place;
mod preparing;
mod price;
mod protocol;
mod remade;
mod remote;
mod salvage;
mod snapshot;
pub(crate) mod source;
mod space;
mod sparse;
mod spot;
mod standby;
mod standing;
mod survey;
mod trial;
mod unpack;
mod work;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub use self::agent::inside;
pub use self::build::KIND;

use self::access::Access;
use self::place::Place;
use self::source::{Target, Volume};
use self::spot::Spot;
use crate::abilities::{
    Abilities, Account, Adoption, Comparison, CopyProof, FileSalvage, Holdings, Leftovers, Location, Mark, Moments,
    Occasion, Price, ServiceNeeds, Size, Standby, StandingBy, Trial, Users,
};
use crate::contract::Resource;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::trees::chunks::form::Form;
use crate::trees::chunks::{self, Differences};
use crate::trees::details::{self, details};
use crate::trees::exchange_record::Seen;
use crate::trees::node::Precision;
use crate::trees::pin;
use crate::wanted::Wanted;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::{Material, Part};
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_system::context::Context;
use guard_system::servers::{self, User};

impl Resource for Volume {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            drills: Some(self),
            proof: Some(self),
            trial: Some(self),
            adoption: Some(self),
            moments: Some(self),
            account: Some(self),
            comparison: Some(self),
            leftovers: Some(self),
            users: Some(self),
            price: Some(self),
            files: Some(self),
            size: Some(self),
            location: Some(self),
            services: Some(self),
            standby: Some(self),
            holdings: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let place = self.find(cx)?;
        let (fingerprint, _) = Access::of(&place, cx)?.portrait(Precision::Nanoseconds, cx)?;
        Ok(fingerprint)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let place = self.find(cx)?;
        if let Some(why) = self.torn(&place, cx)? {
            return Err(why);
        }
        let taken = self.copy(&place, slot, cx)?;
        let artifact = self.artifact(&place, Precision::Nanoseconds, taken.form, taken.copied, cx)?;
        self.with_standby(artifact, taken.standby, &place, slot, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        // To read every byte of a copy takes longer than to put back some files of it, and nothing that is staged counts
        // before both are done.
        let (compared, prepared) = std::thread::scope(|scope| {
            let compared = scope.spawn(|| self.compare_needed(artifact, slot, cx));
            let prepared = self.stage(artifact, slot, data, cx);
            let panicked = |_| Err(ResourceError::new("the reader of a copy panicked"));
            (compared.join().unwrap_or_else(panicked), prepared)
        });
        if compared.is_err()
            && let Ok(prepared) = &prepared
        {
            // What is left now is removed by the next attempt.
            let _later = self.discard(prepared, cx);
        }
        compared.and(prepared)
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(Displaced {
                resource: self.name.clone(),
                details: Value::Null,
                kept_as: Vec::new(),
            });
        }
        let place = Spot::of(&prepared.details)?;
        match &place.remade {
            Some(remade) => self.remake(&place, remade, (artifact, slot), cx),
            None => self.swap(&place, Some((artifact, slot)), cx),
        }
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let details = details(artifact)?;
        let live = self.apart(artifact, &details, cx);
        Ok(match live {
            Ok(parts) if parts.is_empty() => Live::Matches,
            Ok(parts) => Live::Differs(parts),
            Err(error) => Live::Unknown(error.to_string()),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        let spot = Spot::of(&displaced.details)?;
        match &spot.remade {
            Some(remade) => Err(remade::not_undone(remade)),
            None => self.swap(&spot, None, cx),
        }
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        let spot = Spot::of(&displaced.details)?;
        if let Some(remade) = &spot.remade {
            remade.forget()?;
        }
        if spot.is_staged() {
            spot.keeper(cx)?.remove(&spot.home())?;
        }
        Ok(())
    }
}

impl CopyProof for Volume {
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        let details = details(artifact)?;
        match details.form {
            Form::Archive => unpack::prove(artifact, slot, &details),
            Form::Chunks => chunks::prove(artifact, slot, details.entries, cx),
        }
    }

    fn compares_copies(&self) -> bool {
        true
    }
}

impl Trial for Volume {
    fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        self.replaceable(&details(artifact)?, cx)
    }
}

impl Adoption for Volume {
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let Part::Archive { path } = &material.part else {
            return Err(ResourceError::new(format!("{} takes only an archive", self.name)));
        };
        let place = self.find(cx)?;
        let Some(live) = place.directory() else {
            return Err(survey::refused_adoption(&place));
        };
        let copied = adopt::copy(path, live, slot, self.level, cx)?;
        self.artifact(&place, Precision::Seconds, Default::default(), copied, cx)
    }
}

impl Moments for Volume {
    fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        self.note(mark, cx)
    }
}

impl Account for Volume {
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        Spot::of(&displaced.details).ok()?.carried
    }
}

impl Comparison for Volume {
    fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live> {
        let details = self.told(artifact)?;
        let live = self.meant(&details, cx).and_then(|(place, lack)| {
            if let Some(lack) = lack {
                let parts = vec![lack.shown()];
                return Ok(Differences {
                    parts,
                    ..Differences::default()
                });
            }
            let mut differences = self.differences(&place, (artifact, slot), &details, cx)?;
            let links = self.links(&details, cx)?;
            differences.parts.extend(links.iter().map(pin::Link::shown));
            Ok(differences)
        });
        Ok(match live {
            // Somebody may make a file and remove it again at any time; where that is all, everything is there.
            Ok(differences) if differences.parts.is_empty() => Live::Matches,
            Ok(differences) => Live::Differs(differences.parts),
            Err(error) => Live::Unknown(error.to_string()),
        })
    }

    fn keeps_new(&self) -> bool {
        self.carry_over.is_wanted()
    }
}

impl Leftovers for Volume {
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        if prepared.details.is_null() {
            return Ok(());
        }
        let spot = Spot::of(&prepared.details)?;
        if !spot.is_staged() {
            return Ok(());
        }
        let access = spot.keeper(cx)?;
        let look = access.look()?;
        if access.seen(&spot.home(), &look)?.as_ref().is_some_and(Seen::is_used) {
            Ok(())
        } else {
            access.remove(&spot.home())
        }
    }

    fn settle(&self, cx: &Context) -> Result<()> {
        halt::wake_left(cx)
    }

    fn stand_down(&self, cx: &Context) -> Result<()> {
        self.stand_down_now(cx)
    }
}

impl Standby for Volume {
    fn wants_standby(&self, artifact: &Artifact, _: &Occasion) -> bool {
        // It was taken with the copy: here it is only looked at, and told.
        let told = details(artifact).ok().and_then(|details| details.standby);
        told.is_some_and(|standby| !matches!(standby, details::Standby::None { .. }))
    }

    fn stand_by(&self, artifact: &Artifact, _: &Slot, _: &Occasion, cx: &Context) -> Result<StandingBy> {
        self.standing_by(artifact, cx)
    }
}

impl Holdings for Volume {
    fn secure(&self, artifact: &Artifact, _: &Slot, cx: &Context) -> Result<Vec<String>> {
        let details = details(artifact)?;
        if !matches!(details.standby, Some(details::Standby::None { .. }) | None) {
            // What is gone slows the way back down, and does not close it.
            let _told = self.stand_in_told(&details, cx);
        }
        Ok(Vec::new())
    }

    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        self.release_standby(artifact, cx)
    }
}

impl Users for Volume {
    fn holders(&self, cx: &Context) -> Vec<User> {
        let place = self.find(cx).ok();
        let directory = place.as_ref().and_then(Place::directory);
        directory.map(servers::writers_in).unwrap_or_default()
    }

    fn holders_of_displaced(&self, displaced: &Displaced, _: &Context) -> Vec<User> {
        // Only what lies on this host is looked at: in an engine elsewhere there are other processes.
        let places = displaced
            .kept_as
            .iter()
            .filter_map(|place| place.strip_prefix("directory "));
        let users = places.flat_map(|place| servers::users_of(Path::new(place)));
        users.filter(|user| user.has_open).collect()
    }
}

impl Price for Volume {
    fn outlook(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        self.cost((artifact, slot), data, cx)
    }

    fn reprice(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        self.cost_now(prepared, (artifact, slot), cx)
    }

    fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        Self::undo_cost(displaced, cx)
    }
}

impl FileSalvage for Volume {
    fn salvage_files(
        &self,
        displaced: &Displaced,
        patterns: &[String],
        command: &str,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let spot = Spot::of(&displaced.details)?;
        if let (Some(remade), false) = (&spot.remade, spot.is_staged()) {
            return Ok(remade.kept_sentences());
        }
        let salvaged = spot.access(cx)?.salvage(&spot.home(), &Wanted::of(patterns)?, cx)?;
        Ok(salvaged.sentences("file", command))
    }
}

impl Size for Volume {
    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        let spot = Spot::of(&displaced.details)?;
        // Behind the engine it would take a container to look.
        if spot.volume.is_some() {
            return Ok(None);
        }
        spot.keeper(cx)?.weigh(&spot.home())
    }
}

impl Location for Volume {
    fn identity(&self, cx: &Context) -> Vec<String> {
        place::identity(self, cx)
    }

    fn grounds(&self, cx: &Context) -> Vec<PathBuf> {
        place::grounds(self, cx)
    }
}

impl ServiceNeeds for Volume {
    fn occupies(&self) -> Vec<String> {
        if let Some(found) = self.found.get() {
            return vec![found.clone()];
        }
        match &self.target {
            Target::Path(path) => vec![path.to_string_lossy().into_owned()],
            Target::Volume(key) => {
                let full = self.project.as_ref().map(|project| format!("{project}_{key}"));
                full.into_iter().chain([key.clone()]).collect()
            }
        }
    }
}
