//! The restore in place, for servers on which nobody may make or rename databases: everything that the user owns in the live
//! database is removed and made anew from the copy, in one transaction, after what is there was copied itself.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::agree::agree;
use super::archive::pour;
use super::capture::copy;
use super::carry::before::numbers_go_on_from;
use super::catalog::look;
use super::database::Postgres;
use super::details::Details;
use super::reach::Reach;
use super::removal::{REMOVAL, taken};
use super::staging::differences;
use super::trouble::explained;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Prepared, Work};
use guard_model::event::Level;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_system::context::Context;
use guard_system::disk::{self, At, Staged};

/// What was there before a restore in place: a copy of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The directory that holds it as a backup would.
    in_place: PathBuf,
    copy: Artifact,
}

/// Reads `in_place`, and says which other settings it excludes.
pub(super) fn wish(section: &mut Section<'_>) -> bool {
    let wish = section.flag("in_place").unwrap_or_default();
    for key in ["service", "carry_over", "standby", "proof", "proof_interval"] {
        if wish && section.has(key) {
            let why = "cannot stand beside `in_place`: nothing is made beside the live database then";
            section.problem(key, why, None);
        }
    }
    wish
}

/// Selects the event triggers that fire at what a restore in place does, as they are written in a command.
const FIRING: &str = "SELECT to_jsonb(quote_ident(evtname)) FROM pg_event_trigger t WHERE evtenabled IN ('O', 'A') AND evtevent <> 'login'
    AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid AND m.deptype = 'e') ORDER BY evtname;";

/// Whether a displaced state is one of this way.
pub(super) fn is(displaced: &Displaced) -> bool {
    displaced.details.get("in_place").is_some()
}

/// What `guard check` asks where no database may be made.
pub(super) fn survey(reach: &Reach, cx: &Context, survey: &mut Survey) -> Result<()> {
    survey.fact("restored in place: as long as the load takes, and after a copy of what is there");
    for trigger in reach.rows::<String>(&reach.database, FIRING, cx)? {
        survey.refuse(
            format!("the event trigger {trigger} would fire at all that a restore in place removes and makes"),
            format!("`ALTER EVENT TRIGGER {trigger} DISABLE` before the deployment, or leave `in_place` out"),
        );
    }
    let script = "SELECT to_jsonb(format('%I', nspname)) FROM pg_namespace n
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT has_schema_privilege(oid, 'CREATE')
          AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid);";
    for schema in reach.rows::<String>(&reach.database, script, cx)? {
        survey.refuse(
            format!("the user may make nothing in the schema {schema}, so what is in it could not be put back"),
            format!("GRANT CREATE, USAGE ON SCHEMA {schema} TO the user"),
        );
    }
    Ok(())
}

pub(super) fn prepare(
    of: &Postgres,
    artifact: &Artifact,
    slot: &Slot,
    data: DataRestore,
    cx: &Context,
) -> Result<Prepared> {
    let details = Details::of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let now = look(&reach, &reach.database, cx)?.fingerprint();
    let work = rows::work(data, &artifact.fingerprint, &now);
    let mut price = Vec::new();
    if work != Work::Unchanged {
        price = rows::price(&artifact.fingerprint, &now, details.taken_at, cx.clock.now());
    }
    if work.is_needed() {
        agree(&reach, &reach.database, &details, cx)?;
        slot.compare(artifact)?;
        drop(script(&reach, artifact, slot, cx)?);
        price.push("locks every table for as long as the load takes: `in_place`".to_owned());
    }
    Ok(Prepared {
        resource: of.name.clone(),
        work,
        details: serde_json::json!({}),
        price,
    })
}

pub(super) fn restore(
    of: &Postgres,
    prepared: &Prepared,
    artifact: &Artifact,
    slot: &Slot,
    cx: &Context,
) -> Result<Displaced> {
    if !prepared.work.is_needed() {
        return Ok(displaced(of, None));
    }
    bring(of, artifact, slot, cx)
}

pub(super) fn undo(of: &Postgres, before: &Displaced, cx: &Context) -> Result<Displaced> {
    let kept = read(before)?;
    bring(of, &kept.copy, &Slot::new(&kept.in_place, &of.name), cx)
}

pub(super) fn forget(displaced: &Displaced) -> Result<()> {
    let directory = read(displaced)?.in_place;
    let is_ours = directory
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(".in-place-"));
    if is_ours && disk::exists(&directory)? {
        disk::remove_tree(&directory, &directory.with_file_name("trash"))?;
    }
    Ok(())
}

fn read(displaced: &Displaced) -> Result<Kept> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

fn displaced(of: &Postgres, kept: Option<Kept>) -> Displaced {
    Displaced {
        resource: of.name.clone(),
        kept_as: kept
            .iter()
            .map(|kept| format!("dump in {}", kept.in_place.display()))
            .collect(),
        details: kept.map_or(serde_json::Value::Null, |kept| serde_json::json!(kept)),
    }
}

