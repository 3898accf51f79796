//! One question over HTTP and its answer, whole or cut, judged by what is expected.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};

use super::client::{self, Manner};
use super::expected::{Expected, Heard};
use super::failure;
use super::origin::Origin;
use crate::basics::{BODY, Basics, spoken};
use crate::connection::with_addresses;
use crate::{Expectation, Probe};
use guard_model::health::{Answer, Class, Outcome};
use guard_model::name::ProbeName;
use guard_model::text::sanitised;
use guard_system::context::Context;
use guard_system::disk;

/// So much of a failed answer is kept, in bytes …
const KEPT: usize = 4 * 1024;
/// … and that so often at most.
const KEPT_EACH: Duration = Duration::from_secs(15);
/// The most that the headers of an answer may hold, in bytes.
const HEADERS: usize = 32 * 1024;

/// A question over HTTP, and what a good answer to it is.
pub(super) struct Http {
    pub(super) basics: Basics,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, Origin)>,
    pub(super) expected: Expected,
    pub(super) manner: Manner,
    /// When the body of a failed answer was kept last.
    pub(super) kept: Mutex<Option<Duration>>,
    /// Made at the first reading. It keeps no connection, only its settings and the trusted certificates.
    pub(super) client: Mutex<Option<Client>>,
}

#[async_trait]
impl Probe for Http {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        let mut shown = self.manner.url.clone();
        // Name, password and query may be secret.
        let is_bare = shown.set_username("").is_ok() && shown.set_password(None).is_ok();
        shown.set_query(None);
        shown.set_fragment(None);
        if is_bare {
            format!("{} {shown}", self.method)
        } else {
            format!("{} {}", self.method, shown.path())
        }
    }

    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer {
        match tokio::time::timeout(self.basics.timeout, self.exchange(expectation, cx)).await {
            Ok(Ok(answer) | Err(answer)) => answer,
            Err(_) => self.basics.silent(),
        }
    }
}

impl Http {
    async fn exchange(&self, expectation: &Expectation, cx: &Context) -> Result<Answer, Answer> {
        let heard = self.ask(cx).await?;
        let answer = self.expected.judge(&heard, expectation, cx);
        if answer.outcome == Outcome::Failed && cx.run.is_some() {
            self.keep(&heard, &answer, cx);
        }
        Ok(answer)
    }

    /// Keeps the beginning of an answer that failed, the first one and then one now and then, for whoever asks why.
    fn keep(&self, heard: &Heard, answer: &Answer, cx: &Context) {
        let now = cx.clock.steady();
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if heard.body.is_empty() || kept.is_some_and(|kept| now.saturating_sub(kept) < KEPT_EACH) {
                return;
            }
            *kept = Some(now);
        }
        let body = String::from_utf8_lossy(heard.body.get(..heard.body.len().min(KEPT)).unwrap_or_default());
        // Foreign bytes, to be read by people: escaped line by line.
        let lines: Vec<String> = body.lines().map(sanitised).collect();
        let at = cx.clock.now().format("%Y-%m-%d %H:%M:%S UTC");
        let text = format!("{at} {}\n{}\n\n", answer.note, cx.redaction.clean(&lines.join("\n")));
        let path = cx.scratch.join(format!("answers-{}.txt", self.basics.name));
        tokio::task::spawn_blocking(move || {
            // What explains must not get in the way: a full disk has other witnesses.
            let _kept = disk::open_append(&path).map(|mut file| file.write_all(text.as_bytes()));
        });
    }

    /// Asks, and returns what was answered, whatever it is.
    pub(super) async fn ask(&self, cx: &Context) -> Result<Heard, Answer> {
        if let Some(password) = self.manner.url.password() {
            cx.redaction.learn(password);
        }
        let headers = self.request_headers(cx)?;
        let request = self
            .client(cx)?
            .request(self.method.clone(), self.manner.url.clone())
            .headers(headers);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let answer = failure::answer(&error, self.basics.timeout, cx);
                let port = self.manner.url.port_or_known_default().unwrap_or_default();
                return Err(with_addresses(answer, self.manner.url.host_str().unwrap_or_default(), port).await);
            }
        };
        self.listen(response, cx).await
    }

    /// Reads the answer's body, but never more than [`BODY`].
    async fn listen(&self, mut response: Response, cx: &Context) -> Result<Heard, Answer> {
        let status = response.status().as_u16();
        let size: usize = response
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if size > HEADERS {
            return Err(
                Answer::failed(Class::Body, format!("{status} with headers over 32 KiB")).with_number(status.into()),
            );
        }
        let mut body = Vec::new();
        let mut is_cut = false;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failure::answer(&error, self.basics.timeout, cx))?
        {
            let room = BODY - body.len();
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if chunk.len() > room {
                is_cut = true;
                break;
            }
        }
        Ok(Heard {
            status,
            headers: response.headers().clone(),
            body,
            is_cut,
        })
    }

    fn request_headers(&self, cx: &Context) -> Result<HeaderMap, Answer> {
        let mut headers = HeaderMap::new();
        for (name, origin) in &self.headers {
            let text = origin.read(cx)?;
            // The value itself must not be told: it may be a secret.
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| Answer::unknown(Class::NoData, format!("the value for the header {name} is not valid")))?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }

    fn client(&self, cx: &Context) -> Result<Client, Answer> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*kept {
            return Ok(client.clone());
        }
        let client = client::build(&self.manner, cx).map_err(|why| Answer::unknown(Class::NoData, spoken(cx, &why)))?;
        Ok(kept.insert(client).clone())
    }
}
