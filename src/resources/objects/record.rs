//! What a copy, a swap and a put-back object say of themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ResourceError, Result};
use crate::trees::details::Details as Packed;
use guard_model::artifact::{Artifact, CarriedOver};
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;

/// Below the prefix, what guard has put aside begins so.
pub(super) const ASIDE: &str = ".guard-";

/// What the manifest keeps of a copy.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Details {
    /// Where the objects were, for people.
    pub(super) place: String,
    /// The copy itself, in chunks.
    pub(super) saved: Packed,
}

/// Reads what the manifest says of a copy.
///
/// # Errors
/// It cannot be understood (`copy_is_bad`).
pub(super) fn details(artifact: &Artifact) -> Result<Details> {
    serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because(
            format!("could not understand what the manifest says of {}", artifact.resource),
            error,
        )
    })
}

/// Whose state is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Side {
    Before,
    After,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }

    /// Where the objects of this side lie while the other is live.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// Where something was staged or displaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spot {
    /// The prefix below which it lies, ending with `/`.
    pub(super) aside: String,
    /// The side that a swap makes live.
    pub(super) to: Side,
    /// What was kept of what is not in the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) carried: Option<CarriedOver>,
    /// How much a restore puts aside; `FILES` of `model::artifact`, in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) put_aside: Option<String>,
}

impl Spot {
    pub(super) fn of(details: &Value) -> Result<Self> {
        serde_json::from_value(details.clone())
            .map_err(|error| ResourceError::because("could not understand where objects were put aside", error))
    }

    pub(super) fn value(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|error| ResourceError::because("could not record where objects were put aside", error))
    }
}

/// Marks that objects got when this run put them back, where they differ from those that the copy knows: a storage may mark
/// the same content in several ways.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct PutBack {
    /// By key below the prefix: the mark now, and the copy's.
    marks: BTreeMap<String, (String, String)>,
}

impl PutBack {
    fn path(resource: &ResourceName, cx: &Context) -> Option<PathBuf> {
        cx.run
            .as_ref()
            .map(|_| cx.scratch.join(format!("{resource}-put-back.json")))
    }

    /// What this run has put back so far.
    pub(super) fn read(resource: &ResourceName, cx: &Context) -> Result<Self> {
        let text = match Self::path(resource, cx) {
            Some(path) => disk::read_text_optional(&path)?,
            None => None,
        };
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    pub(super) fn note(&mut self, key: &str, now: &str, meant: &str) {
        self.marks.insert(key.to_owned(), (now.to_owned(), meant.to_owned()));
    }

    pub(super) fn write(&self, resource: &ResourceName, cx: &Context) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|error| ResourceError::because("could not record what was put back", error))?;
        match Self::path(resource, cx) {
            Some(path) => Ok(disk::write_whole(&path, &text)?),
            None => Ok(()),
        }
    }

    /// The mark by which a copy would know this one.
    pub(super) fn meant<'m>(&'m self, key: &str, now: &'m str) -> &'m str {
        match self.marks.get(key) {
            Some((known, meant)) if known == now => meant,
            _ => now,
        }
    }
}
