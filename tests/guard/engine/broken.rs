//! What panics within guard: a probe, which has said nothing and is asked again; and a call, which leaves no program behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use guard::model::health::{Answer, Verdict};
use guard::model::name::ProbeName;
use guard::probes::{Expectation, Probe};
use guard::system::call::Call;
use guard::system::clock::{Clock, MachineClock};
use guard::system::context::Context;

use super::monitor;
use crate::support::Scene;

/// Breaks off from its third reading on.
struct Broken {
    name: ProbeName,
    asked: AtomicU32,
}

#[async_trait]
impl Probe for Broken {
    fn name(&self) -> &ProbeName {
        &self.name
    }

    async fn read(&self, _: &Expectation, _: &Context) -> Answer {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(asked < 2, "this probe breaks off, as the test wants it to");
        Answer::ok("well")
    }

    fn describe(&self) -> String {
        "breaks off".to_owned()
    }
}

#[test]
fn fault_a12_a_probe_that_panics_has_said_nothing_and_is_asked_again() {
    let scene = Scene::new();
    let probe = Arc::new(Broken {
        name: "app".parse().unwrap(),
        asked: AtomicU32::new(0),
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let monitor = monitor(probe.clone(), &runtime);
    let (verdict, tally) = monitor.watch(&scene.cx).unwrap();
    let asked = probe.asked.load(Ordering::SeqCst);
    assert!(asked > 10, "{asked}: it was not asked any more");
    assert_ne!(verdict, Verdict::Healthy, "{tally:?}");
    assert!(tally.unknown > 8, "{tally:?}: each is a reading that says nothing");
}

/// A clock that panics once: when the thread that made it asks, and this file has been written.
struct Treacherous {
    real: Arc<dyn Clock>,
    owner: std::thread::ThreadId,
    file: PathBuf,
    is_over: AtomicBool,
}

impl Treacherous {
    fn until(file: &Path) -> Arc<Self> {
        Arc::new(Self {
            real: MachineClock::start(),
            owner: std::thread::current().id(),
            file: file.to_owned(),
            is_over: AtomicBool::new(false),
        })
    }
}

impl Clock for Treacherous {
    fn now(&self) -> DateTime<Utc> {
        self.real.now()
    }

    fn steady(&self) -> Duration {
        let is_written = || std::fs::read_to_string(&self.file).is_ok_and(|text| text.ends_with('\n'));
        if std::thread::current().id() == self.owner && is_written() {
            assert!(
                self.is_over.swap(true, Ordering::SeqCst),
                "this clock panics, as the test wants it to"
            );
        }
        self.real.steady()
    }

    fn asleep(&self) -> Duration {
        self.real.asleep()
    }

    fn sleep(&self, span: Duration) {
        self.real.sleep(span);
    }
}

#[test]
fn fault_a12_a_panic_leaves_no_program_behind_that_would_go_on_against_the_way_back() {
    let mut scene = Scene::new();
    for shares_group in [false, true] {
        let place = |name: &str| scene.root().join(format!("{name}-{shares_group}"));
        let (begun, over) = (place("begun"), place("over"));
        let script = format!("echo $$ >{}; sleep 20; touch {}", begun.display(), over.display());
        let call = Call::new("sh").args(["-c", &script]).timeout(Duration::from_mins(10));
        let call = if shares_group { call.in_our_group() } else { call };
        scene.cx.clock = Treacherous::until(&begun);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.cx.outcome(&call)));
        let pid = std::fs::read_to_string(&begun).unwrap();
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        let state = std::fs::read_to_string(stat).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "it goes on: {state}");
        assert!(
            ran.is_err() && !over.exists(),
            "the clock has panicked, and the program did not go on to its end"
        );
    }
}
