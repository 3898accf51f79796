//! One database, as its settings describe it, and where its server is.

use std::sync::Arc;
use std::time::Duration;

use super::carry::wish::CarryOver;
use super::desk::Desk;
use super::loading::Loading;
use super::migrations::wish::Migrations;
use crate::sql::proof::Proof;
use guard_model::name::ResourceName;
use guard_model::secret::Secret;
use guard_model::section::Section;

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
    /// The bytes of rows a second to which the load of a standby is held; 0: as fast as it goes.
    pub(crate) standby_rate: u64,
    pub(crate) loading: Arc<Loading>,
    pub(crate) desk: Desk,
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

/// Whether a database of the copy stands by, `standby`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standby {
    Never,
    /// Where it is worth it, the server's disk is seen to have room for three of it, and the load ends within the watch.
    #[default]
    Auto,
    Always,
}

/// The rate of a standby's load where nobody says one, in millions of bytes a second. Of four clients that took all of two
/// processors 64 % of the throughput was left at this rate, and 42 % at full speed (Postgres 17).
pub(crate) const RATE: u64 = 40;

impl Standby {
    /// Reads the setting.
    pub(crate) fn of(section: &mut Section<'_>) -> Self {
        let choices = [("never", Self::Never), ("auto", Self::Auto), ("always", Self::Always)];
        section.choice("standby", &choices).unwrap_or_default()
    }
}
