//! Customers: requests against the shop while guard works, and the count of those that got no right answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Count {
    /// Right answers.
    pub answered: u32,
    /// Anything else.
    pub lost: u32,
    /// The longest time without a right answer.
    pub longest: Duration,
}

/// Requests that go on until they are counted.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Count>,
}

impl Traffic {
    /// Begins to ask for the shop's users, some ten times a second.
    pub fn begin(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (host, asked) = (url.trim_start_matches("http://").to_owned(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut count = Count::default();
            let mut last = Instant::now();
            while !asked.load(Ordering::SeqCst) {
                if is_answered(&host).unwrap_or(false) {
                    count.answered += 1;
                    last = Instant::now();
                } else {
                    count.lost += 1;
                    count.longest = count.longest.max(last.elapsed());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            count
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub fn count(self) -> Count {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn is_answered(host: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "GET /users HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200") && answer.contains("created_at"))
}
