//! MariaDB and MySQL databases: dumped by the server's own tools, loaded into a schema beside the live one, and swapped in
//! by one `RENAME TABLE` of all tables.

mod capture;
mod code;
mod database;
mod details;
mod dump;
mod gate;
mod loading;
mod prepare;
mod proving;
mod reach;
mod read_lock;
mod reading;
mod survey;
mod swap;
mod tables;
mod target;
mod trouble;

use self::database::{MARIADB, MariaDb, OF_MYSQL, Product};
use self::reach::Reach;
use crate::abilities::{Abilities, Access, CopyProof, Leftovers, Location, Price, ServiceNeeds, Trial};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Site};
use crate::error::Result;
use crate::slot::Slot;
use crate::sql::proof::{INTERVAL, Proof};
use crate::sql::rows;
use crate::sql::stall::{LOCK_WAIT, STALL};
use crate::survey::Survey;
use crate::way::Way;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_system::context::Context;

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: "mariadb",
    about: "a MariaDB database, in a compose service or at a URL",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build: |name, section, site| build(&MARIADB, name, section, site),
};

/// The same for MySQL, whose programs have other names.
pub(super) const MYSQL: Kind = Kind {
    key: "mysql",
    about: "a MySQL database, in a compose service or at a URL",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build: |name, section, site| build(&OF_MYSQL, name, section, site),
};

fn build(product: &'static Product, name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let parses = |url: &str| target::Target::of_url(url).map(|_| ());
    let way = Way::read(section, site, parses);
    let database = section.text("database");
    let user = section.text("user");
    let password_env = section.text("password_env");
    let lock_wait = section.duration("lock_wait");
    let stall = section.duration("stall");
    let proof = Proof::of(section);
    let proof_interval = section.duration("proof_interval");
    let way = way?;
    Some(Box::new(MariaDb {
        name,
        product,
        way,
        database,
        user,
        password_env,
        lock_wait: lock_wait.unwrap_or(LOCK_WAIT),
        stall: stall.unwrap_or(STALL),
        proof,
        proof_interval: proof_interval.unwrap_or(INTERVAL),
        gate: read_lock::Gate::default(),
    }))
}

impl Resource for MariaDb {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            proof: Some(self),
            trial: Some(self),
            leftovers: Some(self),
            access: Some(self),
            price: Some(self),
            location: Some(self),
            services: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let reach = Reach::open(self, cx)?;
        let seen = reading::observe(&reach, &reach.database, cx)?;
        Ok(seen.ok_or_else(|| trouble::no_database(&reach.database))?.print)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        capture::capture(self, slot, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        prepare::prepare(self, artifact, slot, data, cx)
    }

    fn restore(&self, prepared: &Prepared, _: &Artifact, _: &Slot, cx: &Context) -> Result<Displaced> {
        swap::restore(self, prepared, cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        details::Details::of(artifact)?;
        let seen = Reach::open(self, cx).and_then(|reach| reading::observe(&reach, &reach.database, cx));
        Ok(match seen {
            Ok(None) => Live::Differs(vec!["database".to_owned()]),
            Ok(Some(seen)) => match reading::differences(&artifact.fingerprint, &seen.print) {
                same if same.is_empty() => Live::Matches,
                differences => Live::Differs(differences),
            },
            Err(error) => Live::Unknown(trouble::whole(&error)),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        swap::undo(self, displaced, cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        swap::forget(self, displaced, cx)
    }
}

impl CopyProof for MariaDb {
    fn prove(&self, artifact: &Artifact, slot: &Slot, _: &Context) -> Result<()> {
        slot.compare(artifact)?;
        dump::prove(artifact, slot)
    }

    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        prepare::rehearse(self, artifact, slot, cx)
    }
}

impl Trial for MariaDb {
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        proving::try_back(self, newest, cx, survey);
    }
}

impl Leftovers for MariaDb {
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        swap::discard(self, prepared, cx)
    }
}

impl Access for MariaDb {
    fn shut_out(&self, cx: &Context) -> Result<()> {
        let reach = Reach::open(self, cx)?;
        self.gate.shut(&reach, &reach.database, cx)
    }

    fn let_in(&self, cx: &Context) -> Result<bool> {
        if !self.gate.is_shut() {
            return Ok(false);
        }
        self.gate.open(&Reach::open(self, cx)?, cx)
    }

    fn is_shut(&self, _: &Context) -> Result<bool> {
        Ok(self.gate.is_shut())
    }
}

impl Price for MariaDb {
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let details = details::Details::of(artifact)?;
        let now = self.fingerprint(cx)?;
        let today = cx.clock.now();
        Ok(rows::price(&artifact.fingerprint, &now, details.taken_at, today))
    }

    fn outlook(&self, artifact: &Artifact, _: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let now = self.fingerprint(cx)?;
        rows::outlook(data, &artifact.fingerprint, &now, || self.price(artifact, cx))
    }

    fn written_since(&self, displaced: &Displaced, put_back: &Artifact, cx: &Context) -> Result<Vec<String>> {
        if displaced.details.is_null() {
            return Ok(Vec::new());
        }
        let now = self.fingerprint(cx)?;
        Ok(crate::sql::rows::written_since(&put_back.fingerprint, &now))
    }
}

impl Location for MariaDb {
    fn identity(&self, cx: &Context) -> Vec<String> {
        reach::identity(self, cx)
    }
}

impl ServiceNeeds for MariaDb {
    fn needs_running(&self) -> Vec<String> {
        self.way.service().cloned().into_iter().collect()
    }
}
