//! The carrying that belongs to a restore: after the failed database is fenced, before the renames, and done once however
//! often the restore is repeated.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::ledger::{read_account, touched, write_account};
use super::release::windows;
use super::shape::{Sequence, Shape, read_sequences, sequences};
use super::work::{Job, carry};
use crate::error::{ResourceError, Result};
use crate::postgres::catalog::observe;
use crate::postgres::database::Postgres;
use crate::postgres::exchange::eviction_but;
use crate::postgres::reach::Reach;
use crate::postgres::session::converse;
use crate::postgres::sql::{ident, literal};
use crate::postgres::staging::Staging;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;

/// What a restore remembers of the rows that it took along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Carried {
    /// What the restored database is like with them.
    pub(crate) becomes: Fingerprint,
    /// What was done, each a sentence.
    pub(crate) sentences: Vec<String>,
    /// Where the rest is, if anything stayed out.
    pub(crate) directory: Option<PathBuf>,
}

/// How a database's comment begins whose rows are complete; the swap takes it off again.
pub(crate) fn mark(cx: &Context) -> String {
    format!("[guard {}: rows were carried over] ", cx.token())
}

fn directory(of: &Postgres, cx: &Context) -> PathBuf {
    cx.scratch.join("salvage").join(of.name.as_str())
}

/// Carries the rows over into the side database, unless an earlier try did. The live one is fenced when this returns well.
pub(crate) fn before_swap(
    of: &Postgres,
    reach: &Reach,
    maintenance: &str,
    staging: &Staging,
    artifact: &Artifact,
    cx: &Context,
) -> Result<Option<Carried>> {
    let cx = &cx.unstoppable();
    if !of.carry_over.is_wanted() {
        numbers_go_on(of, reach, maintenance, (&staging.live, &staging.side), cx);
        return Ok(None);
    }
    let directory = directory(of, cx);
    let script = format!(
        "SELECT to_jsonb(coalesce(shobj_description(oid, 'pg_database'), '')) FROM pg_database WHERE datname = {};",
        literal(&staging.side)
    );
    let comment: Vec<String> = reach.rows(maintenance, &script, cx)?;
    let comment = comment.into_iter().next().unwrap_or_default();
    let marked = comment.starts_with(&mark(cx));
    let known = read_account(&directory)?;
    let mut account = match known.filter(|_| marked) {
        Some(account) => account,
        None if marked => {
            return Err(ResourceError::new(format!(
                "the account of the rows that were carried over is not in {} any more",
                directory.display()
            )));
        }
        None => fresh(of, reach, maintenance, staging, &comment, &directory, cx),
    };
    if account.becomes.is_none() {
        let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;", ident(&staging.side));
        reach.run(maintenance, &open, cx)?;
        account.becomes = Some(becomes(reach, staging, artifact, &account, cx)?);
        write_account(&directory, &account)?;
    }
    Ok(carried(account, directory))
}

/// What the restore before said, once the swap is done.
pub(crate) fn carried_before(of: &Postgres, cx: &Context) -> Result<Option<Carried>> {
    if !of.carry_over.is_wanted() {
        return Ok(None);
    }
    let directory = directory(of, cx);
    Ok(read_account(&directory)?.and_then(|account| carried(account, directory)))
}

/// Lets the sequences of a database that is swapped in go on where those of the live one are. A number that is given out twice would make a
/// row that was put aside look like another one's new version, and `guard salvage` could not put it back, or would put what
/// refers to it beside a stranger. Production goes back all the same where it cannot be done.
pub(crate) fn numbers_go_on(of: &Postgres, reach: &Reach, maintenance: &str, (live, side): (&str, &str), cx: &Context) {
    let doors = format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS true; ALTER DATABASE {} ALLOW_CONNECTIONS true;",
        ident(live),
        ident(side)
    );
    let advance = || -> Result<()> {
        reach.run(maintenance, &doors, cx)?;
        let further = converse(reach, live, cx, |left| {
            // Whoever drew a number behind this look would be the one whose number is drawn again.
            let pid = left.lines("SELECT pg_backend_pid();")?;
            fence_all_but(reach, maintenance, live, pid.first().map_or("", String::as_str), cx)?;
            read_sequences(left)
        })?;
        converse(reach, side, cx, |right| {
            let advances = sequences(&further, &read_sequences(right)?);
            // A database may have been set to be read only for its clients.
            right.lines(&format!("BEGIN READ WRITE;\n{}COMMIT;", advances.concat()))?;
            Ok(())
        })
    };
    if let Err(error) = advance() {
        tell_given_again(of, &error, cx);
    }
}

