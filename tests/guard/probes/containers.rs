//! `container` against a real engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use guard::model::health::{Answer, Class, FAILED_FURTHER, Outcome};
use guard::probes::{Expectation, Probe};
use guard::system::clock::{Clock, MachineClock};
use guard::system::docker::{Engine, containers_of, health_checks};
use serde_json::json;

use super::project::{IMAGE, Project, docker, until};
use super::{build, build_for, read};
use crate::support::Scene;

#[test]
fn containers_that_end_are_told() {
    let scene = Scene::new();
    let mut project = Project::new(&scene, "ends");
    let app = project.run(
        "app",
        &[IMAGE, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"],
    );
    project.run("web", &[IMAGE, "sleep", "1000"]);
    project.run("job", &["--label", "com.docker.compose.oneoff=True", IMAGE, "true"]);
    let build = |settings| build_for("container", &settings, &project.site()).unwrap();
    let all = build(json!({"timeout": "30s"}));
    let one = build(json!({"services": ["web"], "timeout": "30s"}));
    let ask = |probe: &dyn Probe, expectation| read(probe, &expectation, &scene.cx);
    assert_eq!(ask(all.as_ref(), Expectation::default()), Answer::ok("2 services well"));

    let replaced = Expectation {
        replaced: vec![("app".to_owned(), app.clone())],
        ..Expectation::default()
    };
    let old = ask(all.as_ref(), replaced.clone());
    assert_eq!(
        old,
        Answer::failed(Class::Version, "app is still the container from before the deployment")
    );

    docker(&["stop", &app]);
    let ended = ask(all.as_ref(), Expectation::default());
    assert_eq!(ended, Answer::failed(Class::Container, "app exited with code 3"));
    assert_eq!(ask(one.as_ref(), Expectation::default()), Answer::ok("1 service well"));
    // A probe that begins after the fall, as on a resume, still knows the service from what was replaced.
    let late = build(json!({"timeout": "30s"}));
    assert_eq!(ask(late.as_ref(), replaced).class, Some(Class::Container));
    docker(&["rm", "--force", &app]);
    let gone = ask(all.as_ref(), Expectation::default());
    assert_eq!(gone, Answer::failed(Class::NoData, "app has no container"));
}

#[test]
fn fault_h17_restarts_and_failing_health_checks_are_told() {
    let scene = Scene::new();
    let mut project = Project::new(&scene, "restarts");
    project.run("well", &[IMAGE, "sleep", "1000"]);
    let probe = build_for(
        "container",
        &json!({"services": ["well", "loop"], "timeout": "30s"}),
        &project.site(),
    )
    .unwrap();
    let none = read(probe.as_ref(), &Expectation::default(), &scene.cx);
    assert_eq!(none, Answer::failed(Class::NoData, "loop has no container"));
    project.run("loop", &["--restart", "always", IMAGE, "sh", "-c", "sleep 0.3; exit 1"]);
    // Between two of its ends it runs, so only the count tells that it is not well.
    until(probe.as_ref(), &scene, |answer| {
        answer.note.starts_with("loop restarted ")
    });
    for _ in 0..5 {
        let answer = read(probe.as_ref(), &Expectation::default(), &scene.cx);
        assert_eq!(answer.class, Some(Class::Container), "{answer:?}");
    }
    project.run(
        "sick",
        &[
            "--health-cmd",
            "false",
            "--health-interval",
            "1s",
            "--health-retries",
            "1",
            IMAGE,
            "sleep",
            "1000",
        ],
    );
    let probe = build_for(
        "container",
        &json!({"services": ["sick"], "timeout": "30s"}),
        &project.site(),
    )
    .unwrap();
    let sick = until(probe.as_ref(), &scene, |answer| answer.note == "sick is unhealthy");
    assert_eq!(sick.class, Some(Class::Unhealthy));
    until(probe.as_ref(), &scene, |answer| {
        answer
            .figures
            .get(FAILED_FURTHER)
            .is_some_and(|further| *further >= 3.0)
    });
    // One that is starting, whose service comes first, does not hide it.
    let check = ["--health-cmd", "true", "--health-interval", "1h"];
    project.run("new", &[&check[..], &[IMAGE, "sleep", "1000"]].concat());
    let services = |names: serde_json::Value| {
        build_for(
            "container",
            &json!({"services": names, "timeout": "30s"}),
            &project.site(),
        )
        .unwrap()
    };
    let both = read(
        services(json!(["new", "sick"])).as_ref(),
        &Expectation::default(),
        &scene.cx,
    );
    assert_eq!(both.note, "sick is unhealthy");
    let new = read(
        services(json!(["new", "well"])).as_ref(),
        &Expectation::default(),
        &scene.cx,
    );
    assert_eq!(new, Answer::failed(Class::Starting, "new is still starting"));
}

#[test]
fn a_health_check_that_is_switched_off_is_none() {
    let scene = Scene::new();
    let mut project = Project::new(&scene, "off");
    project.run("checked", &["--no-healthcheck", IMAGE, "sleep", "1000"]);
    let id = project.run("other", &[IMAGE, "sleep", "1000"]);
    let probe = build_for("container", &json!({"timeout": "30s"}), &project.site()).unwrap();
    assert_eq!(
        read(probe.as_ref(), &Expectation::default(), &scene.cx),
        Answer::ok("2 services well")
    );
    let found = containers_of(&scene.cx, &project.site().compose.unwrap().project).unwrap();
    assert!(found.iter().all(|one| one.health.is_none()), "{found:?}");
    let ids = found.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert!(ids.contains(&id));
    assert_eq!(health_checks(&scene.cx, &ids).unwrap(), [None, None]);
}

#[test]
fn an_engine_that_does_not_answer_is_no_evidence() {
    let scene = Scene::new();
    let project = Project::new(&scene, "blind");
    let probe = build_for("container", &json!({"services": ["app"]}), &project.site()).unwrap();
    let nowhere = Engine::Host(format!("unix://{}", scene.root().join("not-there").display()));
    let answer = read(probe.as_ref(), &Expectation::default(), &scene.cx.at(Some(&nowhere)));
    assert_eq!(answer.outcome, Outcome::Unknown, "{answer:?}");
    assert!(build("container", &json!({})).is_err(), "there is no Compose project");
}

/// The machine's clock, some seconds ahead.
struct Ahead(Arc<dyn Clock>, AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn steady(&self) -> Duration {
        self.0.steady() + Duration::from_secs(self.1.load(Ordering::SeqCst))
    }

    fn sleep(&self, span: Duration) {
        self.0.sleep(span);
    }
}

#[test]
fn a_service_that_fell_over_at_its_start_is_well_once_it_holds_out() {
    let mut scene = Scene::new();
    let clock = Arc::new(Ahead(MachineClock::start(), AtomicU64::new(0)));
    scene.cx.clock = clock.clone();
    let mut project = Project::new(&scene, "holds-out");
    let settings = json!({"services": ["app"], "timeout": "30s"});
    let probe = build_for("container", &settings, &project.site()).unwrap();
    let _before = read(probe.as_ref(), &Expectation::default(), &scene.cx);
    let script = "echo >>/ends; [ $(wc -l </ends) -gt 4 ] && exec sleep 1000; exit 1";
    let id = project.run("app", &["--restart", "always", IMAGE, "sh", "-c", script]);
    until(probe.as_ref(), &scene, |answer| answer.note == "app restarted 4 times");
    assert_eq!(docker(&["inspect", "--format", "{{.State.Status}}", &id]), "running");
    clock.1.store(60, Ordering::SeqCst);
    let answer = read(probe.as_ref(), &Expectation::default(), &scene.cx);
    assert_eq!(answer, Answer::ok("1 service well"));
}
