//! A comparison that cannot tell is no proof: what was put back is put back again, and a person is called when that never helps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use guard::engine::drive::{Arrival, drive};
use guard::engine::ledger::Ledger;
use guard::engine::steps::{Errands, Pacer, SealInput, Standbys, StepRunner};
use guard::journal::{Journal, read};
use guard::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard::model::event::Voice;
use guard::model::fact::{Actor, Ending, Fact, RollbackCause};
use guard::model::fingerprint::Fingerprint;
use guard::model::health::Rule;
use guard::model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard::model::plan::StageName;
use guard::model::policy::{DataRestore, Policy};
use guard::resources::{Member, Resource, Result, Slot, Survey, SwapBarrier};
use guard::run::plan::{self, Place};
use guard::services::Services;
use guard::store::{Knowledge, ManifestInput, Store};
use guard::system::clock::{Clock, MachineClock};
use guard::system::context::Context;
use guard::system::stop::Stop;

use crate::support::Scene;

/// A resource that is put back without a fault, and of which nobody can tell for a while whether it was.
struct Blind {
    name: ResourceName,
    restored: Arc<AtomicU32>,
    /// How many comparisons cannot tell.
    comparisons: AtomicU32,
}

fn artifact(name: &ResourceName) -> Artifact {
    Artifact {
        resource: name.clone(),
        project: None,
        kind: "blind".to_owned(),
        fingerprint: Fingerprint::default(),
        files: Vec::new(),
        details: serde_json::Value::Null,
        summary: "nothing to see".to_owned(),
        not_kept: Vec::new(),
        tools: Vec::new(),
    }
}

impl Resource for Blind {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn survey(&self, _: &Context) -> Survey {
        Survey::default()
    }

    fn fingerprint(&self, _: &Context) -> Result<Fingerprint> {
        Ok(Fingerprint::default())
    }

    fn capture(&self, _: &Slot, _: &Context) -> Result<Artifact> {
        Ok(artifact(&self.name))
    }

    fn prepare(&self, _: &Artifact, _: &Slot, _: DataRestore, _: &Context) -> Result<Prepared> {
        Ok(Prepared {
            resource: self.name.clone(),
            work: Work::Changed(vec!["all".to_owned()]),
            details: serde_json::Value::Null,
            price: Vec::new(),
        })
    }

    fn restore(&self, _: &Prepared, _: &Artifact, _: &Slot, _: &Context) -> Result<Displaced> {
        self.restored.fetch_add(1, Ordering::SeqCst);
        Ok(Displaced {
            resource: self.name.clone(),
            details: serde_json::Value::Null,
            kept_as: Vec::new(),
        })
    }

    fn check(&self, _: &Artifact, _: &Context) -> Result<Live> {
        let is_blind = self
            .comparisons
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        Ok(if is_blind {
            Live::Unknown("the lamp is out".to_owned())
        } else {
            Live::Matches
        })
    }

    fn undo(&self, displaced: &Displaced, _: &Context) -> Result<Displaced> {
        Ok(displaced.clone())
    }

    fn forget(&self, _: &Displaced, _: &Context) -> Result<()> {
        Ok(())
    }
}

/// The machine's clock, which does not keep anybody waiting.
struct Hasty(Arc<dyn Clock>);

impl Clock for Hasty {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn steady(&self) -> Duration {
        self.0.steady()
    }

    fn sleep(&self, _: Duration) {}
}

