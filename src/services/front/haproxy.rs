//! HAProxy by its runtime socket: the side's server is made ready, and when it is up the other is taken out. Nothing is loaded
//! anew, so no request is lost. The change would be gone with a reload, so the servers' state is written to its file as well.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::driver::{Driver, FrontError, Serving};
use crate::side::Side;
use guard_system::context::Context;
use guard_system::disk;

/// How long the socket may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a server may take to be up once it is made ready: its health checks have to pass. A guess.
const UP_LIMIT: Duration = Duration::from_secs(10);
/// How often that is asked.
const GLANCE: Duration = Duration::from_millis(10);
/// The bits of `srv_admin_state` with which a server gets no new request: forced, inherited, resolver's and hostname
/// maintenance, forced and inherited drain; management.txt of HAProxy 2.6, "show servers state".
const OUT: u32 = 0x01 | 0x02 | 0x20 | 0x40 | 0x08 | 0x10;
/// `srv_op_state` of a server that is up.
const RUNNING: u32 = 2;

/// Two servers of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Haproxy {
    /// The runtime socket; of level `admin`.
    pub socket: PathBuf,
    /// The backend.
    pub backend: String,
    /// The servers, in the order of the sides.
    pub servers: [String; 2],
    /// The file that HAProxy reads at its start, as `server-state-file` names it.
    pub state_file: Option<PathBuf>,
}

/// A server as the socket tells it.
struct Server {
    name: String,
    operation: u32,
    administration: u32,
}

impl Server {
    fn is_in(&self) -> bool {
        self.administration & OUT == 0
    }
}

impl Haproxy {
    fn tell(&self, line: &str, cx: &Context) -> Result<String, FrontError> {
        let socket = cx.resolve(&self.socket);
        let told = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            stream.write_all(format!("{line}\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        told().map_err(|error| FrontError::Silent(format!("{}: {error}", socket.display())))
    }

    /// The two servers, in the order of the sides.
    fn servers(&self, cx: &Context) -> Result<[Server; 2], FrontError> {
        let answer = self.tell(&format!("show servers state {}", self.backend), cx)?;
        let mut all: Vec<Server> = answer.lines().filter_map(server).collect();
        let mut find = |name: &String| {
            let at = all.iter().position(|one| &one.name == name);
            at.map(|at| all.swap_remove(at)).ok_or_else(|| {
                let said = answer.lines().next().unwrap_or_default();
                FrontError::Neither(format!(
                    "{} has no server {}/{name} ({said})",
                    self.socket.display(),
                    self.backend
                ))
            })
        };
        let [one, two] = &self.servers;
        Ok([find(one)?, find(two)?])
    }

    fn set(&self, server: &str, state: &str, side: &Side, cx: &Context) -> Result<(), FrontError> {
        let answer = self.tell(&format!("set server {}/{server} state {state}", self.backend), cx)?;
        match answer.trim() {
            "" => Ok(()),
            said => Err(FrontError::Refused {
                side: side.name.clone(),
                why: format!("{}/{server} could not be set to {state}: {said}", self.backend),
            }),
        }
    }
}

/// A line of `show servers state`: `be_id`, `be_name`, `srv_id`, `srv_name`, `srv_addr`, `srv_op_state`, `srv_admin_state` and more.
fn server(line: &str) -> Option<Server> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    Some(Server {
        name: (*fields.get(3)?).to_owned(),
        operation: fields.get(5)?.parse().ok()?,
        administration: fields.get(6)?.parse().ok()?,
    })
}

impl Driver for Haproxy {
    fn describe(&self) -> String {
        format!("backend {} of HAProxy", self.backend)
    }

    fn serves(&self, _sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError> {
        let [one, two] = self.servers(cx)?;
        Ok(match (one.is_in(), two.is_in()) {
            (true, false) => Serving::Side(0),
            (false, true) => Serving::Side(1),
            (true, true) => Serving::Both(format!(
                "{} and {} are both ready in backend {}",
                one.name, two.name, self.backend
            )),
            (false, false) => Serving::Neither(format!(
                "{} and {} are both out of backend {}",
                one.name, two.name, self.backend
            )),
        })
    }

    fn switch(&self, to: usize, sides: &[Side; 2], cx: &Context) -> Result<(), FrontError> {
        let (Some(side), Some(server), Some(other)) = (sides.get(to), self.servers.get(to), self.servers.get(1 - to))
        else {
            return Ok(());
        };
        self.set(server, "ready", side, cx)?;
        let begun = cx.clock.steady();
        loop {
            let is_up = self.servers(cx)?.get(to).is_some_and(|one| one.operation == RUNNING);
            if is_up {
                break;
            }
            if cx.clock.steady().saturating_sub(begun) >= UP_LIMIT {
                self.set(server, "maint", side, cx)?;
                return Err(FrontError::Refused {
                    side: side.name.clone(),
                    why: format!(
                        "HAProxy's own health check does not find {}/{server} up; it was taken out again, and {other} serves as \
                         before",
                        self.backend
                    ),
                });
            }
            cx.clock.sleep(GLANCE);
        }
        // Drained servers still get visitors whose cookie names them, so the other is taken out; what it is answering ends.
        self.set(other, "maint", side, cx)?;
        if let Some(file) = &self.state_file {
            let state = self.tell("show servers state", cx)?;
            disk::write_whole(&cx.resolve(file), state.as_bytes())?;
        }
        Ok(())
    }
}
