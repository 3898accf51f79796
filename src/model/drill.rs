//! Drills: the catalogue of faults, what a drill writes down of one, and the comparison of two counts of the same things.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a drill is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillKind {
    /// What runs.
    Application,
    /// What is kept: rows and objects.
    Database,
    /// Files, and the machine that all of it is on.
    Configuration,
}

impl DrillKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Application, Self::Database, Self::Configuration];

    /// The word that is typed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Configuration => "configuration",
        }
    }
}

/// Who has to notice a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticedBy {
    /// The command's own exit code, or guard's watcher: nobody has to look.
    Itself,
    /// The probes: a watch that does not see it is blind.
    Probes,
    /// A person, since a release can answer well without what is lost. Probes may be faster.
    Person,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Until the way back has put it right: the drill itself puts nothing back.
    UntilPutBack,
    /// Until the run goes back: a fault of what is around, which no rollback can mend.
    UntilTurn,
    /// Until what ran is started again: a fault of the release that was live.
    UntilStart,
}

/// A fault that a drill can inject.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The word that is typed.
    pub name: &'static str,
    /// What it is about.
    pub kind: DrillKind,
    /// What is done.
    pub about: &'static str,
    /// What a drill of it proves.
    pub proves: &'static str,
    /// Who has to notice it.
    pub noticed_by: NoticedBy,
    /// How long it lasts.
    pub lasts: Lasts,
    /// Whether data goes back whatever `data_restore` says: a person who has lost rows would ask for that.
    pub needs_data_back: bool,
}

const fn fault(
    (name, kind): (&'static str, DrillKind),
    about: &'static str,
    proves: &'static str,
    noticed_by: NoticedBy,
    lasts: Lasts,
    needs_data_back: bool,
) -> Fault {
    Fault {
        name,
        kind,
        about,
        proves,
        noticed_by,
        lasts,
        needs_data_back,
    }
}

/// The catalogue. The first of a kind is the one of a short round.
pub const FAULTS: &[Fault] = &[
    fault(
        ("service-killed", DrillKind::Application),
        "a service is killed (SIGKILL) and stays down",
        "a release that dies is seen, and what ran before is started again",
        NoticedBy::Probes,
        Lasts::UntilPutBack,
        false,
    ),
    fault(
        ("service-stopped", DrillKind::Application),
        "a service is stopped as by hand",
        "a release that is not there is seen, and what ran before is started again",
        NoticedBy::Probes,
        Lasts::UntilPutBack,
        false,
    ),
    fault(
        ("service-restarting", DrillKind::Application),
        "a service is killed and started again, over and over",
        "a restart loop is seen although the service answers now and then",
        NoticedBy::Probes,
        Lasts::UntilTurn,
        false,
    ),
    fault(
        ("http-errors", DrillKind::Application),
        "every second answer to the probes is 500",
        "the share of errors is counted: no three need fail in a row",
        NoticedBy::Probes,
        Lasts::UntilStart,
        false,
    ),
    fault(
        ("http-slow", DrillKind::Application),
        "every answer to the probes comes 15 s late",
        "a release that hangs is as bad as one that fails",
        NoticedBy::Probes,
        Lasts::UntilStart,
        false,
    ),
    fault(
        ("guard-killed", DrillKind::Application),
        "guard itself is killed (SIGKILL) behind the deploy command",
        "the watcher, or whoever comes next, finishes the run; the deploy command does not run twice",
        NoticedBy::Itself,
        Lasts::UntilPutBack,
        false,
    ),
    fault(
        ("rows-deleted", DrillKind::Database),
        "every second row of the largest table is deleted",
        "every row that there was comes back",
        NoticedBy::Person,
        Lasts::UntilPutBack,
        true,
    ),
    fault(
        ("migration-fails", DrillKind::Database),
        "a migration adds a column and a table, and fails in its third statement",
        "a schema that is half new goes back to the old one",
        NoticedBy::Itself,
        Lasts::UntilPutBack,
        true,
    ),
    fault(
        ("objects-deleted", DrillKind::Database),
        "every second file of a volume is deleted, and one is written over",
        "every object comes back, with owner and mode",
        NoticedBy::Person,
        Lasts::UntilPutBack,
        true,
    ),
    fault(
        ("database-cut", DrillKind::Database),
        "the database's container is taken off its networks",
        "a release without its database is seen; the way back needs no such network",
        NoticedBy::Probes,
        Lasts::UntilTurn,
        false,
    ),
    fault(
        ("config-broken", DrillKind::Configuration),
        "every configuration file is written over, and the services are restarted",
        "configuration comes back with owner and mode, and is taken up",
        NoticedBy::Person,
        Lasts::UntilPutBack,
        false,
    ),
    fault(
        ("disk-full", DrillKind::Configuration),
        "the file system of the data is filled up to its last 64 MB until the run goes back",
        "guard still writes its journal there, and the way back has room once space is free",
        NoticedBy::Person,
        Lasts::UntilTurn,
        false,
    ),
];

impl Fault {
    /// The fault of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| fault.name == name)
    }
}

