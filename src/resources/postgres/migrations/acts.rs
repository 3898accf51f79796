//! What is done on the way back: tables copied, scripts run, a command called; each safe to repeat.

use serde::{Deserialize, Serialize};

use super::books::{Books, exactly, place};
use super::scripts::Down;
use super::wish::Migrations;
use crate::error::{ResourceError, Result};
use crate::postgres::database::Postgres;
use crate::postgres::reach::Reach;
use crate::postgres::trouble::explained;
use guard_model::event::Level;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::{self, Staged};

/// A script is written for a session as the tools open it; only the limit on waiting for locks stays.
const AS_USUAL: &str = "RESET search_path; RESET timezone; RESET datestyle; RESET intervalstyle; RESET extra_float_digits; \
    RESET bytea_output; RESET row_security; RESET standard_conforming_strings;";

/// What has to be taken back, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Going {
    pub(super) versions: Vec<String>,
    /// The scripts as they were when all was well: going back may exchange the files. Empty where a command does it.
    pub(super) downs: Vec<Down>,
}

/// Copies the tables that were named, once: after the first script they may not be what they were.
pub(super) fn snapshot(of: &Postgres, reach: &Reach, wish: &Migrations, cx: &Context) -> Result<String> {
    let place = cx.scratch.join(format!("tables-{}.pgc", of.name));
    if !disk::exists(&place)? {
        let connection = reach.connection(&reach.database);
        let tables: Vec<String> = wish
            .snapshot
            .iter()
            .map(|table| format!("--table={}", exactly(table)))
            .collect();
        let mut args = vec!["-Fc", "--no-password", "--strict-names", "-d", &connection];
        args.extend(tables.iter().map(String::as_str));
        let mut staged = Staged::beside(&place)?;
        let pulled = cx.pull(&reach.program("pg_dump", false, &args), &mut |bytes: &[u8]| {
            std::io::Write::write_all(&mut staged, bytes)
        });
        pulled.map_err(|error| explained(error, &reach.database))?;
        staged.replace(&place)?;
    }
    Ok(format!("tables {} in {}", wish.snapshot.join(", "), place.display()))
}

pub(super) fn by_scripts(going: &Going, before: &Books, reach: &Reach, wish: &Migrations, cx: &Context) -> Result<()> {
    // A script that has begun is ended: a signal is obeyed after it.
    for (number, down) in going.downs.iter().enumerate() {
        let books = Books::read(reach, wish, &cx.unstoppable())?;
        if !books.versions.contains(&down.version) {
            continue;
        }
        cx.note(Level::Info, format!("{}: taking back {}", reach.database, down.file));
        let below = going.downs.get(number + 1).map(|next| next.version.as_str());
        let below = below.or_else(|| before.newest().map(String::as_str));
        let script = format!(
            "BEGIN; {AS_USUAL}\n{}\n;\n{}\nCOMMIT;",
            down.sql,
            books.forgetting(&down.version, below)
        );
        reach
            .run(&reach.database, &script, &cx.unstoppable())
            .map_err(|error| ResourceError {
                what: format!("{} failed and was taken back: {}", down.file, error.what),
                ..error
            })?;
    }
    Ok(())
}

/// How often a command is called at most; a tool that goes one step with each call is called as long as it gets nearer.
const MOST_CALLS: usize = 1000;

/// Lets the migration tool go back, by as many calls as it takes. It is told how far, and is not started where it is there
/// already.
pub(super) fn by_command(
    command: &[String],
    before: &Books,
    going: &Going,
    reach: &Reach,
    wish: &Migrations,
    cx: &Context,
) -> Result<()> {
    let mut last: Option<Books> = None;
    for _ in 0..MOST_CALLS {
        let now = Books::read(reach, wish, cx)?;
        if now.tells_the_same(before) {
            return Ok(());
        }
        if last.as_ref().is_some_and(|last| now.tells_the_same(last)) {
            let what = format!(
                "`down_command` ended well, and {} still tells of {}",
                now.table,
                now.versions.join(", ")
            );
            return Err(ResourceError::new(what));
        }
        if let Some(gone) = lost(before, &now) {
            return Err(ResourceError::new(format!(
                "`down_command` took back {gone}, which had run when the backup was made"
            )));
        }
        for call in calls(command, before, &now, going) {
            let call = cx
                .announced
                .iter()
                .fold(call.directory(&cx.directory), |call, (name, value)| {
                    call.env(name, value)
                });
            cx.output(&call)
                .map_err(|error| ResourceError::because("`down_command` failed", error))?;
        }
        last = Some(now);
    }
    Err(ResourceError::new(format!(
        "`down_command` was not done after {MOST_CALLS} calls"
    )))
}

