//! Where guard works, what stays where it is, and what is made anew: mounts, sockets, links, directories of others.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use guard::model::artifact::{Artifact, Displaced, Live};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::super::built::{build, text};
use super::Directory;
use super::tree::run;
use crate::support::Scene;

fn volume(scene: &Scene, path: &str, form: &str) -> Box<dyn Resource> {
    build(
        "volume",
        &scene.project(),
        None,
        &[("path", text(path)), ("form", text(form))],
    )
}

fn captured(resource: &dyn Resource, scene: &Scene) -> (Slot, Artifact) {
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    (slot, artifact)
}

fn put_back(resource: &dyn Resource, (slot, artifact): &(Slot, Artifact), scene: &Scene) -> Displaced {
    let prepared = resource.prepare(artifact, slot, DataRestore::Auto, &scene.cx).unwrap();
    let displaced = resource.restore(&prepared, artifact, slot, &scene.cx).unwrap();
    assert_eq!(resource.check(artifact, &scene.cx).unwrap(), Live::Matches);
    displaced
}

fn seen(root: &Path) -> String {
    let script = "find \"$1\" -printf '%P %y %m %U %s\\n' | LC_ALL=C sort";
    run("sh", &["-c", script, "sh", root.to_str().unwrap()])
}

struct Mounted(std::path::PathBuf);

impl Mounted {
    fn at(place: &Path) -> Self {
        std::fs::create_dir_all(place).unwrap();
        run("mount", &["-t", "tmpfs", "none", place.to_str().unwrap()]);
        std::fs::write(place.join("precious"), "kept").unwrap();
        Self(place.to_owned())
    }

    fn is_whole(&self) -> bool {
        std::fs::read_to_string(self.0.join("precious")).is_ok_and(|text| text == "kept")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test that fails already is to end as that.
        let unmounted = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(
            std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "{} cannot be unmounted",
            self.0.display()
        );
    }
}

#[test]
fn a_mount_and_a_socket_stay_where_they_are_whatever_goes_back() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::write(root.join("sub/deep/file"), "old").unwrap();
        std::fs::write(root.join("sub/gone"), "old").unwrap();
        let inside = Mounted::at(&root.join("sub/mnt"));
        let _socket = UnixListener::bind(root.join("sub/app.sock")).unwrap();
        let resource = volume(&scene, "objects", form);
        let copy = captured(&*resource, &scene);
        let before = seen(&root);
        std::fs::write(root.join("sub/deep/file"), "bad, and longer").unwrap();
        std::fs::remove_file(root.join("sub/gone")).unwrap();
        std::fs::create_dir(root.join("sub/new")).unwrap();
        let failed = seen(&root);
        let displaced = put_back(&*resource, &copy, &scene);
        assert_eq!(seen(&root), before, "{form}");
        assert!(inside.is_whole(), "{form}");
        let undone = resource.undo(&displaced, &scene.cx).unwrap();
        assert_eq!(seen(&root), failed, "{form}");
        // What the release mounted in a directory of its own stays with that.
        let later = Mounted::at(&root.join("sub/new/below/mnt"));
        std::fs::write(root.join("sub/new/part"), "of the release").unwrap();
        let with_both = seen(&root);
        let again = resource.undo(&undone, &scene.cx).unwrap();
        assert!(later.is_whole() && !root.join("sub/new/part").exists(), "{form}");
        assert_eq!(resource.check(&copy.1, &scene.cx).unwrap(), Live::Matches, "{form}");
        let compared = resource.compare(&copy.1, &copy.0, &scene.cx).unwrap();
        assert_eq!(compared, Live::Matches, "{form}");
        let once_more = resource.undo(&again, &scene.cx).unwrap();
        assert_eq!(seen(&root), with_both, "{form}");
        let again = resource.undo(&once_more, &scene.cx).unwrap();
        resource.forget(&again, &scene.cx).unwrap();
        assert!(inside.is_whole() && later.is_whole(), "{form}");
        assert_eq!(
            std::fs::read_to_string(root.join("sub/deep/file")).unwrap(),
            "old",
            "{form}"
        );
    }
}

