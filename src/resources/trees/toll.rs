//! What going back means for files: how many stay, how many are put aside, and how many come back, in numbers and sentences.

use serde::{Deserialize, Serialize};

use super::node::{Node, Shape};
use crate::names::escaped;
use guard_model::policy::DataRestore;
use guard_model::text::{self, sanitised};

/// So many files of a group are named; of more, a count says the rest.
const NAMED: usize = 3;

/// Files that share a fate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// How many: files, links and pipes; directories are not counted.
    count: u64,
    /// Bytes in them.
    bytes: u64,
    /// The first of them, their names escaped.
    names: Vec<String>,
}

impl Group {
    /// Counts an entry of a tree.
    pub(crate) fn count(&mut self, node: &Node) {
        if node.shape != Shape::Directory {
            self.add(&node.path, node.size);
        }
    }

    /// Counts a file of so many bytes.
    pub(crate) fn add(&mut self, path: &[u8], bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        if self.names.len() <= NAMED {
            self.names.push(escaped(path));
        }
    }

    /// Counts those of another group in.
    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        let room = (NAMED + 1).saturating_sub(self.names.len());
        self.names.extend(other.names.into_iter().take(room));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `13 files (2.0 MB): a.jpg, b.jpg, c.jpg, …`
    pub(crate) fn told(&self, noun: &str) -> String {
        format!("{}: {}", self.shown(noun), self.named())
    }

    /// `13 files (2.0 MB)`
    fn shown(&self, noun: &str) -> String {
        format!("{} ({})", text::plural(self.count, noun), text::bytes(self.bytes))
    }

    /// `a.jpg, b.jpg, c.jpg, …`
    fn named(&self) -> String {
        let mut names: Vec<String> = self.names.iter().take(NAMED).map(|name| sanitised(name)).collect();
        if self.count > names.len() as u64 {
            names.push("…".to_owned());
        }
        names.join(", ")
    }
}

/// What going back to a copy means for files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toll {
    /// The copy does not know them; nothing takes their place, and they go aside.
    pub(crate) came: Group,
    /// The same, where new files are kept and these are the release's own.
    pub(crate) own: Group,
    /// The copy does not know them, and they are kept where they are.
    pub(crate) kept: Group,
    /// They are others than in the copy: these go aside, and those of the copy come back.
    pub(crate) changed: Group,
    /// They are in the copy and not there any more: they come back.
    pub(crate) gone: Group,
}

impl Toll {
    /// Whether a file goes aside.
    fn takes(&self) -> bool {
        !(self.came.is_empty() && self.own.is_empty() && self.changed.is_empty())
    }

    /// How much goes aside, `13 files (2.0 MB)`; `None`: nothing.
    pub(crate) fn put_aside(&self, noun: &str) -> Option<String> {
        let mut all = self.came.clone();
        for group in [&self.own, &self.changed] {
            all.merge(group.clone());
        }
        (!all.is_empty()).then(|| all.shown(noun))
    }

    /// What is kept of what came since the copy, a sentence.
    pub(crate) fn keeps(&self, noun: &str) -> Option<String> {
        let kept = Some(&self.kept).filter(|kept| !kept.is_empty())?;
        Some(format!(
            "kept {} that came since the backup: {}",
            kept.shown(noun),
            kept.named()
        ))
    }

