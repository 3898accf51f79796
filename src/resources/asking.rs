//! The questions that can be put to any resource, each with the plain answer of one that lacks the ability.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::abilities::{Group, Harm, Mark, Occasion, StandingBy};
use crate::contract::Resource;
use crate::error::{ResourceError, Result};
use crate::held::Held;
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use guard_model::drill::Census;
use guard_model::foreign::{Material, Naming};
use guard_model::policy::DataRestore;
use guard_system::context::Context;
use guard_system::servers::User;

type Sentences = Result<Vec<String>>;

impl dyn Resource + '_ {
    /// [`CopyProof::prove`](crate::abilities::CopyProof::prove); without it: its files are compared with the manifest.
    ///
    /// # Errors
    /// As there.
    pub fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        match self.abilities().proof {
            Some(able) => able.prove(artifact, slot, cx),
            None => slot.compare(artifact),
        }
    }

    /// [`CopyProof::rehearse`](crate::abilities::CopyProof::rehearse); without it: as for a proof.
    ///
    /// # Errors
    /// As there.
    pub fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        match self.abilities().proof {
            Some(able) => able.rehearse(artifact, slot, cx),
            None => slot.compare(artifact),
        }
    }

    /// [`CopyProof::compares_copies`](crate::abilities::CopyProof::compares_copies); without it: it does not.
    #[must_use]
    pub fn compares_copies(&self) -> bool {
        match self.abilities().proof {
            Some(able) => able.compares_copies(),
            None => false,
        }
    }

    /// [`Trial::try_back`](crate::abilities::Trial::try_back); without it: nothing is tried.
    pub fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        if let Some(able) = self.abilities().trial {
            able.try_back(newest, cx, survey);
        }
    }

    /// [`Sweep::sweep`](crate::abilities::Sweep::sweep); without it: that guard's own tests hold it to its promises.
    pub fn sweep(&self, cx: &Context, survey: &mut Survey) {
        match self.abilities().sweep {
            Some(able) => able.sweep(cx, survey),
            None => survey.fact("a kind of guard's own: its promises are held by guard's tests"),
        }
    }

    /// [`Trial::agrees`](crate::abilities::Trial::agrees); without it: nothing speaks against it.
    ///
    /// # Errors
    /// As there.
    pub fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        match self.abilities().trial {
            Some(able) => able.agrees(artifact, cx),
            None => Ok(()),
        }
    }

    /// [`Standby::wants_standby`](crate::abilities::Standby::wants_standby); without it: it does not.
    #[must_use]
    pub fn wants_standby(&self, artifact: &Artifact, occasion: &Occasion) -> bool {
        match self.abilities().standby {
            Some(able) => able.wants_standby(artifact, occasion),
            None => false,
        }
    }

    /// [`Standby::stand_by`](crate::abilities::Standby::stand_by); without it: there is none.
    ///
    /// # Errors
    /// As there.
    pub fn stand_by(&self, artifact: &Artifact, slot: &Slot, occasion: &Occasion, cx: &Context) -> Result<StandingBy> {
        match self.abilities().standby {
            Some(able) => able.stand_by(artifact, slot, occasion, cx),
            None => Ok(StandingBy::Without {
                why: "nothing of this kind stands by".to_owned(),
            }),
        }
    }

    /// [`Drills::census`](crate::abilities::Drills::census); without it: `None`, since there is no road but that of a restore.
    ///
    /// # Errors
    /// As there.
    pub fn census(&self, like: Option<&Census>, cx: &Context) -> Result<Option<Census>> {
        match self.abilities().drills {
            Some(able) => able.census(like, cx).map(Some),
            None => Ok(None),
        }
    }

    /// [`Drills::knows`](crate::abilities::Drills::knows); without it: it knows none.
    #[must_use]
    pub fn knows(&self, harm: Harm) -> bool {
        self.abilities().drills.is_some_and(|able| able.knows(harm))
    }

    /// [`Drills::harm`](crate::abilities::Drills::harm); without it: none is done.
    ///
    /// # Errors
    /// As there.
    pub fn harm(&self, harm: Harm, cx: &Context) -> Result<Option<String>> {
        match self.abilities().drills {
            Some(able) => able.harm(harm, cx),
            None => Ok(None),
        }
    }

    /// [`Adoption::adopt`](crate::abilities::Adoption::adopt); without it: an error.
    ///
    /// # Errors
    /// As there.
    pub fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        match self.abilities().adoption {
            Some(able) => able.adopt(material, slot, cx),
            None => Err(self.without("takes nothing from a backup made by hand")),
        }
    }

    /// [`Holdings::secure`](crate::abilities::Holdings::secure); without it: a copy needs nothing beside itself.
    ///
    /// # Errors
    /// As there.
    pub fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Sentences {
        match self.abilities().holdings {
            Some(able) => able.secure(artifact, slot, cx),
            None => Ok(Vec::new()),
        }
    }

    /// [`Holdings::release`](crate::abilities::Holdings::release); without it: a copy holds nothing.
    ///
    /// # Errors
    /// As there.
    pub fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        match self.abilities().holdings {
            Some(able) => able.release(artifact, cx),
            None => Ok(()),
        }
    }

    /// [`Together::restore_together`](crate::abilities::Together::restore_together); without it: each is restored by itself.
    ///
    /// # Errors
    /// As there.
    pub fn restore_together(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        group: &Group<'_, Prepared>,
        cx: &Context,
    ) -> Result<Displaced> {
        match self.abilities().together {
            Some(able) => able.restore_together(prepared, artifact, slot, group, cx),
            None => self.restore(prepared, artifact, slot, cx),
        }
    }

    /// [`Together::undo_together`](crate::abilities::Together::undo_together); without it: each is undone by itself.
    ///
    /// # Errors
    /// As there.
    pub fn undo_together(
        &self,
        displaced: &Displaced,
        group: &Group<'_, Displaced>,
        cx: &Context,
    ) -> Result<Displaced> {
        match self.abilities().together {
            Some(able) => able.undo_together(displaced, group, cx),
            None => self.undo(displaced, cx),
        }
    }

    /// [`Moments::mark`](crate::abilities::Moments::mark); without it: no moment is noted.
    ///
    /// # Errors
    /// As there.
    pub fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        match self.abilities().moments {
            Some(able) => able.mark(mark, cx),
            None => Ok(()),
        }
    }

    /// [`Account::carried`](crate::abilities::Account::carried); without it: nothing was taken along.
    #[must_use]
    pub fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        match self.abilities().account {
            Some(able) => able.carried(displaced),
            None => None,
        }
    }

    /// [`Account::is_compared`](crate::abilities::Account::is_compared); without it: it has to be compared.
    #[must_use]
    pub fn is_compared(&self, displaced: &Displaced) -> bool {
        match self.abilities().account {
            Some(able) => able.is_compared(displaced),
            None => false,
        }
    }

    /// [`Comparison::compare`](crate::abilities::Comparison::compare); without it: the description tells all.
    ///
    /// # Errors
    /// As there.
    pub fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live> {
        match self.abilities().comparison {
            Some(able) => able.compare(artifact, slot, cx),
            None => self.check(artifact, cx),
        }
    }

    /// [`Leftovers::discard`](crate::abilities::Leftovers::discard); without it: nothing is left.
    ///
    /// # Errors
    /// As there.
    pub fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        match self.abilities().leftovers {
            Some(able) => able.discard(prepared, cx),
            None => Ok(()),
        }
    }

    /// [`Leftovers::settle`](crate::abilities::Leftovers::settle); without it: nothing is left.
    ///
    /// # Errors
    /// As there.
    pub fn settle(&self, cx: &Context) -> Result<()> {
        match self.abilities().leftovers {
            Some(able) => able.settle(cx),
            None => Ok(()),
        }
    }

    /// [`Leftovers::stand_down`](crate::abilities::Leftovers::stand_down); without it: nothing is left.
    ///
    /// # Errors
    /// As there.
    pub fn stand_down(&self, cx: &Context) -> Result<()> {
        match self.abilities().leftovers {
            Some(able) => able.stand_down(cx),
            None => Ok(()),
        }
    }

    /// [`Access::shut_out`](crate::abilities::Access::shut_out); without it: everybody may come.
    ///
    /// # Errors
    /// As there.
    pub fn shut_out(&self, cx: &Context) -> Result<()> {
        match self.abilities().access {
            Some(able) => able.shut_out(cx),
            None => Ok(()),
        }
    }

    /// [`Access::let_in`](crate::abilities::Access::let_in); without it: they were never out.
    ///
    /// # Errors
    /// As there.
    pub fn let_in(&self, cx: &Context) -> Result<bool> {
        match self.abilities().access {
            Some(able) => able.let_in(cx),
            None => Ok(false),
        }
    }

    /// [`Access::is_shut`](crate::abilities::Access::is_shut); without it: they are not.
    ///
    /// # Errors
    /// As there.
    pub fn is_shut(&self, cx: &Context) -> Result<bool> {
        match self.abilities().access {
            Some(able) => able.is_shut(cx),
            None => Ok(false),
        }
    }

    /// [`Users::holders`](crate::abilities::Users::holders); without it: none is known.
    #[must_use]
    pub fn holders(&self, cx: &Context) -> Vec<User> {
        match self.abilities().users {
            Some(able) => able.holders(cx),
            None => Vec::new(),
        }
    }

    /// [`Users::holders_of_displaced`](crate::abilities::Users::holders_of_displaced); without it: none is known.
    #[must_use]
    pub fn holders_of_displaced(&self, displaced: &Displaced, cx: &Context) -> Vec<User> {
        match self.abilities().users {
            Some(able) => able.holders_of_displaced(displaced, cx),
            None => Vec::new(),
        }
    }

    /// [`Reload::take_up`](crate::abilities::Reload::take_up); without it: there is nothing to tell.
    ///
    /// # Errors
    /// As there.
    pub fn take_up(&self, displaced: &Displaced, cx: &Context) -> Sentences {
        match self.abilities().reload {
            Some(able) => able.take_up(displaced, cx),
            None => Ok(Vec::new()),
        }
    }

    /// [`Price::price`](crate::abilities::Price::price); without it: it costs nothing.
    ///
    /// # Errors
    /// As there.
    pub fn price(&self, artifact: &Artifact, cx: &Context) -> Sentences {
        match self.abilities().price {
            Some(able) => able.price(artifact, cx),
            None => Ok(Vec::new()),
        }
    }

    /// [`Price::outlook`](crate::abilities::Price::outlook); without it: it costs nothing.
    ///
    /// # Errors
    /// As there.
    pub fn outlook(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Sentences {
        match self.abilities().price {
            Some(able) => able.outlook(artifact, slot, data, cx),
            None => Ok(Vec::new()),
        }
    }

    /// [`Price::reprice`](crate::abilities::Price::reprice); without it: it has not changed.
    ///
    /// # Errors
    /// As there.
    pub fn reprice(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        match self.abilities().price {
            Some(able) => able.reprice(prepared, artifact, slot, cx),
            None => Ok(None),
        }
    }

    /// [`Price::price_after`](crate::abilities::Price::price_after); without it: what was told before.
    ///
    /// # Errors
    /// As there.
    pub fn price_after(
        &self,
        prepared: &Prepared,
        displaced: &Displaced,
        artifact: &Artifact,
        cx: &Context,
    ) -> Sentences {
        match self.abilities().price {
            Some(able) => able.price_after(prepared, displaced, artifact, cx),
            None => Ok(prepared.price.clone()),
        }
    }

    /// [`Price::undo_price`](crate::abilities::Price::undo_price); without it: it costs nothing.
    ///
    /// # Errors
    /// As there.
    pub fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Sentences {
        match self.abilities().price {
            Some(able) => able.undo_price(displaced, cx),
            None => Ok(Vec::new()),
        }
    }

    /// [`Price::written_since`](crate::abilities::Price::written_since); without it: nothing.
    ///
    /// # Errors
    /// As there.
    pub fn written_since(&self, displaced: &Displaced, put_back: &Artifact, cx: &Context) -> Sentences {
        match self.abilities().price {
            Some(able) => able.written_since(displaced, put_back, cx),
            None => Ok(Vec::new()),
        }
    }

    /// [`Comparison::keeps_new`](crate::abilities::Comparison::keeps_new); without it: all goes back.
    #[must_use]
    pub fn keeps_new(&self) -> bool {
        match self.abilities().comparison {
            Some(able) => able.keeps_new(),
            None => false,
        }
    }

    /// [`RowSalvage::holds_rows`](crate::abilities::RowSalvage::holds_rows); without it: it has none.
    #[must_use]
    pub fn holds_rows(&self, displaced: &Displaced) -> bool {
        match self.abilities().rows {
            Some(able) => able.holds_rows(displaced),
            None => false,
        }
    }

    /// [`RowSalvage::salvage`](crate::abilities::RowSalvage::salvage); without it: an error.
    ///
    /// # Errors
    /// As there.
    pub fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Sentences {
        match self.abilities().rows {
            Some(able) => able.salvage(displaced, tables, into, cx),
            None => Err(self.without("keeps no rows that could be salvaged")),
        }
    }

    /// [`FileSalvage::salvage_files`](crate::abilities::FileSalvage::salvage_files); without it: an error.
    ///
    /// # Errors
    /// As there.
    pub fn salvage_files(&self, displaced: &Displaced, patterns: &[String], command: &str, cx: &Context) -> Sentences {
        match self.abilities().files {
            Some(able) => able.salvage_files(displaced, patterns, command, cx),
            None => Err(self.without("keeps no files that could be salvaged")),
        }
    }

    /// [`Size::weigh`](crate::abilities::Size::weigh); without it: it cannot be told.
    ///
    /// # Errors
    /// As there.
    pub fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        match self.abilities().size {
            Some(able) => able.weigh(displaced, cx),
            None => Ok(None),
        }
    }

    /// [`Location::identity`](crate::abilities::Location::identity); without it: it has no such name.
    #[must_use]
    pub fn identity(&self, cx: &Context) -> Vec<String> {
        match self.abilities().location {
            Some(able) => able.identity(cx),
            None => Vec::new(),
        }
    }

    /// [`Location::grounds`](crate::abilities::Location::grounds); without it: it has no such path.
    #[must_use]
    pub fn grounds(&self, cx: &Context) -> Vec<PathBuf> {
        match self.abilities().location {
            Some(able) => able.grounds(cx),
            None => Vec::new(),
        }
    }

    /// [`ServiceNeeds::needs_running`](crate::abilities::ServiceNeeds::needs_running); without it: none.
    #[must_use]
    pub fn needs_running(&self) -> Vec<String> {
        match self.abilities().services {
            Some(able) => able.needs_running(),
            None => Vec::new(),
        }
    }

    /// [`ServiceNeeds::replaces`](crate::abilities::ServiceNeeds::replaces); without it: none.
    #[must_use]
    pub fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        match self.abilities().services {
            Some(able) => able.replaces(prepared),
            None => Vec::new(),
        }
    }

    /// [`ServiceNeeds::stops`](crate::abilities::ServiceNeeds::stops); without it: none.
    #[must_use]
    pub fn stops(&self) -> Vec<String> {
        match self.abilities().services {
            Some(able) => able.stops(),
            None => Vec::new(),
        }
    }

    /// [`ServiceNeeds::occupies`](crate::abilities::ServiceNeeds::occupies); without it: none.
    #[must_use]
    pub fn occupies(&self) -> Vec<String> {
        match self.abilities().services {
            Some(able) => able.occupies(),
            None => Vec::new(),
        }
    }

    /// [`Exclusion::hold`](crate::abilities::Exclusion::hold); without it: nothing is held.
    ///
    /// # Errors
    /// As there.
    pub fn hold(&self, holder: &str, cx: &Context) -> Result<Held> {
        match self.abilities().exclusion {
            Some(able) => able.hold(holder, cx),
            None => Ok(Held::Nothing),
        }
    }

    /// [`Releases::live_release`](crate::abilities::Releases::live_release); without it: none can be told.
    ///
    /// # Errors
    /// As there.
    pub fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>> {
        match self.abilities().releases {
            Some(able) => able.live_release(cx),
            None => Ok(BTreeMap::new()),
        }
    }

    /// [`Releases::shown_release`](crate::abilities::Releases::shown_release); without it: none is shown.
    #[must_use]
    pub fn shown_release(&self, cx: &Context) -> Vec<String> {
        match self.abilities().releases {
            Some(able) => able.shown_release(cx),
            None => Vec::new(),
        }
    }

    /// [`Releases::release_called`](crate::abilities::Releases::release_called); without it: it knows none by name.
    ///
    /// # Errors
    /// As there.
    pub fn release_called(&self, name: &str, cx: &Context) -> Result<Naming> {
        match self.abilities().releases {
            Some(able) => able.release_called(name, cx),
            None => Ok(Naming::Unknown(Vec::new())),
        }
    }

    fn without(&self, what: &str) -> ResourceError {
        ResourceError::new(format!("{} {what}", self.name()))
    }
}
