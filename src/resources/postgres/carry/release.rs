//! Which rows are the release's own: a migration wrote them, or they were written while the deploy command ran.
//!
//! Every row tells the transaction that wrote it. The numbers of transactions rise with the time, so two of them, noted
//! when the deploy command begins and when it has ended, divide all rows into those before, those behind and those that
//! may be either's. A transaction that also wrote a record of migrations, or changed the schema, was a migration whenever
//! it ran, as one that a container runs at its start. No such row is carried: the corrected release writes it again, and
//! would fail on it. None is lost either: it is exported.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shape::{Shape, Table};
use super::wish::CarryOver;
use crate::abilities::Mark;
use crate::error::{ResourceError, Result};
use crate::postgres::database::Postgres;
use crate::postgres::reach::Reach;
use crate::postgres::session::Session;
use crate::postgres::sql::IDENTIFIER;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;

/// The directory of a run's notes.
const DIRECTORY: &str = "deploy-window";
/// Numbers of transactions in a row's header have 32 bits, and begin again.
const AROUND: u64 = 1 << 32;

/// When a deploy command ran, as the server's transactions count time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    /// The cluster, where the user may know it.
    #[serde(default)]
    cluster: Option<String>,
    /// The first transaction that began behind its beginning.
    from: u64,
    /// The first that began behind its end; `None`: nobody saw it end.
    #[serde(default)]
    to: Option<u64>,
}

/// What the server says of itself now.
#[derive(Deserialize)]
struct Moment {
    cluster: Option<String>,
    at: u64,
}

fn moment() -> String {
    format!(
        "{IDENTIFIER}SELECT jsonb_build_object('cluster', :known::text, 'at', txid_snapshot_xmax(txid_current_snapshot()));"
    )
}

fn place(run: &Path, name: &ResourceName) -> PathBuf {
    run.join(DIRECTORY).join(format!("{name}.json"))
}

fn read(path: &Path) -> Result<Option<Window>> {
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let what = format!("{} does not tell when the deploy command ran", path.display());
        ResourceError::because(what, error)
    })
}

/// How far the server's transactions have come.
pub(crate) fn transactions(reach: &Reach, database: &str, cx: &Context) -> Result<Option<u64>> {
    let now: Option<Moment> = reach.rows(database, &moment(), cx)?.into_iter().next();
    Ok(now.map(|now| now.at))
}

/// Notes in the run's directory how far the server's transactions have come. The beginning is noted once, however often a
/// run is taken up again.
pub(crate) fn mark(of: &Postgres, mark: Mark, cx: &Context) -> Result<()> {
    let path = place(&cx.scratch, &of.name);
    let known = read(&path)?;
    if mark == Mark::DeployBegins && known.is_some() {
        return Ok(());
    }
    let reach = Reach::open(of, cx)?;
    let now: Option<Moment> = reach.rows(&reach.database, &moment(), cx)?.into_iter().next();
    let now = now.ok_or_else(|| ResourceError::new("the server did not tell how far its transactions have come"))?;
    let window = match (mark, known) {
        (Mark::DeployBegins, _) => Window {
            cluster: now.cluster,
            from: now.at,
            to: None,
        },
        (Mark::DeployEnded, Some(known)) => Window {
            to: Some(now.at),
            ..known
        },
        // Without its beginning an end says nothing.
        (Mark::DeployEnded, None) => return Ok(()),
    };
    let bytes = serde_json::to_vec(&window)
        .map_err(|error| ResourceError::because("could not note when the deploy command runs", error))?;
    disk::create_private_dir(&cx.scratch.join(DIRECTORY))?;
    Ok(disk::write_whole(&path, &bytes)?)
}

/// The windows of all runs that are still on disk; those of other clusters are sorted out later. None where tables are named:
/// who names one says that people write to it, and only what is surely a migration's stays out.
pub(super) fn windows(wish: &CarryOver, name: &ResourceName, cx: &Context) -> Result<Vec<Window>> {
    let Some(runs) = cx.runs.as_ref().filter(|_| *wish == CarryOver::Inserts) else {
        return Ok(Vec::new());
    };
    let mut windows = Vec::new();
    for run in disk::list(runs)? {
        windows.extend(read(&place(&run, name))?);
    }
    Ok(windows)
}

/// What tells the release's own rows in one database.
#[derive(Debug, Default)]
pub(super) struct Release {
    /// From one number up to the other, which is not among them; in 32 bits, and how many.
    ranges: Vec<(u64, u64)>,
    /// Transactions that were migrations.
    migrations: Vec<u64>,
}

/// Transactions that made or changed what the schema consists of. Partitions are made by programs that run.
const SCHEMA_CHANGES: &str = r"
SELECT DISTINCT a.xmin::text::bigint FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND c.relkind IN ('r', 'p', 'i', 'v', 'm') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_|_timescaledb)'
UNION SELECT k.xmin::text::bigint FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT c.relispartition AND k.conparentid = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_|_timescaledb)';
";

impl Release {
    /// Asks the failed database.
    pub(super) fn of(session: &mut Session, failed: &Shape, windows: &[Window]) -> Result<Self> {
        let now: Option<Moment> = session.values(&moment())?.into_iter().next();
        let Some(now) = now else { return Ok(Self::default()) };
        let mut release = Self {
            migrations: session.values(SCHEMA_CHANGES)?,
            ..Self::default()
        };
        for table in failed.tables.values().filter(|table| table.records_migrations()) {
            let script = format!("SELECT DISTINCT xmin::text::bigint FROM {};", table.source());
            release.migrations.extend(session.values::<u64>(&script)?);
        }
        let of_here = windows.iter().filter(|window| match (&window.cluster, &now.cluster) {
            (Some(then), Some(here)) => then == here,
            _ => true,
        });
        for window in of_here {
            let to = window.to.unwrap_or(now.at).min(now.at);
            if let Some(many) = to.checked_sub(window.from).filter(|many| *many > 0) {
                release.ranges.push((window.from % AROUND, many.min(AROUND - 1)));
            }
        }
        Ok(release)
    }

    /// Whether a row of this table is the release's own, as SQL.
    pub(super) fn sql(&self, table: &Table) -> String {
        if !table.tells_writer {
            return "false".to_owned();
        }
        let number = "xmin::text::bigint";
        let ranges = self
            .ranges
            .iter()
            .map(|(from, many)| format!("({number} - {from} + {AROUND}) % {AROUND} < {many}"));
        let migrations = (!self.migrations.is_empty()).then(|| {
            let all: Vec<String> = self.migrations.iter().map(u64::to_string).collect();
            format!("{number} = ANY ('{{{}}}'::bigint[])", all.join(","))
        });
        let all: Vec<String> = ranges.chain(migrations).collect();
        if all.is_empty() {
            return "false".to_owned();
        }
        format!("({})", all.join(" OR "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_noted_says_nothing_and_an_older_note_is_read() {
        let window: Window = serde_json::from_str("{\"from\": 7}").unwrap();
        assert_eq!((window.to, window.cluster), (None, None));
        assert!(read(Path::new("/nonexistent/db.json")).unwrap().is_none());
    }
}
