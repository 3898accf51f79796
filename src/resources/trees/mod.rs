//! Trees of files: how they are walked, copied in chunks or as an archive, compared, staged, and exchanged for what is live.

pub(crate) mod archive;
pub(crate) mod attributes;
pub(crate) mod census;
pub(crate) mod chunks;
pub(crate) mod compressed;
pub(crate) mod copied;
pub(crate) mod details;
pub(crate) mod exchange;
pub(crate) mod exchange_record;
pub(crate) mod filesystem;
pub(crate) mod frames;
pub(crate) mod keep;
pub(crate) mod made_volume;
mod merge;
pub(crate) mod metadata;
pub(crate) mod node;
mod opened;
pub(crate) mod pin;
pub(crate) mod private_names;
pub(crate) mod put_aside;
pub(crate) mod stage;
pub(crate) mod stand_in;
pub(crate) mod toll;
pub(crate) mod walk;
