//! The exchange of two databases: fenced, so that no client gets between, and both renames in one transaction.

use std::time::Duration;

use serde::Deserialize;

pub(super) use crate::barrier::Swap;

use super::reach::Reach;
use super::sql::{ident, literal};
use super::trouble::is_in_use;
use crate::error::{ResourceError, Result};
use guard_model::event::Level;
use guard_system::context::Context;

/// How often a swap is tried again that clients got in the way of. A guess.
const TRIES: u32 = 4;

/// Lets clients in, as they were before a swap that was cut off.
pub(super) fn open(reach: &Reach, maintenance: &str, live: &str, cx: &Context) -> Result<()> {
    let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;", ident(live));
    reach.run(maintenance, &script, cx).map(|_| ())
}

/// Keeps clients out, those that are in as well.
pub(super) fn shut(reach: &Reach, maintenance: &str, live: &str, cx: &Context) -> Result<()> {
    reach.run(maintenance, &fence(live), cx).map(|_| ())
}

/// Whether clients are kept out; `None` where there is no such database.
pub(super) fn is_shut(reach: &Reach, maintenance: &str, live: &str, cx: &Context) -> Result<Option<bool>> {
    let script = format!(
        "SELECT to_jsonb(NOT datallowconn) FROM pg_database WHERE datname = {};",
        literal(live)
    );
    Ok(reach.rows(maintenance, &script, cx)?.pop())
}

/// The statements that keep clients out.
fn fence(live: &str) -> String {
    format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS false;\n{}",
        ident(live),
        eviction(live)
    )
}

#[derive(Deserialize)]
pub(super) struct Standing {
    prepared: Vec<String>,
    comments: Vec<(String, Option<String>)>,
}

/// Swaps them all in one transaction, or leaves everything as it was and clients let in.
pub(super) fn make_all(swaps: &[Swap], reach: &Reach, maintenance: &str, cx: &Context) -> Result<()> {
    // A swap that has begun is ended: a signal is obeyed after it.
    let cx = &cx.unstoppable();
    let (mut fences, mut exchanges) = (String::new(), String::new());
    for swap in swaps {
        let standing = swap.standing(reach, maintenance, cx)?;
        fences.push_str(&fence(&swap.live));
        exchanges.push_str(&swap.exchange(&standing, cx));
    }
    // One session does it all: each statement less is time for which clients are shut out.
    let script = format!("{fences}BEGIN;\n{exchanges}COMMIT;");
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
        for swap in swaps {
            if let Err(error) = open(reach, maintenance, &swap.live, cx) {
                let text = format!("clients are still kept out of {}: {error}", swap.live);
                cx.note(Level::Error, text);
            }
        }
    })
}

/// The statement that ends the sessions in a database, as far as this user may: what is left, as the server's own cleaning,
/// makes way by itself, or a rename says that it is there.
pub(super) fn eviction(database: &str) -> String {
    eviction_but(database, "pg_backend_pid()")
}

/// The same, but for the session of this process.
pub(super) fn eviction_but(database: &str, pid: &str) -> String {
    // The offset keeps the planner from ending a session before it has looked which one it is.
    format!(
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = {} AND pid <> {pid}
  AND ((SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR {MAY_END}) OFFSET 0) evicted;\n",
        literal(database)
    )
}

/// Whether this user, who is no superuser, may end a session of `pg_stat_activity`.
pub(super) const MAY_END: &str = "coalesce(NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = usesysid) \
    AND (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')), false)";

impl Swap {
    /// Swaps, or leaves everything as it was and clients let in.
    pub(super) fn make(&self, reach: &Reach, maintenance: &str, cx: &Context) -> Result<()> {
        make_all(std::slice::from_ref(self), reach, maintenance, cx)
    }

    /// What stands in the way, and the comments of both databases.
    pub(super) fn standing(&self, reach: &Reach, maintenance: &str, cx: &Context) -> Result<Standing> {
        let (live, incoming) = (literal(&self.live), literal(&self.incoming));
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

    /// Both renames, for a transaction; clients are let into what is live then, unless the surroundings are fenced.
    fn exchange(&self, standing: &Standing, cx: &Context) -> String {
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
            ident(&self.outgoing),
            comment(&self.live)
        );
        let (live, incoming, outgoing) = (ident(&self.live), ident(&self.incoming), ident(&self.outgoing));
        format!(
            "ALTER DATABASE {live} RENAME TO {outgoing};
ALTER DATABASE {incoming} RENAME TO {live};
ALTER DATABASE {live} ALLOW_CONNECTIONS {opens};
COMMENT ON DATABASE {live} IS {unmarked};
COMMENT ON DATABASE {outgoing} IS {marked};
",
            opens = !cx.fenced,
            unmarked = text(unmarked(comment(&self.incoming))),
            marked = literal(&marked),
        )
    }
}

/// A comment without what guard put before it: when the database was put aside, stood by, or was given rows.
fn unmarked(mut comment: &str) -> &str {
    const ENDS: [&str; 3] = ["removes it for good] ", "rows were carried over] ", "stands by] "];
    while let Some(marked) = comment.strip_prefix("[guard ") {
        let rests = ENDS
            .iter()
            .filter_map(|end| marked.split_once(end).map(|(_, rest)| rest));
        let Some(rest) = rests.max_by_key(|rest| rest.len()) else {
            break;
        };
        comment = rest;
    }
    comment
}

#[cfg(test)]
mod tests {
    use super::unmarked;

    #[test]
    fn only_what_guard_wrote_is_taken_off() {
        let marked = "[guard x: rows were carried over] [guard x: 12ab stands by] its own [guard y: z stands by] too";
        assert_eq!(unmarked(marked), "its own [guard y: z stands by] too");
        assert_eq!(unmarked("[guard dog] of the house"), "[guard dog] of the house");
    }
}