/// Makes the live database what a copy says, once, however often it is called.
fn bring(of: &Postgres, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
    // What has begun is ended: a signal is obeyed after it.
    let cx = &cx.unstoppable();
    let reach = Reach::open(of, cx)?;
    let (mut number, mut last) = (1, None);
    while let Some(kept) = written(&place(of, number, cx))? {
        last = Some(kept);
        number += 1;
    }
    let now = look(&reach, &reach.database, cx)?.fingerprint();
    // Behind an earlier try the sequences are further than the copy's.
    let is_there = last.is_some() && differences(&artifact.fingerprint, &now).is_empty();
    if is_there || now == artifact.fingerprint {
        if let Some(kept) = &last {
            numbers_go_on_from(of, &reach, &kept.copy.fingerprint, cx);
        }
        return Ok(displaced(of, last));
    }
    let kept = match last {
        Some(kept) if kept.copy.fingerprint == now => kept,
        _ => keep(of, &reach, &place(of, number, cx), cx)?,
    };
    load(&reach, artifact, slot, cx)?;
    numbers_go_on_from(of, &reach, &kept.copy.fingerprint, cx);
    let now = look(&reach, &reach.database, cx)?;
    let properties = &Details::of(artifact)?.properties;
    if now.properties.digest() != properties.digest() {
        reach.run(&reach.database, &properties.application(&reach.database), cx)?;
    }
    reach.run(&reach.database, "ANALYZE;", cx)?;
    Ok(displaced(of, Some(kept)))
}

/// Where the copy of what is there is kept.
fn place(of: &Postgres, number: u32, cx: &Context) -> PathBuf {
    cx.scratch
        .join(format!(".in-place-{}-{}-{number}", of.name, cx.token()))
}

fn written(place: &Path) -> Result<Option<Kept>> {
    let Some(bytes) = disk::read_optional(&place.join("kept.json"))? else {
        return Ok(None);
    };
    let kept = serde_json::from_slice(&bytes)
        .map_err(|error| ResourceError::because("could not read what is known of the safety dump", error))?;
    Ok(Some(kept))
}

/// Copies what is there, before any of it is removed.
fn keep(of: &Postgres, reach: &Reach, place: &Path, cx: &Context) -> Result<Kept> {
    cx.note(
        Level::Info,
        format!("{} is dumped as it is, before it is restored in place", reach.database),
    );
    disk::create_private_dir(place)?;
    let copy = copy(of, reach, &reach.database, None, &Slot::new(place, &of.name), cx)?;
    let kept = Kept {
        in_place: place.to_owned(),
        copy,
    };
    let bytes = serde_json::to_vec(&kept)
        .map_err(|error| ResourceError::because("could not describe the safety dump", error))?;
    disk::write_whole(&place.join("kept.json"), &bytes)?;
    Ok(kept)
}

/// The archive as a script, compressed: it is run in the same transaction as the removal, which `pg_restore` itself cannot.
fn script(reach: &Reach, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<tempfile::TempDir> {
    let lost = || ResourceError::bad_copy("the manifest lists no dump");
    let entry = artifact.files.first().ok_or_else(lost)?;
    let path = slot.path_of(entry).ok_or_else(lost)?;
    // An archive of several jobs is a directory, and is read where it lies; any other as a stream.
    let directory = path.ends_with("toc.dat").then(|| path.parent()).flatten();
    let at: Vec<String> = directory.iter().map(|path| path.display().to_string()).collect();
    let what = format!("read {}", reach.database);
    let mut feed = |writer: &mut dyn Write| match directory {
        Some(_) => Ok(()),
        None => pour(&path, &entry.path, writer, &what, cx),
    };
    let call = |args: &[&str]| {
        let args: Vec<&str> = args.iter().copied().chain(at.iter().map(String::as_str)).collect();
        reach.program("pg_restore", true, &args)
    };
    let bad = |error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because("the dump cannot be read back", error)
    };
    let listed = cx.push(&call(&["-l"]), &mut feed).map_err(bad)?;
    let work = tempfile::Builder::new().prefix(".guard-").tempdir_in(&cx.scratch);
    let work = work.at("make a directory in", &cx.scratch)?;
    let chosen = work.path().join("list");
    disk::write_whole(&chosen, taken(&listed.text()).as_bytes())?;
    let mut staged = Staged::beside(&work.path().join("script"))?;
    let packing = staged.path().to_owned();
    let mut encoder = zstd::Encoder::new(&mut staged, 1).at("compress", &packing)?;
    let shown = chosen.display().to_string();
    let mut sink = |bytes: &[u8]| encoder.write_all(bytes);
    cx.converse(
        &call(&["--single-transaction", "-f", "-", "-L", &shown]),
        &mut sink,
        &mut feed,
    )
    .map_err(bad)?;
    encoder.finish().at("compress", &packing)?;
    staged.replace(&work.path().join("script"))?;
    Ok(work)
}

/// Removes and loads in one transaction: whoever looks sees the one state or the other.
fn load(reach: &Reach, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    let (slot, artifact) = slot.thawed(artifact, &cx.scratch)?;
    slot.compare(&artifact)?;
    let work = script(reach, &artifact, &slot, cx)?;
    let path = work.path().join("script");
    let file = File::open(&path).at("open", &path)?;
    let begin = reach.script(&format!("BEGIN;\n{REMOVAL}"));
    let mut feed = |writer: &mut dyn Write| {
        writer.write_all(begin.as_bytes())?;
        // The script ends with the commit: without `--single-transaction` it would also commit around large objects.
        zstd::stream::copy_decode(&file, &mut *writer)
    };
    let pushed = cx.push(&reach.psql(&reach.database), &mut feed);
    let pushed = pushed.map_err(|error| explained(error, &reach.database));
    pushed.map(|_| ()).map_err(|error| ResourceError {
        what: format!(
            "{}; the transaction was taken back, and the database is as it was",
            error.what
        ),
        ..error
    })
}
