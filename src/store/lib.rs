//! The store: a directory of backups, each immutable, listed by a manifest that only this installation can have made.
//!
//! A backup without a manifest does not exist. Backups are ordered by the generation in their manifests, never by time.

mod choose;
mod draft;
mod error;
mod foreign;
mod ground;
mod key;
mod listing;
mod manifest;
mod marker;
mod mount;
mod recompress;
mod remote;
mod remove;
mod retention;
mod sample;
mod store;
mod sums;
mod trial;
mod verdict;
mod verify;

pub use choose::{Scope, candidates, holding, newest};
pub use draft::{Draft, ManifestInput};
pub use error::{Fault, Result, StoreError};
pub use foreign::{Foreign, ForeignKind, ForeignPart, find as find_foreign};
pub use listing::{Backup, Listed};
pub use manifest::{GitState, Identities, Knowledge, Manifest, SCHEMA};
pub use recompress::Recompressed;
pub use remote::{About, Address, Copied, Credentials, Patience, Remote, RemoteError};
pub use remove::Last;
pub use retention::{Keep, Removal, Why, clock_doubt, plan_removals, plan_retention};
pub use sample::{Sample, Sampled};
pub use store::Store;
pub use verify::Verified;