    /// What stays aside though new files are kept, since the backup has another under the same name, or the release wrote it.
    ///
    /// `run`: that which put it aside.
    pub(crate) fn leaves(&self, noun: &str, run: &str) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.changed.is_empty() {
            sentences.push(format!(
                "aside are newer versions of what the backup has too, {}",
                self.changed.told(noun)
            ));
        }
        if !self.own.is_empty() {
            sentences.push(format!(
                "aside is what was written while the deploy command ran, by the release or by people, {}",
                self.own.told(noun)
            ));
            // Nobody can tell by a file who wrote it then; so it is never left at that.
            sentences.push(format!(
                "`guard salvage {run}` lists it, and gives back what people wrote: `guard salvage {run} --files 'PATTERN'`"
            ));
        }
        sentences
    }

    /// What going back costs under this policy, each a sentence. `since`: when the copy was begun, where that is known.
    pub(crate) fn price(&self, noun: &str, since: Option<&str>, policy: DataRestore) -> Vec<String> {
        let since = since.map_or_else(|| "since the backup".to_owned(), |since| format!("since {since}"));
        let mut sentences = Vec::new();
        let mut say = |group: &Group, sentence: &dyn Fn(String) -> String| {
            if !group.is_empty() {
                sentences.push(format!("{}: {}", sentence(group.shown(noun)), group.named()));
            }
        };
        say(&self.kept, &|files| format!("keeps {files} in place that came {since}"));
        if policy == DataRestore::Never {
            for group in [&self.came, &self.own] {
                say(group, &|files| format!("keeps {files} that came {since}"));
            }
            say(&self.changed, &|files| {
                format!("keeps {files} as they are that changed {since}")
            });
            say(&self.gone, &|files| format!("leaves {files} gone that went {since}"));
            return sentences;
        }
        say(&self.came, &|files| format!("puts {files} aside that came {since}"));
        say(&self.own, &|files| {
            format!("puts {files} aside that came while the deploy command ran, by the release or by people")
        });
        say(&self.changed, &|files| {
            format!("puts {files} aside that changed {since}, and those of the backup back")
        });
        say(&self.gone, &|files| format!("brings back {files} that went {since}"));
        sentences
    }

    /// How what goes aside can be had again, a sentence; `None` where nothing goes. `run`: that which puts it aside.
    pub(crate) fn remedy(&self, run: &str, policy: DataRestore) -> Option<String> {
        if policy == DataRestore::Never || !self.takes() {
            return None;
        }
        let always = if self.came.is_empty() {
            ""
        } else {
            ", `carry_over = \"new-files\"` keeps new ones in every rollback"
        };
        Some(format!(
            "what goes aside is not lost: `guard salvage {run}` brings it back{always}"
        ))
    }

    /// What an undo costs, where `came` counts what was written since the rollback to what it exchanges.
    pub(crate) fn undo_price(&self, noun: &str) -> Vec<String> {
        self.price(noun, Some("the rollback"), DataRestore::Always)
    }
}

/// What came of a salvage, each a sentence: what stays `aside`, what has another under its name by now, what was `given` back.
/// `command` is how files are asked for.
pub(crate) fn salvaged((aside, other, given): (&Group, &Group, &Group), noun: &str, command: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    if !given.is_empty() {
        sentences.push(format!("gave back {}", given.told(noun)));
    }
    if !other.is_empty() {
        sentences.push(format!(
            "left aside, since others have the names by now, {}",
            other.told(noun)
        ));
    }
    if !aside.is_empty() {
        sentences.push(format!("aside and not live: {}", aside.told(noun)));
        if given.is_empty() {
            sentences.push(format!(
                "`{command}` gives them back; `**` stands for all, and `*.jpg` for a kind"
            ));
        }
    }
    if sentences.is_empty() {
        sentences.push(format!("no {noun} is aside that is not live as well"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::{Group, Toll};
    use guard_model::policy::DataRestore;

    fn group(count: u64) -> Group {
        let mut group = Group::default();
        (0..count).for_each(|number| group.add(format!("f{number}").as_bytes(), 1000));
        group
    }

    #[test]
    fn every_group_is_told_with_its_count_its_size_and_its_first_names() {
        let toll = Toll {
            came: group(13),
            changed: group(1),
            gone: group(2),
            ..Toll::default()
        };
        let sentences = toll.price("file", Some("14:00:07"), DataRestore::Auto);
        assert_eq!(
            sentences,
            [
                "puts 13 files (13 kB) aside that came since 14:00:07: f0, f1, f2, …",
                "puts 1 file (1 kB) aside that changed since 14:00:07, and those of the backup back: f0",
                "brings back 2 files (2 kB) that went since 14:00:07: f0, f1",
            ]
        );
        assert!(
            toll.remedy("latest", DataRestore::Auto)
                .is_some_and(|told| told.contains("carry_over"))
        );
        let sentences = toll.price("file", None, DataRestore::Never);
        assert!(sentences[0].starts_with("keeps 13 files") && toll.remedy("latest", DataRestore::Never).is_none());
        let kept = Toll {
            kept: group(2),
            ..Toll::default()
        };
        assert!(kept.remedy("latest", DataRestore::Auto).is_none());
        assert_eq!(
            kept.keeps("file").unwrap(),
            "kept 2 files (2 kB) that came since the backup: f0, f1"
        );
    }
}
