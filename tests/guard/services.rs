//! What runs, stopped and started on the real engine.

mod containers;
mod processes;
mod units;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use guard::services::{
    Affected, ServiceError, Services, Wanted, hold_updaters, keep_evidence, release_updaters, restart_stale, updaters,
};
use guard::system::docker::{Engine as Place, Recorded};

use crate::support::Scene;
use crate::support::engine::Engine;
use crate::support::project::{BASE, Project, docker};

const LIMIT: Duration = Duration::from_mins(1);

/// A service that stops at once when it is asked to.
fn service(name: &str, more: &str) -> String {
    format!("  {name}: {{image: 'guard-test/debian:trixie', init: true, command: [sleep, '600'], {more}}}\n")
}

fn shop() -> String {
    [
        "services:\n".to_owned(),
        service("db", "volumes: ['data:/data']"),
        service("store", "volumes: ['objects:/data']"),
        service("app", "depends_on: [db, store]"),
        service("web", "depends_on: [app]"),
        service("side", ""),
        service("idle", "volumes: ['objects:/data']"),
        "volumes: {data: {}, objects: {}}\n".to_owned(),
    ]
    .concat()
}

fn services_of(project: &Project) -> Services {
    Services {
        compose: Some(project.compose.clone()),
        ..Services::default()
    }
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&word| word.to_owned()).collect()
}

/// The moments at which containers ended, by service.
fn ended(project: &Project, service: &str) -> String {
    docker(&["inspect", "-f", "{{.State.FinishedAt}}", &project.container(service)])
}

#[test]
fn only_what_uses_the_data_stops_dependents_first_and_what_was_stopped_stays_stopped() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let project = Project::new(&scene.project(), &shop());
    project.up();
    project.compose(&["stop", "idle"]);
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    let services = services_of(&project);
    let affected = Affected {
        occupied: vec!["objects".to_owned()],
        databases: vec!["db".to_owned()],
        // What the failed release replaced stops without those that wait for it, unless the restore goes through it.
        replaced: vec!["side".to_owned(), "db".to_owned()],
        keep_running: vec!["db".to_owned()],
        ..Affected::default()
    };
    let stopped = services.quiesce(&affected, cx).unwrap();
    assert_eq!(stopped, ["idle", "side", "web", "app", "store"]);
    let expected = [
        "app exited",
        "db running",
        "idle exited",
        "side exited",
        "store exited",
        "web exited",
    ];
    assert_eq!(project.states(), expected);
    assert!(ended(&project, "web") < ended(&project, "app"));
    assert!(ended(&project, "app") < ended(&project, "store"));
    assert_eq!(
        services.quiesce(&affected, cx).unwrap(),
        stopped,
        "a second time is the same"
    );

    for _ in 0..2 {
        services.start(Some(&recorded), LIMIT, cx).unwrap();
        let expected = [
            "app running",
            "db running",
            "idle exited",
            "side running",
            "store running",
            "web running",
        ];
        assert_eq!(project.states(), expected);
    }
}

#[test]
fn a_dependency_that_had_been_stopped_is_not_started_and_an_orphan_goes() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let text = format!(
        "services:\n{}{}",
        service("migrate", "").replace("[sleep, '600']", "['true']"),
        service(
            "app",
            "depends_on: {migrate: {condition: service_completed_successfully}}"
        )
    );
    let project = Project::new(&scene.project(), &text);
    project.up();
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    let migrated = ended(&project, "migrate");
    project.write(&format!("{text}{}", service("worker", "")).replace("'600'", "'601'"));
    project.up();
    let migrated_again = ended(&project, "migrate");
    assert_ne!(migrated, migrated_again);
    project.write(&text);
    services_of(&project).start(Some(&recorded), LIMIT, cx).unwrap();
    assert_eq!(project.states(), ["app running", "migrate exited"]);
    assert_eq!(
        ended(&project, "migrate"),
        migrated_again,
        "the rollback ran no migration"
    );
    let command = docker(&["inspect", "-f", "{{.Config.Cmd}}", &project.container("app")]);
    assert_eq!(command, "[sleep 600]");
}