#[test]
fn a_directory_that_the_copy_does_not_know_stays_for_what_is_in_it_and_is_no_difference() {
    for form in ["archive", "chunks"] {
        for is_mounted_late in [false, true] {
            let scene = Scene::new();
            let root = scene.project().join("objects");
            std::fs::create_dir_all(root.join("sub")).unwrap();
            std::fs::write(root.join("sub/file"), "old").unwrap();
            let resource = volume(&scene, "objects", form);
            let (slot, artifact) = captured(&*resource, &scene);
            std::fs::create_dir_all(root.join("new/below/empty")).unwrap();
            std::fs::write(root.join("new/below/part"), "of the release").unwrap();
            let _socket = UnixListener::bind(root.join("new/app.sock")).unwrap();
            let early = (!is_mounted_late).then(|| Mounted::at(&root.join("new/below/mnt")));
            let prepared = resource
                .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
                .unwrap();
            let mounted = early.unwrap_or_else(|| Mounted::at(&root.join("new/below/mnt")));
            let failed = seen(&root);
            let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
            assert!(mounted.is_whole() && root.join("new/app.sock").exists(), "{form}");
            assert!(!root.join("new/below/part").exists() && !root.join("new/below/empty").exists());
            assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches, "{form}");
            let compared = resource.compare(&artifact, &slot, &scene.cx).unwrap();
            assert_eq!(compared, Live::Matches, "{form}");
            let undone = resource.undo(&displaced, &scene.cx).unwrap();
            assert_eq!(seen(&root), failed, "{form}");
            std::fs::write(root.join("new/later"), "of the release").unwrap();
            let again = resource.undo(&undone, &scene.cx).unwrap();
            assert!(mounted.is_whole() && !root.join("new/later").exists(), "{form}");
            resource.forget(&again, &scene.cx).unwrap();
            assert!(mounted.is_whole(), "{form}");
        }
    }
}

#[test]
fn a_file_does_not_take_the_place_of_a_directory_in_which_something_is_mounted() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("one"), "old").unwrap();
        std::fs::write(root.join("other"), "old").unwrap();
        let resource = volume(&scene, "objects", form);
        let (slot, artifact) = captured(&*resource, &scene);
        std::fs::remove_file(root.join("one")).unwrap();
        let mounted = Mounted::at(&root.join("one/mnt"));
        std::fs::write(root.join("other"), "bad, and longer").unwrap();
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert!(mounted.is_whole(), "{form}");
        assert_eq!(std::fs::read_to_string(root.join("other")).unwrap(), "old", "{form}");
        assert!(matches!(
            resource.check(&artifact, &scene.cx).unwrap(),
            Live::Differs(_)
        ));
        let undone = resource.undo(&displaced, &scene.cx).unwrap();
        resource.forget(&undone, &scene.cx).unwrap();
        assert!(mounted.is_whole(), "{form}");
    }
}

#[test]
fn what_is_put_aside_does_not_lie_in_what_is_live() {
    let scene = Scene::new();
    let root = scene.project().join("objects");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "old").unwrap();
    let resource = volume(&scene, "objects", "archive");
    let copy = captured(&*resource, &scene);
    std::fs::write(root.join("file"), "bad, and longer").unwrap();
    let displaced = put_back(&*resource, &copy, &scene);
    let aside = Directory::aside(&scene);
    assert!(!aside.starts_with(scene.project()), "{}", aside.display());
    let found = std::fs::metadata(&aside).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o700, 0));
    let kept = std::fs::read_to_string(aside.join("entries/file")).unwrap();
    assert_eq!(kept, "bad, and longer");
    resource.forget(&displaced, &scene.cx).unwrap();
    assert!(!aside.exists());
}

#[test]
fn a_directory_that_somebody_else_put_under_guards_name_is_refused() {
    let scene = Scene::new();
    let root = scene.project().join("objects");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "old").unwrap();
    let victim = scene.root().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("secret"), "roots").unwrap();
    let resource = volume(&scene, "objects", "archive");
    let copy = captured(&*resource, &scene);
    std::fs::write(root.join("file"), "bad, and longer").unwrap();
    let displaced = put_back(&*resource, &copy, &scene);
    let aside = Directory::aside(&scene);
    let stolen = aside.with_extension("stolen");
    std::fs::rename(&aside, &stolen).unwrap();
    let plants: [&dyn Fn(); 3] = [
        &|| symlink(&victim, &aside).unwrap(),
        &|| {
            std::fs::create_dir(&aside).unwrap();
            chown(&aside, Some(33), Some(33)).unwrap();
            symlink(&victim, aside.join("entries")).unwrap();
        },
        &|| std::fs::write(&aside, "no directory").unwrap(),
    ];
    for plant in plants {
        plant();
        for error in [
            resource.undo(&displaced, &scene.cx).map(drop).expect_err("not guard's"),
            resource.forget(&displaced, &scene.cx).expect_err("not guard's"),
        ] {
            let aside = aside.to_str().unwrap();
            assert!(error.to_string().contains(aside) && error.hint.is_some(), "{error}");
        }
        assert_eq!(std::fs::read_to_string(victim.join("secret")).unwrap(), "roots");
        run("rm", &["-rf", aside.to_str().unwrap()]);
    }
    std::fs::rename(&stolen, &aside).unwrap();
    resource.undo(&displaced, &scene.cx).expect("it is there again");
}

