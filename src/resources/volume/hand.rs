//! Who moves entries in a volume: guard itself, where it sees the directory, or guard in a container beside the volume.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::archive::Writer;
use super::chunks::{self, Form};
use super::inside::{self, Look};
use super::place::{Place, Reach};
use super::record::Details;
use super::swap::{Aside, Own, Side};
use super::unpack;
use crate::model::artifact::Artifact;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::disk;
use crate::system::docker::{Inside, explained};

/// What can move entries in a volume.
pub(super) enum Hand<'c> {
    /// guard itself, in this directory.
    Here(PathBuf),
    /// guard in a container beside this volume.
    There(String, Inside, &'c Context),
}

impl<'c> Hand<'c> {
    pub(super) fn of(place: &Place, cx: &'c Context) -> Result<Self> {
        match &place.reach {
            Reach::Directory(path) => Ok(Self::Here(path.clone())),
            Reach::Engine(volume) => Self::in_volume(volume, cx),
        }
    }

    pub(super) fn in_volume(volume: &str, cx: &'c Context) -> Result<Self> {
        let inside = Inside::of_volume(cx, volume).map_err(|error| {
            ResourceError::because(format!("could not reach into the volume {volume}"), error)
                .with_hint("run guard on the engine's own host, or with an engine of the same kind of machine")
        })?;
        Ok(Self::There(volume.to_owned(), inside, cx))
    }

    /// What lies aside in it.
    pub(super) fn look(&self) -> Result<Look> {
        match self {
            Self::Here(live) => inside::look(live),
            Self::There(volume, inside, cx) => {
                let output = cx
                    .output(&inside.call(&["look"], false, cx))
                    .map_err(|error| failed(volume, error))?;
                understood(&output.stdout)
            }
        }
    }

    /// Stages the copy aside, whole, under this name.
    pub(super) fn stage(
        &self,
        name: &str,
        artifact: &Artifact,
        slot: &Slot,
        details: &Details,
        cx: &Context,
    ) -> Result<()> {
        match self {
            Self::Here(live) => unpack::stage(artifact, slot, details, &Aside::new(live, name), cx),
            Self::There(volume, inside, _) => {
                inside.clear(cx).map_err(|error| {
                    ResourceError::because(format!("could not end what still works in the volume {volume}"), error)
                })?;
                let staged = stage_there(volume, inside, name, (artifact, slot, details), cx);
                if staged.is_err() {
                    // The first failure is the one to tell; what is there is not sealed, and the next attempt removes it.
                    let _later = self.remove(name);
                }
                staged
            }
        }
    }

    /// Makes this side of what lies aside live.
    pub(super) fn swap(&self, name: &str, to: Side) -> Result<()> {
        match self {
            Self::Here(live) => Aside::new(live, name).swap(to),
            Self::There(..) => self.act(&["swap", name, to.word()]),
        }
    }

    /// Removes what lies aside.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Here(live) => Aside::new(live, name).remove(),
            Self::There(..) => self.act(&["remove", name]),
        }
    }

    /// Bytes that what lies aside takes; `None` where only the engine sees it.
    pub(super) fn weigh(&self, name: &str) -> Result<Option<u64>> {
        match self {
            Self::Here(live) => Ok(Some(disk::weight(&Aside::new(live, name).entries())?)),
            Self::There(..) => Ok(None),
        }
    }

    /// Where displaced entries lie, for people.
    pub(super) fn shown(&self, name: &str) -> String {
        match self {
            Self::Here(live) => format!("directory {}", Aside::new(live, name).entries().display()),
            Self::There(volume, ..) => {
                let entries = Aside::new(Path::new(""), name).entries();
                format!("directory {} in the volume {volume}", entries.display())
            }
        }
    }

    /// An act that changes something in the volume of a container.
    fn act(&self, words: &[&str]) -> Result<()> {
        let Self::There(volume, inside, cx) = self else {
            return Ok(());
        };
        inside.clear(cx).map_err(|error| {
            ResourceError::because(format!("could not end what still works in the volume {volume}"), error)
        })?;
        cx.output(&inside.call(words, true, cx))
            .map(drop)
            .map_err(|error| failed(volume, error))
    }
}

fn failed(volume: &str, error: crate::system::processes::CallError) -> ResourceError {
    ResourceError::because(format!("could not act inside of the volume {volume}"), explained(error))
}

fn understood<T: for<'de> serde::Deserialize<'de>>(answer: &[u8]) -> Result<T> {
    let unclear = |error| ResourceError::because("could not understand what guard said inside of a volume", error);
    let mut value: Value = serde_json::from_slice(answer).map_err(unclear)?;
    if value.get("version").and_then(Value::as_str) != Some(env!("CARGO_PKG_VERSION")) {
        return Err(ResourceError::new(
            "the program `guard` on PATH is of another version than this guard",
        ));
    }
    serde_json::from_value(value.get_mut("told").map(Value::take).unwrap_or_default()).map_err(unclear)
}

/// The digest by which a copy is known to what was staged from it.
///
/// # Errors
/// The manifest lists no archive and no index.
pub(super) fn mark<'a>(artifact: &'a Artifact, details: &Details) -> Result<&'a str> {
    match details.form {
        Form::Archive => Ok(&unpack::listed(artifact)?.sha256),
        Form::Chunks => chunks::mark(artifact),
    }
}

/// Reads every entry of a copy, in whatever form it is.
fn read(artifact: &Artifact, slot: &Slot, details: &Details, take: &mut chunks::Take<'_>) -> Result<()> {
    match details.form {
        Form::Archive => unpack::read(artifact, slot, details, take),
        Form::Chunks => chunks::read_entries(artifact, slot, details.entries, take),
    }
}

/// Hands the copy's entries to guard in the container, and seals what it made of them when the whole copy was sound.
fn stage_there(
    volume: &str,
    inside: &Inside,
    name: &str,
    (artifact, slot, details): (&Artifact, &Slot, &Details),
    cx: &Context,
) -> Result<()> {
    let (mut unsound, mut is_gone) = (None, false);
    let mut done = 0;
    let mut feed = |pipe: &mut dyn io::Write| {
        let mut writer = Writer::new(pipe);
        let read = read(artifact, slot, details, &mut |node, data| {
            if cx.stop.is_asked() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
            }
            writer
                .append(&node, data)
                .inspect_err(|error| is_gone |= error.kind() == io::ErrorKind::BrokenPipe)?;
            done += node.size;
            cx.progress(
                &format!("stage {}", artifact.resource),
                done,
                Some(details.content_bytes),
            );
            Ok(())
        });
        match read {
            Ok(()) => writer.finish().map(drop),
            // guard in the container gave up first, and says why.
            Err(_) if is_gone => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => {
                unsound = Some(error);
                Err(io::Error::other("the copy could not be handed on"))
            }
        }
    };
    let answer = cx.push(&inside.call(&["stage", name], true, cx), &mut feed);
    let answer = match (unsound, answer) {
        (Some(error), _) => return Err(error),
        (None, answer) => answer.map_err(|error| failed(volume, error))?,
    };
    if is_gone {
        return Err(ResourceError::new(format!(
            "guard in the volume {volume} did not read the whole copy"
        )));
    }
    let own: Own = understood(&answer.stdout)?;
    let own = serde_json::to_string(&own)
        .map_err(|error| ResourceError::because("could not tell the volume's own entry", error))?;
    let copy = mark(artifact, details)?;
    let sealed = cx.output(&inside.call(&["seal", name, copy, &own], true, cx));
    sealed.map(drop).map_err(|error| failed(volume, error))
}
