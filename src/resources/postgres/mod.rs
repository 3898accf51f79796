//! PostgreSQL databases: dumped by the server's own tools, restored beside the live one, swapped in by two renames.

mod abilities;
mod adopt;
mod agree;
mod archive;
mod beside;
mod capture;
mod carry;
mod catalog;
mod clients;
mod content;
mod database;
mod desk;
mod details;
mod drill;
mod exchange;
mod fill;
mod folder;
mod hold;
mod in_place;
mod inside;
mod loading;
mod manner;
mod meter;
mod migrations;
mod moment;
mod pace;
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
mod space;
mod sql;
mod staging;
mod stall;
mod standby;
mod surroundings;
mod survey;
mod swap;
mod talk;
mod target;
mod trial;
mod trouble;
mod versions;

use self::database::Postgres;
use self::reach::Reach;
use crate::abilities::{Abilities, Group, Together};
use crate::barrier::SwapBarrier;
use crate::contract::Resource;
use crate::definition::Kind;
use crate::error::Result;
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_system::context::Context;

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: "postgres",
    about: "a PostgreSQL database, in a compose service or at a URL",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build: settings::build,
};

impl Resource for Postgres {
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
            together: Some(self),
            account: Some(self),
            leftovers: Some(self),
            access: Some(self),
            price: Some(self),
            rows: Some(self),
            size: Some(self),
            location: Some(self),
            services: Some(self),
            standby: Some(self),
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
