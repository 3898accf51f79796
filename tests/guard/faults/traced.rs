//! guard under the tracer: every call by which it changes a file is counted, and any of them can be the last, or fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::support::embedded::Embedded;

/// The tracer, compiled once.
fn tracer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard/faults/tracer.c");
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tracer-{}", std::process::id()));
        let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&built).arg(source).status();
        assert!(compiled.unwrap().success(), "the tracer does not compile");
        built
    })
}

/// What the tracer does to a run.
#[derive(Debug, Clone, Copy)]
pub enum Blow<'a> {
    /// Nothing; it only counts.
    None,
    /// kill -9 as guard is about to make this call, counted from 1.
    Kill(u32),
    /// From this call of this name on, so many fail with this number.
    Fail {
        name: &'a str,
        from: u32,
        count: u32,
        errno: i32,
    },
}

/// One call by which guard changed a file.
#[derive(Debug, Clone)]
pub struct Call {
    /// As in the manual: `renameat`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// For a rename, where to.
    pub to: PathBuf,
}

/// Runs guard in the project under the tracer; what it did, and how it ended.
pub fn traced(project: &Embedded, blow: Blow<'_>, words: &[&str]) -> (Vec<Call>, Output) {
    let log = project.root().join("calls");
    let mode = match blow {
        Blow::None => vec!["count".to_owned()],
        Blow::Kill(number) => vec!["kill".to_owned(), number.to_string()],
        Blow::Fail {
            name,
            from,
            count,
            errno,
        } => ["fail", &from.to_string(), &count.to_string(), &errno.to_string(), name]
            .map(str::to_owned)
            .to_vec(),
    };
    let guard = project.guard().command(words);
    let mut command = Command::new(tracer());
    command
        .arg(&log)
        .args(mode)
        .arg("--")
        .arg(guard.get_program())
        .args(guard.get_args());
    command.current_dir(project.directory()).stdin(Stdio::null());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("GUARD_NO_WATCHER", "1");
    let output = command.output().unwrap();
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let calls = text.lines().map(|line| {
        let mut parts = line.split('\t').skip(1);
        let mut next = || parts.next().unwrap_or_default().to_owned();
        Call {
            name: next(),
            path: next().into(),
            to: next().into(),
        }
    });
    (calls.collect(), output)
}

/// The journeys that are struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journey {
    /// A deployment that changes everything and fails.
    FailingDeploy,
    /// A rollback by hand, behind a deployment that went well.
    Rollback,
}

impl Journey {
    /// guard's words.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::FailingDeploy => &["deploy", "--", "./deploy.sh", "all", "exit 7"],
            Self::Rollback => &["rollback", "--yes", "--reason=a test"],
        }
    }

    /// A project where it can begin, the old state by other means than guard's, and how many deployments there were.
    pub fn begin(self) -> (Embedded, crate::killed::State, usize) {
        // A proof that has to wait for its turn on a busy machine is no bad one.
        let project = Embedded::but("gate = \"300ms\"", "gate = \"20s\"");
        let old = project.everything();
        if self == Self::Rollback {
            project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
        }
        let deployments = project.deployments().len();
        (project, old, deployments)
    }

    /// How many calls it makes when nobody strikes.
    pub fn calls(self) -> Vec<Call> {
        let (project, _, _) = self.begin();
        let (calls, output) = traced(&project, Blow::None, self.words());
        let code = if self == Self::Rollback { 0 } else { 20 };
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        calls
    }
}

/// Does something for each of these on all processors.
pub fn for_each<T: Sync>(all: &[T], act: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    act(one);
                }
            });
        }
    });
}
