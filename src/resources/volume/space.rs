//! Whether a copy fits beside the live tree.

use crate::error::{ResourceError, Result};
use guard_model::text;

/// What stays free on a disk when a copy is staged on it.
pub(super) const RESERVE: u64 = 64 * 1024 * 1024;

/// Says that the copy fits beside the live tree.
///
/// # Errors
/// It does not.
pub(crate) fn room(shown: &str, free: u64, bytes: u64) -> Result<()> {
    if free >= bytes.saturating_add(RESERVE) {
        return Ok(());
    }
    let (needed, free) = (text::bytes(bytes), text::bytes(free));
    Err(ResourceError::new(format!(
        "the {shown} has {free} free, and staging the copy beside the live tree takes {needed}"
    ))
    .with_hint("free some space on that disk, and run the same command again"))
}
