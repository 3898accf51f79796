//! What goes wrong with git work trees: nothing is lost, and nothing that the repository names is run.

use std::fs;

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;

use super::super::built::build;
use super::super::promises::Subject;
use super::{Tree, git, try_git};
use crate::support::Scene;

#[test]
fn fault_i5_local_changes_are_held_before_anything_moves() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let artifact = tree.resource.capture(&tree.slot(&scene), &scene.cx).unwrap();
    tree.spoil_live();
    fs::write(tree.root.join("app"), "edited by hand during the incident").unwrap();
    // Ignored by the release, but a file of the old state: it is in the way, and still nothing of it is lost.
    fs::write(tree.root.join(".gitignore"), "ignored\n.env\nboth\n").unwrap();
    git(&tree.root, &["rm", "--quiet", "--force", "--cached", "both"]);
    fs::write(tree.root.join("both"), "ignored now").unwrap();
    let displaced = tree.back(&scene, &artifact);
    assert_eq!(tree.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    let name = displaced.kept_as[0].strip_prefix("git ref ").unwrap();
    let held = |path: &str| git(&tree.root, &["show", &format!("{name}:{path}")]);
    assert_eq!(held("app"), "edited by hand during the incident");
    assert_eq!(held("left over"), "untracked, by the release");
    assert_eq!(held("both"), "ignored now");
    assert_eq!(fs::read_to_string(tree.root.join(".env")).unwrap(), "SECRET=untouched");
}

#[test]
fn a_restore_that_was_cut_is_finished_by_a_repeat_and_what_came_between_is_held() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let original = tree.observe();
    let slot = tree.slot(&scene);
    let artifact = tree.resource.capture(&slot, &scene.cx).unwrap();
    tree.spoil_live();
    let failed = tree.observe();
    let prepared = tree
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    tree.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    // As after a kill half way: one file still that of the release, HEAD not moved yet, and somebody wrote something.
    fs::write(tree.root.join("added"), "by the release\n").unwrap();
    fs::write(tree.root.join("between"), "written between the two").unwrap();
    git(&tree.root, &["checkout", "--quiet", "--detach"]);
    let displaced = tree.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(tree.observe(), original);
    let between = git(&tree.root, &["for-each-ref", "--format=%(refname)", "refs/guard"]);
    let between = between
        .lines()
        .find(|name| name.contains("between"))
        .expect("held")
        .to_owned();
    assert_eq!(
        git(&tree.root, &["show", &format!("{between}:between")]),
        "written between the two"
    );
    tree.resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(tree.observe(), failed);
    tree.resource.forget(&displaced, &scene.cx).unwrap();
    let left = git(&tree.root, &["for-each-ref", "--format=%(refname)", "refs/guard"]);
    assert_eq!(left.lines().count(), 1, "only the backup's own snapshot: {left}");
}

#[test]
fn fault_i6_nothing_that_the_repository_names_is_run() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let mark = scene.root().join("ran");
    let script = scene.root().join("planted");
    fs::write(
        &script,
        format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", mark.display()),
    )
    .unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let planted = script.to_str().unwrap();
    fs::write(tree.root.join(".gitattributes"), "* filter=planted diff=planted\n").unwrap();
    let hooks = tree.root.join(".git/hooks");
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "pre-commit",
        "post-commit",
    ] {
        fs::copy(&script, hooks.join(hook)).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "core.pager",
        "diff.external",
        "diff.planted.textconv",
        "filter.planted.clean",
        "filter.planted.smudge",
        "gpg.program",
    ] {
        git(
            &tree.root,
            &[
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                "config",
                key,
                planted,
            ],
        );
    }
    fs::create_dir_all(tree.root.join(".git/info")).unwrap();
    fs::write(tree.root.join(".git/info/attributes"), "app filter=planted\n").unwrap();
    let _ = fs::remove_file(&mark);
    tree.resource.survey(&scene.cx);
    let artifact = tree.resource.capture(&tree.slot(&scene), &scene.cx).unwrap();
    fs::write(tree.root.join("app"), "changed").unwrap();
    fs::write(tree.root.join("new"), "new").unwrap();
    let displaced = tree.back(&scene, &artifact);
    tree.resource.undo(&displaced, &scene.cx).unwrap();
    let ran = fs::read_to_string(&mark).unwrap_or_default();
    assert_eq!(ran, "", "these ran");
    try_git(&tree.root, &["status"]);
    assert!(mark.exists(), "the plants do work: git on its own runs them");
}