/// What is counted of one thing, by a road that no restore uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Its parts, by a name for people: `table public.users`, `files`, `commit`.
    pub parts: BTreeMap<String, Part>,
}

/// What a part consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Rows of a table.
    Rows,
    /// Files, directories and links.
    Files,
    /// One thing that is the same or is not: a commit, a sequence, a schema.
    Facts,
}

/// One part of a census.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it consists of.
    pub counts: Counts,
    /// How many there are.
    pub number: u64,
    /// One digest over all of them, whatever their order.
    pub digest: String,
    /// Each by itself, in order: the digest of a row, or a path with what is there. `None`: too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<String>>,
    /// The columns that the digests are of, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

impl Census {
    /// The census without the parts, and without the files, whose names begin like one of these: `db/table public.sessions`,
    /// `objects/tmp/`. `resource` is what it is of.
    #[must_use]
    pub fn without(mut self, resource: &str, ignored: &[String]) -> Self {
        let own: Vec<&str> = ignored
            .iter()
            .filter_map(|ignored| ignored.strip_prefix(resource)?.strip_prefix('/'))
            .filter(|prefix| !prefix.is_empty())
            .collect();
        if own.is_empty() {
            return self;
        }
        let is_ignored = |name: &str| own.iter().any(|prefix| name.starts_with(prefix));
        self.parts.retain(|name, _| !is_ignored(name));
        for part in self.parts.values_mut().filter(|part| part.counts == Counts::Files) {
            if let Some(members) = &mut part.members {
                members.retain(|member| !is_ignored(member));
                part.number = members.len() as u64;
                // The members tell all; what was ignored is in the digest.
                part.digest = String::new();
            }
        }
        self
    }
}

/// How the same things were before a fault and after its way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What is not the same, each a sentence.
    pub differing: Vec<String>,
    /// Rows and files of before that are missing after.
    pub lost: u64,
    /// Rows and files that were written since, and are not there any more.
    pub discarded: u64,
    /// Those that were written since, and are still there.
    pub kept: u64,
}

/// So many single names are told of a difference.
const TOLD: usize = 3;

/// Compares what was counted before a fault with what is there after the way back. `failed` is the count between the two, where
/// there is one. `keeps`: what was written since may have stayed, by the settings.
#[must_use]
pub fn compare(before: &Census, failed: Option<&Census>, after: &Census, keeps: bool) -> Comparison {
    let mut found = Comparison::default();
    for (name, then) in &before.parts {
        let between = failed.and_then(|failed| failed.parts.get(name));
        if let Some(now) = after.parts.get(name) {
            of_part(name, (then, between, now), keeps, &mut found);
            continue;
        }
        found.differing.push(format!("{name} is not there any more"));
        if then.counts != Counts::Facts {
            found.lost += then.number;
        }
    }
    for name in after.parts.keys().filter(|name| !before.parts.contains_key(*name)) {
        found.differing.push(format!("{name} was not there before"));
    }
    found
}

