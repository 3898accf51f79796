//! Opening SQLite files, copying them page by page while others write, and proving the copy.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::stand_in;
use crate::error::{ResourceError, Result};
use guard_system::context::Context;

/// How long a reader waits for a writer.
const WAIT: Duration = Duration::from_secs(30);
/// Pages in one step: between the steps guard looks whether it was asked to stop.
const STEP: i32 = 4096;

/// Tells a failure of SQLite with the file it was about.
pub(super) fn failed(verb: &str, path: &Path, error: rusqlite::Error) -> ResourceError {
    let locked = matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    );
    let failed = ResourceError::because(format!("could not {verb} the database {}", path.display()), error);
    if locked {
        failed.with_hint("another program holds it locked; stop that program, or list its service as one that writes")
    } else {
        failed
    }
}

/// Opens a database that must be there.
pub(super) fn open(path: &Path) -> Result<Connection> {
    // Writing, for a reader of a WAL database has to make its index; nothing is ever written to it.
    // What stands there in place of a file is never followed: a path that is opened has no link in it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let opened = Connection::open_with_flags(path, flags);
    let connection = opened.map_err(|error| failed("open", path, error))?;
    connection
        .busy_timeout(WAIT)
        .map_err(|error| failed("open", path, error))?;
    Ok(connection)
}

/// Copies a database into an empty file, whole: where somebody writes meanwhile, SQLite begins anew.
pub(super) fn copy(from: &Connection, path: &Path, to: &Path, cx: &Context) -> Result<()> {
    let failed = |error| failed("copy", path, error);
    let mut target = Connection::open(to).map_err(failed)?;
    {
        let backup = Backup::new(from, &mut target).map_err(failed)?;
        let begun = cx.clock.steady();
        loop {
            let step = backup.step(STEP).map_err(failed)?;
            let progress = backup.progress();
            let pages = |count: i32| u64::try_from(count).unwrap_or_default();
            let (total, left) = (pages(progress.pagecount), pages(progress.remaining));
            // SQLite's usual page has 4096 bytes; progress need not be exact.
            cx.progress(
                "copy the database",
                (total - left.min(total)) * 4096,
                Some(total * 4096),
            );
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ if cx.clock.steady().saturating_sub(begun) > WAIT => {
                    let what = format!("could not copy the database {}: it stays locked", path.display());
                    return Err(ResourceError::new(what).with_hint("stop the program that holds it"));
                }
                _ => cx.clock.sleep(Duration::from_millis(50)),
            }
            if cx.stop.is_asked() {
                return Err(ResourceError::new(
                    "the copy was stopped because guard was asked to stop",
                ));
            }
        }
    }
    // The copy of a WAL database is one, too; as a rollback-journal database it is a single file.
    let _mode: String = target
        .pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))
        .map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))
}

/// What SQLite's own check finds wrong with a file. Where its indexes need a collation or a function that only the application
/// has, their order is not looked at: every page was copied as it is.
pub(super) fn prove(path: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed("open", path, error))?;
    let checked = |connection: &mut Connection, check: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(check)?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let (mut connection, mut said) = (connection, None);
    match checked(&mut connection, "PRAGMA integrity_check(3)") {
        Ok(told) => said = Some(told),
        Err(error) if stand_in::missing(&error).is_some() => {}
        Err(error) => return Err(failed("check", path, error)),
    }
    let said = match said {
        Some(told) => told,
        None => stand_in::with(&mut connection, |connection| {
            let told = checked(connection, "PRAGMA quick_check(100)")?;
            // What a stand-in gives is nothing, where the application's own part may give something.
            Ok(told
                .into_iter()
                .filter(|line| !line.starts_with("NULL value in"))
                .collect())
        })
        .map_err(|error| failed("check", path, error))?,
    };
    // The contents of an index of words are the application's own where its tokenizer is.
    let is_own = |line: &String| line.starts_with("unable to validate the inverted index");
    let damage = said.iter().find(|line| *line != "ok" && !is_own(line));
    damage.map_or(Ok(()), |damage| {
        let what = format!("the database {} is damaged: {damage}", path.display());
        Err(ResourceError::new(what))
    })
}