#[test]
fn fault_i7_a_left_lock_is_named_with_its_age_and_left() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let lock = tree.root.join(".git/index.lock");
    fs::write(&lock, "").unwrap();
    let survey = tree.resource.survey(&scene.cx);
    let found = survey
        .obstacles
        .iter()
        .find(|one| one.what.contains("index.lock"))
        .expect("named");
    assert!(
        found.refuses && found.what.contains(" old") && found.advice.contains("rm "),
        "{found:?}"
    );
    tree.resource
        .capture(&tree.slot(&scene), &scene.cx)
        .expect_err("locked");
    assert!(lock.exists());
}

#[test]
fn fault_i1_no_repository_is_said_and_refused() {
    let scene = Scene::new();
    let resource = build("git", &scene.project(), None, &[]);
    let survey = resource.survey(&scene.cx);
    assert!(
        survey.obstacles[0].refuses && survey.obstacles[0].what.contains("not a git repository"),
        "{survey:?}"
    );
}

#[test]
fn fault_i4_a_submodule_comes_back_with_the_tree_around_it() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let inner = tree.root.join("module");
    fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "--quiet"]);
    fs::write(inner.join("part"), "one").unwrap();
    git(&inner, &["add", "part"]);
    git(&inner, &["commit", "--quiet", "-m", "one"]);
    git(&tree.root, &["add", "module"]);
    git(&tree.root, &["commit", "--quiet", "-m", "with a module"]);
    let survey = tree.resource.survey(&scene.cx);
    assert!(survey.obstacles.is_empty(), "{survey:?}");
    assert!(
        survey.facts.iter().any(|fact| fact.contains("1 checkout inside")),
        "{survey:?}"
    );
    let slot = tree.slot(&scene);
    let seen = || tree.observe() + &git(&inner, &["log", "--format=%s"]) + &git(&inner, &["status", "--porcelain"]);
    let before = seen();
    let artifact = tree.resource.capture(&slot, &scene.cx).unwrap();
    fs::write(inner.join("part"), "two").unwrap();
    git(&inner, &["commit", "--quiet", "-am", "two"]);
    git(&tree.root, &["commit", "--quiet", "-am", "moved"]);
    let failed = seen();
    assert!(matches!(
        tree.resource.check(&artifact, &scene.cx).unwrap(),
        Live::Differs(_)
    ));
    let displaced = tree.back(&scene, &artifact);
    assert_eq!(seen(), before);
    assert_eq!(tree.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    tree.resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(seen(), failed);
    // One that is gone altogether comes out of the backup.
    fs::remove_dir_all(&inner).unwrap();
    tree.back(&scene, &artifact);
    assert_eq!(fs::read_to_string(inner.join("part")).unwrap(), "one");
    assert_eq!(git(&inner, &["log", "--format=%s"]), "one\n");
}

#[test]
fn a_fingerprint_leaves_nothing_in_the_repository() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let count = || git(&tree.root, &["count-objects", "-v"]) + &git(&tree.root, &["for-each-ref"]);
    let before = count();
    tree.resource.fingerprint(&scene.cx).unwrap();
    tree.resource.survey(&scene.cx);
    assert_eq!(count(), before);
    assert_eq!(fs::read_dir(scene.root().join("run")).unwrap().count(), 0);
}
