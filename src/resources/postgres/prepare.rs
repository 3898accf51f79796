//! The staged restore: a side database of the backup's own locale, owner and rights, filled and compared, live one untouched.

use serde::{Deserialize, Serialize};

use super::Postgres;
use super::agree::{agree, older_extensions};
use super::carry;
pub(super) use super::catalog::look;
use super::catalog::{Catalog, IDENTIFIER};
use super::details::Details;
use super::exchange::eviction;
use super::fill::fill;
use super::manner::Manner;
use super::reach::Reach;
use super::sql::{Aside, ident, literal};
use super::standby;
use super::swap::let_in;
use super::trouble::{is_locked_out, is_no_database, is_shut_out, said};
use crate::{Resource, ResourceError, Result, Slot, rows};
use guard_model::artifact::{Artifact, Live, Prepared, Work};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::policy::DataRestore;
use guard_model::text::{chain, sanitised};
use guard_system::context::Context;

/// What the swap has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Staging {
    /// The live database's name.
    pub(super) live: String,
    /// The restored one beside it.
    pub(super) side: String,
    /// The name under which the live one is put aside.
    pub(super) failed: String,
    /// The side database's number, where it was compared with the manifest and closed afterwards: it is still the same then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compared: Option<String>,
    /// The cluster and the user, where the cluster is known: databases of one are swapped in one transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) together: Option<String>,
    /// How far the server's transactions had come when the price was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) priced_at: Option<u64>,
}

impl Staging {
    /// The names that this run gives.
    pub(super) fn of(live: &str, cx: &Context) -> Self {
        Self {
            live: live.to_owned(),
            side: Aside::Side.name(live, &cx.token()),
            failed: Aside::Failed.name(live, &cx.token()),
            compared: None,
            together: None,
            priced_at: None,
        }
    }
}

