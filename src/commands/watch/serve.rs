//! A small server for the board: `/` and `/metrics`, to this machine only, one answer a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::commands::watch::shared::Shared;
use guard_report::metrics::metrics;
use guard_report::page::page;

/// So many are served at once; who comes later waits.
const AT_ONCE: usize = 16;
/// How long one may take for its request and our answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const HEAD: usize = 8 * 1024;

/// Begins to serve; the address that is really listened on.
///
/// # Errors
/// A sentence: the address is not this machine's own, or it is taken.
pub(super) fn serve(address: SocketAddr, board: &Shared, runtime: &Handle) -> Result<SocketAddr, String> {
    if !address.ip().is_loopback() {
        return Err(format!(
            "{address} could be reached from elsewhere; the page is for this machine (127.0.0.1:PORT)"
        ));
    }
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(|error| format!("could not listen on {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    let board = Arc::clone(board);
    runtime.spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let board = Arc::clone(&board);
                    tokio::spawn(async move {
                        let _served = tokio::time::timeout(PATIENCE, answer(&stream, &board)).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: others give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(bound)
}

async fn answer(stream: &TcpStream, board: &Shared) -> io::Result<()> {
    let head = head(stream).await?;
    let (status, kind, body) = reply(&head, board);
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nX-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let body = if head.starts_with("HEAD ") { String::new() } else { body };
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body.as_bytes());
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn head(stream: &TcpStream) -> io::Result<String> {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    while !heard.windows(4).any(|four| four == b"\r\n\r\n") && heard.len() < HEAD {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

fn reply(head: &str, board: &Shared) -> (&'static str, &'static str, String) {
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let host = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("host:").map(str::to_owned));
    // A page elsewhere can lead a browser here under a name of its own; such a one is not answered.
    let is_here = is_of_this_machine(host.as_deref().map(str::trim).unwrap_or_default());
    let board = board.lock().unwrap_or_else(PoisonError::into_inner);
    match (method, path) {
        _ if !is_here => ("421 Misdirected Request", "text/plain", "ask 127.0.0.1\n".to_owned()),
        ("GET" | "HEAD", "/") => ("200 OK", "text/html", page(&board)),
        ("GET" | "HEAD", "/metrics") => ("200 OK", "text/plain; version=0.0.4", metrics(&board)),
        ("GET" | "HEAD", _) => ("404 Not Found", "text/plain", "/ and /metrics are here\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "GET\n".to_owned()),
    }
}

/// Whether a `Host` header names this machine itself: `localhost` or an address of the loopback, as a whole.
fn is_of_this_machine(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    is_bare
        && match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::is_of_this_machine;

    #[test]
    fn a_name_that_only_begins_like_this_machine_is_a_strangers() {
        for ours in [
            "localhost",
            "localhost:9000",
            "127.0.0.1:18977",
            "127.0.0.2",
            "[::1]:80",
            "LOCALHOST",
        ] {
            assert!(is_of_this_machine(ours), "{ours}");
        }
        for theirs in [
            "",
            "127.example",
            "localhost.example",
            "127.0.0.1.example",
            "example",
            "localhost@example",
            "192.0.2.1",
            "127.0.0.1/x",
        ] {
            assert!(!is_of_this_machine(theirs), "{theirs}");
        }
    }
}
