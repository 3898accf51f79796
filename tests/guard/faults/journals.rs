//! The journals in `fixtures/journals` are those of the formats that were ever released: each is read and gone on with for ever.

use std::path::{Path, PathBuf};

use guard::engine::decide::{Next, decide};
use guard::engine::history::History;
use guard::journal::{JournalError, parse};
use guard::model::name::RunKind;

use crate::sim::journal_of;
use crate::sim::scenario::{Fate, KINDS, Scenario, plain};
use crate::sim::world::Trouble;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/journals")
}

/// What comes next in a run that somebody goes on with.
fn next(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let reading = match parse(path, &bytes) {
        Ok(reading) => reading,
        Err(JournalError::Newer { found, ours, .. }) => {
            assert!(found > ours);
            return "refused, newer".to_owned();
        }
        Err(error) => panic!("{error}"),
    };
    let tail = if reading.torn_bytes > 0 { ", torn" } else { "" };
    let history = History::of(&reading.records).unwrap();
    match decide(&history) {
        Next::Begin(_, steps) => format!("{}{tail}", steps[0].id),
        Next::RollbackCause(turn) => format!("turn {turn:?}{tail}"),
        Next::Widen(resources) => format!("widen {}{tail}", resources[0]),
        Next::Close(ending) => format!("close {ending:?}{tail}"),
        Next::Over(ending) => format!("over {ending:?}{tail}"),
    }
}

#[test]
fn fault_l5_every_journal_that_was_ever_written_is_read() {
    let expected = [
        ("1-cut-off-in-deploy", "turn DeployUnknown"),
        ("1-cut-off-in-restore", "restore/r0"),
        ("1-deployed", "over Deployed"),
        ("1-newer", "refused, newer"),
        ("1-rolled-back", "over RolledBack(VerifyFailed)"),
        ("1-stuck", "over Stuck(VerifyFailed)"),
        ("1-torn", "turn DeployUnknown, torn"),
        ("1-untouched", "over Untouched(Refused)"),
        ("2-cut-off-in-deploy", "turn DeployUnknown"),
        ("2-cut-off-in-restore", "restore/r0"),
        ("2-deployed", "over Deployed"),
        ("2-newer", "refused, newer"),
        ("2-rolled-back", "over RolledBack(VerifyFailed)"),
        ("2-stuck", "over Stuck(VerifyFailed)"),
        ("2-torn", "turn DeployUnknown, torn"),
        ("2-untouched", "over Untouched(Refused)"),
    ];
    for (name, wanted) in expected {
        assert_eq!(next(&directory().join(format!("{name}.jsonl"))), wanted, "{name}");
    }
    let there = std::fs::read_dir(directory()).unwrap().count();
    assert_eq!(there, expected.len(), "a journal that nobody expects anything of");
}

#[test]
fn fault_l1_what_is_written_behind_a_torn_tail_is_read() {
    let scene = tempfile::tempdir().unwrap();
    let path = scene.path().join(guard::journal::FILE);
    let sound = journal_of(&plain(RunKind::Deploy, Fate::GateFails, &KINDS[1..2]));
    let step = guard::model::plan::Step::of(guard::model::plan::Action::Start).id;
    // Shorter than the record that takes its place, and longer.
    for torn in [5, 5000] {
        let tail = "{\"v\":1,\"sum\":\"0123456789abcdef\",\"record\":{\"seq\":"
            .bytes()
            .chain(std::iter::repeat(b'x'));
        let tail: Vec<u8> = tail.take(torn).collect();
        std::fs::write(&path, [&sound[..], &tail].concat()).unwrap();
        let (mut journal, mut records) = guard::journal::Journal::open(scene.path()).unwrap();
        let fact = guard::model::fact::Fact::Begun { step: step.clone() };
        records.push(journal.append(fact, chrono::Utc::now()).unwrap());
        assert_eq!(
            guard::journal::read(scene.path()).unwrap(),
            records,
            "{torn} bytes of a torn tail"
        );
    }
}

/// Writes the journals of the current format. Only for a new format, under new names: what is there is never changed.
#[test]
#[ignore = "writes fixtures; see its comment"]
fn write_the_journals_of_this_format() {
    let version = guard::journal::VERSION;
    std::fs::create_dir_all(directory()).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = directory().join(format!("{version}-{name}.jsonl"));
        assert!(!path.exists(), "{} is there", path.display());
        std::fs::write(path, bytes).unwrap();
    };
    let story = |fate| plain(RunKind::Deploy, fate, &KINDS[1..3]);
    // The journal of a run that is killed as soon as its journal ends in this.
    let killed_behind = |scenario: Scenario, end: &str| {
        let journals = (1..).map(|at| {
            journal_of(&Scenario {
                troubles: vec![(at, Trouble::Kill)],
                ..scenario.clone()
            })
        });
        let mut found = journals.filter(|journal| {
            let text = String::from_utf8_lossy(journal);
            text.ends_with('\n') && text.lines().last().is_some_and(|line| line.contains(end))
        });
        found.next().unwrap()
    };
    put("deployed", &journal_of(&story(Fate::Good)));
    put("rolled-back", &journal_of(&story(Fate::GateFails)));
    put("untouched", &journal_of(&story(Fate::Unwell)));
    let stuck = Scenario {
        failing: Some(("restore/r0".to_owned(), 9, false)),
        ..story(Fate::GateFails)
    };
    put("stuck", &journal_of(&stuck));
    let in_deploy = killed_behind(story(Fate::Good), "{\"begun\":{\"step\":\"deploy\"}}");
    put("cut-off-in-deploy", &in_deploy);
    let torn = format!("{{\"v\":{version},\"sum\":\"0123");
    put("torn", &[&in_deploy[..], torn.as_bytes()].concat());
    put(
        "newer",
        &[&in_deploy[..], b"{\"v\":9,\"seal\":\"of a kind unknown here\"}\n"].concat(),
    );
    let in_restore = killed_behind(story(Fate::GateFails), "{\"begun\":{\"step\":\"restore/r0\"}}");
    put("cut-off-in-restore", &in_restore);
}
