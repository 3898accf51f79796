//! `slack`, `webhook`: one POST over HTTPS, no redirects, no proxy, to an address that is looked at when it is connected to.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use url::Url;

use super::address::{Forbidden, Resolver, Standing, check, literal, standing};
use super::way::{Kind, Trouble, Way};
use super::words;
use guard_model::notice::Notice;
use guard_model::secret::Secret;
use guard_model::section::Section;
use guard_model::text::{sanitised, shortened};
use guard_system::context::Context;
use guard_system::http::{self, Trust};

pub(super) const SLACK: Kind = Kind {
    key: "slack",
    about: "Slack's incoming webhook, and what takes the same form",
    build: |section| build(section, words::slack),
};

pub(super) const WEBHOOK: Kind = Kind {
    key: "webhook",
    about: "a POST of the notice as JSON",
    build: |section| build(section, words::plain_json),
};

/// How much of a refusal is told, in characters.
const REFUSAL: usize = 120;

struct Post {
    text: Secret,
    url: Url,
    form: fn(&Notice) -> Value,
    allows_private: bool,
    bearer_env: Option<String>,
    ca_file: Option<PathBuf>,
}

fn build(section: &mut Section<'_>, form: fn(&Notice) -> Value) -> Option<Arc<dyn Way>> {
    let allows_private = section.flag("allow_private").unwrap_or(false);
    let bearer_env = section.text("bearer_env");
    let ca_file = section.path("ca_file");
    let text = section.required_text("url")?;
    // The text is in no message: whoever has it can post.
    let hint = Some("`https://…`; plain http only on this machine itself, and with `allow_private = true`".to_owned());
    let Ok(url) = Url::parse(&text) else {
        section.problem("url", "is not an address", hint);
        return None;
    };
    let is_here = match literal(&url) {
        Some(address) => address.is_loopback(),
        None => url.host_str() == Some("localhost"),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here && allows_private) {
        section.problem("url", "has to be https, because the address itself is a secret", hint);
        return None;
    }
    if let Some(Err(error)) = literal(&url).map(|address| check(address, allows_private)) {
        section.problem("url", error.to_string(), None);
        return None;
    }
    Some(Arc::new(Post {
        text: Secret::new(text),
        url,
        form,
        allows_private,
        bearer_env,
        ca_file,
    }))
}

#[async_trait]
impl Way for Post {
    async fn tell(&self, notice: &Notice, cx: &Context) -> Result<(), Trouble> {
        let client = self.client(cx)?;
        let mut request = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body((self.form)(notice).to_string());
        if let Some(name) = &self.bearer_env {
            let missing = || Trouble::lasting(format!("the variable {name} is not set, or is no header"));
            let token = cx.environment.text(name).ok_or_else(missing)?;
            cx.redaction.learn(token);
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| missing())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(|error| trouble(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status.is_redirection() {
            return Err(Trouble::lasting(format!(
                "{}, a redirect, which is not followed",
                status.as_u16()
            )));
        }
        let said = response.chunk().await.ok().flatten().unwrap_or_default();
        let said = String::from_utf8_lossy(said.get(..said.len().min(4 * REFUSAL)).unwrap_or_default()).into_owned();
        let why = shortened(
            &sanitised(format!("{} {}", status.as_u16(), said.trim()).trim()),
            REFUSAL,
        );
        let is_passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        Err(Trouble {
            why,
            is_lasting: !is_passing,
        })
    }

    fn describe(&self) -> String {
        format!("POST to {}", self.url.host_str().unwrap_or_default())
    }

    fn secrets(&self) -> Vec<&str> {
        // Without the path, the address is only a host's name, which is in logs anyway.
        if self.url.path().len() > 1 || self.url.query().is_some() {
            vec![self.text.expose(), self.url.path()]
        } else {
            Vec::new()
        }
    }
}

impl Post {
    fn client(&self, cx: &Context) -> Result<Client, Trouble> {
        let file = self.ca_file.as_deref().map(|path| cx.resolve(path));
        http::client(Trust::of(self.url.scheme(), file.as_deref()))
            .map_err(|error| Trouble::lasting(error.to_string()))?
            .user_agent(concat!("guard/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(0)
            .dns_resolver(Resolver {
                allows_private: self.allows_private,
            })
            .build()
            .map_err(|_| Trouble::lasting("could not make ready for TLS: are the system's certificates there?"))
    }
}

/// What went wrong on the way, without the address.
fn trouble(error: &reqwest::Error) -> Trouble {
    let mut causes: Vec<&(dyn Error + 'static)> = vec![error];
    while let Some(cause) = causes.last().copied().and_then(Error::source) {
        causes.push(cause);
    }
    if let Some(forbidden) = causes.iter().find_map(|cause| cause.downcast_ref::<Forbidden>()) {
        debug_assert_ne!(standing(forbidden.0), Standing::Public);
        return Trouble::lasting(forbidden.to_string());
    }
    // The outermost two tell where to; the innermost tells what.
    let why = causes.iter().skip(1).last().map(ToString::to_string);
    Trouble::passing(shortened(
        &sanitised(&why.unwrap_or_else(|| "no answer".to_owned())),
        REFUSAL,
    ))
}
