//! Filling a database from a copy: in several jobs where the archive can be read at any place, else as a stream, which can be
//! held back so that the server has time for others.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::archive::pour;
use super::details::Details;
use super::inside::Inside;
use super::manner::{Manner, rows_last};
use super::pace::{Hold, Load, time_for};
use super::reach::{Reach, SILENCE};
use super::sql::literal;
use super::trouble::explained;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// The smallest archive, in bytes, that is worth several jobs.
const LARGE: u64 = 8 * 1024 * 1024;
/// The jobs from which on it is worth it to unpack what guard has packed. With two of them on two processors nothing was won
/// with three tables of a gigabyte (5.6 s against 5.8 s as a stream), and a quarter lost with a single one (9.8 s against 7.7 s).
const MANY: u32 = 3;
/// Pauses shorter than this are put together.
const SHORTEST: Duration = Duration::from_millis(5);
/// The longest pause at once: whoever waits for the load ends it.
const LONGEST: Duration = Duration::from_millis(50);
/// So much time in which the server was given nothing counts for the rate: what it did not take is not given all at once.
const SAVED: Duration = Duration::from_secs(1);

/// What a dump empties `search_path` with.
const EMPTIED: &str = "SELECT pg_catalog.set_config('search_path', '', false);";
/// It stands within so many bytes.
const HEAD: u64 = 64 * 1024;

/// Fills the database `side` from a copy, in this manner. What it leaves after an error is of no use.
pub(super) fn fill(
    reach: &Reach,
    side: &str,
    artifact: &Artifact,
    slot: &Slot,
    manner: &Manner,
    cx: &Context,
) -> Result<()> {
    let load = &reach.load;
    let details = Details::of(artifact)?;
    let (slot, artifact) = &slot.thawed(artifact, &cx.scratch)?;
    let artifact: &Artifact = artifact;
    slot.compare(artifact)?;
    let lost = || ResourceError::bad_copy("the manifest lists no dump");
    let entry = artifact.files.first().ok_or_else(lost)?;
    let path = slot.path_of(entry).ok_or_else(lost)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut connection = reach.connection(side);
    // Event triggers are made before materialized views are filled, and one may forbid that.
    let silence = if details.surroundings.event_triggers > 0 {
        reach.silence(cx)?
    } else {
        manner.rows_last.then_some(SILENCE)
    };
    if let Some(settings) = silence {
        connection.extend([" options='", settings, "'"]);
    }
    let filling = Filling {
        reach,
        side,
        connection,
        what: what_is_told(reach),
        load,
        size: details.server.size,
        cx,
    };
    if !manner.is_plain() {
        let path_of = details.surroundings.search_path.as_deref();
        let at_hand = manner.at_hand.then(|| path_of.unwrap_or("public"));
        return filling.adapted(&path, &name, manner, at_hand);
    }
    if name == "toc.dat" {
        let directory = path.parent().ok_or_else(lost)?;
        return filling.of_directory(directory);
    }
    let is_worth_it = load.jobs > 1 && !load.is_held() && entry.bytes >= LARGE && reach.container().is_none();
    if is_worth_it && !is_packed(&name) {
        return filling.in_jobs(&path.to_string_lossy());
    }
    let home = slot.directory();
    if is_worth_it && load.jobs >= MANY && disk::free_bytes(&home)? > details.server.size {
        match filling.unpack(&path, &name, &home) {
            Ok(unpacked) => return filling.in_jobs(&unpacked.path().to_string_lossy()),
            Err(error) => cx.note(
                Level::Detail,
                format!("the dump is restored as a stream: {}", chain(&error)),
            ),
        }
    }
    filling.as_stream(&path, &name)
}

/// In how many jobs a copy would be loaded, were nothing to hold it back.
pub(super) fn jobs_of(reach: &Reach, artifact: &Artifact, details: &Details) -> u32 {
    let Some(entry) = artifact.files.first().filter(|_| details.manner.is_plain()) else {
        return 1;
    };
    let is_directory = entry.path.ends_with("toc.dat");
    let is_large = entry.bytes >= LARGE && reach.container().is_none();
    if is_directory || is_large { reach.load.jobs } else { 1 }
}