/// A migration that had run at the backup and is told no more; only the newest is ever told by some.
pub(super) fn lost<'b>(before: &'b Books, now: &Books) -> Option<&'b String> {
    if now.heads || now.newest_only {
        return None;
    }
    before.versions.iter().find(|version| !now.versions.contains(version))
}

/// The furthest of an application's migrations, which are in the order in which they were noted. Django notes a squashed one
/// when all that it stands for have run, which may be behind others that came after them: it stands where the last of those does.
fn furthest<'n>(names: &[&'n str]) -> Option<&'n str> {
    let squashed = |name: &str| name.split_once("_squashed_").map(|(_, last)| last.to_owned());
    if !names.iter().any(|name| squashed(name).is_some()) {
        return names.last().copied();
    }
    let number = |name: &str| place(&squashed(name).unwrap_or_else(|| name.to_owned())).0;
    // Of equal ones the last, since one that was squashed is not to be had by its own name.
    names.iter().copied().max_by_key(|name| number(name))
}

/// The calls of the command: one, or one for each application where its words ask for that.
fn calls(command: &[String], before: &Books, now: &Books, going: &Going) -> Vec<Call> {
    let newest_first: Vec<&String> = now
        .versions
        .iter()
        .rev()
        .filter(|version| !before.versions.contains(version))
        .collect();
    let count = if now.heads { 1 } else { newest_first.len().max(1) };
    let to = if now.heads {
        before.versions.join(" ")
    } else {
        before.newest().cloned().unwrap_or_default()
    };
    let call = |application: &str, to: &str| {
        let words: Vec<String> = command
            .iter()
            .map(|word| {
                word.replace("{app}", application)
                    .replace("{to}", to)
                    .replace("{count}", &count.to_string())
            })
            .collect();
        let call = Call::of_words(&words)?;
        Some(
            call.env("GUARD_MIGRATIONS", going.versions.join(" "))
                .env("GUARD_MIGRATIONS_COUNT", count.to_string())
                .env("GUARD_MIGRATE_TO", to),
        )
    };
    if !command.iter().any(|word| word.contains("{app}")) {
        return call("", &to).into_iter().collect();
    }
    // Django's migrations belong to applications, and each is told how far back it goes.
    let mut applications: Vec<&str> = Vec::new();
    for version in newest_first {
        let application = version
            .split_once('.')
            .map_or(version.as_str(), |(application, _)| application);
        if !applications.contains(&application) {
            applications.push(application);
        }
    }
    let target = |application: &str| {
        let names = before.versions.iter().filter_map(|version| version.split_once('.'));
        let names: Vec<&str> = names
            .filter(|(of, _)| *of == application)
            .map(|(_, name)| name)
            .collect();
        furthest(&names).unwrap_or("zero")
    };
    applications
        .iter()
        .filter_map(|application| call(application, target(application)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::furthest;

    #[test]
    fn a_squashed_migration_stands_where_the_last_that_it_stands_for_does() {
        let noted = ["0001_initial", "0002_a", "0003_b", "0001_squashed_0002_a"];
        assert_eq!(furthest(&noted), Some("0003_b"));
        let noted = ["0001_initial", "0002_a", "0001_squashed_0002_a"];
        assert_eq!(furthest(&noted), Some("0001_squashed_0002_a"));
        let noted = ["0002_later", "0001_noted_behind_it"];
        assert_eq!(
            furthest(&noted),
            Some("0001_noted_behind_it"),
            "the tool's own order counts"
        );
        assert_eq!(furthest(&[]), None);
    }
}
