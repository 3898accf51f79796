//! The work of carrying: both databases compared once, their differences written down, and the new rows put in, in one
//! transaction that ends only when everything that stays out is safe on disk.

use std::path::PathBuf;

use serde::Deserialize;

use super::account::{Account, Figures};
use super::choice::Intent;
use super::compare::{Change, Depth, Pair, READING, pairs};
use super::export::{Export, Fate, stem};
use super::insert::{Load, closing, ending, opening};
use super::ledger::write_account;
use super::order::Order;
use super::release::{Release, Window};
use super::rows::staged;
use super::shape::{Shape, Table, sequences};
use super::wish::CarryOver;
use crate::error::Result;
use crate::postgres::reach::Reach;
use crate::postgres::session::{Session, converse};
use crate::postgres::trouble::Trouble;
use guard_system::context::Context;
use guard_system::disk::{self, Staged};

/// Keeps everybody out of the failed database but the session of this process id.
pub(super) type Fence<'a> = &'a dyn Fn(&str) -> Result<()>;

/// What is to be carried from where to where.
pub(super) struct Job<'a> {
    /// The database that has the rows.
    pub(super) failed: &'a str,
    /// The one that gets them.
    pub(super) restored: &'a str,
    pub(super) wish: &'a CarryOver,
    /// When deploy commands ran: what was written then is not carried, nor what a migration wrote. `None`: who asked has
    /// seen what is in the tables.
    pub(super) windows: Option<&'a [Window]>,
    /// Where what stays out is exported to; what is there is replaced.
    pub(super) directory: PathBuf,
    /// Called when the failed database is open for reading, before it is read.
    pub(super) fence: Fence<'a>,
    /// SQL that has to stand or fall with the rows.
    pub(super) mark: String,
    /// Whether rows that only the other database has are exported too.
    pub(super) tells_gone: bool,
}

/// A refused row, as the server tells it.
#[derive(Deserialize)]
struct Verdict {
    table: usize,
    row: Vec<Option<String>>,
    why: String,
}

/// The rows of one table on their way.
struct Cargo {
    pair: Pair,
    figures: Figures,
    spool: Option<PathBuf>,
    /// How many of them are in the spool.
    staged: u64,
}

/// Does a job, and writes its account down.
pub(super) fn carry(reach: &Reach, job: &Job<'_>, cx: &Context) -> Result<Account> {
    converse(reach, job.failed, cx, |left| {
        let pid = left.lines("SELECT pg_backend_pid();")?;
        (job.fence)(pid.first().map(String::as_str).unwrap_or_default())?;
        left.lines(READING)?;
        converse(reach, job.restored, cx, |right| {
            // A database may have been set to be read only for its clients.
            right.lines("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;")?;
            let (failed, restored) = (Shape::read(left)?, Shape::read(right)?);
            let mut export = Export::begin(&job.directory)?;
            let mut account = Account {
                remarks: unknown_names(job.wish, &failed, &restored),
                ..Account::default()
            };
            let release = match job.windows {
                Some(windows) => Release::of(left, &failed, windows)?,
                None => Release::default(),
            };
            let mut cargo = Vec::new();
            for pair in pairs(&failed, &restored) {
                let refers = restored
                    .references
                    .iter()
                    .any(|reference| reference.from == pair.name());
                let taken = take((pair, refers), (job, &release), (left, right), &mut export, cx)?;
                cargo.push(taken);
            }
            put(&mut cargo, &restored, right, &mut export)?;
            let advances = if job.wish.is_wanted() {
                sequences(&failed.sequences, &restored.sequences)
            } else {
                Vec::new()
            };
            account.sequences = advances.len() as u64;
            let figures = cargo.iter().map(|cargo| cargo.figures.clone());
            account.tables = figures.filter(|figures| !figures.is_quiet()).collect();
            export.settle()?;
            account.files = export.files();
            write_account(&job.directory, &account)?;
            right.lines(&format!("{}{}COMMIT;", advances.concat(), job.mark))?;
            for path in cargo.iter().filter_map(|cargo| cargo.spool.as_ref()) {
                disk::remove_file(path)?;
            }
            Ok(account)
        })
    })
}

fn unknown_names(wish: &CarryOver, failed: &Shape, restored: &Shape) -> Vec<String> {
    let CarryOver::Tables(names) = wish else {
        return Vec::new();
    };
    let known = |shape: &Shape, name: &String| shape.tables.values().any(|table| table.is_called(name));
    names
        .iter()
        .filter(|name| !known(failed, name) && !known(restored, name))
        .map(|name| format!("`carry_over` names {name:?}, and there is no such table"))
        .collect()
}

