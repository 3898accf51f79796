//! The HTTP client that all of guard asks with: HTTP/1.1, no proxy and no redirect but what its user adds.

use std::path::{Path, PathBuf};

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

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
