//! The files of a copy that a program makes: filled by it, listed and digested by guard, and only read from then on.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::{OwnFile, Program, kept_program};
use super::protocol::{Act, Asked, Captured, line, lines, print_of};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::{Artifact, FileEntry, SEALED};
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// The directory of the program's files, in the resource's own.
const FILES: &str = "copy";
/// The program itself, beside them.
const PROGRAM: &str = "program";
/// How often a copy is taken of what changes while it is copied.
const TRIES: usize = 3;

/// What guard keeps of a copy beside its files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Details {
    /// The program's own words.
    #[serde(default)]
    pub(super) details: Value,
    /// The file of the project that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) program: Option<OwnFile>,
}

impl Details {
    pub(super) fn of(artifact: &Artifact) -> Result<Self> {
        serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..ResourceError::because("could not read what the manifest says of the copy", error)
        })
    }
}

/// A directory that is there and empty, whatever an earlier try left in it.
pub(super) fn fresh(place: &Path) -> Result<()> {
    let trash = disk::sibling(place, ".guard-trash");
    disk::remove_tree(place, &trash)?;
    disk::remove_empty(&trash)?;
    Ok(disk::create_private_dir(place)?)
}

/// Removes a directory of ours; one that is gone is fine.
pub(super) fn remove(place: &Path) -> Result<()> {
    if !disk::exists(place)? {
        return Ok(());
    }
    let trash = disk::sibling(place, ".guard-trash");
    disk::remove_tree(place, &trash)?;
    Ok(disk::remove_empty(&trash)?)
}

/// Has a directory filled, and looks whether what it holds can be kept.
///
/// # Errors
/// The program failed, wrote no file, or something that is no file.
pub(super) fn fill(program: &Program, place: &Path, token: &str, cx: &Context) -> Result<(Captured, Vec<String>)> {
    fresh(place)?;
    let asked = Asked {
        directory: Some(place),
        ..Asked::default()
    };
    let captured: Captured = program.ask(Act::Capture, &asked, token, cx)?;
    let names = names_in(program, place)?;
    if names.is_empty() {
        return Err(ResourceError::new(format!(
            "{} ended with 0 and wrote no file into `directory`: there would be nothing to go back to",
            program.shown(Act::Capture)
        ))
        .with_hint("write at least one file there, as the name of what lies elsewhere"));
    }
    Ok((captured, names))
}

