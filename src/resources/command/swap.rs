//! The exchange of one state for another by a program, what was there kept: by the program where it can, else by guard, which
//! has it copied before.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copy::{fill, fresh, remove};
use super::program::{Program, is_broken};
use super::protocol::{Ability, Act, Asked, Exchanged, Nothing, Staged, lines};
use crate::error::{ResourceError, Result};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk;

/// The file in which the end of an exchange is written down.
const DONE: &str = "done.json";
/// The file in which it is written down what was kept before it.
const KEPT: &str = "kept.json";

/// What a state is put back from.
pub(super) struct Source<'a> {
    /// The directory of the copy's files.
    pub(super) directory: &'a Path,
    /// What `capture` said in `details`.
    pub(super) details: &'a Value,
}

impl Source<'_> {
    fn asked(&self) -> Asked<'_> {
        Asked {
            directory: Some(self.directory),
            details: Some(self.details),
            ..Asked::default()
        }
    }
}

/// What was staged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Staging {
    /// The private directory that the program was given.
    pub(super) place: PathBuf,
    /// Its own words.
    pub(super) staged: Value,
    /// Whether its `exchange` keeps what was there by itself.
    pub(super) keeps: bool,
    /// Whether it has `discard`.
    pub(super) discards: bool,
    /// The token that it was staged with.
    pub(super) token: String,
}

/// How what was displaced can be brought back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
enum Aside {
    /// By the program's own `undo`.
    Program { displaced: Value },
    /// From a copy that guard has had taken.
    Guard { directory: PathBuf, details: Value },
    /// Not at all.
    Nobody { why: String },
}

/// An exchange that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Done {
    aside: Aside,
    /// Where what was there is, for people.
    kept: Vec<String>,
    /// What it was like; `None`: it could not be read.
    was: Option<Fingerprint>,
    /// The directory of this exchange.
    place: PathBuf,
    /// The directory that the program was given to stage in.
    staging: Option<PathBuf>,
}

/// Stages a copy beside what is live. A second call of the same token begins anew.
///
/// # Errors
/// The program failed.
pub(super) fn stage(program: &Program, from: &Source<'_>, token: &str, cx: &Context) -> Result<Staging> {
    let description = program.describe(token, cx)?;
    let place = cx.scratch.join(format!("{}-stage-{token}", program.name));
    fresh(&place)?;
    let asked = Asked {
        staging: Some(&place),
        ..from.asked()
    };
    let staged: Staged = program.ask(Act::Stage, &asked, token, cx)?;
    Ok(Staging {
        place,
        staged: staged.staged,
        keeps: description.can(Ability::Undo),
        discards: description.can(Ability::Discard),
        token: token.to_owned(),
    })
}

/// Exchanges what is live for what was staged, and keeps what was there. A second call of the same token goes on where the
/// first was cut off, and tells the same.
///
/// # Errors
/// The program failed, or has done nothing.
pub(super) fn exchange(
    program: &Program,
    from: &Source<'_>,
    staging: &Staging,
    meant: Option<&Fingerprint>,
    cx: &Context,
) -> Result<Displaced> {
    let token = &staging.token;
    let place = cx.scratch.join(format!("{}-swap-{token}", program.name));
    disk::create_private_dir(&place)?;
    let kept = kept_before(program, staging, &place, cx)?;
    let asked = Asked {
        staging: Some(&staging.place),
        staged: Some(&staging.staged),
        ..from.asked()
    };
    let answer: Exchanged = program.ask(Act::Exchange, &asked, token, cx)?;
    refuse_nothing_done(program, Act::Exchange, (kept.was.as_ref(), meant), (&place, token), cx)?;
    finish(program, answer, kept, &place, Some(&staging.place), cx)
}

/// What is known before an exchange begins, written down so that a second try does not take what the first has put in for
/// what was there.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Before {
    /// `None`: the program keeps it.
    aside: Option<Aside>,
    was: Option<Fingerprint>,
}

