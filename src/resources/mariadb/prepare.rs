//! The staged restore: a schema beside the live one, filled, compared with the manifest, and marked as ready; the live one is
//! untouched.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::capture::{Details, kept, pour, prove, version};
use super::reach::{Reach, ident};
use super::reading::{Seen, observe};
use super::trouble::{explained, no_database};
use super::{MariaDb, code as scripts};
use crate::aside::Aside;
use crate::{ResourceError, Result, Slot, rows};
use guard_model::artifact::{Artifact, Prepared, Work};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::policy::DataRestore;
use guard_model::text::sanitised;
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
}

pub(super) fn prepare(
    of: &MariaDb,
    artifact: &Artifact,
    slot: &Slot,
    data: DataRestore,
    cx: &Context,
) -> Result<Prepared> {
    let details = Details::of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let now = observe(&reach, &reach.database, cx)?.map(|seen| seen.print);
    let work = match &now {
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
    let mut price = Vec::new();
    if work != Work::Unchanged {
        let now = now.as_ref().unwrap_or(&empty);
        price = rows::price(&artifact.fingerprint, now, details.taken_at, cx.clock.now());
    }
    if work.is_needed() {
        stage(&reach, &staging.side, artifact, slot, &details, cx)?;
        // What stands beside the tables is made anew at the swap: only now is it complete.
        scripts::keep(&reach, &staging.side, scripts::CODE, &kept(artifact, slot)?, cx)?;
    }
    Ok(Prepared {
        resource: of.name.clone(),
        work,
        details: serde_json::to_value(&staging)
            .map_err(|error| ResourceError::because("could not describe the side database", error))?,
        price,
    })
}

/// Loads the copy beside the live database with all that stands beside its tables, compares it, and removes it again.
pub(super) fn rehearse(of: &MariaDb, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    let side = Aside::Side.name(&reach.database, &format!("{}_proof", cx.token()));
    let staged = stage(&reach, &side, artifact, slot, &Details::of(artifact)?, cx)
        .and_then(|()| scripts::try_out(&reach, &reach.database, &side, &kept(artifact, slot)?.script, cx));
    drop_own(&reach, &side, Aside::Side, &cx.unstoppable())?;
    staged
}

fn stage(reach: &Reach, side: &str, artifact: &Artifact, slot: &Slot, details: &Details, cx: &Context) -> Result<()> {
    let staged = load(reach, side, artifact, slot, cx).and_then(|()| {
        let seen = observe(reach, side, cx)?.ok_or_else(|| no_database(side))?;
        compare(reach, &seen, artifact, details, cx)
    });
    if staged.is_err()
        && let Err(error) = drop_own(reach, side, Aside::Side, &cx.unstoppable())
    {
        // The failure itself matters more; the next try drops what is left.
        cx.note(Level::Warn, format!("the side database {side} is still there: {error}"));
    }
    staged
}

/// Makes and fills the side database; one that an earlier try left is made anew, since nobody knows how far it got.
pub(super) fn load(reach: &Reach, side: &str, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    slot.compare(artifact)?;
    prove(artifact, slot)?;
    let details = Details::of(artifact)?;
    drop_own(reach, side, Aside::Side, cx)?;
    let creation = format!(
        "CREATE DATABASE {} CHARACTER SET {} COLLATE {};",
        ident(side),
        word(&details.charset)?,
        word(&details.collation)?
    );
    reach.run(None, &creation, cx)?;
    let call = reach.client(Some(side));
    let mut feed = |writer: &mut dyn Write| pour(artifact, slot, writer).map_err(io::Error::other);
    cx.push(&call, &mut feed).map_err(|error| explained(error, side))?;
    Ok(())
}

/// The name of a character set or collation, which is written without quotes.
fn word(text: &str) -> Result<&str> {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let odd = || ResourceError::bad_copy(format!("{text:?} is no name of a character set"));
    is_word.then_some(text).ok_or_else(odd)
}

/// Compares the side database with the manifest before anyone relies on it.
pub(super) fn compare(reach: &Reach, seen: &Seen, artifact: &Artifact, details: &Details, cx: &Context) -> Result<()> {
    let mut differences = seen.print.differences(&artifact.fingerprint);
    // Neither is in the side database, and a numbering goes on while people work during the copy.
    differences.retain(|part| !matches!(part.as_str(), "code" | "database") && !part.starts_with("sequence "));
    if differences.is_empty() {
        return Ok(());
    }
    let counts = |print: &Fingerprint| {
        let tables = rows::tables(print).into_iter();
        tables.map(|(name, rows)| (name, rows.count)).collect::<Vec<_>>()
    };
    let is_same_server = version(reach, cx)? == details.server;
    if is_same_server || counts(&seen.print) != counts(&artifact.fingerprint) {
        let what = format!("the loaded tables are not the manifest's: {}", differences.join(", "));
        return Err(ResourceError::bad_copy(sanitised(&what)));
    }
    let what = format!(
        "the server, now {}, tells the copy in other words than {}: {}",
        version(reach, cx)?,
        details.server,
        differences.join(", ")
    );
    cx.note(Level::Warn, what);
    Ok(())
}

/// Drops a database whose name says that guard made it for this use; one that is gone already is fine.
pub(super) fn drop_own(reach: &Reach, name: &str, aside: Aside, cx: &Context) -> Result<()> {
    if !aside.names(name) {
        let what = format!("{name:?} is not a name that guard gives; it is not dropped");
        return Err(ResourceError::new(what));
    }
    reach
        .run(None, &format!("DROP DATABASE IF EXISTS {};", ident(name)), cx)
        .map(|_| ())
}
