//! guard asked from another machine by SSH: a real server, a line that is cut, and the run's own journal as the oracle.

mod asked;
mod cut;
mod refused;

use std::io::Read;
use std::process::{Child, Stdio};

use crate::support::embedded::{Embedded, end};
use crate::support::sshd::Outside;
use crate::support::watched::json;

/// A project whose bad release is seen as bad within seconds, also on a busy machine; with further settings.
fn project(more: &str) -> Embedded {
    let settings = "gate = \"300ms\"\nmin_samples = 3\n";
    Embedded::but(settings, &format!("{}{more}", settings.replace("300ms", "3s")))
}

/// A call that goes on, its words in files.
struct Going {
    child: Child,
    root: tempfile::TempDir,
}

impl Going {
    fn start(guard: &Outside, words: &[&str]) -> Self {
        let root = tempfile::Builder::new().prefix("guard-outside-").tempdir().unwrap();
        let file = |name: &str| std::fs::File::create(root.path().join(name)).unwrap();
        let child = guard
            .command(words)
            .stdout(file("out"))
            .stderr(file("err"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, root }
    }

    fn said(&self, name: &str) -> String {
        let mut text = Vec::new();
        std::fs::File::open(self.root.path().join(name))
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits for the end: the exit code, and what was said on standard error.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let status = end(&mut self.child);
        (status.code(), self.said("err"))
    }
}

/// The last line that a call says of a run: where its report is.
fn last_line(said: &str) -> String {
    let mut lines = said.lines().rev();
    lines.find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// The line that says what state production is in.
fn verdict(said: &str) -> String {
    let mut lines = said.lines().rev();
    let found = lines.find(|line| line.contains("Production is "));
    found.unwrap_or_default().to_owned()
}

/// The newest run's own word: its exit code.
#[track_caller]
fn code_of(project: &Embedded) -> i32 {
    let result = json(&project.newest_run().join("result.json"));
    i32::try_from(result["exit_code"].as_i64().unwrap()).unwrap()
}
