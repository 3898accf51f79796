//! Where a volume is: which one is meant, whether its directory can be reached from here, who uses it, what lives in it.

use std::path::{Path, PathBuf};

use super::source::{Target, Volume};
use crate::error::{ResourceError, Result};
use crate::trees::made_volume::Made;
use guard_model::setting::nearest;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{self, Container, DockerError};
use guard_system::processes::CallError;
use guard_system::servers::Server;

/// How its content is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// As a directory of this host.
    Directory(PathBuf),
    /// Only through the engine, by the volume's name.
    Engine(String),
}

/// Where a volume is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// For people: `volume shop_minio_data`, `directory /srv/objects`.
    pub(super) shown: String,
    /// The volume's real name or the directory's path, as containers mount it.
    pub(super) source: String,
    /// How to reach it.
    pub(super) reach: Reach,
    /// Whether its directory is the engine's, and so is the one around it.
    pub(super) is_engines: bool,
}

impl Place {
    /// The directory, where it can be reached as one.
    pub(super) fn directory(&self) -> Option<&Path> {
        match &self.reach {
            Reach::Directory(path) => Some(path),
            Reach::Engine(_) => None,
        }
    }

    /// The containers that mount it.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(super) fn users(&self, cx: &Context) -> Result<Vec<Container>> {
        let found = docker::containers_using(cx, &[&self.source]);
        if let (Err(DockerError::Call(CallError::NotFound { .. })), false) = (&found, self.is_engines) {
            // A directory on a host without Docker is in no container.
            return Ok(Vec::new());
        }
        found.map_err(|error| ResourceError::because(format!("could not ask who uses the {}", self.shown), error))
    }
}

/// Finds what is meant.
///
/// # Errors
/// It is not there, is of a kind that guard cannot copy, or the engine does not answer.
pub(super) fn find(volume: &Volume, cx: &Context) -> Result<Place> {
    match &volume.target {
        Target::Path(path) => directory(&cx.resolve(path)),
        Target::Volume(name) => engine_volume(volume, name, cx),
    }
}

/// A volume of the engine's that is gone.
pub(super) fn of_gone_volume(name: &str) -> Place {
    Place {
        shown: format!("volume {name}"),
        source: name.to_owned(),
        reach: Reach::Engine(name.to_owned()),
        is_engines: true,
    }
}

/// The directory at this path, of which no part is a link, whether it is there or not.
pub(super) fn at(path: &Path) -> Place {
    Place {
        shown: format!("directory {}", path.display()),
        source: path.to_string_lossy().into_owned(),
        reach: Reach::Directory(path.to_owned()),
        is_engines: false,
    }
}

fn directory(path: &Path) -> Result<Place> {
    let shown = format!("directory {}", path.display());
    if !disk::exists(path)? {
        return Err(ResourceError::new(format!("the {shown} is not there"))
            .with_hint("correct `path`, or create the directory"));
    }
    let real = std::fs::canonicalize(path)
        .map_err(|error| ResourceError::because(format!("could not look at the {shown}"), error))?;
    if !real.is_dir() {
        return Err(ResourceError::new(format!("{} is not a directory", path.display()))
            .with_hint("name a directory, or use `kind = \"files\"` for single files"));
    }
    Ok(Place {
        shown,
        source: real.to_string_lossy().into_owned(),
        reach: Reach::Directory(real),
        is_engines: false,
    })
}

fn engine_volume(volume: &Volume, key: &str, cx: &Context) -> Result<Place> {
    let asked = |error| ResourceError::because(format!("could not look for the volume {key}"), error);
    let name = real_name(volume.project.as_deref(), key, cx)?;
    let found = docker::volume(cx, &name).map_err(asked)?;
    let found =
        found.ok_or_else(|| ResourceError::new(format!("the volume {name} vanished while it was looked at")))?;
    of_volume(volume, &found, cx)
}

