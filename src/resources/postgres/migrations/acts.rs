//! What is done on the way back: tables copied, scripts run, a command called; each safe to repeat.

use serde::{Deserialize, Serialize};

use super::Migrations;
use super::books::{Books, exactly};
use super::scripts::Down;
use crate::model::event::Level;
use crate::resources::postgres::Postgres;
use crate::resources::postgres::reach::Reach;
use crate::resources::postgres::trouble::explained;
use crate::resources::{ResourceError, Result};
use crate::system::call::Call;
use crate::system::context::Context;
use crate::system::disk::{self, Staged};

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

/// Lets the migration tool go back. It is told how far, and is not started where it is there already.
pub(super) fn by_command(
    command: &[String],
    before: &Books,
    going: &Going,
    reach: &Reach,
    wish: &Migrations,
    cx: &Context,
) -> Result<()> {
    let now = Books::read(reach, wish, cx)?;
    if now.versions == before.versions {
        return Ok(());
    }
    let Some(call) = Call::of_words(command) else {
        return Ok(());
    };
    let count = now.versions.len().saturating_sub(before.versions.len()).max(1);
    let call = call
        .directory(&cx.directory)
        .env("GUARD_MIGRATIONS", going.versions.join(" "))
        .env("GUARD_MIGRATIONS_COUNT", count.to_string())
        .env("GUARD_MIGRATE_TO", before.newest().map_or("", String::as_str));
    let call = cx
        .announced
        .iter()
        .fold(call, |call, (name, value)| call.env(name, value));
    cx.output(&call).map(|_| ()).map_err(|error| {
        ResourceError::because("`down_command` failed", error)
            .with_hint("run it by hand until it succeeds, then `guard resume`")
    })
}
