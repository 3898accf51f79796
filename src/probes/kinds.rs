//! All kinds of probes. Register a kind here.

use super::kind::Kind;
use super::{command, container, host, http, log, postgres, redis, systemd, tcp};

/// All kinds. To add one: a file here, and its line in this list.
pub const KINDS: &[Kind] = &[
    http::KIND,
    tcp::KIND,
    command::KIND,
    container::KIND,
    postgres::KIND,
    redis::KIND,
    log::KIND,
    http::PROMETHEUS,
    host::KIND,
    systemd::KIND,
];

/// The kind of this key.
#[must_use]
pub fn kind(key: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.key == key)
}