#[test]
fn a_directory_that_is_gone_or_was_replaced_is_made_anew() {
    let replaced: [&dyn Fn(&Path); 4] = [
        &|_| {},
        &|root| std::fs::write(root, "a file").unwrap(),
        &|root| symlink("/etc", root).unwrap(),
        &|root| std::fs::create_dir(root).unwrap(),
    ];
    for form in ["archive", "chunks"] {
        for replace in replaced {
            let scene = Scene::new();
            let root = scene.project().join("objects");
            std::fs::create_dir_all(root.join("sub")).unwrap();
            std::fs::write(root.join("sub/file"), "old").unwrap();
            chown(&root, Some(1234), Some(99)).unwrap();
            let resource = volume(&scene, "objects", form);
            let copy = captured(&*resource, &scene);
            let before = seen(&root);
            std::fs::remove_dir_all(&root).unwrap();
            replace(&root);
            let kind = |path: &Path| std::fs::symlink_metadata(path).map(|found| found.file_type()).ok();
            let failed = kind(&root);
            assert!(matches!(resource.check(&copy.1, &scene.cx).unwrap(), Live::Differs(_)));
            let displaced = put_back(&*resource, &copy, &scene);
            assert_eq!(seen(&root), before, "{form}");
            let undone = resource.undo(&displaced, &scene.cx).unwrap();
            assert_eq!(kind(&root), failed, "{form}");
            resource.undo(&undone, &scene.cx).unwrap();
            assert_eq!(seen(&root), before, "{form}");
        }
    }
}

#[test]
fn a_volume_behind_a_link_goes_back_to_where_the_link_led() {
    let scene = Scene::new();
    let project = scene.project();
    for release in ["releases/1/data", "releases/2/data"] {
        std::fs::create_dir_all(project.join(release)).unwrap();
        std::fs::write(project.join(release).join("file"), release).unwrap();
    }
    symlink("releases/1", project.join("current")).unwrap();
    let resource = volume(&scene, "current/data", "archive");
    let copy = captured(&*resource, &scene);
    std::fs::remove_file(project.join("current")).unwrap();
    symlink("releases/2", project.join("current")).unwrap();
    std::fs::write(project.join("releases/1/data/file"), "spoiled by the release").unwrap();
    let displaced = put_back(&*resource, &copy, &scene);
    let live = || std::fs::read_to_string(project.join("current/data/file")).unwrap();
    assert_eq!(live(), "releases/1/data");
    assert_eq!(
        std::fs::read_to_string(project.join("releases/2/data/file")).unwrap(),
        "releases/2/data"
    );
    resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(live(), "releases/2/data");
}

#[test]
fn a_directory_on_a_host_without_docker_is_copied_and_comes_back() {
    let scene = Scene::new();
    let root = scene.project().join("objects");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "old").unwrap();
    let settings = "state_dir = \"../state\"\n[resources.objects]\nkind = \"volume\"\npath = \"objects\"\n";
    std::fs::write(scene.project().join("guard.toml"), settings).unwrap();
    let guard = |args: &[&str]| {
        let mut call = std::process::Command::new(env!("CARGO_BIN_EXE_guard"));
        let output = call
            .args(args)
            .current_dir(scene.project())
            .env("PATH", "/nowhere")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "guard {args:?}: {said}");
    };
    guard(&["backup"]);
    std::fs::write(root.join("file"), "newer").unwrap();
    guard(&["rollback", "--yes", "--backup-timestamp=latest"]);
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "old");
}
