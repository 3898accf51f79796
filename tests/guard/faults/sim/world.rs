//! The world that a simulated guard acts on: a weak disk, what runs, the time, and the troubles that come at their moments.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guard::journal::Medium;
use guard::system::clock::Clock;
use guard::system::stop::Stop;

use super::chance::Chance;
use super::disk::Disk;
use super::oracle::Oracle;
use super::planted::Bug;

/// Something that happens at a certain operation of the run, whoever does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// guard is killed; its commands may go on.
    Kill,
    /// The machine goes down, and what was not synced with it.
    PowerLoss,
    /// The next operations on the disk fail, so many of them.
    Errors(u32),
    /// The wall clock jumps by so many seconds.
    Jump(i64),
    /// Somebody presses Ctrl-C.
    Stop,
    /// Somebody starts a second guard.
    Contender,
}

/// An operation on the disk.
#[derive(Debug, Clone, Copy)]
pub enum Touch<'a> {
    /// An empty file, or a fresh one in the place of another.
    Create(&'a str),
    /// Bytes at a place of a file.
    Write(&'a str, usize, &'a [u8]),
    /// A file is cut off.
    Cut(&'a str, usize),
    /// A file's bytes become durable.
    Sync(&'a str),
    /// A file takes another name.
    Rename(&'a str, &'a str),
    /// Two files exchange their names.
    Exchange(&'a str, &'a str),
    /// A file is removed.
    Remove(&'a str),
    /// A directory's names become durable.
    SyncDirectory(&'a str),
    /// Something that is not about the disk.
    Other,
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// The disk.
    pub disk: Disk,
    /// Whether what runs is up.
    pub is_up: bool,
    /// Parts of the deploy command that are still to come, while it runs: the names that it will write, and what.
    pub command: Vec<(String, String)>,
    /// Which guard holds the lock, and since when.
    pub holder: Option<(u32, DateTime<Utc>)>,
    /// The guards that have got past their lock and are not over.
    pub working: BTreeSet<u32>,
    /// The guards that were killed.
    pub dead: BTreeSet<u32>,
    /// Whether the machine is down.
    pub is_off: bool,
    /// Somebody wants to start a second guard.
    pub is_contended: bool,
    /// Operations so far.
    pub operations: u32,
    /// What is still to come, by operation.
    pub troubles: Vec<(u32, Trouble)>,
    /// How many of the next operations fail.
    pub errors: u32,
    /// A step that fails, how many times still, and whether for good.
    pub failing: Option<(String, u32, bool)>,
    /// The wall clock.
    pub now: DateTime<Utc>,
    /// The other clock.
    pub steady: Duration,
    /// Luck.
    pub chance: Chance,
    /// The safeguard that was taken out.
    pub bug: Option<Bug>,
    /// Who watches.
    pub oracle: Oracle,
    /// Ctrl-C.
    pub stop: Stop,
}

impl World {
    /// Does an operation of this guard on the disk, unless trouble comes first.
    ///
    /// # Errors
    /// It failed, or this guard is dead.
    pub fn touch(&mut self, guard: u32, touch: Touch<'_>) -> io::Result<()> {
        if self.is_off || self.dead.contains(&guard) {
            return Err(io::Error::other("killed"));
        }
        self.come(guard);
        let is_gone = self.is_off || self.dead.contains(&guard);
        let fails = self.errors > 0;
        if is_gone || fails {
            if let Touch::Write(name, place, bytes) = touch {
                let some = self.chance.below(bytes.len() + 1);
                self.disk.write(name, place, &bytes[..some]);
            }
            if is_gone {
                return Err(io::Error::other("killed"));
            }
            self.errors -= 1;
            self.oracle.is_disturbed = true;
            if let Touch::Sync(name) = touch {
                self.disk.fail_to_sync(name);
            }
            let full = matches!(touch, Touch::Write(..) | Touch::Create(_));
            return Err(if full {
                io::ErrorKind::StorageFull.into()
            } else {
                io::Error::other("input/output error")
            });
        }
        if self.bug == Some(Bug::LeftoversLive) && !self.working.is_empty() && self.chance.one_in(40) {
            self.command_goes_on();
        }
        self.oracle.sees(&self.disk, guard, &self.working, self.is_up, &touch);
        match touch {
            Touch::Create(name) => self.disk.create(name),
            Touch::Write(name, place, bytes) => self.disk.write(name, place, bytes),
            Touch::Cut(name, length) => self.disk.cut(name, length),
            Touch::Sync(name) => self.disk.sync(name),
            Touch::Rename(from, to) => self.disk.rename_to(from, to),
            Touch::Exchange(one, other) => self.disk.exchange(one, other),
            Touch::Remove(name) => self.disk.remove(name),
            Touch::SyncDirectory(name) => self.disk.sync_directory(name),
            Touch::Other => {}
        }
        Ok(())
    }

    /// Lets the troubles of this operation come.
    fn come(&mut self, guard: u32) {
        self.operations += 1;
        let (due, later) = std::mem::take(&mut self.troubles)
            .into_iter()
            .partition(|(at, _)| *at <= self.operations);
        self.troubles = later;
        let due: Vec<(u32, Trouble)> = due;
        for (_, trouble) in due {
            match trouble {
                Trouble::Kill => {
                    self.dead.insert(guard);
                }
                Trouble::PowerLoss => self.is_off = true,
                Trouble::Errors(count) => self.errors = count,
                Trouble::Jump(seconds) => self.now += TimeDelta::seconds(seconds),
                Trouble::Stop => self.stop.ask(),
                Trouble::Contender => self.is_contended = true,
            }
        }
    }

    /// Whether this step fails this time; `Some(true)`: for good.
    pub fn failing_now(&mut self, step: &str) -> Option<bool> {
        let (_, left, permanent) = self
            .failing
            .as_mut()
            .filter(|(name, left, _)| name == step && *left > 0)?;
        *left -= 1;
        self.oracle.is_disturbed = true;
        Some(*permanent)
    }

    /// The machine comes up again, where it was down.
    pub fn boot(&mut self) {
        if !self.is_off {
            return;
        }
        self.disk.lose_power(&mut self.chance);
        self.is_off = false;
        self.command.clear();
        self.holder = None;
        self.working.clear();
        if !self.oracle.is_over(&self.disk) {
            // What is set to restart does so, and nobody knows what was.
            self.is_up = self.chance.one_in(2);
        }
        self.oracle.looks_after_power_loss(&self.disk);
    }

    /// One more part of the deploy command, which does not mind whether guard lives.
    pub fn command_goes_on(&mut self) -> bool {
        let Some((name, text)) = self.command.pop() else {
            return false;
        };
        self.disk.put(&name, text.as_bytes());
        !self.command.is_empty()
    }
}

/// The world, shared by all who act in it.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// Shares a world.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The world, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for Shared {
    fn now(&self) -> DateTime<Utc> {
        self.lock().now
    }

    fn steady(&self) -> Duration {
        self.lock().steady
    }

    fn sleep(&self, span: Duration) {
        let mut world = self.lock();
        world.steady += span;
        world.now += span;
    }
}

/// The file of a journal on the weak disk; the real journal is written to it.
#[derive(Debug)]
pub struct Paper {
    /// The world.
    pub world: Shared,
    /// Who writes.
    pub guard: u32,
    /// The file's name.
    pub name: String,
}

impl Medium for Paper {
    fn write_at(&mut self, bytes: &[u8], place: u64) -> io::Result<()> {
        let place = usize::try_from(place).unwrap();
        self.world
            .lock()
            .touch(self.guard, Touch::Write(&self.name, place, bytes))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.world.lock().touch(self.guard, Touch::Cut(&self.name, length))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.world.lock().touch(self.guard, Touch::Sync(&self.name))
    }

    fn reserve(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}