fn kept_before(program: &Program, staging: &Staging, place: &Path, cx: &Context) -> Result<Before> {
    // An exchange that was cut off may have stopped what would answer.
    if let Some(before) = written::<Before>(&place.join(KEPT))? {
        return Ok(before);
    }
    let was = program.fingerprint(&staging.token, cx).ok();
    let aside = if staging.keeps {
        None
    } else {
        Some(keep(program, &place.join("kept"), &staging.token, cx)?)
    };
    let before = Before { aside, was };
    write(&place.join(KEPT), &before)?;
    Ok(before)
}

/// Has what is live copied, for an undo. What cannot be copied is replaced all the same, and that is told: a way back must not
/// fail for the failed state being broken.
fn keep(program: &Program, directory: &Path, token: &str, cx: &Context) -> Result<Aside> {
    match fill(program, directory, token, cx) {
        Ok((captured, _)) => Ok(Aside::Guard {
            directory: directory.to_owned(),
            details: captured.details,
        }),
        Err(error) if is_broken(&error) && !cx.stop.is_asked() => {
            let why = cx.redaction.clean(&text::chain(&error));
            let what = format!(
                "{}: what is live could not be copied before it is replaced, and cannot be brought back: {why}",
                program.name
            );
            cx.note(Level::Warn, what);
            Ok(Aside::Nobody { why })
        }
        Err(error) => Err(error),
    }
}

/// Writes down an exchange, unless an earlier call did.
fn finish(
    program: &Program,
    answer: Exchanged,
    before: Before,
    place: &Path,
    staging: Option<&Path>,
    cx: &Context,
) -> Result<Displaced> {
    if let Some(done) = written::<Done>(&place.join(DONE))? {
        return displaced(program, &done);
    }
    let aside = before.aside.unwrap_or(Aside::Program {
        displaced: answer.displaced,
    });
    let mut kept = lines(&answer.kept, cx);
    match &aside {
        Aside::Guard { directory, .. } => kept.push(format!("directory {}", directory.display())),
        Aside::Nobody { why } => kept.push(format!("nothing of it: {why}")),
        Aside::Program { .. } => {}
    }
    let done = Done {
        aside,
        kept,
        was: before.was,
        place: place.to_owned(),
        staging: staging.map(Path::to_owned),
    };
    write(&place.join(DONE), &done)?;
    displaced(program, &done)
}

/// Refuses an act that ended with 0 and left everything as it was, where it was to become another.
fn refuse_nothing_done(
    program: &Program,
    act: Act,
    (was, meant): (Option<&Fingerprint>, Option<&Fingerprint>),
    (place, token): (&Path, &str),
    cx: &Context,
) -> Result<()> {
    let Some(was) = was.filter(|was| Some(*was) != meant) else {
        return Ok(());
    };
    if disk::exists(&place.join(DONE))? {
        return Ok(());
    }
    // What does not answer yet is compared by whoever asked for the exchange.
    if program.fingerprint(token, cx).ok().as_ref() != Some(was) {
        return Ok(());
    }
    Err(ResourceError::new(format!(
        "{} ended with 0 and changed nothing: every part of `fingerprint` is as before",
        program.shown(act)
    ))
    .with_hint(format!(
        "`guard check --resource {}` tries all of its acts",
        program.name
    )))
}

fn displaced(program: &Program, done: &Done) -> Result<Displaced> {
    let details = serde_json::to_value(done)
        .map_err(|error| ResourceError::because("could not write down what was displaced", error))?;
    Ok(Displaced {
        resource: program.name.clone(),
        details,
        kept_as: done.kept.clone(),
    })
}

fn read(displaced: &Displaced) -> Result<Done> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was displaced", error))
}

