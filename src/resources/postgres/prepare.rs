//! The staged restore: a side database of the backup's own locale, owner and rights, filled and compared, live one untouched.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::Postgres;
use super::capture::{Details, major, pour};
use super::carry;
use super::catalog::{Catalog, IDENTIFIER, observe};
use super::reach::Reach;
use super::sql::{Aside, ident, literal};
use super::standby;
use super::trouble::{explained, is_no_database};
use crate::model::artifact::{Artifact, Prepared, Work};
use crate::model::event::Level;
use crate::model::fingerprint::Fingerprint;
use crate::model::policy::DataRestore;
use crate::model::text::sanitised;
use crate::resources::{ResourceError, Result, Slot, rows};
use crate::system::context::Context;

/// What the swap has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Staging {
    /// The live database's name.
    pub(super) live: String,
    /// The restored one beside it.
    pub(super) side: String,
    /// The name under which the live one is put aside.
    pub(super) failed: String,
}

pub(super) fn prepare(
    of: &Postgres,
    artifact: &Artifact,
    slot: &Slot,
    data: DataRestore,
    cx: &Context,
) -> Result<Prepared> {
    let details = Details::of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let now = match look(&reach, &reach.database, cx) {
        Ok(now) => Some(now),
        Err(error) if is_no_database(&error) => None,
        Err(error) => return Err(error),
    };
    let print = now.as_ref().map(Catalog::fingerprint);
    let work = match &print {
        Some(print) => rows::work(data, &artifact.fingerprint, print),
        None if data == DataRestore::Never => {
            Work::Left("`data_restore = \"never\"`: data is left as it is".to_owned())
        }
        None => Work::Changed(vec!["database".to_owned()]),
    };
    let staging = Staging {
        live: reach.database.clone(),
        side: Aside::Side.name(&reach.database, &cx.token()),
        failed: Aside::Failed.name(&reach.database, &cx.token()),
    };
    let empty = Fingerprint::default();
    let mut price = rows::price(
        &artifact.fingerprint,
        print.as_ref().unwrap_or(&empty),
        details.taken_at,
        cx.clock.now(),
    );
    if work.is_needed() {
        let maintenance = reach.maintenance(cx)?;
        if !standby::is_ready(&reach, maintenance, &staging.side, artifact, cx)? {
            agree(&reach, maintenance, &details, cx)?;
            stage(&reach, maintenance, &staging.side, artifact, slot, &details, cx)?;
        }
        if now.is_some() {
            // Both databases are there now: what going back displaces can be told row by row.
            match carry::price(
                &reach,
                (&staging.live, &staging.side),
                &of.carry_over,
                details.taken_at,
                cx,
            ) {
                Ok(exact) => price = exact,
                Err(error) => cx.note(
                    Level::Warn,
                    format!("the rows could not be compared one by one: {error}"),
                ),
            }
        }
    }
    let price = if work == Work::Unchanged { Vec::new() } else { price };
    Ok(Prepared {
        resource: of.name.clone(),
        work,
        details: serde_json::to_value(&staging)
            .map_err(|error| ResourceError::because("could not describe the side database", error))?,
        price,
    })
}

pub(super) fn look(reach: &Reach, database: &str, cx: &Context) -> Result<Catalog> {
    observe(reach, database, cx, |_| Ok(())).map(|(catalog, ())| catalog)
}

#[derive(Deserialize)]
struct Missing {
    number: u32,
    system_identifier: Option<String>,
    roles: Vec<String>,
    extensions: Vec<String>,
}

