//! The swap: two renames in one transaction, fenced so that no client gets between, and safe to repeat from any state.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Postgres;
use super::prepare::{Staging, drop_own};
use super::reach::Reach;
use super::sql::{Aside, ident, literal, turned};
use super::trouble::is_in_use;
use crate::model::artifact::{Displaced, Prepared, Work};
use crate::model::event::Level;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;

/// How often a swap is tried again that clients got in the way of.
const TRIES: u32 = 4;

/// What was put aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The live database's name.
    live: String,
    /// The name of the one put aside.
    aside: String,
}

/// One swap: `incoming` becomes `live`, and what is `live` becomes `outgoing`.
struct Swap<'a> {
    live: &'a str,
    incoming: &'a str,
    outgoing: &'a str,
}

pub(super) fn restore(of: &Postgres, prepared: &Prepared, cx: &Context) -> Result<Displaced> {
    if !matches!(prepared.work, Work::Changed(_)) {
        return Ok(nothing(of));
    }
    let staging: Staging = serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))?;
    let Staging { live, side, failed } = &staging;
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let names = reach.databases(maintenance, cx)?;
    let there = |name: &str| names.iter().any(|known| known == name);
    // A second restore of the same run displaces a second database: each gets a name of its own, the last is the newest.
    let numbered = |count: u32| {
        if count == 1 {
            failed.clone()
        } else {
            Aside::Failed.name(live, &format!("{}_{count}", cx.token()))
        }
    };
    let taken: Vec<String> = (1..100).map(numbered).take_while(|name| there(name)).collect();
    match (there(side), there(live), taken.last()) {
        (true, true, _) => {
            let outgoing = numbered(u32::try_from(taken.len()).unwrap_or_default() + 1);
            let swap = Swap {
                live,
                incoming: side,
                outgoing: &outgoing,
            };
            swap.make(&reach, maintenance, cx)?;
            aside(of, live, &outgoing)
        }
        // Nothing is live, as when the release dropped it: there is nothing to put aside but what an earlier swap did.
        (true, false, last) => {
            let script = format!("ALTER DATABASE {} RENAME TO {};", ident(side), ident(live));
            reach.run(maintenance, &script, cx)?;
            last.map_or_else(|| Ok(nothing(of)), |last| aside(of, live, last))
        }
        (false, true, last) => {
            open(&reach, maintenance, live, cx)?;
            match last {
                Some(last) => aside(of, live, last),
                None => Err(not_staged(side)),
            }
        }
        (false, false, _) => Err(not_staged(side)),
    }
}

fn not_staged(side: &str) -> ResourceError {
    ResourceError::new(format!(
        "the staged database {side} is not there any more; the live one is untouched"
    ))
    .with_hint("`guard rollback` stages it again")
}

pub(super) fn undo(of: &Postgres, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
    let Some(Kept { live, aside: incoming }) = read(displaced)? else {
        return Ok(displaced.clone());
    };
    let outgoing =
        turned(&incoming).ok_or_else(|| ResourceError::new(format!("{incoming:?} is not a name that guard gives")))?;
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let names = reach.databases(maintenance, cx)?;
    let there = |name: &str| names.iter().any(|known| known == name);
    match (there(&incoming), there(&live), there(&outgoing)) {
        (true, true, false) => {
            let swap = Swap {
                live: &live,
                incoming: &incoming,
                outgoing: &outgoing,
            };
            swap.make(&reach, maintenance, cx)?;
            aside(of, &live, &outgoing)
        }
        (true, false, _) => {
            let script = format!("ALTER DATABASE {} RENAME TO {};", ident(&incoming), ident(&live));
            reach.run(maintenance, &script, cx)?;
            open(&reach, maintenance, &live, cx)?;
            Ok(nothing(of))
        }
        (true, true, true) => {
            let what = format!("{incoming} and {outgoing} are both there, and only one can be put aside");
            Err(ResourceError::new(what).with_hint("look at both, and rename the one that is to stay"))
        }
        (false, true, true) => {
            open(&reach, maintenance, &live, cx)?;
            aside(of, &live, &outgoing)
        }
        (false, ..) => Err(ResourceError::new(format!(
            "{incoming}, which was put aside, is not there any more"
        ))),
    }
}

pub(super) fn forget(of: &Postgres, displaced: &Displaced, cx: &Context) -> Result<()> {
    let Some(Kept { aside, .. }) = read(displaced)? else {
        return Ok(());
    };
    let kind = if Aside::Undone.names(&aside) {
        Aside::Undone
    } else {
        Aside::Failed
    };
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let script = format!(
        "SELECT to_jsonb(slot_name::text) FROM pg_replication_slots WHERE database = {};",
        literal(&aside)
    );
    let slots: Vec<String> = reach.rows(maintenance, &script, cx)?;
    if !slots.is_empty() {
        let what = format!(
            "{aside} has logical replication slots, which would vanish with it: {}",
            slots.join(", ")
        );
        return Err(ResourceError::new(what).with_hint("drop the slots by hand once nobody needs them"));
    }
    drop_own(&reach, maintenance, &aside, kind, cx)
}

