//! `postgres` against a real database.

use std::process::Command;

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::{Expectation, Probe};
use guard::system::environment::Environment;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

use super::project::{Project, docker, until};
use super::tls::authority;
use super::{build_for, free_port, read};
use crate::support::Scene;

#[test]
fn a_database_answers_or_tells_why_not() {
    let mut scene = Scene::new();
    let mut project = Project::new(&scene, "database");
    let id = project.run(
        "db",
        &[
            "--publish",
            "127.0.0.1::5432",
            "--env",
            "POSTGRES_USER=shop",
            "--env",
            "POSTGRES_DB=shop",
            "--env",
            "POSTGRES_PASSWORD=very-secret-word",
            "guard-test/postgres:17",
        ],
    );
    let build = |settings| build_for("postgres", &settings, &project.site()).unwrap();
    let ask = |probe: Box<dyn Probe>, scene: &Scene| read(probe.as_ref(), &Expectation::default(), &scene.cx);
    let inside = |more: serde_json::Value| {
        let mut settings = json!({"service": "db", "user": "shop", "timeout": "20s"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        settings
    };
    let ready = build(inside(json!({})));
    until(ready.as_ref(), &scene, |answer| answer.outcome == Outcome::Ok);
    assert_eq!(
        ask(build(inside(json!({"query": "SELECT 6 * 7", "expect": "42"}))), &scene),
        Answer::ok("answered")
    );
    let wrong = ask(build(inside(json!({"query": "SELECT 6 * 7", "expect": "41"}))), &scene);
    assert_eq!(wrong, Answer::failed(Class::Query, "answered \"42\" (expected \"41\")"));
    let broken = ask(build(inside(json!({"query": "SELECT * FROM nothing"}))), &scene);
    assert_eq!(broken.class, Some(Class::Query));
    let absent = ask(build(json!({"service": "cache", "timeout": "20s"})), &scene);
    assert_eq!(absent, Answer::failed(Class::Refused, "cache has no container"));

    // The server gives up a query whose asker has gone.
    let slow = ask(
        build(inside(json!({"query": "SELECT pg_sleep(77)", "timeout": "2s"}))),
        &scene,
    );
    assert_eq!(slow.outcome, Outcome::Failed, "{slow:?}");
    let count = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(77)'";
    let gone = build(inside(json!({"query": count, "expect": "0"})));
    until(gone.as_ref(), &scene, |answer| answer.outcome == Outcome::Ok);

    if Command::new("psql").arg("--version").output().is_ok() {
        let port = docker(&["port", &id, "5432/tcp"])
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned();
        let url = |password: &str| format!("postgres://shop:{password}@127.0.0.1:{port}/shop");
        let mut variables: Vec<(String, String)> = std::env::vars().collect();
        variables.push(("DB_URL".to_owned(), url("very%2Dsecret-word")));
        scene.cx.environment = Environment::of_pairs(variables).into();
        assert_eq!(
            ask(
                build(json!({"url_env": "DB_URL", "expect": "1", "timeout": "20s"})),
                &scene
            ),
            Answer::ok("answered")
        );
        let refused = ask(build(json!({"url": url("wrong-password-7"), "timeout": "20s"})), &scene);
        assert_eq!(refused.class, Some(Class::Query));
        assert!(refused.note.contains("password authentication failed") && !refused.note.contains("wrong-password-7"));
        let shown = format!("postgres://shop@127.0.0.1:{port}/shop?password=very-secret-word");
        let shown = ask(build(json!({"url": shown, "timeout": "20s"})), &scene);
        assert_eq!(shown.outcome, Outcome::Unknown, "`ps` would show it");
        let nobody = format!("postgres://shop@127.0.0.1:{}/shop", free_port());
        assert_eq!(
            ask(build(json!({"url": nobody, "timeout": "20s"})), &scene).class,
            Some(Class::Refused)
        );
    } else {
        eprintln!("no psql on this host: the way by address was not tested");
    }
    docker(&["stop", &id]);
    assert_eq!(ask(ready, &scene), Answer::failed(Class::Refused, "db is exited"));
}

#[test]
fn fault_j5_a_database_is_asked_over_tls() {
    if Command::new("psql").arg("--version").output().is_err() {
        eprintln!("no psql on this host: the way by address was not tested");
        return;
    }
    let scene = Scene::new();
    let mut project = Project::new(&scene, "database-tls");
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    // OpenSSL takes a certificate that is called as its issuer for one that signed itself.
    certificate.distinguished_name.push(DnType::CommonName, "server");
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("ca.pem", authority.as_ref().pem()),
        ("other.pem", super::tls::authority().as_ref().pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(scene.project().join(name), text).unwrap();
    }
    let mounted = format!("{}:/tls:ro", scene.project().display());
    // The server wants its key to be its own.
    let start = "cp /tls/server.* /var/lib/postgresql/ && chown postgres /var/lib/postgresql/server.* && chmod 600 /var/lib/postgresql/server.key \
        && exec entrypoint postgres -c ssl=on -c ssl_cert_file=/var/lib/postgresql/server.pem -c ssl_key_file=/var/lib/postgresql/server.key";
    let id = project.run(
        "db",
        &[
            "--publish",
            "127.0.0.1::5432",
            "--env",
            "POSTGRES_PASSWORD=very-secret-word",
            "--volume",
            &mounted,
            "--entrypoint",
            "sh",
            "guard-test/postgres:17",
            "-c",
            start,
        ],
    );
    let inside = build_for("postgres", &json!({"service": "db", "timeout": "20s"}), &project.site()).unwrap();
    until(inside.as_ref(), &scene, |answer| answer.outcome == Outcome::Ok);
    let port = docker(&["port", &id, "5432/tcp"])
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let ask = |host: &str, authority: &str| {
        let file = scene.project().join(authority);
        let url = format!(
            "postgres://postgres:very-secret-word@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={}",
            file.display()
        );
        let settings = json!({"url": url, "query": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "expect": "t", "timeout": "20s"});
        read(
            build_for("postgres", &settings, &project.site()).unwrap().as_ref(),
            &Expectation::default(),
            &scene.cx,
        )
    };
    assert_eq!(ask("localhost", "ca.pem"), Answer::ok("answered"));
    let name = ask("127.0.0.1", "ca.pem");
    assert_eq!(name.class, Some(Class::TlsName), "{name:?}");
    let issuer = ask("localhost", "other.pem");
    assert_eq!(issuer.class, Some(Class::TlsUntrusted), "{issuer:?}");
    let missing = ask("localhost", "none.pem");
    assert_eq!(missing.class, Some(Class::TlsUntrusted), "{missing:?}");
}
