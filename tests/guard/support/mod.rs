//! What tests share: a scene to act in.

pub mod cluster;
pub mod compose;
pub mod embedded;
pub mod engine;
pub mod instant;
pub mod kinds;
pub mod machine;
pub mod mariadb;
pub mod program;
pub mod project;
pub mod registry;
mod relay;
pub mod shop;
pub mod slow;
pub mod sshd;
pub mod staging;
pub mod storage;
mod template;
pub mod two_sides;
pub mod watched;

use std::path::{Path, PathBuf};

use guard::model::event::Voice;
use guard::model::name::{RunId, RunKind, Timestamp};
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::environment::Environment;

/// Whether a case of a long list is tried now: all are where `GUARD_ZOO=all`, as in `scripts/faults --full zoo`; else every third,
/// and another third each second.
pub fn is_of_sample(number: usize) -> bool {
    static FIRST: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let first = *FIRST.get_or_init(|| {
        let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        usize::try_from(seconds % 3).unwrap()
    });
    is_whole_list() || number % 3 == first
}

/// Whether long lists are tried whole.
pub fn is_whole_list() -> bool {
    std::env::var("GUARD_ZOO").is_ok_and(|value| value == "all")
}

/// A throw-away directory with a context: `project/` is the project, `backup/` a backup, `run/` the run's scratch.
pub struct Scene {
    root: tempfile::TempDir,
    /// The context: the project's directory, a run, its scratch.
    pub cx: Context,
}

impl Scene {
    /// A fresh scene; the run's token is unique to it.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("guard-scene-").tempdir().unwrap();
        for name in ["project", "backup", "run"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let clock = MachineClock::start();
        let unique = u32::from_str_radix(&format!("{:x}", std::process::id()), 16).unwrap() % 9000 + 2;
        let serial = NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let timestamp = Timestamp::at(clock.now(), unique * 1000 + serial);
        let mut cx = Context::new(
            &root.path().join("project"),
            Environment::of_this_process(),
            clock,
            Voice::silent(),
        );
        cx.run = Some(RunId::new(&timestamp, RunKind::Deploy));
        cx.scratch = root.path().join("run");
        cx.runs = Some(root.path().to_owned());
        Self { root, cx }
    }

    /// The project's directory.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The backup's directory.
    pub fn backup(&self) -> PathBuf {
        self.root.path().join("backup")
    }

    /// The scene's own directory.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
