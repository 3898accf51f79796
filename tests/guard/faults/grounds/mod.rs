//! Random trees and random changes on file systems of every common kind: what guard puts back is what was there before, by
//! rsync and getfacl, and no change goes unnoticed. A tree that fails is made smaller until nothing can be left out.

mod judge;
mod mounts;
mod trees;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use guard::model::artifact::{Artifact, Displaced, Live, Work};
use guard::model::event::Voice;
use guard::model::name::{RunId, RunKind, Timestamp};
use guard::model::policy::DataRestore;
use guard::model::section::Section;
use guard::model::setting::{Item, Source, Value};
use guard::resources::{Resource, Site, Slot, kind};
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::environment::Environment;

use self::judge::{Differences, State, is_more_than_a_time};
use self::mounts::{Kind, Mounted};
use self::trees::Case;
use crate::figures::{is_full, reached, wanted};

/// So many trees are looked at by one call of rsync, each a volume of its own.
const BATCH: u64 = 100;
/// What is older than this when it is copied, guard may take for unchanged without reading it.
const AGED: Duration = Duration::from_secs(4);
/// So often a tree that fails is made smaller.
const SMALLER: u32 = 400;

/// How a batch goes.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// The trees are old enough that guard need not read them again.
    is_aged: bool,
    /// guard's state lies on the same file system, and what is put aside there.
    is_near: bool,
    /// The way back is undone, and done again.
    is_undone: bool,
}

impl Way {
    fn of(batch: u64) -> Self {
        Self {
            is_aged: batch.is_multiple_of(2),
            is_near: (batch / 2).is_multiple_of(2),
            is_undone: batch.is_multiple_of(3),
        }
    }
}

/// One volume on its way.
struct Volume {
    name: String,
    resource: Box<dyn Resource>,
    slot: Slot,
    copy: Option<Artifact>,
    displaced: Option<Displaced>,
    faults: Vec<String>,
}

