//! What a run has noted of its named services, so that whoever goes on with it runs no hook twice that has ended, forgets none
//! that is due, and starts what was stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::noted::noted;
use crate::{Result, ServiceError};
use guard_system::context::Context;
use guard_system::disk;

/// The file in the run's directory.
const FILE: &str = "services.json";

/// The note of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Which services ran before the deploy command began; `None`: nobody has looked.
    #[serde(default)]
    pub(super) before_deploy: Option<BTreeMap<String, bool>>,
    /// By name, what this run has done to a service.
    #[serde(default)]
    pub(super) services: BTreeMap<String, Entry>,
    /// The services whose `before_copy` was begun and whose `after_copy` is due.
    #[serde(default)]
    pub(super) copying: Vec<String>,
    /// Whether the commands of `[services]` itself have stopped what they stop.
    #[serde(default)]
    pub(super) by_commands: bool,
}

/// What a run has done to one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Whether it ran, or was meant to, when this run first came to stop it.
    pub(super) ran: bool,
    /// How far its stop is.
    pub(super) stop: Progress,
    /// How far its start is.
    pub(super) start: Progress,
    /// Whether it was reloaded.
    pub(super) reload: Progress,
    /// Units that would start it by themselves, stopped with it.
    #[serde(default)]
    pub(super) triggers: Vec<String>,
}

/// How far something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    /// It was not begun.
    #[default]
    None,
    /// It was begun, and may be done.
    Begun,
    /// The act itself is done; its hook is due.
    Acted,
    /// It is done, hooks included.
    Done,
}

impl Note {
    /// The note of this run; an empty one where there is none.
    pub(super) fn read(cx: &Context) -> Self {
        noted(FILE, cx)
    }

    /// Writes it down. What it announces comes after.
    pub(super) fn write(&self, cx: &Context) -> Result<()> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        disk::write_whole(&cx.scratch.join(FILE), &bytes).map_err(ServiceError::Note)
    }
}
