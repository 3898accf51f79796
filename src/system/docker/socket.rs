//! One engine's socket: requests to its API, over HTTP/1.1, each with the wish to stop and a deadline.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method, Response, Upgraded};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use url::Url;

use super::frames::Frames;
use crate::clock::Clock;
use crate::http::{self, Trust};
use crate::runtime;
use crate::stop::Stop;

/// The versions of the API that guard knows. An engine whose own are all older or all newer is asked by `docker`, which says so.
const OLDEST: (u32, u32) = (1, 24);
const NEWEST: (u32, u32) = (1, 51);
/// No answer that is kept whole is longer: the same as of a program.
const LONGEST: usize = 64 * 1024 * 1024;
/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a piece of a stream is at least, in bytes, and how many are read ahead. Guesses.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;
/// How many questions are asked side by side. A guess: an engine answers each in a millisecond or two.
const LANES: usize = 16;
/// The greeting is answered by an engine that does nothing else any more; one that does not is left to `docker`.
const GREETING: Duration = Duration::from_secs(10);

/// An engine that is reached through a socket of this host. Its calls block, and have to be made outside of a runtime's own
/// threads.
pub(super) struct Socket {
    /// Where it is.
    pub(super) path: PathBuf,
    client: Client,
    runtime: Owned,
    /// As in the address of a request: `v1.41`.
    version: String,
}

/// What ends a wait: the wish to stop, and a limit by this clock.
#[derive(Clone, Copy)]
pub(super) struct Until<'u> {
    pub(super) clock: &'u dyn Clock,
    pub(super) stop: &'u Stop,
}

/// A runtime that may be dropped anywhere, also on one of another runtime's threads.
struct Owned(Option<Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A request: what is asked, and how long the answer may take.
#[derive(Debug, Clone)]
pub(super) struct Request {
    method: Method,
    /// The parts of its path, each as it is: `["containers", "0a1b", "json"]`.
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    limit: Option<Duration>,
    upgrades: bool,
}

impl Request {
    fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(|&part| part.to_owned()).collect(),
            query: Vec::new(),
            body: None,
            limit: None,
            upgrades: false,
        }
    }

    /// Asks for something.
    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Asks to do something.
    pub(super) fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// Asks to remove something.
    pub(super) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With this parameter.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With this body.
    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Which may take so long.
    pub(super) fn within(mut self, limit: Option<Duration>) -> Self {
        self.limit = limit;
        self
    }

    /// After which the connection itself is talked over.
    pub(super) fn upgrading(mut self) -> Self {
        self.upgrades = true;
        self
    }

    /// As it is named in messages: `POST /containers/0a1b/start`.
    pub(super) fn words(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

/// What an engine answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP's.
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// Nothing answers here, or the answer broke off: `docker` may know better, and says why.
    Unheard,
    /// Somebody asked to stop.
    Stopped,
    /// It took this long.
    TimedOut(Duration),
    /// What came could not be taken.
    Refused(io::Error),
}

/// Why an engine is not asked through its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSocket {
    /// Nothing answers there now.
    Silent,
    /// What answers speaks no version that guard knows.
    Unknown,
}

impl Socket {
    /// The engine behind a socket.
    ///
    /// # Errors
    /// Nothing answers there, or nothing that guard knows.
    pub(super) fn open(path: &Path, until: Until<'_>) -> Result<Self, NoSocket> {
        // Without this, each question to an engine that is down would begin threads.
        std::os::unix::net::UnixStream::connect(path).map_err(|_| NoSocket::Silent)?;
        let client = http::client(Trust::Nobody)
            .ok()
            .and_then(|client| client.unix_socket(path).build().ok());
        let client = client.ok_or(NoSocket::Unknown)?;
        let runtime = Owned(Some(runtime::begin().map_err(|_| NoSocket::Silent)?));
        let mut socket = Self {
            path: path.to_owned(),
            client,
            runtime,
            version: String::new(),
        };
        let greeting = Request::get(&["_ping"]).within(Some(GREETING));
        let told = socket.wait(until, greeting.limit, async {
            let response = socket.send(&greeting).await?;
            let told = response.headers().get("api-version");
            Ok(told.and_then(|version| version.to_str().ok()).map(str::to_owned))
        });
        let told = told.map_err(|_| NoSocket::Silent)?.ok_or(NoSocket::Unknown)?;
        let theirs = version(&told).filter(|theirs| *theirs >= OLDEST);
        let theirs = theirs.ok_or(NoSocket::Unknown)?;
        let (major, minor) = theirs.min(NEWEST);
        socket.version = format!("v{major}.{minor}");
        // An engine may have left this version behind: it refuses then whatever is asked.
        let known = socket.ask(until, &Request::get(&["version"]).within(Some(GREETING)));
        match known.map_err(|_| NoSocket::Silent)?.status {
            200 => Ok(socket),
            _ => Err(NoSocket::Unknown),
        }
    }

