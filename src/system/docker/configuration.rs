//! What Compose makes of a project's files, asked once for each content of these files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::client::{DockerError, explained};
use crate::call::Call;
use crate::context::Context;
use crate::disk::{self, Digest};

/// The most that a compose file or an env file may have, in bytes; what is larger is not one.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// The names under which Compose looks for a file, in its own order.
pub(super) const FILE_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// Takes what a call of Compose is known to print.
pub(super) fn learn(cx: &Context, call: &Call, files: &BTreeSet<PathBuf>, printed: Arc<Vec<u8>>) {
    let mut known = cx.configurations.0.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(key(cx, call, files), printed);
}

/// What this call of Compose prints, which has to follow from the project's files and the environment alone.
///
/// # Errors
/// Compose refuses the files.
pub(super) fn printed(cx: &Context, call: &Call, files: &BTreeSet<PathBuf>) -> Result<Arc<Vec<u8>>, DockerError> {
    let key = key(cx, call, files);
    // Held while Compose is asked: who asks the same beside waits for the answer.
    let mut known = cx.configurations.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(printed) = known.get(&key) {
        return Ok(Arc::clone(printed));
    }
    let printed = Arc::new(cx.output(call).map_err(explained)?.stdout);
    known.insert(key, Arc::clone(&printed));
    Ok(printed)
}

fn key(cx: &Context, call: &Call, files: &BTreeSet<PathBuf>) -> String {
    let engine = cx.engine.as_ref().map(|engine| engine.name()).unwrap_or_default();
    let mut digest = Digest::default();
    for path in files {
        digest.update(path.as_os_str().as_encoded_bytes());
        digest.update(b"\0");
        // One that cannot be read is told by Compose.
        match disk::read_optional(path) {
            Ok(Some(bytes)) => {
                digest.update(&(bytes.len() as u64).to_be_bytes());
                digest.update(&bytes);
            }
            Ok(None) => digest.update(b"absent"),
            Err(_) => digest.update(b"unreadable"),
        }
    }
    format!("{engine} {} {call}", digest.hex())
}

/// The files that make up a project, as far as their words tell: these compose files, or without any those that Compose looks for, their env files, and, through `include`
/// and `extends`, each YAML file that a compose file names.
///
/// Compose does not tell what it included. So a word of a compose file that ends in `.yml` or `.yaml` and names a file
/// beside it counts, whatever key it belongs to: one file too many is harmless, one too few is not.
#[must_use]
pub fn files_named(directory: &Path, files: &[PathBuf], env_files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = env_files.iter().cloned().collect();
    if env_files.is_empty() {
        found.insert(directory.join(".env"));
    }
    let mut waiting = files.to_vec();
    if waiting.is_empty() {
        // Then Compose looks for one; whether it is there is part of what it makes of it.
        for name in FILE_NAMES {
            let path = directory.join(name);
            let overriding = path.extension().map(|ending| {
                let ending = format!("override.{}", ending.to_string_lossy());
                path.with_extension(ending)
            });
            waiting.push(path);
            waiting.extend(overriding);
        }
    }
    while let Some(path) = waiting.pop() {
        if !found.insert(path.clone()) {
            continue;
        }
        let is_small = fs::metadata(&path).is_ok_and(|data| data.is_file() && data.len() <= LARGEST_FILE);
        let Some(text) = is_small.then(|| disk::read_optional(&path).ok().flatten()).flatten() else {
            continue;
        };
        let beside = path.parent().unwrap_or(directory);
        for word in yaml_names(&String::from_utf8_lossy(&text)) {
            for base in [beside, directory] {
                let candidate = plain(&base.join(&word));
                let is_small = fs::metadata(&candidate).is_ok_and(|data| data.is_file() && data.len() <= LARGEST_FILE);
                if is_small && !found.contains(&candidate) {
                    waiting.push(candidate);
                }
            }
        }
    }
    found
}

fn yaml_names(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split(" #").next().unwrap_or_default())
        .flat_map(|line| {
            line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '[' | ']' | '{' | '}' | ':'))
        })
        .filter(|word| {
            Path::new(word)
                .extension()
                .is_some_and(|ending| ending == "yml" || ending == "yaml")
        })
        .map(str::to_owned)
        .collect()
}

/// The path without `.` and `..`, so that one file has one name.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_yaml_files_are_found_in_every_form() {
        let text = "include:\n  - sub/inc.yml # not.this.yml\n  - path: [a.yaml, \"b.yml\"]\nx: {file: ../ext.yml, y: z}\nimage: app:1.yml.gz\n";
        assert_eq!(yaml_names(text), ["sub/inc.yml", "a.yaml", "b.yml", "../ext.yml"]);
    }

    #[test]
    fn one_file_has_one_name() {
        assert_eq!(plain(Path::new("/a/./b/../c.yml")), Path::new("/a/c.yml"));
    }
}
