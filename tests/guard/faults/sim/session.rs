//! One call of a simulated guard: lock, look for unfinished runs, then the real journal, ledger and loop.

use std::path::Path;
use std::sync::{Arc, Mutex};

use guard::engine::drive::{Arrival, drive};
use guard::engine::history::History;
use guard::engine::ledger::Ledger;
use guard::journal::{Journal, State, parse, state};
use guard::model::artifact::Displaced;
use guard::model::event::Voice;
use guard::model::exit::ExitCode;
use guard::model::fact::{Actor, Ending, Fact, Record, RollbackCause};
use guard::model::name::{RunId, RunKind, Timestamp};
use guard::model::plan::Plan;
use guard::run::plan;
use serde_json::json;

use super::hands::Hands;
use super::oracle::journal;
use super::planted::Bug;
use super::scenario::{Scenario, new};
use super::world::{Paper, Shared, Touch};

/// What is asked of guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The scenario's own journey.
    Begin,
    /// `guard resume`.
    Resume,
}

/// What a call ended with: `None`, where guard was killed.
pub type Ended = Option<u8>;

/// Stands for a resume that found no run at all: nothing was done. guard itself says 0.
pub const NOTHING: u8 = 14;

fn actor(guard: u32) -> Actor {
    Actor {
        pid: guard,
        group: guard,
        host: "here".into(),
        boot: "boot".into(),
        user: "me".into(),
        version: "0".into(),
        watcher: false,
    }
}

/// Runs one command from its lock to its exit code.
pub fn call(world: &Shared, guard: u32, command: Command, scenario: &Scenario) -> Ended {
    if !take_lock(world, guard) {
        return Some(ExitCode::LOCKED.number());
    }
    let code = match command {
        Command::Begin => begin(world, guard, scenario),
        Command::Resume => resume(world, guard, scenario),
    };
    let mut world = world.lock();
    // The kernel frees the lock of whoever is gone.
    world.holder = world.holder.filter(|(holder, _)| *holder != guard);
    world.working.remove(&guard);
    let is_gone = world.is_off || world.dead.contains(&guard);
    (!is_gone).then_some(code)
}

fn take_lock(world: &Shared, guard: u32) -> bool {
    let mut world = world.lock();
    let now = world.now;
    let is_held = match (world.holder, world.bug) {
        (None, _) | (_, Some(Bug::NoLock)) => false,
        (Some((_, since)), Some(Bug::LockExpires)) => (now - since).num_hours() < 1,
        (Some(_), _) => true,
    };
    if !is_held {
        world.holder = Some((guard, now));
        world.working.insert(guard);
    }
    !is_held
}

/// Somebody starts a second guard while the first is at work.
pub fn contend(world: &Shared, guard: u32, scenario: &Scenario) {
    let command = if world.lock().chance.one_in(2) {
        Command::Begin
    } else {
        Command::Resume
    };
    let _refused = call(world, guard, command, scenario);
}

/// The runs on the disk, the newest first, with what stands in their journals.
fn runs(world: &Shared) -> Vec<(RunId, Vec<u8>)> {
    let world = world.lock();
    let mut runs: Vec<(RunId, Vec<u8>)> = Vec::new();
    for name in world.disk.below("runs/") {
        let run = name.split('/').nth(1).unwrap();
        runs.push((run.parse().unwrap(), world.disk.read(name).unwrap_or_default().to_vec()));
    }
    runs.reverse();
    runs
}

fn records(run: &RunId, bytes: &[u8]) -> Result<Vec<Record>, u8> {
    let reading = parse(Path::new(run.as_str()), bytes).map_err(|_| ExitCode::UNFINISHED.number())?;
    Ok(reading.records)
}

fn paper(world: &Shared, guard: u32, run: &RunId) -> Paper {
    Paper {
        world: world.clone(),
        guard,
        name: journal(run.as_str()),
    }
}

fn begin(world: &Shared, guard: u32, scenario: &Scenario) -> u8 {
    for (run, bytes) in runs(world) {
        let records = match records(&run, &bytes) {
            Ok(records) => records,
            Err(code) => return code,
        };
        let is_unfinished = matches!(state(&records), State::Open | State::Closed(Ending::Stuck(_)));
        if is_unfinished && world.lock().bug != Some(Bug::UnfinishedIgnored) {
            let history = History::of(&records).unwrap();
            if history.has_deploy_begun() || history.plan().ahead.is_empty() {
                return ExitCode::UNFINISHED.number();
            }
            close(world, guard, &run, &bytes);
        }
    }
    let (stamp, run) = claim(world, scenario.kind);
    let place = journal(run.as_str());
    let plan = plan_of(&stamp, world, scenario);
    {
        let mut world = world.lock();
        world.oracle.run = run.to_string();
        world.oracle.is_resumed = false;
        world.oracle.backup = plan.backup.to_string();
        let made = world.touch(guard, Touch::Create(&place));
        if made.is_err() {
            return ExitCode::BACKUP_FAILED.number();
        }
    }
    let Ok(journal) = Journal::begin(Box::new(paper(world, guard, &run)), Path::new(&place)) else {
        return ExitCode::BACKUP_FAILED.number();
    };
    let directory = format!("runs/{run}");
    if world.lock().touch(guard, Touch::SyncDirectory(&directory)).is_err() {
        return ExitCode::BACKUP_FAILED.number();
    }
    let opened = Fact::Opened {
        run,
        plan: Box::new(plan),
        actor: actor(guard),
        reason: None,
    };
    match Ledger::open(Box::new(journal), &opened, Voice::silent(), Arc::new(world.clone())) {
        Ok(mut ledger) => finish(&mut ledger, world, guard, scenario),
        Err(_) => ExitCode::BACKUP_FAILED.number(),
    }
}

