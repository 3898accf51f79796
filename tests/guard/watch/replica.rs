//! One bad replica of three behind a real nginx: it never fails often enough in a row, and is found by its share.

use std::process::Command;
use std::time::{Duration, Instant};

use guard::model::health::{FindingCause, Outcome, Reading, Rule, Verdict};
use guard::probes::Expectation;
use guard::watch::Judge;

use super::name;
use crate::probes::server::{Server, answer};
use crate::probes::{build, free_port};
use crate::support::Scene;

/// A container with nginx that shares the work among these ports, gone with the test.
struct Balancer {
    id: String,
    port: u16,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _removed = Command::new("docker")
            .args(["rm", "--force", "--volumes", &self.id])
            .output();
    }
}

impl Balancer {
    fn start(scene: &Scene, replicas: &[u16]) -> Self {
        let port = free_port();
        let servers: Vec<String> = replicas
            .iter()
            .map(|port| format!("server 127.0.0.1:{port} max_fails=0;"))
            .collect();
        let servers = servers.join(" ");
        let config = format!(
            "daemon off; pid /tmp/nginx.pid; error_log stderr; events {{}}\n\
             http {{ access_log off; upstream app {{ {servers} }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; proxy_next_upstream off; }} }} }}\n"
        );
        let path = scene.root().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let mount = format!("{}:/etc/nginx/nginx.conf:ro", path.display());
        let output = Command::new("docker")
            .args([
                "run",
                "--detach",
                "--label",
                "guard.test=1",
                "--network",
                "host",
                "--volume",
                &mount,
            ])
            .args(["--entrypoint", "nginx", "guard-test/nginx:latest"])
            .output()
            .expect("docker");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let balancer = Self {
            id: String::from_utf8(output.stdout).unwrap().trim().to_owned(),
            port,
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        balancer
    }
}

#[test]
fn one_bad_replica_behind_nginx_is_found_by_its_share() {
    let scene = Scene::new();
    let well = || Server::answering(|_| answer("200 OK", "", "fine"));
    let (one, two) = (well(), well());
    let sick = Server::answering(|_| answer("503 Service Unavailable", "", "out of memory"));
    let balancer = Balancer::start(&scene, &[one.port, two.port, sick.port]);
    let probe = build(
        "http",
        &serde_json::json!({"url": format!("http://127.0.0.1:{}/", balancer.port)}),
    )
    .unwrap();
    let mut judge = Judge::new(Rule::default(), vec![name("web")]).behind_the_gate();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut longest = 0;
    // The answers are nginx's own; only the seconds between them are made up.
    for t in (0..600).map(f64::from) {
        let answer = runtime.block_on(probe.read(&Expectation::default(), &scene.cx));
        assert_ne!(answer.outcome, Outcome::Unknown, "{answer:?}");
        judge.take(&Reading {
            probe: name("web"),
            at: scene.cx.clock.now(),
            t,
            outcome: answer.outcome,
            class: answer.class,
            note: answer.note,
            latency: Duration::from_millis(5),
            figures: std::collections::BTreeMap::new(),
            number: None,
            is_restart: false,
        });
        longest = longest.max(judge.tally().consecutive);
        if let Verdict::Bad(finding) = judge.verdict(t + 0.1) {
            eprintln!("found after {t} s: {}", finding.sentence);
            assert_eq!(finding.cause, FindingCause::Rate);
            assert!(
                finding.sentence.contains("(503)") && finding.sentence.contains(" probes failed (3"),
                "{}",
                finding.sentence
            );
            assert!(longest < 3, "nginx takes turns, so nothing fails three times in a row");
            return;
        }
    }
    panic!("the bad replica was not found in ten minutes");
}
