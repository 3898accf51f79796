//! Requests to S3-compatible storage, over HTTP/1.1, by path: signed, tried a few times, each with a deadline.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::address::Address;
use super::answers::is_error;
use super::error::{RemoteError, Result};
use super::lanes::{Lane, Lanes};
use super::setback::{Setback, SetbackKind};
use super::sign::{self, Credentials, Request};
use crate::context::Context;
use crate::disk::sha256_hex;
use crate::http::{self, Trust};

/// What a body is taken to need at least, in bytes for a second. A guess.
const SLOWEST: u64 = 100_000;
/// No answer that is text is longer.
pub(super) const LONGEST: u64 = 64 * 1024 * 1024;

/// A bucket, asked by futures: any number of requests at once, of which so many are in flight as the storage bears.
pub struct Requests {
    client: Client,
    /// Scheme, host and port.
    endpoint: url::Url,
    pub(super) name: String,
    region: String,
    who: Credentials,
    pub(super) cx: Context,
    patience: Patience,
    /// When it ends, by the clock that only goes forward.
    until: Option<Duration>,
    /// How many requests it bears at once.
    pub(super) lanes: Arc<Lanes>,
}

/// How long a storage is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// So often is a request tried that may pass.
    pub tries: u32,
    /// How long an answer may take that holds little; what is longer gets time by its length beside it.
    pub answer: Duration,
    /// All requests together.
    pub whole: Option<Duration>,
}

impl Patience {
    /// Of a person who asked for it.
    pub const ASKED: Self = Self {
        tries: 3,
        answer: Duration::from_secs(30),
        whole: None,
    };

    /// At the end of a run, where nobody waits for the copy: a storage that does not answer costs one answer's time.
    #[must_use]
    pub const fn after_run(whole: Duration) -> Self {
        Self {
            tries: 1,
            answer: Duration::from_secs(10),
            whole: Some(whole),
        }
    }
}

/// A request without its signature.
#[derive(Default)]
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) key: &'a str,
    pub(super) query: Vec<(&'a str, String)>,
    pub(super) body: Bytes,
    pub(super) only_new: bool,
    /// Further headers, by their names in lower case; they are signed.
    pub(super) headers: Vec<(&'a str, String)>,
    /// Bytes that the answer may have, for its deadline.
    pub(super) expects: u64,
    /// Whether the storage begins its answer before it has done the work, and may tell an error in it that says 200.
    pub(super) answers_early: bool,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) text: Vec<u8>,
}

/// An answer whose body has not been read yet. Its request is in flight while it is there.
pub(super) struct Reply {
    pub(super) response: Response,
    _lane: Lane,
}

impl Requests {
    /// Makes ready; nothing is asked yet.
    ///
    /// # Errors
    /// TLS cannot be made ready.
    pub(super) fn open(address: &Address, who: Credentials, cx: &Context) -> Result<Self> {
        cx.redaction.learn(who.secret_key.expose());
        let trust = Trust::of(address.endpoint.scheme(), address.ca_file.as_deref());
        let mut builder = http::client(trust).map_err(|error| {
            let file = address.ca_file.as_deref().unwrap_or_else(|| Path::new(""));
            RemoteError::new(format!("could not use {}", file.display()), error.to_string())
        })?;
        if let Some(proxy) = &address.proxy {
            let proxy = reqwest::Proxy::all(proxy.as_str())
                .map_err(|error| RemoteError::new("could not use the proxy", error.to_string()))?;
            builder = builder.proxy(proxy);
        }
        let client = builder
            .build()
            .map_err(|error| RemoteError::new("could not make ready for TLS", error.to_string()))?;
        Ok(Self {
            client,
            endpoint: address.endpoint.clone(),
            name: address.bucket.clone(),
            region: address.region.clone(),
            who,
            cx: cx.clone(),
            patience: Patience::ASKED,
            until: None,
            lanes: Lanes::new(),
        })
    }

    /// The same, which is waited for so long, from now on.
    pub(super) fn with(mut self, patience: Patience) -> Self {
        self.until = patience.whole.map(|whole| self.cx.clock.steady() + whole);
        self.patience = patience;
        self
    }

    /// Waits until so many bytes that are to be sent may be in memory beside those of other requests; they may be until what is
    /// returned is dropped.
    pub async fn room(&self, bytes: u64) -> Room {
        Room(self.lanes.room(bytes).await)
    }
}