/// A name of its own for a run, whatever the clock says.
fn claim(world: &Shared, kind: RunKind) -> (Timestamp, RunId) {
    let world = world.lock();
    let names = (0..).map(|collision| {
        let stamp = Timestamp::at(world.now, collision);
        let run = RunId::new(&stamp, kind);
        (stamp, run)
    });
    let mut free = names.filter(|(_, run)| !world.disk.has(&journal(run.as_str())));
    free.next().unwrap()
}

fn plan_of(stamp: &Timestamp, world: &Shared, scenario: &Scenario) -> Plan {
    let (places, policy) = (&scenario.places, scenario.policy.clone());
    let earlier = || world.lock().oracle.backup.parse().unwrap();
    match scenario.kind {
        RunKind::Deploy => plan::deploy(stamp.clone(), places, true, false, policy, vec!["deploy".into()]),
        RunKind::Backup => plan::backup(stamp.clone(), places, policy),
        RunKind::Rollback => plan::rollback(earlier(), places, policy),
        RunKind::Undo => plan::undo(earlier(), places, policy),
    }
}

/// Closes a run that was cut off while it only read.
fn close(world: &Shared, guard: u32, run: &RunId, bytes: &[u8]) {
    let Ok((journal, records)) = Journal::go_on(Box::new(paper(world, guard, run)), Path::new(run.as_str()), bytes)
    else {
        return;
    };
    let ledger = Ledger::reopen(Box::new(journal), &records, Voice::silent(), Arc::new(world.clone()));
    let mut ledger = ledger.unwrap();
    let why = RollbackCause::Interrupted;
    for fact in [
        Fact::Reopened { actor: actor(guard) },
        Fact::RollbackBegan { why, then: None },
        Fact::Closed {
            ending: Ending::Untouched(why),
            now: None,
        },
    ] {
        let _turned_already = ledger.append(&fact);
    }
}

fn resume(world: &Shared, guard: u32, scenario: &Scenario) -> u8 {
    let mut open = None;
    let mut ended = NOTHING;
    for (run, bytes) in runs(world) {
        let records = match records(&run, &bytes) {
            Ok(records) => records,
            Err(code) => return code,
        };
        match state(&records) {
            State::Open | State::Closed(Ending::Stuck(_) | Ending::Unready(_)) => open = Some((run, bytes)),
            // It came to its end and could not say so any more.
            State::Closed(ending) => {
                ended = ending.exit_code().number();
                hands(world, guard, scenario).stand_down(run.as_str());
            }
            State::Empty => {}
        }
    }
    let Some((run, bytes)) = open else { return ended };
    let Ok((journal, records)) = Journal::go_on(Box::new(paper(world, guard, &run)), Path::new(run.as_str()), &bytes)
    else {
        return ExitCode::CUT_OFF.number();
    };
    {
        let mut world = world.lock();
        if world.bug != Some(Bug::LeftoversLive) {
            world.command.clear();
        }
    }
    let ledger = Ledger::reopen(Box::new(journal), &records, Voice::silent(), Arc::new(world.clone()));
    let Ok(mut ledger) = ledger else {
        world
            .lock()
            .oracle
            .wrong
            .push("the journal contradicts itself".to_owned());
        return ExitCode::CUT_OFF.number();
    };
    if ledger.append(&Fact::Reopened { actor: actor(guard) }).is_err() {
        return ExitCode::CUT_OFF.number();
    }
    world.lock().oracle.is_resumed = true;
    finish(&mut ledger, world, guard, scenario)
}

fn hands<'s>(world: &Shared, guard: u32, scenario: &'s Scenario) -> Hands<'s> {
    Hands {
        world: world.clone(),
        guard,
        scenario,
        undoing: Vec::new(),
        loads: Mutex::default(),
        run: Mutex::default(),
    }
}

fn finish(ledger: &mut Ledger, world: &Shared, guard: u32, scenario: &Scenario) -> u8 {
    let undone = |(index, place): (usize, &plan::Place)| Displaced {
        resource: place.name.clone(),
        details: json!({ "aside": format!("aside/{}.earlier", place.name), "value": new(index) }),
        kept_as: Vec::new(),
    };
    let hands = Hands {
        undoing: scenario.places.iter().enumerate().map(undone).collect(),
        ..hands(world, guard, scenario)
    };
    let stop = world.lock().stop.clone();
    let arrival = drive(ledger, &hands, &stop, &Voice::silent());
    if let Ok(Arrival::Closed(ending)) = &arrival
        && !matches!(ending, Ending::Stuck(_) | Ending::Unready(_))
    {
        hands.stand_down(ledger.history().run().as_str());
    }
    match arrival {
        Ok(Arrival::Closed(ending)) => ending.exit_code().number(),
        Ok(Arrival::Paused) => ExitCode::CUT_OFF.number(),
        Err(_) if ledger.history().has_deploy_begun() || ledger.history().plan().ahead.is_empty() => {
            ExitCode::CUT_OFF.number()
        }
        Err(_) => ExitCode::BACKUP_FAILED.number(),
    }
}
