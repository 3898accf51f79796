//! The staged restore: a side database of the backup's own locale, owner and rights, filled and compared, live one untouched.

use std::collections::BTreeSet;

use super::agree::agree;
use super::carry::{self, price};
use super::catalog::{Catalog, fill_in, look, outline};
use super::database::Postgres;
use super::details::Details;
use super::fill::jobs_of;
use super::reach::Reach;
use super::sql::{IDENTIFIER, ident, literal};
use super::staging::{Loadable, Staging, differences, number, stage};
use super::standby;
use super::swap::{kept, let_in};
use super::trouble::{is_locked_out, is_no_database, is_shut_out};
use crate::contract::Resource;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::policy::DataRestore;
use guard_model::text::sanitised;
use guard_system::context::Context;

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

/// What is said of a price that is told once it is back.
const LATER: &str = "what it costs in rows is told once it is back";

/// Looks at the live database, and lets nothing that a release has left in the way keep it from that; `None`: there is none.
fn seen(of: &Postgres, reach: &Reach, look: &dyn Fn() -> Result<Catalog>, cx: &Context) -> Result<Option<Catalog>> {
    let mut seen = look();
    if seen.as_ref().is_err_and(is_locked_out) && end_forgotten(of, reach, cx)? {
        seen = look();
    }
    if seen.as_ref().is_err_and(is_shut_out) && let_in(of, cx)? {
        let note = format!(
            "{}: nobody was let into {}; clients are let in again",
            of.name, reach.database
        );
        cx.note(Level::Warn, note);
        seen = look();
    }
    match seen {
        Ok(now) => Ok(Some(now)),
        Err(error) if is_no_database(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the schema and the sequences alone decide that the database goes back: no row has to be read then.
fn decided(data: DataRestore, before: &Fingerprint, outline: &Fingerprint) -> Option<Work> {
    let mut parts = outline.differences(before);
    parts.retain(|part| !part.starts_with("table "));
    let is_decided = match data {
        DataRestore::Always => !parts.is_empty(),
        DataRestore::Auto => parts.iter().any(|part| !part.starts_with("sequence ")),
        DataRestore::Never | DataRestore::IfNoWrites => false,
    };
    is_decided.then_some(Work::Changed(parts))
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
    reach.expects(cx);
    let may_wait = cx.prices_later && !of.carry_over.is_wanted() && details.moment.is_some();
    let database = reach.database.as_str();
    let outline = if may_wait {
        seen(of, &reach, &|| outline(&reach, database, cx), cx)?
    } else {
        None
    };
    let seen = |look: &dyn Fn() -> Result<Catalog>| {
        let now = seen(of, &reach, look, cx)?.as_ref().map(Catalog::fingerprint);
        Ok::<_, ResourceError>(weighed(artifact, &details, data, now.as_ref(), cx))
    };
    let (work, mut price, is_there) = match &outline {
        None => seen(&|| look(&reach, database, cx))?,
        Some(outline) => match decided(data, &artifact.fingerprint, &outline.fingerprint()) {
            Some(work) => (work, Vec::new(), true),
            None => seen(&|| fill_in(outline, &reach, database, cx))?,
        },
    };
    let mut staging = Staging::of(&reach.database, cx);
    if work.is_needed() {
        let maintenance = reach.maintenance(cx)?;
        staging.together = cluster(&reach, maintenance, cx)?;
        // One that is being loaded is waited for only here, where it is needed.
        of.loading.take(jobs_of(&reach, artifact, &details), cx);
        let mut is_exact = standby::is_ready(&reach, maintenance, &staging.side, artifact, cx)?;
        if !is_exact {
            agree(&reach, maintenance, &details, cx)?;
            is_exact = stage(
                &reach,
                maintenance,
                &staging.side,
                &Loadable::new(artifact, slot, &details),
                cx,
            )?
            .is_exact;
        }
        let databases = (staging.live.as_str(), staging.side.as_str());
        staging.price_later = is_there && may_wait && price::tells_later(&reach, databases, &details.origin(), cx)?;
        if staging.price_later {
            price = vec![LATER.to_owned()];
        } else if is_there {
            // Both databases are there now: what going back displaces can be told row by row.
            match price::price(of, &reach, databases, (details.taken_at, &details.origin()), cx) {
                Ok(exact) => price = exact,
                Err(error) => {
                    let why = format!("the rows could not be compared one by one: {error}");
                    if price.is_empty() {
                        price.push(why.clone());
                    }
                    cx.note(Level::Warn, why);
                }
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

/// What is to be done by what was seen of the live database, what that costs as far as counts tell, and whether it is there.
fn weighed(
    artifact: &Artifact,
    details: &Details,
    data: DataRestore,
    seen: Option<&Fingerprint>,
    cx: &Context,
) -> (Work, Vec<String>, bool) {
    let work = match seen {
        Some(print) => rows::work(data, &artifact.fingerprint, print),
        None if data == DataRestore::Never => {
            Work::Left("`data_restore = \"never\"`: data is left as it is".to_owned())
        }
        None => Work::Changed(vec!["database".to_owned()]),
    };
    let empty = Fingerprint::default();
    let live = seen.unwrap_or(&empty);
    let price = match &work {
        Work::Left(why) | Work::Withheld(why) | Work::Gone(why) => rows::staying(&artifact.fingerprint, live, why),
        _ => rows::price(&artifact.fingerprint, live, details.taken_at, cx.clock.now()),
    };
    (work, price, seen.is_some())
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
            let along = price::going_along(of, &reach, cx)?;
            let times = (details.taken_at, cx.clock.now());
            let moment = (details.taken_at, &details.origin());
            // What was only touched is as it was.
            let differing = now.differences(before).into_iter();
            let differing: BTreeSet<String> = differing
                .filter_map(|part| part.strip_prefix("table ").map(str::to_owned))
                .collect();
            let (told, known) = price::written(&reach, moment, (&differing, &along), cx).unwrap_or_else(|error| {
                let why = format!("{}: what was written is told by counts alone: {error}", of.name);
                cx.note(Level::Detail, why);
                (Vec::new(), BTreeSet::new())
            });
            let rest = |print: &Fingerprint| {
                let is_known = |part: &str| part.strip_prefix("table ").is_some_and(|table| known.contains(table));
                let parts = print.parts().filter(|(part, _)| !is_known(part));
                parts.fold(Fingerprint::default(), |rest, (part, value)| rest.with(part, value))
            };
            let counted = rows::price_with(&rest(before), &rest(&now), times, &|table| along.contains(table));
            let mut price: Vec<String> = told.into_iter().chain(counted).collect();
            price.extend(price::remedy(&price, cx));
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
    if staging.price_later {
        return Ok(None);
    }
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
    let price = price::price(
        of,
        &reach,
        (&staging.live, &staging.side),
        (details.taken_at, &details.origin()),
        cx,
    );
    close(&reach, maintenance, &staging.side, &cx.unstoppable())?;
    price.map(Some)
}

/// What going back has cost, from the database that the restore put aside.
pub(super) fn price_after(
    of: &Postgres,
    prepared: &Prepared,
    displaced: &Displaced,
    artifact: &Artifact,
    cx: &Context,
) -> Result<Vec<String>> {
    let staging: Staging = serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))?;
    if !staging.price_later {
        return Ok(prepared.price.clone());
    }
    let nothing = || ResourceError::new("nothing was put aside");
    let aside = kept(displaced).ok_or_else(nothing)?;
    let unknown = || ResourceError::new("when the copy was loaded is not known");
    let loaded = staging.priced_at.ok_or_else(unknown)?;
    let details = Details::of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let moment = (details.taken_at, &details.origin());
    price::price_after(&reach, (&aside, &staging.live), moment, loaded, cx)
}
