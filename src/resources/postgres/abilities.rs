//! What a Postgres database can do beside the contract: each ability goes to the file that has it.

use std::path::Path;

use super::database::{Postgres, Way};
use super::details::Details;
use super::migrations::wish::Migrations;
use super::reach::Reach;
use super::{adopt, agree, carry, folder, hold, in_place, migrations, prepare, reach, standby, swap, trial};
use crate::abilities::{
    Access, Account, Adoption, CopyProof, Exclusion, Group, Leftovers, Location, Mark, Moments, Occasion, Price,
    RowSalvage, ServiceNeeds, Size, Standby, StandingBy, Together, Trial,
};
use crate::error::{ResourceError, Result};
use crate::held::Held;
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Prepared};
use guard_model::foreign::Material;
use guard_model::policy::DataRestore;
use guard_system::context::Context;

impl CopyProof for Postgres {
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let has_rows = !self.migrations.as_ref().is_some_and(Migrations::is_schema_only);
        if self.in_place || !has_rows {
            return self.prove(artifact, slot, cx);
        }
        standby::rehearse(self, artifact, slot, cx)
    }
}

impl Standby for Postgres {
    fn wants_standby(&self, artifact: &Artifact, occasion: &Occasion) -> bool {
        standby::is_wanted(self, artifact, occasion)
    }

    fn stand_by(&self, artifact: &Artifact, slot: &Slot, occasion: &Occasion, cx: &Context) -> Result<StandingBy> {
        standby::stand_by(self, artifact, slot, occasion, cx)
    }
}

impl Trial for Postgres {
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        trial::try_back(self, newest, cx, survey);
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

    fn price_after(
        &self,
        prepared: &Prepared,
        displaced: &Displaced,
        artifact: &Artifact,
        cx: &Context,
    ) -> Result<Vec<String>> {
        prepare::price_after(self, prepared, displaced, artifact, cx)
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
