//! Swaps that are cut off, repeated, and undone after the restored state was written to.

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;

use super::super::promises::Subject;
use super::Directory;
use crate::support::Scene;

/// A swap that is killed after any number of its moves is finished by a repeat, and undone as a whole.
#[test]
fn fault_a6_a_swap_cut_between_two_moves_is_finished_by_a_repeat() {
    let scene = Scene::new();
    let subject = Directory::new(&scene);
    let (slot, artifact) = subject.capture(&scene);
    let original = subject.observe();
    subject.spoil_live();
    let failed = subject.observe();
    let resource = &subject.resource;
    let mut cuts = 0;
    loop {
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        let aside = Directory::aside(&scene);
        let state = aside.join("patch.json");
        let names: Vec<_> = std::fs::read_dir(aside.join("entries"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        if cuts > names.len() {
            break;
        }
        let whole = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert_eq!(subject.observe(), original);
        // Back to the state after the first `cuts` moves: the record says the swap is not done, and the later ones are undone.
        let text = std::fs::read_to_string(&state).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["done"] = false.into();
        std::fs::write(&state, record.to_string()).unwrap();
        let items = record["items"].as_array().unwrap().clone();
        for item in items.iter().skip(cuts) {
            let name = unescape(item["path"].as_str().unwrap());
            let (live, there) = (subject.root.join(&name), aside.join("entries").join(&name));
            let exists = |path: &std::path::Path| std::fs::symlink_metadata(path).is_ok();
            match (exists(&live), exists(&there)) {
                (true, true) => {
                    let cwd = rustix::fs::CWD;
                    rustix::fs::renameat_with(cwd, &live, cwd, &there, rustix::fs::RenameFlags::EXCHANGE).unwrap();
                }
                (true, false) => std::fs::rename(&live, &there).unwrap(),
                (false, true) => std::fs::rename(&there, &live).unwrap(),
                (false, false) => panic!("{name:?} is nowhere"),
            }
        }
        if cuts == 0 {
            assert_ne!(subject.observe(), original, "half way is not there");
        }
        let error = resource
            .forget(&whole, &scene.cx)
            .expect_err("parts of the live state lie aside");
        assert!(error.to_string().contains("not finished"), "{error}");
        assert!(
            matches!(resource.check(&artifact, &scene.cx).unwrap(), Live::Differs(_)),
            "a cut swap is no match"
        );
        let cut = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        // What it means for files is counted anew, and some of them are back.
        assert_eq!(
            cut.details["home"], prepared.details["home"],
            "a new look at it finds the same place"
        );
        let again = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert_eq!(subject.observe(), original, "cut after {cuts} moves, then repeated");
        assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
        let undone = resource.undo(&again, &scene.cx).unwrap();
        assert_eq!(
            subject.observe(),
            failed,
            "cut after {cuts} moves, repeated, then undone"
        );
        resource.forget(&undone, &scene.cx).unwrap();
        cuts += 1;
    }
    assert!(cuts > 10, "every move was cut: {cuts}");
}

pub fn unescape(text: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    std::ffi::OsString::from_vec(bytes)
}

#[test]
fn an_undo_leaves_what_the_restored_state_wrote_meanwhile_aside() {
    let scene = Scene::new();
    let subject = Directory::new(&scene);
    let (slot, artifact) = subject.capture(&scene);
    subject.spoil_live();
    let failed = subject.observe();
    let prepared = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let displaced = subject
        .resource
        .restore(&prepared, &artifact, &slot, &scene.cx)
        .unwrap();
    std::fs::write(subject.root.join("written later"), "kept").unwrap();
    std::fs::remove_file(subject.root.join("ancient")).unwrap();
    std::fs::write(subject.root.join("ancient"), "replaced by a new file").unwrap();
    let later = subject.observe();
    let undone = subject.resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(subject.observe(), failed);
    subject.resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(subject.observe(), later, "nothing that was ever live is lost");
}