#[test]
fn a_start_asks_the_containers_own_check_and_does_not_wait_for_its_interval() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let check = "healthcheck: {test: 'test -e /tmp/ready', interval: 10m, retries: 2}";
    let slow = "[sh, -c, 'rm -f /tmp/ready; sleep 1; touch /tmp/ready; exec sleep 600']";
    let text = [
        "services:\n".to_owned(),
        service("db", check).replace("[sleep, '600']", slow),
        service("app", "depends_on: {db: {condition: service_healthy}}"),
    ]
    .concat();
    let project = Project::new(&scene.project(), &text);
    project.compose(&["create", "--pull", "never"]);
    let ids = ["db", "app"].map(|service| project.container(service));
    docker(&["start", &ids[0], &ids[1]]);
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    let services = services_of(&project);
    let affected = Affected {
        databases: vec!["db".to_owned()],
        ..Affected::default()
    };
    assert_eq!(services.quiesce(&affected, cx).unwrap(), ["app", "db"]);
    services.start(Some(&recorded), LIMIT, cx).unwrap();
    assert_eq!(project.states(), ["app running", "db running"]);
    assert_eq!(
        ["db", "app"].map(|service| project.container(service)),
        ids,
        "they are the same containers"
    );
    let told = |form: &str, id: &str| docker(&["inspect", "-f", form, id]);
    assert_eq!(
        told("{{.State.Health.Status}}", &ids[0]),
        "starting",
        "the engine does not know yet"
    );
    let begun = ids.each_ref().map(|id| {
        let text = told("{{.State.StartedAt}}", id);
        chrono::DateTime::parse_from_rfc3339(&text).unwrap()
    });
    assert!(
        (begun[1] - begun[0]).num_milliseconds() >= 1000,
        "it waited until the check passed: {begun:?}"
    );

    // With other settings it is Compose's to make the container anew, and nobody else's.
    project.compose(&["stop", "--timeout", "1", "app"]);
    project.write(&text.replace("depends_on", "labels: {a: b}, depends_on"));
    services.start(Some(&recorded), LIMIT, cx).unwrap();
    assert_eq!(project.container("db"), ids[0]);
    assert_ne!(project.container("app"), ids[1]);
}

#[test]
fn as_many_containers_run_as_before() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let project = Project::new(&scene.project(), &format!("services:\n{}", service("app", "")));
    project.compose(&["up", "-d", "--scale", "app=2"]);
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    project.up();
    assert_eq!(project.states(), ["app running"]);
    services_of(&project).start(Some(&recorded), LIMIT, cx).unwrap();
    assert_eq!(project.states(), ["app running", "app running"]);
}

#[test]
fn a_restart_loop_is_not_running() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let text = format!("services:\n{}", service("app", ""));
    let project = Project::new(&scene.project(), &text);
    project.up();
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    let crash = "command: [sh, -c, 'sleep 1; echo no table users; exit 3'], restart: always";
    project.write(&text.replace("command: [sleep, '600']", crash));
    let error = services_of(&project).start(Some(&recorded), LIMIT, cx).unwrap_err();
    let ServiceError::NotRunning(told) = &error else {
        panic!("{error:?}")
    };
    let told = told.join("; ");
    for part in ["app-1", "restarted", "no table users"] {
        assert!(told.contains(part), "{part:?} is not in {told:?}");
    }
    let is_up = told.contains("is running, restarted");
    assert!(is_up || told.contains("its last exit code 3"), "{told:?}");
}

#[test]
fn unhealthy_is_not_running() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let check = "healthcheck: {test: ['CMD', 'false'], interval: 1s, retries: 1}";
    let project = Project::new(&scene.project(), &format!("services:\n{}", service("app", check)));
    project.up();
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    let error = services_of(&project)
        .start(Some(&recorded), Duration::from_secs(6), cx)
        .unwrap_err();
    assert!(error.to_string().contains("is unhealthy"), "{error}");
}

#[test]
fn a_port_that_is_held_is_told_with_its_holder() {
    let scene = Scene::new();
    let other = Scene::new();
    let cx = &scene.cx;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!(
        "services:\n{}",
        service("web", &format!("ports: ['127.0.0.1:{port}:80']"))
    );
    let project = Project::new(&scene.project(), &text);
    project.compose(&["create"]);
    let mut recorded = Recorded::of(cx, &project.compose).unwrap();
    recorded.containers[0].state = "running".to_owned();
    let services = services_of(&project);
    let error = services.start(Some(&recorded), LIMIT, cx).unwrap_err();
    assert!(matches!(error, ServiceError::Conflict(_)), "{error:?}");
    assert!(
        error.to_string().contains(&format!("port {port} is held by a process")),
        "{error}"
    );

    drop(listener);
    let holder = Project::new(&other.project(), &text);
    holder.up();
    let error = services.start(Some(&recorded), LIMIT, cx).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("container {}-web-1", holder.name())),
        "{error}"
    );

    drop(holder);
    services.start(Some(&recorded), LIMIT, cx).unwrap();
    assert_eq!(project.states(), ["web running"]);
}

