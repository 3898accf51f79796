//! The two sides of a blue-green deployment, and the front that leads visitors to one of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::front::{Eyes, Front, FrontError, Serving};
use crate::side::Side;
use guard_model::event::Level;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::{self, DiskError};

/// How long a switch may take until visitors are seen at the other side. nginx's new workers take some hundred milliseconds on
/// a busy machine; ten seconds is a guess on the long side.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const GLANCE: Duration = Duration::from_millis(20);
/// So many answers in a row, each over a connection of its own, have to come from the new side.
const IN_A_ROW: u32 = 5;
/// The note of which side was live when the run began, and which was idle; in the run's directory.
const NOTE: &str = "sides.json";

/// Two sides and their front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The two.
    pub both: [Side; 2],
    /// What leads visitors to one of them.
    pub front: Front,
    /// How it is seen from outside which side answers; `None`: the front's own word has to do.
    pub eyes: Option<Eyes>,
    /// How long the old side goes on behind a release that is kept.
    pub grace: Duration,
    /// Whether the side of a failed release goes on running, for people to look at.
    pub keeps_failed: bool,
}

/// Which side was live when the run began, and which was idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The side that visitors were at.
    pub live: String,
    /// The other.
    pub idle: String,
    /// Whether visitors were led from the one to the other, or were about to be.
    #[serde(default)]
    pub led: bool,
}

impl Roles {
    /// The side that visitors were at.
    #[must_use]
    pub fn live(&self) -> &str {
        &self.live
    }

    /// The other side.
    #[must_use]
    pub fn idle(&self) -> &str {
        &self.idle
    }

    /// Those that this run has noted.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn noted(cx: &Context) -> Result<Option<Self>, FrontError> {
        Self::noted_in(&cx.scratch)
    }

    /// Those that a run has noted in its directory.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn noted_in(directory: &std::path::Path) -> Result<Option<Self>, FrontError> {
        let path = directory.join(NOTE);
        let Some(bytes) = disk::read_optional(&path)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&bytes);
        read.map(Some)
            .map_err(|error| FrontError::Silent(format!("{} cannot be read: {error}", path.display())))
    }

    /// Writes them down for whoever goes on with this run.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn note(&self, cx: &Context) -> Result<(), DiskError> {
        disk::write_whole(&cx.scratch.join(NOTE), &serde_json::to_vec(self).unwrap_or_default())
    }
}

impl Sides {
    /// The side of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(usize, &Side)> {
        self.both.iter().enumerate().find(|(_, side)| side.name == name)
    }

    /// The name of the side that is not this one.
    #[must_use]
    pub fn other(&self, name: &str) -> &str {
        let [one, two] = &self.both;
        if one.name == name { &two.name } else { &one.name }
    }

    /// Which side visitors are at: by what is seen from outside where the settings say how, else by the front's own word.
    ///
    /// # Errors
    /// The front cannot be asked, or serves neither or both.
    pub fn serving(&self, cx: &Context) -> Result<&Side, FrontError> {
        let word = self.front.driver().serves(&self.both, cx);
        let Some(eyes) = &self.eyes else {
            return self.side_of(word?);
        };
        let seen = self.side_of(eyes.look(&self.both, cx)?)?;
        // A file that names the other side is a switch which was begun and not taken up, and is told by `agree`.
        Ok(seen)
    }

    /// Whether the front's own word and what is seen from outside agree.
    ///
    /// # Errors
    /// They do not, or one of them cannot be asked.
    pub fn agree(&self, cx: &Context) -> Result<&Side, FrontError> {
        let said = self.side_of(self.front.driver().serves(&self.both, cx)?)?;
        let seen = self.serving(cx)?;
        if said.name == seen.name {
            return Ok(seen);
        }
        Err(FrontError::Differs {
            front: self.front.driver().describe(),
            said: said.name.clone(),
            seen: seen.name.clone(),
        })
    }

    fn side_of(&self, serving: Serving) -> Result<&Side, FrontError> {
        match serving {
            Serving::Side(at) => self.both.get(at).ok_or(FrontError::Neither(String::new())),
            Serving::Neither(what) => Err(FrontError::Neither(what)),
            Serving::Both(what) => Err(FrontError::Both(what)),
        }
    }

    /// Leads visitors to this side, and sees them arrive. It is asked before and after: a front that serves it already is left
    /// alone. Returns whether anything was switched. Safe to repeat, also where it was cut off.
    ///
    /// # Errors
    /// The front refuses, or visitors are not seen at the side in time.
    pub fn switch(&self, to: &str, cx: &Context) -> Result<bool, FrontError> {
        let (at, side) = self
            .named(to)
            .ok_or_else(|| FrontError::Neither(format!("there is no side {to:?}")))?;
        if self.arrived(at, 1, cx) {
            return Ok(false);
        }
        let driver = self.front.driver();
        driver.switch(at, &self.both, cx)?;
        let begun = cx.clock.steady();
        while !self.arrived(at, IN_A_ROW, cx) {
            if cx.clock.steady().saturating_sub(begun) >= SWITCH_LIMIT {
                let now = match self.serving(cx) {
                    Ok(seen) => format!("{} still answers", seen.name),
                    Err(error) => text::chain(&error),
                };
                return Err(FrontError::NotSeen {
                    front: driver.describe(),
                    side: side.name.clone(),
                    now,
                });
            }
            cx.clock.sleep(GLANCE);
        }
        cx.note(
            Level::Detail,
            format!("{} leads to {} ({})", driver.describe(), side.name, side.address),
        );
        Ok(true)
    }

    /// Whether the front says that it serves this side, and so many answers in a row come from there.
    fn arrived(&self, at: usize, in_a_row: u32, cx: &Context) -> bool {
        let says = matches!(self.front.driver().serves(&self.both, cx), Ok(Serving::Side(said)) if said == at);
        says && self.eyes.as_ref().is_none_or(|eyes| {
            (0..in_a_row).all(|_| matches!(eyes.look_once(&self.both, cx), Ok(Serving::Side(seen)) if seen == at))
        })
    }
}
