//! The files that a Compose project is made of: found, remembered with owner and mode, and put back in one rename each.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use guard_system::context::Context;
use guard_system::disk::{self, At, DiskError, Staged, sha256_hex};
use guard_system::docker::{Compose, files_named};

/// A file at one moment. `content` names the copy of its bytes; `None`: there was no such file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileState {
    /// Where it stands, absolute.
    pub path: PathBuf,
    /// Where it points, as written, where it is a symbolic link; the rest is about what it points at.
    pub link: Option<PathBuf>,
    /// The copy's name in the directory of copies.
    pub content: Option<String>,
    /// SHA-256 of its bytes; empty where there was none.
    pub sha256: String,
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
}

/// A file as it was read: its state and its bytes.
pub(super) struct Read {
    pub state: FileState,
    pub bytes: Vec<u8>,
}

/// Every file of a project: its compose files, its env files, those that services name by `env_file`, and, through
/// `include` and `extends`, each YAML file that a compose file names.
pub(super) fn find(cx: &Context, compose: &Compose) -> Result<Vec<PathBuf>, DiskError> {
    let mut found = files_named(&compose.directory, &compose.files, &compose.env_files);
    if let Ok(model) = compose.uninterpolated(cx, "json")
        && let Ok(model) = serde_json::from_str::<Value>(&model)
    {
        found.extend(env_files(&model));
    }
    // The compose files were asked for; of the rest only what is there belongs to the project.
    let mut files = Vec::new();
    for path in found {
        if compose.files.contains(&path) || disk::exists(&path)? {
            files.push(path);
        }
    }
    Ok(files)
}

fn env_files(model: &Value) -> Vec<PathBuf> {
    let services = model.pointer("/services").and_then(Value::as_object);
    let lists = services
        .into_iter()
        .flatten()
        .filter_map(|(_, service)| service.get("env_file"));
    lists
        .flat_map(|list| match list {
            Value::Array(entries) => entries.clone(),
            one => vec![one.clone()],
        })
        .filter_map(|entry| {
            let path = entry.get("path").unwrap_or(&entry).as_str()?;
            Some(PathBuf::from(path))
        })
        .filter(|path| path.is_absolute())
        .collect()
}

/// Reads a file as it is now; `number` makes the name of its copy unique.
pub(super) fn read(path: &Path, number: usize) -> Result<Read, DiskError> {
    let absent = FileState {
        path: path.to_owned(),
        link: link_of(path)?,
        content: None,
        sha256: String::new(),
        mode: 0,
        owner: 0,
        group: 0,
    };
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(Read {
            state: absent,
            bytes: Vec::new(),
        });
    };
    let metadata = fs::metadata(path).at("look at", path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let state = FileState {
        content: Some(format!("{number:02}-{name}")),
        sha256: sha256_hex(&bytes),
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        group: metadata.gid(),
        ..absent
    };
    Ok(Read { state, bytes })
}

/// Whether the file is on disk as this state says: bytes, owner and mode.
pub(super) fn is_in_place(state: &FileState) -> Result<bool, DiskError> {
    let now = read(&state.path, 0)?.state;
    Ok(now.link == state.link
        && now.content.is_some() == state.content.is_some()
        && (&now.sha256, now.mode, now.owner, now.group) == (&state.sha256, state.mode, state.owner, state.group))
}

/// Puts a file back as its state says, its bytes from the directory of copies; one that is in place is not touched.
pub(super) fn put_back(state: &FileState, copies: &Path) -> Result<(), DiskError> {
    if is_in_place(state)? {
        return Ok(());
    }
    if let Some(target) = &state.link {
        point(&state.path, target)?;
    }
    let Some(content) = &state.content else {
        // A link that led nowhere does so again.
        return if state.link.is_some() {
            Ok(())
        } else {
            remove(&state.path)
        };
    };
    // A link is written through, since others may use what it points at; one that was not there before is replaced.
    let place = match &state.link {
        Some(_) => fs::canonicalize(&state.path).at("look at", &state.path)?,
        None => state.path.clone(),
    };
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).at("create the directory", parent)?;
    }
    let copy = copies.join(content);
    let bytes = fs::read(&copy).at("read", &copy)?;
    let mut staged = Staged::beside(&place)?;
    staged.write(&bytes)?;
    let file = staged.file();
    let metadata = file.metadata().at("look at", staged.path())?;
    if (metadata.uid(), metadata.gid()) != (state.owner, state.group) {
        std::os::unix::fs::fchown(file, Some(state.owner), Some(state.group)).at("set the owner of", &place)?;
    }
    file.set_permissions(Permissions::from_mode(state.mode))
        .at("set the mode of", &place)?;
    staged.replace(&place).map(|_| ())
}

fn link_of(path: &Path) -> Result<Option<PathBuf>, DiskError> {
    match fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        // EINVAL: it is not a link.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).at("look at", path),
    }
}

fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.at("remove", path),
    }
}

/// Makes the path a link to the target, in one step.
fn point(path: &Path, target: &Path) -> Result<(), DiskError> {
    if link_of(path)?.as_deref() == Some(target) {
        return Ok(());
    }
    let beside = disk::sibling(path, ".guard-link");
    // What an earlier try left.
    remove(&beside)?;
    std::os::unix::fs::symlink(target, &beside).at("make the link", &beside)?;
    if disk::exists(path)? {
        disk::exchange(&beside, path)?;
        return remove(&beside);
    }
    disk::move_new(&beside, path)
}
