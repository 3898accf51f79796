//! What a copy, a staged tree and a displaced one say of themselves in the backup and in the journal.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::remade::Remade;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::trees::chunks::form::Form;
use crate::trees::exchange_record::Side;
use crate::trees::made_volume::Made;
use crate::trees::pin::{Link, Pin};
use crate::trees::put_aside::Home;
use guard_model::artifact::CarriedOver;
use guard_system::context::Context;

/// Where something was staged or displaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spot {
    /// The live directory, escaped; empty where the volume is reached through the engine.
    pub(crate) live: String,
    /// The volume that is reached through the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) volume: Option<String>,
    /// The name of the directory aside, which guards before made in the live one.
    pub(crate) aside: String,
    /// Where it is, and which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) home: Option<Home>,
    /// The side that a swap makes live.
    pub(crate) to: Side,
    /// Whether whole top-level entries are exchanged, or single ones.
    #[serde(default)]
    pub(crate) form: Form,
    /// What is known of a live directory that was not there, and is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) anew: Option<Pin>,
    /// Links that led elsewhere than when it was copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
    /// What was kept of what is not in the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) carried: Option<CarriedOver>,
    /// How much a restore put aside; `FILES` of `model::artifact`, in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) put_aside: Option<String>,
    /// The volume that was made otherwise, and is made again as it was. Where nothing was staged beside, `aside` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remade: Option<Remade>,
}

impl Spot {
    /// Where it is, aside in this directory.
    pub(crate) fn at(access: &Access<'_>, home: &Home, to: Side) -> Self {
        let (live, volume) = match access {
            Access::Here(live) => (escaped(live.shown().as_os_str().as_bytes()), None),
            Access::There(remote) => (String::new(), Some(remote.volume.clone())),
        };
        Self {
            live,
            volume,
            aside: home.name().to_owned(),
            home: Some(home.clone()),
            to,
            form: Form::Archive,
            anew: None,
            links: Vec::new(),
            carried: None,
            put_aside: None,
            remade: None,
        }
    }

    /// Of a volume that was made otherwise: nothing is staged before it is made as it was.
    pub(crate) fn of_remade(name: &str, was: Made) -> Result<Value> {
        Self {
            live: String::new(),
            volume: Some(name.to_owned()),
            aside: String::new(),
            home: None,
            to: Side::After,
            form: Form::Archive,
            anew: None,
            links: Vec::new(),
            carried: None,
            put_aside: None,
            remade: Some(Remade::of(name, was)),
        }
        .value()
    }

    /// Whether anything lies aside of it in the way of a swap.
    pub(crate) fn is_staged(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The directory aside.
    pub(crate) fn home(&self) -> Home {
        self.home.clone().unwrap_or_else(|| Home::inside(&self.aside))
    }

    /// The live directory, where it is one of this host.
    pub(crate) fn live(&self) -> Result<PathBuf> {
        let live = unescaped(&self.live).ok_or_else(|| ResourceError::new("a recorded path is malformed"))?;
        Ok(PathBuf::from(OsString::from_vec(live)))
    }

    /// The same, of this directory.
    pub(crate) fn of_live(self, live: &Path) -> Self {
        Self {
            live: escaped(live.as_os_str().as_bytes()),
            ..self
        }
    }

    /// Who can move it.
    pub(crate) fn access<'c>(&self, cx: &'c Context) -> Result<Access<'c>> {
        match &self.volume {
            Some(volume) => Access::in_volume(volume, cx),
            None => Access::here(&self.live()?),
        }
    }

    /// Who can look at what lies aside, and remove it, whatever has become of the live directory.
    pub(crate) fn keeper<'c>(&self, cx: &'c Context) -> Result<Access<'c>> {
        match self.home().outside() {
            Some(around) if self.volume.is_none() => Access::here(&around),
            _ => self.access(cx),
        }
    }

    pub(crate) fn of(details: &Value) -> Result<Self> {
        serde_json::from_value(details.clone())
            .map_err(|error| ResourceError::because("could not understand where the state of a volume was put", error))
    }

    pub(crate) fn value(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|error| ResourceError::because("could not record where a volume's state is", error))
    }
}
