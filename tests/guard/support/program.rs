//! The real binary, run as a user would, in a directory, with a state of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a call of guard did.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code; shows everything when it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that standard error says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing in:\n{}", self.stderr);
        self
    }

    /// Both streams.
    pub fn everything(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// guard in a project's directory.
pub struct Program {
    directory: PathBuf,
    state: PathBuf,
    env: Vec<(String, String)>,
}

/// The binary under test: this build's, or the one that a planted bug was built into.
fn binary() -> OsString {
    std::env::var_os("GUARD_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_guard").into())
}

impl Program {
    /// guard in this directory, with its state there.
    pub fn new(directory: &Path, state: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            state: state.to_owned(),
            env: Vec::new(),
        }
    }

    /// Sets a variable for every call.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, ready to run; no variable of the test's own environment that means something to guard is left.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(&self.directory).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let means_something = ["GUARD_", "GITHUB_", "GITLAB_", "PG", "COMPOSE_"]
                .iter()
                .any(|start| name.starts_with(start));
            if means_something || name == "CI" {
                command.env_remove(name.as_ref());
            }
        }
        command.env("GUARD_STATE_DIR", &self.state).env("NO_COLOR", "1");
        // Where runs of this machine are registered; the machine's own place is not a test's to write to.
        command.env("GUARD_STATE_ROOT", self.state.with_extension("root"));
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().unwrap())
    }

    /// The same as words for a shell, for lines of the docs that pipe its output on.
    pub fn shell_words(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let state = quoted(&self.state.display().to_string());
        let root = quoted(&self.state.with_extension("root").display().to_string());
        let program = quoted(&binary().to_string_lossy());
        let directory = quoted(&self.directory.display().to_string());
        format!("env GUARD_STATE_DIR={state} GUARD_STATE_ROOT={root} NO_COLOR=1 {program} -C {directory}")
    }

    /// Starts it, its output going to nobody.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}
