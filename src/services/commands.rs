//! The user's own commands around services: each a list of words, with what they are told of the run.

use std::time::Duration;

use super::error::{Result, ServiceError};
use guard_system::call::Call;
use guard_system::context::Context;

/// How long one of the user's commands may take. A guess.
const COMMAND_LIMIT: Duration = Duration::from_mins(10);

/// Runs the user's commands, one after the other.
pub(crate) fn run_all(commands: &[Vec<String>], stage: &str, cx: &Context) -> Result<()> {
    for words in commands {
        let Some(mut call) = Call::of_words(words) else {
            continue;
        };
        for (name, value) in cx.announced.iter() {
            call = call.env(name, value);
        }
        let call = call.env("GUARD_STAGE", stage).timeout(COMMAND_LIMIT);
        cx.output(&call).map_err(|source| ServiceError::Command {
            stage: stage.to_owned(),
            source,
        })?;
    }
    Ok(())
}
