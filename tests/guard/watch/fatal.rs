//! Real processes that die or hang while they are watched.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guard::model::health::{FindingCause, Outcome, Reading, Rule, Verdict};
use guard::probes::Expectation;
use guard::watch::Judge;

use super::name;
use crate::probes::project::{IMAGE, Project, docker};
use crate::probes::{build, build_for, free_port, read};
use crate::support::Scene;

/// A web server in a process of its own, ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Watches a real server process by the second; sends it a signal; the seconds from there to the verdict.
fn process_until_bad(signal: &str) -> (f64, String) {
    let port = free_port();
    let scene = Scene::new();
    let server = Server(
        Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
            .current_dir(scene.project())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3"),
    );
    let strike = || {
        let sent = Command::new("kill")
            .args([signal, &server.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    };
    seconds_until_bad(&scene, port, strike)
}

/// The same with a server in a container, and `docker kill` or `docker pause`.
fn container_until_bad(what: &str, verb: &str) -> (f64, String) {
    let scene = Scene::new();
    let mut project = Project::new(&scene, what);
    let serve = ["python3", "-m", "http.server", "--directory", "/mnt", "80"];
    let words = ["--publish", "127.0.0.1::80", "guard-test/app-base"];
    let id = project.run("web", &[words.as_slice(), &serve].concat());
    let port = docker(&["port", &id, "80/tcp"])
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let found = seconds_until_bad(&scene, port, || {
        docker(&[verb, &id]);
    });
    if verb == "pause" {
        docker(&["unpause", &id]);
    }
    found
}

/// Watches a real server by the second; strikes it once the gate has been open for a second; the seconds from there to
/// the verdict.
fn seconds_until_bad(scene: &Scene, port: u16, strike: impl Fn()) -> (f64, String) {
    let probe = build("http", &serde_json::json!({"url": format!("http://127.0.0.1:{port}/")})).expect("built");
    let probe: std::sync::Arc<dyn guard::probes::Probe> = probe.into();
    // The readings after the signal are dated two minutes later: an outage in the first minute would be excused for 30 s.
    let rule = Rule {
        window: Duration::from_mins(10),
        ..Rule::default()
    };
    let mut judge = Judge::new(rule, vec![name("web")]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel::<Reading>();
    let begun = Instant::now();
    let mut shift = 0.0;
    let mut signalled: Option<Instant> = None;
    let mut turn = 0;
    loop {
        let (probe, cx, sender) = (probe.clone(), scene.cx.clone(), sender.clone());
        let asked = begun.elapsed();
        let t = asked.as_secs_f64() + shift;
        runtime.spawn(async move {
            let answer = probe.read(&Expectation::default(), &cx).await;
            let reading = Reading {
                probe: probe.name().clone(),
                at: cx.clock.now(),
                t,
                outcome: answer.outcome,
                class: answer.class,
                note: answer.note,
                latency: begun.elapsed().saturating_sub(asked),
                figures: std::collections::BTreeMap::new(),
                number: None,
                is_restart: false,
            };
            let _over = sender.send(reading);
        });
        turn += 1;
        let next = begun + Duration::from_secs(turn);
        while let Ok(reading) = receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
            assert_ne!(reading.outcome, Outcome::Unknown, "{reading:?}");
            judge.take(&reading);
            if let (Verdict::Bad(finding), Some(since)) =
                (judge.verdict(begun.elapsed().as_secs_f64() + shift), signalled)
            {
                return (since.elapsed().as_secs_f64(), finding.sentence);
            }
        }
        if judge.gate_passed() && signalled.is_none() && turn >= 4 {
            shift = 120.0;
            // Between two probes, where the wait for the next one is part of the time.
            std::thread::sleep(Duration::from_millis(100));
            strike();
            signalled = Some(Instant::now());
        }
        assert!(turn < 60, "the server's end was not seen");
    }
}

/// Does it once, or as often as `GUARD_REAL_TRIALS` says, so many at a time, and prints how long it took. The engine does one
/// thing after the other, and containers that restart for ever keep it busy: of those there are fewer at a time.
fn repeated(what: &str, at_once: usize, once: impl Fn(usize) -> (f64, String) + Sync) -> Vec<String> {
    let trials: usize = std::env::var("GUARD_REAL_TRIALS").map_or(1, |text| text.parse().unwrap());
    let mut all = Vec::new();
    for batch in (0..trials).collect::<Vec<_>>().chunks(at_once) {
        std::thread::scope(|scope| {
            let once = &once;
            let running: Vec<_> = batch.iter().map(|number| scope.spawn(move || once(*number))).collect();
            all.extend(running.into_iter().map(|one| one.join().unwrap()));
        });
    }
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)].0;
    eprintln!(
        "{what}: {} trials, {:.1} / {:.1} / {:.1} / {:.1} s (median, 95 %, 99 %, slowest): {}",
        all.len(),
        at(50),
        at(95),
        at(99),
        at(100),
        all[0].1
    );
    all.into_iter().map(|(_, sentence)| sentence).collect()
}