/// What the progress of a load is called.
pub(super) fn what_is_told(reach: &Reach) -> String {
    match reach.load.hold {
        Some(_) => format!("load a standby of {}", reach.database),
        None => format!("restore {}", reach.database),
    }
}

fn is_packed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "zst")
}

struct Filling<'a> {
    reach: &'a Reach,
    side: &'a str,
    connection: String,
    what: String,
    load: &'a Load,
    /// What the server counted for the database, in bytes.
    size: u64,
    cx: &'a Context,
}

impl Filling<'_> {
    fn explained(&self, error: guard_system::processes::CallError) -> ResourceError {
        explained(error, self.side)
    }

    /// `pg_restore` reads an archive that lies where it runs, with several sessions.
    fn in_jobs(&self, archive: &str) -> Result<()> {
        let jobs = self.load.jobs.to_string();
        let how: &[&str] = if self.load.jobs > 1 {
            &["-j", &jobs]
        } else {
            &["--single-transaction"]
        };
        let args = [
            &["--exit-on-error", "--no-password", "-d", &self.connection],
            how,
            &["--", archive],
        ]
        .concat();
        let call = self.reach.program("pg_restore", false, &args);
        let filled = self.cx.output(&call);
        filled.map(|_| ()).map_err(|error| self.explained(error))
    }

    /// The archive goes through a pipe, in one transaction.
    fn as_stream(&self, path: &Path, name: &str) -> Result<()> {
        let args = [
            "--exit-on-error",
            "--single-transaction",
            "--no-password",
            "-d",
            &self.connection,
        ];
        let call = self.reach.program("pg_restore", true, &args);
        let mut feed = |writer: &mut dyn Write| {
            // What `pg_dump` has compressed is poured as it is: by so many bytes of it go the rows of the whole database.
            let archive = std::fs::metadata(path)?.len();
            let flow = if is_packed(name) { self.size } else { archive };
            let mut paced = Paced::new(writer, self.load, (flow, self.size), self.cx);
            pour(path, name, &mut paced, &self.what, self.cx)
        };
        let pushed = self.cx.push(&call, &mut feed);
        pushed.map(|_| ()).map_err(|error| self.explained(error))
    }

    fn of_directory(&self, directory: &Path) -> Result<()> {
        if self.reach.container().is_none() {
            return self.of_place(&directory.to_string_lossy());
        }
        let inside = Inside::make(self.reach, self.cx)?;
        let given = inside.give(self.reach, directory, self.cx);
        let filled = given.and_then(|()| self.of_place(&inside.path));
        let removed = inside.remove(self.reach, &self.cx.unstoppable());
        filled.and(removed)
    }

    /// A directory that lies where the programs run.
    fn of_place(&self, place: &str) -> Result<()> {
        if !self.load.is_held() {
            return self.in_jobs(place);
        }
        // A directory cannot go through a pipe; what it says to the server can.
        let script = self
            .reach
            .program("pg_restore", false, &["--single-transaction", "-f", "-", "--", place]);
        self.through_psql(&script, &mut |_| Ok(()), None)
    }

    /// Any archive as a script, in another order or with other schemas at hand, in one transaction.
    fn adapted(&self, path: &Path, name: &str, manner: &Manner, at_hand: Option<&str>) -> Result<()> {
        let directory = (name == "toc.dat").then(|| path.parent()).flatten();
        let is_outside = self.reach.container().is_some();
        let inside = if is_outside && (directory.is_some() || manner.rows_last) {
            let inside = Inside::make(self.reach, self.cx)?;
            if let Some(directory) = directory {
                inside.give(self.reach, directory, self.cx)?;
            }
            Some(inside)
        } else {
            None
        };
        let place = directory.map(|directory| match &inside {
            Some(inside) => inside.path.clone(),
            None => directory.to_string_lossy().into_owned(),
        });
        let loaded = self.adapted_at(place.as_deref(), inside.as_ref(), path, name, manner, at_hand);
        let removed = inside.map_or(Ok(()), |inside| inside.remove(self.reach, &self.cx.unstoppable()));
        loaded.and(removed)
    }

    /// The same; `place` is where a directory lies for the programs.
    fn adapted_at(
        &self,
        place: Option<&str>,
        inside: Option<&Inside>,
        path: &Path,
        name: &str,
        manner: &Manner,
        at_hand: Option<&str>,
    ) -> Result<()> {
        let mut feed = |writer: &mut dyn Write| match place {
            Some(_) => Ok(()),
            None => pour(path, name, writer, &self.what, self.cx),
        };
        let call = |args: &[&str]| {
            let place = place.iter().flat_map(|place| ["--", place]);
            let args: Vec<&str> = args.iter().copied().chain(place).collect();
            self.reach.program("pg_restore", true, &args)
        };
        let lists = self.cx.momentary(".guard-")?;
        let mut args = vec!["--single-transaction", "-f", "-"];
        let list;
        if manner.rows_last {
            let listed = self
                .cx
                .push(&call(&["-l"]), &mut feed)
                .map_err(|error| self.explained(error))?;
            let here = lists.path().join("guard.list");
            disk::write_whole(&here, rows_last(&listed.text()).as_bytes())?;
            list = match inside {
                Some(inside) => {
                    inside.give(self.reach, lists.path(), self.cx)?;
                    format!("{}/guard.list", inside.path)
                }
                None => here.to_string_lossy().into_owned(),
            };
            args.extend(["-L", &list]);
        }
        self.through_psql(&call(&args), &mut feed, at_hand)
    }

    /// Runs what `script` writes, given `feed` to read, as a script of psql; `at_hand`: the schemas in `search_path`, which the
    /// script would empty.
    fn through_psql(
        &self,
        script: &Call,
        feed: &mut (dyn FnMut(&mut dyn Write) -> io::Result<()> + Send),
        at_hand: Option<&str>,
    ) -> Result<()> {
        let (reader, mut writer) =
            io::pipe().map_err(|error| ResourceError::because("could not make a pipe", error))?;
        let flags = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "--no-password"];
        let args = [
            &flags[..],
            &["-o", "/dev/null", "-f", "-", "-d", self.connection.as_str()],
        ]
        .concat();
        let call = self.reach.program("psql", true, &args);
        std::thread::scope(|scope| {
            let teller = scope.spawn(move || {
                // Moved in, so that the reader sees the end.
                let told = self.cx.converse(script, &mut |bytes| writer.write_all(bytes), feed);
                drop(writer);
                told
            });
            let mut sent = |writer: &mut dyn Write| {
                let mut paced = Paced::new(writer, self.load, (self.size, self.size), self.cx);
                paced.what = self.load.hold.is_some().then_some(self.what.as_str());
                if let Some(path) = at_hand {
                    let mut head = Vec::new();
                    (&reader).take(HEAD).read_to_end(&mut head)?;
                    paced.write_all(&with_path(head, path))?;
                }
                io::copy(&mut { &reader }, &mut paced).map(|_| ())
            };
            let pushed = self.cx.push(&call, &mut sent);
            drop(reader);
            let told = teller.join().unwrap_or_else(|_| {
                Err(guard_system::processes::CallError::Data {
                    call: "pg_restore".to_owned(),
                    source: io::Error::other("a reader panicked"),
                })
            });
            pushed.map_err(|error| self.explained(error))?;
            told.map(|_| ()).map_err(|error| self.explained(error))
        })
    }

    /// The archive as `pg_dump` wrote it, in a file that vanishes.
    fn unpack(&self, path: &Path, name: &str, home: &Path) -> Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new()
            .prefix(".guard-")
            .suffix(".tmp")
            .tempfile_in(home)
            .at("create a file in", home)?;
        pour(path, name, file.as_file_mut(), &self.what, self.cx).at("unpack", path)?;
        Ok(file)
    }
}

