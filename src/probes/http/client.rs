//! The HTTP client of a probe: one fresh HTTP/1.1 connection per exchange, nothing remembered, nothing unpacked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Proxy};
use url::{Host, Url};

use guard_system::context::Context;
use guard_system::http::{self, Trust};

/// The name could not be resolved; found again in the chain of an error.
#[derive(Debug)]
pub(super) struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name cannot be resolved")
    }
}

impl std::error::Error for Unresolved {}

/// A redirect that is not followed, and why; found again in the chain of an error.
#[derive(Debug)]
pub(super) struct Strayed(pub(super) &'static str);

impl fmt::Display for Strayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Strayed {}

/// The system's resolver, its failures told from all others.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|_| Unresolved)?;
            let addresses: Vec<SocketAddr> = found.collect();
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// How a client asks.
pub(super) struct Manner {
    /// What is asked: its own machine is never asked through a proxy, and without TLS there is nothing to trust.
    pub(super) url: Url,
    /// How long the whole exchange may take.
    pub(super) timeout: Duration,
    /// How many redirects are followed.
    pub(super) redirects: usize,
    /// A file with further certificate authorities, in PEM.
    pub(super) ca_file: Option<PathBuf>,
    /// Whether it goes through the proxy that the environment names.
    pub(super) uses_proxy: bool,
}

/// Makes the client.
///
/// # Errors
/// A sentence: the authorities cannot be read, or the proxy is none.
pub(super) fn build(manner: &Manner, cx: &Context) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let file = manner.ca_file.as_deref().map(|path| cx.resolve(path));
    // A redirect may lead to TLS.
    let scheme = if manner.redirects == 0 {
        manner.url.scheme()
    } else {
        "https"
    };
    let mut builder = http::client(Trust::of(scheme, file.as_deref()))
        .map_err(|error| error.to_string())?
        .user_agent(concat!("guard/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .pool_max_idle_per_host(0)
        .dns_resolver(Resolver)
        .connect_timeout(connect_limit(manner.timeout))
        .redirect(redirects(manner.redirects));
    if manner.uses_proxy && !is_loopback(&manner.url) {
        builder = proxied(builder, cx)?;
    }
    builder.build().map_err(|error| {
        let cause = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("could not make ready for TLS: {cause}; install the package ca-certificates, or set `ca_file`")
    })
}

/// A little less than the whole, so that a connection that never comes is told from an answer that never comes.
fn connect_limit(whole: Duration) -> Duration {
    whole.mul_f64(0.95)
}

/// Redirects stay on the host, and never leave TLS.
fn redirects(most: usize) -> Policy {
    if most == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt| {
        let Some(first) = attempt.previous().first().cloned() else {
            return attempt.follow();
        };
        let next = attempt.url();
        if attempt.previous().len() > most {
            attempt.error(Strayed("too many redirects"))
        } else if next.host_str() != first.host_str() {
            attempt.error(Strayed("a redirect to another host"))
        } else if !matches!(
            (first.scheme(), next.scheme()),
            ("http", "http" | "https") | ("https", "https")
        ) {
            attempt.error(Strayed("a redirect to a lesser scheme"))
        } else {
            attempt.follow()
        }
    })
}

/// Whether the address is this machine's own: such a probe never goes through a proxy.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn proxied(mut builder: reqwest::ClientBuilder, cx: &Context) -> Result<reqwest::ClientBuilder, String> {
    let variable = |names: [&str; 2]| names.iter().find_map(|name| cx.environment.text(name));
    let exempt = variable(["no_proxy", "NO_PROXY"]).and_then(NoProxy::from_string);
    let bad = |_| "the proxy that the environment names is not a URL".to_owned();
    if let Some(url) = variable(["https_proxy", "HTTPS_PROXY"]) {
        builder = builder.proxy(Proxy::https(url).map_err(bad)?.no_proxy(exempt.clone()));
    }
    // HTTP_PROXY in capitals can come from a request's header in CGI; curl ignores it too.
    if let Some(url) = cx.environment.text("http_proxy") {
        builder = builder.proxy(Proxy::http(url).map_err(bad)?.no_proxy(exempt));
    }
    Ok(builder)
}
