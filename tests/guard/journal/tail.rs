//! Every prefix and every changed byte of a journal: a torn tail is cut off, damage is refused, nothing else is accepted.

use guard::journal::{FILE, Journal, JournalError, read};

use guard::model::fact::{Fact, Failure};

use super::{facts, moment, run, written};

#[test]
fn what_was_appended_is_read_back_and_the_journal_goes_on() {
    let scene = tempfile::tempdir().unwrap();
    let records = written(scene.path(), &run(), "here", 4);
    assert_eq!(read(scene.path()).unwrap(), records);
    let (mut journal, again) = Journal::open(scene.path()).unwrap();
    assert_eq!(again, records);
    let fact = facts(&run(), "here").swap_remove(4);
    let next = journal.append(fact, moment()).unwrap();
    assert_eq!(next.seq, 4);
    assert_eq!(read(scene.path()).unwrap().len(), 5);
    assert!(
        Journal::create(scene.path()).is_err(),
        "a journal is never made over another"
    );
}

#[test]
fn fault_l1_every_prefix_opens_to_a_prefix_of_the_records() {
    let scene = tempfile::tempdir().unwrap();
    let records = written(scene.path(), &run(), "here", 7);
    let path = scene.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count();
        // As a file system leaves it that had made the file longer before it wrote all of it.
        let longer = [&bytes[..length], &[0; 300]].concat();
        std::fs::write(&path, &longer).unwrap();
        assert_eq!(
            read(scene.path()).unwrap(),
            records[..whole],
            "prefix of {length} bytes"
        );
        assert_eq!(std::fs::read(&path).unwrap(), longer, "reading changes nothing");
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (_, opened) = Journal::open(scene.path()).unwrap();
        assert_eq!(opened, records[..whole], "prefix of {length} bytes");
        let sound = whole.checked_sub(1).map_or(0, |last| ends[last]);
        assert_eq!(std::fs::read(&path).unwrap(), bytes[..sound], "the torn end is cut off");
    }
}

