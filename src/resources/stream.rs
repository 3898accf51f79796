//! A program whose output is read as one stream, beside it.

use std::io::{self, PipeReader, Write};

use crate::error::{ResourceError, Result};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::processes::{CallError, Feed};

/// Runs a call, gives it what `feed` writes, and hands what it writes to `work`, which runs beside it. Where `work` gives up,
/// its failure is the one that is told.
///
/// # Errors
/// The call or `work` failed.
pub(crate) fn piped<T: Send>(
    call: &Call,
    feed: Option<Feed<'_>>,
    failed: impl FnOnce(CallError) -> ResourceError,
    cx: &Context,
    work: impl FnOnce(PipeReader) -> Result<T> + Send,
) -> Result<T> {
    let (reader, mut writer) = io::pipe().map_err(|error| ResourceError::because("could not make a pipe", error))?;
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(reader));
        let mut sink = |bytes: &[u8]| writer.write_all(bytes);
        let pulled = match feed {
            Some(feed) => cx.converse(call, &mut sink, feed),
            None => cx.pull(call, &mut sink),
        };
        drop(writer);
        let outcome = worker
            .join()
            .unwrap_or_else(|_| Err(ResourceError::new("the reader of a program's output panicked")));
        // Where the reader gave up, the call only says that its pipe broke.
        match (outcome, pulled) {
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => Err(failed(error)),
            (Ok(value), Ok(_)) => Ok(value),
        }
    })
}
