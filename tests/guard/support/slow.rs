//! What stands before a real S3 server as a slow network does: each request and each answer takes its time, and where it is asked
//! too much at once it says `SlowDown`. It counts what is in flight.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Each way.
const DELAY: Duration = Duration::from_millis(20);

/// The way; its threads end with the process.
pub struct SlowWay {
    port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    in_flight: AtomicUsize,
    most: AtomicUsize,
    requests: AtomicUsize,
    /// Those of them that read an object.
    reads: AtomicUsize,
    /// More than so many at once are refused; 0: any number.
    bears: AtomicUsize,
    refused: AtomicUsize,
}

impl SlowWay {
    /// Before the server at this port.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let counts: Arc<Counts> = Arc::default();
        let shared = Arc::clone(&counts);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let counts = Arc::clone(&shared);
                // A client may let go at any time.
                std::thread::spawn(move || client.and_then(|client| serve(&client, port, &counts)));
            }
        });
        Self { port: own, counts }
    }

    /// Where it answers.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Refuses what comes while so many others are in flight.
    pub fn bear(&self, count: usize) {
        self.counts.bears.store(count, Ordering::SeqCst);
    }

    /// The most requests that were in flight at once since this was asked before.
    pub fn most(&self) -> usize {
        self.counts.most.swap(0, Ordering::SeqCst)
    }

    /// How many requests came since this was asked before.
    pub fn requests(&self) -> usize {
        self.counts.requests.swap(0, Ordering::SeqCst)
    }

    /// How many requests for the content of an object came since this was asked before.
    pub fn reads(&self) -> usize {
        self.counts.reads.swap(0, Ordering::SeqCst)
    }

    /// How many were refused since this was asked before.
    pub fn refused(&self) -> usize {
        self.counts.refused.swap(0, Ordering::SeqCst)
    }
}

/// Hands on one request after the other, each over a connection of its own.
fn serve(client: &TcpStream, port: u16, counts: &Counts) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client.try_clone()?);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let now = counts.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(now, Ordering::SeqCst);
        counts.requests.fetch_add(1, Ordering::SeqCst);
        if head.starts_with("GET ") && !head.lines().next().is_some_and(|line| line.contains('?')) {
            counts.reads.fetch_add(1, Ordering::SeqCst);
        }
        let mut body = vec![0; length];
        let read = reader.read_exact(&mut body);
        let bears = counts.bears.load(Ordering::SeqCst);
        let answer = read.and_then(|()| {
            std::thread::sleep(DELAY);
            if bears > 0 && now > bears {
                counts.refused.fetch_add(1, Ordering::SeqCst);
                return Ok(refusal());
            }
            let mut server = TcpStream::connect(("127.0.0.1", port))?;
            write!(server, "{head}Connection: close\r\n\r\n")?;
            server.write_all(&body)?;
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            Ok(answer)
        });
        std::thread::sleep(DELAY);
        counts.in_flight.fetch_sub(1, Ordering::SeqCst);
        reader.get_mut().write_all(&answer?)?;
        // The server has said that it closes, and so does this.
        reader.get_mut().shutdown(Shutdown::Write)?;
    }
}

fn refusal() -> Vec<u8> {
    let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let length = text.len();
    format!("HTTP/1.1 503 Slow Down\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}").into_bytes()
}
