//! `prometheus`, `host`, and the witness: numbers of others, of this machine, and what can be seen at all.

use std::sync::Arc;

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::{Expectation, Probe, Site, witnessed};
use serde_json::json;

use super::server::{Server, answer};
use super::{build, free_port, read};
use crate::support::Scene;

fn ask(server: &Server, more: serde_json::Value) -> Answer {
    let mut settings = json!({"url": server.url("/prom/"), "query": "errors:rate", "number": {"max": 0.05}});
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    read(
        build("prometheus", &settings).unwrap().as_ref(),
        &Expectation::default(),
        &Scene::new().cx,
    )
}

/// A server whose answers have this result.
fn metrics(result: &str) -> Server {
    let body = format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":{result}}}}}");
    Server::answering(move |head| {
        assert!(head.starts_with("GET /prom/api/v1/query?query="), "{head}");
        answer("200 OK", "Content-Type: application/json\r\n", &body)
    })
}

#[test]
fn a_query_is_a_number_within_limits() {
    let well = metrics(r#"[{"metric":{"__name__":"x"},"value":[1.5,"0.04"]}]"#);
    assert_eq!(ask(&well, json!({})), Answer::ok("0.04").with_number(0.04));
    let high = metrics(r#"[{"metric":{"job":"a"},"value":[1,"0.01"]},{"metric":{"job":"b"},"value":[1,"0.2"]}]"#);
    assert_eq!(
        ask(&high, json!({})),
        Answer::failed(Class::Exit, "job=b: 0.2 is too high")
    );
    let infinite = metrics(r#"[{"metric":{},"value":[1,"+Inf"]}]"#);
    assert_eq!(ask(&infinite, json!({})).outcome, Outcome::Failed);
    let scalar = Server::saying(&answer(
        "200 OK",
        "",
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}"#,
    ));
    assert_eq!(ask(&scalar, json!({})).outcome, Outcome::Failed);
}

#[test]
fn what_prometheus_does_not_know_is_no_evidence() {
    for (what, server) in [
        ("no series", metrics("[]")),
        ("NaN", metrics(r#"[{"metric":{},"value":[1,"NaN"]}]"#)),
        (
            "one of two is NaN",
            metrics(r#"[{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"0"]}]"#),
        ),
        (
            "a wrong query",
            Server::saying(&answer(
                "400 Bad Request",
                "",
                r#"{"status":"error","error":"parse error"}"#,
            )),
        ),
        ("a page", Server::saying(&answer("200 OK", "", "<html>"))),
        ("a sick server", Server::saying(&answer("503 Oops", "", "later"))),
    ] {
        assert_eq!(ask(&server, json!({})).outcome, Outcome::Unknown, "{what}");
    }
    let nobody = json!({"url": format!("http://127.0.0.1:{}", free_port()), "query": "x", "number": {"max": 1}});
    let answered = read(
        build("prometheus", &nobody).unwrap().as_ref(),
        &Expectation::default(),
        &Scene::new().cx,
    );
    assert_eq!(answered.outcome, Outcome::Unknown, "{answered:?}");
    // The sample's own age is asked for: it is from 1970 here.
    let old = metrics(r#"[{"metric":{},"value":[1,"0.04"]}]"#);
    let answered = ask(&old, json!({"max_age": "5m"}));
    assert!(
        answered.outcome == Outcome::Unknown && answered.note.contains("s old"),
        "{answered:?}"
    );
    assert!(
        build("prometheus", &json!({"url": "http://x", "query": "y"})).is_err(),
        "limits are needed"
    );
}

#[test]
fn this_machine_is_told_and_decides_nothing_by_itself() {
    let scene = Scene::new();
    let ask = |settings| {
        let probe = build("host", &settings).unwrap();
        let _first = read(probe.as_ref(), &Expectation::default(), &scene.cx);
        // The kernel counts in hundredths of a second.
        std::thread::sleep(std::time::Duration::from_millis(100));
        (
            probe.decides(),
            read(probe.as_ref(), &Expectation::default(), &scene.cx),
        )
    };
    let (decides, answer) = ask(json!({"max_cpu": 100, "max_memory": 100, "max_disk": 100}));
    assert!(!decides && answer.outcome == Outcome::Ok, "{answer:?}");
    assert!(
        answer.note.contains("memory") && answer.note.contains("disk") && !answer.note.contains('?'),
        "{answer:?}"
    );
    let (decides, answer) = ask(json!({"max_memory": 0, "required": true}));
    assert!(decides && answer.outcome == Outcome::Failed, "{answer:?}");
    assert!(build("host", &json!({"max_disk": 101})).is_err());
}

#[test]
fn fault_j11_a_witness_tells_a_dead_service_from_a_blind_observer() {
    let scene = Scene::new();
    let port = free_port();
    let web = || -> Arc<dyn Probe> {
        let settings = json!({"url": format!("http://127.0.0.1:{port}/")});
        Arc::from(build("http", &settings).unwrap())
    };
    let witness = |port: u16| -> Arc<dyn Probe> {
        let source = guard::model::setting::Source::default();
        let mut problems = Vec::new();
        let settings = super::item(&json!({"address": format!("127.0.0.1:{port}")}));
        let mut section = guard::model::section::Section::new("probes.edge", &source, settings, &mut problems);
        let built =
            (guard::probes::kind("tcp").unwrap().build)("edge".parse().unwrap(), &mut section, &Site::default());
        Arc::from(built.unwrap())
    };
    let ask = |witness: Arc<dyn Probe>| {
        let probes = witnessed(&[(web(), Some("edge".to_owned()), false), (witness, None, false)]);
        assert!(
            probes[0].decides() && !probes[1].decides(),
            "a witness decides nothing itself"
        );
        read(probes[0].as_ref(), &Expectation::default(), &scene.cx)
    };
    let there = Server::saying("");
    assert_eq!(
        ask(witness(there.port)).class,
        Some(Class::Refused),
        "the service is down"
    );
    let answer = ask(witness(free_port()));
    assert_eq!(
        (answer.outcome, answer.class),
        (Outcome::Unknown, Some(Class::Unreachable))
    );
    assert!(
        answer
            .note
            .contains("connection refused, but the witness edge is not seen either"),
        "{answer:?}"
    );
    // A wrong answer came all the way: no witness excuses it.
    let sick = Server::saying(&super::server::answer("503 Oops", "", ""));
    let web: Arc<dyn Probe> = Arc::from(build("http", &json!({"url": sick.url("/")})).unwrap());
    let probes = witnessed(&[(web, Some("edge".to_owned()), true), (witness(free_port()), None, true)]);
    assert!(probes[1].decides(), "somebody said that it does");
    assert_eq!(
        read(probes[0].as_ref(), &Expectation::default(), &scene.cx).class,
        Some(Class::Status)
    );
}

#[test]
fn fault_j7_a_name_that_is_refused_shows_its_addresses() {
    let port = free_port();
    let settings = json!({"url": format!("http://localhost:{port}/")});
    let answer = read(
        build("http", &settings).unwrap().as_ref(),
        &Expectation::default(),
        &Scene::new().cx,
    );
    assert_eq!(answer.class, Some(Class::Refused));
    assert!(answer.note.contains(&format!("127.0.0.1:{port}")), "{answer:?}");
}
