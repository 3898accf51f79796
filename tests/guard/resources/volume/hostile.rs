//! Archives that want out: whatever they hold, nothing outside of the volume is made or changed.

use std::io::Write;

use guard::model::policy::DataRestore;
use guard::resources::Slot;
use guard::system::disk::sha256_file;
use tar::{EntryType, Header};

use super::super::built::{build, text};
use super::super::promises::Subject;
use crate::support::Scene;

fn entry(kind: EntryType, name: &[u8], link: &[u8], data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn fault_m3_no_archive_leads_out_of_the_volume() {
    let scene = Scene::new();
    let subject = super::Directory::new(&scene);
    let outside = scene.root().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "untouched").unwrap();
    let target = outside.to_str().unwrap().as_bytes();
    let victim = [target, b"/victim"].concat();
    let root = || entry(EntryType::Directory, b"./", b"", b"");
    let file = |name: &[u8]| entry(EntryType::Regular, name, b"", b"owned");
    let long = |name: &[u8]| [entry(EntryType::GNULongName, b"././@LongLink", b"", name), file(b"./a")].concat();
    let pax = |record: &[u8]| [entry(EntryType::XHeader, b"./x", b"", record), file(b"./a")].concat();
    let corpus: Vec<(&str, Vec<u8>)> = vec![
        ("absolute", file(&victim)),
        ("absolute behind a dot", file(&[b"./", victim.as_slice()].concat())),
        ("parent", file(b"./../../../../outside/victim")),
        ("parent in the middle", file(b"./a/../../outside/victim")),
        ("no dot", file(b"victim")),
        ("a long name", long(&victim)),
        (
            "two long names",
            [entry(EntryType::GNULongName, b"x", b"", b"./b"), long(b"./c")].concat(),
        ),
        ("a path in a record", pax(b"20 path=../victim12\n")),
        ("a record of a false length", pax(b"9999 mtime=1\n")),
        ("a record that ends early", pax(b"3 \n")),
        (
            "through a link",
            [entry(EntryType::Symlink, b"./l", target, b""), file(b"./l/victim")].concat(),
        ),
        (
            "over a link",
            [entry(EntryType::Symlink, b"./l", &victim, b""), file(b"./l")].concat(),
        ),
        (
            "a directory over a link",
            [
                entry(EntryType::Symlink, b"./l", target, b""),
                entry(EntryType::Directory, b"./l/", b"", b""),
                file(b"./l/victim"),
            ]
            .concat(),
        ),
        (
            "a hard link outside",
            [entry(EntryType::Link, b"./h", &victim, b""), file(b"./h")].concat(),
        ),
        (
            "a hard link above",
            entry(EntryType::Link, b"./h", b"./../../../../outside/victim", b""),
        ),
        (
            "a hard link through a link",
            [
                entry(EntryType::Symlink, b"./l", target, b""),
                entry(EntryType::Link, b"./h", b"./l/victim", b""),
                file(b"./h"),
            ]
            .concat(),
        ),
        (
            "a file over a pipe",
            [entry(EntryType::Fifo, b"./p", b"", b""), file(b"./p")].concat(),
        ),
        ("a device", entry(EntryType::Char, b"./null", b"", b"")),
        ("a sparse entry", entry(EntryType::GNUSparse, b"./s", b"", b"")),
        ("no root", file(b"./a")),
        ("not a tar", vec![b'x'; 4096]),
    ];
    let (slot, artifact) = subject.capture(&scene);
    super::tree::spoil(&subject.root);
    let live = subject.observe();
    for (name, bytes) in corpus {
        let mut tar = if name == "no root" { Vec::new() } else { root() };
        tar.extend_from_slice(&bytes);
        tar.resize(tar.len() + 1024, 0);
        refused(&scene, &slot, &artifact, &tar, name, tar.len() as u64);
        assert_eq!(
            std::fs::read_to_string(outside.join("victim")).unwrap(),
            "untouched",
            "{name}"
        );
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "{name}");
        assert_eq!(subject.observe(), live, "{name}");
    }
    assert!(
        !super::Directory::aside(&scene).exists(),
        "what was staged of them is gone"
    );
}

#[test]
fn fault_m4_a_copy_that_unpacks_without_end_is_cut_off_where_its_manifest_says() {
    let scene = Scene::new();
    let subject = super::Directory::new(&scene);
    let (slot, artifact) = subject.capture(&scene);
    super::tree::spoil(&subject.root);
    let live = subject.observe();
    let bomb = [
        entry(EntryType::Directory, b"./", b"", b""),
        entry(EntryType::Regular, b"./zeros", b"", &vec![0; 50_000_000]),
        vec![0; 1024],
    ]
    .concat();
    refused(&scene, &slot, &artifact, &bomb, "a bomb", 100_000);
    assert_eq!(subject.observe(), live);
    // The very same archive is taken where the manifest lists its length: it was the length that kept it out.
    let resource = build("volume", &scene.project(), None, &[("path", text("objects"))]);
    let forged = forge(&slot, &artifact, &bomb, bomb.len() as u64);
    resource
        .prepare(&forged, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
}

/// The archive replaced by this tar, its digests forged to fit.
fn refused(
    scene: &Scene,
    slot: &Slot,
    artifact: &guard::model::artifact::Artifact,
    tar: &[u8],
    name: &str,
    bytes: u64,
) {
    let resource = build("volume", &scene.project(), None, &[("path", text("objects"))]);
    let forged = forge(slot, artifact, tar, bytes);
    let error = resource.prepare(&forged, slot, DataRestore::Always, &scene.cx);
    let error = error.map(|_| ()).expect_err(name);
    assert!(error.copy_is_bad, "{name}: {error:?}");
}

fn forge(
    slot: &Slot,
    artifact: &guard::model::artifact::Artifact,
    tar: &[u8],
    bytes: u64,
) -> guard::model::artifact::Artifact {
    let path = slot.directory().join("data.tar.zst");
    let mut encoder = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap();
    let mut forged = artifact.clone();
    let (length, sha256) = sha256_file(&path).unwrap();
    for file in forged
        .files
        .iter_mut()
        .filter(|file| file.path.ends_with("data.tar.zst"))
    {
        (file.bytes, file.sha256) = (length, sha256.clone());
    }
    forged.details["tar_bytes"] = bytes.into();
    forged.details["entries"] = 1.into();
    forged
}