pub(super) fn discard(of: &Postgres, prepared: &Prepared, cx: &Context) -> Result<()> {
    if !prepared.work.is_needed() {
        return Ok(());
    }
    let staging: Staging = serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))?;
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    drop_own(&reach, maintenance, &staging.side, Aside::Side, cx)
}

fn read(displaced: &Displaced) -> Result<Option<Kept>> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

fn nothing(of: &Postgres) -> Displaced {
    Displaced {
        resource: of.name.clone(),
        details: Value::Null,
        kept_as: Vec::new(),
    }
}

fn aside(of: &Postgres, live: &str, aside: &str) -> Result<Displaced> {
    let details = Kept {
        live: live.to_owned(),
        aside: aside.to_owned(),
    };
    Ok(Displaced {
        resource: of.name.clone(),
        details: serde_json::to_value(&details)
            .map_err(|error| ResourceError::because("could not describe what was put aside", error))?,
        kept_as: vec![format!("database {aside}")],
    })
}

/// Lets clients in, as they were before a swap that was cut off.
fn open(reach: &Reach, maintenance: &str, live: &str, cx: &Context) -> Result<()> {
    let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;", ident(live));
    reach.run(maintenance, &script, cx).map(|_| ())
}

#[derive(Deserialize)]
struct Standing {
    prepared: Vec<String>,
    comments: Vec<(String, Option<String>)>,
}

impl Swap<'_> {
    /// Swaps, or leaves everything as it was and clients let in.
    fn make(&self, reach: &Reach, maintenance: &str, cx: &Context) -> Result<()> {
        // A swap that has begun is ended: a signal is obeyed after it.
        let cx = &cx.unstoppable();
        let script = self.script(&self.standing(reach, maintenance, cx)?, cx);
        let mut tries = 1;
        let swapped = loop {
            match reach.run(maintenance, &script, cx) {
                Err(error) if is_in_use(&error) && tries < TRIES => cx.clock.sleep(Duration::from_millis(100)),
                other => break other,
            }
            tries += 1;
        };
        swapped.map(|_| ()).inspect_err(|_| {
            // The renames stand or fall together, so whichever is live now is let in.
            if let Err(error) = open(reach, maintenance, self.live, cx) {
                let text = format!("clients are still kept out of {}: {error}", self.live);
                cx.note(Level::Error, text);
            }
        })
    }

    /// What stands in the way, and the comments of both databases.
    fn standing(&self, reach: &Reach, maintenance: &str, cx: &Context) -> Result<Standing> {
        let (live, incoming) = (literal(self.live), literal(self.incoming));
        let script = format!(
            "SELECT jsonb_build_object(
              'prepared', (SELECT coalesce(jsonb_agg(gid), '[]') FROM pg_prepared_xacts WHERE database IN ({live}, {incoming})),
              'comments', (SELECT jsonb_agg(jsonb_build_array(datname, shobj_description(oid, 'pg_database')))
                FROM pg_database WHERE datname IN ({live}, {incoming})));"
        );
        let found: Vec<Standing> = reach.rows(maintenance, &script, cx)?;
        let standing = found.into_iter().next();
        let standing = standing.ok_or_else(|| ResourceError::new("the server did not tell what stands in the way"))?;
        if let Some(gid) = standing.prepared.first() {
            let what = format!(
                "the prepared transaction {gid:?} is open in {}; nothing was swapped",
                self.live
            );
            let hint = format!(
                "`COMMIT PREPARED {0}` or `ROLLBACK PREPARED {0}`, in that database",
                literal(gid)
            );
            return Err(ResourceError::new(what).with_hint(hint));
        }
        Ok(standing)
    }

    /// One session does it all: each statement less is time for which clients are shut out.
    fn script(&self, standing: &Standing, cx: &Context) -> String {
        let comment = |name: &str| {
            let found = standing.comments.iter().find(|(known, _)| known == name);
            found.and_then(|(_, comment)| comment.as_deref()).unwrap_or_default()
        };
        let text = |text: &str| {
            if text.is_empty() {
                "NULL".to_owned()
            } else {
                literal(text)
            }
        };
        let marked = format!(
            "[guard {}: put aside {} UTC by a swap; `DROP DATABASE {}` removes it for good] {}",
            cx.token(),
            cx.clock.now().format("%Y-%m-%d %H:%M:%S"),
            ident(self.outgoing),
            comment(self.live)
        );
        let (live, incoming, outgoing) = (ident(self.live), ident(self.incoming), ident(self.outgoing));
        format!(
            "ALTER DATABASE {live} ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name} AND pid <> pg_backend_pid();
BEGIN;
ALTER DATABASE {live} RENAME TO {outgoing};
ALTER DATABASE {incoming} RENAME TO {live};
ALTER DATABASE {live} ALLOW_CONNECTIONS true;
COMMENT ON DATABASE {live} IS {unmarked};
COMMENT ON DATABASE {outgoing} IS {marked};
COMMIT;",
            name = literal(self.live),
            unmarked = text(unmarked(comment(self.incoming))),
            marked = literal(&marked),
        )
    }
}

/// A comment without what guard put before it when the database was put aside.
fn unmarked(comment: &str) -> &str {
    let rest = comment
        .strip_prefix("[guard ")
        .and_then(|rest| rest.split_once("removes it for good] "));
    rest.map_or(comment, |(_, comment)| comment)
}
