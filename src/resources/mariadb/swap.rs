//! The swap, its undo, and what becomes of the database that was put aside; each safe to repeat from any state.
//!
//! All tables change places in one `RENAME TABLE`, which is all or nothing. The names of guard's own tables change with them,
//! so that after a crash the server itself says on which side of it we are. Views, triggers, routines and events cannot be
//! renamed: they are removed before and made anew after, from scripts that are kept beside the tables.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::code::{Kept, apply, clear, keep, marks, read as read_script, script};
use super::database::MariaDb;
use super::loading::drop_own;
use super::prepare::Staging;
use super::reach::{Reach, ident};
use super::reading::numberings;
use super::tables::{CODE, PENDING, SWAPPED, names, standard};
use super::trouble::is_locked_out;
use super::{gate, survey};
use crate::error::{ResourceError, Result};
use crate::sql::side_names::{Aside, turned};
use guard_model::artifact::{Displaced, Prepared};
use guard_model::event::Level;
use guard_system::context::Context;

/// How often a swap is tried again that sessions got in the way of. A guess.
const TRIES: u32 = 4;

/// What was put aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Put {
    /// The live database's name.
    live: String,
    /// The name of the one put aside.
    aside: String,
}

/// Where a database is on its way to be the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is complete, and waits.
    Ready,
    /// Its tables are live; what stands beside them may not be.
    Swapped,
    /// There is nothing to swap in.
    Absent,
}

fn standing(reach: &Reach, schema: &str, cx: &Context) -> Result<Standing> {
    let marks = marks(reach, schema, cx)?;
    let has = |mark: &str| marks.iter().any(|known| known == mark);
    Ok(match (has(CODE), has(SWAPPED)) {
        (true, _) => Standing::Ready,
        (false, true) => Standing::Swapped,
        (false, false) => Standing::Absent,
    })
}

pub(super) fn restore(of: &MariaDb, prepared: &Prepared, cx: &Context) -> Result<Displaced> {
    if !prepared.work.is_needed() {
        return Ok(displaced(of, None));
    }
    let Staging { live, side, failed } = staging(prepared)?;
    let reach = Reach::open(of, cx)?;
    // An earlier try may hold the tables that are exchanged.
    of.gate.open(&reach, cx)?;
    // A second restore of the same run displaces a second database: each gets a name of its own, the last is the newest.
    let mut taken = Vec::new();
    let mut next = failed;
    while standing(&reach, &next, cx)? == Standing::Ready {
        taken.push(next);
        next = Aside::Failed.name(&live, &format!("{}_{}", cx.token(), taken.len() + 1));
    }
    let outgoing = match (standing(&reach, &side, cx)?, taken.pop()) {
        (Standing::Ready, _) => {
            exchange(&reach, &live, &side, &next, cx)?;
            next
        }
        (Standing::Swapped, Some(last)) => {
            finish(&reach, &live, &side, Aside::Side, cx)?;
            last
        }
        (Standing::Absent, Some(last)) => last,
        (_, None) => {
            let what = format!("the staged database {side} is not there any more; the live one is untouched");
            return Err(ResourceError::new(what).with_hint("`guard rollback` stages it again"));
        }
    };
    shut(of, &reach, &live, cx);
    Ok(displaced(of, Some(Put { live, aside: outgoing })))
}

/// Where the surroundings are fenced, nobody writes into what was put in. Whoever fenced them sees to it once more, and tells
/// where it cannot be.
fn shut(of: &MariaDb, reach: &Reach, live: &str, cx: &Context) {
    if cx.fenced {
        let _told_later = of.gate.shut(reach, live, cx);
    }
}

pub(super) fn undo(of: &MariaDb, before: &Displaced, cx: &Context) -> Result<Displaced> {
    let Some(Put { live, aside: incoming }) = read(before)? else {
        return Ok(before.clone());
    };
    let unknown = || ResourceError::new(format!("{incoming:?} is not a name that guard gives"));
    let outgoing = turned(&incoming).ok_or_else(unknown)?;
    let kind = use_of(&incoming);
    let reach = Reach::open(of, cx)?;
    of.gate.open(&reach, cx)?;
    match (standing(&reach, &incoming, cx)?, standing(&reach, &outgoing, cx)?) {
        (Standing::Ready, Standing::Ready) => {
            let what = format!("{incoming} and {outgoing} are both there, and only one can be put aside");
            return Err(ResourceError::new(what).with_hint("look at both, and drop the one that nobody needs"));
        }
        (Standing::Ready, _) => exchange(&reach, &live, &incoming, &outgoing, cx)?,
        (Standing::Swapped, _) => finish(&reach, &live, &incoming, kind, cx)?,
        (Standing::Absent, Standing::Ready) => {}
        (Standing::Absent, _) => {
            let what = format!("{incoming}, which was put aside, is not there any more");
            return Err(ResourceError::new(what));
        }
    }
    shut(of, &reach, &live, cx);
    Ok(displaced(of, Some(Put { live, aside: outgoing })))
}

