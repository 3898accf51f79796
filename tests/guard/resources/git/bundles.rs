//! Snapshots outside of their repository: a directory that knows nothing gets the whole tree, and backups share the history.

use std::fs;
use std::os::unix::fs::MetadataExt;

use guard::model::artifact::{Artifact, Live};
use guard::model::policy::DataRestore;
use guard::resources::Slot;

use super::super::built::{build, text};
use super::{Tree, git};
use crate::support::Scene;

fn capture(tree: &Tree, scene: &Scene, number: u32, before: Option<&(Slot, Artifact)>) -> (Slot, Artifact) {
    let backup = scene.root().join(format!("backup-{number}"));
    fs::create_dir(&backup).unwrap();
    let mut slot = Slot::new(&backup, tree.resource.name());
    if let Some((earlier, artifact)) = before {
        slot = slot.after(earlier.directory().parent().unwrap(), artifact.clone());
    }
    let artifact = tree.resource.capture(&slot, &scene.cx).unwrap();
    tree.resource.rehearse(&artifact, &slot, &scene.cx).unwrap();
    (slot, artifact)
}

/// All files that are not ignored, with their content, and what git says of them.
fn seen(root: &std::path::Path) -> String {
    let names = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut text = git(root, &["status", "--porcelain=v2", "--branch", "-z"]) + &git(root, &["log", "--format=%H %s"]);
    let mut names: Vec<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        text = format!("{text}{name}: {:?}\n", fs::read(root.join(name)).ok());
    }
    text
}

#[test]
fn a_directory_that_knows_nothing_gets_all_of_it() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let (slot, artifact) = capture(&tree, &scene, 1, None);
    let before = seen(&tree.root);
    let fresh = scene.root().join("fresh");
    fs::create_dir(&fresh).unwrap();
    fs::write(fresh.join("app"), "something that was in the way").unwrap();
    let elsewhere = build("git", &fresh, None, &[]);
    elsewhere
        .prove(&artifact, &slot, &scene.cx)
        .expect("the bundles alone prove it");
    assert!(!fresh.join(".git").exists(), "a proof leaves nothing behind");
    let prepared = elsewhere
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert_eq!(
        fs::read_to_string(fresh.join("app")).unwrap(),
        "something that was in the way"
    );
    let displaced = elsewhere.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(seen(&fresh), before);
    assert_eq!(elsewhere.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    elsewhere.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(
        fs::read_to_string(fresh.join("app")).unwrap(),
        "something that was in the way"
    );
}

#[test]
fn a_clone_that_lacks_the_snapshot_gets_it() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let (slot, artifact) = capture(&tree, &scene, 1, None);
    let before = seen(&tree.root);
    let fresh = scene.root().join("clone");
    git(
        scene.root(),
        &["clone", "--quiet", tree.root.to_str().unwrap(), fresh.to_str().unwrap()],
    );
    git(&fresh, &["branch", "--unset-upstream"]);
    let elsewhere = build("git", &fresh, None, &[]);
    let prepared = elsewhere
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    elsewhere.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(seen(&fresh), before);
}

#[test]
fn backups_share_the_history() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let mut state = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(9_000_000)
    .collect();
    fs::write(tree.root.join("large"), &noise).unwrap();
    git(&tree.root, &["add", "large"]);
    git(&tree.root, &["commit", "--quiet", "-m", "large"]);
    let first = capture(&tree, &scene, 1, None);
    fs::write(tree.root.join("app"), "version 2\n").unwrap();
    git(&tree.root, &["commit", "--quiet", "-am", "three"]);
    let second = capture(&tree, &scene, 2, Some(&first));
    let history = second.0.directory().join("history.bundle");
    assert_eq!(fs::metadata(&history).unwrap().nlink(), 2, "it is the earlier one");
    let rest = fs::metadata(second.0.directory().join("snapshot.bundle"))
        .unwrap()
        .len();
    assert!(rest < 10_000, "{rest}");
    // A history that was rewritten is no ground to build on.
    let other: Vec<u8> = noise.iter().rev().map(|byte| byte ^ 0x5a).collect();
    fs::write(tree.root.join("large"), other).unwrap();
    git(&tree.root, &["commit", "--quiet", "-am", "large again"]);
    let third = capture(&tree, &scene, 3, Some(&second));
    assert_eq!(
        fs::metadata(third.0.directory().join("history.bundle"))
            .unwrap()
            .nlink(),
        1
    );
    fs::remove_dir_all(first.0.directory()).unwrap();
    tree.resource
        .rehearse(&second.1, &second.0, &scene.cx)
        .expect("each is whole by itself");
}

#[test]
fn a_shallow_repository_is_copied_without_bundles_and_says_so() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let origin = format!("file://{}", tree.root.display());
    let shallow = scene.root().join("shallow");
    git(
        scene.root(),
        &["clone", "--quiet", "--depth", "1", &origin, shallow.to_str().unwrap()],
    );
    let resource = build("git", &shallow, None, &[]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert!(artifact.not_kept[0].contains("shallow"), "{:?}", artifact.not_kept);
    resource.prove(&artifact, &slot, &scene.cx).unwrap();
    let without = build(
        "git",
        &tree.root,
        None,
        &[("bundle", guard::model::setting::Value::Flag(false))],
    );
    let artifact = without.capture(&slot, &scene.cx).unwrap();
    assert!(artifact.not_kept.is_empty() && artifact.files.iter().all(|file| !file.path.ends_with(".bundle")));
    assert!(super::super::built::try_build("git", &tree.root, None, &[("bundle", text("often"))]).is_err());
}

#[test]
fn a_snapshot_that_the_deploy_command_removed_is_held_again() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let (slot, artifact) = capture(&tree, &scene, 1, None);
    let before = seen(&tree.root);
    assert!(tree.resource.secure(&artifact, &slot, &scene.cx).unwrap().is_empty());
    // A deploy script that makes the checkout anew.
    fs::remove_dir_all(tree.root.join(".git")).unwrap();
    git(&tree.root, &["init", "--quiet"]);
    git(&tree.root, &["commit", "--quiet", "--allow-empty", "-m", "anew"]);
    let told = tree.resource.secure(&artifact, &slot, &scene.cx).unwrap();
    assert!(told[0].contains("held there again"), "{told:?}");
    let prepared = tree
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    tree.resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(seen(&tree.root), before);
}