/// Ends the sessions that shut everybody out of a table and do nothing any more, as a release leaves them that was ended in
/// the middle of a transaction: what they had not committed is nobody's data. Says whether there were any.
fn end_forgotten(of: &Postgres, reach: &Reach, cx: &Context) -> Result<bool> {
    // The offset keeps the planner from asking for the end of a session before it has looked which one it is.
    let script = "SELECT to_jsonb(format('pid %s: %s', pid, left(query, 80))) FROM (
            SELECT a.pid, a.query FROM pg_stat_activity a
            WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state LIKE 'idle in transaction%'
            AND EXISTS (SELECT FROM pg_locks l
                WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock')
            OFFSET 0
        ) forgotten WHERE pg_terminate_backend(pid);";
    let ended: Vec<String> = reach.rows(&reach.database, script, cx)?;
    for session in &ended {
        let session = sanitised(session);
        let note = format!(
            "{}: ended a session that held a lock in a transaction it had left open: {session}",
            of.name
        );
        cx.note(Level::Warn, note);
    }
    Ok(!ended.is_empty())
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
    let mut seen = look(&reach, &reach.database, cx);
    if seen.as_ref().is_err_and(is_locked_out) && end_forgotten(of, &reach, cx)? {
        seen = look(&reach, &reach.database, cx);
    }
    if seen.as_ref().is_err_and(is_shut_out) && let_in(of, cx)? {
        let note = format!(
            "{}: nobody was let into {}; clients are let in again",
            of.name, reach.database
        );
        cx.note(Level::Warn, note);
        seen = look(&reach, &reach.database, cx);
    }
    let now = match seen {
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
    let mut staging = Staging::of(&reach.database, cx);
    let empty = Fingerprint::default();
    let live = print.as_ref().unwrap_or(&empty);
    let mut price = match &work {
        Work::Left(why) | Work::Withheld(why) | Work::Gone(why) => rows::staying(&artifact.fingerprint, live, why),
        _ => rows::price(&artifact.fingerprint, live, details.taken_at, cx.clock.now()),
    };
    if work.is_needed() {
        let maintenance = reach.maintenance(cx)?;
        staging.together = cluster(&reach, maintenance, cx)?;
        let mut is_exact = standby::is_ready(&reach, maintenance, &staging.side, artifact, cx)?;
        if !is_exact {
            agree(&reach, maintenance, &details, cx)?;
            is_exact = stage(&reach, maintenance, &staging.side, artifact, slot, &details, cx)?.is_exact;
        }
        if now.is_some() {
            // Both databases are there now: what going back displaces can be told row by row.
            match carry::price(of, &reach, (&staging.live, &staging.side), details.taken_at, cx) {
                Ok(exact) => price = exact,
                Err(error) => cx.note(
                    Level::Warn,
                    format!("the rows could not be compared one by one: {error}"),
                ),
            }
        }
        let number = close(&reach, maintenance, &staging.side, cx)?;
        staging.compared = number.filter(|_| is_exact);
        staging.priced_at = carry::transactions(&reach, maintenance, cx)?;
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

/// The cluster's identifier and the user, where the user may know it.
fn cluster(reach: &Reach, maintenance: &str, cx: &Context) -> Result<Option<String>> {
    let script = format!("{IDENTIFIER}SELECT to_jsonb(:known || ' ' || current_user);");
    let known: Vec<Option<String>> = reach.rows(maintenance, &script, cx)?;
    Ok(known.into_iter().next().flatten())
}

/// Lets nobody into the side database any more, and returns its number.
fn close(reach: &Reach, maintenance: &str, side: &str, cx: &Context) -> Result<Option<String>> {
    let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false;", ident(side));
    reach.run(maintenance, &script, cx)?;
    number(reach, maintenance, side, cx)
}

/// The number by which the server knows a database, whatever its name.
pub(super) fn number(reach: &Reach, maintenance: &str, name: &str, cx: &Context) -> Result<Option<String>> {
    let script = format!(
        "SELECT to_jsonb(oid::text) FROM pg_database WHERE datname = {};",
        literal(name)
    );
    Ok(reach.rows(maintenance, &script, cx)?.pop())
}

/// How the live database compares with a copy.
pub(super) fn check(of: &Postgres, artifact: &Artifact, cx: &Context) -> Result<Live> {
    Details::of(artifact)?;
    match of.fingerprint(cx) {
        Ok(now) => {
            let differences = differences(&artifact.fingerprint, &now);
            Ok(if differences.is_empty() {
                Live::Matches
            } else {
                Live::Differs(differences)
            })
        }
        Err(error) if is_no_database(&error) => Ok(Live::Differs(vec!["database".to_owned()])),
        Err(error) => {
            let cause = error.source.as_ref().map(|cause| format!(": {cause}"));
            Ok(Live::Unknown(format!("{error}{}", cause.unwrap_or_default())))
        }
    }
}

/// What going back to a copy would cost now.
pub(super) fn price(of: &Postgres, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
    let details = Details::of(artifact)?;
    let now = of.fingerprint(cx)?;
    Ok(rows::price(
        &artifact.fingerprint,
        &now,
        details.taken_at,
        cx.clock.now(),
    ))
}

/// The same as the policy and `carry_over` have it.
pub(super) fn outlook(of: &Postgres, artifact: &Artifact, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
    let details = Details::of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let now = look(&reach, &reach.database, cx)?.fingerprint();
    let before = &artifact.fingerprint;
    match rows::work(data, before, &now) {
        Work::Unchanged => Ok(Vec::new()),
        Work::Left(why) | Work::Withheld(why) | Work::Gone(why) => Ok(rows::staying(before, &now, &why)),
        Work::Changed(_) => {
            let along = carry::going_along(of, &reach, cx)?;
            let times = (details.taken_at, cx.clock.now());
            let mut price = rows::price_with(before, &now, times, &|table| along.contains(table));
            price.extend(carry::remedy(&price, cx));
            Ok(price)
        }
    }
}

/// The price of what was staged, told anew unless no transaction has begun since.
pub(super) fn reprice(
    of: &Postgres,
    prepared: &Prepared,
    artifact: &Artifact,
    cx: &Context,
) -> Result<Option<Vec<String>>> {
    let Ok(staging) = serde_json::from_value::<Staging>(prepared.details.clone()) else {
        return Ok(None);
    };
    let details = Details::of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    // A restore that has begun opens the one and closes the other: what it does is not to be disturbed.
    let doors = format!(
        "SELECT jsonb_build_array(datname, datallowconn) FROM pg_database WHERE datname IN ({}, {});",
        literal(&staging.live),
        literal(&staging.side)
    );
    let doors: Vec<(String, bool)> = reach.rows(maintenance, &doors, cx)?;
    let is = |name: &String, open: bool| doors.contains(&(name.clone(), open));
    if !is(&staging.live, true) || !is(&staging.side, false) {
        return Ok(None);
    }
    if staging.priced_at.is_some() && staging.priced_at == carry::transactions(&reach, maintenance, cx)? {
        return Ok(None);
    }
    let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;", ident(&staging.side));
    reach.run(maintenance, &open, cx)?;
    let price = carry::price(of, &reach, (&staging.live, &staging.side), details.taken_at, cx);
    close(&reach, maintenance, &staging.side, &cx.unstoppable())?;
    price.map(Some)
}

/// What came of a load.
pub(super) struct Staged {
    /// False: it has all rows, and is told in other words than the manifest's.
    pub(super) is_exact: bool,
    /// The manner that it took.
    pub(super) manner: Manner,
}

/// Makes and fills the side database; one that an earlier try left is made anew, since nobody knows how far it got. Where the
/// dump does not load as it is meant, another manner is tried.
pub(super) fn stage(
    reach: &Reach,
    maintenance: &str,
    side: &str,
    artifact: &Artifact,
    slot: &Slot,
    details: &Details,
    cx: &Context,
) -> Result<Staged> {
    let staged = load(reach, maintenance, side, artifact, slot, details, cx).and_then(|manner| {
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
pub(super) fn load(
    reach: &Reach,
    maintenance: &str,
    side: &str,
    artifact: &Artifact,
    slot: &Slot,
    details: &Details,
    cx: &Context,
) -> Result<Manner> {
    let mut manner = details.manner.clone();
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
pub(super) const ALWAYS: &str =
    "SELECT to_jsonb(quote_ident(evtname)) FROM pg_event_trigger WHERE evtenabled = 'A' ORDER BY evtname;";

/// Compares the side database with the manifest before anyone relies on it.
fn compare(reach: &Reach, side: &str, artifact: &Artifact, details: &Details, cx: &Context) -> Result<bool> {
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
pub(super) fn differences(copy: &Fingerprint, now: &Fingerprint) -> Vec<String> {
    let is_known = |part: &String| copy.part(part).is_some() && now.part(part).is_some();
    let mut parts = now.differences(copy);
    parts.retain(|part| !part.starts_with("sequence ") || !is_known(part));
    parts
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
