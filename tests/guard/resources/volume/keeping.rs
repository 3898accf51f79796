//! `carry_over = "new-files"`: what people wrote since the backup stays where it is, what the release wrote goes aside, and
//! `guard salvage` gives back what went.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guard::model::artifact::{Artifact, Displaced, Live, Work};
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Mark, Resource, Slot};

use super::super::built::{build, list, text, try_build};
use super::tree;
use crate::support::Scene;

struct Uploads {
    resource: Box<dyn Resource>,
    root: PathBuf,
}

impl Uploads {
    fn new(scene: &Scene, keys: &[(&str, Value)]) -> Self {
        let root = scene.project().join("objects");
        fs::create_dir(&root).unwrap();
        tree::plant(&root);
        let keys = [&[("path", text("objects"))], keys].concat();
        let resource = build("volume", &scene.project(), None, &keys);
        Self { resource, root }
    }

    fn keeping(scene: &Scene, form: &str) -> Self {
        Self::new(scene, &[("form", text(form)), ("carry_over", text("new-files"))])
    }

    fn capture(&self, scene: &Scene) -> (Slot, Artifact) {
        let slot = Slot::new(&scene.backup(), self.resource.name());
        let artifact = self.resource.capture(&slot, &scene.cx).unwrap();
        (slot, artifact)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.join(name)).ok()
    }

    /// What a deploy command does, between the two marks of the engine.
    fn deploy(&self, scene: &Scene, act: impl FnOnce(&Self)) {
        pause();
        self.resource.mark(Mark::DeployBegins, &scene.cx).unwrap();
        act(self);
        self.resource.mark(Mark::DeployEnded, &scene.cx).unwrap();
        pause();
    }

    fn put_back(&self, copy: &(Slot, Artifact), scene: &Scene) -> Displaced {
        let prepared = self
            .resource
            .prepare(&copy.1, &copy.0, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert!(prepared.work.is_needed(), "{:?}", prepared.work);
        self.resource.restore(&prepared, &copy.1, &copy.0, &scene.cx).unwrap()
    }

    fn is_as_copied(&self, copy: &(Slot, Artifact), scene: &Scene) {
        let live = self.resource.compare(&copy.1, &copy.0, &scene.cx).unwrap();
        assert_eq!(live, Live::Matches);
    }
}

