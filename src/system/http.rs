//! The HTTP client that all of guard asks with: HTTP/1.1, no proxy and no redirect but what its user adds.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Method};
use url::Url;

use crate::disk::{self, DiskError};

/// Which authorities a client believes.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'t> {
    /// None, as no TLS is spoken: a host without a certificate store can still ask.
    Nobody,
    /// Those of the system.
    System,
    /// Those of the system, and those in this file, in PEM.
    With(&'t Path),
}

impl<'t> Trust<'t> {
    /// What is believed for an address of this scheme, with this file of further authorities.
    #[must_use]
    pub fn of(scheme: &str, file: Option<&'t Path>) -> Self {
        match file {
            _ if scheme == "http" => Self::Nobody,
            Some(file) => Self::With(file),
            None => Self::System,
        }
    }
}

/// Why the file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("{}: {}", .0, .0.source)]
    Disk(#[from] DiskError),
    /// There is none.
    #[error("the file {} is not there", .0.display())]
    Absent(PathBuf),
    /// It is something else.
    #[error("{} holds no certificates in PEM form", .0.display())]
    NoCertificates(PathBuf),
}

/// The beginning of a client that believes these authorities.
///
/// # Errors
/// The file of authorities cannot be used.
pub fn client(trust: Trust<'_>) -> Result<ClientBuilder, TrustError> {
    // Another part of the process may have chosen already; both are the same provider.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .http1_only()
        .redirect(Policy::none())
        .referer(false)
        .no_proxy();
    Ok(match trust {
        Trust::Nobody => builder.tls_certs_only(std::iter::empty()),
        Trust::System => builder,
        Trust::With(path) => {
            let pem = disk::read_optional(path)?.ok_or_else(|| TrustError::Absent(path.to_owned()))?;
            let authorities =
                Certificate::from_pem_bundle(&pem).map_err(|_| TrustError::NoCertificates(path.to_owned()))?;
            builder.tls_certs_merge(authorities)
        }
    })
}

/// The longest answer that [`ask`] reads, in bytes: what it is used for answers in a line or two.
const LONGEST: usize = 1 << 20;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Answered {
    /// The first value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.trim().to_owned())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why an address did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A client could not be made.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// What it needs of the kernel was refused.
    #[error(transparent)]
    Kernel(#[from] io::Error),
    /// No answer, or half of one.
    #[error(transparent)]
    Exchange(#[from] reqwest::Error),
    /// It is longer than a mebibyte.
    #[error("the answer is longer than 1 MiB")]
    TooLong,
}

/// Asks once over a connection of its own and waits for the answer; `body` is JSON. Not from inside of a runtime.
///
/// # Errors
/// There is no answer within `limit`, or it is too long.
pub fn ask(method: &str, url: &Url, body: Option<String>, limit: Duration) -> Result<Answered, AskError> {
    let builder = client(Trust::of(url.scheme(), None))?
        .timeout(limit)
        .pool_max_idle_per_host(0);
    let client = builder.build()?;
    // The current thread's: no thread is begun for it, but where a name has to be looked up.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut request = client.request(method.parse().unwrap_or(Method::GET), url.clone());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LONGEST {
                return Err(AskError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answered { status, body, headers })
    })
}
