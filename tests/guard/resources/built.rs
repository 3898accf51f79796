//! Builds a resource as `guard.toml` would.

use std::collections::BTreeMap;
use std::path::Path;

use guard::model::section::Section;
use guard::model::setting::{Item, Problem, Source, Value};
use guard::resources::{Resource, Site, kind};
use guard::system::docker::Compose;

/// A string.
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A list of strings.
pub fn list(texts: &[&str]) -> Value {
    Value::List(
        texts
            .iter()
            .map(|one| Item {
                value: text(one),
                at: 0..0,
            })
            .collect(),
    )
}

/// The resource of this kind with these keys, or what is wrong with them.
pub fn try_build(
    key: &str,
    directory: &Path,
    project: Option<&str>,
    keys: &[(&str, Value)],
) -> Result<Box<dyn Resource>, Vec<Problem>> {
    let source = Source::default();
    let mut problems = Vec::new();
    let table: BTreeMap<_, _> = keys
        .iter()
        .map(|(key, value)| {
            (
                (*key).to_owned(),
                (
                    0..0,
                    Item {
                        value: value.clone(),
                        at: 0..0,
                    },
                ),
            )
        })
        .collect();
    let item = Item {
        value: Value::Table(table),
        at: 0..0,
    };
    let site = Site {
        directory: directory.to_owned(),
        compose: project.map(|project| Compose {
            files: Vec::new(),
            env_files: Vec::new(),
            profiles: Vec::new(),
            project: project.to_owned(),
            directory: directory.to_owned(),
        }),
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    let mut section = Section::new("resources.subject", &source, item, &mut problems);
    let built = (kind(key).expect("a known kind").build)("subject".parse().unwrap(), &mut section, &site);
    section.finish();
    match built {
        Some(resource) if problems.is_empty() => Ok(resource),
        _ => Err(problems),
    }
}

/// The resource of this kind with these keys.
pub fn build(key: &str, directory: &Path, project: Option<&str>, keys: &[(&str, Value)]) -> Box<dyn Resource> {
    try_build(key, directory, project, keys).unwrap_or_else(|problems| panic!("{problems:?}"))
}
