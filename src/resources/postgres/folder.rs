//! The copy as a directory: several jobs of `pg_dump` side by side, each file compressed by `pg_dump` itself.
//!
//! In a container the directory is made in the container's own `/tmp` and fetched from there as a tar.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::archive::LEVEL;
use super::database::{Postgres, Way};
use super::inside::Inside;
use super::meter::metered;
use super::proof::{self, Found};
use super::reach::Reach;
use super::sql::literal;
use super::stall;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// The directory's name in the slot.
pub(super) const NAME: &str = "dump";
/// How often a directory in a container is weighed, and how long an answer may take.
const PAUSE: Duration = Duration::from_secs(3);
/// How long an answer may take: a guess.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether the dump has ended.
const TICK: Duration = Duration::from_millis(50);

/// What a dump in several jobs can fail by while one job alone may do: (in `pg_dump`'s or the engine's words).
const SIGNS: [&str; 9] = [
    "not support compression with zstd",
    "could not obtain lock on relation",
    "too many connections",
    "too many clients",
    "remaining connection slots",
    "no space left on device",
    "read-only file system",
    "executable file not found",
    "can't create directory",
];

/// Whether a dump that failed so is worth another try in one job.
pub(super) fn is_worth_one_job(error: &ResourceError) -> bool {
    let text = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = text.to_lowercase();
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// Makes the copy in `jobs` jobs, reads all of it back, and puts it into the slot.
pub(super) fn dump(reach: &Reach, snapshot: &str, jobs: u32, slot: &Slot, cx: &Context) -> Result<Found> {
    let home = slot.directory();
    disk::create_private_dir(&home)?;
    // Gone with all that is in it when this returns, whatever came of it.
    let staged = tempfile::Builder::new()
        .prefix(".guard-")
        .suffix(".tmp")
        .tempdir_in(&home)
        .at("create a directory in", &home)?;
    let made = staged.path().join(NAME);
    let path = made.to_string_lossy().into_owned();
    let found = if reach.container().is_some() {
        let inside = Inside::make(reach, cx)?;
        let fetched = write(reach, snapshot, jobs, &inside.path, &|| 0, cx).and_then(|()| {
            inside.fetch(reach, &made, cx)?;
            let listing = reach.program("pg_restore", false, &["-l", &inside.path]);
            proof::read(&reach.database, &made, NAME, &listing, slot, cx)
        });
        inside.remove(reach, &cx.unstoppable())?;
        fetched?
    } else {
        write(reach, snapshot, jobs, &path, &|| size(&made), cx)?;
        let listing = reach.program("pg_restore", false, &["-l", &path]);
        proof::read(&reach.database, &made, NAME, &listing, slot, cx)?
    };
    for file in disk::list(&made)? {
        disk::set_mode(&file, 0o600)?;
        std::fs::File::open(&file)
            .and_then(|file| file.sync_all())
            .at("sync", &file)?;
    }
    disk::set_mode(&made, 0o700)?;
    disk::sync_directory(&made)?;
    let place = home.join(NAME);
    if disk::exists(&place)? {
        disk::move_new(&place, &staged.path().join("before"))?;
    }
    disk::move_new(&made, &place)?;
    Ok(found)
}

/// The bytes of the files in a directory.
fn size(directory: &Path) -> u64 {
    let files = disk::list(directory).unwrap_or_default();
    files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|about| about.len())
        .sum()
}

/// Runs `pg_dump`, tells how far it has come, and ends it where nothing goes on.
fn write(
    reach: &Reach,
    snapshot: &str,
    jobs: u32,
    directory: &str,
    grown: &(dyn Fn() -> u64 + Sync),
    cx: &Context,
) -> Result<()> {
    // The sessions have a name of their own, by which they are found.
    let session = session(cx);
    let connection = format!("{} application_name='{session}'", reach.connection(&reach.database));
    let (jobs, level) = (jobs.to_string(), format!("zstd:{LEVEL}"));
    let (snapshot, wait) = (format!("--snapshot={snapshot}"), reach.wait_flag());
    let args = [
        "-Fd",
        "-j",
        &jobs,
        "-Z",
        &level,
        "--no-password",
        &snapshot,
        &wait,
        "-f",
        directory,
        "-d",
        &connection,
    ];
    let call = reach.program("pg_dump", false, &args);
    let over = AtomicBool::new(false);
    let inside = AtomicU64::new(0);
    let written = metered(reach, &format!("dump {}", reach.database), false, cx, |_| {
        std::thread::scope(|scope| {
            if reach.container().is_some() {
                scope.spawn(|| weigh(reach, directory, &inside, &over, cx));
            }
            let grown = || grown() + inside.load(Ordering::SeqCst);
            let written = stall::watched(&call, &reach.database, reach.stall, cx, &grown, &mut |_: &[u8]| Ok(()));
            over.store(true, Ordering::SeqCst);
            written
        })
    });
    if written.is_err() && reach.container().is_some() {
        end_sessions(reach, &cx.unstoppable());
    }
    written
}

/// Ends the sessions of a dump. A program in a container outlives the call that started it; without its session it ends.
fn end_sessions(reach: &Reach, cx: &Context) {
    let script = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = {} AND usename = current_user;",
        literal(&session(cx))
    );
    let call = reach
        .psql(&reach.database)
        .input(reach.script(&script))
        .timeout(PATIENCE);
    // What made this needful matters more than whether it succeeds.
    let _ended = cx.output(&call);
}

/// Removes what a killed capture or restore of this run left in the container, where that runs.
pub(super) fn settle(of: &Postgres, cx: &Context) -> Result<()> {
    if !matches!(of.way, Way::Service { .. }) {
        return Ok(());
    }
    // A container that does not run has nothing that goes on, and its `/tmp` is not in anybody's way.
    let Ok(reach) = Reach::open(of, cx) else {
        return Ok(());
    };
    end_sessions(&reach, cx);
    Inside::remove_any(&reach, cx)
}

fn session(cx: &Context) -> String {
    format!("guard dump {}", cx.token())
}

/// Looks every now and then how large a directory in the container has become.
fn weigh(reach: &Reach, directory: &str, size: &AtomicU64, over: &AtomicBool, cx: &Context) {
    let call = reach
        .program("du", false, &["-s", "-k", "--", directory])
        .timeout(PATIENCE);
    while !over.load(Ordering::SeqCst) {
        if let Ok(output) = cx.output(&call)
            && let Some(kilobytes) = output.text().split_whitespace().next()
        {
            size.store(kilobytes.parse().unwrap_or_default(), Ordering::SeqCst);
        }
        let until = cx.clock.steady() + PAUSE;
        while !over.load(Ordering::SeqCst) && cx.clock.steady() < until {
            cx.clock.sleep(TICK);
        }
    }
}
