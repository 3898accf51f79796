//! Reading a program's pipe to its end, and no longer.

use std::io::{self, PipeReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// Takes what a program writes, piece by piece; an error ends the program.
pub type Sink<'a> = &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send);

/// How long guard reads on after a program ended while something that it left behind holds the pipe.
const DRAIN: Duration = Duration::from_secs(1);

/// Reads a pipe to its end, or until the program has ended and nothing came for a while.
pub(super) fn read(
    mut pipe: &PipeReader,
    ended: &AtomicBool,
    broken: &AtomicBool,
    clock: &dyn Clock,
    sink: Sink<'_>,
) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut buffer = vec![0; 128 * 1024];
    let mut quiet_since = clock.steady();
    loop {
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) if ended.load(Ordering::SeqCst) && clock.steady().saturating_sub(quiet_since) > DRAIN => {
                return Ok(());
            }
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let count = match pipe.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        quiet_since = clock.steady();
        if let Err(error) = sink(buffer.get(..count).unwrap_or_default()) {
            broken.store(true, Ordering::SeqCst);
            return Err(error);
        }
    }
}
