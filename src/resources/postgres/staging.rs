//! The side database: made, filled from the copy, compared with the manifest, and dropped again.

use serde::{Deserialize, Serialize};

use super::agree::older_extensions;
use super::beside;
use super::catalog::look;
use super::details::Details;
use super::exchange::eviction;
use super::fill::fill;
use super::manner::Manner;
use super::reach::Reach;
use super::sql::{ident, literal};
use super::trouble::said;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use crate::sql::side_names::Aside;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::text::{chain, sanitised};
use guard_system::context::Context;

/// What the swap has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Staging {
    /// The live database's name.
    pub(crate) live: String,
    /// The restored one beside it.
    pub(crate) side: String,
    /// The name under which the live one is put aside.
    pub(crate) failed: String,
    /// The side database's number, where it was compared with the manifest and closed afterwards: it is still the same then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compared: Option<String>,
    /// The cluster and the user, where the cluster is known: databases of one are swapped in one transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) together: Option<String>,
    /// How far the server's transactions had come when the price was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priced_at: Option<u64>,
    /// [`guard_model::artifact::PRICE_LATER`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) price_later: bool,
}

impl Staging {
    /// The names that this run gives.
    pub(crate) fn of(live: &str, cx: &Context) -> Self {
        Self {
            live: live.to_owned(),
            side: Aside::Side.name(live, &cx.token()),
            failed: Aside::Failed.name(live, &cx.token()),
            compared: None,
            together: None,
            priced_at: None,
            price_later: false,
        }
    }
}

/// The number by which the server knows a database, whatever its name.
pub(crate) fn number(reach: &Reach, maintenance: &str, name: &str, cx: &Context) -> Result<Option<String>> {
    let script = format!(
        "SELECT to_jsonb(oid::text) FROM pg_database WHERE datname = {};",
        literal(name)
    );
    Ok(reach.rows(maintenance, &script, cx)?.pop())
}

/// What came of a load.
pub(crate) struct Staged {
    /// False: it has all rows, and is told in other words than the manifest's.
    pub(crate) is_exact: bool,
    /// The manner that it took.
    pub(crate) manner: Manner,
}

/// A copy, to be loaded.
#[derive(Clone, Copy)]
pub(super) struct Loadable<'c> {
    pub(super) artifact: &'c Artifact,
    /// Where its files are.
    pub(super) slot: &'c Slot,
    /// What it says of itself.
    pub(super) details: &'c Details,
}

impl<'c> Loadable<'c> {
    /// This one.
    pub(super) fn new(artifact: &'c Artifact, slot: &'c Slot, details: &'c Details) -> Self {
        Self {
            artifact,
            slot,
            details,
        }
    }
}

/// Makes and fills the side database; one that an earlier try left is made anew, since nobody knows how far it got. Where the
/// dump does not load as it is meant, another manner is tried.
pub(crate) fn stage(reach: &Reach, maintenance: &str, side: &str, copy: &Loadable<'_>, cx: &Context) -> Result<Staged> {
    let Loadable { artifact, details, .. } = *copy;
    let staged = load(reach, maintenance, side, copy, cx).and_then(|manner| {
        // Only now: a setting like `default_transaction_read_only` would hinder the filling.
        reach.run(maintenance, &details.properties.application(side), cx)?;
        let compared = compare(reach, side, artifact, details, cx);
        let is_exact = compared.map_err(|error| with_always(error, reach, details, cx))?;
        Ok(Staged { is_exact, manner })
    });
    if staged.is_err()
        && let Err(error) = drop_own(reach, maintenance, side, Aside::Side, &cx.unstoppable())
    {
        // The failure itself matters more; the next try drops what is left.
        cx.note(Level::Warn, format!("the side database {side} is still there: {error}"));
    }
    staged
}

/// Makes the side database and loads the copy into it, in the first manner that succeeds.
pub(crate) fn load(reach: &Reach, maintenance: &str, side: &str, copy: &Loadable<'_>, cx: &Context) -> Result<Manner> {
    let Loadable {
        artifact,
        slot,
        details,
    } = *copy;
    let mut manner = details.manner.clone();
    beside::note(&artifact.resource, side, cx)?;
    loop {
        drop_own(reach, maintenance, side, Aside::Side, cx)?;
        let filled = reach
            .run(maintenance, &details.properties.creation(side), cx)
            .and_then(|_| reach.run(side, &older_extensions(details), cx))
            .and_then(|_| fill(reach, side, artifact, slot, &manner, cx));
        let Err(error) = filled else { break };
        let may_all = || reach.may_all(cx).unwrap_or_default();
        let Some(next) = manner.next(said(&error), may_all()) else {
            return Err(with_always(error, reach, details, cx));
        };
        cx.note(
            Level::Detail,
            format!(
                "{} does not load as it is dumped, so it is loaded {}: {}",
                reach.database,
                next.words(),
                chain(&error)
            ),
        );
        manner = next;
    }
    // A restored database has no statistics, and without them the first queries after the swap would be planned blindly. An
    // expression that cannot be looked at without the application's settings is no reason to keep it down.
    let path = details.surroundings.search_path.as_ref();
    let path = path.map_or_else(String::new, |path| format!("SET search_path = pg_catalog, {path};"));
    if let Err(error) = reach.run(side, &format!("{path} ANALYZE;"), cx) {
        cx.note(
            Level::Warn,
            format!("{side}: not all statistics could be made: {}", chain(&error)),
        );
    }
    Ok(manner)
}

