//! What a run has noted in its directory of what it holds, to let it go again.

use serde::de::DeserializeOwned;

use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk;

/// What stands in this file of the run's directory; nothing where there is none. What cannot be read is told: whatever it
/// names would else stay held without a word.
pub(super) fn noted<T: Default + DeserializeOwned>(file: &str, cx: &Context) -> T {
    let path = cx.scratch.join(file);
    let unread = |error: &(dyn std::error::Error + 'static)| {
        let note = format!(
            "{} cannot be read ({}): what it names may still be held; `systemctl list-units --failed` and `docker ps --all` show \
             what does not run",
            path.display(),
            chain(error)
        );
        cx.note(Level::Warn, note);
        T::default()
    };
    match disk::read_optional(&path) {
        Ok(None) => T::default(),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| unread(&error)),
        Err(error) => unread(&error),
    }
}
