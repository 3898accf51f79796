//! TLS for probes that speak over a bare connection, and what is wrong with a certificate, each flaw a class of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::basics::spoken;
use super::connection::connection_failed;
use guard_model::health::{Answer, Class};
use guard_model::section::Section;
use guard_system::context::Context;
use guard_system::disk;

/// The contents of the files, and what was made of them.
type Made = (Vec<Vec<u8>>, Arc<ClientConfig>);

/// How a probe speaks TLS.
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    server_name: Option<String>,
    identity: Option<(PathBuf, PathBuf)>,
    /// What was made of the files, and what they were: a certificate that is renewed is read again.
    made: Mutex<Option<Made>>,
}

/// A connection, with TLS or without.
pub(super) enum Channel {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Tls {
    /// Reads `tls`, `ca_file`, `server_name`, `cert_file` and `key_file`; `None`: no TLS. `is_wanted` says that the address
    /// asks for it already.
    ///
    /// # Errors
    /// They do not fit together, which is noted.
    pub(super) fn read(section: &mut Section<'_>, is_wanted: bool) -> Result<Option<Self>, ()> {
        let flag = section.flag("tls");
        let ca_file = section.path("ca_file");
        let server_name = section.text("server_name");
        let (certificate, key) = (section.path("cert_file"), section.path("key_file"));
        let is_on = flag.unwrap_or(is_wanted);
        if is_wanted && !is_on {
            section.problem("tls", "the address asks for TLS (`rediss://`), and this says no", None);
            return Err(());
        }
        if !is_on && (ca_file.is_some() || server_name.is_some() || certificate.is_some() || key.is_some()) {
            section.problem("tls", "needs to be `true`: there are settings for TLS beside it", None);
            return Err(());
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                section.problem("cert_file", "`cert_file` and `key_file` belong together", None);
                return Err(());
            }
        };
        if server_name
            .as_ref()
            .is_some_and(|name| ServerName::try_from(name.as_str()).is_err())
        {
            section.problem("server_name", "expected a host's name or an address", None);
            return Err(());
        }
        Ok(is_on.then(|| Self {
            ca_file,
            server_name,
            identity,
            made: Mutex::new(None),
        }))
    }

    /// Speaks TLS over a fresh connection to this host.
    pub(super) async fn over(&self, stream: TcpStream, host: &str, cx: &Context) -> Result<Channel, Answer> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Answer::unknown(
                Class::NoData,
                format!("{name:?} is no name that a certificate can be for"),
            )
        })?;
        let config = self.config(cx).map_err(|why| Answer::unknown(Class::NoData, why))?;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(secured) => Ok(Channel::Secure(Box::new(secured))),
            Err(error) => Err(broken(&error, cx)),
        }
    }

    fn config(&self, cx: &Context) -> Result<Arc<ClientConfig>, String> {
        let paths = self
            .ca_file
            .iter()
            .chain(self.identity.iter().flat_map(|(one, other)| [one, other]));
        let files: Vec<Vec<u8>> = paths.map(|path| content(path, cx)).collect::<Result<_, _>>()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, config)) = made.as_ref()
            && *known == files
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make(&files)?);
        *made = Some((files, Arc::clone(&config)));
        Ok(config)
    }

    fn make(&self, files: &[Vec<u8>]) -> Result<ClientConfig, String> {
        let mut files = files.iter();
        let mut authorities = Vec::new();
        if let (Some(path), Some(pem)) = (&self.ca_file, self.ca_file.as_ref().and_then(|_| files.next())) {
            authorities = certificates(pem, path)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let failed = |error: rustls::Error| format!("could not make ready for TLS: {error}");
        // As reqwest does for `http`: the system's own, and these besides.
        let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider)).map_err(|error| {
            format!("could not make ready for TLS: {error}; install the package ca-certificates, or set `ca_file`")
        })?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let (Some((certificate, _)), Some(chain), Some(key)) = (&self.identity, files.next(), files.next()) else {
            return Ok(config.with_no_client_auth());
        };
        let chain = certificates(chain, certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|_| "`key_file` holds no private key in PEM form".to_owned())?;
        config.with_client_auth_cert(chain, key).map_err(failed)
    }
}

fn content(path: &Path, cx: &Context) -> Result<Vec<u8>, String> {
    let path = cx.resolve(path);
    let found = disk::read_optional(&path).map_err(|error| format!("{error}: {}", error.source))?;
    found.ok_or_else(|| format!("the file {} is not there", path.display()))
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| format!("{} holds no certificates in PEM form", path.display()))
}

impl Channel {
    /// Sends all of it.
    pub(super) async fn write(&mut self, bytes: &[u8], cx: &Context) -> Result<(), Answer> {
        let written = match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Secure(stream) => match stream.write_all(bytes).await {
                Ok(()) => stream.flush().await,
                Err(error) => Err(error),
            },
        };
        written.map_err(|error| broken(&error, cx))
    }

    /// Appends what comes next; 0: nothing more does.
    pub(super) async fn read(&mut self, heard: &mut Vec<u8>, cx: &Context) -> Result<usize, Answer> {
        let mut buffer = [0; 4096];
        let read = match self {
            Self::Plain(stream) => stream.read(&mut buffer).await,
            Self::Secure(stream) => stream.read(&mut buffer).await,
        };
        let count = read.map_err(|error| broken(&error, cx))?;
        heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// What a broken exchange means.
fn broken(error: &io::Error, cx: &Context) -> Answer {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(error) = tls {
        return untrusted(error, cx);
    }
    connection_failed(error).unwrap_or_else(|| Answer::failed(Class::Reset, spoken(cx, &error.to_string())))
}

/// What a failure of TLS means.
pub(super) fn untrusted(error: &rustls::Error, cx: &Context) -> Answer {
    use CertificateError as Bad;
    let rustls::Error::InvalidCertificate(why) = error else {
        return Answer::failed(Class::Reset, spoken(cx, &format!("TLS failed: {error}")));
    };
    match why {
        Bad::Expired | Bad::ExpiredContext { .. } => Answer::failed(
            Class::TlsExpired,
            "the certificate has expired (or this machine's clock is wrong)",
        ),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Answer::failed(
            Class::TlsExpired,
            "the certificate is not valid yet (or this machine's clock is wrong)",
        ),
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            Answer::failed(Class::TlsName, "the certificate is for another name")
        }
        Bad::UnknownIssuer => Answer::failed(
            Class::TlsUntrusted,
            "the certificate's issuer is not trusted (`ca_file` names one more)",
        ),
        other => Answer::failed(
            Class::TlsUntrusted,
            spoken(cx, &format!("the certificate is not trusted: {other}")),
        ),
    }
}
