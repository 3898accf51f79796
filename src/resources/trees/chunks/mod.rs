//! The second form of a copy: content in chunks, those that an earlier backup holds already not stored again; on the way back
//! only what differs is fetched and exchanged.
//!
//! A copy is `data-0001.pack` and its like, in which chunks lie compressed in blocks; `blocks.jsonl.zst`, where each block is;
//! and `index.jsonl.zst`, a line for each entry of the tree in the order of a walk. A pack that holds something which is
//! still needed is hard-linked from the earlier backup, so each backup is whole by itself: any other can be deleted, and the
//! file system counts who still needs the bytes.

mod cut;
mod differ;
mod entries;
mod fetch;
pub(crate) mod form;
pub(crate) mod index;
mod message;
mod names;
mod origin;
mod pack;
mod put_back;
mod read;
mod staging;
mod store;

pub(crate) use self::differ::{Differences, differences};
pub(crate) use self::entries::{Keeper, Take, copy_entries, copy_marked, read as read_entries};
pub(crate) use self::fetch::{Earlier, Known, TICK, share};
pub(crate) use self::index::Lines;
pub(crate) use self::message::{Message, receive, send};
pub(crate) use self::origin::{Backup, Host, send_wanted, wanted_path};
pub(crate) use self::put_back::{Extent, Swapped, prepare, swap_in, swap_whole};
pub(crate) use self::read::{index as index_of, lists_of, packed_index, prove};
pub(crate) use self::store::{How, copy_directory, copy_messages};