fn tell_given_again(of: &Postgres, error: &ResourceError, cx: &Context) {
    let text = format!(
        "{}: numbers that were given out since the backup may be given out again: {error}",
        of.name
    );
    cx.note(Level::Warn, text);
}

/// The same where the live database itself was made anew: its sequences go on where those of `before` were. Safe to repeat.
pub(crate) fn numbers_go_on_from(of: &Postgres, reach: &Reach, before: &Fingerprint, cx: &Context) {
    let done = converse(reach, &reach.database, cx, |session| {
        let here = read_sequences(session)?;
        let there = here.iter().filter_map(|(name, sequence)| {
            let (value, used) = before.part(&format!("sequence {name}"))?.split_once(' ')?;
            let further = Sequence {
                value: value.parse().ok()?,
                used: used == "used",
                ..sequence.clone()
            };
            Some((name.clone(), further))
        });
        let advances = sequences(&there.collect(), &here);
        session.lines(&format!("BEGIN READ WRITE;\n{}COMMIT;", advances.concat()))?;
        Ok(())
    });
    if let Err(error) = done {
        tell_given_again(of, &error, cx);
    }
}

/// Keeps everybody out of the live database but the session of this process id.
fn fence_all_but(reach: &Reach, maintenance: &str, live: &str, pid: &str, cx: &Context) -> Result<()> {
    let script = format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS false;\n{}",
        ident(live),
        eviction_but(live, pid)
    );
    reach.run(maintenance, &script, cx).map(|_| ())
}

fn carried(account: Account, directory: PathBuf) -> Option<Carried> {
    let sentences = account.sentences();
    let directory = (!account.files.is_empty()).then_some(directory);
    account.becomes.map(|becomes| Carried {
        becomes,
        sentences,
        directory,
    })
}

/// Carries for the first time. Where it cannot be done, production goes back all the same: the rows are in the displaced
/// database, and can be carried later.
fn fresh(
    of: &Postgres,
    reach: &Reach,
    maintenance: &str,
    staging: &Staging,
    comment: &str,
    directory: &Path,
    cx: &Context,
) -> Account {
    let live = &staging.live;
    let opened = format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS true; ALTER DATABASE {} ALLOW_CONNECTIONS true;",
        ident(live),
        ident(&staging.side)
    );
    let fence = |pid: &str| fence_all_but(reach, maintenance, live, pid, cx);
    let marked = format!("{}{comment}", mark(cx));
    let (noted, unread) = match windows(&of.carry_over, &of.name, cx) {
        Ok(windows) => (windows, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let job = Job {
        failed: live,
        restored: &staging.side,
        wish: &of.carry_over,
        windows: Some(&noted),
        directory: directory.to_owned(),
        fence: &fence,
        mark: format!(
            "COMMENT ON DATABASE {} IS {};\n",
            ident(&staging.side),
            literal(&marked)
        ),
        tells_gone: true,
    };
    let done = unread.map_or(Ok(()), Err).and_then(|()| {
        reach.run(maintenance, &opened, cx)?;
        carry(reach, &job, cx)
    });
    done.unwrap_or_else(|error| {
        let cause = error
            .source
            .as_ref()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        // What the server says, without the words of the call.
        let cause = cause.rsplit_once("ERROR:  ").map_or(cause.as_str(), |(_, said)| said);
        let failure = format!("{error}: {}", cause.trim_start_matches(": "));
        cx.note(
            Level::Error,
            format!(
                "{}: no rows could be carried over; `guard salvage` can do it later: {failure}",
                of.name
            ),
        );
        Account {
            failure: Some(failure),
            ..Account::default()
        }
    })
}

/// What the side database is like now, where it may differ from the backup: in the tables that rows were carried into, and
/// in sequences. Anything else that differs is no work of ours, and nothing is swapped then.
fn becomes(
    reach: &Reach,
    staging: &Staging,
    artifact: &Artifact,
    account: &Account,
    cx: &Context,
) -> Result<Fingerprint> {
    let (catalog, ()) = observe(reach, &staging.side, cx, |_| Ok(()))?;
    let shape = converse(reach, &staging.side, cx, Shape::read)?;
    let touched = touched(account, &shape);
    let now = catalog.fingerprint();
    let mut print = artifact.fingerprint.clone();
    for (part, value) in now.parts() {
        let ours =
            part.strip_prefix("table ").is_some_and(|table| touched.contains(table)) || part.starts_with("sequence ");
        // The mark is in the database's comment, and the swap takes it off.
        let is_known = part == "database" || artifact.fingerprint.part(part) == Some(value);
        if ours {
            print = print.with(part, value);
        } else if staging.compared.is_some() && !is_known {
            return Err(ResourceError::new(format!(
                "the restored database differs in {part:?}, which no carried row explains"
            )));
        }
    }
    Ok(print)
}
