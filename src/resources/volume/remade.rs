//! A volume that a way back has made again as it was, in place of one that was made otherwise.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use crate::trees::made_volume::Made;
use crate::trees::put_aside::Home;
use guard_model::text::typed;
use guard_system::disk::{At, Dir};

/// A volume that was made otherwise, and is made again as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remade {
    pub(crate) name: String,
    /// How the one was made that the way back removes.
    pub(crate) was: Made,
    /// Where its content was put aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<Home>,
}

/// Says that what a way back removed is not made again by itself.
pub(crate) fn not_undone(remade: &Remade) -> ResourceError {
    let (name, was) = (&remade.name, &remade.was);
    let options: Vec<String> = was
        .options
        .iter()
        .map(|(key, value)| format!("--opt {} ", typed(&format!("{key}={value}"))))
        .collect();
    let kept = remade.kept.as_ref().map(|home| {
        let place = home.shown(Path::new(""));
        format!("; what was in it lies in {}", typed(&place.display().to_string()))
    });
    ResourceError::new(format!(
        "the volume {name} was made as it was at the backup, and the release's own is gone: {}",
        was.shown()
    ))
    .with_hint(format!(
        "by hand, where it is wanted: `docker volume rm {0}`, `docker volume create --driver {1} {2}{0}`{3}",
        typed(name),
        was.driver,
        options.concat(),
        kept.unwrap_or_default()
    ))
}

impl Remade {
    pub(crate) fn of(name: &str, was: Made) -> Self {
        Self {
            name: name.to_owned(),
            was,
            kept: None,
        }
    }

    /// Where what was in the volume lies that is gone, for people.
    pub(crate) fn kept_sentences(&self) -> Vec<String> {
        let place = self
            .kept
            .as_ref()
            .map(|home| home.shown(Path::new("")).display().to_string());
        let told = place.map(|place| format!("what was in the volume {} that is gone lies in {place}", self.name));
        told.into_iter().collect()
    }

    /// Removes what was put aside of the volume that is gone.
    pub(crate) fn forget(&self) -> Result<()> {
        let Some(home) = &self.kept else { return Ok(()) };
        let Some(around) = home.outside() else { return Ok(()) };
        let dir = Dir::open(&around).at("open", &around)?;
        match home.open(&dir)? {
            Some(aside) => aside.remove(),
            None => Ok(()),
        }
    }
}
