//! Resources: things with state that a deployment can change, and that guard can copy and put back. Register a kind here.

pub mod compose;
mod error;
mod files;
mod git;
pub mod images;
mod names;
mod postgres;
mod rows;
mod slot;
mod sqlite;
mod survey;
pub mod volume;

use std::path::{Path, PathBuf};

pub use error::ResourceError;
pub use slot::Slot;
pub use survey::{Obstacle, Survey};

use crate::model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use crate::model::fingerprint::Fingerprint;
use crate::model::foreign::Material;
use crate::model::name::ResourceName;
use crate::model::plan::StageName;
use crate::model::policy::DataRestore;
use crate::model::section::Section;
use crate::system::context::Context;
use crate::system::docker::Compose;

/// All kinds, in the order in which `guard init` offers them. To add one: a file here, and its line in this list.
pub const KINDS: &[Kind] = &[
    postgres::KIND,
    sqlite::KIND,
    volume::KIND,
    git::KIND,
    files::KIND,
    compose::KIND,
    images::KIND,
];

/// What an act on a resource returns.
pub type Result<T> = std::result::Result<T, ResourceError>;

/// A thing with state. Its acts block; the engine gives each a thread of its own.
///
/// Every act may be cut off at any instant and called again: whatever it makes outside has a name that follows from
/// `cx.token()` and the resource's name, so that a second call finds what the first one made.
pub trait Resource: Send + Sync {
    /// The name in `guard.toml`.
    fn name(&self) -> &ResourceName;

    /// What would keep this resource from being copied or put back, each a finding for `guard check`; production is only
    /// read. Empty: the way back is open.
    fn survey(&self, cx: &Context) -> Survey;

    /// What it is like now; cheap, and equal exactly when nothing has to be put back.
    ///
    /// # Errors
    /// It cannot be read.
    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint>;

    /// Copies it into the slot, and proves the copy. A slot that holds the leavings of an earlier try is written over.
    ///
    /// # Errors
    /// It cannot be read, the copy cannot be written, or the copy is not sound.
    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact>;

    /// Makes a copy in guard's own form from what somebody else made by hand; production is only read. The slot is used as by
    /// [`Resource::capture`], and what comes of it is restored in no other way.
    ///
    /// # Errors
    /// This kind takes no such part, or the part is not sound (`copy_is_bad`).
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let _ = (material, slot, cx);
        Err(ResourceError::new(format!(
            "{} takes nothing from a backup made by hand",
            self.name()
        )))
    }

    /// Reads the whole copy, and says that it is sound and is what the manifest lists. Production is not touched.
    ///
    /// # Errors
    /// It is not (`copy_is_bad`), or it cannot be read.
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let _ = cx;
        slot.compare(artifact)
    }

    /// Restores the copy beside the live resource, compares it, and removes it again: the strongest proof that a kind has.
    ///
    /// # Errors
    /// The copy is not sound (`copy_is_bad`), or it cannot be restored here.
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)
    }

    /// Removes what a capture of this run left standing by, when the run is over and it was not swapped in. What is gone
    /// already is fine.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn stand_down(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Stages the copy beside the live resource, so that the swap is short; production is not touched. Says whether there
    /// is anything to do, and what it costs.
    ///
    /// # Errors
    /// The copy is bad, or it cannot be staged.
    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared>;

    /// Swaps in what was prepared, and keeps what was there. Safe to repeat.
    ///
    /// # Errors
    /// The swap did not take place, or only a part of it did; repeating it goes on.
    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced>;

    /// Whether a restore has made sure by itself that what is live now is the copy, and what was taken along: it is not
    /// compared again then, which takes time, and fails where somebody writes already.
    fn is_compared(&self, displaced: &Displaced) -> bool {
        let _ = displaced;
        false
    }

    /// What a restore took along from the state that it displaced: the live resource is then meant to differ from the copy.
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        let _ = displaced;
        None
    }

    /// How the live resource compares with the copy.
    ///
    /// # Errors
    /// The copy's own description cannot be read. A live resource that cannot be read is `Live::Unknown`.
    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live>;

    /// Swaps back what a restore displaced, and returns what that displaced in turn, so that an undo can be undone. Safe
    /// to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or the swap failed.
    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced>;

    /// What going back to this copy would cost now, each a sentence: `discards 3 rows in users since 14:00:07`. Only reads.
    ///
    /// # Errors
    /// The live resource or the copy's description cannot be read.
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let _ = (artifact, cx);
        Ok(Vec::new())
    }

    /// Whether what a restore displaced has rows that can be salvaged.
    fn holds_rows(&self, displaced: &Displaced) -> bool {
        let _ = displaced;
        false
    }

    /// Writes the rows that only the displaced state has into a directory, but for those of `tables`, which are put into
    /// the live resource. Returns what was done, each a sentence. Safe to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or the rows cannot be read or written.
    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, tables, into, cx);
        Err(ResourceError::new(format!(
            "{} keeps no rows that could be salvaged",
            self.name()
        )))
    }

    /// Removes for good what a restore displaced, when retention says so. What is gone already is fine.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()>;

    /// Removes what `prepare` staged and nobody swapped in. What is gone already is fine.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        let _ = (prepared, cx);
        Ok(())
    }

    /// Lets go of what a copy holds outside of its backup, as a pinned image, when the backup is deleted. What is gone
    /// already is fine.
    ///
    /// # Errors
    /// It is there and cannot be let go.
    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let _ = (artifact, cx);
        Ok(())
    }

    /// Undoes what a killed act of this run left held, as a paused container; called before anything else is done.
    ///
    /// # Errors
    /// It cannot be undone.
    fn settle(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Keeps guards on any host from this resource for as long as what is returned lives; `holder` is what they are told, at
    /// most 63 bytes of it.
    ///
    /// # Errors
    /// It cannot be asked.
    fn hold(&self, holder: &str, cx: &Context) -> Result<Held> {
        let _ = (holder, cx);
        Ok(Held::Nothing)
    }

    /// The compose services that this resource needs running while it is copied and put back: a database's own.
    fn needs_running(&self) -> Vec<String> {
        Vec::new()
    }

    /// The compose services whose containers going back replaces or removes: until then they are the failed release, and
    /// may still write, so they are stopped first.
    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        let _ = prepared;
        Vec::new()
    }

    /// The Docker volumes and host paths whose users have to be stopped before a restore.
    fn occupies(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Something that is held until it is dropped.
pub trait Hold: Send {}

/// What came of [`Resource::hold`].
pub enum Held {
    /// The resource knows no such lock.
    Nothing,
    /// It is ours.
    Ours(Box<dyn Hold>),
    /// Somebody else has it; what they said of themselves.
    Theirs(String),
}

/// What all resources of a project share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The project's directory, absolute.
    pub directory: PathBuf,
    /// The Compose project, where there is one.
    pub compose: Option<Compose>,
}

/// What a kind makes of its table in `guard.toml`.
pub type Built = Option<Box<dyn Resource>>;

/// A kind of resource.
pub struct Kind {
    /// As in `kind = "postgres"`.
    pub key: &'static str,
    /// One line for `guard init` and the docs.
    pub about: &'static str,
    /// The stage ahead in which it is captured.
    pub captured_in: StageName,
    /// The stage back in which it is restored.
    pub restored_in: StageName,
    /// Reads the kind's own keys from its table. Problems are told to the section; `None` where there are any.
    pub build: fn(ResourceName, &mut Section<'_>, &Site) -> Built,
}

/// The kind of this key.
#[must_use]
pub fn kind(key: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.key == key)
}
