//! Which processes of this host listen at a port.

use std::collections::BTreeSet;
use std::path::Path;

/// What stands before a container's port on the host is the engine's, and not the service.
const ENGINES_OWN: &str = "docker-proxy";
/// The state of a socket that listens, in the kernel's tables.
const LISTENS: &str = "0A";

/// The processes that listen at this TCP port, whatever the address, as far as this user may see them; the engine's own are left
/// out.
#[must_use]
pub fn at_port(port: u16) -> Vec<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: BTreeSet<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|text| text.lines().filter_map(|line| socket(line, port)).collect::<Vec<_>>())
        .collect();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<u32> = numbers
        .filter(|pid| holds(*pid, &sockets) && !is_engines(*pid))
        .collect();
    found.sort_unstable();
    found
}

/// The link by which a socket of this line is known, where it listens at the port.
fn socket(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let at = fields.get(1)?.rsplit_once(':')?.1;
    let is_it = u16::from_str_radix(at, 16).ok()? == port && *fields.get(3)? == LISTENS;
    is_it.then(|| format!("socket:[{}]", fields.get(9).copied().unwrap_or_default()))
}

fn holds(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

fn is_engines(pid: u32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.file_name() == Path::new(ENGINES_OWN).file_name()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port_and_by_no_other() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(at_port(port), [std::process::id()]);
        drop(listener);
        assert_eq!(at_port(port), Vec::<u32>::new());
    }
}
