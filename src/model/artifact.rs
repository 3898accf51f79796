//! What a capture leaves in the backup, and what a restore stages and displaces.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fingerprint::Fingerprint;
use super::name::ResourceName;

/// The copy of one resource inside a backup, as its manifest lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// The resource that was copied.
    pub resource: ResourceName,
    /// The further project that it belongs to; `None`: the one that the settings are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Its kind, as in `kind = "postgres"`.
    pub kind: String,
    /// What the resource was like when it was copied.
    pub fingerprint: Fingerprint,
    /// The files of the copy.
    pub files: Vec<FileEntry>,
    /// What the kind itself needs to put it back; its own type, known to nobody else.
    pub details: Value,
    /// One line for people: `app: 12 tables, 48,210 rows`.
    pub summary: String,
    /// What could not be kept, each a sentence: `socket run/app.sock`.
    pub not_kept: Vec<String>,
    /// The tools that made it, and their versions: `("pg_dump", "17.6")`.
    pub tools: Vec<(String, String)>,
}

impl Artifact {
    /// Bytes that the copy takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file of the copy that was written under this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name() == name)
    }
}

/// One file of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below the backup's directory, `/` between components: `db/dump.pgc`.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
}

/// What the path of a file ends with whose content is encrypted.
pub const SEALED: &str = ".age";

impl FileEntry {
    /// Whether its content is encrypted.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.path.ends_with(SEALED)
    }

    /// The last part of its path, as it was before it was encrypted: `dump.pgc` for `db/dump.pgc.age`.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(SEALED).unwrap_or(name)
    }
}

/// What `prepare` has staged beside the live resource, or that nothing is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// The resource.
    pub resource: ResourceName,
    /// Whether there is anything to swap in.
    pub work: Work,
    /// What the kind itself needs to swap it in.
    pub details: Value,
    /// What going back costs, each a sentence: `discards 3 rows in users since 14:00:07`.
    pub price: Vec<String>,
}

/// Whether a resource has to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", from = "WrittenWork")]
pub enum Work {
    /// It is as it was: nothing is restored.
    Unchanged,
    /// It differs in these parts: `["schema", "table users"]`.
    Changed(Vec<String>),
    /// It differs, but the policy leaves it alone, for this reason; the rest can go back without it.
    Left(String),
    /// It differs, the policy forbids to put it back, and the rest cannot live with it as it is: nothing goes back.
    Withheld(String),
    /// The backup is not whole any more, for this reason: there is nothing to go back to, and nothing goes back.
    Gone(String),
}

/// What a journal holds in the place of a [`Work`].
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenWork {
    Unchanged,
    Changed(Vec<String>),
    Left(String),
    Withheld(String),
    Gone(String),
}

/// How a reason began, in journals of before [`Work::Gone`], where the backup was not whole any more.
const GONE: &str = "the backup is not whole any more: ";

impl From<WrittenWork> for Work {
    fn from(written: WrittenWork) -> Self {
        match written {
            WrittenWork::Unchanged => Self::Unchanged,
            WrittenWork::Changed(parts) => Self::Changed(parts),
            WrittenWork::Left(why) => Self::Left(why),
            WrittenWork::Withheld(why) => match why.strip_prefix(GONE) {
                Some(why) => Self::Gone(why.to_owned()),
                None => Self::Withheld(why),
            },
            WrittenWork::Gone(why) => Self::Gone(why),
        }
    }
}

impl Work {
    /// Why nothing may go back, where that is so: the policy forbids it, or there is nothing whole to go back to.
    #[must_use]
    pub fn forbids(&self) -> Option<String> {
        match self {
            Self::Withheld(why) => Some(why.clone()),
            Self::Gone(why) => Some(format!("{GONE}{why}")),
            Self::Unchanged | Self::Changed(_) | Self::Left(_) => None,
        }
    }

    /// Whether a restore has something to do.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        matches!(self, Self::Changed(_))
    }
}

/// What a restore has put aside; `undo` swaps it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Displaced {
    /// The resource.
    pub resource: ResourceName,
    /// What the kind itself needs to swap it back. `null`: nothing was displaced.
    pub details: Value,
    /// Where the displaced state is, for people: `database app__failed_20251022_153000_deploy`.
    pub kept_as: Vec<String>,
}

/// The key in the details of what was displaced that says that it has rows, which `guard salvage` can bring back.
pub const ROWS: &str = "rows";

/// The key in the details of what was displaced that says how many files it has, which `guard salvage` can give back:
/// `13 files (2.0 MB)`.
pub const FILES: &str = "put_aside";

/// The key in the details of what was prepared that says that its price is told once it is put back: it decides nothing.
pub const PRICE_LATER: &str = "price_later";

impl Prepared {
    /// Whether its price is told once it is put back, and what is said of it until then is only that.
    #[must_use]
    pub fn is_priced_later(&self) -> bool {
        self.details
            .get(PRICE_LATER)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// Takes the price that was told once it was put back.
    pub fn tell_price(&mut self, price: &[String]) {
        price.clone_into(&mut self.price);
        if let Some(details) = self.details.as_object_mut() {
            details.remove(PRICE_LATER);
        }
    }
}

impl Displaced {
    /// How many files it has that `guard salvage` can give back, `13 files (2.0 MB)`; `None`: none.
    #[must_use]
    pub fn files(&self) -> Option<&str> {
        self.details.get(FILES).and_then(Value::as_str)
    }

    /// Whether it has rows that `guard salvage` can bring back.
    #[must_use]
    pub fn holds_rows(&self) -> bool {
        self.details.get(ROWS).and_then(Value::as_bool).unwrap_or_default()
    }
}

/// What a restore took along from the displaced state, so that the live resource is meant to differ from the copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarriedOver {
    /// What the live resource is meant to be like.
    pub becomes: Fingerprint,
    /// What was taken along and what was not, each a sentence: `carried 2 rows over into users`.
    pub sentences: Vec<String>,
}

/// How a live resource compares with a copy of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Live {
    /// The live resource is as the copy.
    Matches,
    /// It differs in these parts.
    Differs(Vec<String>),
    /// It could not be compared, for this reason. Never counted as a match.
    Unknown(String),
}
