//! Reads the keys of a set of files from its table in `guard.toml`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSetBuilder};

use super::selection::Files;
use crate::definition::{Built, Kind, Site};
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::section::Section;

/// `kind = "files"`.
pub(crate) const KIND: Kind = Kind {
    key: "files",
    about: "configuration files and links, tested before a service takes them up",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Code,
    build,
};

/// The keys: `paths`, patterns below the project's directory, `*` within a component and `**` across them; `check`,
/// commands that must succeed with the restored files in place, else they are taken out again; `after`, commands that make
/// services take them up.
fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    if !section.has("paths") {
        section.problem("paths", "is missing", Some("as in [\".env\", \"nginx/**\"]".to_owned()));
    }
    let written = section.texts("paths");
    let check = section.commands("check").unwrap_or_default();
    let after = section.commands("after").unwrap_or_default();
    let written = written?;
    let mut patterns = GlobSetBuilder::new();
    let mut roots = Vec::new();
    let mut sound = !written.is_empty();
    if written.is_empty() {
        section.problem("paths", "names nothing", None);
    }
    for pattern in &written {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        let path = Path::new(pattern);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            section.problem(
                "paths",
                format!("{pattern:?} leads out of the project's directory"),
                None,
            );
            sound = false;
            continue;
        }
        match GlobBuilder::new(pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
        {
            Ok(glob) => {
                patterns.add(glob);
                roots.push(root_of(path));
            }
            Err(error) => {
                section.problem("paths", error.to_string(), None);
                sound = false;
            }
        }
    }
    let patterns = match patterns.build() {
        Ok(patterns) => patterns,
        Err(error) => {
            section.problem("paths", error.to_string(), None);
            return None;
        }
    };
    sound.then(|| {
        let files = Files {
            name,
            directory: site.directory.clone(),
            written,
            patterns,
            roots,
            check,
            after,
        };
        Box::new(files) as Box<dyn crate::contract::Resource>
    })
}

/// The part of a pattern before its first wildcard, in whole components.
fn root_of(pattern: &Path) -> PathBuf {
    let is_plain =
        |part: &std::path::Component<'_>| !part.as_os_str().as_bytes().iter().any(|byte| b"*?[{\\!".contains(byte));
    pattern.components().take_while(is_plain).collect()
}
