//! Volumes and directories: the promises, odd contents, interruptions, hostile archives, a real engine.

mod chunks;
mod engine;
mod flags;
mod hostile;
mod keeping;
mod places;
mod servers;
mod swap;
pub mod tree;

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use guard::model::artifact::{Artifact, Displaced, Live, Work};
use guard::model::foreign::{Material, Part};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::built::{build, text, try_build};
use super::promises::{self, Subject};
use crate::support::Scene;

struct Directory {
    resource: Box<dyn Resource>,
    root: PathBuf,
}

impl Directory {
    fn new(scene: &Scene) -> Self {
        let root = scene.project().join("objects");
        std::fs::create_dir(&root).unwrap();
        tree::plant(&root);
        let resource = build("volume", &scene.project(), None, &[("path", text("objects"))]);
        Self { resource, root }
    }

    fn capture(&self, scene: &Scene) -> (Slot, Artifact) {
        let slot = Slot::new(&scene.backup(), self.resource.name());
        let artifact = self.resource.capture(&slot, &scene.cx).unwrap();
        (slot, artifact)
    }
}

impl Directory {
    /// The directory in which this run stages and keeps aside.
    fn aside(scene: &Scene) -> PathBuf {
        let record = std::fs::read(scene.cx.scratch.join("aside-subject.json")).expect("written down");
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let home = record["homes"].as_array().unwrap().last().expect("a directory").clone();
        let around = super::volume::swap::unescape(home["around"].as_str().expect("not in what is live"));
        PathBuf::from(around).join(home["name"].as_str().unwrap())
    }
}

/// The directory `objects` of the scene as a volume in this form, and a copy of it.
fn copied(scene: &Scene, form: &str) -> (Box<dyn Resource>, Slot, Artifact) {
    let keys = [("path", text("objects")), ("form", text(form))];
    let resource = build("volume", &scene.project(), None, &keys);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    (resource, slot, artifact)
}

/// Puts a copy back over what failed, undoes it, and undoes that: each time it is as `observed` by other means than guard's.
/// Returns what lies aside in the end.
#[track_caller]
fn there_and_back<S: PartialEq + std::fmt::Debug>(
    (resource, slot, artifact): (&dyn Resource, &Slot, &Artifact),
    scene: &Scene,
    observed: impl Fn() -> S,
    before: &S,
    story: &str,
) -> Displaced {
    let failed = observed();
    let prepared = resource.prepare(artifact, slot, DataRestore::Auto, &scene.cx).unwrap();
    assert!(prepared.work.is_needed(), "{story}: not noticed");
    let displaced = resource.restore(&prepared, artifact, slot, &scene.cx).unwrap();
    assert_eq!(&observed(), before, "{story}");
    assert_eq!(
        resource.compare(artifact, slot, &scene.cx).unwrap(),
        Live::Matches,
        "{story}"
    );
    let undone = resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(observed(), failed, "{story}: an undo too");
    let again = resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(&observed(), before, "{story}: and its undo");
    again
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

#[test]
fn a_directory_keeps_the_promises() {
    let scene = Scene::new();
    promises::hold(&Directory::new(&scene), &scene);
}

#[test]
fn what_a_listing_does_not_show_comes_back_too() {
    let scene = Scene::new();
    let subject = Directory::new(&scene);
    let (slot, artifact) = subject.capture(&scene);
    let note = || {
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(subject.root.join("attributed"), "user.note", &mut value[..]).unwrap();
        value[..length].to_vec()
    };
    let original = note();
    tree::spoil(&subject.root);
    std::fs::remove_file(subject.root.join("attributed")).unwrap();
    let prepared = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    subject
        .resource
        .restore(&prepared, &artifact, &slot, &scene.cx)
        .unwrap();
    assert_eq!(note(), original, "attributes, with any bytes in them");
    let sparse = std::fs::metadata(subject.root.join("sparse")).unwrap();
    assert!(
        sparse.blocks() * 512 < sparse.size() / 10,
        "holes stay holes: {} blocks",
        sparse.blocks()
    );
}

#[test]
fn any_tar_reads_the_archive() {
    let scene = Scene::new();
    let subject = Directory::new(&scene);
    let (slot, artifact) = subject.capture(&scene);
    let archive = slot.directory().join("data.tar.zst");
    let target = scene.root().join("by tar");
    std::fs::create_dir(&target).unwrap();
    let script = "tar --zstd --numeric-owner --same-permissions --same-owner -xf \"$1\" -C \"$2\"";
    let paths = [archive.to_str().unwrap(), target.to_str().unwrap()];
    tree::run("sh", &["-c", script, "sh", paths[0], paths[1]]);
    assert_eq!(
        tree::observe(&target),
        subject.observe(),
        "GNU tar makes the same tree of it"
    );
    for entry in &artifact.files {
        let path = slot.path_of(entry).unwrap();
        let line = tree::run("sha256sum", &[path.to_str().unwrap()]);
        assert!(line.starts_with(&entry.sha256), "{line}");
    }
}

#[test]
fn fault_b17_what_is_not_kept_is_listed() {
    let scene = Scene::new();
    let subject = Directory::new(&scene);
    let _socket = std::os::unix::net::UnixListener::bind(subject.root.join("app.sock")).unwrap();
    let (_, artifact) = subject.capture(&scene);
    assert_eq!(artifact.not_kept, ["socket app.sock"]);
}

#[test]
fn fault_h6_a_live_data_directory_is_refused() {
    let scene = Scene::new();
    let root = scene.project().join("data");
    std::fs::create_dir_all(root.join("17/docker")).unwrap();
    std::fs::write(root.join("17/docker/PG_VERSION"), "17\n").unwrap();
    let live = build("volume", &scene.project(), None, &[("path", text("data"))]);
    let survey = live.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|one| one.refuses && one.what.contains("Postgres")),
        "{survey:?}"
    );
    let slot = Slot::new(&scene.backup(), live.name());
    live.capture(&slot, &scene.cx).expect_err("refused");
    assert!(!slot.directory().exists(), "nothing was copied");
    let stopped = build(
        "volume",
        &scene.project(),
        None,
        &[("path", text("data")), ("mode", text("stop"))],
    );
    stopped
        .capture(&slot, &scene.cx)
        .expect("with its users stopped it may be copied");
}

