//! Odd repositories, and what releases do to them: the state before comes back, and nothing is lost on the way.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use guard::model::artifact::{Displaced, Live};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::super::built::{build, text};
use super::{git, try_git};
use crate::support::Scene;

/// What is there, by other means than guard's: shapes, modes, links and content of all that is not git's own, and what git
/// says of it.
fn seen(root: &Path) -> String {
    let shell = "find . -name .git -prune -o -printf '%P|%y|%m|%U|%G|%l\\n' | LC_ALL=C sort; \
        find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum";
    let found = Command::new("sh")
        .args(["-c", shell])
        .current_dir(root)
        .output()
        .unwrap();
    [
        String::from_utf8_lossy(&found.stdout).into_owned(),
        git(root, &["ls-files", "-v", "--stage"]),
        String::from_utf8_lossy(&try_git(root, &["log", "--format=%H %D %s", "-1"]).stdout).into_owned(),
        // A file that is converted is told as changed or not by its length in the index, which is no state of it.
        git(root, &["status", "--porcelain=v2"]).replace(&git(root, &["status", "--porcelain=v2", "*.id"]), ""),
    ]
    .join("\n")
}

fn back(resource: &dyn Resource, slot: &Slot, artifact: &guard::model::artifact::Artifact, scene: &Scene) -> Displaced {
    let prepared = resource.prepare(artifact, slot, DataRestore::Auto, &scene.cx).unwrap();
    resource.restore(&prepared, artifact, slot, &scene.cx).unwrap()
}

/// There and back, and there again: as before, as the release left it, and as before.
fn there_and_back(what: &str, root: &Path, scene: &Scene, release: impl FnOnce(&Path)) -> Displaced {
    let resource = build("git", root, None, &[]);
    let survey = resource.survey(&scene.cx);
    assert!(survey.obstacles.iter().all(|one| !one.refuses), "{what}: {survey:?}");
    let backup = scene.root().join(format!("backup-of-{}", what.replace(' ', "-")));
    fs::create_dir(&backup).unwrap();
    let slot = Slot::new(&backup, resource.name());
    let before = seen(root);
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    resource.rehearse(&artifact, &slot, &scene.cx).unwrap();
    assert_eq!(seen(root), before, "{what}: a capture only reads");
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches, "{what}");
    release(root);
    let failed = seen(root);
    assert_ne!(failed, before, "{what}: the release changes something");
    assert_ne!(
        resource.check(&artifact, &scene.cx).unwrap(),
        Live::Matches,
        "{what}: a change is seen"
    );
    let displaced = back(&*resource, &slot, &artifact, scene);
    assert_eq!(seen(root), before, "{what}: put back");
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches, "{what}");
    let undone = resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(seen(root), failed, "{what}: undone");
    let again = resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(seen(root), before, "{what}: put back again");
    again
}

fn checkout(scene: &Scene, name: &str, init: &[&str]) -> PathBuf {
    let root = scene.root().join(name);
    fs::create_dir(&root).unwrap();
    git(&root, &[&["init", "--quiet"], init].concat());
    fs::write(root.join("app"), "version 1\n").unwrap();
    root
}