#[test]
fn fault_a10_a_record_of_which_sectors_were_never_written_is_cut_off() {
    let scene = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(scene.path()).unwrap();
    let first = journal.append(facts(&run(), "here").swap_remove(0), moment()).unwrap();
    let path = scene.path().join(FILE);
    let start = std::fs::read(&path).unwrap().len();
    let long = Failure::new("a long story. ".repeat(200));
    let step = guard::model::plan::Step::of(guard::model::plan::Action::Deploy).id;
    journal.append(Fact::Failed { step, failure: long }, moment()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let sectors: Vec<usize> = (start / 512..=(bytes.len() - 1) / 512).collect();
    assert!(sectors.len() > 5);
    for lost in 1..1_u32 << sectors.len().min(8) {
        let mut torn = bytes.clone();
        for (_, sector) in sectors.iter().enumerate().filter(|(index, _)| (lost >> index) & 1 == 1) {
            let range = (sector * 512).max(start)..((sector + 1) * 512).min(bytes.len());
            torn[range].fill(0);
        }
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(
            read(scene.path()).unwrap(),
            std::slice::from_ref(&first),
            "sectors {lost:b}"
        );
    }
    // Written twice, and the first time only its beginning: a sector holds that, and then zeros.
    let mut twice = bytes.clone();
    twice[sectors[1] * 512 + 26..(sectors[1] + 1) * 512].fill(0);
    std::fs::write(&path, &twice).unwrap();
    assert_eq!(read(scene.path()).unwrap(), std::slice::from_ref(&first));
    // Zeros that no cut-off write leaves are damage.
    let mut holed = bytes.clone();
    holed[start + 600] = 0;
    std::fs::write(&path, &holed).unwrap();
    assert!(matches!(read(scene.path()), Err(JournalError::Damaged { line: 2, .. })));
}

#[test]
fn a_journal_goes_on_after_a_torn_tail() {
    let scene = tempfile::tempdir().unwrap();
    let records = written(scene.path(), &run(), "here", 4);
    let path = scene.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let (mut journal, opened) = Journal::open(scene.path()).unwrap();
    assert_eq!(opened, records[..3]);
    let again = journal.append(records[3].fact.clone(), moment()).unwrap();
    assert_eq!(again, records[3]);
    assert_eq!(read(scene.path()).unwrap(), records);
}

#[test]
fn fault_l2_no_changed_byte_is_ever_believed() {
    let scene = tempfile::tempdir().unwrap();
    let records = written(scene.path(), &run(), "here", 7);
    let path = scene.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let (mut refused, mut cut) = (0, 0);
    for at in 0..bytes.len() {
        let original = bytes[at];
        let changes = (0..8)
            .map(|bit| original ^ (1 << bit))
            .chain([0, b' ', b'\n', b'"', b'0', b'9', b'}']);
        for changed in changes.filter(|changed| *changed != original) {
            let mut damaged = bytes.clone();
            damaged[at] = changed;
            std::fs::write(&path, &damaged).unwrap();
            match read(scene.path()) {
                Ok(found) => {
                    assert!(at >= last, "byte {at} -> {changed} was accepted before the last line");
                    assert_eq!(found, records[..6], "byte {at} -> {changed}");
                    cut += 1;
                }
                Err(JournalError::Damaged { line, lines, .. }) => {
                    let expected = bytes[..at].split(|byte| *byte == b'\n').count();
                    // Where a line's end was lost, two lines became one; where one was added, one became two.
                    assert_eq!(line, expected, "byte {at} -> {changed}");
                    assert!((6..=8).contains(&lines));
                    refused += 1;
                }
                Err(JournalError::Newer { found, ours, .. }) => {
                    assert!(found > ours);
                    refused += 1;
                }
                Err(error) => panic!("byte {at} -> {changed}: {error}"),
            }
        }
    }
    assert!(refused > 10_000 && cut > 0, "{refused} refused, {cut} cut");
}

#[test]
fn a_last_line_that_is_whole_and_wrong_is_damage_not_a_torn_tail() {
    let scene = tempfile::tempdir().unwrap();
    written(scene.path(), &run(), "here", 4);
    let path = scene.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    // The command may have run after this record: leaving it out would call production untouched.
    std::fs::write(
        &path,
        text.replace("\"begun\":{\"step\":\"deploy\"", "\"begun\":{\"step\":\"verify\""),
    )
    .unwrap();
    let error = Journal::open(scene.path()).unwrap_err();
    assert!(
        matches!(error, JournalError::Damaged { line: 4, lines: 4, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("line 4 of 4"), "{error}");
}

#[test]
fn lines_that_are_lost_repeated_or_swapped_are_refused() {
    let scene = tempfile::tempdir().unwrap();
    written(scene.path(), &run(), "here", 7);
    let path = scene.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let variants: [(Vec<usize>, usize); 4] = [
        (vec![0, 1, 3, 4, 5, 6], 3),
        (vec![0, 1, 1, 2, 3], 3),
        (vec![0, 2, 1, 3], 2),
        (vec![1, 2, 3], 1),
    ];
    for (order, wrong) in variants {
        let changed: String = order.iter().map(|line| lines[*line]).collect();
        std::fs::write(&path, &changed).unwrap();
        match Journal::open(scene.path()) {
            Err(JournalError::Damaged { line, .. }) => assert_eq!(line, wrong, "{order:?}"),
            other => panic!("{order:?}: {other:?}"),
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            changed,
            "what is refused is not touched"
        );
    }
}

#[test]
fn fault_l4_a_journal_of_a_newer_guard_is_refused_by_its_version() {
    let scene = tempfile::tempdir().unwrap();
    written(scene.path(), &run(), "here", 2);
    let path = scene.path().join(FILE);
    let newer = "{\"v\":7,\"seal\":\"of a kind unknown here\",\"facts\":[]}\n";
    let text = std::fs::read_to_string(&path).unwrap() + newer;
    std::fs::write(&path, &text).unwrap();
    let error = Journal::open(scene.path()).unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::Newer {
                found: 7,
                ours: guard::journal::VERSION,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("format 7") && error.to_string().contains("up to 2"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

/// Where something was written, and what.
type Write = (u64, Vec<u8>);

/// A file whose writes are kept, for a test to look at.
#[derive(Debug, Clone, Default)]
struct Watched(std::sync::Arc<std::sync::Mutex<Vec<Write>>>);

impl guard::journal::Medium for Watched {
    fn write_at(&mut self, bytes: &[u8], place: u64) -> std::io::Result<()> {
        self.0.lock().unwrap().push((place, bytes.to_owned()));
        Ok(())
    }

    fn cut(&mut self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn reserve(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn fault_b7_a_record_whose_sync_may_have_failed_is_written_again_before_the_journal_goes_on() {
    let scene = tempfile::tempdir().unwrap();
    written(scene.path(), &run(), "here", 3);
    let path = scene.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let torn = [bytes.as_slice(), b"{\"v\":1,\"su"].concat();
    for read in [&bytes, &torn] {
        let medium = Watched::default();
        Journal::go_on(Box::new(medium.clone()), &path, read).unwrap();
        let writes = medium.0.lock().unwrap().clone();
        assert_eq!(writes, [(last as u64, bytes[last..].to_owned())]);
    }
}