#[test]
fn a_killed_server_is_found() {
    for sentence in repeated("M1 a process, kill -9", 10, |_| process_until_bad("-KILL")) {
        assert!(sentence.contains("connection refused"), "{sentence}");
    }
}

#[test]
fn a_hanging_server_is_found() {
    for sentence in repeated("M2 a process, SIGSTOP", 10, |_| process_until_bad("-STOP")) {
        // Its queue takes a few connections more; the ones after that do not even get so far.
        let is_silent = sentence.contains("no answer within") || sentence.contains("no connection within");
        assert!(is_silent, "{sentence}");
    }
}

#[test]
fn a_container_that_is_killed_or_paused_is_found() {
    for sentence in repeated("M1 a container, docker kill", 5, |number| {
        container_until_bad(&format!("killed-{number}"), "kill")
    }) {
        // Whose connection is just being carried over when it goes is told as broken.
        let is_gone = sentence.contains("connection refused") || sentence.contains("the connection was broken");
        assert!(is_gone, "{sentence}");
    }
    for sentence in repeated("M2 a container, docker pause", 5, |number| {
        container_until_bad(&format!("paused-{number}"), "pause")
    }) {
        assert!(sentence.contains("no answer within"), "{sentence}");
    }
}

/// Watches a container that fails at its start; the seconds to the verdict.
fn seconds_until_dead(what: &str, restart: &str) -> (f64, String) {
    let scene = Scene::new();
    let mut project = Project::new(&scene, what);
    let settings = serde_json::json!({"services": ["app"], "timeout": "30s"});
    let probe = build_for("container", &settings, &project.site()).expect("built");
    let _before = read(probe.as_ref(), &Expectation::default(), &scene.cx);
    project.run("app", &["--restart", restart, IMAGE, "sh", "-c", "exit 7"]);
    let mut judge = Judge::new(Rule::default(), vec![name("web")]);
    let begun = Instant::now();
    for turn in 0..60 {
        let asked = begun.elapsed();
        let answer = read(probe.as_ref(), &Expectation::default(), &scene.cx);
        judge.take(&Reading {
            probe: probe.name().clone(),
            at: scene.cx.clock.now(),
            t: asked.as_secs_f64(),
            outcome: answer.outcome,
            class: answer.class,
            note: answer.note,
            latency: begun.elapsed().saturating_sub(asked),
            figures: std::collections::BTreeMap::new(),
            number: None,
            is_restart: false,
        });
        if let Verdict::Bad(finding) = judge.verdict(begun.elapsed().as_secs_f64()) {
            // On a busy machine, one that falls over and over may be seen running twice in a row in between.
            let is_expected = finding.cause == FindingCause::DeadOnArrival
                || (restart == "always" && finding.cause == FindingCause::Outage);
            assert!(is_expected, "{finding:?}");
            return (begun.elapsed().as_secs_f64(), finding.sentence);
        }
        std::thread::sleep((begun + Duration::from_secs(turn + 1)).saturating_duration_since(Instant::now()));
    }
    panic!("the container's end was not seen");
}

#[test]
fn a_container_that_ends_at_its_start_is_found() {
    for sentence in repeated("M9 a container, ended at its start", 5, |number| {
        seconds_until_dead(&format!("ends-{number}"), "no")
    }) {
        assert_eq!(sentence, "web: app exited with code 7");
    }
    for sentence in repeated("M9 a container, restarts at its start", 2, |number| {
        seconds_until_dead(&format!("loops-{number}"), "always")
    }) {
        assert!(
            sentence.contains("app restart") || sentence.contains("app is restarting"),
            "{sentence}"
        );
    }
}
