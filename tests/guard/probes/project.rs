//! A Compose project of a test's own, in the real engine.

use std::process::Command;
use std::time::{Duration, Instant};

use guard::model::health::Answer;
use guard::probes::{Expectation, Probe, Site};
use guard::system::docker::Compose;

use super::read;
use crate::support::Scene;

/// Containers that carry the labels of a Compose project of their own; removed with the test.
pub struct Project {
    name: String,
    ids: Vec<String>,
}

impl Drop for Project {
    fn drop(&mut self) {
        for id in &self.ids {
            let _removed = Command::new("docker").args(["rm", "--force", "--volumes", id]).output();
        }
    }
}

impl Project {
    /// A project of its own, with nothing in it.
    pub fn new(scene: &Scene, what: &str) -> Self {
        Self {
            name: format!("guardtest-{what}-{}", scene.cx.token().replace('_', "-")),
            ids: Vec::new(),
        }
    }

    /// Starts a container of this service; its id.
    pub fn run(&mut self, service: &str, args: &[&str]) -> String {
        let project = format!("com.docker.compose.project={}", self.name);
        let service = format!("com.docker.compose.service={service}");
        let mut words = vec![
            "run",
            "--detach",
            "--init",
            "--label",
            "guard.test=1",
            "--label",
            &project,
            "--label",
            &service,
        ];
        words.extend_from_slice(args);
        let id = docker(&words);
        self.ids.push(id.clone());
        id
    }

    /// What a probe is told of the project.
    pub fn site(&self) -> Site {
        let compose = Compose {
            files: Vec::new(),
            env_files: Vec::new(),
            profiles: Vec::new(),
            project: self.name.clone(),
            directory: "/".into(),
        };
        Site { compose: Some(compose) }
    }
}

/// Runs `docker` and keeps what it prints.
pub fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().expect("docker");
    assert!(
        output.status.success(),
        "docker {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Reads until the answer is as wanted; the test fails where that takes too long.
pub fn until(probe: &dyn Probe, scene: &Scene, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = read(probe, &Expectation::default(), &scene.cx);
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "still {answer:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// An image that can run a shell.
pub const IMAGE: &str = "guard-test/debian:trixie";