#[test]
fn fault_h12_a_name_that_is_held_is_told_with_its_holder() {
    let scene = Scene::new();
    let other = Scene::new();
    let cx = &scene.cx;
    let name = format!("guard-test-comp-name-{}", std::process::id());
    let text = format!("services:\n{}", service("web", &format!("container_name: {name}")));
    let project = Project::new(&scene.project(), &text);
    project.up();
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    project.compose(&["down"]);
    let holder = Project::new(&other.project(), &text);
    holder.up();
    let error = services_of(&project).start(Some(&recorded), LIMIT, cx).unwrap_err();
    assert!(matches!(error, ServiceError::Conflict(_)), "{error:?}");
    for part in [&name, holder.name()] {
        assert!(error.to_string().contains(part), "{part} is not in {error}");
    }
}

#[test]
fn the_users_commands_run_around() {
    let scene = Scene::new();
    let log = scene.project().join("log");
    let write = |word: &str| vec![words(&["sh", "-c", &format!("echo {word} $GUARD_STAGE >> log")])];
    let services = Services {
        stop: write("stop"),
        start: write("start"),
        maintenance_on: write("on"),
        maintenance_off: write("off"),
        ..Services::default()
    };
    services.quiesce(&Affected::default(), &scene.cx).unwrap();
    services.start(None, LIMIT, &scene.cx).unwrap();
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "on maintenance\nstop stop\nstart start\noff maintenance\n"
    );

    let failing = Services {
        stop: vec![words(&["false"])],
        ..services.clone()
    };
    assert!(
        failing.quiesce(&Affected::default(), &scene.cx).is_err(),
        "what may still write is an error"
    );
    let failing = Services {
        maintenance_on: vec![words(&["false"])],
        ..services
    };
    failing
        .quiesce(&Affected::default(), &scene.cx)
        .expect("a page that does not come up stops nobody");
}

/// A health check of these words, as often as can be.
fn health(words: &str) -> String {
    format!("healthcheck: {{test: [CMD, {words}], interval: 1s, timeout: 1s, retries: 1}}")
}

#[test]
fn a_first_health_check_is_waited_for_as_long_as_it_may_take() {
    let scene = Scene::new();
    let text = format!("services:\n{}", service("app", &health(&format!("touch, {ASKED}"))));
    let project = Project::new(&scene.project(), &text);
    project.up();
    let services = services_of(&project);
    services.await_health(&scene.cx).unwrap();
    docker(&["exec", &project.container("app"), "test", "-e", ASKED]);
}

/// What a check makes in its container, and a stop takes with it.
const ASKED: &str = "/dev/shm/asked";

#[test]
fn what_is_started_has_the_time_that_its_own_check_takes() {
    let scene = Scene::new();
    let check = format!("healthcheck: {{test: [CMD, touch, {ASKED}], interval: 5s}}");
    let project = Project::new(&scene.project(), &format!("services:\n{}", service("app", &check)));
    project.up();
    let recorded = Recorded::of(&scene.cx, &project.compose).unwrap();
    project.compose(&["stop"]);
    let services = services_of(&project);
    services
        .start(Some(&recorded), Duration::from_secs(1), &scene.cx)
        .unwrap();
    docker(&["exec", &project.container("app"), "test", "-e", ASKED]);
}

#[test]
fn a_state_that_never_was_healthy_is_brought_back_as_it_was() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let text = |condition: &str| {
        let app = service("app", &health("'false'"));
        let web = service("web", &format!("depends_on: {{app: {{condition: {condition}}}}}"));
        format!("services:\n{app}{web}")
    };
    let project = Project::new(&scene.project(), &text("service_started"));
    project.up();
    let recorded = Recorded::of(cx, &project.compose).unwrap();
    project.write(&text("service_healthy"));
    project.compose(&["stop"]);
    let services = services_of(&project);
    services
        .start(Some(&recorded), Duration::from_secs(3), cx)
        .expect_err("Compose waits for a healthy one in vain");
    services.bring_up(Some(&recorded), Wanted::Running, LIMIT, cx).unwrap();
    assert_eq!(project.states(), ["app running", "web running"]);
}

#[test]
fn a_database_that_is_down_is_started_alone() {
    let scene = Scene::new();
    let project = Project::new(&scene.project(), &shop());
    project.up();
    project.compose(&["stop"]);
    let services = services_of(&project);
    for _ in 0..2 {
        services.ensure_running(&["db".to_owned()], LIMIT, &scene.cx).unwrap();
        let running: Vec<String> = project
            .states()
            .into_iter()
            .filter(|state| state.ends_with("running"))
            .collect();
        assert_eq!(running, ["db running"]);
    }
}

