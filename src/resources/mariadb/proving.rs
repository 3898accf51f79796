//! The proof that a database comes up from its copy: when a copy is loaded, and what `guard check` tries without one.

use super::code;
use super::database::MariaDb;
use super::details::Details;
use super::loading::drop_own;
use super::reach::{Reach, ident, literal, version};
use super::reading::shape as tables_shape;
use super::tables::{names, standard};
use super::trouble::{explained, no_database, whole};
use crate::error::Result;
use crate::sql::proof::{Proof, is_fresh, unloadable};
use crate::sql::side_names::Aside;
use crate::survey::Survey;
use guard_model::artifact::Artifact;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{self, sha256_hex};

/// What has to be the same for a load to prove another copy as well.
pub(super) fn shape(print: &Fingerprint, server: &str, dump: &str) -> String {
    let parts = ["schema", "code", "database"].map(|part| print.part(part).unwrap_or_default());
    sha256_hex(format!("{} {server} {dump}", parts.join(" ")).as_bytes())
}

/// Loads the definitions of what is live beside it, without rows, where no copy of them has been loaded yet.
pub(super) fn try_back(of: &MariaDb, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
    let tried = Reach::open(of, cx).and_then(|reach| tried(of, &reach, newest, cx));
    match tried {
        Ok(None) => {}
        Ok(Some(untried)) => survey.untried = Some(untried),
        Err(error) => {
            let error = unloadable(error);
            let advice = error.hint.clone();
            let advice =
                advice.unwrap_or_else(|| "mend or drop what is named, then run `guard check` again".to_owned());
            survey.refuse(whole(&error), advice);
        }
    }
}

fn tried(of: &MariaDb, reach: &Reach, newest: Option<&Artifact>, cx: &Context) -> Result<Option<String>> {
    let live = &reach.database;
    let (charset, collation) = standard(reach, live, cx)?.ok_or_else(|| no_database(live))?;
    let tables = names(reach, live, false, cx)?;
    let script = code::script(reach, live, cx)?;
    let print = Fingerprint::default()
        .with("schema", tables_shape(reach, live, &tables, cx)?)
        .with("code", code::digest(&script))
        .with("database", format!("{charset} {collation}"));
    let shape = shape(&print, &version(reach, cx)?, &reach.version(of.product.dump, cx)?);
    let loaded = newest.and_then(|artifact| Details::of(artifact).ok()?.loaded);
    let is_known = loaded.as_ref().is_some_and(|loaded| loaded.shape == shape);
    let is_proven = loaded
        .as_ref()
        .is_some_and(|loaded| is_known && is_fresh(loaded, of.proof_interval, cx.clock.now()));
    if is_proven {
        return Ok(None);
    }
    if !is_known {
        sweep(reach, live, cx)?;
        let side = Aside::Side.name(live, &format!("check_{}", std::process::id()));
        let made = make(reach, &side, (&charset, &collation), &tables, &script, cx);
        drop_own(reach, &side, Aside::Side, &cx.unstoppable())?;
        made?;
    }
    let untried = match loaded {
        _ if of.proof == Proof::Read => {
            format!(
                "{live} is not loaded from its copies (`proof = \"read\"`): only that its definitions load was tried"
            )
        }
        None => format!("{live} was never restored yet; that its definitions load beside it was tried"),
        Some(_) if is_known => format!("{live} was last restored longer ago than `proof_interval`"),
        Some(_) => format!("{live} has changed its definitions since it was last restored; that they load was tried"),
    };
    Ok(Some(untried))
}

/// Makes a database of these definitions.
fn make(
    reach: &Reach,
    side: &str,
    (charset, collation): (&str, &str),
    tables: &[String],
    script: &[u8],
    cx: &Context,
) -> Result<()> {
    drop_own(reach, side, Aside::Side, cx)?;
    let creation = format!(
        "CREATE DATABASE {} CHARACTER SET {charset} COLLATE {collation};",
        ident(side)
    );
    reach.run(None, &creation, cx)?;
    let live = &reach.database;
    // Without a list of tables the dump program would take all, views among them.
    if !tables.is_empty() {
        let flags = ["--no-data", "--skip-triggers", "--single-transaction"];
        let dump = cx.output(&reach.dump(&flags, live, tables));
        let dump = dump.map_err(|error| explained(error, live))?;
        let loaded = cx.output(&reach.client(Some(side)).input(dump.stdout));
        loaded.map_err(|error| explained(error, live))?;
    }
    code::try_out(reach, live, side, script, cx)
}

/// Removes what checks of processes left that are gone.
fn sweep(reach: &Reach, live: &str, cx: &Context) -> Result<()> {
    let own = Aside::Side.name(live, "check_");
    let script = format!(
        "SELECT JSON_QUOTE(SCHEMA_NAME) FROM information_schema.SCHEMATA WHERE LEFT(SCHEMA_NAME, {}) = {};",
        own.chars().count(),
        literal(&own)
    );
    for name in reach.rows::<String>(&script, cx)? {
        let process = name.strip_prefix(&own).and_then(|pid| pid.parse::<u32>().ok());
        let is_gone = process.is_some_and(|pid| !disk::exists(format!("/proc/{pid}").as_ref()).unwrap_or(true));
        if is_gone {
            drop_own(reach, &name, Aside::Side, cx)?;
        }
    }
    Ok(())
}