fn of_part(name: &str, (then, between, now): (&Part, Option<&Part>, &Part), keeps: bool, found: &mut Comparison) {
    if then.columns != now.columns {
        found.differing.push(format!("{name} has other columns"));
        return;
    }
    let noun = match then.counts {
        Counts::Rows => "row",
        Counts::Files => "file",
        Counts::Facts => {
            // Numbers that were given out since are not given out again: a sequence stays where the failed state had it.
            let is_ahead = |between: &Part| between.digest == now.digest || keeps;
            let is_ahead = name.starts_with("sequence ") && between.is_some_and(is_ahead);
            if then.digest != now.digest && !is_ahead {
                found.differing.push(format!("{name} is another one"));
            }
            return;
        }
    };
    let (Some(then_all), Some(now_all)) = (&then.members, &now.members) else {
        found.discarded += between.map_or(0, |between| between.number.saturating_sub(now.number));
        if (then.number, &then.digest) != (now.number, &now.digest) {
            found.lost += then.number.saturating_sub(now.number);
            let what = format!("{name} held {} {noun}s and holds {}", then.number, now.number);
            found.differing.push(if then.number == now.number {
                format!("{name} holds as many {noun}s, and not the same")
            } else {
                what
            });
        }
        return;
    };
    let since = between.and_then(|between| between.members.as_ref());
    let since = since.map(|between| beyond(between, then_all)).unwrap_or_default();
    found.discarded += beyond(&since, now_all).len() as u64;
    let missing = beyond(then_all, now_all);
    let extra = beyond(now_all, then_all);
    let (stayed, extra): (Vec<&String>, Vec<&String>) =
        extra.iter().partition(|one| keeps && since.binary_search(one).is_ok());
    found.kept += stayed.len() as u64;
    found.lost += missing.len() as u64;
    for (what, which) in [
        ("missing", missing.iter().collect::<Vec<_>>()),
        ("there that were not there before", extra),
    ] {
        if which.is_empty() {
            continue;
        }
        let paths: Vec<&str> = match then.counts {
            Counts::Files => which.iter().take(TOLD).map(|one| path_of(one)).collect(),
            Counts::Rows | Counts::Facts => Vec::new(),
        };
        let more = if which.len() > paths.len() { " …" } else { "" };
        let told = if paths.is_empty() {
            String::new()
        } else {
            format!(": {}{more}", paths.join(", "))
        };
        found
            .differing
            .push(format!("{name}: {} {noun}s are {what}{told}", which.len()));
    }
}

/// The path in the member of a tree.
fn path_of(member: &str) -> &str {
    member.split('\t').next().unwrap_or(member)
}

/// What is in the one and not in the other, as often as it is there more often; both are in order, and so is this.
fn beyond(one: &[String], other: &[String]) -> Vec<String> {
    let mut others = other.iter().peekable();
    let mut found = Vec::new();
    for member in one {
        while others.next_if(|next| *next < member).is_some() {}
        if others.next_if(|next| *next == member).is_none() {
            found.push(member.clone());
        }
    }
    found
}

