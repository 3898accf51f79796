//! guard under the tracer: every call by which it changes a file is counted, and any of them can be the last, or fail.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use crate::figures::{is_full, wanted};
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

/// A program that may look into guard: as root, or as what its own namespace takes for root.
pub fn privileged(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", program]);
    command
}

/// Runs guard in the project under the tracer; what it did, and how it ended. No watcher goes on for it.
pub fn traced(project: &Embedded, blow: Blow<'_>, words: &[&str]) -> (Vec<Call>, Output) {
    traced_as(project, blow, words, "1")
}

/// The same with a watcher, which the tracer lets alone.
pub fn traced_with_watcher(project: &Embedded, blow: Blow<'_>, words: &[&str]) -> (Vec<Call>, Output) {
    traced_as(project, blow, words, "")
}

fn traced_as(project: &Embedded, blow: Blow<'_>, words: &[&str], without_watcher: &str) -> (Vec<Call>, Output) {
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
    let mut command = privileged(tracer().to_str().unwrap());
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
    command.env("GUARD_NO_WATCHER", without_watcher);
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// A project that a journey can begin in again and again: made once, and put back in the same place from a copy.
struct Scene {
    project: Embedded,
    old: crate::killed::State,
    deployments: usize,
    kept: tempfile::TempDir,
}

impl Scene {
    fn of(journey: Journey) -> Self {
        let (project, old, deployments) = journey.begin();
        let kept = tempfile::tempdir().unwrap();
        let scene = Self {
            project,
            old,
            deployments,
            kept,
        };
        Self::copy(scene.project.root(), scene.kept.path());
        scene
    }

    fn copy(from: &Path, to: &Path) {
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from.join("."))
            .arg(to)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
    }

    fn put_back(&self) {
        // What a case has left running may still write here for a moment.
        let mut tries = 0;
        while std::fs::read_dir(self.project.root()).unwrap().next().is_some() {
            let line = "cd .. && find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +";
            let removed = Command::new("sh")
                .args(["-c", line])
                .current_dir(self.project.directory())
                .output();
            tries += 1;
            assert!(tries < 50, "it cannot be emptied: {removed:?}");
        }
        Self::copy(self.kept.path(), self.project.root());
    }
}

thread_local! {
    static SCENES: RefCell<BTreeMap<Journey, Rc<Scene>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Journey {
    /// As [`Journey::begin`], in a place that the next call uses again: the project, the old state, and how many deployments
    /// there were.
    pub fn again(self, act: impl FnOnce(&Embedded, &crate::killed::State, usize)) {
        let known = SCENES.with_borrow(|scenes| scenes.get(&self).cloned());
        let scene = if let Some(scene) = known {
            scene.put_back();
            scene
        } else {
            let scene = Rc::new(Scene::of(self));
            SCENES.with_borrow_mut(|scenes| scenes.insert(self, scene.clone()));
            scene
        };
        act(&scene.project, &scene.old, scene.deployments);
    }
}

/// Tries each of these cases, several at once, and says now and then how far it has come. A case that fails does not keep the
/// others from being tried; all that failed are told at the end, by their numbers.
pub fn for_each<T: Sync>(what: &str, all: &[(u32, T)], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let begun = Instant::now();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = wanted("GUARD_FAULTS_WORKERS", u64::try_from(workers).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let done = next.fetch_add(1, Ordering::Relaxed);
                    let Some((number, one)) = all.get(done) else { break };
                    if std::panic::catch_unwind(AssertUnwindSafe(|| act(one))).is_err() {
                        failed.lock().unwrap().push(*number);
                    }
                    if is_full() && (done + 1).is_multiple_of(20) {
                        let (all, failed) = (all.len(), failed.lock().unwrap());
                        let minutes = begun.elapsed().as_secs() / 60;
                        eprintln!("[{what}] {} of {all} after {minutes} min; failed: {failed:?}", done + 1);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    if !is_full() {
        // Once more, with nothing beside it: a crowded machine is no fault of guard's, and both are told.
        failed.retain(|number| {
            let (_, one) = all.iter().find(|(of, _)| of == number).unwrap();
            let is_bad = std::panic::catch_unwind(AssertUnwindSafe(|| act(one))).is_err();
            eprintln!(
                "[{what}] case {number} failed; by itself it {}",
                if is_bad { "fails" } else { "passes" }
            );
            is_bad
        });
    }
    assert!(
        failed.is_empty(),
        "{what}: {} of {} cases failed, these: {failed:?}; GUARD_FAULTS_ONLY=N repeats one",
        failed.len(),
        all.len()
    );
}
