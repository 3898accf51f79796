//! A small Compose project of a test, of a unique name; gone with its volumes when it is dropped.

use std::io::Write;
use std::process::{Command, Stdio};

use guard::system::docker::Compose;

use super::Scene;

/// A running project.
pub struct Project {
    /// How it is called.
    pub compose: Compose,
}

impl Project {
    /// Writes the compose file into the scene's project directory and starts it, until it is healthy.
    pub fn up(scene: &Scene, file: &str) -> Self {
        let directory = scene.project();
        let path = directory.join("compose.yml");
        std::fs::write(&path, file).unwrap();
        let project = Self {
            compose: Compose {
                files: vec![path],
                env_files: Vec::new(),
                profiles: Vec::new(),
                project: format!("guard-test-{}", scene.cx.token().replace('_', "-")),
                directory,
            },
        };
        project.call(&["up", "--detach", "--wait", "--quiet-pull"]);
        project
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", &self.compose.project, "--file"]);
        command.arg(&self.compose.files[0]).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command of Compose on the project, which must succeed, and returns what it prints.
    pub fn call(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program in a service's container with this input, which must succeed, and returns what it prints.
    pub fn exec(&self, service: &str, words: &[&str], input: &str) -> String {
        self.feed(service, words, input.as_bytes())
    }

    /// The same with any bytes.
    pub fn feed(&self, service: &str, words: &[&str], input: &[u8]) -> String {
        let mut command = self.command(&["exec", "--no-TTY", service]);
        command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _gone = self
            .command(&["down", "--volumes", "--timeout", "3", "--remove-orphans"])
            .output();
    }
}