/// Names the event triggers that fire whatever a session asks for: they may be why a copy does not come up, or comes up with
/// other rows.
fn with_always(error: ResourceError, reach: &Reach, details: &Details, cx: &Context) -> ResourceError {
    if details.surroundings.event_triggers == 0 {
        return error;
    }
    let always: Vec<String> = reach.rows(&reach.database, ALWAYS, cx).unwrap_or_default();
    if always.is_empty() {
        return error;
    }
    let commands: Vec<String> = always
        .iter()
        .map(|name| format!("ALTER EVENT TRIGGER {name} ENABLE"))
        .collect();
    let mut hint = format!(
        "what is ENABLE ALWAYS fires in a copy too while it is loaded; guard can keep out what is not: `{}`",
        commands.join("; ")
    );
    if let Some(before) = &error.hint {
        hint = format!("{hint}; if it is not that, {before}");
    }
    error.with_hint(hint)
}

/// Selects the event triggers that fire whatever a session asks for, as they are written in a command.
pub(crate) const ALWAYS: &str =
    "SELECT to_jsonb(quote_ident(evtname)) FROM pg_event_trigger WHERE evtenabled = 'A' ORDER BY evtname;";

/// Compares the side database with the manifest before anyone relies on it.
pub(crate) fn compare(reach: &Reach, side: &str, artifact: &Artifact, details: &Details, cx: &Context) -> Result<bool> {
    let catalog = look(reach, side, cx)?;
    let (wanted, found) = (
        rows::tables(&artifact.fingerprint),
        rows::tables(&catalog.fingerprint()),
    );
    let counts = |tables: &std::collections::BTreeMap<String, rows::Rows>| -> Vec<(String, u64)> {
        tables.iter().map(|(name, rows)| (name.clone(), rows.count)).collect()
    };
    if counts(&wanted) != counts(&found) {
        return Err(ResourceError::bad_copy(
            "the restored tables or their rows are not the manifest's",
        ));
    }
    let differences = differences(&artifact.fingerprint, &catalog.fingerprint());
    let same_server = catalog.server.version == details.server.version;
    if same_server && differences.iter().any(|part| part.starts_with("table ")) {
        let what = format!("the restored rows are not the manifest's: {}", differences.join(", "));
        return Err(ResourceError::bad_copy(sanitised(&what)));
    }
    if !differences.is_empty() {
        let what = format!(
            "the restored database is told in other words than the backup: {}",
            differences.join(", ")
        );
        cx.note(Level::Warn, what);
    }
    Ok(differences.is_empty())
}

/// The parts in which a restored database differs from its copy. Sequences belong to no snapshot: where people work during
/// the copy, the dump has a later value than the look beside it, and that is the right one; and behind a swap they go on
/// where those of the displaced database were.
pub(crate) fn differences(copy: &Fingerprint, now: &Fingerprint) -> Vec<String> {
    let is_known = |part: &String| copy.part(part).is_some() && now.part(part).is_some();
    let mut parts = now.differences(copy);
    parts.retain(|part| !part.starts_with("sequence ") || !is_known(part));
    parts
}

/// Drops the side database of a copy, and forgets that there was one.
pub(super) fn drop_side(of: &ResourceName, reach: &Reach, maintenance: &str, side: &str, cx: &Context) -> Result<()> {
    drop_own(reach, maintenance, side, Aside::Side, cx)?;
    beside::forget(of, cx)
}

/// Drops a database whose name says that guard made it for this use; one that is gone already is fine.
pub(crate) fn drop_own(reach: &Reach, maintenance: &str, name: &str, aside: Aside, cx: &Context) -> Result<()> {
    aside.must_name(name)?;
    if !reach.databases(maintenance, cx)?.iter().any(|known| known == name) {
        return Ok(());
    }
    // Sessions that an earlier try left in it would block the drop. One whose drop was cut off, as on a full disk, is invalid
    // (-2): it can be dropped, and nothing else.
    let script = format!(
        "SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false IS_TEMPLATE false', datname) FROM pg_database
           WHERE datname = {1} AND datconnlimit <> -2 \\gexec
         {2}SELECT pg_sleep(0.2) FROM pg_stat_activity WHERE datname = {1} LIMIT 1;
         DROP DATABASE IF EXISTS {0};",
        ident(name),
        literal(name),
        eviction(name)
    );
    reach.run(maintenance, &script, cx).map(|_| ())
}