impl Volume {
    fn new(live: &Path, name: &str, form: &str, backups: &Path) -> Self {
        let source = Source::default();
        let mut problems = Vec::new();
        let item = |value: Value| Item { value, at: 0..0 };
        let path = live.join(name);
        let keys = [("path", path.to_str().unwrap()), ("form", form)];
        let table: BTreeMap<_, _> = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (0..0, item(Value::Text((*value).to_owned())))))
            .collect();
        let site = Site {
            directory: live.to_owned(),
            compose: None,
            stops: false,
            only: guard::resources::Narrowed::default(),
            checkouts: Vec::new(),
        };
        let mut section = Section::new("resources.subject", &source, item(Value::Table(table)), &mut problems);
        let resource = (kind("volume").unwrap().build)(name.parse().unwrap(), &mut section, &site).unwrap();
        let slot = Slot::new(backups, resource.name());
        Self {
            name: name.to_owned(),
            resource,
            slot,
            copy: None,
            displaced: None,
            faults: Vec::new(),
        }
    }

    /// Copies it, and looks whether it is as the copy.
    fn capture(&mut self, cx: &Context) {
        let taken = self.resource.capture(&self.slot, cx).and_then(|copy| {
            self.resource.prove(&copy, &self.slot, cx)?;
            let idle = self.resource.prepare(&copy, &self.slot, DataRestore::Always, cx)?;
            Ok((copy, idle))
        });
        match taken {
            Ok((copy, idle)) => {
                if idle.work != Work::Unchanged {
                    self.faults
                        .push(format!("nothing was done, and it is changed: {:?}", idle.work));
                    let _gone = self.resource.discard(&idle, cx);
                }
                self.faults
                    .extend(copy.not_kept.iter().map(|lost| format!("not kept: {lost}")));
                self.copy = Some(copy);
            }
            Err(error) => self.faults.push(format!("copy: {}", chain(&error))),
        }
    }

    /// Puts it back, where it differs by what others say.
    fn restore(&mut self, apart: &[String], cx: &Context) {
        let Some(copy) = self.copy.take() else { return };
        if let Err(error) = self.put_back(&copy, apart, cx) {
            self.faults.push(format!("{}; {apart:?}", chain(&error)));
        }
        self.copy = Some(copy);
    }

    fn put_back(&mut self, copy: &Artifact, apart: &[String], cx: &Context) -> guard::resources::Result<()> {
        let compared = self.resource.compare(copy, &self.slot, cx)?;
        if matches!(compared, Live::Matches) && apart.iter().any(|line| is_more_than_a_time(line)) {
            self.faults.push(format!("not noticed by a comparison: {apart:?}"));
        }
        let prepared = self.resource.prepare(copy, &self.slot, DataRestore::Always, cx)?;
        if !prepared.work.is_needed() && !apart.is_empty() {
            self.faults.push(format!("not noticed: {apart:?}"));
        }
        let displaced = self.resource.restore(&prepared, copy, &self.slot, cx)?;
        self.displaced = Some(displaced);
        match self.resource.compare(copy, &self.slot, cx)? {
            Live::Matches => {}
            other => self.faults.push(format!("put back, and {other:?}; {apart:?}")),
        }
        Ok(())
    }

    fn undo(&mut self, cx: &Context) {
        if let Some(displaced) = self.displaced.take() {
            match self.resource.undo(&displaced, cx) {
                Ok(turned) => self.displaced = Some(turned),
                Err(error) => self.faults.push(format!("undo: {}", chain(&error))),
            }
        }
    }

    /// The run is over, and so is its backup: nothing stands by any more.
    fn end(&mut self, cx: &Context) {
        let ended = self.resource.stand_down(cx);
        let released = self
            .copy
            .as_ref()
            .map_or(Ok(()), |copy| self.resource.release(copy, cx));
        if let Err(error) = ended.and(released) {
            self.faults.push(format!("what stood by: {}", chain(&error)));
        }
    }

    fn forget(&mut self, cx: &Context) {
        if let Some(displaced) = self.displaced.take()
            && let Err(error) = self.resource.forget(&displaced, cx)
        {
            self.faults.push(format!("forget: {}", chain(&error)));
        }
    }

    fn note(&mut self, what: &str, apart: &Differences) {
        let apart = &apart[&self.name];
        if !apart.is_empty() {
            self.faults.push(format!("{what}: {apart:?}"));
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn context(scratch: PathBuf, project: &Path) -> Context {
    std::fs::create_dir_all(&scratch).unwrap();
    let clock = MachineClock::start();
    let timestamp = Timestamp::at(clock.now(), 2);
    let environment = Environment::of_this_process();
    let mut cx = Context::new(project, environment, clock, Voice::silent());
    cx.run = Some(RunId::new(&timestamp, RunKind::Deploy));
    cx.scratch = scratch;
    cx
}

/// Copies, changes and puts back these trees. Returns what went wrong with each.
fn batch(ground: &mut Mounted, form: &str, cases: &[Case], way: Way) -> Vec<Vec<String>> {
    let own = tempfile::Builder::new().prefix("guard-grounds-run-").tempdir().unwrap();
    std::fs::create_dir(own.path().join("backup")).unwrap();
    let names: Vec<String> = (0..cases.len()).map(|number| format!("v{number:03}")).collect();
    // Every other tree is there before the layers are laid over each other, where there are any.
    let below = ground.below().join("live");
    std::fs::create_dir_all(&below).unwrap();
    let planted = Instant::now();
    for (name, case) in names.iter().zip(cases).step_by(2) {
        trees::plant(&below.join(name), &case.tree);
    }
    let root = ground.open().unwrap();
    let live = root.join("live");
    for (name, case) in names.iter().zip(cases).skip(1).step_by(2) {
        trees::plant(&live.join(name), &case.tree);
    }
    let before = State::keep(&live, &names, root.join("before"), !ground.has_layers());
    let age = if way.is_aged { AGED } else { Duration::ZERO };
    std::thread::sleep(age.saturating_sub(planted.elapsed()));
    let scratch = if way.is_near {
        root.join("state/runs/run")
    } else {
        own.path().join("runs/run")
    };
    let cx = context(scratch, own.path());
    let mut volumes: Vec<Volume> = names
        .iter()
        .map(|name| Volume::new(&live, name, form, &own.path().join("backup")))
        .collect();
    for volume in &mut volumes {
        volume.capture(&cx);
    }
    for (name, case) in names.iter().zip(cases) {
        trees::release(&live.join(name), &case.changes);
    }
    let changed = before.differences(&live, &names);
    let is_undone = way.is_undone && !ground.has_layers();
    let failed = is_undone.then(|| State::keep(&live, &names, root.join("failed"), true));
    for volume in &mut volumes {
        let apart = &changed[&volume.name];
        volume.restore(apart, &cx);
    }
    let look = |state: &State, what: &str, volumes: &mut Vec<Volume>| {
        let apart = state.differences(&live, &names);
        for volume in volumes {
            // What failed aloud is no state that anybody took for the old one.
            if volume.displaced.is_some() {
                volume.note(what, &apart);
            }
        }
    };
    look(&before, "not put back", &mut volumes);
    if let Some(failed) = failed {
        for volume in &mut volumes {
            volume.undo(&cx);
        }
        look(&failed, "not undone", &mut volumes);
        for volume in &mut volumes {
            volume.undo(&cx);
        }
        look(&before, "not done again", &mut volumes);
    }
    for volume in &mut volumes {
        volume.forget(&cx);
        volume.end(&cx);
    }
    if volumes.iter().all(|volume| volume.faults.is_empty()) {
        let left = std::fs::read_dir(&live)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left
            .filter(|name| !names.iter().any(|one| name.to_str() == Some(one.as_str())))
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
    ground.clear();
    volumes.into_iter().map(|volume| volume.faults).collect()
}

fn config() -> Config {
    Config {
        failure_persistence: None,
        max_shrink_iters: SMALLER,
        ..Config::default()
    }
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The smallest case that fails like this one, and how it does.
fn smallest(ground: &mut Mounted, form: &str, seed: u64, is_below: bool, way: Way) -> String {
    // Hundreds of tries do not wait for each to grow old.
    let way = Way { is_aged: false, ..way };
    let mut tree = trees::case().new_tree(&mut runner(seed)).unwrap();
    let mut fails = |case: Case| {
        let nothing = Case {
            tree: Vec::new(),
            changes: Vec::new(),
        };
        let cases = if is_below { vec![case] } else { vec![nothing, case] };
        let faults = batch(ground, form, &cases, way).pop().unwrap();
        (!faults.is_empty()).then_some(faults)
    };
    let Some(mut faults) = fails(tree.current()) else {
        return "alone it does not fail".to_owned();
    };
    let (mut least, mut left) = (tree.current(), SMALLER);
    let mut is_smaller = tree.simplify();
    while is_smaller && left > 0 {
        left -= 1;
        is_smaller = if let Some(found) = fails(tree.current()) {
            (least, faults) = (tree.current(), found);
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    format!("{least:#?}\n{faults:#?}")
}

fn hold(kind: Kind) {
    let goal = format!(
        "{}: 2,000 random trees and changes of each form noticed and back",
        kind.name()
    );
    let again = "scripts/faults --full grounds";
    let mut ground = match Mounted::new(kind) {
        Ok(ground) => ground,
        Err(why) => {
            reached(
                "R17",
                &goal,
                &format!("NOT TRIED, nothing can be mounted here: {why}"),
                again,
            );
            return;
        }
    };
    let trees = wanted("GUARD_FAULTS_TREES", if is_full() { 2_000 } else { 16 });
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let first = wanted("GUARD_FAULTS_FROM", u64::from(now.subsec_nanos()) * 1_000);
    let (began, mut changed) = (Instant::now(), 0);
    for form in ["archive", "chunks"] {
        let mut done = 0;
        while done < trees {
            let seeds: Vec<u64> = (first + done..first + trees.min(done + BATCH)).collect();
            let cases = seeds
                .iter()
                .map(|seed| trees::case().new_tree(&mut runner(*seed)).unwrap().current());
            let cases: Vec<Case> = cases.collect();
            let way = Way::of((first + done) / BATCH);
            let faults = batch(&mut ground, form, &cases, way);
            let failed: Vec<usize> = (0..faults.len()).filter(|at| !faults[*at].is_empty()).collect();
            for at in &failed {
                eprintln!("{} {form}, tree {}: {:?}", kind.name(), seeds[*at], faults[*at]);
            }
            if let Some(at) = failed.first() {
                let least = smallest(&mut ground, form, seeds[*at], at.is_multiple_of(2), way);
                panic!(
                    "{} {form} {way:?}: {} of {} trees are not as before. GUARD_FAULTS_FROM={} GUARD_FAULTS_TREES={}\n{least}",
                    kind.name(),
                    failed.len(),
                    seeds.len(),
                    first + done,
                    seeds.len()
                );
            }
            changed += seeds.len();
            done += BATCH;
            if is_full() && began.elapsed() > Duration::from_secs(30) && (done / BATCH).is_multiple_of(5) {
                eprintln!("{} {form}: {done} of {trees}", kind.name());
            }
        }
    }
    let seconds = began.elapsed().as_secs();
    let reach =
        format!("{changed} trees in {seconds} s, half of each form, all noticed and back, by rsync and getfacl");
    reached("R17", &goal, &reach, again);
}

#[test]
fn r17_trees_on_ext4_are_noticed_and_come_back() {
    hold(Kind::Ext4);
}

#[test]
fn r17_trees_on_xfs_are_noticed_and_come_back() {
    hold(Kind::Xfs);
}

#[test]
fn r17_trees_on_btrfs_are_noticed_and_come_back() {
    hold(Kind::Btrfs);
}

#[test]
fn r17_trees_on_tmpfs_are_noticed_and_come_back() {
    hold(Kind::Tmpfs);
}

#[test]
fn r17_trees_on_overlayfs_are_noticed_and_come_back() {
    hold(Kind::Overlay);
}
