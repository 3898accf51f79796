//! `command` with real programs.

use std::time::{Duration, Instant};

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::Expectation;
use serde_json::{Value, json};

use super::http::{failed, well};
use super::{build, read};
use crate::support::Scene;

fn ask(settings: Value) -> Answer {
    let scene = Scene::new();
    let probe = build("command", &settings).expect("built");
    read(probe.as_ref(), &Expectation::default(), &scene.cx)
}

#[test]
fn exit_codes_decide() {
    assert_eq!(ask(json!({"command": ["true"]})), Answer::ok("exit code 0"));
    let failed = ask(json!({"command": "sh -c 'echo first >&2; echo \"queue is full\" >&2; exit 3'"}));
    assert_eq!(failed, Answer::failed(Class::Exit, "exit code 3: queue is full"));
    let missing = ask(json!({"command": "no-such-program-anywhere"}));
    assert_eq!((missing.outcome, missing.class), (Outcome::Unknown, Some(Class::Spawn)));
}

#[test]
fn numbers_are_held_against_their_limits() {
    let print = |text: &str, limits: Value| {
        let mut settings = json!({"command": ["printf", "%s\n", text]});
        settings
            .as_object_mut()
            .unwrap()
            .extend(limits.as_object().unwrap().clone());
        ask(settings)
    };
    assert_eq!(print("7", json!({"number": {"max": 7}})), well("7"));
    assert_eq!(
        print("7.5", json!({"number": {"max": 7}})),
        failed(Class::Exit, "7.5 is too high")
    );
    assert_eq!(
        print("1", json!({"number": {"min": 2, "max": 7}})),
        failed(Class::Exit, "1 is too low")
    );
    assert_eq!(
        print("7", json!({"expect_number_below": 7})),
        failed(Class::Exit, "7 is too high")
    );
    assert_eq!(
        print("7", json!({"expect_number_above": 7})),
        failed(Class::Exit, "7 is too low")
    );
    assert_eq!(print("8", json!({"expect_number_above": 7})), well("8"));
    // No data is neither good nor bad.
    for nothing in ["", "NaN", "null"] {
        let answer = print(nothing, json!({"number": {"max": 7}}));
        assert_eq!(
            (answer.outcome, answer.class),
            (Outcome::Unknown, Some(Class::NoData)),
            "{nothing}"
        );
    }
    assert!(build("command", &json!({"command": "true", "number": {"min": 2, "max": 1}})).is_err());
    assert!(build("command", &json!({"command": "echo 'open"})).is_err());
    assert!(build("command", &json!({})).is_err());
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let scene = Scene::new();
    let marker = scene.root().join("pid");
    let script = format!(
        "trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done",
        marker.display()
    );
    let probe = build("command", &json!({"command": ["sh", "-c", script], "timeout": "500ms"})).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(probe.read(&Expectation::default(), &scene.cx));
    assert_eq!(answer, Answer::failed(Class::TimeoutRead, "no answer within 0.5 s"));
    let pid = std::fs::read_to_string(marker).unwrap();
    let begun = Instant::now();
    while std::fs::exists(format!("/proc/{}", pid.trim())).unwrap() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it ignores SIGTERM, and is still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn endless_output_is_read_and_forgotten() {
    let answer = ask(json!({"command": "sh -c 'head -c 200000000 /dev/zero'"}));
    assert_eq!(answer, Answer::ok("exit code 0"));
}