/// Memory for what is to be sent.
pub struct Room(#[expect(dead_code, reason = "held until it is dropped")] Option<OwnedSemaphorePermit>);

impl Requests {
    fn host(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        self.endpoint
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    pub(super) async fn send(&self, ask: &Ask<'_>) -> reqwest::Result<Reply> {
        let lane = self.lanes.enter().await;
        let path = sign::encoded(&format!("/{}/{}", self.name, ask.key), true);
        let sha256 = sha256_hex(&ask.body);
        let host = self.host();
        let request = Request {
            method: ask.method,
            host: &host,
            path: &path,
            query: &ask.query,
            sha256: &sha256,
            headers: &ask.headers,
        };
        let headers = sign::headers(&request, &self.who, &self.region, self.cx.clock.now());
        let mut address = format!("{}://{host}{path}", self.endpoint.scheme());
        if !ask.query.is_empty() {
            address = format!("{address}?{}", sign::query(&ask.query));
        }
        let method = reqwest::Method::from_bytes(ask.method.as_bytes()).unwrap_or(reqwest::Method::GET);
        let mut call = self.client.request(method, address);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        if ask.only_new {
            call = call.header("if-none-match", "*");
        }
        let most = ask.expects.max(ask.body.len() as u64) / SLOWEST;
        let time = self.patience.answer + Duration::from_secs(most);
        call = call.timeout(self.left().map_or(time, |left| time.min(left)));
        if matches!(ask.method, "PUT" | "POST") {
            call = call.body(ask.body.clone());
        }
        Ok(Reply {
            response: call.send().await?,
            _lane: lane,
        })
    }

    /// What is left of the patience for everything.
    fn left(&self) -> Option<Duration> {
        Some(self.until?.saturating_sub(self.cx.clock.steady()))
    }

    /// Tries until there is an answer that says something.
    pub(super) async fn tried<T>(
        &self,
        what: &str,
        mut once: impl AsyncFnMut() -> std::result::Result<T, Setback>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            if let Some(whole) = self.patience.whole.filter(|_| self.left() == Some(Duration::ZERO)) {
                let why = format!(
                    "{} are over, in which all of it had to be copied",
                    guard_model::text::duration(whole)
                );
                return Err(RemoteError::new(format!("could not {what}"), why));
            }
            let halved = self.lanes.halved();
            match once().await {
                Ok(value) => {
                    self.lanes.well();
                    return Ok(value);
                }
                Err(setback) => {
                    let is_slow = setback.kind == SetbackKind::Slow;
                    if is_slow {
                        self.lanes.slow_down(halved);
                    }
                    // One that is only asked too much gets more time; at the end of a run nine seconds, about as long as it is
                    // waited for one that does not answer.
                    let most = match (is_slow, self.patience.whole) {
                        (false, _) => self.patience.tries,
                        (true, None) => self.patience.tries * 3,
                        (true, Some(_)) => self.patience.tries.max(5),
                    };
                    if setback.kind == SetbackKind::Lasting || tries >= most || self.cx.stop.is_asked() {
                        return Err(RemoteError::new(
                            format!("could not {what}"),
                            self.cx.redaction.clean(&setback.why),
                        ));
                    }
                    // No lane is held meanwhile: others go on.
                    tokio::time::sleep(Duration::from_millis(300) * tries * tries).await;
                }
            }
        }
    }

    pub(super) async fn answer(&self, what: &str, ask: &Ask<'_>) -> Result<Answer> {
        let once = async || {
            let mut reply = self.send(ask).await.map_err(|error| Setback::unheard(&error))?;
            let response = &mut reply.response;
            let status = response.status();
            let etag = response
                .headers()
                .get("etag")
                .and_then(|etag| etag.to_str().ok())
                .map(str::to_owned);
            let mut text = Vec::new();
            while let Some(bytes) = response.chunk().await.map_err(|error| Setback::unheard(&error))? {
                text.extend_from_slice(&bytes);
                if text.len() as u64 > LONGEST {
                    return Err(Setback::lasting("the answer has no end"));
                }
            }
            let is_fine = status.is_success()
                || matches!(
                    status,
                    StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT
                );
            if ask.answers_early && status.is_success() && is_error(&text) {
                return Err(Setback::passing(status, &text));
            }
            if is_fine {
                return Ok(Answer { status, etag, text });
            }
            Err(Setback::of_answer(status, &text))
        };
        self.tried(what, once).await
    }
}
