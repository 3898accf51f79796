//! The copy, loaded into a database of its own and compared.

use std::io::{self, Write};

use super::details::Details;
use super::dump::{pour, prove};
use super::reach::{Reach, ident, version};
use super::reading::Seen;
use super::trouble::explained;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use crate::sql::side_names::Aside;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::text::sanitised;
use guard_system::context::Context;

/// Makes and fills the side database; one that an earlier try left is made anew, since nobody knows how far it got.
pub(crate) fn load(reach: &Reach, side: &str, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
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
pub(crate) fn word(text: &str) -> Result<&str> {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let odd = || ResourceError::bad_copy(format!("{text:?} is no name of a character set"));
    is_word.then_some(text).ok_or_else(odd)
}

/// Compares the side database with the manifest before anyone relies on it.
pub(crate) fn compare(reach: &Reach, seen: &Seen, artifact: &Artifact, details: &Details, cx: &Context) -> Result<()> {
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
pub(crate) fn drop_own(reach: &Reach, name: &str, aside: Aside, cx: &Context) -> Result<()> {
    aside.must_name(name)?;
    reach
        .run(None, &format!("DROP DATABASE IF EXISTS {};", ident(name)), cx)
        .map(|_| ())
}