/// Makes `incoming` live, and what is live `outgoing`.
fn exchange(reach: &Reach, live: &str, incoming: &str, outgoing: &str, cx: &Context) -> Result<()> {
    // A swap that has begun is ended: a signal is obeyed after it.
    let cx = &cx.unstoppable();
    if let Some((what, advice)) = survey::hindrances(reach, live, cx)?.into_iter().next() {
        return Err(ResourceError::new(format!("{what}; nothing was swapped")).with_hint(advice));
    }
    if standard(reach, live, cx)?.is_none() {
        // The release has dropped it: an empty one is put aside, and what is swapped in brings its own standards.
        reach.run(None, &format!("CREATE DATABASE {};", ident(live)), cx)?;
    }
    let (charset, collation) = standard(reach, live, cx)?.unwrap_or_default();
    let creation = format!(
        "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET {charset} COLLATE {collation};",
        ident(outgoing)
    );
    reach.run(None, &creation, cx)?;
    if !marks(reach, outgoing, cx)?.iter().any(|mark| mark == PENDING) {
        // From here on a second try may find a live database that has lost what stands beside its tables.
        let script = script(reach, live, cx)?;
        let kept = Kept {
            charset,
            collation,
            script,
        };
        keep(reach, outgoing, PENDING, &kept, cx)?;
    }
    numbers_go_on(reach, live, incoming, cx);
    let coming = read_script(reach, incoming, CODE, cx)?;
    let swapped = clear(reach, live, &coming, cx).and_then(|()| rename(reach, live, incoming, outgoing, cx));
    if let Err(error) = swapped {
        // Nothing was renamed: what is live gets back what stands beside its tables.
        let back = read_script(reach, outgoing, PENDING, cx).and_then(|kept| apply(reach, live, &kept, cx));
        if let Err(also) = back {
            let text =
                format!("the views, triggers, routines and events of {live} are only in {outgoing}.{PENDING}: {also}");
            cx.note(Level::Error, text);
        }
        return Err(error);
    }
    finish(reach, live, incoming, use_of(incoming), cx)
}

/// Lets the numbering of the tables that are swapped in go on where that of the live ones is: a number that is given out twice
/// would make a row that was put aside look like another one's new version. The exchange comes all the same where it cannot be done.
fn numbers_go_on(reach: &Reach, live: &str, incoming: &str, cx: &Context) {
    let advance = || -> Result<()> {
        let there: BTreeMap<String, u64> = numberings(reach, live, cx)?;
        let ahead = |(table, next): (String, u64)| {
            let further = there.get(&table).filter(|further| **further > next)?;
            let (schema, table) = (ident(incoming), ident(&table));
            Some(format!("ALTER TABLE {schema}.{table} AUTO_INCREMENT = {further};\n"))
        };
        let script: Vec<String> = numberings(reach, incoming, cx)?.into_iter().filter_map(ahead).collect();
        if script.is_empty() {
            return Ok(());
        }
        reach.run(None, &script.concat(), cx).map(drop)
    };
    if let Err(error) = advance() {
        let text = format!("numbers that were given out in {live} since the backup may be given out again: {error}");
        cx.note(Level::Warn, text);
    }
}

/// The one statement.
fn rename(reach: &Reach, live: &str, incoming: &str, outgoing: &str, cx: &Context) -> Result<()> {
    let name = |schema: &str, table: &str| format!("{}.{}", ident(schema), ident(table));
    let mut moves = Vec::new();
    for table in names(reach, live, false, cx)? {
        moves.push(format!("{} TO {}", name(live, &table), name(outgoing, &table)));
    }
    for table in names(reach, incoming, false, cx)? {
        moves.push(format!("{} TO {}", name(incoming, &table), name(live, &table)));
    }
    moves.push(format!("{} TO {}", name(incoming, CODE), name(incoming, SWAPPED)));
    moves.push(format!("{} TO {}", name(outgoing, PENDING), name(outgoing, CODE)));
    let script = format!("SET SESSION lock_wait_timeout = 2;\nRENAME TABLE {};", moves.join(", "));
    let mut tries = 1;
    loop {
        match reach.run(None, &script, cx) {
            Err(error) if is_locked_out(&error) && tries < TRIES => {
                gate::end(reach, live, "", cx)?;
                cx.clock.sleep(Duration::from_millis(100));
            }
            other => return other.map(|_| ()),
        }
        tries += 1;
    }
}

/// Gives what is live now what stands beside its tables, and removes the empty shell it came in.
fn finish(reach: &Reach, live: &str, incoming: &str, kind: Aside, cx: &Context) -> Result<()> {
    let cx = &cx.unstoppable();
    let kept = read_script(reach, incoming, SWAPPED, cx)?;
    apply(reach, live, &kept, cx)?;
    let left = names(reach, incoming, false, cx)?;
    if !left.is_empty() {
        let text = format!("{incoming} stays: somebody made tables in it: {}", left.join(", "));
        cx.note(Level::Warn, text);
        return Ok(());
    }
    drop_own(reach, incoming, kind, cx)
}

fn use_of(name: &str) -> Aside {
    let kinds = [Aside::Undone, Aside::Failed, Aside::Side];
    let found = kinds.into_iter().filter(|kind| kind.names(name));
    // A name may hold two of the words where the live one's does; the last is guard's.
    found.max_by_key(|kind| kind.place(name)).unwrap_or(Aside::Side)
}

pub(super) fn forget(of: &MariaDb, displaced: &Displaced, cx: &Context) -> Result<()> {
    let Some(Put { aside, .. }) = read(displaced)? else {
        return Ok(());
    };
    drop_own(&Reach::open(of, cx)?, &aside, use_of(&aside), cx)
}

pub(super) fn discard(of: &MariaDb, prepared: &Prepared, cx: &Context) -> Result<()> {
    if !prepared.work.is_needed() {
        return Ok(());
    }
    drop_own(&Reach::open(of, cx)?, &staging(prepared)?.side, Aside::Side, cx)
}

fn staging(prepared: &Prepared) -> Result<Staging> {
    serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))
}

fn read(displaced: &Displaced) -> Result<Option<Put>> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

fn displaced(of: &MariaDb, put: Option<Put>) -> Displaced {
    Displaced {
        resource: of.name.clone(),
        kept_as: put.iter().map(|put| format!("database {}", put.aside)).collect(),
        details: put.map_or(
            Value::Null,
            |put| serde_json::json!({ "live": put.live, "aside": put.aside }),
        ),
    }
}
