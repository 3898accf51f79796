//! A plain SQL dump that somebody made by hand: loaded into a side database, looked at, and copied from there as guard copies.
//!
//! The script is code. What it may do in the database is the server's to decide; `psql` itself is forbidden to obey it: a
//! script can name programs of the host in lines that begin with a backslash.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::capture::copy;
use super::catalog::look;
use super::database::Postgres;
use super::reach::Reach;
use super::script::{self, Reading};
use super::staging::drop_own;
use super::trouble::{explained, is_no_database};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::side_names::Aside;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::foreign::{Material, Part};
use guard_system::context::Context;
use guard_system::disk::{At, sha256_hex};

pub(super) fn adopt(of: &Postgres, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let Part::Sql { path, gzip } = &material.part else {
        return Err(ResourceError::new(format!("{} takes only a dump in SQL", of.name)));
    };
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let live = look(&reach, &reach.database, cx).map_err(|error| {
        if is_no_database(&error) {
            error.with_hint("make an empty one: its owner, locale and rights are not in a plain dump")
        } else {
            error
        }
    })?;
    let side = Aside::Side.name(&reach.database, &cx.token());
    drop_own(&reach, maintenance, &side, Aside::Side, cx)?;
    reach.run(maintenance, &live.properties.creation(&side), cx)?;
    let mut beside = reach.clone();
    beside.database.clone_from(&side);
    let copied = load(&beside, &reach.database, path, *gzip, cx)
        .and_then(|()| reach.run(maintenance, &live.properties.application(&side), cx))
        .and_then(|_| copy(of, &beside, &reach.database, Some(material.taken_at), slot, cx));
    let dropped = drop_own(&reach, maintenance, &side, Aside::Side, &cx.unstoppable());
    let mut artifact = match (copied, dropped) {
        (Ok(artifact), Ok(())) => artifact,
        (Ok(_), Err(error)) => return Err(error),
        (Err(error), dropped) => {
            if let Err(also) = dropped {
                cx.note(Level::Warn, format!("the side database {side} is still there: {also}"));
            }
            return Err(error);
        }
    };
    artifact.not_kept.push(
        "the database's own owner, locale, rights and settings, which a plain dump does not hold: those of the live one are taken"
            .to_owned(),
    );
    Ok(artifact)
}

/// Loads a script in one transaction that ends at its first error.
fn load(side: &Reach, live: &str, path: &Path, gzip: bool, cx: &Context) -> Result<()> {
    let file = File::open(path).at("open", path)?;
    let total = file.metadata().at("look at", path)?.len();
    let connection = side.connection(&side.database);
    let flags = [
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "--no-password",
        "--single-transaction",
    ];
    let args: Vec<&str> = flags
        .into_iter()
        .chain(["-o", "/dev/null", "-f", "-", "-d", connection.as_str()])
        .collect();
    let call = side.program("psql", true, &args);
    let word = secret_word()?;
    let reading = reading(side, live, path, gzip, cx)?;
    let what = format!("load {}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut done = 0;
    let counted = Counted {
        input: file,
        tell: |count| {
            done += count;
            cx.progress(&what, done, Some(total));
        },
    };
    let mut script = unpacked(counted, gzip);
    let mut feed = |writer: &mut dyn Write| {
        writer.write_all(format!("\\restrict {word}\n").as_bytes())?;
        script::pour(&mut *script, &reading, writer)
    };
    let pushed = cx.push(&call, &mut feed);
    pushed.map_err(|error| refused(explained(error, &side.database), path))?;
    side.run(&side.database, "ANALYZE;", cx).map(|_| ())
}

/// A file's text.
fn unpacked<'a>(file: impl Read + Send + 'a, gzip: bool) -> Box<dyn BufRead + Send + 'a> {
    let file = BufReader::with_capacity(256 * 1024, file);
    if gzip {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    }
}

/// What a script is read with: the part that is this database's, and the settings that the server knows.
fn reading(side: &Reach, live: &str, path: &Path, gzip: bool, cx: &Context) -> Result<Reading> {
    let file = File::open(path).at("open", path)?;
    let found = script::databases(&mut *unpacked(file, gzip)).at("read", path)?;
    let database = script::choose(&found, live).map_err(|why| {
        ResourceError::bad_copy(format!("{} was not loaded: {why}", path.display()))
            .with_hint("set `database` to the one that is meant, or take it out of the file by hand")
    })?;
    let settings: Vec<String> = side.rows(&side.database, "SELECT to_jsonb(lower(name)) FROM pg_settings;", cx)?;
    let mut settings: BTreeSet<String> = settings.into_iter().collect();
    // Those that no view lists, and which every dump begins with.
    settings.extend(["role", "session", "local", "transaction", "session_authorization"].map(str::to_owned));
    Ok(Reading { database, settings })
}

/// What psql said of a script, in words that help.
fn refused(error: ResourceError, path: &Path) -> ResourceError {
    let said = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    let shown = path.display();
    if said.contains("invalid command \\restrict") {
        return ResourceError {
            source: error.source,
            ..ResourceError::new(format!(
                "{shown} was not loaded: this psql cannot be kept from obeying the script"
            ))
        }
        .with_hint("update the client programs: 13.22, 14.19, 15.14, 16.10, 17.6 and later can");
    }
    if said.contains("backslash commands are restricted") {
        return ResourceError {
            copy_is_bad: true,
            source: error.source,
            ..ResourceError::new(format!(
                "{shown} was not loaded: it tells psql to do something, as a dump does that chooses its own database"
            ))
        }
        .with_hint("dump one database without --create, or load this one by hand");
    }
    ResourceError {
        copy_is_bad: true,
        what: format!("{shown} does not load: {}", error.what),
        ..error
    }
}

/// A word that nobody can guess.
fn secret_word() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at("read", source)?;
    Ok(sha256_hex(&bytes))
}

/// A reader that tells how much was read.
struct Counted<F: FnMut(u64)> {
    input: File,
    tell: F,
}

impl<F: FnMut(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        (self.tell)(count as u64);
        Ok(count)
    }
}
