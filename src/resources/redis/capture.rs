//! The copy: what the server writes down of its memory when it is asked to, and where its files are.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::layout::{COPY, Details, Layout, Log, base};
use super::reach::Reach;
use super::reading::observe;
use super::server::{KEY, Redis};
use super::trial;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::Artifact;
use guard_system::context::Context;
use guard_system::disk::{At, sha256_file};

/// How long the server may take to write its memory down. A guess.
const LIMIT: Duration = Duration::from_mins(30);
/// How often it is asked whether it has.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a server of this state cannot be copied and put back, and what to do; `None` where it can.
///
/// # Errors
/// It cannot be asked.
pub(super) fn unfit(reach: &Reach, cx: &Context) -> Result<Option<(String, String)>> {
    let (replication, cluster) = (reach.info("replication", cx)?, reach.info("cluster", cx)?);
    if cluster.field("cluster_enabled") == "1" {
        let what =
            "the server is a node of a cluster: its keys are a part of the whole, and would not fit to the other nodes";
        let advice = "leave it to a backup of the whole cluster, or run the server without cluster mode";
        return Ok(Some((what.to_owned(), advice.to_owned())));
    }
    if matches!(replication.field("role"), "slave" | "replica") {
        let primary = format!(
            "{}:{}",
            replication.field("master_host"),
            replication.field("master_port")
        );
        let what = "the server is a replica, and takes over whatever its primary has";
        return Ok(Some((what.to_owned(), format!("name the primary, {primary}"))));
    }
    if replication.field("connected_slaves").parse::<u64>().unwrap_or(0) > 0 {
        // A replica follows its primary after the restore as well: nothing is in the way.
        cx.note(
            guard_model::event::Level::Detail,
            "the server has replicas, which follow it",
        );
    }
    Ok(None)
}

/// Where the server's files are.
///
/// # Errors
/// It cannot be told, or is not to be reached from here.
pub(super) fn layout(of: &Redis, reach: &Reach, cx: &Context) -> Result<Layout> {
    let directory = match (&of.path, reach.setting("dir", cx)) {
        (Some(path), _) => cx.resolve(path),
        (None, Some(told)) => reach.directory(&told, cx)?,
        (None, None) => {
            let what = "the server does not tell where its files are: CONFIG is forbidden or has another name";
            return Err(
                ResourceError::new(what).with_hint("set `path`, the directory of its dump.rdb, as it is on this host")
            );
        }
    };
    if !directory.is_dir() {
        let what = format!(
            "the server's directory, {}, cannot be reached from here",
            directory.display()
        );
        return Err(ResourceError::new(what)
            .with_hint("use `service` for a container, run guard on the server's own host as root, or set `path`"));
    }
    let setting = |name: &str, usual: &str| reach.setting(name, cx).unwrap_or_else(|| usual.to_owned());
    let is_logged = reach.info("persistence", cx)?.field("aof_enabled") == "1";
    let name = setting("appendfilename", "appendonly.aof");
    let version = version(reach, cx)?;
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or(0);
    let log = match (is_logged, major >= 7) {
        (false, _) => Log::None,
        (true, false) => Log::File(name),
        (true, true) => Log::Directory {
            directory: setting("appenddirname", "appendonlydir"),
            name,
        },
    };
    Ok(Layout {
        directory,
        rdb: setting("dbfilename", "dump.rdb"),
        log,
    })
}

/// The server's version; of Valkey, that of the Redis that it is like.
pub(super) fn version(reach: &Reach, cx: &Context) -> Result<String> {
    Ok(reach.info("server", cx)?.field("redis_version").to_owned())
}

