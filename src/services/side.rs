//! One side of a blue-green deployment: where it answers, and what it is made of.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long an address may take to accept a connection.
const REACH_LIMIT: Duration = Duration::from_secs(2);

/// One side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// Its name, which the user's commands hear as `GUARD_SIDE`.
    pub name: String,
    /// Where it answers by itself: `127.0.0.1:8081`, or `unix:/run/app/blue.sock`.
    pub address: String,
    /// Its services in the Compose project.
    pub services: Vec<String>,
    /// The further Compose project that it is.
    pub project: Option<String>,
    /// Commands that stop it; each a list of words.
    pub stop: Vec<Vec<String>>,
    /// Commands that start it again.
    pub start: Vec<Vec<String>>,
}

impl Side {
    /// Whether anything accepts a connection at its address.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        if let Some(path) = self.address.strip_prefix("unix:") {
            return UnixStream::connect(path).is_ok();
        }
        let mut found = self.address.to_socket_addrs().into_iter().flatten();
        found.any(|address| TcpStream::connect_timeout(&address, REACH_LIMIT).is_ok())
    }

    /// What the user's commands are told of it.
    #[must_use]
    pub fn variables(&self) -> [(String, String); 2] {
        [
            ("GUARD_SIDE".to_owned(), self.name.clone()),
            ("GUARD_SIDE_ADDRESS".to_owned(), self.address.clone()),
        ]
    }

    /// Whether guard can stop it.
    #[must_use]
    pub fn can_be_stopped(&self) -> bool {
        !self.services.is_empty() || self.project.is_some() || !self.stop.is_empty()
    }
}