fn every_file(directory: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(directory).unwrap().display().to_string();
            files.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    files
}

#[test]
fn evidence_has_the_logs_and_no_secret() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let more = "environment: {DB_PASSWORD: canary-password, URL: 'postgres://u:canary-in-url@db/x'}";
    let loud = "[sh, -c, 'echo boom $$DB_PASSWORD $$URL; head -c 6000000 /dev/zero | tr \"\\\\0\" x | fold; echo the end; exec sleep 600']";
    let text = format!("services:\n{}", service("app", more).replace("[sleep, '600']", loud));
    let project = Project::new(&scene.project(), &text);
    let before = cx.clock.now();
    project.up();
    let quiet = format!(
        "services:\n{}",
        service("app", more).replace(
            "[sleep, '600']",
            "[sh, -c, 'echo boom $$DB_PASSWORD $$URL; exec sleep 600']"
        )
    );
    while !docker(&["logs", "--tail", "1", &project.container("app")]).ends_with("the end") {}
    let directory = scene.root().join("evidence");
    let notes = keep_evidence(&directory, Some(project.name()), &[], before, cx);
    assert_eq!(notes, Vec::<String>::new());
    let files = every_file(&directory);
    let file = |name: &str| {
        &files
            .iter()
            .find(|(path, _)| path == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .1
    };
    let log = file(&format!("logs/{}-app-1.log", project.name()));
    assert!(log.starts_with("[the first ") && log.trim_end().ends_with("the end"));
    assert!(log.len() <= 5 * 1024 * 1024 + 100);
    assert!(file(&format!("inspect/{}-app-1.json", project.name())).contains("DB_PASSWORD=[REDACTED]"));
    assert!(file("ps.txt").contains("-app-1"));
    assert!(file("images.txt").contains("sha256:"));
    assert!(file("disk.txt").contains('%'));

    project.write(&quiet);
    project.up();
    while docker(&["logs", &project.container("app")]).is_empty() {}
    let directory = scene.root().join("evidence-2");
    assert_eq!(
        keep_evidence(&directory, Some(project.name()), &[], before, cx),
        Vec::<String>::new()
    );
    let second = every_file(&directory);
    assert!(
        second
            .iter()
            .any(|(_, text)| text.contains("boom [REDACTED] postgres://u:[REDACTED]@db/x"))
    );
    for (name, text) in files.iter().chain(&second) {
        assert!(!text.contains("canary"), "{name} shows a secret");
    }
}

#[test]
fn evidence_without_a_project_is_the_machine_and_what_cannot_be_kept_is_told() {
    let scene = Scene::new();
    let directory = scene.root().join("evidence");
    let notes = keep_evidence(&directory, None, &[], scene.cx.clock.now(), &scene.cx);
    assert_eq!(notes, Vec::<String>::new());
    let names: Vec<String> = every_file(&directory).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["disk.txt", "host.txt", "processes.txt"]);
    assert!(
        std::fs::read_to_string(directory.join("host.txt"))
            .unwrap()
            .contains("MemAvailable")
    );
    fs::write(scene.root().join("taken"), "").unwrap();
    let notes = keep_evidence(&scene.root().join("taken"), None, &[], scene.cx.clock.now(), &scene.cx);
    assert!(notes[0].contains("could not create the directory"), "{notes:?}");
}

#[test]
fn a_stopped_service_does_not_start_with_its_engine_while_its_restarts_are_held() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let file = [
        "services:\n".to_owned(),
        service("app", "restart: always"),
        service("job", "restart: 'on-failure:3'"),
        service("web", "restart: unless-stopped"),
    ]
    .concat();
    let project = Project::new(&scene.project(), &file);
    project.up();
    let services = services_of(&project);
    let policies = || {
        ["app", "job", "web"].map(|name| {
            let policy = "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}";
            docker(&["inspect", "-f", policy, &project.container(name)])
        })
    };
    let before = policies();
    services.hold_restarts(None, cx).unwrap();
    assert_eq!(policies(), before, "what runs is nobody's to hold");
    project.compose(&["stop"]);
    for _ in 0..2 {
        services.hold_restarts(None, cx).unwrap();
        assert_eq!(policies(), ["no:0", "no:0", "unless-stopped:0"]);
    }
    for _ in 0..2 {
        services.release_restarts(None, cx).unwrap();
        assert_eq!(policies(), before);
    }
    // One that is gone meanwhile is nobody's to mend.
    services.hold_restarts(None, cx).unwrap();
    project.compose(&["rm", "--force", "job"]);
    services.release_restarts(None, cx).unwrap();
}

