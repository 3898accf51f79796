//! `guard.toml`: read within limits, parsed with places, its environment laid over it, its variables expanded.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::expand::Expansion;
use super::tree::{self, Table};
use guard_model::secret::Secret;
use guard_model::setting::{Item, Problem, Source, Value, nearest};
use guard_system::environment::Environment;

/// The file's name where nobody names another.
pub const FILE_NAME: &str = "guard.toml";
/// Bytes that a settings file may have.
pub const LIMIT: u64 = 1_000_000;

/// A file's text, before anything in it is understood.
#[derive(Clone)]
pub struct Document {
    /// The text and its name.
    pub source: Source,
    /// The file's permission bits; `None` for a text that is no file.
    pub mode: Option<u32>,
}

/// The tree that settings are read from.
pub(super) struct Tree {
    pub(super) item: Item,
    /// The names under `[environments]`.
    pub(super) environments: Vec<String>,
    pub(super) secrets: Vec<Secret>,
    pub(super) warnings: Vec<Problem>,
    pub(super) problems: Vec<Problem>,
}

fn problem(place: impl Into<String>, message: impl Into<String>, hint: Option<&str>) -> Problem {
    Problem {
        place: place.into(),
        message: message.into(),
        hint: hint.map(str::to_owned),
        excerpt: None,
    }
}

/// Reads a settings file; `None` where there is none. `shown` is its name in messages.
///
/// # Errors
/// It cannot be read, is no regular file, is too large, is no UTF-8, or everyone may write to it.
pub(super) fn read(path: &Path, shown: &str) -> Result<Option<Document>, Problem> {
    let failed = |error: &io::Error| problem(shown, format!("could not read the settings: {error}"), None);
    // Without O_NONBLOCK, opening a FIFO would wait for a writer.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if !metadata.is_file() {
        return Err(problem(shown, "is not a regular file", None));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(problem(
            shown,
            format!(
                "everyone may write to it (mode {:04o}), and its commands run as you",
                metadata.mode() & 0o7777
            ),
            Some(&format!("`chmod o-w {shown}` closes it")),
        ));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LIMIT {
        return Err(problem(
            shown,
            format!("is larger than {LIMIT} bytes, so it is not a settings file"),
            None,
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        problem(format!("{shown}:{line}"), "is not UTF-8", Some("save it as UTF-8"))
    })?;
    // A byte order mark is no part of the text; without it the first line's columns are right.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let name = shown.to_owned();
    Ok(Some(Document {
        source: Source::new(name, text),
        mode: Some(metadata.mode()),
    }))
}

/// Understands a document: syntax, environment, variables. What is wrong is in `problems`; only a syntax error ends it.
pub(super) fn understand(
    document: &Document,
    environment_name: Option<(&str, &str)>,
    environment: &Environment,
) -> Result<Tree, Vec<Problem>> {
    let source = &document.source;
    let item = tree::parse(source)?;
    let at = item.at.clone();
    let Value::Table(mut top) = item.value else {
        return Err(vec![problem(&source.name, "is not a table", None)]);
    };
    let mut problems = Vec::new();
    let environments = overlay(&mut top, environment_name, source, &mut problems);
    let mut item = Item {
        value: Value::Table(top),
        at,
    };
    let mut expansion = Expansion::new(source, environment);
    expansion.expand("", &mut item);
    problems.append(&mut expansion.problems);
    let mut warnings = Vec::new();
    if document.mode.is_some_and(|mode| mode & 0o044 != 0) {
        for place in &expansion.literal_secrets {
            warnings.push(problem(
                place.clone(),
                "a secret is written here, and others may read the file",
                Some(&format!("`chmod go= {}`, or `${{NAME}}` instead", source.name)),
            ));
        }
    }
    Ok(Tree {
        item,
        environments,
        secrets: expansion.secrets,
        warnings,
        problems,
    })
}

/// Takes `[environments]` out of the tree, and lays the chosen one over the rest. Returns the names of all.
fn overlay(top: &mut Table, chosen: Option<(&str, &str)>, source: &Source, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut all = Table::new();
    if let Some((at, item)) = top.remove("environments") {
        if let Value::Table(entries) = item.value {
            all = entries;
        } else {
            problems.push(problem(
                source.place(&at),
                format!("`environments` must be a table, not {}", item.value.noun()),
                Some("write [environments.staging]"),
            ));
        }
    }
    let names: Vec<String> = all.keys().cloned().collect();
    for (name, (at, item)) in &all {
        match &item.value {
            Value::Table(entries) => {
                if let Some((at, _)) = entries.get("environments") {
                    problems.push(problem(
                        source.place(at),
                        format!("unknown key `environments.{name}.environments`"),
                        None,
                    ));
                }
            }
            other => problems.push(problem(
                source.place(at),
                format!("`environments.{name}` must be a table, not {}", other.noun()),
                None,
            )),
        }
    }
    if let Some((name, place)) = chosen {
        match all.remove(name) {
            Some((
                _,
                Item {
                    value: Value::Table(mut over),
                    ..
                },
            )) => {
                over.remove("environments");
                tree::lay_over(top, over);
            }
            Some(_) => {}
            None => problems.push(Problem {
                place: place.to_owned(),
                message: format!("{} has no environment {name:?}", source.name),
                hint: nearest(name, names.iter().map(String::as_str)).or_else(|| {
                    Some(if names.is_empty() {
                        format!("write [environments.{name}] for it")
                    } else {
                        format!("there are: {}", names.join(", "))
                    })
                }),
                excerpt: None,
            }),
        }
    }
    names
}
