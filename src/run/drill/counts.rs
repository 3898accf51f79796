//! All resources counted at one moment, and two such counts compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::drill::record::{read, write};
use guard_model::drill::{Census, compare};
use guard_model::name::ResourceName;
use guard_model::text;
use guard_resources::Member;
use guard_system::context::Context;
use guard_system::disk::DiskError;

/// When a count is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the backup.
    Before,
    /// While the way back has stopped what writes, and has put nothing back.
    Failed,
    /// Behind the way back.
    After,
}

impl When {
    fn file(self) -> &'static str {
        match self {
            Self::Before => "counted-before.json",
            Self::Failed => "counted-failed.json",
            Self::After => "counted-after.json",
        }
    }
}

/// What all resources hold.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// By resource.
    pub found: BTreeMap<String, Census>,
    /// Those that were not counted, each with why.
    pub not_counted: BTreeMap<String, String>,
}

/// All that differs between two counts.
#[derive(Debug, Default)]
pub struct Differences {
    /// Each a sentence.
    pub differing: Vec<String>,
    /// What was compared, by resource.
    pub compared: Vec<String>,
    /// What was not, each with why.
    pub not_compared: Vec<String>,
    /// Rows and files of before that are missing.
    pub lost: u64,
    /// Rows and files that were written since and are gone.
    pub discarded: u64,
    /// Those that stayed.
    pub kept: u64,
}

impl Counts {
    /// Counts all of these, as far as each can be; `like` is an earlier count.
    #[must_use]
    pub fn of(
        resources: &BTreeMap<ResourceName, Arc<Member>>,
        earlier: (Option<&Self>, &[String]),
        cx: &Context,
    ) -> Self {
        let mut counts = Self::default();
        counts.take(resources.values().map(Arc::as_ref), earlier, cx);
        counts
    }

    /// Counts these as well.
    pub fn take<'m>(
        &mut self,
        members: impl Iterator<Item = &'m Member>,
        (like, ignored): (Option<&Self>, &[String]),
        cx: &Context,
    ) {
        for member in members {
            let (resource, there) = member.at(cx);
            let name = resource.name().to_string();
            let like = like.and_then(|like| like.found.get(&name));
            match resource.census(like, &there) {
                Ok(Some(census)) => {
                    let census = census.without(&name, ignored);
                    self.found.insert(name, census);
                }
                Err(error) => {
                    self.not_counted.insert(name, cx.redaction.clean(&text::chain(&error)));
                }
                Ok(None) => {
                    let why = "guard knows no road to it but the one that a restore uses".to_owned();
                    self.not_counted.insert(name, why);
                }
            }
        }
    }

    /// The count of a run, where it was taken.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn kept(when: When, run: &Path) -> Result<Option<Self>, DiskError> {
        read(run, when.file())
    }

    /// Keeps it in the run's directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, when: When, run: &Path) -> Result<(), DiskError> {
        write(run, when.file(), self)
    }

    /// How this count, of before, differs from the one `after`. `keeps` says of a resource whether what was written since may
    /// have stayed.
    #[must_use]
    pub fn differences(&self, failed: Option<&Self>, after: &Self, keeps: impl Fn(&str) -> bool) -> Differences {
        let mut all = Differences::default();
        for (name, census) in &self.found {
            let Some(now) = after.found.get(name) else {
                let why = after.not_counted.get(name).map_or("it is gone", String::as_str);
                all.differing
                    .push(format!("{name} could be counted before, and not after: {why}"));
                continue;
            };
            let between = failed.and_then(|failed| failed.found.get(name));
            let found = compare(census, between, now, keeps(name));
            let told = found.differing.into_iter().map(|what| format!("{name}: {what}"));
            all.differing.extend(told);
            all.lost += found.lost;
            all.discarded += found.discarded;
            all.kept += found.kept;
            all.compared.push(format!("{name}: {}", words(census)));
        }
        let uncounted = self.not_counted.iter().map(|(name, why)| format!("{name}: {why}"));
        all.not_compared.extend(uncounted);
        all
    }
}

/// What a census holds, for people.
fn words(census: &Census) -> String {
    use guard_model::drill::Counts as Kind;
    let of = |kind: Kind| census.parts.values().filter(move |part| part.counts == kind);
    let (rows, files): (u64, u64) = (
        of(Kind::Rows).map(|part| part.number).sum(),
        of(Kind::Files).map(|part| part.number).sum(),
    );
    let tables = of(Kind::Rows).count();
    let mut told = Vec::new();
    if tables > 0 {
        told.push(format!(
            "{} in {}",
            text::plural(rows, "row"),
            text::plural(tables as u64, "table")
        ));
    }
    if of(Kind::Files).count() > 0 {
        told.push(text::plural(files, "file"));
    }
    let facts: Vec<&str> = census
        .parts
        .iter()
        .filter(|(_, part)| part.counts == Kind::Facts)
        .map(|(name, _)| name.as_str())
        .collect();
    if facts.len() > 6 {
        told.push(text::plural(facts.len() as u64, "further fact"));
    } else {
        told.extend(facts.into_iter().map(str::to_owned));
    }
    told.join(", ")
}
