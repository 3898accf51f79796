//! One database, as its settings describe it, and where its server is.

use std::path::Path;
use std::time::Duration;

use super::adopt::adopt;
use super::agree::agree;
use super::carry::price::undo_price;
use super::carry::release::mark;
use super::carry::salvage;
use super::carry::wish::CarryOver;
use super::details::Details;
use super::folder::settle;
use super::hold::hold;
use super::in_place::{is, restore, undo};
use super::migrations::steps::{carried, is, outlook, restore, undo};
use super::migrations::wish::Migrations;
use super::prepare::{outlook, price, reprice};
use super::reach::{Reach, identity};
use super::standby::{rehearse, stand_down};
use super::swap::{carried, compared, discard, is_shut, kept, let_in, restore, shut_out, undo, weigh};
use super::trial::try_back;
use crate::abilities::{
    Access, Account, Adoption, CopyProof, Exclusion, Group, Leftovers, Location, Mark, Moments, Price, RowSalvage,
    ServiceNeeds, Size, Together, Trial,
};
use crate::error::{ResourceError, Result};
use crate::held::Held;
use crate::slot::Slot;
use crate::sql::proof::Proof;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Prepared};
use guard_model::foreign::Material;
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_model::secret::Secret;
use guard_model::section::Section;
use guard_system::context::Context;

/// One database.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(crate) name: ResourceName,
    pub(crate) way: Way,
    pub(crate) database: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password_env: Option<String>,
    /// The port in a service's container, where it cannot be found there.
    pub(crate) port: Option<u16>,
    pub(crate) lock_wait: Duration,
    pub(crate) stall: Duration,
    pub(crate) any_server: bool,
    pub(crate) carry_over: CarryOver,
    pub(crate) jobs: Option<u32>,
    pub(crate) standby: Standby,
    pub(crate) standby_load: u32,
    pub(crate) proof: Proof,
    pub(crate) proof_interval: Duration,
    pub(crate) in_place: bool,
    pub(crate) migrations: Option<Migrations>,
}

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// In the container of a compose service.
    Service { service: String, project: String },
    /// At a URL, which may hold a password.
    Url(Secret),
    /// Where libpq's own variables say.
    Environment,
}

impl Postgres {
    /// Whether no database is ever exchanged: who restores in place may be allowed into no other one.
    pub(crate) fn stays_in_place(&self) -> bool {
        self.in_place
    }
}

impl CopyProof for Postgres {
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let has_rows = !self.migrations.as_ref().is_some_and(Migrations::is_schema_only);
        if self.in_place || !has_rows {
            return self.prove(artifact, slot, cx);
        }
        rehearse(self, artifact, slot, cx)
    }
}

impl Trial for Postgres {
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        try_back(self, newest, cx, survey);
    }

    fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let reach = Reach::open(self, cx)?;
        let details = Details::of(artifact)?;
        // Who restores in place may be allowed into no other database.
        let asked = if self.in_place {
            reach.database.as_str()
        } else {
            reach.maintenance(cx)?
        };
        agree(&reach, asked, &details, cx)
    }
}

impl Adoption for Postgres {
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        adopt(self, material, slot, cx)
    }
}

impl Moments for Postgres {
    fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        mark(self, mark, cx)
    }
}

impl Together for Postgres {
    fn restore_together(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        group: &Group<'_, Prepared>,
        cx: &Context,
    ) -> Result<Displaced> {
        match &self.migrations {
            Some(wish) => {
                // An earlier try may have shut everybody out, and this way leads through the live database.
                let_in(self, cx)?;
                restore(self, wish, (prepared, group), (artifact, slot), cx)
            }
            None if self.in_place => restore(self, prepared, artifact, slot, cx),
            None => restore(self, prepared, artifact, group, cx),
        }
    }

    fn undo_together(&self, displaced: &Displaced, group: &Group<'_, Displaced>, cx: &Context) -> Result<Displaced> {
        match displaced {
            of_migrations if is(of_migrations) => Err(undo()),
            there if is(there) => undo(self, there, cx),
            aside => undo(self, aside, group, cx),
        }
    }
}

impl Account for Postgres {
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        carried(displaced).or_else(|| carried(displaced))
    }

    fn is_compared(&self, displaced: &Displaced) -> bool {
        compared(displaced) || is(displaced)
    }
}

impl Leftovers for Postgres {
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        if self.in_place {
            return Ok(());
        }
        discard(self, prepared, cx)
    }

    fn settle(&self, cx: &Context) -> Result<()> {
        settle(self, cx)
    }

    fn stand_down(&self, cx: &Context) -> Result<()> {
        if self.in_place {
            return Ok(());
        }
        stand_down(self, cx)
    }
}

impl Access for Postgres {
    fn shut_out(&self, cx: &Context) -> Result<()> {
        if self.stays_in_place() {
            return Ok(());
        }
        shut_out(self, cx)
    }

    fn let_in(&self, cx: &Context) -> Result<bool> {
        if self.stays_in_place() {
            return Ok(false);
        }
        let_in(self, cx)
    }

    fn is_shut(&self, cx: &Context) -> Result<bool> {
        if self.stays_in_place() {
            return Ok(false);
        }
        is_shut(self, cx)
    }
}

impl Price for Postgres {
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        price(self, artifact, cx)
    }

    fn outlook(&self, artifact: &Artifact, _: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        match &self.migrations {
            Some(wish) => outlook(self, wish, artifact, data, cx),
            None => outlook(self, artifact, data, cx),
        }
    }

    fn reprice(&self, prepared: &Prepared, artifact: &Artifact, _: &Slot, cx: &Context) -> Result<Option<Vec<String>>> {
        reprice(self, prepared, artifact, cx)
    }

    fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        match kept(displaced) {
            Some(aside) => undo_price(self, &aside, cx),
            None => Ok(Vec::new()),
        }
    }
}

impl RowSalvage for Postgres {
    fn holds_rows(&self, displaced: &Displaced) -> bool {
        kept(displaced).is_some()
    }

    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>> {
        let nothing = || ResourceError::new("nothing was put aside");
        let aside = kept(displaced).ok_or_else(nothing)?;
        carry::salvage(self, &aside, tables, into, cx)
    }
}

impl Size for Postgres {
    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        weigh(self, displaced, cx)
    }
}

impl Location for Postgres {
    fn identity(&self, cx: &Context) -> Vec<String> {
        identity(self, cx)
    }
}

impl ServiceNeeds for Postgres {
    fn needs_running(&self) -> Vec<String> {
        match &self.way {
            Way::Service { service, .. } => vec![service.clone()],
            Way::Url(_) | Way::Environment => Vec::new(),
        }
    }
}

impl Exclusion for Postgres {
    fn hold(&self, holder: &str, cx: &Context) -> Result<Held> {
        hold(self, holder, cx)
    }
}

/// Whether a database of the copy stands by, `standby`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standby {
    #[default]
    Never,
    /// Where the database is small, the server's disk is seen to have room for three of it, and the load is soon over.
    Auto,
    Always,
}

impl Standby {
    /// Reads the setting.
    pub(crate) fn of(section: &mut Section<'_>) -> Self {
        let choices = [("never", Self::Never), ("auto", Self::Auto), ("always", Self::Always)];
        section.choice("standby", &choices).unwrap_or_default()
    }
}
