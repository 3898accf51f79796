//! `tcp` against servers that speak, stay silent, or are not there.

use std::io::{Read, Write};
use std::time::Duration;

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::Expectation;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::server::Server;
use super::tls::{accepting, authority};
use super::{build, free_port, read};
use crate::support::Scene;

fn ask(settings: Value) -> Answer {
    let scene = Scene::new();
    let probe = build("tcp", &settings).expect("built");
    read(probe.as_ref(), &Expectation::default(), &scene.cx)
}

#[test]
fn a_port_is_asked_and_answers() {
    let server = Server::start(|mut stream| {
        let mut asked = [0; 6];
        if stream.read_exact(&mut asked).is_ok() && &asked == b"PING\r\n" {
            // In two pieces, as a network may cut it.
            let _sent = stream.write_all(b"+PO").and_then(|()| {
                std::thread::sleep(Duration::from_millis(50));
                stream.write_all(b"NG\r\n")
            });
        }
    });
    let address = format!("127.0.0.1:{}", server.port);
    assert_eq!(ask(json!({"address": address})), Answer::ok("connected"));
    assert_eq!(
        ask(json!({"address": format!("localhost:{}", server.port)})),
        Answer::ok("connected")
    );
    let asking = |expect: &str| ask(json!({"address": address, "send": "PING\r\n", "expect": expect}));
    assert_eq!(asking("+PONG"), Answer::ok("answered as expected"));
    let wrong = asking("+OK");
    assert_eq!(
        wrong,
        Answer::failed(Class::Body, "answered \"+PONG\" (expected \"+OK\")")
    );
    let silent = ask(json!({"address": address, "expect": "hello", "timeout": "300ms"}));
    assert_eq!(silent, Answer::failed(Class::TimeoutRead, "no answer within 0.3 s"));
}

#[test]
fn a_port_that_is_not_there_is_told() {
    let nobody = ask(json!({"address": format!("127.0.0.1:{}", free_port())}));
    assert_eq!(nobody, Answer::failed(Class::Refused, "connection refused"));
    let nowhere = ask(json!({"address": "nowhere.invalid:80"}));
    assert_eq!((nowhere.outcome, nowhere.class), (Outcome::Unknown, Some(Class::Dns)));
    for wrong in ["127.0.0.1", "127.0.0.1:", ":80", "host:0", "host:70000"] {
        assert!(build("tcp", &json!({"address": wrong})).is_err(), "{wrong}");
    }
}

#[test]
fn a_port_behind_tls_is_asked_and_answers() {
    let scene = Scene::new();
    let authority = authority();
    std::fs::write(scene.project().join("ca.pem"), authority.as_ref().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let server = accepting(&certificate, &key, |mut stream| {
        let mut asked = [0; 6];
        if stream.read_exact(&mut asked).is_ok() && &asked == b"PING\r\n" {
            let _sent = stream.write_all(b"+PONG\r\n");
        }
    });
    let ask = |more: Value| {
        let mut settings = json!({"address": format!("localhost:{}", server.port), "tls": true, "send": "PING\r\n", "expect": "+PONG"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        read(
            build("tcp", &settings).unwrap().as_ref(),
            &Expectation::default(),
            &scene.cx,
        )
    };
    assert_eq!(ask(json!({"ca_file": "ca.pem"})), Answer::ok("answered as expected"));
    let unknown = ask(json!({}));
    let has_no_store = unknown.class == Some(Class::NoData) && unknown.note.contains("ca-certificates");
    assert!(
        unknown.class == Some(Class::TlsUntrusted) || has_no_store,
        "{unknown:?}"
    );
    let other = ask(json!({"ca_file": "ca.pem", "server_name": "example.org"}));
    assert_eq!(other.class, Some(Class::TlsName));
    assert_eq!(ask(json!({"ca_file": "none.pem"})).class, Some(Class::NoData));
}
