//! Copies in chunks: the same promises, what backups share, what is read again, and exchanges of single entries.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use guard::model::artifact::{Artifact, Live, Prepared};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::super::built::{build, text};
use super::super::promises::{self, Subject};
use super::tree;
use crate::support::Scene;

struct Directory {
    resource: Box<dyn Resource>,
    root: PathBuf,
}

impl Directory {
    fn empty(scene: &Scene) -> Self {
        let root = scene.project().join("objects");
        fs::create_dir(&root).unwrap();
        let keys = [("path", text("objects")), ("form", text("chunks"))];
        let resource = build("volume", &scene.project(), None, &keys);
        Self { resource, root }
    }

    fn odd(scene: &Scene) -> Self {
        let directory = Self::empty(scene);
        tree::plant(&directory.root);
        directory
    }

    /// The backup of this number, which may share files with the one before it.
    fn capture(&self, scene: &Scene, number: u32, before: Option<&(Slot, Artifact)>) -> (Slot, Artifact) {
        let backup = scene.root().join(format!("backup-{number}"));
        fs::create_dir(&backup).unwrap();
        let mut slot = Slot::new(&backup, self.resource.name());
        if let Some((earlier, artifact)) = before {
            slot = slot.after(earlier.directory().parent().unwrap(), artifact.clone());
        }
        let artifact = self.resource.capture(&slot, &scene.cx).unwrap();
        (slot, artifact)
    }

    fn prepare(&self, (slot, artifact): &(Slot, Artifact), scene: &Scene) -> Prepared {
        let prepared = self.resource.prepare(artifact, slot, DataRestore::Auto, &scene.cx);
        prepared.unwrap()
    }

    fn put_back(&self, copy: &(Slot, Artifact), scene: &Scene) -> guard::model::artifact::Displaced {
        let prepared = self.prepare(copy, scene);
        self.resource.restore(&prepared, &copy.1, &copy.0, &scene.cx).unwrap()
    }
}

impl Subject for Directory {
    fn resource(&self) -> &dyn Resource {
        &*self.resource
    }

    fn spoil_live(&self) {
        tree::spoil(&self.root);
    }

    fn observe(&self) -> String {
        tree::observe(&self.root)
    }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes of the files that belong to this copy alone.
fn own_bytes(slot: &Slot) -> u64 {
    let files = fs::read_dir(slot.directory())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap());
    files.filter(|file| file.nlink() == 1).map(|file| file.len()).sum()
}

#[test]
fn a_directory_in_chunks_keeps_the_promises() {
    let scene = Scene::new();
    promises::hold(&Directory::odd(&scene), &scene);
}

#[test]
fn fault_a6_an_exchange_cut_between_two_moves_is_finished_by_a_repeat() {
    let scene = Scene::new();
    let subject = Directory::odd(&scene);
    let copy = subject.capture(&scene, 1, None);
    let original = subject.observe();
    subject.spoil_live();
    let failed = subject.observe();
    let mut cuts = 0;
    loop {
        let prepared = subject.prepare(&copy, &scene);
        let restore = || {
            subject
                .resource
                .restore(&prepared, &copy.1, &copy.0, &scene.cx)
                .unwrap()
        };
        let whole = restore();
        assert_eq!(subject.observe(), original);
        let aside = super::Directory::aside(&scene);
        let record = aside.join("patch.json");
        let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        let items = state["items"].as_array().unwrap().clone();
        if cuts > items.len() {
            subject.resource.undo(&whole, &scene.cx).unwrap();
            break;
        }
        state["done"] = false.into();
        fs::write(&record, state.to_string()).unwrap();
        for item in items.iter().skip(cuts) {
            let name = super::swap::unescape(item["path"].as_str().unwrap());
            let (live, there) = (subject.root.join(&name), aside.join("entries").join(&name));
            let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
            match (exists(&live), exists(&there)) {
                (true, true) => {
                    let cwd = rustix::fs::CWD;
                    rustix::fs::renameat_with(cwd, &live, cwd, &there, rustix::fs::RenameFlags::EXCHANGE).unwrap();
                }
                (true, false) => fs::rename(&live, &there).unwrap(),
                (false, true) => fs::rename(&there, &live).unwrap(),
                (false, false) => panic!("{name:?} is nowhere"),
            }
        }
        let error = subject
            .resource
            .forget(&whole, &scene.cx)
            .expect_err("a part of the live state lies aside");
        assert!(error.to_string().contains("not finished"), "{error}");
        let again = restore();
        assert_eq!(subject.observe(), original, "cut after {cuts} moves, then repeated");
        assert_eq!(subject.resource.check(&copy.1, &scene.cx).unwrap(), Live::Matches);
        let undone = subject.resource.undo(&again, &scene.cx).unwrap();
        assert_eq!(
            subject.observe(),
            failed,
            "cut after {cuts} moves, repeated, then undone"
        );
        subject.resource.forget(&undone, &scene.cx).unwrap();
        cuts += 1;
    }
    assert!(cuts > 8, "every move was cut: {cuts}");
}

