//! A whole run of guard in memory: the real policy, loop, ledger and journal over a simulated world, judged by an oracle.

pub mod chance;
pub mod disk;
pub mod drawn;
pub mod hands;
pub mod oracle;
pub mod planted;
pub mod scenario;
pub mod session;
pub mod standby;
pub mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use guard::model::name::RunKind;
use guard::system::stop::Stop;

use chance::Chance;
use disk::Disk;
use oracle::{Oracle, Truth};
use planted::Bug;
use scenario::{Fate, Scenario, moment, new, old};
use session::{Command, Ended, call};
use world::{Shared, World};

/// What a run came to, for those who count.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// Operations of all calls together.
    pub operations: u32,
    /// Operations of the first call alone.
    pub first: u32,
    /// How each call ended.
    pub ended: Vec<Ended>,
    /// What was found wrong; empty: nothing.
    pub wrong: Vec<String>,
    /// Where something was: the facts of the journal, one a line.
    pub facts: String,
}

/// More calls than any trouble can ask for.
const MOST_CALLS: u32 = 12;

/// Lives a story through to its end: begins it, and resumes as long as a person would have to.
pub fn live(scenario: &Scenario, bug: Option<Bug>) -> Story {
    let world = Shared::new(scene(scenario, bug));
    let mut story = Story::default();
    let mut command = Command::Begin;
    for guard in 1..=MOST_CALLS {
        if guard > 6 {
            // Whatever stood in the way is mended by now.
            let mut world = world.lock();
            world.troubles.clear();
            world.errors = 0;
            world.failing = None;
        }
        let is_unfinished = {
            let world = world.lock();
            world.oracle.deploys > 0 && !world.oracle.is_over(&world.disk)
        };
        if is_unfinished && guard == 2 {
            // Somebody deploys again first, and has to be refused.
            let refused = call(&world, 50, Command::Begin, scenario);
            if refused != Some(13) && refused.is_some() {
                world
                    .lock()
                    .oracle
                    .wrong
                    .push(format!("a new run began over an unfinished one: {refused:?}"));
            }
            let mut world = world.lock();
            after(&mut world, refused);
        }
        let ended = call(&world, guard, command, scenario);
        story.ended.push(ended);
        let mut world = world.lock();
        if guard == 1 {
            story.first = world.operations;
        }
        after(&mut world, ended);
        match ended {
            Some(30) if guard > 6 && (world.oracle.is_rotten || world.oracle.is_spoiled) => break,
            None | Some(30 | 33) => command = Command::Resume,
            Some(code) => {
                let World {
                    disk, is_up, oracle, ..
                } = &mut *world;
                oracle.hears(disk, *is_up, code);
                break;
            }
        }
        if guard == MOST_CALLS {
            let last = format!("it cannot be finished: {:?}", story.ended);
            world.oracle.wrong.push(last);
        }
    }
    let mut world = world.lock();
    story.operations = world.operations;
    story.wrong = std::mem::take(&mut world.oracle.wrong);
    if !story.wrong.is_empty() {
        story.facts = world.oracle.facts(&world.disk);
    }
    story
}

/// The journal that the first call of a story leaves.
pub fn journal_of(scenario: &Scenario) -> Vec<u8> {
    let world = Shared::new(scene(scenario, None));
    let _ended = call(&world, 1, Command::Begin, scenario);
    let world = world.lock();
    let journal = oracle::journal(&world.oracle.run);
    world.disk.read(&journal).unwrap_or_default().to_vec()
}

/// What becomes of the world between two calls.
fn after(world: &mut World, ended: Ended) {
    world.stop = Stop::default();
    world.errors = 0;
    world.boot();
    if ended.is_none() {
        // What the killed guard had begun goes on for a while.
        for _ in 0..world.chance.below(3) {
            world.command_goes_on();
        }
    }
}

/// The world as the story finds it.
fn scene(scenario: &Scenario, bug: Option<Bug>) -> World {
    let mut disk = Disk::default();
    let backup = "20251021_120000";
    let (mut truths, mut manifest) = (Vec::new(), Vec::new());
    let is_ahead = matches!(scenario.kind, RunKind::Deploy | RunKind::Backup);
    for (index, place) in scenario.places.iter().enumerate() {
        let name = place.name.to_string();
        let (before, goal) = match scenario.kind {
            RunKind::Deploy | RunKind::Backup => (old(index), old(index)),
            RunKind::Rollback => (new(index), old(index)),
            RunKind::Undo => (old(index), new(index)),
        };
        disk.put(&format!("live/{name}"), before.as_bytes());
        // What an earlier rollback has displaced, and what an earlier backup holds.
        disk.put(&format!("aside/{name}.earlier"), new(index).as_bytes());
        disk.put(&format!("backup/before/{name}"), b"an older state");
        if !is_ahead {
            disk.put(&format!("backup/{backup}/{name}"), old(index).as_bytes());
            manifest.push(format!("{name}={}\n", old(index)));
        }
        truths.push(Truth {
            after: if scenario.changes[index] {
                new(index)
            } else {
                old(index)
            },
            is_data: place.restored_in == guard::model::plan::StageName::Data,
            displaced: None,
            name,
            before,
            goal,
        });
    }
    disk.put("backup/before/manifest", b"older");
    if !is_ahead {
        disk.put(&format!("backup/{backup}/manifest"), manifest.concat().as_bytes());
    }
    World {
        disk,
        is_up: true,
        command: Vec::new(),
        holder: None,
        working: BTreeSet::new(),
        dead: BTreeSet::new(),
        is_off: false,
        is_contended: false,
        operations: 0,
        troubles: scenario.troubles.clone(),
        errors: 0,
        failing: scenario.failing.clone(),
        now: moment(),
        steady: Duration::ZERO,
        chance: Chance::of_story(scenario.luck),
        bug,
        oracle: Oracle {
            kind: Some(scenario.kind),
            backup: backup.to_owned(),
            is_good: matches!(scenario.fate, Fate::Good),
            is_old_well: scenario.is_old_well || scenario.kind == RunKind::Undo,
            truths,
            ..Oracle::default()
        },
        stop: Stop::default(),
    }
}
