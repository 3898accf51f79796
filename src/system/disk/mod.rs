//! Files: written whole or not at all, private, on disk before anyone believes it. Only ENOENT means absent.

mod digest;
mod dir;
mod error;
mod look;
mod make;
mod staged;
mod tree;

pub use digest::{Digest, hex, sha256_file, sha256_hex};
pub use dir::{Dir, Object, is_elsewhere};
pub use error::{At, DiskError};
pub use look::{
    directories, exists, exposure, free_bytes, is_real_directory, list, read_optional, read_text_optional, real_path,
    used_percent,
};
pub use make::{
    create_new_dir, create_private_dir, create_private_file, open_append, overwrite, remove_file, set_mode,
    sync_directory, take_room,
};
pub use staged::{Staged, remove_strays, write_whole};
pub use tree::{
    exchange, exchange_unsynced, move_new, move_new_unsynced, remove_empty, remove_tree, replace, sibling, weight,
};