/// The files below a directory by their names from there, all synced.
fn names_in(program: &Program, place: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in walkdir::WalkDir::new(place).sort_by_file_name() {
        let entry = entry.map_err(|error| ResourceError::because("could not look at what was copied", error))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path();
        let refused = |why: &str| {
            let name = path.strip_prefix(place).unwrap_or(path).display();
            ResourceError::new(format!(
                "{} wrote {name:?} into `directory`, {why}",
                program.shown(Act::Capture),
                name = name.to_string()
            ))
            .with_hint("put such things into an archive, as `tar` makes one")
        };
        if !entry.file_type().is_file() {
            return Err(refused("which is no file"));
        }
        let name = path.strip_prefix(place).ok().and_then(Path::to_str);
        let name = name.ok_or_else(|| refused("a name that is no UTF-8"))?;
        if name.ends_with(SEALED) {
            return Err(refused("and such names are for what guard itself encrypts"));
        }
        File::open(path).and_then(|file| file.sync_all()).at("sync", path)?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Copies what is live into a slot.
///
/// # Errors
/// The program failed, or what it copies does not hold still.
pub(super) fn capture(program: &Program, slot: &Slot, kind: &str, cx: &Context) -> Result<Artifact> {
    let token = cx.token();
    // A copy that is to be encrypted is nowhere in the backup as it is, not even for a moment.
    let place = if slot.is_sealed() {
        cx.scratch.join(format!("{}-capture", program.name))
    } else {
        slot.directory().join(FILES)
    };
    let (captured, names, fingerprint) = still(program, &place, &token, cx)?;
    let mut files = Vec::new();
    for name in &names {
        files.push(listed(slot, &place, name)?);
    }
    if slot.is_sealed() {
        remove(&place)?;
    } else {
        disk::sync_directory(&place)?;
    }
    let own = program.own_file(cx)?;
    if let Some((_, bytes)) = &own {
        files.push(slot.keep_bytes(bytes, PROGRAM)?);
    }
    let details = serde_json::to_value(Details {
        details: captured.details,
        program: own.map(|(file, _)| file),
    });
    let tools = captured.tools.iter();
    Ok(Artifact {
        resource: program.name.clone(),
        project: None,
        kind: kind.to_owned(),
        fingerprint,
        files,
        details: details.map_err(|error| ResourceError::because("could not describe the copy", error))?,
        summary: line(&captured.summary, cx),
        not_kept: lines(&captured.not_kept, cx),
        tools: tools
            .map(|(name, version)| (line(name, cx), line(version, cx)))
            .collect(),
    })
}

/// A copy together with what it is like: told by the program, or looked at before and after, until both are the same.
fn still(program: &Program, place: &Path, token: &str, cx: &Context) -> Result<(Captured, Vec<String>, Fingerprint)> {
    let mut before = program.fingerprint(token, cx)?;
    let mut parts = Vec::new();
    for _ in 0..TRIES {
        let (captured, names) = fill(program, place, token, cx)?;
        if let Some(parts) = &captured.parts {
            let print = print_of(parts, cx);
            return Ok((captured, names, print));
        }
        let after = program.fingerprint(token, cx)?;
        parts = after.differences(&before);
        if parts.is_empty() {
            return Ok((captured, names, after));
        }
        before = after;
    }
    Err(ResourceError::new(format!(
        "{} was written to while it was copied, {TRIES} times, in: {}",
        program.name,
        parts.join(", ")
    ))
    .with_hint("let `capture` answer with `parts`, which say what the copy itself is like"))
}

fn listed(slot: &Slot, place: &Path, name: &str) -> Result<FileEntry> {
    let (path, within) = (place.join(name), format!("{FILES}/{name}"));
    if !slot.is_sealed() {
        let (bytes, sha256) = disk::sha256_file(&path)?;
        return Ok(slot.listed(&within, bytes, &sha256));
    }
    let mut file = File::open(&path).at("open", &path)?;
    let mut staged = slot.stage(&within)?;
    io::copy(&mut file, &mut staged).at("encrypt", &path)?;
    slot.keep(staged, &within)
}

/// The directory of a copy's files as the program filled it, and the program to be called: as it was when the copy was taken,
/// where a release has replaced it since.
///
/// # Errors
/// The copy is bad, or nothing here opens it.
pub(super) fn opened(program: &Program, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<(Program, PathBuf)> {
    let directory = slot.opened(artifact, &cx.scratch)?;
    let called = Details::of(artifact)?.program;
    let program = match called.filter(|file| !file.is_as_it_was(cx)) {
        None => program.clone(),
        Some(file) => {
            let path = kept_program(&program.name, &file.sha256, cx);
            if !disk::exists(&path)? {
                let lost = || ResourceError::bad_copy("the manifest lists no program");
                let entry = artifact.files.iter().find(|entry| {
                    let path = entry.path.strip_suffix(SEALED).unwrap_or(&entry.path);
                    path == format!("{}/{PROGRAM}", program.name)
                });
                let mut reader = slot.read(entry.ok_or_else(lost)?)?;
                let mut bytes = Vec::new();
                io::copy(&mut reader, &mut bytes).at("read", &path)?;
                reader.finish()?;
                let draft = disk::sibling(&path, ".part");
                disk::write_whole(&draft, &bytes)?;
                disk::set_mode(&draft, 0o700)?;
                disk::replace(&draft, &path)?;
            }
            program.by(&file, &path)
        }
    };
    Ok((program, directory.join(FILES)))
}

/// The program for a look at what is live, without the copy itself: as it was, where an act before has brought that out.
pub(super) fn as_known(program: &Program, artifact: &Artifact, cx: &Context) -> Result<Program> {
    let called = Details::of(artifact)?.program;
    let Some(file) = called.filter(|file| !file.is_as_it_was(cx)) else {
        return Ok(program.clone());
    };
    let path = kept_program(&program.name, &file.sha256, cx);
    Ok(if disk::exists(&path)? {
        program.by(&file, &path)
    } else {
        program.clone()
    })
}

/// What tells whether files were touched: number, length and time of each.
pub(super) fn look(directory: &Path) -> Vec<(PathBuf, u64, u64, i64, i64)> {
    let seen = |entry: walkdir::DirEntry| {
        let of = |found: Metadata| (found.ino(), found.len(), found.mtime(), found.mtime_nsec());
        let (number, bytes, seconds, nanos) = entry.metadata().ok().map(of)?;
        entry
            .file_type()
            .is_file()
            .then(|| (entry.path().to_owned(), number, bytes, seconds, nanos))
    };
    let found = walkdir::WalkDir::new(directory).sort_by_file_name().into_iter();
    found.flatten().filter_map(seen).collect()
}
