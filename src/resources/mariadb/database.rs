//! One database, as its settings describe it, and which product its server is.

use std::time::Duration;

use super::read_lock::Gate;
use crate::sql::proof::Proof;
use crate::way::Way;
use guard_model::name::ResourceName;

/// The names of one product's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) key: &'static str,
    pub(crate) client: &'static str,
    pub(crate) dump: &'static str,
}

pub(crate) const MARIADB: Product = Product {
    key: "mariadb",
    client: "mariadb",
    dump: "mariadb-dump",
};

pub(crate) const OF_MYSQL: Product = Product {
    key: "mysql",
    client: "mysql",
    dump: "mysqldump",
};

/// One database.
#[derive(Debug, Clone)]
pub(crate) struct MariaDb {
    pub(crate) name: ResourceName,
    pub(crate) product: &'static Product,
    pub(crate) way: Way,
    pub(crate) database: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password_env: Option<String>,
    pub(crate) lock_wait: Duration,
    pub(crate) stall: Duration,
    pub(crate) proof: Proof,
    pub(crate) proof_interval: Duration,
    pub(crate) gate: Gate,
}
