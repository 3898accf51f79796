//! PostgreSQL databases: dumped by the server's own tools, restored beside the live one, swapped in by two renames.

mod adopt;
mod agree;
mod capture;
mod carry;
mod catalog;
mod clients;
mod content;
mod details;
mod exchange;
mod fill;
mod folder;
mod hold;
mod in_place;
mod inside;
mod manner;
mod meter;
mod migrations;
mod prepare;
mod proof;
mod properties;
mod reach;
mod removal;
mod risks;
mod schema;
mod script;
mod session;
mod settings;
mod sql;
mod stall;
mod standby;
mod surroundings;
mod survey;
mod swap;
mod target;
mod trial;
mod trouble;

use std::path::Path;
use std::time::Duration;

use super::abilities::{
    Abilities, Access, Account, Adoption, CopyProof, Exclusion, Group, Leftovers, Location, Moments, Price, RowSalvage,
    ServiceNeeds, Size, Together, Trial,
};
use super::{Held, Kind, Mark, Resource, ResourceError, Result, Slot, Survey, SwapBarrier};
use carry::CarryOver;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::Material;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::secret::Secret;
use guard_system::context::Context;
use reach::Reach;

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: "postgres",
    about: "a PostgreSQL database, in a compose service or at a URL",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build: settings::build,
};

/// One database.
#[derive(Debug, Clone)]
struct Postgres {
    name: ResourceName,
    way: Way,
    database: Option<String>,
    user: Option<String>,
    password_env: Option<String>,
    /// The port in a service's container, where it cannot be found there.
    port: Option<u16>,
    lock_wait: Duration,
    stall: Duration,
    any_server: bool,
    carry_over: CarryOver,
    jobs: Option<u32>,
    standby: standby::Standby,
    standby_load: u32,
    proof: standby::Proof,
    proof_interval: Duration,
    in_place: bool,
    migrations: Option<migrations::Migrations>,
}

/// Where the server is.
#[derive(Debug, Clone)]
enum Way {
    /// In the container of a compose service.
    Service { service: String, project: String },
    /// At a URL, which may hold a password.
    Url(Secret),
    /// Where libpq's own variables say.
    Environment,
}

impl Postgres {
    /// Whether no database is ever exchanged: who restores in place may be allowed into no other one.
    fn stays_in_place(&self) -> bool {
        self.in_place
    }
}

impl Resource for Postgres {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            proof: Some(self),
            trial: Some(self),
            adoption: Some(self),
            moments: Some(self),
            together: Some(self),
            account: Some(self),
            leftovers: Some(self),
            access: Some(self),
            price: Some(self),
            rows: Some(self),
            size: Some(self),
            location: Some(self),
            services: Some(self),
            exclusion: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let reach = Reach::open(self, cx)?;
        Ok(catalog::look(&reach, &reach.database, cx)?.fingerprint())
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let Some(wish) = &self.migrations else {
            return capture::capture(self, slot, cx);
        };
        let artifact = if wish.is_schema_only() {
            migrations::capture_schema(self, slot, cx)
        } else {
            capture::capture(self, slot, cx)
        };
        migrations::recorded(self, wish, artifact?, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        match &self.migrations {
            Some(wish) => migrations::prepare(self, wish, artifact, slot, data, cx),
            None if self.in_place => in_place::prepare(self, artifact, slot, data, cx),
            None => prepare::prepare(self, artifact, slot, data, cx),
        }
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        let barrier = SwapBarrier::default();
        self.restore_together(prepared, artifact, slot, &Group::alone(&barrier), cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        prepare::check(self, artifact, cx)
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        let barrier = SwapBarrier::default();
        self.undo_together(displaced, &Group::alone(&barrier), cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        match displaced {
            of_migrations if migrations::is(of_migrations) => Ok(()),
            there if in_place::is(there) => in_place::forget(there),
            aside => swap::forget(self, aside, cx),
        }
    }
}

impl CopyProof for Postgres {
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let has_rows = !self
            .migrations
            .as_ref()
            .is_some_and(migrations::Migrations::is_schema_only);
        if self.in_place || !has_rows {
            return self.prove(artifact, slot, cx);
        }
        standby::rehearse(self, artifact, slot, cx)
    }
}

impl Trial for Postgres {
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        trial::try_back(self, newest, cx, survey);
    }

    fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let reach = Reach::open(self, cx)?;
        let details = details::Details::of(artifact)?;
        // Who restores in place may be allowed into no other database.
        let asked = if self.in_place {
            reach.database.as_str()
        } else {
            reach.maintenance(cx)?
        };
        agree::agree(&reach, asked, &details, cx)
    }
}

impl Adoption for Postgres {
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        adopt::adopt(self, material, slot, cx)
    }
}

impl Moments for Postgres {
    fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        carry::mark(self, mark, cx)
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
                swap::let_in(self, cx)?;
                migrations::restore(self, wish, (prepared, group), (artifact, slot), cx)
            }
            None if self.in_place => in_place::restore(self, prepared, artifact, slot, cx),
            None => swap::restore(self, prepared, artifact, group, cx),
        }
    }

    fn undo_together(&self, displaced: &Displaced, group: &Group<'_, Displaced>, cx: &Context) -> Result<Displaced> {
        match displaced {
            of_migrations if migrations::is(of_migrations) => Err(migrations::undo()),
            there if in_place::is(there) => in_place::undo(self, there, cx),
            aside => swap::undo(self, aside, group, cx),
        }
    }
}

impl Account for Postgres {
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        migrations::carried(displaced).or_else(|| swap::carried(displaced))
    }

    fn is_compared(&self, displaced: &Displaced) -> bool {
        swap::compared(displaced) || migrations::is(displaced)
    }
}

impl Leftovers for Postgres {
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        if self.in_place {
            return Ok(());
        }
        swap::discard(self, prepared, cx)
    }

    fn settle(&self, cx: &Context) -> Result<()> {
        folder::settle(self, cx)
    }

    fn stand_down(&self, cx: &Context) -> Result<()> {
        if self.in_place {
            return Ok(());
        }
        standby::stand_down(self, cx)
    }
}

impl Access for Postgres {
    fn shut_out(&self, cx: &Context) -> Result<()> {
        if self.stays_in_place() {
            return Ok(());
        }
        swap::shut_out(self, cx)
    }

    fn let_in(&self, cx: &Context) -> Result<bool> {
        if self.stays_in_place() {
            return Ok(false);
        }
        swap::let_in(self, cx)
    }

    fn is_shut(&self, cx: &Context) -> Result<bool> {
        if self.stays_in_place() {
            return Ok(false);
        }
        swap::is_shut(self, cx)
    }
}

impl Price for Postgres {
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        prepare::price(self, artifact, cx)
    }

    fn outlook(&self, artifact: &Artifact, _: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        match &self.migrations {
            Some(wish) => migrations::outlook(self, wish, artifact, data, cx),
            None => prepare::outlook(self, artifact, data, cx),
        }
    }

    fn reprice(&self, prepared: &Prepared, artifact: &Artifact, _: &Slot, cx: &Context) -> Result<Option<Vec<String>>> {
        prepare::reprice(self, prepared, artifact, cx)
    }

    fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        match swap::kept(displaced) {
            Some(aside) => carry::undo_price(self, &aside, cx),
            None => Ok(Vec::new()),
        }
    }
}

impl RowSalvage for Postgres {
    fn holds_rows(&self, displaced: &Displaced) -> bool {
        swap::kept(displaced).is_some()
    }

    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>> {
        let nothing = || ResourceError::new("nothing was put aside");
        let aside = swap::kept(displaced).ok_or_else(nothing)?;
        carry::salvage(self, &aside, tables, into, cx)
    }
}

impl Size for Postgres {
    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        swap::weigh(self, displaced, cx)
    }
}

impl Location for Postgres {
    fn identity(&self, cx: &Context) -> Vec<String> {
        reach::identity(self, cx)
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
        hold::hold(self, holder, cx)
    }
}
