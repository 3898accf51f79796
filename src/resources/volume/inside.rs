//! What guard does in a container beside a volume that no directory of this host shows: the same acts, on `/volume`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::archive;
use super::aside::is_ours;
use super::node::{Node, Shape};
use super::place;
use super::stage::Stage;
use super::swap::{Aside, Own, Seen, Side};
use crate::resources::{ResourceError, Result};
use crate::system::disk::{self, At};
use crate::system::docker::MOUNT;

/// What there is in a volume besides its content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Look {
    /// Bytes that are free.
    pub(super) free: u64,
    /// What lies aside, by name.
    pub(super) asides: BTreeMap<String, Seen>,
    /// The database whose data directory is in it.
    #[serde(default)]
    pub(super) database: Option<String>,
}

/// Looks at what lies aside in a live tree.
///
/// # Errors
/// It cannot be read.
pub(super) fn look(live: &Path) -> Result<Look> {
    let mut asides = BTreeMap::new();
    for path in disk::list(live)? {
        let Some(name) = path
            .file_name()
            .filter(|name| is_ours(name))
            .and_then(|name| name.to_str())
        else {
            continue;
        };
        if let Some(seen) = Aside::new(live, name).seen()? {
            asides.insert(name.to_owned(), seen);
        }
    }
    Ok(Look {
        free: disk::free_bytes(live)?,
        asides,
        // What cannot be looked at here tells for itself when it is copied.
        database: place::database_in(live, 2).ok().flatten().map(str::to_owned),
    })
}

/// Does an act in the volume at `/volume`. `libraries` alone is asked on the host: it tells what the program is linked with.
///
/// # Errors
/// The words mean nothing, or the act failed; it may be done again.
pub fn inside(words: &[String], input: &mut dyn Read) -> Result<String> {
    let live = Path::new(MOUNT);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = match words.as_slice() {
        ["libraries"] => return libraries(),
        ["look"] => serde_json::to_value(look(live)?),
        ["stage", name] => serde_json::to_value(stage(&named(live, name)?, input)?),
        ["seal", name, copy, own] => {
            let own: Own = serde_json::from_str(own)
                .map_err(|error| ResourceError::because("could not understand the volume's own entry", error))?;
            named(live, name)?.staged(copy, own)?;
            Ok(Value::Null)
        }
        ["swap", name, side @ ("before" | "after")] => {
            let side = if *side == "before" { Side::Before } else { Side::After };
            named(live, name)?.swap(side)?;
            Ok(Value::Null)
        }
        ["remove", name] => {
            named(live, name)?.remove()?;
            Ok(Value::Null)
        }
        _ => {
            return Err(ResourceError::new(
                "this is how guard calls itself inside of a volume; there is nothing in it for people",
            ));
        }
    };
    let told = told.map_err(|error| ResourceError::because("could not tell what was found", error))?;
    Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "told": told }).to_string())
}

fn named(live: &Path, name: &str) -> Result<Aside> {
    if is_ours(name.as_ref()) {
        Ok(Aside::new(live, name))
    } else {
        Err(ResourceError::new(format!("{name:?} is no name of guard's")))
    }
}

/// Builds the tree of an archive aside; it counts only when it is sealed, after the whole copy was found to be sound.
fn stage(aside: &Aside, input: &mut dyn Read) -> Result<Own> {
    let unstaged = |error| ResourceError::because("could not stage the copy", error);
    let place = aside.clear()?;
    let mut stage = Stage::new(&place).at("open", &place)?;
    archive::read(io::BufReader::with_capacity(256 * 1024, input), |node, data| {
        stage.make(node, data)
    })
    .map_err(unstaged)?;
    Ok(Own::of(&stage.finish().map_err(unstaged)?))
}

/// The files that are mapped into this process and hold code: the program's libraries.
fn libraries() -> Result<String> {
    let maps = Path::new("/proc/self/maps");
    let file = std::fs::File::open(maps).at("open", maps)?;
    let mut found = std::collections::BTreeSet::new();
    for line in io::BufReader::new(file).lines() {
        let line = line.at("read", maps)?;
        if let Some(at) = line.find('/') {
            let path = line.get(at..).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            if name.contains(".so") {
                found.insert(path.to_owned());
            }
        }
    }
    Ok(found.into_iter().map(|path| path + "\n").collect())
}

impl Own {
    /// Of the volume's own entry.
    pub(super) fn of(node: &Node) -> Self {
        Self {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            seconds: node.mtime.0,
            nanoseconds: node.mtime.1,
        }
    }

    /// As an entry.
    pub(super) fn node(self) -> Node {
        Node {
            path: Vec::new(),
            shape: Shape::Directory,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: 0,
            mtime: (self.seconds, self.nanoseconds),
            xattrs: Vec::new(),
        }
    }
}