/// A rollback of the resource over a real store and a real journal, by the real runner; how it ended, how often the resource
/// was put back, and the journal.
fn rollback(comparisons: u32) -> (Ending, u32, String) {
    let scene = Scene::new();
    let (backups, state) = (scene.root().join("backups"), scene.root().join("state"));
    let name: ResourceName = "blind".parse().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Hasty(MachineClock::start()));
    let store = Store::open(&backups, &state).unwrap();
    let draft = store.begin(clock.now()).unwrap();
    let timestamp: Timestamp = draft.timestamp().clone();
    let input = ManifestInput {
        artifacts: vec![artifact(&name)],
        known_good: Knowledge::KnownGood,
        run: None,
        environment: None,
        target: None,
        description: None,
        command: Vec::new(),
        git: None,
        begun: None,
        settings: None,
        recipients: Vec::new(),
        ..ManifestInput::default()
    };
    store.seal(&draft, input).unwrap();
    let run = RunId::new(&timestamp, RunKind::Rollback);
    let mut cx = scene.cx.clone();
    (cx.clock, cx.run) = (clock.clone(), Some(run.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let restored = Arc::new(AtomicU32::new(0));
    let resource = Blind {
        name: name.clone(),
        restored: restored.clone(),
        comparisons: AtomicU32::new(comparisons),
    };
    let runner = StepRunner {
        cx,
        resources: BTreeMap::from([(name.clone(), Arc::new(Member::own(Box::new(resource))))]),
        data: BTreeSet::from([name.clone()]),
        undoing: Vec::new(),
        adopting: BTreeMap::new(),
        command: Vec::new(),
        probes: Vec::new(),
        rule: Rule::default(),
        is_gate_set: false,
        rules: Vec::new(),
        services: Services::default(),
        strategy: &guard::services::InPlace,
        side_probes: BTreeMap::new(),
        undone: None,
        env_files: Vec::new(),
        store,
        cipher: Arc::default(),
        seal: SealInput::default(),
        verify: Vec::new(),
        verify_timeout: Duration::from_mins(1),
        expect_change: Vec::new(),
        allow_unhealthy_baseline: false,
        runtime: runtime.handle().clone(),
        pace: Pacer::default(),
        errands: Errands::default(),
        standbys: Standbys::default(),
        barrier: SwapBarrier::default(),
        told: std::sync::Mutex::default(),
        asked_before: std::sync::OnceLock::new(),
    };
    let place = Place {
        name,
        captured_in: StageName::Volumes,
        restored_in: StageName::Data,
    };
    let opened = Fact::Opened {
        run,
        plan: Box::new(plan::rollback(timestamp, &[place], Policy::default())),
        actor: Actor {
            pid: 1,
            group: 1,
            host: "here".into(),
            boot: "now".into(),
            user: "me".into(),
            version: "0".into(),
            watcher: false,
        },
        reason: None,
    };
    let journal = Journal::create(&runner.cx.scratch).unwrap();
    let mut ledger = Ledger::open(Box::new(journal), &opened, Voice::silent(), clock).unwrap();
    let arrival = drive(&mut ledger, &runner, &Stop::default(), &Voice::silent()).unwrap();
    let Arrival::Closed(ending) = arrival else {
        panic!("{arrival:?}")
    };
    let records = read(&runner.cx.scratch).unwrap();
    (ending, restored.load(Ordering::SeqCst), format!("{records:#?}"))
}

#[test]
fn fault_l17_what_cannot_be_compared_is_put_back_again_and_never_called_done() {
    let (ending, restored, journal) = rollback(0);
    assert_eq!(
        (ending, restored),
        (Ending::RolledBack(RollbackCause::Asked), 1),
        "{journal}"
    );
    // It can be told at the third try: each try put it back, and none before was believed.
    let (ending, restored, journal) = rollback(2);
    assert_eq!(
        (ending, restored),
        (Ending::RolledBack(RollbackCause::Asked), 3),
        "{journal}"
    );
    // It can never be told: a person is needed.
    let (ending, restored, journal) = rollback(u32::MAX);
    assert_eq!(
        (ending, restored),
        (Ending::Stuck(RollbackCause::Asked), 3),
        "{journal}"
    );
    assert_eq!(ending.exit_code().number(), 30);
    assert!(journal.contains("cannot be compared: the lamp is out"), "{journal}");
}
