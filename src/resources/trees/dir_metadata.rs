//! Owner, mode, time and attributes of a directory that is on both sides: it cannot be exchanged, and is set instead.

use serde::{Deserialize, Serialize};

use super::attributes;
use super::node::{Node, Shape};
use crate::names::{escaped, unescaped};

/// What a directory on both sides has of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attire {
    mode: u32,
    uid: u32,
    gid: u32,
    time: (i64, u32),
    xattrs: Vec<(String, String)>,
    #[serde(default)]
    flags: u32,
}

impl Attire {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            time: node.mtime,
            xattrs: node
                .xattrs
                .iter()
                .map(|(name, value)| (name.clone(), escaped(value)))
                .collect(),
            flags: node.flags,
        }
    }

    /// Which of immutable and append-only it is to be, where this process can make it so.
    pub(crate) fn locks(&self) -> u32 {
        attributes::locks(attributes::settable(self.flags))
    }

    pub(crate) fn node(&self) -> Node {
        let plain = |(name, value): &(String, String)| Some((name.clone(), unescaped(value)?));
        Node {
            path: Vec::new(),
            shape: Shape::Directory,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: 0,
            mtime: self.time,
            xattrs: self.xattrs.iter().filter_map(plain).collect(),
            flags: self.flags,
        }
    }
}
