//! `http`: what is expected of an answer, and what is sent for it.

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::Expectation;
use guard::system::environment::Environment;
use serde_json::{Value, json};

use super::server::{Server, answer};
use super::{build, free_port, read};
use crate::support::Scene;

/// One reading with these settings.
pub fn ask(settings: Value) -> Answer {
    let scene = Scene::new();
    let probe = build("http", &settings).expect("built");
    read(probe.as_ref(), &Expectation::default(), &scene.cx)
}

/// A failure; one whose note begins with a status tells that as its number.
pub fn failed(class: Class, note: &str) -> Answer {
    numbered(Answer::failed(class, note))
}

/// An answer that is well, whose note begins with its number.
pub fn well(note: &str) -> Answer {
    numbered(Answer::ok(note))
}

/// The answer with the number that its note begins with.
fn numbered(answer: Answer) -> Answer {
    let number = answer.note.split([' ', ',']).next().and_then(|word| word.parse().ok());
    match number {
        Some(number) => answer.with_number(number),
        None => answer,
    }
}

#[test]
fn statuses_are_held_against_what_is_expected() {
    let server = Server::answering(|head| {
        let status = head.split(['/', ' ']).nth(2).unwrap().to_owned();
        answer(&format!("{status} Word"), "Location: http://127.0.0.1/x\r\n", "")
    });
    let table = [
        ("/200", json!([]), None),
        ("/204", json!([]), None),
        ("/299", json!([]), None),
        ("/503", json!([]), Some(failed(Class::Status, "503"))),
        ("/404", json!([404, "500-599"]), None),
        ("/500", json!([404, "500-599"]), None),
        ("/200", json!([404, "500-599"]), Some(failed(Class::Status, "200"))),
        ("/302", json!(302), None),
        (
            "/302",
            json!([]),
            Some(failed(Class::Redirect, "302, a redirect, which is not followed")),
        ),
    ];
    for (path, statuses, expected) in table {
        let mut settings = json!({"url": server.url(path)});
        if statuses != json!([]) {
            settings["expect_status"] = statuses;
        }
        let expected = expected.unwrap_or_else(|| well(&path[1..]));
        assert_eq!(ask(settings), expected, "{path}");
    }
}

#[test]
fn fault_j6_bodies_are_held_against_what_is_expected() {
    let server = Server::saying(&answer(
        "200 OK",
        "",
        r#"{"status": "degraded", "queue": 3, "up": null}"#,
    ));
    let table = [
        (json!({"expect_body": "degr[a-z]+"}), Ok("200")),
        (
            json!({"expect_body": "^ok$"}),
            Err("200 but the body does not match /^ok$/"),
        ),
        (
            json!({"expect_json": {"pointer": "/status", "equals": "degraded"}}),
            Ok("200"),
        ),
        (
            json!({"expect_json": {"pointer": "/status", "equals": "ok"}}),
            Err("200 but /status is \"degraded\" (expected \"ok\")"),
        ),
        (
            json!({"expect_json_pointer": "/queue", "expect_json_equals": 3.0}),
            Ok("200"),
        ),
        (
            json!({"expect_json_pointer": "/queue", "expect_json_equals": 4}),
            Err("200 but /queue is 3 (expected 4)"),
        ),
        (json!({"expect_json_pointer": "/queue"}), Ok("200")),
        (
            json!({"expect_json_pointer": "/up"}),
            Err("200 but there is nothing at /up"),
        ),
        (
            json!({"expect_json_pointer": "/none"}),
            Err("200 but there is nothing at /none"),
        ),
    ];
    for (mut settings, expected) in table {
        let shown = settings.to_string();
        settings["url"] = server.url("/").into();
        let expected = expected.map_or_else(|note| failed(Class::Body, note), well);
        assert_eq!(ask(settings), expected, "{shown}");
    }
    let server = Server::saying(&answer("200 OK", "", "<html>"));
    let answer = ask(json!({"url": server.url("/"), "expect_json_pointer": "/status"}));
    assert_eq!(answer, failed(Class::Body, "200 but the body is not JSON"));
}

#[test]
fn fault_j8_the_old_version_is_told_from_the_new() {
    let server = Server::saying(&answer(
        "200 OK",
        "X-Release: v1.4.1\r\n",
        r#"{"app": {"version": "1.4.1"}}"#,
    ));
    let scene = Scene::new();
    for key in [
        json!({"expect_version_pointer": "/app/version"}),
        json!({"expect_version_header": "x-release"}),
    ] {
        let mut settings = key;
        settings["url"] = server.url("/").into();
        let probe = build("http", &settings).unwrap();
        let ask = |version: Option<&str>| {
            let expectation = Expectation {
                version: version.map(str::to_owned),
                ..Expectation::default()
            };
            read(probe.as_ref(), &expectation, &scene.cx)
        };
        assert_eq!(ask(None).outcome, Outcome::Ok, "nothing was announced");
        assert_eq!(ask(Some("1.4.1")).outcome, Outcome::Ok);
        let old = ask(Some("1.4.2"));
        assert_eq!(old.class, Some(Class::Version));
        assert!(
            old.note.contains("version") && old.note.ends_with("1.4.1 answers (expected 1.4.2)"),
            "{}",
            old.note
        );
    }
    let probe = build(
        "http",
        &json!({"url": server.url("/"), "expect_version_pointer": "/nowhere"}),
    )
    .unwrap();
    let expectation = Expectation {
        version: Some("2".to_owned()),
        ..Expectation::default()
    };
    let answer = read(probe.as_ref(), &expectation, &scene.cx);
    assert_eq!(
        answer,
        failed(Class::Version, "200 but no version answers (expected 2)")
    );
}

