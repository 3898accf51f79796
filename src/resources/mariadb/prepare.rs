//! The staged restore: a schema beside the live one, filled, compared with the manifest, and marked as ready; the live one is
//! untouched.

use serde::{Deserialize, Serialize};

use super::database::MariaDb;
use super::details::Details;
use super::dump::kept;
use super::loading::{compare, drop_own, load};
use super::reach::Reach;
use super::reading::observe;
use super::trouble::no_database;
use super::{code as scripts, tables};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use crate::sql::side_names::Aside;
use guard_model::artifact::{Artifact, Prepared, Work};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::policy::DataRestore;
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
        scripts::keep(&reach, &staging.side, tables::CODE, &kept(artifact, slot)?, cx)?;
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