/// The beginning of a dump's script, with this `search_path` in the place of an empty one.
fn with_path(head: Vec<u8>, path: &str) -> Vec<u8> {
    let Some(at) = memchr::memmem::find(&head, EMPTIED.as_bytes()) else {
        return head;
    };
    let (before, rest) = head.split_at(at);
    let after = rest.get(EMPTIED.len()..).unwrap_or_default();
    let set = format!("SELECT pg_catalog.set_config('search_path', {}, false);", literal(path));
    [before, set.as_bytes(), after].concat()
}

/// A writer that rests for as long as it takes to write, or longer, so that the reader is busy for a share of the time only; and
/// as long as its rate says, until somebody waits for it.
struct Paced<'a> {
    writer: &'a mut dyn Write,
    share: u32,
    owed: Duration,
    hold: Option<&'a Hold>,
    /// The bytes that flow for the whole database, and those that the database has: the rate is about these.
    scale: (u64, u64),
    fed: u64,
    /// From when on the rate counts.
    from: Duration,
    /// How many bytes had gone then.
    from_fed: u64,
    /// What is told to have come so far; `None`: somebody else tells.
    what: Option<&'a str>,
    cx: &'a Context,
}

impl<'a> Paced<'a> {
    fn new(writer: &'a mut dyn Write, load: &'a Load, scale: (u64, u64), cx: &'a Context) -> Self {
        Self {
            writer,
            share: load.share.clamp(1, 100),
            owed: Duration::ZERO,
            hold: load.hold.as_deref(),
            scale,
            fed: 0,
            from: cx.clock.steady(),
            from_fed: 0,
            what: None,
            cx,
        }
    }

