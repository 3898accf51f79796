//! The files of what is displaced and not carried over: CSV for people and programs, SQL for those who want it back.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::compare::{Change, Pair};
use super::rows::{csv, sql};
use crate::error::Result;
use crate::postgres::sql::ident;
use guard_system::disk::{self, At, Staged, sha256_hex};

/// How many rows of one table and one kind are exported; the displaced database has them all.
const MOST: u64 = 1_000_000;
/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 * 1024;

/// A directory of exported rows that is being written.
pub(super) struct Export {
    directory: PathBuf,
    open: BTreeMap<String, File>,
    files: Vec<String>,
}

struct File {
    staged: Staged,
    buffer: Vec<u8>,
    rows: u64,
}

/// How a row is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Only the failed database has it, and it stays out.
    New,
    Changed,
    Gone,
    /// It should have been carried over and does not fit.
    Refused,
    /// It is carried over without the columns that the restored table does not have.
    Carried,
}

impl Fate {
    pub(super) fn of(change: Change) -> Self {
        match change {
            Change::New => Self::New,
            Change::Changed => Self::Changed,
            Change::Gone => Self::Gone,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Carried => "carried",
        }
    }
}

impl Export {
    /// Begins an export in a directory; what an earlier try wrote there is removed.
    pub(super) fn begin(directory: &Path) -> Result<Self> {
        disk::create_private_dir(directory)?;
        for path in disk::list(directory)? {
            disk::remove_file(&path)?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            open: BTreeMap::new(),
            files: Vec::new(),
        })
    }

    /// The path of a file in the export.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a row. `why` stands before its columns where it was refused. False: the limit is reached.
    pub(super) fn row(
        &mut self,
        pair: &Pair,
        fate: Fate,
        mut row: Vec<Option<String>>,
        why: Option<&str>,
    ) -> Result<bool> {
        let stem = format!("{}.{}", stem(pair.name()), fate.word());
        let mut names = match (fate, &pair.failed) {
            (Fate::Gone, _) | (_, None) => pair.gone_columns(),
            (_, Some(table)) => table.columns.iter().map(|column| column.name.clone()).collect(),
        };
        let statement = statement(pair, fate, &names, &row);
        if fate == Fate::Refused {
            names.insert(0, "why".to_owned());
            row.insert(0, why.map(str::to_owned));
        }
        let table = self.file(&format!("{stem}.csv"))?;
        if table.rows >= MOST {
            return Ok(false);
        }
        if table.rows == 0 {
            let head: Vec<Option<String>> = names.into_iter().map(Some).collect();
            table.write(csv(&head).as_bytes())?;
        }
        table.rows += 1;
        table.write(csv(&row).as_bytes())?;
        if let Some(statement) = statement {
            self.file(&format!("{stem}.sql"))?.write(statement.as_bytes())?;
        }
        Ok(true)
    }

    fn file(&mut self, name: &str) -> Result<&mut File> {
        if !self.open.contains_key(name) {
            let file = File {
                staged: Staged::beside(&self.path(name))?,
                buffer: Vec::new(),
                rows: 0,
            };
            self.open.insert(name.to_owned(), file);
            self.files.push(name.to_owned());
        }
        let lost = || crate::error::ResourceError::new("an exported file was lost");
        self.open.get_mut(name).ok_or_else(lost)
    }

    /// Puts the files that are open in their places, synced; there may be more afterwards.
    pub(super) fn settle(&mut self) -> Result<()> {
        for (name, mut file) in std::mem::take(&mut self.open) {
            file.flush()?;
            file.staged.replace(&self.directory.join(name))?;
        }
        Ok(())
    }

    /// The names of all files, in the order in which they were begun.
    pub(super) fn files(&self) -> Vec<String> {
        self.files.clone()
    }
}

impl File {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.staged.write_all(&self.buffer).at("write", self.staged.path())?;
        self.buffer.clear();
        Ok(())
    }
}

/// A file name for a table: the name itself where it is plain, else with a digest, since two names could look alike.
pub(super) fn stem(table: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if table.chars().all(plain) && table.len() <= 100 {
        return table.to_owned();
    }
    let short: String = table.chars().map(|c| if plain(c) { c } else { '_' }).take(40).collect();
    let digest = sha256_hex(table.as_bytes());
    format!("{short}~{}", digest.get(..8).unwrap_or_default())
}

/// The statement that would do to the restored table what was done to the failed one; `None` where there is none.
fn statement(pair: &Pair, fate: Fate, names: &[String], row: &[Option<String>]) -> Option<String> {
    let table = pair.restored.as_ref().or(pair.failed.as_ref())?;
    let value = |name: &str| {
        let at = names.iter().position(|known| known == name)?;
        Some(sql(row.get(at)?.as_deref()))
    };
    let writable = |name: &&String| table.column(name).is_some_and(|column| !column.generated);
    let equal = |name: &String| Some(format!("{} = {}", ident(name), value(name)?));
    let key = pair.key();
    let at = table.at.sql();
    let columns: Vec<&String> = names.iter().filter(writable).collect();
    match fate {
        Fate::Carried => None,
        Fate::New | Fate::Refused => {
            let names: Vec<String> = columns.iter().map(|name| ident(name)).collect();
            let values: Option<Vec<String>> = columns.iter().map(|name| value(name)).collect();
            let (names, values) = (names.join(", "), values?.join(", "));
            Some(format!(
                "INSERT INTO {at} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values});\n"
            ))
        }
        Fate::Changed => {
            let key = key?;
            let others = columns.into_iter().filter(|name| !key.contains(name));
            let sets: Option<Vec<String>> = others.map(equal).collect();
            let place: Option<Vec<String>> = key.iter().map(equal).collect();
            let sets = sets.filter(|sets| !sets.is_empty())?;
            Some(format!(
                "UPDATE {at} SET {} WHERE {};\n",
                sets.join(", "),
                place?.join(" AND ")
            ))
        }
        Fate::Gone => {
            let place: Option<Vec<String>> = key?.iter().map(equal).collect();
            Some(format!("DELETE FROM {at} WHERE {};\n", place?.join(" AND ")))
        }
    }
}