/// Compares one table, exports what stays out, and spools what is to be carried; also what should be and cannot, where it
/// `refers` to rows that then have to stay out with it.
fn take(
    (pair, refers): (Pair, bool),
    (job, release): (&Job<'_>, &Release),
    (left, right): (&mut Session, &mut Session),
    export: &mut Export,
    cx: &Context,
) -> Result<Cargo> {
    let intent = Intent::of(job.wish, &pair);
    let mut figures = Figures::of(&pair, &intent);
    let carries = intent.carries;
    // What has no column in the restored table cannot go along, and is not lost for that.
    let leaves_values = carries && !figures.lost_columns.is_empty();
    let mut spool: Option<Staged> = None;
    let place = export.path(&format!("{}.rows", stem(pair.name())));
    let birth = pair
        .failed
        .as_ref()
        .and_then(Table::birth)
        .map(|column| column.name.clone());
    let mut spooled = 0_u64;
    let (mut seen, what) = (0_u64, format!("compare {}", pair.name()));
    pair.compare(left, right, (Depth::Rows, release), &mut |change, row| {
        figures.count(change, row);
        let values = row.values();
        seen += row.bytes();
        cx.progress(&what, seen, None);
        if let (Change::New, Some(failed), Some(column)) = (change, &pair.failed, &birth) {
            let at = failed.columns.iter().position(|known| &known.name == column);
            let moment = at.and_then(|at| values.get(at)).cloned().flatten();
            figures.note_birth(moment.map(|moment| moment.chars().take(19).collect()), column);
        }
        let is_barred = refers && figures.hindrance.is_some() && pair.restored.is_some() && !row.is_own;
        if change == Change::New && (is_barred || (carries && !row.is_own)) {
            spooled += 1;
            let line = staged(spooled, &values);
            if spool.is_none() {
                spool = Some(Staged::beside(&place)?);
            }
            if let Some(spool) = &mut spool {
                spool.write(line.as_bytes())?;
            }
        }
        if change == Change::New && carries && !row.is_own {
            if leaves_values {
                export.row(&pair, Fate::Carried, values, None)?;
            }
            return Ok(());
        }
        if change == Change::Gone {
            return if job.tells_gone {
                export.row(&pair, Fate::Gone, values, None).map(|_| ())
            } else {
                Ok(())
            };
        }
        if export.row(&pair, Fate::of(change), values, None)? {
            figures.exported += 1;
        } else {
            figures.kept += 1;
        }
        Ok(())
    })?;
    export.settle()?;
    let spool = match spool {
        Some(spool) => {
            spool.replace(&place)?;
            Some(place)
        }
        None => None,
    };
    Ok(Cargo {
        pair,
        figures,
        spool,
        staged: spooled,
    })
}

/// Puts the spooled rows in, parents first; what does not fit is exported.
fn put(cargo: &mut [Cargo], restored: &Shape, session: &mut Session, export: &mut Export) -> Result<()> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    {
        let loads: Vec<(Load<'_>, &PathBuf)> = cargo
            .iter()
            .enumerate()
            .filter_map(|(number, cargo)| {
                let load = Load {
                    number,
                    pair: &cargo.pair,
                    restored: cargo.pair.restored.as_ref()?,
                    rows: cargo.staged,
                    barred: cargo.figures.hindrance.as_deref(),
                };
                Some((load, cargo.spool.as_ref()?))
            })
            .collect();
        if loads.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = loads.iter().map(|(load, _)| load.restored.name.clone()).collect();
        let order = Order::of(&names, &restored.references);
        for (load, spool) in &loads {
            session.copy_in(&load.staging(), (*spool).clone())?;
        }
        let loads: Vec<Load<'_>> = loads.into_iter().map(|(load, _)| load).collect();
        session.lines(&opening(&loads, &order, restored))?;
        for name in order.groups.iter().flatten() {
            for load in loads.iter().filter(|load| &load.restored.name == name) {
                session.lines(&load.putting())?;
            }
        }
        session.lines(&closing(&loads, &order, restored))?;
        session.begin(&ending(&loads, &order, restored))?;
        while let Some(line) = session.line()? {
            if !line.is_empty() {
                let line = String::from_utf8_lossy(line).into_owned();
                verdicts.push(serde_json::from_str(&line).map_err(|error| Trouble::unread(&line, error))?);
            }
        }
    }
    settle(cargo, verdicts, export)
}

/// Books what was carried and what was refused.
fn settle(cargo: &mut [Cargo], verdicts: Vec<Verdict>, export: &mut Export) -> Result<()> {
    for cargo in cargo.iter_mut().filter(|cargo| cargo.figures.carries) {
        cargo.figures.carried = cargo.staged;
    }
    for Verdict { table, row, why } in verdicts {
        let Some(cargo) = cargo.get_mut(table) else { continue };
        let figures = &mut cargo.figures;
        figures.carried -= 1;
        figures.refused += 1;
        // The values of a row are in the file; a message may go to places where they must not.
        let short = why.split(": ").next().unwrap_or_default().to_owned();
        *figures.reasons.entry(short).or_default() += 1;
        if export.row(&cargo.pair, Fate::Refused, row, Some(&why))? {
            figures.exported += 1;
        } else {
            figures.kept += 1;
        }
    }
    Ok(())
}