pub(super) fn capture(of: &Redis, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let reach = Reach::open(of, cx)?;
    if let Some((what, advice)) = unfit(&reach, cx)? {
        return Err(ResourceError::new(what).with_hint(advice));
    }
    let layout = layout(of, &reach, cx)?;
    let taken_at = cx.clock.now();
    let since = taken_at.timestamp_millis();
    let before = observe(&reach, None, since, cx)?;
    save(&reach, cx)?;
    let place = layout.directory.join(&layout.rdb);
    let (entry, sha256) = copy(&place, slot)?;
    let after = observe(&reach, None, since, cx)?;
    let version = version(&reach, cx)?;
    let mut details = Details {
        version: version.clone(),
        layout,
        seen: after.clone(),
        taken_at,
        sha256,
        valkey: reach.info("server", cx)?.field("server_name") == "valkey",
    };
    let mut artifact = Artifact {
        resource: of.name.clone(),
        project: None,
        kind: KEY.to_owned(),
        summary: String::new(),
        fingerprint: after.print(),
        files: vec![entry],
        details: written(&details)?,
        not_kept: Vec::new(),
        tools: vec![("redis".to_owned(), version)],
    };
    // Where somebody wrote meanwhile, neither look is what the copy holds; it is loaded, and tells by itself.
    let was_written = !before.differences(&after, cx.clock.now().timestamp_millis()).is_empty();
    // What a module makes only a server with that module can load.
    let modules = reach.ask(0, &["MODULE", "LIST"], cx);
    let is_plain = modules.is_ok_and(|list| list.trim().is_empty());
    match trial::load(&reach, &artifact, slot, since, cx) {
        Ok(loaded) => {
            let now = cx.clock.now().timestamp_millis();
            let differences = loaded.differences(&after, now);
            if !was_written && !differences.is_empty() {
                let what = format!(
                    "the copy does not hold what the server has, in: {}",
                    differences.join(", ")
                );
                return Err(ResourceError::bad_copy(what));
            }
            details.seen = loaded;
        }
        Err(error) if was_written || (error.copy_is_bad && is_plain) => return Err(error),
        Err(error) => {
            let text = format!("{}: the copy could not be loaded to look at it: {error}", of.name);
            cx.note(guard_model::event::Level::Warn, text);
        }
    }
    artifact.fingerprint = details.seen.print();
    artifact.summary = details.seen.summary();
    artifact.details = written(&details)?;
    Ok(artifact)
}

/// The same as an artifact holds it.
fn written(details: &Details) -> Result<serde_json::Value> {
    serde_json::to_value(details).map_err(|error| ResourceError::because("could not describe the server", error))
}

/// Has the server write down what it has in memory, and waits for it.
pub(super) fn save(reach: &Reach, cx: &Context) -> Result<()> {
    let begun = cx.clock.steady();
    let mut is_asked = false;
    loop {
        if is_asked {
            let state = reach.info("persistence", cx)?;
            if state.field("rdb_bgsave_in_progress") == "0" {
                if state.field("rdb_last_bgsave_status") == "ok" {
                    return Ok(());
                }
                return Err(ResourceError::new("the server could not write its memory down")
                    .with_hint("see its log: its disk may be full, or the host out of memory"));
            }
        } else {
            match reach.ask(0, &["BGSAVE"], cx) {
                Ok(said) => is_asked = said.starts_with("Background saving started"),
                // One that is under way began before this copy; and the log may be rewritten just now.
                Err(error)
                    if ["already in progress", "child process"]
                        .iter()
                        .any(|sign| error.to_string().contains(sign)) => {}
                // The command was taken away: the other one does the same, and holds the server up meanwhile.
                Err(error) => return reach.ask(0, &["SAVE"], cx).map(|_| ()).map_err(|_| error),
            }
        }
        if cx.clock.steady().saturating_sub(begun) > LIMIT {
            return Err(ResourceError::new(
                "the server does not come to an end of writing its memory down",
            ));
        }
        if cx.stop.is_asked() {
            return Err(ResourceError::new("stopped while the server wrote its memory down"));
        }
        cx.clock.sleep(PAUSE);
    }
}

/// Copies the file as it is now: the server replaces it by another one, and never writes into it.
fn copy(place: &Path, slot: &Slot) -> Result<(guard_model::artifact::FileEntry, String)> {
    let metadata = std::fs::symlink_metadata(place).at("look at", place)?;
    if !metadata.is_file() {
        return Err(ResourceError::new(format!("{} is no plain file", place.display())));
    }
    let mut file = File::open(place).at("open", place)?;
    let mut staged = slot.stage(COPY)?;
    let mut digest = guard_system::disk::Digest::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer).at("read", place)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        digest.update(bytes);
        staged.write(bytes)?;
    }
    Ok((slot.keep(staged, COPY)?, digest.hex()))
}

/// Whether the server's files, while it is stopped, are those of a copy.
///
/// # Errors
/// They cannot be read.
pub(super) fn lies_there(details: &Details, layout: &Layout) -> Result<bool> {
    let place = match &layout.log {
        Log::None => layout.directory.join(&layout.rdb),
        Log::File(name) => layout.directory.join(name),
        Log::Directory { directory, name } => layout.directory.join(directory).join(base(name)),
    };
    if !guard_system::disk::exists(&place)? {
        return Ok(false);
    }
    Ok(sha256_file(&place)?.1 == details.sha256)
}