#[test]
fn fault_b16_a_file_that_changes_while_it_is_read_is_noticed() {
    use std::io::Write;
    let scene = Scene::new();
    let root = scene.project().join("objects");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("restless"), vec![1; 60_000_000]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .open(root.join("restless"))
                .unwrap();
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                file.write_all(b"more").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let slot = Slot::new(&scene.backup(), &"subject".parse().unwrap());
        let live = build("volume", &scene.project(), None, &[("path", text("objects"))]);
        let noted = live
            .capture(&slot, &scene.cx)
            .map(|artifact| (live.prove(&artifact, &slot, &scene.cx), artifact));
        let held = build(
            "volume",
            &scene.project(),
            None,
            &[("path", text("objects")), ("mode", text("stop"))],
        );
        let refused = held.capture(&slot, &scene.cx);
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let (proven, artifact) = noted.unwrap();
        proven.unwrap();
        assert!(
            artifact.not_kept.iter().any(|one| one.contains("restless")),
            "{:?}",
            artifact.not_kept
        );
        refused.expect_err("a file that nobody may write to must not change");
    });
}

#[test]
fn wrong_keys_are_told() {
    let scene = Scene::new();
    let project = scene.project();
    let problem = |keys: &[_]| {
        format!(
            "{:?}",
            try_build("volume", &project, None, keys).err().expect("refused")
        )
    };
    assert!(problem(&[]).contains("is missing"));
    assert!(problem(&[("volume", text("a")), ("path", text("b"))]).contains("one of the two"));
    assert!(problem(&[("volume", text("a")), ("mode", text("frozen"))]).contains("pause"));
    assert!(problem(&[("volumes", text("a"))]).contains("did you mean `volume`?"));
}

#[test]
fn a_directory_that_is_missing_or_none_is_refused() {
    let scene = Scene::new();
    std::fs::write(scene.project().join("file"), "").unwrap();
    symlink("nowhere", scene.project().join("dangling")).unwrap();
    for path in ["missing", "file", "dangling"] {
        let resource = build("volume", &scene.project(), None, &[("path", text(path))]);
        let survey = resource.survey(&scene.cx);
        assert!(survey.obstacles.iter().any(|one| one.refuses), "{path}: {survey:?}");
    }
}

