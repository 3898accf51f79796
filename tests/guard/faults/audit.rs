//! The order of the real guard's calls: nothing is renamed before it is synced, nothing is called done before it is durable,
//! and nothing live is touched before the way back is announced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use guard::journal::read;
use guard::model::fact::Fact;

use crate::figures::reached;
use crate::support::embedded::Embedded;
use crate::traced::{Blow, Call, Journey, traced};

/// What may be lost: readings, output and evidence for people, who holds the lock.
const MAY_BE_LOST: [&str; 9] = [
    "lock",
    ".locks",
    "probes.jsonl",
    "pace.jsonl",
    "watches.jsonl",
    "events",
    "deploy.log",
    ".gitignore",
    "evidence",
];

/// A disk that remembers what was not synced, fed with the calls of a run.
#[derive(Default)]
struct Auditor {
    /// Files with bytes that no sync has followed.
    unsynced: BTreeSet<PathBuf>,
    /// Names that no sync of their directory has followed.
    unnamed: BTreeSet<PathBuf>,
    wrong: Vec<String>,
}

fn may_be_lost(path: &Path) -> bool {
    path.iter().any(|part| {
        MAY_BE_LOST
            .iter()
            .any(|name| part.as_encoded_bytes() == name.as_bytes())
    })
}

impl Auditor {
    fn sees(&mut self, call: &Call) {
        match call.name.as_str() {
            _ if may_be_lost(&call.path) => {}
            "write" | "pwrite64" | "writev" | "copy_file_range" | "sendfile" | "ftruncate" => {
                self.unsynced.insert(call.path.clone());
            }
            "fsync" | "fdatasync" => {
                self.unsynced.remove(&call.path);
                self.unnamed.retain(|name| name.parent() != Some(&call.path));
            }
            // The whole file system.
            "syncfs" => {
                self.unsynced.clear();
                self.unnamed.clear();
            }
            "mkdir" | "mkdirat" => {
                self.unnamed.insert(call.path.clone());
            }
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                if self.unsynced.contains(&call.path) {
                    let (from, to) = (call.path.display(), call.to.display());
                    self.wrong.push(format!("{from} became {to} before it was synced"));
                }
                self.unnamed.insert(call.to.clone());
            }
            "unlink" | "unlinkat" => {
                self.unsynced.remove(&call.path);
                self.unnamed.remove(&call.path);
            }
            _ => {}
        }
    }

    fn wants_all_durable(&mut self, when: &str, journal: &Path) {
        let files = self.unsynced.iter().filter(|file| *file != journal);
        for path in files.chain(&self.unnamed) {
            self.wrong
                .push(format!("{} is not durable when {when}", path.display()));
        }
    }
}

/// The moments at which nobody else is at work, and all that was done has to be durable.
fn is_quiet(fact: &Fact) -> bool {
    match fact {
        Fact::Begun { step } => ["seal", "deploy", "quiesce", "start", "prove"].contains(&step.as_str()),
        Fact::RollbackBegan { .. } | Fact::Closed { .. } => true,
        _ => false,
    }
}

/// Whether a call leaves production as it is: a file is opened, what others wrote is flushed, or the way back is tried on the
/// very ground, with a file that never has a name, or a directory of guard's own in the repository.
fn is_trial(call: &Call) -> bool {
    let is_nameless = call.path.to_string_lossy().ends_with(" (deleted)");
    ["openat", "fsync", "syncfs"].contains(&call.name.as_str())
        || is_nameless
        || call.path.ends_with(".git/guard-check")
}

fn audit(project: &Embedded, calls: &[Call]) -> Vec<String> {
    let run = project.newest_run();
    let (journal, records) = (run.join(guard::journal::FILE), read(&run).unwrap());
    let mut auditor = Auditor::default();
    let (mut written, mut turned, mut is_named) = (0, false, false);
    for call in calls {
        // A new journal can be found after a power loss before its first record says anything.
        is_named |= call.name == "fsync" && call.path == run;
        is_named &= call.name != "openat" || call.path != journal;
        let is_record = call.path == journal && call.name == "pwrite64";
        if is_record {
            let fact = &records[written].fact;
            if written == 0 && !is_named {
                auditor
                    .wrong
                    .push("the journal's name was not durable when its first record was written".to_owned());
            }
            written += 1;
            if auditor.unsynced.contains(&journal) {
                auditor.wrong.push(format!(
                    "record {written} was written before the one before it was synced"
                ));
            }
            if is_quiet(fact) {
                auditor.wants_all_durable(&format!("record {written} says {fact:.60?}"), &journal);
            }
            turned |= matches!(fact, Fact::RollbackBegan { .. });
        } else if call.path.starts_with(project.directory()) && !turned && !is_trial(call) {
            let what = format!("{} {} before the run had turned back", call.name, call.path.display());
            auditor.wrong.push(what);
        }
        auditor.sees(call);
    }
    assert_eq!(written, records.len(), "every record was seen");
    auditor.wrong
}

#[test]
fn fault_a10_nothing_is_called_done_before_it_is_durable() {
    for journey in [Journey::FailingDeploy, Journey::Rollback] {
        let (project, _, _) = journey.begin();
        let (calls, output) = traced(&project, Blow::None, journey.words());
        assert!(output.status.code().is_some(), "{output:?}");
        let wrong = audit(&project, &calls);
        assert!(wrong.is_empty(), "{journey:?}: {wrong:#?}");
        reached(
            "A10",
            "every rename behind a sync, every record behind what it says",
            &format!("{journey:?}: {} calls in order", calls.len()),
            "scripts/faults --quick",
        );
    }
}
