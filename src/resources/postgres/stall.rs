//! The watch over a dump, with the words of this kind's failures.

use std::io;
use std::time::Duration;

use super::trouble::explained;
use crate::error::Result;
use crate::sql::stall;
use guard_system::call::Call;
use guard_system::context::Context;

/// Runs a program and hands on what it writes, as long as it goes on writing.
pub(super) fn pull(
    call: &Call,
    database: &str,
    limit: Duration,
    cx: &Context,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<()> {
    watched(call, database, limit, cx, &|| 0, sink)
}

/// The same for a program that writes into files: it goes on as long as `grown`, the bytes there, becomes another figure.
pub(super) fn watched(
    call: &Call,
    database: &str,
    limit: Duration,
    cx: &Context,
    grown: &(dyn Fn() -> u64 + Sync),
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<()> {
    let watch = stall::Watch {
        database,
        limit,
        grown,
        explained: &|error| explained(error, database),
    };
    watch.pull(call, cx, sink)
}