/// What a file system tells of times is some milliseconds coarse.
fn pause() {
    std::thread::sleep(Duration::from_millis(60));
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// A bad release between two uploads, and what people and it did to the same directories.
fn spoilt(subject: &Uploads, scene: &Scene) {
    subject.write("2026/early.jpg", "before the deploy command");
    subject.deploy(scene, |subject| {
        subject.write("assets/app.js", "compiled");
        subject.write("2026/thumbnail.jpg", "by a migration");
        subject.write("data/second", "the release's");
        fs::remove_file(subject.root.join("-rf")).unwrap();
        fs::create_dir(subject.root.join("cache")).unwrap();
        fs::write(subject.root.join("built only by the release"), "x").unwrap();
    });
    subject.write("2026/late.jpg", "behind the deploy command");
    subject.write("assets/avatar.png", "in a directory of the release's");
    subject.write("2026/private/letter.txt", "with a mode");
    fs::set_permissions(
        subject.root.join("2026/private/letter.txt"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    fs::hard_link(subject.root.join("2026/late.jpg"), subject.root.join("2026/again.jpg")).unwrap();
    symlink("late.jpg", subject.root.join("2026/link")).unwrap();
    subject.write(".hidden", "somebody's newer version");
    subject.write("data/deep/upload", "in a directory that the backup knows");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, from the uploads to the last undo")]
fn what_people_wrote_stays_and_what_the_release_wrote_goes_aside() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let subject = Uploads::keeping(&scene, form);
        let original = tree::observe(&subject.root);
        let copy = subject.capture(&scene);
        spoilt(&subject, &scene);
        let failed = tree::observe(&subject.root);
        let kept = inode(&subject.root.join("2026/late.jpg"));

        let outlook = subject
            .resource
            .outlook(&copy.1, &copy.0, DataRestore::Auto, &scene.cx)
            .unwrap()
            .join("\n");
        assert!(outlook.contains("keeps 7 files"), "{form}: {outlook}");
        assert!(
            outlook.contains("that came while the deploy command ran, by the release or by people"),
            "{form}: {outlook}"
        );
        assert!(outlook.contains("aside that changed since"), "{form}: {outlook}");
        assert!(outlook.contains("brings back 1 file"), "{form}: {outlook}");
        assert_eq!(tree::observe(&subject.root), failed, "{form}: a look changes nothing");

        let displaced = subject.put_back(&copy, &scene);
        for (name, content) in [
            ("2026/early.jpg", "before the deploy command"),
            ("2026/late.jpg", "behind the deploy command"),
            ("2026/again.jpg", "behind the deploy command"),
            ("2026/link", "behind the deploy command"),
            ("2026/private/letter.txt", "with a mode"),
            ("assets/avatar.png", "in a directory of the release's"),
            ("data/deep/upload", "in a directory that the backup knows"),
            (".hidden", ".hidden"),
            ("-rf", "-rf"),
        ] {
            assert_eq!(subject.read(name).as_deref(), Some(content), "{form}: {name}");
        }
        for name in [
            "assets/app.js",
            "2026/thumbnail.jpg",
            "cache",
            "built only by the release",
        ] {
            assert!(!subject.root.join(name).exists(), "{form}: {name} is the release's own");
        }
        let path = subject.root.join("2026/again.jpg");
        assert_eq!(
            (inode(&path), fs::metadata(&path).unwrap().nlink()),
            (kept, 2),
            "{form}"
        );
        let mode = fs::metadata(subject.root.join("2026/private/letter.txt"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o7777, 0o640, "{form}");
        let links = ["data/original", "data/second", "third"].map(|name| inode(&subject.root.join(name)));
        assert!(
            links.iter().all(|one| *one == links[0]),
            "{form}: the names of one file are one file again"
        );
        subject.is_as_copied(&copy, &scene);
        let carried = subject.resource.carried(&displaced).expect("something was kept");
        assert!(
            carried.sentences[0].starts_with("kept 7 files"),
            "{:?}",
            carried.sentences
        );
        let meant = Artifact {
            fingerprint: carried.becomes,
            ..copy.1.clone()
        };
        assert_eq!(
            subject.resource.check(&meant, &scene.cx).unwrap(),
            Live::Matches,
            "{form}"
        );
        assert_eq!(
            displaced
                .files()
                .map(|files| files.split(' ').next().unwrap().to_owned()),
            Some("7".to_owned())
        );

        // A repeat finds it done, and a later upload is no difference.
        let again = subject.put_back_again(&copy, &displaced, &scene);
        subject.write("2026/later still.jpg", "new");
        subject.is_as_copied(&copy, &scene);
        fs::remove_file(subject.root.join("2026/later still.jpg")).unwrap();

        // An undo brings the failed state back, and loses nothing; and once more.
        let undone = subject.resource.undo(&again, &scene.cx).unwrap();
        assert_eq!(
            without_times(&tree::observe(&subject.root)),
            without_times(&failed),
            "{form}"
        );
        let redone = subject.resource.undo(&undone, &scene.cx).unwrap();
        assert_eq!(
            subject.read("2026/late.jpg").as_deref(),
            Some("behind the deploy command")
        );
        subject.is_as_copied(&copy, &scene);

        // What is left without the kept files is the backup.
        subject.resource.forget(&redone, &scene.cx).unwrap();
        for name in ["2026", "assets", "data/deep/upload"] {
            let path = subject.root.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        assert_eq!(
            without_times(&tree::observe(&subject.root)),
            without_times(&original),
            "{form}"
        );
    }
}

impl Uploads {
    fn put_back_again(&self, copy: &(Slot, Artifact), before: &Displaced, scene: &Scene) -> Displaced {
        let prepared = self
            .resource
            .prepare(&copy.1, &copy.0, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert_eq!(prepared.work, Work::Unchanged, "only what is kept differs");
        before.clone()
    }
}

/// The same without the times of directories, which change with what lies in them.
fn without_times(observed: &str) -> String {
    let mut lines: Vec<String> = observed
        .lines()
        .map(|line| match line.split_once(' ') {
            Some(("d", rest)) => {
                let words: Vec<&str> = rest
                    .split(' ')
                    .filter(|word| !word.contains(".0000") && !is_time(word))
                    .collect();
                format!("d {}", words.join(" "))
            }
            _ => line.to_owned(),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

fn is_time(word: &str) -> bool {
    word.split_once('.')
        .is_some_and(|(seconds, rest)| rest.len() >= 9 && seconds.parse::<i64>().is_ok())
}

#[test]
fn new_files_alone_are_no_reason_to_go_back() {
    let scene = Scene::new();
    let subject = Uploads::keeping(&scene, "chunks");
    let copy = subject.capture(&scene);
    subject.deploy(&scene, |_| ());
    subject.write("2026/upload.jpg", "new");
    let prepared = subject
        .resource
        .prepare(&copy.1, &copy.0, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert_eq!(prepared.work, Work::Unchanged);
    assert!(prepared.price[0].starts_with("keeps 1 file"), "{:?}", prepared.price);
    subject.is_as_copied(&copy, &scene);
    // Without the setting it goes aside, and is told.
    let plain = build(
        "volume",
        &scene.project(),
        None,
        &[("path", text("objects")), ("form", text("chunks"))],
    );
    let prepared = plain.prepare(&copy.1, &copy.0, DataRestore::Auto, &scene.cx).unwrap();
    assert!(prepared.work.is_needed());
    let told = prepared.price.join("\n");
    assert!(told.contains("puts 1 file (3 bytes) aside that came since"), "{told}");
    assert!(
        told.contains("2026/upload.jpg") && told.contains("guard salvage"),
        "{told}"
    );
}

#[test]
fn a_command_that_nobody_saw_end_keeps_all_that_came_behind_its_beginning_out() {
    let scene = Scene::new();
    let subject = Uploads::keeping(&scene, "archive");
    let copy = subject.capture(&scene);
    subject.write("early.jpg", "before");
    pause();
    subject.resource.mark(Mark::DeployBegins, &scene.cx).unwrap();
    subject.write("whose is this", "?");
    subject.write("-rf", "changed");
    let displaced = subject.put_back(&copy, &scene);
    assert!(subject.root.join("early.jpg").exists() && !subject.root.join("whose is this").exists());
    subject.resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(subject.read("whose is this").as_deref(), Some("?"));
}

#[test]
fn sockets_and_new_files_stay_beside_each_other() {
    let scene = Scene::new();
    let subject = Uploads::keeping(&scene, "archive");
    let copy = subject.capture(&scene);
    subject.deploy(&scene, |subject| subject.write("run/app.pid", "1"));
    let _socket = UnixListener::bind(subject.root.join("run/app.sock")).unwrap();
    subject.write("run/upload", "new");
    subject.write("-rf", "changed");
    subject.put_back(&copy, &scene);
    assert!(subject.root.join("run/app.sock").exists() && subject.root.join("run/upload").exists());
    assert!(!subject.root.join("run/app.pid").exists());
    subject.is_as_copied(&copy, &scene);
}

#[test]
fn salvage_gives_files_back_and_never_over_another() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let subject = Uploads::new(&scene, &[("form", text(form))]);
        let copy = subject.capture(&scene);
        for name in ["2026/a.jpg", "2026/b.jpg", "2026/notes.txt"] {
            subject.write(name, name);
        }
        subject.write(".hidden", "newer");
        fs::set_permissions(subject.root.join("2026"), fs::Permissions::from_mode(0o750)).unwrap();
        let failed = tree::observe(&subject.root);
        let displaced = subject.put_back(&copy, &scene);
        assert!(!subject.root.join("2026").exists());
        assert_eq!(displaced.files().map(|files| &files[..7]), Some("4 files"));
        let salvage = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|one| (*one).to_owned()).collect();
            let told = subject
                .resource
                .salvage_files(&displaced, &patterns, "guard salvage X --files '**'", &scene.cx);
            told.unwrap().join("\n")
        };
        let listed = salvage(&[]);
        assert!(
            listed.contains("aside and not live: 3 files") && listed.contains("2026/notes.txt"),
            "{form}: {listed}"
        );
        assert!(
            listed.contains("others have the names by now, 1 file") && listed.contains("--files"),
            "{form}: {listed}"
        );
        assert!(!subject.root.join("2026").exists(), "a look gives nothing back");
        let given = salvage(&["*.jpg"]);
        assert!(given.contains("gave back 2 files"), "{form}: {given}");
        assert_eq!(subject.read("2026/a.jpg").as_deref(), Some("2026/a.jpg"));
        assert!(!subject.root.join("2026/notes.txt").exists());
        assert_eq!(fs::metadata(subject.root.join("2026")).unwrap().mode() & 0o7777, 0o750);
        subject.write("2026/notes.txt", "written since");
        let given = salvage(&["**"]);
        assert!(!given.contains("gave back"), "{form}: {given}");
        assert_eq!(subject.read("2026/notes.txt").as_deref(), Some("written since"));
        assert_eq!(subject.read(".hidden").as_deref(), Some(".hidden"));
        assert!(
            subject
                .resource
                .salvage_files(&displaced, &["a[".to_owned()], "", &scene.cx)
                .is_err()
        );
        // The failed state is still whole.
        subject.resource.undo(&displaced, &scene.cx).unwrap();
        // A file that was given back has a further name, aside.
        let is_of_others = |line: &&str| !line.contains("2026/") && !line.starts_with(|c: char| c.is_ascii_digit());
        let strip = |text: &str| {
            let lines = without_times(text);
            lines
                .lines()
                .filter(is_of_others)
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(strip(&tree::observe(&subject.root)), strip(&failed), "{form}");
        assert_eq!(subject.read("2026/notes.txt").as_deref(), Some("2026/notes.txt"));
    }
}

#[test]
fn an_undo_tells_what_was_written_since() {
    let scene = Scene::new();
    let subject = Uploads::new(&scene, &[("form", text("archive"))]);
    let copy = subject.capture(&scene);
    subject.write("data/deep/deeper/object", "the release's");
    let displaced = subject.put_back(&copy, &scene);
    assert_eq!(
        subject.resource.undo_price(&displaced, &scene.cx).unwrap(),
        Vec::<String>::new()
    );
    pause();
    subject.write("data/upload", "after the rollback");
    let told = subject.resource.undo_price(&displaced, &scene.cx).unwrap().join("\n");
    assert!(told.contains("puts 1 file") && told.contains("data/upload"), "{told}");
}

#[test]
fn words_that_make_no_sense_for_files_are_refused() {
    let scene = Scene::new();
    fs::create_dir(scene.project().join("objects")).unwrap();
    let refused = |value: Value| {
        let keys = [("path", text("objects")), ("carry_over", value)];
        let problems = try_build("volume", &scene.project(), None, &keys)
            .err()
            .expect("refused");
        let first = &problems[0];
        format!("{} {}", first.message, first.hint.clone().unwrap_or_default())
    };
    for value in [list(&["users", "orders"]), text("inserts")] {
        let told = refused(value);
        assert!(told.contains("rows of tables") && told.contains("new-files"), "{told}");
    }
    let told = refused(text("newfiles"));
    assert!(
        told.contains("not one of: none, new-files") && told.contains("did you mean"),
        "{told}"
    );
}
