//! The runtime on which probes run and signals arrive.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// Begins a runtime with two threads of its own.
///
/// # Errors
/// The kernel refuses a thread, or what else it needs.
pub fn begin() -> io::Result<Runtime> {
    // It panics where a thread is refused, and then waits for ever for those that it has: that must not be guard's own thread.
    let (tell, begun) = mpsc::channel();
    std::thread::Builder::new()
        .name("guard-begins".to_owned())
        .spawn(move || {
            let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
            // Nobody waits any more where it took too long.
            let _late = tell.send(built);
        })?;
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the runtime did not begin");
    begun.recv_timeout(PATIENCE).map_err(silent)?
}
