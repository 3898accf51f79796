//! The settings of a request, wherever they come from: the file, or what `guard init` would have written.

use super::discover;
use super::file::Document;
use super::layer::Request;
use super::location::locate;
use super::settings::Settings;
use guard_model::setting::{Problem, Source};
use guard_system::context::Context;

/// The name of the text that stands for a file that is not there.
const DISCOVERED: &str = "(discovered)";

impl Settings {
    /// Reads the settings from the file; without one, from what the directory shows, where it has a compose file.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(request: &Request, cx: &Context) -> Result<Self, Vec<Problem>> {
        if let Some(settings) = Self::of_file(request)? {
            return Ok(settings);
        }
        let location = locate(request)?;
        let cx = Context {
            directory: location.directory.clone(),
            ..cx.clone()
        };
        let discovery = discover::look(&cx);
        let refuse = |message: String| {
            Err(vec![Problem {
                place: location.shown.clone(),
                message,
                hint: Some("`guard init` writes one".to_owned()),
                excerpt: None,
            }])
        };
        if discovery.compose_files.is_empty() {
            return refuse(format!(
                "there is no settings file in {}, and no compose file that would tell as much",
                location.directory.display()
            ));
        }
        let document = Document {
            source: Source::new(DISCOVERED, discover::render(&discovery)),
            mode: None,
        };
        let mut settings = Self::of_document(request, &location.directory, &document)?;
        // Nobody has said `verify = "none"` here: the text says it only because nothing was found.
        if request.judges && settings.probes.is_empty() && settings.verify.commands.is_empty() {
            let notes = discovery.notes.join("; ");
            return refuse(format!(
                "there is no settings file, and nothing was found that could look at the release: {notes}"
            ));
        }
        settings.discovered = true;
        settings
            .warnings
            .extend(discovery.notes.into_iter().map(|note| Problem {
                place: DISCOVERED.to_owned(),
                message: note,
                hint: None,
                excerpt: None,
            }));
        Ok(settings)
    }
}