#[test]
fn what_is_not_there_is_told_apart() {
    let url = format!("http://127.0.0.1:{}/", free_port());
    assert_eq!(ask(json!({"url": url})), failed(Class::Refused, "connection refused"));
    let answer = ask(json!({"url": "http://nowhere.invalid/"}));
    assert_eq!(
        (answer.outcome, answer.class),
        (Outcome::Unknown, Some(Class::Dns)),
        "{answer:?}"
    );
    // Both families of `localhost` are tried; this server listens on the older only.
    let server = Server::saying(&super::server::answer("200 OK", "", ""));
    let answer = ask(json!({"url": format!("http://localhost:{}/", server.port)}));
    assert_eq!(answer.outcome, Outcome::Ok, "{answer:?}");
}

#[test]
fn every_reading_makes_a_connection_of_its_own() {
    let server = Server::answering(|head| {
        let lower = head.to_lowercase();
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
        assert!(lower.contains("user-agent: guard/"), "{head}");
        answer("200 OK", "Set-Cookie: a=b\r\nConnection: keep-alive\r\n", "ok")
    });
    let scene = Scene::new();
    let probe = build("http", &json!({"url": server.url("/")})).unwrap();
    for turn in 1..=4 {
        assert_eq!(read(probe.as_ref(), &Expectation::default(), &scene.cx), well("200"));
        assert_eq!(server.connections(), turn);
    }
    // In one runtime as well, where a pool would live on.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..4 {
            assert_eq!(probe.read(&Expectation::default(), &scene.cx).await, well("200"));
        }
    });
    assert_eq!(server.connections(), 8);
}

#[test]
fn secrets_go_into_headers_and_nowhere_else() {
    let server = Server::answering(|head| {
        let body = head.replace("\r\n", " ").replace('"', "'");
        answer("200 OK", "", &format!(r#"{{"echo": "{body}"}}"#))
    });
    let mut scene = Scene::new();
    std::fs::write(scene.project().join("key"), "file-secret-9\n").unwrap();
    scene.cx.environment =
        Environment::of_pairs([("TOKEN_VAR", "bearer-secret-1"), ("OTHER_VAR", "other-secret-2")]).into();
    let settings = json!({
        "url": server.url("/?token=hidden"),
        "bearer_env": "TOKEN_VAR",
        "headers": {"X-Plain": "plain-value"},
        "header_env": {"X-Other": "OTHER_VAR"},
        "header_file": {"X-File": "key"},
        "expect_json": {"pointer": "/echo", "equals": "x"},
    });
    let probe = build("http", &settings).unwrap();
    assert_eq!(probe.describe(), format!("GET {}", server.url("/")));
    let told = read(probe.as_ref(), &Expectation::default(), &scene.cx).note;
    for secret in ["bearer-secret-1", "other-secret-2", "file-secret-9"] {
        assert!(!told.contains(secret), "{told}");
    }
    let received = json!({
        "url": server.url("/"), "bearer_env": "TOKEN_VAR", "header_env": {"X-Other": "OTHER_VAR"},
        "header_file": {"X-File": "key"}, "headers": {"X-Plain": "plain-value"},
        "expect_body": "(?i)(?s)authorization: Bearer bearer-secret-1.*x-plain: plain-value.*x-other: other-secret-2.*x-file: file-secret-9 ",
    });
    let probe = build("http", &received).unwrap();
    assert_eq!(read(probe.as_ref(), &Expectation::default(), &scene.cx), well("200"));
    scene.cx.environment = Environment::of_pairs([("TOKEN_VAR", "")]).into();
    let blind = read(probe.as_ref(), &Expectation::default(), &scene.cx);
    assert_eq!(
        blind,
        Answer::unknown(Class::NoData, "the variable TOKEN_VAR is not set")
    );
}

#[test]
fn a_proxy_is_never_asked_for_this_machine() {
    let server = Server::saying(&answer("200 OK", "", "direct"));
    let proxy = Server::saying(&answer("200 OK", "", "by proxy"));
    let mut scene = Scene::new();
    scene.cx.environment = Environment::of_pairs([("http_proxy", format!("http://127.0.0.1:{}", proxy.port))]).into();
    for uses_proxy in [true, false] {
        let settings = json!({"url": server.url("/"), "proxy": uses_proxy, "expect_body": "direct"});
        let probe = build("http", &settings).unwrap();
        assert_eq!(read(probe.as_ref(), &Expectation::default(), &scene.cx), well("200"));
    }
    let settings = json!({"url": "http://nowhere.invalid/", "proxy": true, "expect_body": "by proxy"});
    let probe = build("http", &settings).unwrap();
    assert_eq!(read(probe.as_ref(), &Expectation::default(), &scene.cx), well("200"));
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn wrong_settings_are_told() {
    let good = json!({"url": "http://127.0.0.1/"});
    let table = [
        json!({"url": "127.0.0.1:80"}),
        json!({"url": "ftp://127.0.0.1/"}),
        json!({"expect_status": 99}),
        json!({"expect_status": "299-200"}),
        json!({"expect_status": []}),
        json!({"expect_body": "("}),
        json!({"expect_json": {"pointer": "status"}}),
        json!({"expect_json_equals": "ok"}),
        json!({"headers": {"bad name": "x"}}),
        json!({"headers": {"X-Fine": "line\nbreak"}}),
        json!({"expect_statuses": 200}),
        json!({"timeout": "0s"}),
    ];
    assert!(build("http", &good.clone()).is_ok());
    for wrong in table {
        let mut settings = good.clone();
        settings
            .as_object_mut()
            .unwrap()
            .extend(wrong.as_object().unwrap().clone());
        let problems = build("http", &settings).err().expect("refused");
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
    }
}
