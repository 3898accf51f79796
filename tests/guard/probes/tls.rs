//! `http` over TLS: each flaw of a certificate has a class of its own.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use guard::model::health::Class;
use guard::probes::Expectation;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::http::well;
use super::server::{Server, answer, head};
use super::{build, read};
use crate::support::Scene;

/// A TLS stream of the server's side.
pub type Secure = StreamOwned<ServerConnection, TcpStream>;

/// Serves TLS with this chain; each connection is spoken with by `speak`.
pub fn accepting(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    speak: impl Fn(Secure) + Send + Sync + 'static,
) -> Server {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    Server::start(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        speak(StreamOwned::new(connection, stream));
    })
}

/// Serves TLS with this chain, and answers each request with 200.
pub fn serve(certificate: &rcgen::Certificate, key: &KeyPair) -> Server {
    accepting(certificate, key, |mut stream| {
        if head(&mut stream).is_some() {
            let _sent = stream.write_all(answer("200 OK", "", "ok").as_bytes());
            stream.conn.send_close_notify();
            let _flushed = stream.flush();
        }
    })
}

/// A server with a certificate for this name, and the heads of the requests that it was sent.
pub fn serve_body(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&heads);
    let server = accepting(&certificate, &key, move |mut stream| {
        if let Some(head) = head(&mut stream) {
            kept.lock().unwrap().push(head);
            let _sent = stream.write_all(answer("200 OK", "", "ok").as_bytes());
            stream.conn.send_close_notify();
            let _flushed = stream.flush();
        }
    });
    (server, heads)
}

pub fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn fault_j5_flaws_of_certificates_are_told_apart() {
    let authority = authority();
    let scene = Scene::new();
    std::fs::write(scene.project().join("ca.pem"), authority.as_ref().pem()).unwrap();
    let signed = |names: &[&str], years: (i32, i32)| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        serve(&certificate, &key)
    };
    let ask = |server: &Server, ca_file: Option<&str>| {
        let mut settings = json!({"url": format!("https://localhost:{}/", server.port)});
        if let Some(file) = ca_file {
            settings["ca_file"] = file.into();
        }
        let probe = build("http", &settings).unwrap();
        read(probe.as_ref(), &Expectation::default(), &scene.cx)
    };
    let good = signed(&["localhost"], (2020, 2090));
    assert_eq!(ask(&good, Some("ca.pem")), well("200"));
    let expired = signed(&["localhost"], (2020, 2021));
    assert_eq!(ask(&expired, Some("ca.pem")).class, Some(Class::TlsExpired));
    let early = signed(&["localhost"], (2089, 2090));
    assert_eq!(ask(&early, Some("ca.pem")).class, Some(Class::TlsExpired));
    let other = signed(&["example.org"], (2020, 2090));
    assert_eq!(ask(&other, Some("ca.pem")).class, Some(Class::TlsName));
    // This machine's own store does not know the test's authority.
    let unknown = ask(&good, None);
    let has_no_store = unknown.class == Some(Class::NoData) && unknown.note.contains("ca-certificates");
    assert!(
        unknown.class == Some(Class::TlsUntrusted) || has_no_store,
        "{unknown:?}"
    );

    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let own = serve(&own, &key);
    assert_eq!(ask(&own, Some("ca.pem")).class, Some(Class::TlsUntrusted));

    let plain = Server::start(|mut stream| {
        let _sent = stream.write_all(answer("400 Bad Request", "", "this port speaks HTTP").as_bytes());
    });
    assert_eq!(ask(&plain, Some("ca.pem")).class, Some(Class::Reset), "no TLS at all");
    let missing = ask(&good, Some("none.pem"));
    assert_eq!(missing.class, Some(Class::NoData), "{missing:?}");
}
