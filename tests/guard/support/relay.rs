//! A port of 127.0.0.1 that is another name of a socket, as an engine on another host has one; it can be slow.

use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The relay; its threads end with the process.
pub struct Relay {
    port: u16,
    /// Bytes a second, of each answer.
    speed: Arc<AtomicU64>,
}

impl Relay {
    /// Hands the connections of this port on to a socket, each way by a thread.
    pub fn begin(listener: TcpListener, socket: PathBuf) -> Self {
        let port = listener.local_addr().unwrap().port();
        let speed = Arc::new(AtomicU64::new(u64::MAX));
        let shared = speed.clone();
        std::thread::spawn(move || {
            for outer in listener.incoming() {
                let (Ok(outer), Ok(inner)) = (outer, UnixStream::connect(&socket)) else {
                    continue;
                };
                let (mut there, mut back) = (outer.try_clone().unwrap(), outer);
                let mut in_there = inner.try_clone().unwrap();
                let mut answer = Answer {
                    inner,
                    speed: shared.clone(),
                };
                std::thread::spawn(move || {
                    let _ended: io::Result<u64> = io::copy(&mut there, &mut in_there);
                    let _shut = in_there.shutdown(Shutdown::Write);
                });
                std::thread::spawn(move || {
                    let _ended: io::Result<u64> = io::copy(&mut answer, &mut back);
                    let _shut: io::Result<()> = TcpStream::shutdown(&back, Shutdown::Write);
                });
            }
        });
        Self { port, speed }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets no answer come faster than so many bytes a second.
    pub fn slow_to(&self, speed: u64) {
        self.speed.store(speed, Ordering::SeqCst);
    }
}

/// What comes back over one connection.
struct Answer {
    inner: UnixStream,
    speed: Arc<AtomicU64>,
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        std::thread::sleep(Duration::from_nanos(
            read as u64 * 1_000_000_000 / self.speed.load(Ordering::SeqCst),
        ));
        Ok(read)
    }
}