/// Where this volume of the engine's is.
///
/// # Errors
/// It is of a kind that guard cannot copy, or the engine does not answer.
pub(super) fn of_volume(volume: &Volume, found: &docker::Volume, cx: &Context) -> Result<Place> {
    let name = found.name.clone();
    let asked = |error| ResourceError::because(format!("could not look for the volume {}", found.name), error);
    let shown = format!("volume {name}");
    let is_engines = found.options.is_empty();
    if found.driver != "local" {
        return Err(ResourceError::new(format!(
            "the {shown} belongs to the driver {:?}, which guard cannot copy",
            found.driver
        ))
        .with_hint("back it up with the driver's own snapshots"));
    }
    let reach = if found.options.is_empty() {
        let here = Path::new(&found.mountpoint);
        let is_here = !volume.through_engine && here.is_dir() && docker::is_on_this_host(cx).map_err(asked)?;
        if is_here {
            Reach::Directory(here.to_owned())
        } else {
            Reach::Engine(name.clone())
        }
    } else {
        // What is mounted by the engine shows at the mountpoint only while a container runs.
        match Made::of(found).bound().filter(|device| device.is_dir()) {
            Some(device) if docker::is_on_this_host(cx).map_err(asked)? => Reach::Directory(device),
            _ => {
                let kind = found.options.get("type").map_or("another file system", String::as_str);
                return Err(ResourceError::new(format!(
                    "the {shown} is mounted from elsewhere ({kind}), which guard cannot swap"
                ))
                .with_hint("back it up on the server it comes from, or mount it here and name it with `path`"));
            }
        }
    };
    Ok(Place {
        shown,
        source: name,
        reach,
        is_engines,
    })
}

/// The engine's name of a volume: by the label that Compose left, then `<project>_<key>`, then the very name.
pub(super) fn real_name(project: Option<&str>, key: &str, cx: &Context) -> Result<String> {
    let asked = |error| ResourceError::because(format!("could not look for the volume {key}"), error);
    if let Some(project) = project {
        let filters =
            [("project", project), ("volume", key)].map(|(label, value)| format!("com.docker.compose.{label}={value}"));
        if let Some(name) = docker::volumes_labelled(cx, &filters.each_ref().map(String::as_str))
            .map_err(asked)?
            .into_iter()
            .next()
        {
            return Ok(name);
        }
    }
    let names = docker::volumes_labelled(cx, &[]).map_err(asked)?;
    let candidates = project
        .map(|project| format!("{project}_{key}"))
        .into_iter()
        .chain([key.to_owned()]);
    if let Some(name) = candidates.into_iter().find(|name| names.contains(name)) {
        return Ok(name);
    }
    let near = nearest(
        key,
        names.iter().map(|name| {
            let prefix = project
                .and_then(|project| name.strip_prefix(project))
                .and_then(|rest| rest.strip_prefix('_'));
            prefix.unwrap_or(name)
        }),
    );
    Err(ResourceError::new(format!("the engine has no volume {key}"))
        .with_hint(near.unwrap_or_else(|| "`docker volume ls` lists those that it has".to_owned())))
}

/// The server whose data directory this is, or holds within two levels, where a copy taken while it runs would be none.
///
/// # Errors
/// It cannot be read.
pub(super) fn database_in(directory: &Path) -> Result<Option<&'static Server>> {
    let found = Server::in_directory(directory, 2)?.map(|(server, _)| server);
    Ok(found.filter(|server| server.is_torn_by_a_live_copy()))
}

/// The names that tell it from every other volume. A volume of another engine is another one.
pub(super) fn identity(volume: &Volume, cx: &Context) -> Vec<String> {
    match &volume.target {
        Target::Path(path) => vec![format!("directory {}", disk::real_path(&cx.resolve(path)).display())],
        Target::Volume(key) => {
            let named = real_name(volume.project.as_deref(), key, cx);
            // It may be gone; then it is the one that Compose would make.
            let of_project = volume.project.as_ref().map(|project| format!("{project}_{key}"));
            let name = named.ok().or(of_project).unwrap_or_else(|| key.clone());
            vec![docker::named_in_engine(cx, &format!("volume {name}"))]
        }
    }
}

/// The directory, where it is one of this host.
pub(super) fn grounds(volume: &Volume, cx: &Context) -> Vec<PathBuf> {
    match &volume.target {
        Target::Path(path) => vec![disk::real_path(&cx.resolve(path))],
        Target::Volume(_) => {
            let place = find(volume, cx).ok();
            place.iter().filter_map(Place::directory).map(disk::real_path).collect()
        }
    }
}
