//! What files and their directories have beside their content, and the ways that lead to them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use guard::model::artifact::{Artifact, Live, Work};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::super::built::{build, list};
use super::super::volume::tree::run;
use crate::support::Scene;

fn sh(root: &Path, words: &str) -> String {
    run(
        "sh",
        &["-c", &format!("cd \"$1\" && {words}"), "sh", root.to_str().unwrap()],
    )
}

/// Everything that `find`, `getfacl`, `getfattr` and `lsattr` see of a tree, but for its top.
fn seen(root: &Path) -> String {
    sh(
        root,
        "find . -mindepth 1 -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort; \
         find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0r getfacl -pn; \
         find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0r getfattr -hd -m -; \
         find . -type f -print0 | sort -z | xargs -0r sha256sum",
    )
}

fn captured(resource: &dyn Resource, scene: &Scene) -> (Slot, Artifact) {
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    (slot, artifact)
}

/// Spoils, goes back, undoes and goes back again; each state is the one that it is to be.
fn there_and_back(resource: &dyn Resource, scene: &Scene, root: &Path, spoil: &str) {
    let (slot, artifact) = captured(resource, scene);
    let before = seen(root);
    sh(root, spoil);
    let failed = seen(root);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert!(prepared.work.is_needed(), "{spoil}: not noticed");
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(seen(root), before, "{spoil}");
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches, "{spoil}");
    let undone = resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(seen(root), failed, "{spoil}: an undo too");
    resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(seen(root), before, "{spoil}: and its undo");
    let idle = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert_eq!(idle.work, Work::Unchanged, "{spoil}");
}

#[test]
fn files_come_back_with_all_that_they_have_and_their_directories_with_them() {
    for spoil in [
        "setfacl -b conf/listed",
        "setfattr -x user.note conf/listed",
        "touch conf/plain",
        "touch -h conf/link",
        "chmod 600 conf/sites",
        "chown 5:6 conf",
        "setfacl -k conf; setfacl -d -m u:9:rwx conf/sites",
        "rm -r conf/sites; rmdir conf/empty",
        "mkdir -p conf/new/deep; echo x > conf/new/deep/file",
        "rm conf/plain; ln -s listed conf/plain",
        "rm conf/link; echo x > conf/link",
        "echo other > conf/listed; chmod 777 conf conf/sites",
    ] {
        let scene = Scene::new();
        let root = scene.project().join("etc");
        fs::create_dir_all(root.join("conf/sites")).unwrap();
        fs::create_dir(root.join("conf/empty")).unwrap();
        for name in ["conf/plain", "conf/listed", "conf/sites/a"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("plain", root.join("conf/link")).unwrap();
        sh(
            &root,
            "setfacl -m u:1234:r conf/listed; setfattr -n user.note -v kept conf/listed; chmod 2751 conf; \
             setfacl -d -m u:1234:rwx conf; chown 33:34 conf conf/plain; touch -d 2001-02-03 conf/plain conf/sites conf; \
             touch -h -d 2001-02-03 conf/link",
        );
        let resource = build("files", &scene.project(), None, &[("paths", list(&["etc/conf/**"]))]);
        there_and_back(&*resource, &scene, &root, spoil);
    }
}

#[test]
fn files_behind_the_link_to_the_current_release_come_back_with_it() {
    for spoil in [
        "mkdir -p releases/8/conf; echo new > releases/8/conf/app.env; rm current; ln -s releases/8 current",
        "echo changed > current/conf/app.env",
        "rm current",
        "touch -d 2001-01-01 releases/7/conf/app.env",
    ] {
        let scene = Scene::new();
        let root = scene.project();
        fs::create_dir_all(root.join("releases/7/conf")).unwrap();
        fs::write(root.join("releases/7/conf/app.env"), "MODE=old\n").unwrap();
        symlink("releases/7", root.join("current")).unwrap();
        sh(
            &root,
            "touch -h -d 2001-01-01 current; touch -d 2002-01-01 releases releases/7 releases/7/conf",
        );
        let resource = build("files", &root, None, &[("paths", list(&["current/conf/app.env"]))]);
        let (slot, artifact) = captured(&*resource, &scene);
        let shown = || {
            sh(
                &root,
                "readlink current; cat current/conf/app.env; stat -c '%Y %U' current/conf/app.env",
            )
        };
        let before = shown();
        sh(&root, spoil);
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        assert!(prepared.work.is_needed(), "{spoil}");
        let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        assert_eq!(shown(), before, "{spoil}");
        assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches, "{spoil}");
        if root.join("releases/8").exists() {
            assert_eq!(
                fs::read_to_string(root.join("releases/8/conf/app.env")).unwrap(),
                "new\n"
            );
            resource.undo(&displaced, &scene.cx).unwrap();
            assert_eq!(sh(&root, "cat current/conf/app.env"), "new\n");
        }
    }
    // The way there leads elsewhere by now: nothing is put there.
    let scene = Scene::new();
    let (root, outside) = (scene.project(), scene.root().join("outside"));
    fs::create_dir_all(root.join("releases/7")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(root.join("releases/7/app.env"), "MODE=old\n").unwrap();
    symlink("releases/7", root.join("current")).unwrap();
    let resource = build("files", &root, None, &[("paths", list(&["current/app.env"]))]);
    let (slot, artifact) = captured(&*resource, &scene);
    fs::rename(root.join("releases/7"), root.join("releases/old")).unwrap();
    symlink(&outside, root.join("releases/7")).unwrap();
    let put = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .and_then(|prepared| resource.restore(&prepared, &artifact, &slot, &scene.cx));
    put.expect_err("it leads out");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_file_that_may_not_be_moved_is_refused_before() {
    let scene = Scene::new();
    let root = scene.project();
    fs::write(root.join("app.env"), "x").unwrap();
    let resource = build("files", &root, None, &[("paths", list(&["app.env"]))]);
    assert!(resource.survey(&scene.cx).obstacles.is_empty());
    sh(&root, "chattr +i app.env");
    let survey = resource.survey(&scene.cx);
    sh(&root, "chattr -i app.env");
    let first = survey.obstacles.first().expect("refused");
    assert!(first.refuses && first.what.contains("immutable"), "{first:?}");
    assert!(first.advice.contains("chattr -i"), "{first:?}");
}
