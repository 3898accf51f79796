//! Signals: the first and every further wish to stop is counted; a lost terminal is not a wish.

use tokio::signal::unix::{SignalKind, signal};

use super::stop::Stop;

/// A file would become larger than it may; the same number on every Linux but MIPS.
const SIGXFSZ: i32 = rustix::process::Signal::XFSZ.as_raw();

/// Counts SIGINT and SIGTERM in `stop` from now on; SIGHUP, SIGXFSZ and SIGPIPE change nothing. Must be called inside a runtime,
/// and lives as long as that.
///
/// # Errors
/// The kernel refuses a handler.
pub fn listen(stop: &Stop) -> std::io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut arriving = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() {
                stop.ask();
            }
        });
    }
    // Handlers that do nothing: the default would end guard when its terminal is closed, or when a file reaches the limit
    // of its size, which a write then tells as an error.
    for kind in [SignalKind::hangup(), SignalKind::from_raw(SIGXFSZ)] {
        let mut arriving = signal(kind)?;
        tokio::spawn(async move { while arriving.recv().await.is_some() {} });
    }
    Ok(())
}
