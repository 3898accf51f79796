//! S3-compatible storage: one small client, for copies of backups and for objects that are a resource.

mod answers;
mod beside;
mod bucket;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod lanes;
mod objects;
mod parts;
mod sign;

use tokio::runtime::Handle;

pub use self::beside::Beside;
pub use self::http::{Bucket, Patience};
pub use self::lanes::Giver;
pub use self::objects::{Headers, Object, Source};
pub use self::parts::Unended;
pub use self::sign::Credentials;
use super::context::Context;
use super::disk::DiskError;

/// Why a storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct RemoteError {
    /// What could not be done.
    pub what: String,
    /// Why.
    pub why: String,
}

impl RemoteError {
    /// An error that says what was asked (`what`) and why it was not had (`why`).
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
        }
    }
}

impl From<DiskError> for RemoteError {
    fn from(error: DiskError) -> Self {
        Self::new(error.to_string(), error.source.to_string())
    }
}

/// What a question to a storage returns.
pub type Result<T> = std::result::Result<T, RemoteError>;

/// A place in a storage: `s3://BUCKET/PREFIX` at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; empty or ending with `/`.
    pub prefix: String,
    /// Scheme, host and port.
    pub endpoint: url::Url,
    /// The region, which is part of a signature.
    pub region: String,
    /// A file with further certificate authorities, in PEM.
    pub ca_file: Option<std::path::PathBuf>,
    /// The proxy through which it is asked: `http://host:3128`.
    pub proxy: Option<url::Url>,
}

impl Address {
    /// The address in an `s3://` URL; without an endpoint, Amazon's own of the region.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn of(url: &str, endpoint: Option<&str>, region: Option<&str>) -> std::result::Result<Self, String> {
        let rest = url.strip_prefix("s3://").ok_or("it does not begin with s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_name) {
            return Err(format!("{bucket:?} is no name of a bucket"));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| part == "." || part == "..") {
            return Err("its prefix leads elsewhere".to_owned());
        }
        let region = region.unwrap_or("us-east-1").to_owned();
        let standard = format!("https://s3.{region}.amazonaws.com");
        let endpoint = url::Url::parse(endpoint.unwrap_or(&standard)).map_err(|error| error.to_string())?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host_str().is_none() {
            return Err("the endpoint is no http or https address".to_owned());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            endpoint,
            region,
            ca_file: None,
            proxy: None,
        })
    }
}

impl Bucket {
    /// Makes ready; nothing is asked yet.
    ///
    /// # Errors
    /// TLS cannot be made ready.
    pub fn open(address: &Address, who: Credentials, runtime: Handle, cx: &Context) -> Result<Self> {
        // Another part of the process may have chosen already; both are the same provider.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        cx.redaction.learn(who.secret_key.expose());
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        if address.endpoint.scheme() == "http" {
            // Without TLS there is nothing to trust, and a host without a certificate store can still ask.
            builder = builder.tls_certs_only(std::iter::empty());
        } else if let Some(path) = &address.ca_file {
            let unusable = |why: String| RemoteError::new(format!("could not use {}", path.display()), why);
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| unusable("it holds no certificate in PEM".to_owned()))?;
            builder = builder.tls_certs_merge(authorities);
        }
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
            runtime,
            cx: cx.clone(),
            patience: Patience::ASKED,
            until: None,
            lanes: lanes::Lanes::default(),
        })
    }

    /// Lets `give` hand out work that `act` does side by side, each piece by requests of its own, in as many lanes as this
    /// storage bears; what comes of it is taken in the order in which it was given. `lost` stands for what a bug took.
    pub fn side_by_side<J: Send, T: Send, R>(
        &self,
        act: &(dyn Fn(J) -> T + Sync),
        lost: &dyn Fn() -> T,
        give: impl FnOnce(&Giver<'_, J, T>) -> R,
    ) -> R {
        lanes::side_by_side(&self.lanes, act, lost, give)
    }

    /// The same, which is waited for so long, from now on.
    #[must_use]
    pub fn with(mut self, patience: Patience) -> Self {
        self.until = patience.whole.map(|whole| self.cx.clock.steady() + whole);
        self.patience = patience;
        self
    }
}