    /// The bytes a second that may flow now.
    fn rate(&self) -> Option<u64> {
        let (flow, size) = self.scale;
        let rate = self.hold?.rate()?;
        // No database is smaller than its own compressed copy by much.
        let scaled = u128::from(rate) * u128::from(flow.min(size).max(1)) / u128::from(size.max(1));
        Some(u64::try_from(scaled).unwrap_or(u64::MAX).max(1))
    }

    /// Rests until the rate allows what has gone. Time in which the reader wanted nothing is not made up for.
    fn keep_to_rate(&mut self) {
        while let Some(rate) = self.rate().filter(|_| !self.cx.stop.is_asked()) {
            let due = time_for(self.fed - self.from_fed, rate);
            let taken = self.cx.clock.steady().saturating_sub(self.from);
            if taken > due + SAVED {
                (self.from, self.from_fed) = (self.cx.clock.steady(), self.fed);
            }
            let rest = due.saturating_sub(taken);
            if rest < SHORTEST {
                return;
            }
            self.cx.clock.sleep(rest.min(LONGEST));
        }
    }
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = self.cx.clock.steady();
        let count = self.writer.write(bytes)?;
        if self.share < 100 && !self.hold.is_some_and(Hold::is_hurried) {
            self.owed += (self.cx.clock.steady().saturating_sub(begun)) * (100 - self.share) / self.share;
            if self.owed >= SHORTEST {
                self.cx.clock.sleep(std::mem::take(&mut self.owed));
            }
        }
        self.fed += count as u64;
        if let Some(hold) = self.hold {
            hold.fed(self.fed, self.scale.0);
            if let Some(what) = self.what {
                // As all of it only its end is told: the total is an estimate.
                let total = self.scale.0;
                self.cx
                    .progress(what, self.fed.min(total.saturating_sub(1)), Some(total));
            }
            self.keep_to_rate();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use guard_model::event::Voice;
    use guard_system::clock::MachineClock;
    use guard_system::environment::Environment;

    #[test]
    fn a_held_load_keeps_to_its_rate_until_somebody_waits() {
        let cx = Context::new(
            Path::new("/"),
            Environment::default(),
            MachineClock::start(),
            Voice::silent(),
        );
        let hold = Arc::new(Hold::to(1_000_000));
        let load = Load {
            jobs: 1,
            share: 100,
            hold: Some(Arc::clone(&hold)),
        };
        let mut into = Vec::new();
        // A copy of half the size of its database: half a million bytes of it a second.
        let mut paced = Paced::new(&mut into, &load, (500_000, 1_000_000), &cx);
        assert_eq!(paced.rate(), Some(500_000));
        let begun = cx.clock.steady();
        paced.write_all(&vec![0; 100_000]).unwrap();
        let taken = cx.clock.steady().saturating_sub(begun);
        assert!(taken >= Duration::from_millis(190), "{taken:?}");
        // By its rate the rest would take minutes.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                cx.clock.sleep(Duration::from_millis(100));
                hold.hurry();
            });
            paced.write_all(&vec![0; 100_000_000]).unwrap();
        });
        assert_eq!(paced.rate(), None);
        assert_eq!(into.len(), 100_100_000);
    }
}