    /// Whether a program in a container can be given variables: from version 1.25 on.
    pub(super) fn takes_variables(&self) -> bool {
        self.version != "v1.24"
    }

    /// Asks, and keeps the answer whole.
    pub(super) fn ask(&self, until: Until<'_>, request: &Request) -> Result<Answer, Silence> {
        self.wait(until, request.limit, self.answer(request))
    }

    /// Asks all of these side by side, and keeps the answers in their order.
    pub(super) fn ask_all(&self, until: Until<'_>, requests: &[Request]) -> Result<Vec<Answer>, Silence> {
        let mut answers = Vec::with_capacity(requests.len());
        for few in requests.chunks(LANES) {
            let limit = few.iter().filter_map(|request| request.limit).max();
            let asked = few.iter().map(|request| self.answer(request));
            answers.extend(self.wait(until, limit, all_of(asked.collect()))?);
        }
        Ok(answers)
    }

    /// Asks, and hands on what comes of a stream of frames, or of bytes where `is_plain`, as it comes. An answer that refuses is
    /// returned.
    pub(super) fn stream(
        &self,
        until: Until<'_>,
        request: &Request,
        is_plain: bool,
        sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<Answer, Silence> {
        self.wait(until, request.limit, async {
            let response = self.send(request).await?;
            let status = response.status().as_u16();
            let is_refusal = status >= 300;
            let (give, mut take) = mpsc::channel(PIECES);
            // Ends the reading wherever this wait is left.
            let _reading = Task(tokio::spawn(gathered(response, is_plain || is_refusal, give)));
            let mut body = Vec::new();
            while let Some(piece) = take.recv().await {
                let piece = piece?;
                if is_refusal {
                    body.extend_from_slice(&piece);
                } else if !piece.is_empty() {
                    sink(&piece).map_err(Silence::Refused)?;
                }
            }
            Ok(Answer { status, body })
        })
    }

    /// Asks, and then talks over the connection itself: gives what `given` holds, and hands on what comes, with whether it was
    /// written to standard error. An answer that refuses is returned, and nothing was given then.
    pub(super) fn talk(
        &self,
        until: Until<'_>,
        request: &Request,
        given: mpsc::Receiver<io::Result<Vec<u8>>>,
        take: &mut (dyn FnMut(bool, &[u8]) -> io::Result<()> + Send),
    ) -> Result<Answer, Silence> {
        self.wait(until, request.limit, async {
            let response = self.send(request).await?;
            if response.status().as_u16() != 101 {
                return kept(response).await;
            }
            let line = response.upgrade().await.map_err(|_| Silence::Unheard)?;
            let (reader, writer) = tokio::io::split(line);
            let (give, mut pieces) = mpsc::channel(PIECES);
            let failed = give.clone();
            // Both end wherever this wait is left, and the line with them.
            let _reading = Task(tokio::spawn(heard(reader, give)));
            let _writing = Task(tokio::spawn(told(writer, given, failed)));
            while let Some(piece) = pieces.recv().await {
                match piece? {
                    Piece::Part(is_error, bytes) => take(is_error, &bytes).map_err(Silence::Refused)?,
                    Piece::End => break,
                }
            }
            Ok(Answer {
                status: 101,
                body: Vec::new(),
            })
        })
    }

    async fn answer(&self, request: &Request) -> Result<Answer, Silence> {
        kept(self.send(request).await?).await
    }

    async fn send(&self, request: &Request) -> Result<Response, Silence> {
        // The host's name is not looked up: the way there is the socket.
        let address = Url::parse("http://localhost/").ok().and_then(|mut address| {
            let mut parts = address.path_segments_mut().ok()?;
            parts.clear();
            parts.extend(Some(&self.version).filter(|version| !version.is_empty()));
            // An image's name has slashes, which are parts of the path.
            parts.extend(request.path.iter().flat_map(|part| part.split('/')));
            drop(parts);
            if !request.query.is_empty() {
                address.query_pairs_mut().extend_pairs(&request.query);
            }
            Some(address)
        });
        let address = address.ok_or(Silence::Unheard)?;
        let mut call = self.client.request(request.method.clone(), address);
        if request.upgrades {
            call = call.header("connection", "Upgrade").header("upgrade", "tcp");
        }
        if let Some(body) = &request.body {
            call = call.header("content-type", "application/json").body(body.to_string());
        } else if request.method == Method::POST {
            call = call.header("content-length", "0");
        }
        call.send().await.map_err(|_| Silence::Unheard)
    }

    /// Waits for an answer, no longer than it may take or guard may go on.
    fn wait<T>(
        &self,
        until: Until<'_>,
        limit: Option<Duration>,
        answer: impl Future<Output = Result<T, Silence>>,
    ) -> Result<T, Silence> {
        let runtime = self.runtime.0.as_ref().ok_or(Silence::Unheard)?;
        let begun = until.clock.steady();
        let late = async {
            loop {
                tokio::time::sleep(TICK).await;
                if until.stop.is_asked() {
                    return Silence::Stopped;
                }
                if let Some(limit) = limit.filter(|limit| until.clock.steady().saturating_sub(begun) >= *limit) {
                    return Silence::TimedOut(limit);
                }
            }
        };
        runtime.block_on(async {
            tokio::select! {
                answer = answer => answer,
                why = late => Err(why),
            }
        })
    }
}

/// A task that ends when this is dropped.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads an answer in pieces of some size. An engine sends each line of a log by itself: with each of them handed from thread to
/// thread a long log would take minutes on a busy machine.
async fn gathered(mut response: Response, is_plain: bool, give: mpsc::Sender<Result<Vec<u8>, Silence>>) {
    let mut frames = Frames::default();
    let mut piece = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) if is_plain => piece.extend_from_slice(&bytes),
            Ok(Some(bytes)) => piece.extend(frames.take(&bytes)),
            Ok(None) => break,
            Err(_) => {
                // What came before is told; nobody waits any more where that fails.
                let _told = give.send(Ok(piece)).await;
                let _told = give.send(Err(Silence::Unheard)).await;
                return;
            }
        }
        if piece.len() >= PIECE && give.send(Ok(std::mem::take(&mut piece))).await.is_err() {
            return;
        }
    }
    let _told = give.send(Ok(piece)).await;
}

