//! The settings of one database.

use std::sync::Arc;

use super::carry::wish::CarryOver;
use super::database::{Postgres, RATE, Standby, Way};
use super::desk::Desk;
use super::migrations::wish;
use super::{in_place, target};
use crate::definition::{Built, Site};
use crate::sql::proof::{INTERVAL, Proof};
use crate::sql::stall::{LOCK_WAIT, STALL};
use guard_model::name::ResourceName;
use guard_model::section::Section;

/// Reads the table of one database.
pub(super) fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let service = section.word("service");
    let (url, direct) = (section.secret("url"), section.secret("direct_url"));
    let database = section.text("database");
    let user = section.text("user");
    let password_env = section.text("password_env");
    let port = section
        .whole("port", 1..=65535)
        .and_then(|port| u16::try_from(port).ok());
    if section.has("url") && port.is_some() {
        section.problem("port", "stands in the `url`; `port` is for a `service`", None);
    }
    let lock_wait = section.duration("lock_wait");
    let stall = section.duration("stall");
    let servers = [("same", false), ("any", true)];
    let any_server = section.choice("server", &servers).unwrap_or_default();
    let carry_over = CarryOver::of(section);
    let jobs = section.whole("jobs", 1..=64).and_then(|jobs| u32::try_from(jobs).ok());
    let (standby, proof) = (Standby::of(section), Proof::of(section));
    let proof_interval = section.duration("proof_interval");
    let standby_load = section
        .whole("standby_load", 1..=100)
        .and_then(|share| u32::try_from(share).ok());
    let standby_rate = section
        .whole("standby_rate", 0..=100_000)
        .and_then(|rate| u64::try_from(rate).ok());
    let in_place = in_place::wish(section);
    let migrations = wish::wish(section);
    for (key, url) in [("url", &url), ("direct_url", &direct)] {
        if let Some(Err(why)) = url.as_ref().map(|url| target::Target::of_url(url.expose())) {
            section.problem(key, why, None);
            return None;
        }
    }
    // guard goes past a pooler; `url` may stay what the application is given.
    let url = direct.or(url);
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
        port,
        lock_wait: lock_wait.unwrap_or(LOCK_WAIT),
        stall: stall.unwrap_or(STALL),
        any_server,
        carry_over,
        // What is restored in place is read as a stream.
        jobs: if in_place { Some(1) } else { jobs },
        standby,
        standby_load: standby_load.unwrap_or(100),
        standby_rate: standby_rate.unwrap_or(RATE) * 1_000_000,
        loading: Arc::default(),
        desk: Desk::default(),
        proof,
        proof_interval: proof_interval.unwrap_or(INTERVAL),
        in_place,
        migrations,
    }))
}
