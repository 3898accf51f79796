//! The second form of a copy: content in chunks, those that an earlier backup holds already not stored again; on the way back
//! only what differs is fetched and exchanged.
//!
//! A copy is `data-0001.pack` and its like, in which chunks lie compressed in blocks; `blocks.jsonl.zst`, where each block is;
//! and `index.jsonl.zst`, a line for each entry of the tree in the order of a walk. A pack that holds something which is
//! still needed is hard-linked from the earlier backup, so each backup is whole by itself: any other can be deleted, and the
//! file system counts who still needs the bytes.

mod attire;
mod cut;
mod differ;
mod entries;
mod fetch;
mod index;
mod names;
mod origin;
mod pack;
mod parcel;
mod patch;
mod put_back;
mod read;
mod staging;
mod store;

use serde::{Deserialize, Serialize};

pub(super) use attire::Attire;
pub(super) use differ::{Differences, differences};
pub(crate) use entries::{Keeper, Take, copy_entries, copy_marked, read as read_entries};
pub(crate) use fetch::share;
pub(super) use fetch::{Earlier, Known};
pub(super) use index::{Lines, Seen};
pub(super) use origin::{Backup, Host, send_wanted, wanted_path};
pub(super) use parcel::{Parcel, receive, send};
pub(super) use patch::{Item, Patch, STATE, State, plain};
pub(crate) use put_back::mark;
pub(super) use put_back::{Extent, Swapped, prepare, swap_in, swap_whole};
pub(super) use read::packed_index;
pub(crate) use read::prove;
pub(super) use store::{How, copy_directory, copy_parcels};

/// Bytes of content from which a copy is made in chunks, where nobody says otherwise: below it a whole archive costs less
/// than a look at what is known already.
pub(super) const LARGE: u64 = 256 * 1024 * 1024;

/// The form of a copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// One tar through zstd, which those two read alone.
    #[default]
    Archive,
    /// Chunks, shared with the backups before.
    Chunks,
}

impl Form {
    /// As an act's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Chunks => "chunks",
        }
    }
}

/// What the manifest says of a copy in chunks, beside what it says of every copy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Packed {
    /// When the tree began to be read, in seconds since 1970; of an archive, too. 0: not known.
    #[serde(default)]
    pub(super) begun: i64,
    /// Bytes of content in all blocks of all packs, also of those that only other backups need.
    pub(super) bytes: u64,
    /// Bytes of content that this copy stored anew.
    pub(crate) stored: u64,
}

impl Packed {
    /// Of an archive, whose tree began to be read then.
    pub(super) fn begun(begun: i64) -> Self {
        Self {
            begun,
            ..Self::default()
        }
    }
}