/// What comes over a line that is talked over.
enum Piece {
    /// A part of standard error where the flag is set, else of standard output.
    Part(bool, Vec<u8>),
    /// The other side has nothing more to say.
    End,
}

/// Keeps an answer whole.
async fn kept(mut response: Response) -> Result<Answer, Silence> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|_| Silence::Unheard)? {
        body.extend_from_slice(&bytes);
        if body.len() > LONGEST {
            return Err(Silence::Refused(io::Error::other("the engine wrote more than 64 MiB")));
        }
    }
    Ok(Answer { status, body })
}

/// Reads a line to its end, frame by frame.
async fn heard(mut reader: ReadHalf<Upgraded>, give: mpsc::Sender<Result<Piece, Silence>>) {
    let mut frames = Frames::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match reader.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => count,
            Err(_) => {
                // Nobody waits any more where that fails.
                let _told = give.send(Err(Silence::Unheard)).await;
                return;
            }
        };
        let mut parts: Vec<(bool, Vec<u8>)> = Vec::new();
        frames.each(
            buffer.get(..count).unwrap_or_default(),
            &mut |is_error, part| match parts.last_mut() {
                Some((kind, bytes)) if *kind == is_error => bytes.extend_from_slice(part),
                _ => parts.push((is_error, part.to_vec())),
            },
        );
        for (is_error, bytes) in parts {
            if give.send(Ok(Piece::Part(is_error, bytes))).await.is_err() {
                return;
            }
        }
    }
    let _told = give.send(Ok(Piece::End)).await;
}

/// Writes to a line what is given, and closes that half of it at the end. Where what is given breaks off, all of it ends.
async fn told(
    mut writer: WriteHalf<Upgraded>,
    mut given: mpsc::Receiver<io::Result<Vec<u8>>>,
    failed: mpsc::Sender<Result<Piece, Silence>>,
) {
    while let Some(piece) = given.recv().await {
        match piece {
            // A program that ends before it has read all tells why by its own exit code.
            Ok(bytes) if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() => return,
            Ok(_) => {}
            Err(error) => {
                let _told = failed.send(Err(Silence::Refused(error))).await;
                return;
            }
        }
    }
    let _closed = writer.shutdown().await;
}

/// Waits for all of them at once; the first that fails ends the wait.
async fn all_of<T>(waiting: Vec<impl Future<Output = Result<T, Silence>>>) -> Result<Vec<T>, Silence> {
    let mut waiting: Vec<_> = waiting.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|task| {
        let mut is_open = false;
        for (one, place) in waiting.iter_mut().zip(&mut done) {
            if place.is_some() {
                continue;
            }
            match one.as_mut().poll(task) {
                std::task::Poll::Ready(Ok(value)) => *place = Some(value),
                std::task::Poll::Ready(Err(why)) => return std::task::Poll::Ready(Err(why)),
                std::task::Poll::Pending => is_open = true,
            }
        }
        if is_open {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(Ok(()))
        }
    })
    .await?;
    Ok(done.into_iter().flatten().collect())
}

/// `1.41`, as two numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
