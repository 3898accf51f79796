//! A watch across a sleep of the machine and a clock that jumps: a window with a hole in it proves nothing.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use guard::engine::steps::{WATCHES, replay, watches};
use guard::model::event::{Audience, Event, Voice};
use guard::model::health::{Answer, Verdict};
use guard::model::name::ProbeName;
use guard::probes::{Expectation, Probe};
use guard::system::clock::{Clock, MachineClock};
use guard::system::context::Context;

use super::monitor;
use crate::support::Scene;

/// The machine's clock, with what a machine's clock can do: sleep, and be set.
struct Odd {
    real: Arc<dyn Clock>,
    asleep: AtomicU64,
    set_by: AtomicI64,
}

impl Clock for Odd {
    fn now(&self) -> DateTime<Utc> {
        self.real.now() + TimeDelta::seconds(self.set_by.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        self.real.steady()
    }

    fn asleep(&self) -> Duration {
        Duration::from_secs(self.asleep.load(Ordering::SeqCst))
    }

    fn sleep(&self, span: Duration) {
        self.real.sleep(span);
    }
}

/// Always well; it counts how often it was asked, and does something at one of these times.
struct Counting {
    name: ProbeName,
    asked: AtomicU32,
    at: u32,
    then: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl Probe for Counting {
    fn name(&self) -> &ProbeName {
        &self.name
    }

    async fn read(&self, _: &Expectation, _: &Context) -> Answer {
        if self.asked.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            (self.then)();
        }
        Answer::ok("well")
    }

    fn describe(&self) -> String {
        "counts".to_owned()
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Audience for Heard {
    fn tell(&self, event: &Event) {
        if let Event::Note { text, .. } = event {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

/// Watches for a window of 20 readings; at the 12th, something happens to the clock. How often the probe was asked, what was
/// said, and how many readings the verdict rests on.
fn watch(happens: impl Fn(&Odd) + Send + Sync + 'static) -> (u32, Vec<String>, usize) {
    let mut scene = Scene::new();
    let clock = Arc::new(Odd {
        real: MachineClock::start(),
        asleep: AtomicU64::new(5000),
        set_by: AtomicI64::new(0),
    });
    scene.cx.clock = clock.clone();
    let heard = Arc::new(Heard::default());
    scene.cx.voice = Voice::new(heard.clone());
    let probe = Arc::new(Counting {
        name: "app".parse().unwrap(),
        asked: AtomicU32::new(0),
        at: 12,
        then: Box::new(move || happens(&clock)),
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let monitor = monitor(probe.clone(), &runtime);
    let (verdict, tally) = monitor.watch(&scene.cx).unwrap();
    assert_eq!(verdict, Verdict::Healthy, "{tally:?}");
    // The same verdict from what was kept, with what was seen before the pause left out.
    assert!(scene.cx.scratch.join(WATCHES).exists());
    let kept = watches(&scene.cx.scratch).unwrap().remove(0);
    let (again, of_kept) = replay(&scene.cx.scratch, &kept, None, &[]).unwrap();
    assert_eq!((again, of_kept.checks), (verdict, tally.checks));
    let said = heard.0.lock().unwrap().clone();
    (probe.asked.load(Ordering::SeqCst), said, kept.readings)
}

#[test]
fn fault_c3_a_watch_begins_again_when_the_machine_has_slept() {
    let (asked, said, judged) = watch(|clock| {
        clock.asleep.fetch_add(3600, Ordering::SeqCst);
    });
    assert!(
        said.iter()
            .any(|line| line.contains("nobody looked for 3600 s") && line.contains("begins again")),
        "{said:?}"
    );
    assert!(
        u32::try_from(judged).unwrap() + 12 <= asked + 1,
        "{judged} of {asked} count, and the first 12 must not"
    );
    assert!(asked >= 12 + 5, "{asked}: the window was not begun again");
}

#[test]
fn fault_c3_a_clock_that_is_set_changes_no_watch() {
    for years in [-1, 10] {
        let (_, said, judged) = watch(move |clock| clock.set_by.store(years * 365 * 86_400, Ordering::SeqCst));
        assert!(!said.iter().any(|line| line.contains("begins again")), "{said:?}");
        assert!(judged >= 12, "{judged}: the window goes on");
    }
}

#[test]
fn the_machine_tells_how_long_it_has_slept() {
    let clock = MachineClock::start();
    let (one, other) = (clock.asleep(), clock.asleep());
    assert!(
        other.saturating_sub(one) < Duration::from_secs(1),
        "it has not slept between two questions"
    );
}
