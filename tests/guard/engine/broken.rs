//! A probe that panics: it has said nothing, and it is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use guard::engine::crew::{Errands, Lookout};
use guard::model::health::{Answer, Rule, Verdict};
use guard::model::name::ProbeName;
use guard::probes::{Expectation, Probe};
use guard::system::context::Context;

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
    let lookout = Lookout {
        probes: vec![probe.clone()],
        rule: Rule {
            window: Duration::from_secs(2),
            interval: Duration::from_millis(100),
            min_samples: 5,
            ..Rule::default()
        },
        rules: Vec::new(),
        project: None,
        runtime: runtime.handle().clone(),
        errands: Errands::default(),
        hears: false,
    };
    let (verdict, tally) = lookout.watch(&scene.cx).unwrap();
    let asked = probe.asked.load(Ordering::SeqCst);
    assert!(asked > 10, "{asked}: it was not asked any more");
    assert_ne!(verdict, Verdict::Healthy, "{tally:?}");
    assert!(tally.unknown > 8, "{tally:?}: each is a reading that says nothing");
}