/// What came of one drill; a line in the book of drills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillResult {
    /// The fault's name.
    pub fault: String,
    /// What it was about.
    pub kind: DrillKind,
    /// The run.
    pub run: String,
    /// When it was over.
    pub at: DateTime<Utc>,
    /// Whether all was as before: rows, files, images, commit.
    pub equal: bool,
    /// What was not, each a sentence.
    #[serde(default)]
    pub differing: Vec<String>,
    /// What was compared, by resource; each with how.
    #[serde(default)]
    pub compared: Vec<String>,
    /// What was not compared, each with why.
    #[serde(default)]
    pub not_compared: Vec<String>,
    /// From the fault to the turn, in seconds: how long it took to notice. `None`: it was not reached.
    #[serde(default)]
    pub noticed: Option<f64>,
    /// From the turn until production was well again, in seconds.
    #[serde(default)]
    pub back: Option<f64>,
    /// The recovery time, RTO: from the fault until production was well again as the probes saw it, in seconds.
    #[serde(default)]
    pub rto: Option<f64>,
    /// Rows and files that were there before the backup, and are missing: 0 in a drill that passed.
    pub lost: u64,
    /// Rows and files that were written since the backup, and went with the way back.
    pub discarded: u64,
    /// Those that were written since, and stayed.
    pub kept: u64,
    /// Whether nobody had to decide: the command, the watcher or the probes turned the run back.
    pub was_noticed: bool,
    /// Whether the drill passed.
    pub passed: bool,
    /// guard's exit code for it.
    pub exit: u8,
    /// Why it did not pass, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(counts: Counts, members: &[&str]) -> Part {
        let mut members: Vec<String> = members.iter().map(|one| (*one).to_owned()).collect();
        members.sort();
        Part {
            counts,
            number: members.len() as u64,
            digest: members.join("+"),
            members: Some(members),
            columns: Vec::new(),
        }
    }

    fn census(parts: &[(&str, Part)]) -> Census {
        Census {
            parts: parts
                .iter()
                .map(|(name, part)| ((*name).to_owned(), part.clone()))
                .collect(),
        }
    }

    #[test]
    fn names_are_unique_and_every_kind_has_a_fault() {
        let mut names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len());
        for kind in DrillKind::ALL {
            assert!(FAULTS.iter().any(|fault| fault.kind == kind), "{}", kind.as_str());
        }
    }

    #[test]
    fn a_row_that_is_missing_one_too_many_and_one_that_differs_are_each_told() {
        let before = census(&[("table users", part(Counts::Rows, &["a", "b", "b"]))]);
        assert_eq!(compare(&before, None, &before, false), Comparison::default());
        for (after, lost) in [
            (vec!["a", "b"], 1),
            (vec!["a", "b", "b", "c"], 0),
            (vec!["a", "b", "x"], 1),
        ] {
            let after = census(&[("table users", part(Counts::Rows, &after))]);
            let found = compare(&before, None, &after, false);
            assert_eq!(found.lost, lost, "{after:?}");
            assert!(!found.differing.is_empty(), "{after:?}");
        }
        let gone = compare(&before, None, &Census::default(), true);
        assert_eq!((gone.lost, gone.differing.len()), (3, 1));
        assert_eq!(compare(&Census::default(), None, &before, true).differing.len(), 1);
    }

    #[test]
    fn what_was_written_since_is_discarded_or_kept_and_never_lost() {
        let before = census(&[("table users", part(Counts::Rows, &["a", "b"]))]);
        let failed = census(&[("table users", part(Counts::Rows, &["b", "new", "newer"]))]);
        let all_back = compare(&before, Some(&failed), &before, false);
        assert_eq!((all_back.discarded, all_back.lost, all_back.kept), (2, 0, 0));
        assert!(all_back.differing.is_empty());
        let carried = census(&[("table users", part(Counts::Rows, &["a", "b", "newer"]))]);
        let kept = compare(&before, Some(&failed), &carried, true);
        assert_eq!((kept.discarded, kept.kept), (1, 1));
        assert!(kept.differing.is_empty());
        // Where nothing may stay, the same is a difference; and so is a row that nobody wrote.
        assert!(!compare(&before, Some(&failed), &carried, false).differing.is_empty());
        let foreign = census(&[("table users", part(Counts::Rows, &["a", "b", "foreign"]))]);
        assert!(!compare(&before, Some(&failed), &foreign, true).differing.is_empty());
    }

    #[test]
    fn many_rows_are_compared_by_their_number_and_one_digest() {
        let large = |number: u64, digest: &str| {
            let part = Part {
                members: None,
                number,
                digest: digest.to_owned(),
                ..part(Counts::Rows, &[])
            };
            census(&[("table users", part)])
        };
        let before = large(10, "x");
        assert!(compare(&before, None, &before, false).differing.is_empty());
        assert!(!compare(&before, None, &large(10, "y"), false).differing.is_empty());
        let fewer = compare(&before, Some(&large(12, "z")), &large(7, "y"), false);
        assert_eq!((fewer.lost, fewer.discarded), (3, 5));
    }

    #[test]
    fn what_is_ignored_is_not_compared_and_nothing_else_is_ignored() {
        let files = census(&[
            ("files", part(Counts::Files, &["a\t1", "tmp/b\t2"])),
            ("commit", part(Counts::Facts, &["x"])),
        ]);
        let left = files
            .clone()
            .without("objects", &["objects/tmp/".to_owned(), "other/a".to_owned()]);
        assert_eq!(left.parts["files"].number, 1);
        assert_eq!(left.parts.len(), 2);
        assert_eq!(files.clone().without("objects", &["objects/".to_owned()]), files);
    }
}