/// Brings back what an exchange has displaced, and keeps what is there now in turn.
///
/// # Errors
/// Nothing was kept, or the program failed or has done nothing.
pub(super) fn undo(program: &Program, of: &Displaced, cx: &Context) -> Result<Displaced> {
    let done = read(of)?;
    let digest = disk::sha256_hex(of.details.to_string().as_bytes());
    let token = format!("{}_u{}", cx.token(), digest.get(..8).unwrap_or_default());
    match &done.aside {
        Aside::Nobody { why } => Err(ResourceError::new(format!(
            "nothing was kept of what {} was before it was put back: {why}",
            program.name
        ))),
        Aside::Guard { directory, details } => {
            if !disk::exists(directory)? {
                let what = format!("what was kept of {} is gone: {}", program.name, directory.display());
                return Err(ResourceError::new(what));
            }
            let from = Source { directory, details };
            let mut staging = stage(program, &from, &token, cx)?;
            // What guard keeps it goes on keeping, whatever the program has learned meanwhile.
            staging.keeps = false;
            exchange(program, &from, &staging, done.was.as_ref(), cx)
        }
        Aside::Program { displaced } => {
            let place = cx.scratch.join(format!("{}-swap-{token}", program.name));
            disk::create_private_dir(&place)?;
            let before = if let Some(before) = written::<Before>(&place.join(KEPT))? {
                before
            } else {
                let before = Before {
                    aside: None,
                    was: program.fingerprint(&token, cx).ok(),
                };
                write(&place.join(KEPT), &before)?;
                before
            };
            let asked = Asked {
                displaced: Some(displaced),
                ..Asked::default()
            };
            let answer: Exchanged = program.ask(Act::Undo, &asked, &token, cx)?;
            refuse_nothing_done(
                program,
                Act::Undo,
                (before.was.as_ref(), done.was.as_ref()),
                (&place, &token),
                cx,
            )?;
            finish(program, answer, before, &place, None, cx)
        }
    }
}

/// Removes what an exchange has kept.
///
/// # Errors
/// It is there and cannot be removed.
pub(super) fn forget(program: &Program, of: &Displaced, cx: &Context) -> Result<()> {
    let done = read(of)?;
    if let Aside::Program { displaced } = &done.aside {
        let asked = Asked {
            displaced: Some(displaced),
            ..Asked::default()
        };
        let _: Nothing = program.ask(Act::Forget, &asked, &cx.token(), cx)?;
    }
    for place in std::iter::once(&done.place).chain(&done.staging) {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = ["swap", "stage"]
            .iter()
            .any(|what| name.starts_with(&format!("{}-{what}-", program.name)));
        if !is_ours {
            return Err(ResourceError::new(format!(
                "{} is no directory of an exchange",
                place.display()
            )));
        }
        remove(place)?;
    }
    Ok(())
}

/// Removes what was staged and not exchanged.
///
/// # Errors
/// It is there and cannot be removed.
pub(super) fn discard(program: &Program, staging: &Staging, cx: &Context) -> Result<()> {
    if staging.discards {
        let asked = Asked {
            staging: Some(&staging.place),
            staged: Some(&staging.staged),
            ..Asked::default()
        };
        let _: Nothing = program.ask(Act::Discard, &asked, &staging.token, cx)?;
    }
    remove(&staging.place)
}

/// Bytes that guard itself has put aside; `None`: the program keeps it.
///
/// # Errors
/// It cannot be read.
pub(super) fn weigh(of: &Displaced) -> Result<Option<u64>> {
    Ok(match read(of)?.aside {
        Aside::Guard { directory, .. } => Some(disk::weight(&directory)?),
        Aside::Program { .. } => None,
        Aside::Nobody { .. } => Some(0),
    })
}

fn written<T: for<'d> Deserialize<'d>>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(None);
    };
    let unread = |error| ResourceError::because(format!("could not read {}", path.display()), error);
    serde_json::from_slice(&bytes).map(Some).map_err(unread)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| ResourceError::because("could not write down the exchange", error))?;
    Ok(disk::write_whole(path, &bytes)?)
}
