//! Configuration files: the promises, what is kept and what not, checks that refuse, secrets that are learned.

mod grounds;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::model::setting::{Item, Value};
use guard::resources::{Resource, Slot};

use super::built::{build, list, text, try_build};
use super::promises::{self, Subject};
use crate::support::Scene;

struct Config {
    resource: Box<dyn Resource>,
    root: PathBuf,
}

fn words(words: &[&str]) -> Value {
    Value::List(vec![Item {
        value: list(words),
        at: 0..0,
    }])
}

impl Config {
    fn new(scene: &Scene, keys: &[(&str, Value)]) -> Self {
        let root = scene.project();
        fs::create_dir_all(root.join("nginx/sites")).unwrap();
        fs::write(
            root.join(".env"),
            "DB_PASSWORD=correct-horse-battery\nHOST=example.test\n",
        )
        .unwrap();
        fs::set_permissions(root.join(".env"), fs::Permissions::from_mode(0o640)).unwrap();
        chown(root.join(".env"), Some(1001), Some(1002)).unwrap();
        fs::write(root.join("nginx/nginx.conf"), "worker_processes 1;\n").unwrap();
        fs::write(root.join("nginx/sites/a.conf"), "server {}\n").unwrap();
        fs::write(
            root.join("nginx/sites")
                .join(std::ffi::OsStr::from_bytes(b"odd \xff\n%name")),
            "odd",
        )
        .unwrap();
        symlink("sites/a.conf", root.join("nginx/default")).unwrap();
        fs::write(root.join("unrelated"), "not guard's").unwrap();
        let keys = [&[("paths", list(&[".env", "nginx/**"]))], keys].concat();
        Self {
            resource: build("files", &root, None, &keys),
            root,
        }
    }
}

impl Subject for Config {
    fn resource(&self) -> &dyn Resource {
        &*self.resource
    }

