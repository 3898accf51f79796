//! Copies of backups in S3-compatible storage: files by their content, manifests last; what is there is never overwritten.
//!
//! Below the prefix, `files/<sha256>` holds the content of files, once for all backups, and `backups/<timestamp>/` a manifest
//! and a verdict. guard never deletes there.

mod bucket;
mod http;
mod parts;
mod sign;
mod transfer;

use tokio::runtime::Handle;

use self::http::Bucket;
pub use self::sign::Credentials;
use super::StoreError;
use crate::model::artifact::FileEntry;
use crate::model::name::Timestamp;
use crate::system::context::Context;
use crate::system::disk::DiskError;

/// Why a copy elsewhere cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct RemoteError {
    /// What could not be done.
    pub what: String,
    /// Why.
    pub why: String,
}

impl RemoteError {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
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

impl From<StoreError> for RemoteError {
    fn from(error: StoreError) -> Self {
        Self::new("could not use the backup", error.to_string())
    }
}

type Result<T> = std::result::Result<T, RemoteError>;

/// Where copies are: `s3://BUCKET/PREFIX` at an endpoint.
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
        })
    }
}

/// What a copy came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that were not there yet.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A place for copies.
pub struct Remote {
    bucket: Bucket,
    prefix: String,
}

impl Remote {
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
        }
        let client = builder
            .build()
            .map_err(|error| RemoteError::new("could not make ready for TLS", error.to_string()))?;
        Ok(Self {
            bucket: Bucket {
                client,
                endpoint: address.endpoint.clone(),
                name: address.bucket.clone(),
                region: address.region.clone(),
                who,
                runtime,
                cx: cx.clone(),
            },
            prefix: address.prefix.clone(),
        })
    }

    fn file(&self, entry: &FileEntry) -> String {
        format!("{}files/{}", self.prefix, entry.sha256)
    }

    fn of(&self, timestamp: &Timestamp, name: &str) -> String {
        format!("{}backups/{timestamp}/{name}", self.prefix)
    }

    /// The backups that are there, by their names alone.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub fn list(&self) -> Result<Vec<Timestamp>> {
        let names = self.bucket.names(&format!("{}backups/", self.prefix))?;
        let mut found: Vec<Timestamp> = names.iter().filter_map(|name| name.parse().ok()).collect();
        found.sort();
        Ok(found)
    }
}
