//! PostgreSQL databases: dumped by the server's own tools, restored beside the live one, swapped in by two renames.

mod adopt;
mod agree;
mod capture;
mod carry;
mod catalog;
mod exchange;
mod hold;
mod prepare;
mod properties;
mod reach;
mod schema;
mod session;
mod sql;
mod stall;
mod standby;
mod survey;
mod swap;
mod target;
mod trouble;

use std::path::Path;
use std::time::Duration;

use super::{Built, Held, Kind, Resource, ResourceError, Result, Site, Slot, Survey};
use crate::model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use crate::model::fingerprint::Fingerprint;
use crate::model::foreign::Material;
use crate::model::name::ResourceName;
use crate::model::plan::StageName;
use crate::model::policy::DataRestore;
use crate::model::secret::Secret;
use crate::model::section::Section;
use crate::system::context::Context;
use carry::CarryOver;
use reach::Reach;

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: "postgres",
    about: "a PostgreSQL database, in a compose service or at a URL",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build,
};

/// How long a dump waits for a lock, unless `lock_wait` says otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How long a dump may be silent, unless `stall` says otherwise.
const STALL: Duration = Duration::from_mins(5);

/// One database.
#[derive(Debug, Clone)]
struct Postgres {
    name: ResourceName,
    way: Way,
    database: Option<String>,
    user: Option<String>,
    password_env: Option<String>,
    lock_wait: Duration,
    stall: Duration,
    any_server: bool,
    carry_over: CarryOver,
    standby: standby::Standby,
    proof: standby::Proof,
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

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let service = section.word("service");
    let url = section.secret("url");
    let database = section.text("database");
    let user = section.text("user");
    let password_env = section.text("password_env");
    let lock_wait = section.duration("lock_wait");
    let stall = section.duration("stall");
    let servers = [("same", false), ("any", true)];
    let any_server = section.choice("server", &servers).unwrap_or_default();
    let carry_over = CarryOver::of(section);
    let (standby, proof) = standby::wishes(section);
    if let Some(Err(why)) = url.as_ref().map(|url| target::Target::of_url(url.expose())) {
        section.problem("url", why, None);
        return None;
    }
    let way = match (service, url) {
        (Some(_), Some(_)) => {
            section.problem(
                "url",
                "cannot stand beside `service`: one way to the server is enough",
                None,
            );
            return None;
        }
        (Some(service), None) => {
            let Some(compose) = &site.compose else {
                section.problem("service", "needs a Compose project, and there is none", None);
                return None;
            };
            let project = compose.project.clone();
            Way::Service { service, project }
        }
        (None, Some(url)) => Way::Url(url),
        (None, None) if section.has("service") || section.has("url") => return None,
        (None, None) if database.is_none() => {
            let hint = "set `service` for a compose service, or `url`".to_owned();
            section.problem("service", "is missing, and so is `url`", Some(hint));
            return None;
        }
        (None, None) => Way::Environment,
    };
    Some(Box::new(Postgres {
        name,
        way,
        database,
        user,
        password_env,
        lock_wait: lock_wait.unwrap_or(LOCK_WAIT),
        stall: stall.unwrap_or(STALL),
        any_server,
        carry_over,
        standby,
        proof,
    }))
}

impl Resource for Postgres {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let reach = Reach::open(self, cx)?;
        let (catalog, ()) = catalog::observe(&reach, &reach.database, cx, |_| Ok(()))?;
        Ok(catalog.fingerprint())
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        capture::capture(self, slot, cx)
    }

    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        adopt::adopt(self, material, slot, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        prepare::prepare(self, artifact, slot, data, cx)
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, _: &Slot, cx: &Context) -> Result<Displaced> {
        swap::restore(self, prepared, artifact, cx)
    }

    fn is_compared(&self, displaced: &Displaced) -> bool {
        swap::compared(displaced)
    }

    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        swap::carried(displaced)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        capture::Details::of(artifact)?;
        match self.fingerprint(cx) {
            Ok(now) => {
                let differences = now.differences(&artifact.fingerprint);
                Ok(if differences.is_empty() {
                    Live::Matches
                } else {
                    Live::Differs(differences)
                })
            }
            Err(error) if trouble::is_no_database(&error) => Ok(Live::Differs(vec!["database".to_owned()])),
            Err(error) => {
                let cause = error
                    .source
                    .as_ref()
                    .map(|cause| format!(": {cause}"))
                    .unwrap_or_default();
                Ok(Live::Unknown(format!("{error}{cause}")))
            }
        }
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        swap::undo(self, displaced, cx)
    }

    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let details = capture::Details::of(artifact)?;
        let now = self.fingerprint(cx)?;
        Ok(super::rows::price(
            &artifact.fingerprint,
            &now,
            details.taken_at,
            cx.clock.now(),
        ))
    }

    fn holds_rows(&self, displaced: &Displaced) -> bool {
        swap::kept(displaced).is_some()
    }

    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>> {
        let nothing = || ResourceError::new("nothing was put aside");
        let aside = swap::kept(displaced).ok_or_else(nothing)?;
        carry::salvage(self, &aside, tables, into, cx)
    }

    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        standby::rehearse(self, artifact, slot, cx)
    }

    fn stand_down(&self, cx: &Context) -> Result<()> {
        standby::stand_down(self, cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        swap::forget(self, displaced, cx)
    }

    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        swap::discard(self, prepared, cx)
    }

    fn hold(&self, holder: &str, cx: &Context) -> Result<Held> {
        hold::hold(self, holder, cx)
    }

    fn needs_running(&self) -> Vec<String> {
        match &self.way {
            Way::Service { service, .. } => vec![service.clone()],
            Way::Url(_) | Way::Environment => Vec::new(),
        }
    }
}