/// What `getfacl`, `getfattr` and `lsattr` see of a tree.
fn features(root: &std::path::Path) -> String {
    let script = "cd \"$1\" && find . -name '.guard-*' -prune -o ! -type l -print0 | sort -z | xargs -0r getfacl -pn && \
        find . -name '.guard-*' -prune -o ! -type l -print0 | sort -z | xargs -0r getfattr -hd -m - && \
        find . -name '.guard-*' -prune -o \\( -type f -o -type d \\) -print0 | sort -z | xargs -0r lsattr -d | cut -c1-20,23-";
    tree::run("sh", &["-c", script, "sh", root.to_str().unwrap()])
}

#[test]
fn fault_n3_access_lists_attributes_and_flags_come_back_and_none_is_inherited() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::create_dir(root.join("flagged")).unwrap();
        for name in ["top", "sub/listed", "sub/plain", "sub/deep/marked", "flagged/inside"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        let at = |path: &str| root.join(path).to_str().unwrap().to_owned();
        // Older entries do not have what the directory hands on to new ones.
        tree::run("setfacl", &["-d", "-m", "u:1234:rwx", &at(""), &at("sub")]);
        tree::run("setfacl", &["-m", "u:1235:r", &at("sub/listed")]);
        tree::run(
            "setfattr",
            &[
                "-n",
                "user.note",
                "-v",
                "kept",
                &at("sub/deep/marked"),
                &at("sub"),
                &at(""),
            ],
        );
        tree::run("chattr", &["+d", &at("sub/plain"), &at("flagged")]);
        let (resource, slot, artifact) = copied(&scene, form);
        assert_eq!(artifact.not_kept, [""; 0], "{form}");
        let observed = || (tree::observe(&root), features(&root));
        let before = observed();

        let spoil = [
            "rm -rf sub/deep flagged",
            "setfacl -b -k sub/listed; setfacl -k .; setfacl -m u:9:rx .",
            "chattr -d sub/plain; echo other > top; setfattr -x user.note sub; setfattr -n user.more -v x .",
        ];
        for words in spoil {
            let script = format!("cd \"$1\" && {words}");
            tree::run("sh", &["-c", &script, "sh", root.to_str().unwrap()]);
        }
        there_and_back((&*resource, &slot, &artifact), &scene, observed, &before, form);
    }
}

/// Puts content of the same length in a file's place, with the time that the old one had.
fn replace_unseen(path: &std::path::Path, content: &str) {
    let time = std::fs::metadata(path).unwrap().modified().unwrap();
    let staged = path.with_extension("staged");
    std::fs::write(&staged, content).unwrap();
    std::fs::rename(&staged, path).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn fault_n1_content_of_the_same_size_and_time_is_not_taken_for_the_old_one() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir_all(root.join("package")).unwrap();
        let file = root.join("package/package.json");
        std::fs::write(&file, "1.0.0").unwrap();
        let reproducible = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_mins(8_319_375);
        std::fs::File::open(&file).unwrap().set_modified(reproducible).unwrap();
        let (resource, slot, artifact) = copied(&scene, form);
        let before = tree::observe(&root);
        let idle = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert_eq!(idle.work, Work::Unchanged, "{form}");
        replace_unseen(&file, "6.6.6");
        assert!(
            matches!(resource.compare(&artifact, &slot, &scene.cx).unwrap(), Live::Differs(_)),
            "{form}"
        );
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert_eq!(prepared.work, Work::Changed(vec!["entry package".to_owned()]), "{form}");
        resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert_eq!(tree::observe(&root), before, "{form}");
        assert_eq!(
            resource.compare(&artifact, &slot, &scene.cx).unwrap(),
            Live::Matches,
            "{form}"
        );
        // The second backup looks, too.
        replace_unseen(&file, "7.7.7");
        let later = Slot::new(&scene.root().join("later"), resource.name()).after(&scene.backup(), artifact.clone());
        let second = resource.capture(&later, &scene.cx).unwrap();
        let wanted = tree::observe(&root);
        replace_unseen(&file, "8.8.8");
        let prepared = resource.prepare(&second, &later, DataRestore::Auto, &scene.cx).unwrap();
        resource.restore(&prepared, &second, &later, &scene.cx).unwrap();
        assert_eq!(
            tree::observe(&root),
            wanted,
            "{form}: the second backup holds what was there then"
        );
    }
}

