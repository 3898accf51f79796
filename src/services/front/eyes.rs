//! Which side answers, as a visitor sees it: a header of an answer that has come through the front.

use std::time::Duration;

use url::Url;

use super::driver::{FrontError, Serving};
use crate::side::Side;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::http;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How often is asked before a side is believed to serve alone.
const LOOKS: usize = 3;

/// An address that is asked through the front, and the header whose value is the side's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eyes {
    /// The address.
    pub url: Url,
    /// The header's name.
    pub header: String,
}

impl Eyes {
    /// Which side answers: asked a few times, each over a connection of its own.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn look(&self, sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError> {
        let mut seen: Option<Serving> = None;
        for _ in 0..LOOKS {
            let now = self.look_once(sides, cx)?;
            match seen {
                Some(before) if before != now => {
                    return Ok(Serving::Both(format!("answers of {} come from both", self.url)));
                }
                _ => seen = Some(now),
            }
        }
        seen.ok_or_else(|| FrontError::Silent(self.url.to_string()))
    }

    /// The same, asked once.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn look_once(&self, sides: &[Side; 2], _cx: &Context) -> Result<Serving, FrontError> {
        let answered = http::ask("GET", &self.url, None, LIMIT)
            .map_err(|error| FrontError::Silent(format!("GET {}: {}", self.url, chain(&error))))?;
        let value = answered.header(&self.header);
        let found = value
            .as_ref()
            .and_then(|value| sides.iter().position(|side| &side.name == value));
        Ok(match (found, value) {
            (Some(at), _) => Serving::Side(at),
            (None, Some(value)) => Serving::Neither(format!("{} of {} is {value:?}", self.header, self.url)),
            (None, None) => Serving::Neither(format!(
                "the answer of {} ({}) has no header {}",
                self.url, answered.status, self.header
            )),
        })
    }
}