#[test]
fn what_stands_is_told_service_by_service() {
    let scene = Scene::new();
    let file = [
        "services:\n".to_owned(),
        service("app", "deploy: {replicas: 2}"),
        service("job", ""),
        service("web", ""),
    ]
    .concat();
    let project = Project::new(&scene.project(), &file);
    project.up();
    let services = services_of(&project);
    services.note_what_runs(&scene.cx).unwrap();
    project.compose(&["stop", "job"]);
    project.compose(&["rm", "--force", "--stop", "web"]);
    docker(&["stop", project.container("app").lines().next().unwrap()]);
    let told = services.standing(&scene.cx).unwrap();
    let told: Vec<String> = told
        .iter()
        .map(|one| format!("{} {} {}", one.name, one.runs, one.how))
        .collect();
    assert_eq!(told, ["app false 1 of 2", "job false ", "web false no container"]);
}

#[test]
fn a_container_that_still_sees_a_file_that_was_replaced_is_restarted_and_no_other() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let file = scene.project().join("app.conf");
    fs::write(&file, "old").unwrap();
    let text = format!(
        "services:\n{}{}{}",
        service("app", "volumes: ['./app.conf:/etc/app.conf:ro']"),
        service("around", "volumes: ['.:/srv:ro']"),
        service("side", "")
    );
    let project = Project::new(&scene.project(), &text);
    project.up();
    let began = |name: &str| docker(&["inspect", "-f", "{{.State.StartedAt}}", &project.container(name)]);
    let seen = || docker(&["exec", &project.container("app"), "cat", "/etc/app.conf"]);
    let before: Vec<String> = ["app", "around", "side"].map(began).to_vec();
    assert_eq!(restart_stale(&project.compose, cx).unwrap(), Vec::<String>::new());
    // As a way back puts a file in place: another file under the same name.
    let fresh = scene.project().join("fresh");
    fs::write(&fresh, "new").unwrap();
    fs::rename(&fresh, &file).unwrap();
    assert_eq!(seen(), "old", "a bind mount shows what was there when it began");
    let restarted = restart_stale(&project.compose, cx).unwrap();
    assert_eq!(restarted, [format!("{}-app-1", project.name())]);
    assert_eq!(seen(), "new");
    let after: Vec<String> = ["app", "around", "side"].map(began).to_vec();
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1..], before[1..]);
    // What is gone from the host is nothing that a restart would mend: it could not start any more.
    fs::remove_file(&file).unwrap();
    assert_eq!(restart_stale(&project.compose, cx).unwrap(), Vec::<String>::new());
}

#[test]
fn an_image_updater_is_held_and_goes_on_and_one_that_a_person_paused_is_left_alone() {
    // An engine of its own: every updater of an engine is held.
    let engine = Engine::start(&[]);
    let saved = std::process::Command::new("docker")
        .args(["save", BASE])
        .output()
        .unwrap();
    engine.docker(&["load"], &saved.stdout);
    let run = |name: &str, image: &str| {
        engine.docker(&["tag", BASE, image], b"");
        let words = [
            "run",
            "--detach",
            "--label",
            "guard.test=1",
            "--network",
            "none",
            "--name",
            name,
        ];
        engine.docker(&[&words[..], &[image, "sleep", "600"]].concat(), b"");
    };
    run("updates", "guard-test/watchtower:1");
    run("resting", "guard-test/ouroboros:1");
    run("shop", "guard-test/shop:1");
    engine.docker(&["pause", "resting"], b"");
    let state = || {
        let listed = engine.docker(&["ps", "--format", "{{.Names}} {{.State}}"], b"");
        let mut lines: Vec<String> = String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let scene = Scene::new();
    let cx = &scene.cx.at(Some(&Place::Host(engine.host())));
    let before = state();
    assert_eq!(before, ["resting paused", "shop running", "updates running"]);
    assert_eq!(updaters(cx).len(), 2);
    let told = hold_updaters(cx);
    assert!(
        told.len() == 1 && told[0].contains("updates") && told[0].contains("is held"),
        "{told:?}"
    );
    assert_eq!(state(), ["resting paused", "shop running", "updates paused"]);
    assert_eq!(
        hold_updaters(cx),
        Vec::<String>::new(),
        "a resume holds it no second time"
    );
    let told = release_updaters(cx);
    assert!(
        told.len() == 1 && told[0].contains("updates acts on containers again"),
        "{told:?}"
    );
    assert_eq!(state(), before);
    assert_eq!(release_updaters(cx), Vec::<String>::new());
}