fn commit(root: &Path, message: &str) {
    git(root, &["add", "--all"]);
    git(root, &["commit", "--quiet", "--allow-empty", "-m", message]);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn bytes_come_back_as_bytes_whatever_git_would_make_of_them() {
    let scene = Scene::new();
    let root = checkout(&scene, "converted", &[]);
    fs::write(
        root.join(".gitattributes"),
        "*.txt text eol=crlf\n*.id ident\n*.big filter=store\n*.utf text working-tree-encoding=UTF-16LE\n",
    )
    .unwrap();
    for (key, value) in [
        ("core.autocrlf", "true"),
        ("filter.store.clean", "tr a-z A-Z"),
        ("filter.store.smudge", "tr A-Z a-z"),
        ("filter.store.required", "true"),
    ] {
        git(&root, &["config", key, value]);
    }
    fs::write(root.join("a.txt"), "a\r\n").unwrap();
    fs::write(root.join("b.id"), "$Id$\n").unwrap();
    fs::write(root.join("c.big"), "large\n").unwrap();
    fs::write(root.join("d.utf"), b"d\0\r\0\n\0").unwrap();
    commit(&root, "one");
    // Bytes that git would not have written itself.
    fs::write(root.join("a.txt"), "a\nb\r\n").unwrap();
    fs::write(root.join("b.id"), "$Id: mine $\n").unwrap();
    fs::write(root.join("c.big"), "Mixed\n").unwrap();
    there_and_back("conversions", &root, &scene, |root| {
        for name in ["a.txt", "b.id", "c.big"] {
            fs::write(root.join(name), "broken\n").unwrap();
        }
        fs::write(root.join("d.utf"), b"x\0\n\0").unwrap();
        fs::remove_file(root.join(".gitattributes")).unwrap();
        commit(root, "two");
    });
}

#[test]
fn what_git_does_not_keep_comes_back_too() {
    let scene = Scene::new();
    let root = checkout(&scene, "worn", &[]);
    fs::create_dir_all(root.join("secret/deep")).unwrap();
    for name in ["secret/deep/key", "secret/other", "run.sh"] {
        fs::write(root.join(name), name).unwrap();
    }
    commit(&root, "one");
    mode(&root.join("secret/deep/key"), 0o600);
    mode(&root.join("secret"), 0o710);
    mode(&root.join("run.sh"), 0o755);
    fs::create_dir_all(root.join("empty/in it")).unwrap();
    fs::create_dir(root.join("secret/spool")).unwrap();
    mode(&root.join("secret/spool"), 0o1777);
    let resource = build("git", &root, None, &[]);
    let done = there_and_back("modes", &root, &scene, |root| {
        mode(&root.join("secret/deep/key"), 0o644);
        fs::remove_dir(root.join("secret/spool")).unwrap();
        fs::remove_dir_all(root.join("empty")).unwrap();
    });
    resource.forget(&done, &scene.cx).unwrap();
    let done = there_and_back("a tree that is gone", &root, &scene, |root| {
        fs::remove_dir_all(root.join("secret")).unwrap();
        fs::remove_dir_all(root.join("empty")).unwrap();
        fs::create_dir(root.join("made by the release")).unwrap();
        fs::write(root.join("app"), "version 2\n").unwrap();
        commit(root, "two");
    });
    resource.forget(&done, &scene.cx).unwrap();
    git(&root, &["config", "core.fileMode", "false"]);
    mode(&root.join("app"), 0o755);
    there_and_back("no file modes", &root, &scene, |root| {
        fs::write(root.join("app"), "version 3\n").unwrap();
        mode(&root.join("app"), 0o644);
        mode(&root.join("run.sh"), 0o600);
    });
}

fn shell(root: &Path, script: &str) {
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A web server's access list is lost by every tool that writes a new file and renames it into place.
#[test]
fn access_lists_and_attributes_come_back_too() {
    let lists = |root: &Path| {
        let told = Command::new("sh")
            .args(["-c", "getfacl -nR storage app; getfattr -R -d -m - storage app"])
            .current_dir(root)
            .output()
            .unwrap();
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    let scene = Scene::new();
    let root = checkout(&scene, "lists", &[]);
    fs::create_dir_all(root.join("storage/cache")).unwrap();
    fs::write(root.join("storage/page"), "1").unwrap();
    fs::write(root.join("storage/cache/one"), "1").unwrap();
    commit(&root, "one");
    shell(
        &root,
        "setfacl -m u:33:rw storage/page; setfacl -m u:33:rwx,d:u:33:rwx storage; setfattr -n user.origin -v one app
         [ $(id -u) != 0 ] || setfattr -n trusted.mark -v one app",
    );
    let before = lists(&root);
    let resource = build("git", &root, None, &[]);
    let done = there_and_back("lists", &root, &scene, |root| {
        shell(
            root,
            "rm -r storage; mkdir storage; echo 2 >storage/page; setfattr -n user.origin -v two app",
        );
        commit(root, "two");
    });
    assert_eq!(lists(&root), before);
    resource.forget(&done, &scene.cx).unwrap();
    // What a release gives goes again, and what it takes away comes back, where content is the same.
    let backup = scene.root().join("backup-of-attributes");
    fs::create_dir(&backup).unwrap();
    let slot = Slot::new(&backup, resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    shell(
        &root,
        "setfacl -m u:34:r storage/cache/one; setfacl -b storage/page; setfacl -k storage",
    );
    assert_ne!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    back(&*resource, &slot, &artifact, &scene);
    assert_eq!(lists(&root), before);
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    // What only root may give is looked at by root alone.
    if guard::system::privilege::is_root() {
        shell(&root, "setfattr -n trusted.mark -v two app");
        assert_ne!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
        back(&*resource, &slot, &artifact, &scene);
        assert_eq!(lists(&root), before);
    }
}

#[test]
fn paths_may_change_their_shape() {
    let scene = Scene::new();
    let root = checkout(&scene, "shapes", &[]);
    fs::create_dir_all(root.join("directory/below")).unwrap();
    fs::write(root.join("directory/below/file"), "1").unwrap();
    fs::write(root.join("file"), "1").unwrap();
    fs::write(root.join("Case"), "1").unwrap();
    fs::write(root.join("new\nline \"quoted\" \\ back"), "odd").unwrap();
    fs::write(root.join("-dash"), "odd").unwrap();
    symlink("directory", root.join("link")).unwrap();
    symlink("nowhere", root.join("broken")).unwrap();
    commit(&root, "one");
    there_and_back("shapes", &root, &scene, |root| {
        fs::remove_dir_all(root.join("directory")).unwrap();
        fs::write(root.join("directory"), "a file now").unwrap();
        fs::remove_file(root.join("file")).unwrap();
        fs::create_dir(root.join("file")).unwrap();
        fs::write(root.join("file/inside"), "2").unwrap();
        fs::rename(root.join("Case"), root.join("case")).unwrap();
        fs::remove_file(root.join("link")).unwrap();
        fs::create_dir(root.join("link")).unwrap();
        fs::write(root.join("link/real"), "2").unwrap();
        fs::remove_file(root.join("broken")).unwrap();
        fs::write(root.join("broken"), "a file now").unwrap();
        fs::remove_file(root.join("new\nline \"quoted\" \\ back")).unwrap();
        symlink("/etc", root.join("-dash.new")).unwrap();
        commit(root, "two");
    });
}

#[test]
fn ignored_files_in_the_way_are_kept_aside_and_come_back_by_an_undo() {
    let scene = Scene::new();
    let root = checkout(&scene, "ignored", &[]);
    fs::write(root.join(".gitignore"), "uploads/*\ncache\n").unwrap();
    let elsewhere = scene.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, root.join("uploads")).unwrap();
    fs::create_dir(root.join("cache-of")).unwrap();
    fs::write(root.join("cache-of/file"), "1").unwrap();
    git(&root, &["add", "--all"]);
    git(&root, &["add", "--force", "uploads"]);
    git(&root, &["commit", "--quiet", "-m", "one"]);
    let displaced = there_and_back("ignored files", &root, &scene, |root| {
        fs::remove_file(root.join("uploads")).unwrap();
        fs::create_dir_all(root.join("uploads/2026")).unwrap();
        fs::write(root.join("uploads/2026/precious.jpg"), "precious").unwrap();
        fs::write(root.join("uploads/.keep"), "").unwrap();
        git(root, &["add", "--force", "uploads/.keep"]);
        // An ignored file where a directory was.
        fs::remove_dir_all(root.join("cache-of")).unwrap();
        fs::write(root.join(".gitignore"), "uploads/*\ncache*\n").unwrap();
        fs::write(root.join("cache-of"), "of the release, ignored").unwrap();
        commit(root, "two");
    });
    let told = displaced.kept_as.join("\n");
    let place = told
        .lines()
        .find_map(|line| line.strip_prefix("uploads at "))
        .expect(&told);
    assert_eq!(
        fs::read_to_string(Path::new(place).join("2026/precious.jpg")).unwrap(),
        "precious"
    );
    assert!(
        fs::read_dir(&elsewhere).unwrap().next().is_none(),
        "no link was followed"
    );
    let resource = build("git", &root, None, &[]);
    assert!(resource.weigh(&displaced, &scene.cx).unwrap().is_some());
    resource.forget(&displaced, &scene.cx).unwrap();
    resource.forget(&displaced, &scene.cx).unwrap();
    assert!(!root.join(".git/guard").exists(), "nothing is left of it");
}

#[test]
fn a_checkout_that_the_release_makes_inside_is_kept_aside() {
    let scene = Scene::new();
    let root = checkout(&scene, "around", &[]);
    commit(&root, "one");
    let own = root.join("plugins/own");
    fs::create_dir_all(&own).unwrap();
    git(&own, &["init", "--quiet"]);
    fs::write(own.join("part"), "1").unwrap();
    commit(&own, "one");
    fs::write(own.join("local"), "untracked").unwrap();
    let parts = |own: &Path| git(own, &["log", "--format=%s"]) + &git(own, &["status", "--porcelain"]);
    let before = parts(&own);
    let displaced = there_and_back("a clone", &root, &scene, |root| {
        let vendor = root.join("vendor");
        git(root, &["clone", "--quiet", "plugins/own", "vendor"]);
        fs::write(vendor.join("new"), "of the release").unwrap();
        // One without a commit as well.
        git(root, &["init", "--quiet", "begun"]);
        fs::write(root.join("begun/file"), "1").unwrap();
        fs::write(own.join("part"), "2").unwrap();
        commit(&own, "two");
    });
    assert_eq!(parts(&own), before);
    assert!(
        displaced.kept_as.iter().any(|kept| kept.starts_with("vendor at ")),
        "{displaced:?}"
    );
}

#[test]
fn a_checkout_inside_that_git_refuses_is_named_and_closes_nothing() {
    let scene = Scene::new();
    let root = checkout(&scene, "refused", &[]);
    commit(&root, "one");
    let bad = root.join("bad");
    fs::create_dir(&bad).unwrap();
    git(&bad, &["init", "--quiet"]);
    fs::write(bad.join(".git/config"), "[this is none\n").unwrap();
    fs::write(bad.join("file"), "1").unwrap();
    let resource = build("git", &root, None, &[]);
    let survey = resource.survey(&scene.cx);
    let warned = survey
        .obstacles
        .iter()
        .any(|one| !one.refuses && one.what.contains("the checkout in bad"));
    assert!(warned, "{survey:?}");
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert!(artifact.not_kept[0].contains("bad"), "{:?}", artifact.not_kept);
    fs::write(root.join("app"), "version 2").unwrap();
    back(&*resource, &slot, &artifact, &scene);
    assert_eq!(fs::read_to_string(root.join("app")).unwrap(), "version 1\n");
    assert_eq!(fs::read_to_string(bad.join("file")).unwrap(), "1");
}

#[test]
fn marks_of_the_index_and_sparse_checkouts_come_back() {
    let scene = Scene::new();
    let root = checkout(&scene, "sparse", &[]);
    for name in ["in", "out", "far"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("file"), "1").unwrap();
    }
    commit(&root, "one");
    git(&root, &["sparse-checkout", "set", "in"]);
    git(&root, &["update-index", "--assume-unchanged", "app"]);
    fs::write(root.join("meant"), "later").unwrap();
    git(&root, &["add", "--intent-to-add", "meant"]);
    // There all the same, and not as it was committed.
    fs::create_dir_all(root.join("out")).unwrap();
    fs::write(root.join("out/file"), "mine").unwrap();
    there_and_back("sparse", &root, &scene, |root| {
        fs::write(root.join("out/file"), "broken").unwrap();
        fs::write(root.join("app"), "hidden by its mark").unwrap();
        git(root, &["update-index", "--no-assume-unchanged", "app"]);
        git(root, &["sparse-checkout", "disable"]);
        git(root, &["rm", "--quiet", "--cached", "meant"]);
        // A sparse checkout is a setting of the repository, which a release would leave.
        git(root, &["sparse-checkout", "set", "in"]);
    });
}

#[test]
fn other_forms_of_repositories_work() {
    let scene = Scene::new();
    for (what, init) in [
        ("sha256", "--object-format=sha256"),
        ("reftable", "--ref-format=reftable"),
    ] {
        let probe = scene.root().join(format!("probe-{what}"));
        fs::create_dir(&probe).unwrap();
        if !try_git(&probe, &["init", "--quiet", init]).status.success() {
            // This git does not know the form.
            continue;
        }
        let root = checkout(&scene, what, &[init]);
        commit(&root, "one");
        fs::write(root.join("local"), "untracked").unwrap();
        there_and_back(what, &root, &scene, |root| {
            fs::remove_file(root.join("local")).unwrap();
            fs::write(root.join("app"), "version 2\n").unwrap();
            commit(root, "two");
            git(root, &["reflog", "expire", "--expire=now", "--all"]);
            git(root, &["gc", "--quiet", "--prune=now"]);
            git(root, &["pack-refs", "--all"]);
        });
        let before = seen(&root);
        let resource = build("git", &root, None, &[]);
        let slot = Slot::new(&scene.backup(), resource.name());
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        fs::remove_dir_all(root.join(".git")).unwrap();
        back(&*resource, &slot, &artifact, &scene);
        // The name of the branch is HEAD's, and the log tells of it.
        assert_eq!(seen(&root), before, "{what}: without a repository");
        fs::remove_dir_all(slot.directory()).unwrap();
        fs::remove_dir_all(scene.backup()).unwrap_or_default();
    }
}

#[test]
fn objects_that_lay_elsewhere_come_out_of_the_backup() {
    let scene = Scene::new();
    let origin = checkout(&scene, "origin", &[]);
    commit(&origin, "one");
    let root = scene.root().join("borrowing");
    git(
        scene.root(),
        &[
            "clone",
            "--quiet",
            "--shared",
            origin.to_str().unwrap(),
            root.to_str().unwrap(),
        ],
    );
    let resource = build("git", &root, None, &[]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let before = fs::read(root.join("app")).unwrap();
    fs::remove_dir_all(&origin).unwrap();
    fs::write(root.join("app"), "version 2\n").unwrap();
    resource.secure(&artifact, &slot, &scene.cx).unwrap();
    back(&*resource, &slot, &artifact, &scene);
    assert_eq!(fs::read(root.join("app")).unwrap(), before);
    assert_eq!(git(&root, &["log", "--format=%s"]), "one\n");
}

#[test]
fn a_link_to_the_current_release_comes_back_as_a_link() {
    let scene = Scene::new();
    let origin = checkout(&scene, "origin", &[]);
    commit(&origin, "one");
    let site = scene.root().join("site");
    fs::create_dir_all(site.join("releases")).unwrap();
    let clone = |to: &str| git(&site, &["clone", "--quiet", origin.to_str().unwrap(), to]);
    clone("releases/1");
    symlink("releases/1", site.join("current")).unwrap();
    let resource = build("git", &site, None, &[("path", text("current"))]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let release = || {
        fs::write(origin.join("app"), "version 2\n").unwrap();
        commit(&origin, "two");
        clone("releases/2");
        fs::remove_file(site.join("current")).unwrap();
        symlink("releases/2", site.join("current")).unwrap();
    };
    release();
    let displaced = back(&*resource, &slot, &artifact, &scene);
    let current = || fs::read_link(site.join("current")).unwrap();
    assert_eq!(current(), Path::new("releases/1"));
    assert_eq!(fs::read_to_string(site.join("releases/2/app")).unwrap(), "version 2\n");
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    let undone = resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(current(), Path::new("releases/2"));
    resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(current(), Path::new("releases/1"));
    // Old releases are removed, as deployment tools do.
    resource.undo(&displaced, &scene.cx).unwrap();
    fs::remove_dir_all(site.join("releases/1")).unwrap();
    back(&*resource, &slot, &artifact, &scene);
    assert_eq!(current(), Path::new("releases/1"));
    assert_eq!(fs::read_to_string(site.join("current/app")).unwrap(), "version 1\n");
    // Something else in the place of the link is told, and left.
    fs::remove_file(site.join("current")).unwrap();
    fs::create_dir(site.join("current")).unwrap();
    let error = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .expect_err("told");
    assert!(error.to_string().contains("was a link"), "{error}");
}

#[test]
fn nothing_in_another_users_checkout_becomes_roots() {
    if !guard::system::privilege::is_root() {
        return;
    }
    let scene = Scene::new();
    fs::set_permissions(scene.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = checkout(&scene, "of-a-user", &[]);
    commit(&root, "one");
    fs::write(root.join("local"), "untracked").unwrap();
    let give = |path: &Path| {
        let given = Command::new("chown").args(["-R", "33:33"]).arg(path).status().unwrap();
        assert!(given.success());
    };
    give(&root);
    let resource = build("git", &root, None, &[]);
    let survey = resource.survey(&scene.cx);
    assert!(survey.obstacles.is_empty(), "{survey:?}");
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    fs::write(root.join("app"), "version 2\n").unwrap();
    fs::remove_file(root.join("local")).unwrap();
    back(&*resource, &slot, &artifact, &scene);
    let found = Command::new("find").arg(&root).args(["-user", "0"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert_eq!(fs::metadata(root.join("local")).unwrap().uid(), 33);
    // The repository is gone, and comes back as the user's.
    fs::remove_dir_all(root.join(".git")).unwrap();
    resource.secure(&artifact, &slot, &scene.cx).unwrap();
    let found = Command::new("find").arg(&root).args(["-user", "0"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
