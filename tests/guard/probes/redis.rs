//! `redis`, against a real server.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::Expectation;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::server::Server;
use super::tls::authority;
use super::{build, free_port, read};
use crate::support::Scene;

/// A Redis server of a test's own, ended with it.
struct Redis {
    child: Child,
    port: u16,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Redis {
    fn start(scene: &Scene, args: &[&str]) -> Self {
        Self::start_at("--port", scene, args)
    }

    /// The same with the port's option: `--tls-port` for TLS.
    fn start_at(option: &str, scene: &Scene, args: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new("redis-server")
            .args([option, &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(scene.root())
            .args(args)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, which scripts/setup installs");
        let server = Self { child, port };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "the server did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn ask(&self, scene: &Scene, more: Value) -> Answer {
        ask(self.port, scene, more)
    }
}

fn ask(port: u16, scene: &Scene, more: Value) -> Answer {
    let mut settings = json!({"address": format!("127.0.0.1:{port}"), "timeout": "20s"});
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    read(
        build("redis", &settings).unwrap().as_ref(),
        &Expectation::default(),
        &scene.cx,
    )
}

#[test]
fn a_server_answers_with_its_role() {
    let scene = Scene::new();
    let server = Redis::start(&scene, &[]);
    assert_eq!(server.ask(&scene, json!({})), Answer::ok("PONG, master"));
    assert_eq!(
        server.ask(&scene, json!({"expect_role": "master"})),
        Answer::ok("PONG, master")
    );
    let answer = server.ask(&scene, json!({"expect_role": "replica"}));
    assert_eq!(
        answer,
        Answer::failed(Class::Body, "its role is \"master\" (expected \"slave\")")
    );
    // A replica of a master that is not there says so.
    let lonely = Redis::start(&scene, &["--replicaof", "127.0.0.1", &free_port().to_string()]);
    let answer = lonely.ask(&scene, json!({}));
    assert_eq!(
        answer,
        Answer::failed(Class::Unhealthy, "a replica that does not reach its master")
    );
    let port = server.port;
    drop(server);
    assert_eq!(ask(port, &scene, json!({})).class, Some(Class::Refused));
}

#[test]
fn passwords_come_from_variables_and_files_and_are_told_to_nobody() {
    let scene = Scene::new();
    let secret = std::env::var("PATH").unwrap();
    let server = Redis::start(
        &scene,
        &[
            "--requirepass",
            &secret,
            "--user",
            "probe",
            "on",
            ">CANARYfile-77",
            "+ping",
            "+info",
        ],
    );
    let answer = server.ask(&scene, json!({}));
    assert_eq!(
        (answer.outcome, answer.class),
        (Outcome::Failed, Some(Class::Query)),
        "{answer:?}"
    );
    assert_eq!(
        server.ask(&scene, json!({"password_env": "PATH"})),
        Answer::ok("PONG, master")
    );
    std::fs::write(scene.project().join("password"), "CANARYfile-77\n").unwrap();
    let by_file = json!({"user": "probe", "password_file": "password"});
    assert_eq!(server.ask(&scene, by_file.clone()), Answer::ok("PONG, master"));
    std::fs::write(scene.project().join("password"), "CANARYwrong-77\n").unwrap();
    let answer = server.ask(&scene, by_file);
    assert!(
        answer.note.contains("WRONGPASS") && !answer.note.contains("CANARY"),
        "{answer:?}"
    );
    let answer = server.ask(&scene, json!({"password_env": "GUARD_NOT_SET_AT_ALL"}));
    assert_eq!(answer.outcome, Outcome::Unknown, "{answer:?}");
    assert!(build("redis", &json!({"user": "probe"})).is_err());
}

#[test]
fn a_server_that_loads_or_lies_is_not_well() {
    let scene = Scene::new();
    let saying = |text: &'static str| {
        Server::start(move |mut stream| {
            use std::io::{Read, Write};
            let mut buffer = [0; 512];
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    // What a real server says while it reads its data is over in no time with a test's amount of it.
    let loading = saying("-LOADING Redis is loading the dataset in memory\r\n");
    assert_eq!(ask(loading.port, &scene, json!({})).class, Some(Class::Unhealthy));
    let liar = saying("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(ask(liar.port, &scene, json!({})).class, Some(Class::Body));
    let endless = saying(&*Box::leak("x".repeat(100_000).into_boxed_str()));
    assert_eq!(ask(endless.port, &scene, json!({})).class, Some(Class::Body));
    let silent = Server::start(|stream| {
        std::thread::sleep(Duration::from_mins(1));
        drop(stream);
    });
    let answer = ask(silent.port, &scene, json!({"timeout": "300ms"}));
    assert_eq!(answer.class, Some(Class::TimeoutRead));
}

#[test]
fn fault_j5_a_server_behind_tls_is_asked_and_its_certificate_held_against_what_is_trusted() {
    let scene = Scene::new();
    let authority = authority();
    let write = |name: &str, text: String| std::fs::write(scene.project().join(name), text).unwrap();
    let issue = |name: &str, host: &str, until: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        // OpenSSL takes a certificate that is called as its issuer for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &authority).unwrap();
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    };
    write("ca.pem", authority.as_ref().pem());
    issue("server", "localhost", 2090);
    issue("expired", "localhost", 2021);
    issue("client", "probe", 2090);
    let file = |name: &str| scene.project().join(name).display().to_string();
    let start = |name: &str, clients: &str| {
        let files = [
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
            file("ca.pem"),
        ];
        let args = [
            "--port",
            "0",
            "--tls-cert-file",
            &files[0],
            "--tls-key-file",
            &files[1],
            "--tls-ca-cert-file",
            &files[2],
            "--tls-auth-clients",
            clients,
            "--user",
            "probe",
            "on",
            ">CANARYacl-77",
            "+ping",
            "+info",
        ];
        Redis::start_at("--tls-port", &scene, &args)
    };
    let ask = |server: &Redis, more: Value| {
        let mut settings =
            json!({"address": format!("rediss://localhost:{}", server.port), "timeout": "20s", "ca_file": "ca.pem"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let probe = build("redis", &settings).unwrap();
        assert!(probe.describe().contains("by TLS"));
        read(probe.as_ref(), &Expectation::default(), &scene.cx)
    };
    let server = start("server", "no");
    assert_eq!(ask(&server, json!({})), Answer::ok("PONG, master"));
    write("password", "CANARYacl-77".to_owned());
    let account = json!({"address": format!("rediss://probe@localhost:{}", server.port), "password_file": "password"});
    assert_eq!(ask(&server, account), Answer::ok("PONG, master"));
    let plain = json!({"address": format!("localhost:{}", server.port), "tls": true});
    assert_eq!(ask(&server, plain), Answer::ok("PONG, master"));
    let other = ask(&server, json!({"server_name": "cache.example"}));
    assert_eq!(other.class, Some(Class::TlsName), "{other:?}");
    let expired = ask(&start("expired", "no"), json!({}));
    assert_eq!(expired.class, Some(Class::TlsExpired), "{expired:?}");
    write("ca.pem", super::tls::authority().as_ref().pem());
    let unknown = ask(&server, json!({}));
    assert_eq!(
        unknown.class,
        Some(Class::TlsUntrusted),
        "a file that changed is read again: {unknown:?}"
    );
    write("ca.pem", authority.as_ref().pem());
    // A server that wants to know its clients.
    let strict = start("server", "yes");
    assert_eq!(ask(&strict, json!({})).outcome, Outcome::Failed);
    let known = json!({"cert_file": "client.pem", "key_file": "client.key"});
    assert_eq!(ask(&strict, known), Answer::ok("PONG, master"));
    // No TLS at all where it is wanted, and the other way round.
    let bare = Redis::start(&scene, &[]);
    assert_eq!(ask(&bare, json!({})).outcome, Outcome::Failed);
    for wrong in [
        json!({"address": "rediss://probe:secret@localhost:1"}),
        json!({"address": "rediss://localhost", "tls": false}),
        json!({"ca_file": "ca.pem"}),
        json!({"tls": true, "cert_file": "client.pem"}),
        json!({"tls": true, "server_name": "not a name"}),
    ] {
        assert!(build("redis", &wrong).is_err(), "{wrong}");
    }
}
