//! The bucket whose objects are copied, as the settings describe it.

use std::path::PathBuf;
use std::sync::OnceLock;

use tokio::runtime::Runtime;

use crate::carry_over::CarryOver;
use crate::error::{ResourceError, Result};
use guard_model::name::ResourceName;
use guard_model::secret::Secret;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::s3::Address;

/// What the files are called here.
pub(crate) const KEY: &str = "s3";

/// What one is called, for people.
pub(crate) const NOUN: &str = "object";

/// Objects below a prefix.
pub(crate) struct Objects {
    pub(crate) name: ResourceName,
    pub(crate) address: Address,
    /// Where the two halves of the credentials stand.
    pub(crate) who: (Who, Who),
    /// The Compose service of the server itself.
    pub(crate) service: Option<String>,
    /// The services that write there.
    pub(crate) writers: Vec<String>,
    /// Which objects a rollback leaves where they are.
    pub(crate) carry_over: CarryOver,
    /// The threads that talk to the storage, from the first question on.
    pub(crate) runtime: OnceLock<Option<Runtime>>,
}

/// Where a half of the credentials stands.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Variable(String),
    File(PathBuf),
}

impl Who {
    pub(crate) fn read(&self, cx: &Context) -> Result<Secret> {
        let missing = |place: String| {
            ResourceError::new(format!("{place}, and the storage asks who is there"))
                .with_hint("name a variable with `access_key_env` and `secret_key_env`, or files with `…_file`")
        };
        let text = match self {
            Self::Variable(name) => cx
                .environment
                .text(name)
                .ok_or_else(|| missing(format!("the variable {name} is not set")))?
                .to_owned(),
            Self::File(path) => disk::read_text_optional(path)?
                .ok_or_else(|| missing(format!("there is no file {}", path.display())))?,
        };
        Ok(Secret::new(text.trim()))
    }
}