    fn spoil_live(&self) {
        fs::write(self.root.join("nginx/nginx.conf"), "broken").unwrap();
        fs::write(self.root.join("nginx/sites/new.conf"), "added by the release").unwrap();
        fs::remove_file(self.root.join("nginx/sites/a.conf")).unwrap();
        fs::remove_file(self.root.join("nginx/default")).unwrap();
        fs::write(self.root.join("nginx/default"), "a file now").unwrap();
        fs::set_permissions(self.root.join(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn observe(&self) -> String {
        let script = r#"cd "$1" && find . -type f -printf '%y %p %m %U:%G %s\n' -exec sha256sum {} + -o -type l -printf '%y %p %l\n' | LC_ALL=C sort"#;
        super::volume::tree::run("sh", &["-c", script, "sh", self.root.to_str().unwrap()])
    }
}

#[test]
fn files_keep_the_promises() {
    let scene = Scene::new();
    promises::hold(&Config::new(&scene, &[]), &scene);
}

#[test]
fn a_check_that_fails_keeps_no_old_file_out_and_nothing_is_taken_up() {
    let scene = Scene::new();
    let check = words(&["sh", "-c", "grep -q processes nginx/nginx.conf && exit 3"]);
    let subject = Config::new(&scene, &[("check", check), ("after", words(&["touch", "reloaded"]))]);
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    let before = subject.observe();
    subject.spoil_live();
    let prepared = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let displaced = subject
        .resource
        .restore(&prepared, &artifact, &slot, &scene.cx)
        .unwrap();
    assert_eq!(subject.observe(), before, "the old files are in");
    // When the services are up again, the check says no for good: nobody is told to take the files up.
    let error = subject
        .resource
        .take_up(&displaced, &scene.cx)
        .expect_err("the check says no");
    assert!(error.to_string().contains("check"), "{error}");
    assert!(error.hint.unwrap().contains("--skip"));
    assert_eq!(subject.observe(), before);
    assert!(!subject.root.join("reloaded").exists());
}

#[test]
fn a_check_that_cannot_be_run_says_nothing_of_the_files() {
    for unable in [
        words(&["/nowhere/nginx", "-t"]),
        words(&["sh", "-c", "echo 'service \"nginx\" is not running' >&2; exit 1"]),
        words(&["sh", "-c", "exit 127"]),
    ] {
        let scene = Scene::new();
        let subject = Config::new(&scene, &[("check", unable), ("after", words(&["touch", "reloaded"]))]);
        let slot = Slot::new(&scene.backup(), subject.resource.name());
        let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
        subject.spoil_live();
        let prepared = subject.resource.prepare(&artifact, &slot, DataRestore::Auto, &scene.cx);
        let displaced = subject
            .resource
            .restore(&prepared.unwrap(), &artifact, &slot, &scene.cx)
            .unwrap();
        let unasked = subject.resource.take_up(&displaced, &scene.cx).unwrap();
        assert!(
            unasked.len() == 1 && unasked[0].contains("cannot be run here"),
            "{unasked:?}"
        );
        assert!(
            subject.root.join("reloaded").exists(),
            "what takes the files up is run all the same"
        );
    }
}

#[test]
fn the_check_sees_the_restored_files_and_the_rest_comes_after() {
    let scene = Scene::new();
    let check = words(&["grep", "-q", "processes", "nginx/nginx.conf"]);
    let subject = Config::new(
        &scene,
        &[
            ("check", check),
            ("after", words(&["sh", "-c", "echo $GUARD_RUN_ID > reloaded"])),
        ],
    );
    let mut cx = scene.cx.clone();
    cx.announced = std::sync::Arc::new(vec![("GUARD_RUN_ID".to_owned(), "the run".to_owned())]);
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &cx).unwrap();
    subject.spoil_live();
    let prepared = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &cx)
        .unwrap();
    subject.resource.restore(&prepared, &artifact, &slot, &cx).unwrap();
    assert_eq!(fs::read_to_string(subject.root.join("reloaded")).unwrap(), "the run\n");
    assert_eq!(subject.resource.check(&artifact, &cx).unwrap(), Live::Matches);
}

#[test]
fn secrets_of_an_env_file_are_learned_and_its_copy_is_private() {
    let scene = Scene::new();
    let subject = Config::new(&scene, &[]);
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(
        scene.cx.redaction.clean("password is correct-horse-battery"),
        "password is [REDACTED]"
    );
    for entry in &artifact.files {
        let mode = fs::metadata(slot.path_of(entry).unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path);
    }
    assert!(!serde_json::to_string(&artifact).unwrap().contains("battery"));
}

#[test]
fn fault_i9_what_is_no_file_is_listed_and_never_read() {
    let scene = Scene::new();
    let subject = Config::new(&scene, &[]);
    let pipe = subject.root.join("nginx/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    symlink("/etc", subject.root.join("nginx/etc")).unwrap();
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(
        artifact.not_kept,
        ["nginx/pipe, which is neither a regular file nor a link"]
    );
    let details = artifact.details.to_string();
    assert!(
        details.contains("\"target\":\"/etc\"") && !details.contains("passwd"),
        "links are kept, not followed: {details}"
    );
}

#[test]
fn fault_i11_a_reader_sees_the_old_file_or_the_new_one() {
    let scene = Scene::new();
    let subject = Config::new(&scene, &[]);
    let path = subject.root.join("nginx/nginx.conf");
    let old = vec![b'o'; 3_000_000];
    fs::write(&path, &old).unwrap();
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    let new = vec![b'n'; 2_000_000];
    fs::write(&path, &new).unwrap();
    let prepared = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let started = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) || seen == 0 {
                let content = fs::read(&path).expect("always there");
                assert!(content == old || content == new, "{} bytes", content.len());
                if seen == 0 {
                    started.wait();
                }
                seen += 1;
            }
        });
        started.wait();
        let displaced = subject
            .resource
            .restore(&prepared, &artifact, &slot, &scene.cx)
            .unwrap();
        subject.resource.undo(&displaced, &scene.cx).unwrap();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        reader.join().unwrap();
    });
}

#[test]
fn patterns_that_lead_out_of_the_project_are_refused() {
    let scene = Scene::new();
    for pattern in ["../secrets", "/etc/passwd", "a/../../b", "[", ""] {
        let keys = [("paths", list(&[pattern]))];
        assert!(
            try_build("files", &scene.project(), None, &keys).is_err(),
            "{pattern:?}"
        );
    }
    let none = build("files", &scene.project(), None, &[("paths", text("missing/**"))]);
    assert!(none.survey(&scene.cx).obstacles[0].refuses);
}

#[test]
fn a_directory_turned_link_is_not_written_through() {
    let scene = Scene::new();
    let subject = Config::new(&scene, &[]);
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    let outside = scene.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(subject.root.join("nginx/sites")).unwrap();
    symlink(&outside, subject.root.join("nginx/sites")).unwrap();
    // Said while nothing has been stopped yet.
    subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .expect_err("not the project's any more");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
