//! A settings file, as somebody wrote it: it is understood, or every problem of it has words and a place.
#![no_main]

use std::path::Path;

use guard_config::{Document, Request, Settings};
use guard_model::setting::Source;
use guard_system::environment::Environment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let document = Document {
        source: Source::new("guard.toml".to_owned(), text.to_owned()),
        mode: None,
    };
    let kinds = guard_resources::KINDS.iter().map(|kind| kind.key).collect();
    let request = Request::new("/srv/shop", Environment::default(), kinds, vec!["http", "tcp", "command"]);
    if let Err(problems) = Settings::of_document(&request, Path::new("/srv/shop"), &document) {
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|problem| !problem.message.is_empty()));
    }
});
