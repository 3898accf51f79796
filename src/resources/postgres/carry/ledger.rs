//! The account on disk, and which tables it says were touched.

use std::collections::BTreeSet;
use std::path::Path;

use super::account::Account;
use super::shape::Shape;
use crate::error::{ResourceError, Result};
use guard_system::disk;

/// The file of the account in an export's directory.
const ACCOUNT: &str = "account.json";

/// Writes an account down, whole or not at all.
pub(super) fn write_account(directory: &Path, account: &Account) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(account)
        .map_err(|error| ResourceError::because("could not write the account of the rows", error))?;
    disk::create_private_dir(directory)?;
    Ok(disk::write_whole(&directory.join(ACCOUNT), &bytes)?)
}

/// What the account of an earlier try says; `None` where there is none.
pub(super) fn read_account(directory: &Path) -> Result<Option<Account>> {
    let bytes = disk::read_optional(&directory.join(ACCOUNT))?;
    let read = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes)
            .map_err(|error| ResourceError::because("could not read the account of the rows", error))
    };
    bytes.map(read).transpose()
}

/// Tables whose parts of a fingerprint differ after the carrying, by their relations.
pub(super) fn touched(account: &Account, shape: &Shape) -> BTreeSet<String> {
    let carried = account.tables.iter().filter(|figures| figures.carried > 0);
    let tables = carried.filter_map(|figures| shape.tables.get(&figures.table));
    tables.flat_map(|table| &table.parts).cloned().collect()
}
