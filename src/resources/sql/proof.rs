//! When a copy is proven by loading it, `proof`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::ResourceError;
use guard_model::section::Section;

/// That a copy of this shape was loaded, with all its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    /// A digest of what was loaded by what: all but the rows, the server, and the programs that made the copy and loaded it.
    pub(crate) shape: String,
    /// When.
    pub(crate) at: DateTime<Utc>,
}

/// Whether a copy has to be loaded, where this is what an earlier load has proven of one of its shape.
pub(crate) fn is_due(proof: Proof, interval: Duration, loaded: Option<&Loaded>, now: DateTime<Utc>) -> bool {
    match proof {
        Proof::Read => false,
        Proof::Restore => true,
        Proof::Auto => !loaded.is_some_and(|loaded| is_fresh(loaded, interval, now)),
    }
}

pub(crate) fn is_fresh(loaded: &Loaded, interval: Duration, now: DateTime<Utc>) -> bool {
    let age = (now - loaded.at).to_std();
    age.is_ok_and(|age| age < interval)
}

/// What a load that failed says of the copy: that it would be no way back.
pub(crate) fn unloadable(error: ResourceError) -> ResourceError {
    ResourceError {
        what: format!(
            "what is live does not come up from a copy, so there would be no way back: {}",
            error.what
        ),
        ..error
    }
}

/// How a copy is proven when it is made, `proof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Proof {
    /// All of it is read back.
    Read,
    /// It is read back; and restored into a database of its own where nothing proves yet that such a copy loads: the first one,
    /// the first of another schema, and one every `proof_interval`.
    #[default]
    Auto,
    /// It is restored into a database of its own, and compared.
    Restore,
}

impl Proof {
    /// Reads the setting.
    pub(crate) fn of(section: &mut Section<'_>) -> Self {
        let choices = [("read", Self::Read), ("auto", Self::Auto), ("restore", Self::Restore)];
        section.choice("proof", &choices).unwrap_or_default()
    }
}

/// How long a load proves the copies that follow it, unless `proof_interval` says otherwise.
pub(crate) const INTERVAL: Duration = Duration::from_hours(7 * 24);