#[test]
fn backups_share_what_has_not_changed_and_each_stands_alone() {
    let scene = Scene::new();
    let subject = Directory::empty(&scene);
    for number in 0..40 {
        fs::write(subject.root.join(format!("file {number}")), noise(number, 100_000)).unwrap();
    }
    let first = subject.capture(&scene, 1, None);
    let before = subject.observe();
    let mut changed = noise(7, 100_000);
    changed[50_000..50_010].fill(0);
    fs::write(subject.root.join("file 7"), &changed).unwrap();
    fs::rename(subject.root.join("file 9"), subject.root.join("a moved file")).unwrap();
    let second = subject.capture(&scene, 2, Some(&first));
    let after = subject.observe();
    let third = subject.capture(&scene, 3, Some(&second));
    let stored = own_bytes(&second.0);
    assert!(stored < 100_000, "{stored} bytes for a change of ten");
    assert!(own_bytes(&third.0) < 20_000, "nothing new but the index");
    for (slot, artifact) in [&first, &second, &third] {
        subject.resource.prove(artifact, slot, &scene.cx).unwrap();
    }
    // Any of them can go: the others keep what they need.
    fs::remove_dir_all(first.0.directory()).unwrap();
    fs::remove_dir_all(third.0.directory()).unwrap();
    subject.resource.prove(&second.1, &second.0, &scene.cx).unwrap();
    tree::run("sh", &["-c", "rm -r \"$1\"/*", "sh", subject.root.to_str().unwrap()]);
    subject.put_back(&second, &scene);
    assert_eq!(subject.observe(), after);
    assert_ne!(after, before);
}

#[test]
fn fault_b16_what_was_written_in_the_same_moment_is_not_taken_for_unchanged() {
    let scene = Scene::new();
    let subject = Directory::empty(&scene);
    let path = subject.root.join("file");
    fs::write(&path, "one").unwrap();
    let mut before = subject.capture(&scene, 1, None);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    for (number, content) in ["two", "ten", "six"].iter().enumerate() {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, content.as_bytes()).unwrap();
        file.set_modified(modified).unwrap();
        before = subject.capture(&scene, u32::try_from(number).unwrap() + 2, Some(&before));
        fs::remove_file(&path).unwrap();
        subject.put_back(&before, &scene);
        assert_eq!(fs::read_to_string(&path).unwrap(), *content, "same size, same time");
    }
}

#[test]
fn only_what_differs_is_exchanged() {
    let scene = Scene::new();
    let subject = Directory::empty(&scene);
    for number in 0..300 {
        let directory = subject.root.join(format!("d{}", number % 7));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(number.to_string()), number.to_string()).unwrap();
    }
    let copy = subject.capture(&scene, 1, None);
    let original = subject.observe();
    let inode = |name: &str| fs::metadata(subject.root.join(name)).unwrap().ino();
    let (kept, changed) = (inode("d0/0"), inode("d1/1"));
    fs::write(subject.root.join("d1/1"), "changed").unwrap();
    fs::remove_dir_all(subject.root.join("d2")).unwrap();
    fs::write(subject.root.join("d3/new"), "new").unwrap();
    let prepared = subject.prepare(&copy, &scene);
    assert!(
        prepared.price[0].starts_with("2 of 308 entries are put back, and 1 put aside"),
        "{:?}",
        prepared.price
    );
    // Until everything has stopped, more is written, put away and made.
    fs::write(subject.root.join("d4/4"), "late").unwrap();
    fs::write(subject.root.join("d3/newer"), "late").unwrap();
    fs::remove_dir_all(subject.root.join("d1")).unwrap();
    let failed = subject.observe();
    let displaced = subject
        .resource
        .restore(&prepared, &copy.1, &copy.0, &scene.cx)
        .unwrap();
    assert_eq!(subject.observe(), original);
    assert_eq!(inode("d0/0"), kept, "what did not differ was not touched");
    assert_ne!(inode("d1/1"), changed);
    subject.resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(subject.observe(), failed);
}

#[test]
fn fault_b13_an_earlier_copy_that_is_damaged_is_not_built_on() {
    let scene = Scene::new();
    let subject = Directory::empty(&scene);
    fs::write(subject.root.join("file"), noise(1, 500_000)).unwrap();
    let first = subject.capture(&scene, 1, None);
    let pack = first.0.directory().join("data-0001.pack");
    let mut bytes = fs::read(&pack).unwrap();
    bytes[250_000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let error = subject.resource.prove(&first.1, &first.0, &scene.cx).unwrap_err();
    assert!(error.copy_is_bad);
    let second = subject.capture(&scene, 2, Some(&first));
    assert!(own_bytes(&second.0) > 400_000, "stored anew");
    subject.resource.prove(&second.1, &second.0, &scene.cx).unwrap();
}

#[test]
fn what_nobody_needs_does_not_grow_without_end() {
    let scene = Scene::new();
    let subject = Directory::empty(&scene);
    let mut before: Option<(Slot, Artifact)> = None;
    let mut most = 0;
    for number in 1..=12 {
        for part in 0..40 {
            // Each time, another half of the content is new.
            let seed = if part % 2 == number % 2 {
                number * 100 + part
            } else {
                part
            };
            fs::write(subject.root.join(part.to_string()), noise(u64::from(seed), 200_000)).unwrap();
        }
        let copy = subject.capture(&scene, number, before.as_ref());
        subject.resource.prove(&copy.1, &copy.0, &scene.cx).unwrap();
        let bytes: u64 = copy.1.files.iter().map(|file| file.bytes).sum();
        most = most.max(bytes);
        before = Some(copy);
    }
    assert!(most < 60_000_000, "{most} bytes for 8,000,000");
}

#[test]
fn python_and_zstd_alone_read_a_copy() {
    let scene = Scene::new();
    let subject = Directory::odd(&scene);
    let first = subject.capture(&scene, 1, None);
    fs::write(subject.root.join("later"), noise(3, 200_000)).unwrap();
    let second = subject.capture(&scene, 2, Some(&first));
    let target = scene.root().join("by hand");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/unpack");
    tree::run(
        script,
        &[second.0.directory().to_str().unwrap(), target.to_str().unwrap()],
    );
    assert_eq!(tree::observe(&target), subject.observe());
}