/// Compares what the archive needs with what the server has, before anything is made.
pub(super) fn agree(reach: &Reach, maintenance: &str, details: &Details, cx: &Context) -> Result<()> {
    let list = |names: &mut dyn Iterator<Item = &String>| {
        let names: Vec<String> = names.map(|name| literal(name)).collect();
        format!("ARRAY[{}]::text[]", names.join(", "))
    };
    let owner = std::iter::once(&details.properties.owner);
    let script = format!(
        "{IDENTIFIER}SELECT jsonb_build_object('number', current_setting('server_version_num')::int, 'system_identifier', :known::text,
          'roles', (SELECT coalesce(jsonb_agg(DISTINCT r), '[]') FROM unnest({}) r
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)),
          'extensions', (SELECT coalesce(jsonb_agg(e), '[]') FROM unnest({}) e
            WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = e)));",
        list(&mut details.roles.iter().chain(owner)),
        list(&mut details.extensions.keys()),
    );
    let mut found: Vec<Missing> = reach.rows(maintenance, &script, cx)?;
    let Some(missing) = found.pop() else {
        return Err(ResourceError::new("the server did not tell its version"));
    };
    if let (Some(ours), Some(theirs)) = (&missing.system_identifier, &details.server.system_identifier)
        && ours != theirs
        && !reach.any_server
    {
        let what = format!(
            "the backup was taken from another cluster: its identifier is {theirs}, and that of this server {ours}"
        );
        return Err(ResourceError::new(what)
            .with_hint("correct `url` or `service`; if the server is a new one, set `server = \"any\"`"));
    }
    let (ours, theirs) = (missing.number / 10_000, details.server.number / 10_000);
    if ours < theirs {
        let what = format!("the backup was made by Postgres {theirs}, and the server is the older Postgres {ours}");
        return Err(ResourceError::new(what).with_hint(format!("start the server with Postgres {theirs} or newer")));
    }
    let client = reach.version("pg_restore", cx)?;
    if major(&client) < major(&details.dump_version) {
        let what = format!(
            "the backup was made by pg_dump {}, and pg_restore {client} is older",
            details.dump_version
        );
        return Err(ResourceError::new(what).with_hint("install the client programs of that version or newer"));
    }
    if !missing.roles.is_empty() {
        let roles: Vec<String> = missing
            .roles
            .iter()
            .map(|role| format!("CREATE ROLE {};", ident(role)))
            .collect();
        let what = format!(
            "the backup needs roles that the server does not have: {}",
            missing.roles.join(", ")
        );
        return Err(ResourceError::new(what).with_hint(roles.join(" ")));
    }
    if !missing.extensions.is_empty() {
        let what = format!(
            "the backup needs extensions that are not installed: {}",
            missing.extensions.join(", ")
        );
        return Err(ResourceError::new(what).with_hint("install their packages on the server"));
    }
    Ok(())
}

/// Makes and fills the side database; one that an earlier try left is made anew, since nobody knows how far it got.
pub(super) fn stage(
    reach: &Reach,
    maintenance: &str,
    side: &str,
    artifact: &Artifact,
    slot: &Slot,
    details: &Details,
    cx: &Context,
) -> Result<()> {
    drop_own(reach, maintenance, side, Aside::Side, cx)?;
    reach.run(maintenance, &details.properties.creation(side), cx)?;
    let filled = fill(reach, side, artifact, slot, cx)
        // Only now: a setting like `default_transaction_read_only` would hinder the filling.
        .and_then(|()| reach.run(maintenance, &details.properties.application(side), cx))
        .and_then(|_| compare(reach, side, artifact, details, cx));
    if filled.is_err()
        && let Err(error) = drop_own(reach, maintenance, side, Aside::Side, &cx.unstoppable())
    {
        // The failure itself matters more; the next try drops what is left.
        cx.note(Level::Warn, format!("the side database {side} is still there: {error}"));
    }
    filled
}

fn fill(reach: &Reach, side: &str, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    slot.compare(artifact)?;
    let lost = || ResourceError::bad_copy("the manifest lists no dump");
    let entry = artifact.files.first().ok_or_else(lost)?;
    let path = slot.path_of(entry).ok_or_else(lost)?;
    let connection = reach.connection(side);
    let args = [
        "--exit-on-error",
        "--single-transaction",
        "--no-password",
        "-d",
        &connection,
    ];
    let call = reach.program("pg_restore", true, &args);
    let what = format!("restore {}", reach.database);
    let mut feed = |writer: &mut dyn Write| pour(&path, &entry.path, writer, &what, cx);
    cx.push(&call, &mut feed).map_err(|error| explained(error, side))?;
    // A restored database has no statistics, and without them the first queries after the swap would be planned blindly.
    reach.run(side, "ANALYZE;", cx).map(|_| ())
}

/// Compares the side database with the manifest before anyone relies on it.
fn compare(reach: &Reach, side: &str, artifact: &Artifact, details: &Details, cx: &Context) -> Result<()> {
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
    let differences = catalog.fingerprint().differences(&artifact.fingerprint);
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
    Ok(())
}

/// Drops a database whose name says that guard made it for this use; one that is gone already is fine.
pub(super) fn drop_own(reach: &Reach, maintenance: &str, name: &str, aside: Aside, cx: &Context) -> Result<()> {
    if !aside.names(name) {
        return Err(ResourceError::new(format!(
            "{name:?} is not a name that guard gives; it is not dropped"
        )));
    }
    if !reach.databases(maintenance, cx)?.iter().any(|known| known == name) {
        return Ok(());
    }
    // Sessions that an earlier try left in it would block the drop.
    let script = format!(
        "ALTER DATABASE {0} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {1};
         SELECT pg_sleep(0.2) FROM pg_stat_activity WHERE datname = {1} LIMIT 1;
         DROP DATABASE IF EXISTS {0};",
        ident(name),
        literal(name)
    );
    reach.run(maintenance, &script, cx).map(|_| ())
}
