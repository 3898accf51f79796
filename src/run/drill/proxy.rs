//! A proxy between the probes and the application: it hands on, and by its mode answers 500 or waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use guard_system::disk;

/// How late an answer comes: longer than any probe waits by default.
const LATE: Duration = Duration::from_secs(15);
/// The most that the head of a request may hold, in bytes.
const HEAD: usize = 64 * 1024;

/// What the proxy goes by, both files in the run's directory.
#[derive(Debug, Clone)]
pub struct Manner {
    /// What it does: `errors`, `slow`; not there: it hands on.
    pub mode: PathBuf,
    /// There: it hands on, whatever the mode.
    pub lifted: PathBuf,
}

impl Manner {
    fn word(&self) -> String {
        if disk::exists(&self.lifted).unwrap_or(true) {
            return String::new();
        }
        disk::read_text_optional(&self.mode).ok().flatten().unwrap_or_default()
    }
}

/// Serves for ever: each connection carries one request, as those of probes do.
pub async fn serve(listener: TcpListener, url: Url, manner: Manner) {
    let counter = Arc::new(AtomicU64::new(0));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (url, manner, counter) = (url.clone(), manner.clone(), Arc::clone(&counter));
        // What becomes of one connection is seen by the probe.
        tokio::spawn(async move { hand_on(client, &url, &manner, &counter).await });
    }
}

async fn hand_on(mut client: TcpStream, url: &Url, manner: &Manner, counter: &AtomicU64) -> std::io::Result<()> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = end_of_head(&head) {
            break end;
        }
        if head.len() > HEAD || client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    match manner.word().as_str() {
        // The second, the fourth …: never two in a row.
        "errors" if counter.fetch_add(1, Ordering::SeqCst) % 2 == 1 => {
            let answer =
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 12\r\nConnection: close\r\n\r\nguard drill\n";
            client.write_all(answer).await?;
            return client.shutdown().await;
        }
        "slow" => tokio::time::sleep(LATE).await,
        _ => {}
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let mut server = TcpStream::connect((host, port)).await?;
    let (first, body) = head.split_at(end);
    server
        .write_all(rewritten(&String::from_utf8_lossy(first), url).as_bytes())
        .await?;
    server.write_all(body).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Where the head ends: behind its empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The head for the application: addressed to it, and the connection closed behind the answer.
fn rewritten(head: &str, url: &Url) -> String {
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut lines: Vec<String> = head
        .trim_end_matches("\r\n")
        .split("\r\n")
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_lowercase();
            !matches!(name.as_str(), "host" | "connection")
        })
        .map(str::to_owned)
        .collect();
    lines.push(format!("Host: {host}"));
    lines.push("Connection: close".to_owned());
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_addressed_to_the_application() {
        let url = Url::parse("http://app.internal:8080/health?x=1").unwrap();
        let head = "GET /health?x=1 HTTP/1.1\r\nhost: 127.0.0.1:9\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(end_of_head(head.as_bytes()), Some(head.len()));
        assert_eq!(
            rewritten(head, &url),
            "GET /health?x=1 HTTP/1.1\r\nAccept: */*\r\nHost: app.internal:8080\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\n"), None);
    }
}
