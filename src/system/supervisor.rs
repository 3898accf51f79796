//! The supervisor that started guard, where there is one: told that guard is ready, alive, and going (systemd's protocol).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::environment::Environment;

/// The socket that the supervisor listens on; nothing is said where there is none.
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The supervisor that the environment names by `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let socket = environment.text("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            // One that does not read what it is told must not hold up the watch.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address.ok()?))
        });
        // The variable is meant for the process that it names, and not for its children.
        let is_ours = environment
            .text("WATCHDOG_PID")
            .is_none_or(|pid| pid == std::process::id().to_string());
        let micros: Option<u64> = environment.text("WATCHDOG_USEC").and_then(|text| text.parse().ok());
        Self {
            socket,
            watchdog: micros
                .filter(|micros| is_ours && *micros > 0)
                .map(Duration::from_micros),
        }
    }

    /// How often it wants to hear that guard is alive: twice within its limit. `None`: it does not.
    #[must_use]
    pub fn rhythm(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// guard has begun.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// guard is alive.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// What guard sees, in one line.
    pub fn status(&self, line: &str) {
        self.say(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// guard is about to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // A supervisor that does not listen is none; guard's own work goes on.
            let _heard = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}