#[test]
fn fault_n4_the_times_of_links_pipes_and_directories_come_back() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir_all(root.join("directory/below")).unwrap();
        symlink("directory", root.join("link")).unwrap();
        tree::run("mkfifo", &[root.join("pipe").to_str().unwrap()]);
        std::fs::write(root.join("file"), "stays").unwrap();
        let (resource, slot, artifact) = copied(&scene, form);
        let times = || {
            let script = "cd \"$1\" && find . -name '.guard-*' -prune -o -printf '%p %y %m %T@\\n' | sort";
            tree::run("sh", &["-c", script, "sh", root.to_str().unwrap()])
        };
        let before = times();
        for spoil in [
            "touch -h -d 2001-01-01 link",
            "touch -d 2001-01-01 pipe",
            "touch -d 2001-01-01 directory/below",
            "touch -d 2001-01-01 .",
        ] {
            let script = format!("cd \"$1\" && {spoil}");
            tree::run("sh", &["-c", &script, "sh", root.to_str().unwrap()]);
            let prepared = resource
                .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
                .unwrap();
            assert!(prepared.work.is_needed(), "{form}: {spoil}");
            let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
            assert_eq!(times(), before, "{form}: {spoil}");
            resource.forget(&displaced, &scene.cx).unwrap();

            let left = resource
                .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
                .unwrap();
            if left.work.is_needed() {
                resource.restore(&left, &artifact, &slot, &scene.cx).unwrap();
            }
        }
    }
}

#[test]
fn fault_n2_what_is_stored_into_a_mapped_file_is_in_the_next_backup() {
    let scene = Scene::new();
    let root = scene.project().join("objects");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("map"), vec![0; 100_000]).unwrap();
    // Stores once for each line that it reads, and answers when it has.
    let program = "import mmap,sys\nf=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),0)\nn=0\nfor l in sys.stdin:\n n+=1; m[0:5]=b'n%04d'%n; print(n,flush=True)";
    let mut writer = std::process::Command::new("python3")
        .args(["-c", program, root.join("map").to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut store = || {
        use std::io::{BufRead, Write};
        writer.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
        let mut line = String::new();
        std::io::BufReader::new(writer.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
    };
    store();
    // Older than what is read again in any case.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let resource = build(
        "volume",
        &scene.project(),
        None,
        &[("path", text("objects")), ("form", text("chunks"))],
    );
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    store();
    let later = Slot::new(&scene.root().join("later"), resource.name()).after(&scene.backup(), artifact);
    let second = resource.capture(&later, &scene.cx).unwrap();
    writer.kill().unwrap();
    writer.wait().unwrap();
    std::fs::write(root.join("map"), "spoilt").unwrap();
    let prepared = resource.prepare(&second, &later, DataRestore::Auto, &scene.cx).unwrap();
    resource.restore(&prepared, &second, &later, &scene.cx).unwrap();
    let content = std::fs::read(root.join("map")).unwrap();
    assert_eq!(content.get(..5), Some(&b"n0002"[..]));
}

#[test]
fn fault_n8_sparse_files_in_archives_of_others_come_back_byte_by_byte() {
    use std::os::unix::fs::FileExt;
    for form in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir_all(root.join("deep")).unwrap();
        let sparse = std::fs::File::create(root.join("deep/sparse")).unwrap();
        sparse.set_len(3_000_001).unwrap();
        sparse.write_all_at(b"one", 4096).unwrap();
        sparse.write_all_at(b"payload", 2_000_000).unwrap();
        std::fs::File::create(root.join("hole"))
            .unwrap()
            .set_len(500_000)
            .unwrap();
        std::fs::write(root.join("plain"), "x").unwrap();
        let contents = || {
            let script =
                "cd \"$1\" && find . -name '.guard-*' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum";
            tree::run("sh", &["-c", script, "sh", root.to_str().unwrap()])
        };
        let wanted = contents();
        let archive = scene.root().join("by hand.tar.gz");
        let ends = [
            "--sparse",
            "-C",
            root.to_str().unwrap(),
            "-czf",
            archive.to_str().unwrap(),
            ".",
        ];
        tree::run("tar", &[form, &ends[..]].concat());
        let resource = build("volume", &scene.project(), None, &[("path", text("objects"))]);
        let slot = Slot::new(&scene.backup(), resource.name());
        let part = Part::Archive { path: archive };
        let material = Material {
            part,
            taken_at: scene.cx.clock.now(),
        };
        let artifact = resource.adopt(&material, &slot, &scene.cx).unwrap();
        for name in ["deep/sparse", "hole", "plain"] {
            std::fs::write(root.join(name), "other").unwrap();
        }
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert_eq!(contents(), wanted, "{form:?}");
    }
}
