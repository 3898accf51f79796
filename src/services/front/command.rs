//! The user's own switch: one command leads the front to `GUARD_SIDE`, another prints the name of the side that it serves.

use std::time::Duration;

use super::driver::{Driver, FrontError, Serving};
use crate::side::Side;
use guard_system::call::Call;
use guard_system::context::Context;

/// How long one of them may take. A guess.
const LIMIT: Duration = Duration::from_mins(1);

/// Two commands, each a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Switches.
    pub switch: Vec<String>,
    /// Prints the side's name.
    pub ask: Vec<String>,
}

impl Driver for Command {
    fn describe(&self) -> String {
        format!("`{}`", self.switch.join(" "))
    }

    fn serves(&self, sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError> {
        let output = run(&self.ask, None, "ask the front", cx)?;
        let found = sides.iter().position(|side| side.name == output);
        Ok(found.map_or_else(
            || Serving::Neither(format!("`{}` printed {output:?}", self.ask.join(" "))),
            Serving::Side,
        ))
    }

    fn switch(&self, to: usize, sides: &[Side; 2], cx: &Context) -> Result<(), FrontError> {
        run(&self.switch, sides.get(to), "switch the front", cx).map(|_| ())
    }
}

/// Runs a command of the front's, with the side that it is about. Returns what it printed.
pub(super) fn run(words: &[String], side: Option<&Side>, what: &str, cx: &Context) -> Result<String, FrontError> {
    let Some(mut call) = Call::of_words(words) else {
        return Ok(String::new());
    };
    for (name, value) in cx.announced.iter().filter(|(name, _)| !name.starts_with("GUARD_SIDE")) {
        call = call.env(name, value);
    }
    if let Some(side) = side {
        call = call
            .env("GUARD_SIDE", &side.name)
            .env("GUARD_SIDE_ADDRESS", &side.address);
    }
    let output = cx.output(&call.env("GUARD_STAGE", "switch").timeout(LIMIT));
    output
        .map(|output| output.text())
        .map_err(|source| FrontError::Command {
            what: what.to_owned(),
            source,
        })
}
