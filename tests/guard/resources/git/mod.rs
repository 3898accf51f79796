//! Git work trees: the promises, in every shape of HEAD.

mod bundles;
mod faults;
mod grounds;
mod questions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use guard::model::artifact::{Displaced, Live};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::built::build;
use super::promises::{self, Subject};
use crate::support::Scene;

struct Tree {
    resource: Box<dyn Resource>,
    root: PathBuf,
}

fn try_git(root: &Path, args: &[&str]) -> std::process::Output {
    let identity = [
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@localhost",
        "-c",
        "init.defaultBranch=main",
    ];
    Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(root)
        .output()
        .unwrap()
}

fn git(root: &Path, args: &[&str]) -> String {
    let output = try_git(root, args);
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Tree {
    /// A repository with two commits, and local changes: staged, unstaged, both on one file, untracked, ignored.
    fn new(scene: &Scene) -> Self {
        let root = scene.project();
        git(&root, &["init", "--quiet"]);
        fs::write(root.join(".gitignore"), "ignored\n.env\n").unwrap();
        fs::write(root.join("app"), "version 0\n").unwrap();
        fs::write(root.join("staged"), "0").unwrap();
        fs::write(root.join("both"), "0").unwrap();
        fs::write(root.join("removed"), "0").unwrap();
        fs::write(root.join("crlf"), "windows\r\nmixed\n").unwrap();
        git(&root, &["add", "."]);
        git(&root, &["commit", "--quiet", "-m", "one"]);
        fs::write(root.join("app"), "version 1\n").unwrap();
        git(&root, &["commit", "--quiet", "-am", "two"]);
        fs::write(root.join("staged"), "staged").unwrap();
        fs::write(root.join("both"), "staged").unwrap();
        git(&root, &["add", "staged", "both"]);
        fs::write(root.join("both"), "and changed again").unwrap();
        fs::remove_file(root.join("removed")).unwrap();
        fs::create_dir(root.join("notes")).unwrap();
        fs::write(root.join("notes/new line\nhere"), "untracked").unwrap();
        fs::write(root.join("ignored"), "ignored").unwrap();
        fs::write(root.join(".env"), "SECRET=untouched").unwrap();
        Self {
            resource: build("git", &root, None, &[]),
            root,
        }
    }

    fn slot(&self, scene: &Scene) -> Slot {
        Slot::new(&scene.backup(), self.resource.name())
    }

    fn back(&self, scene: &Scene, artifact: &guard::model::artifact::Artifact) -> Displaced {
        let slot = self.slot(scene);
        let prepared = self
            .resource
            .prepare(artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        self.resource.restore(&prepared, artifact, &slot, &scene.cx).unwrap()
    }
}

impl Subject for Tree {
    fn resource(&self) -> &dyn Resource {
        &*self.resource
    }

    fn spoil_live(&self) {
        fs::remove_file(self.root.join("notes/new line\nhere")).unwrap();
        fs::write(self.root.join("app"), "version 2\n").unwrap();
        fs::write(self.root.join("added"), "by the release\n").unwrap();
        git(&self.root, &["add", "app", "added"]);
        git(&self.root, &["commit", "--quiet", "-m", "three", "app", "added"]);
        fs::write(self.root.join("left over"), "untracked, by the release").unwrap();
        fs::write(self.root.join("staged"), "overwritten").unwrap();
    }

    fn observe(&self) -> String {
        let head = try_git(&self.root, &["symbolic-ref", "HEAD"]);
        let files = "find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";
        let files = Command::new("sh")
            .args(["-c", files])
            .current_dir(&self.root)
            .output()
            .unwrap();
        [
            String::from_utf8_lossy(&head.stdout).into_owned(),
            String::from_utf8_lossy(&try_git(&self.root, &["rev-parse", "HEAD"]).stdout).into_owned(),
            git(&self.root, &["for-each-ref", "refs/heads"]),
            git(&self.root, &["ls-files", "--stage"]),
            git(&self.root, &["status", "--porcelain=v2"]),
            String::from_utf8_lossy(&files.stdout).into_owned(),
        ]
        .join("\n")
    }
}

#[test]
fn fault_i2_a_dirty_tree_keeps_the_promises() {
    let scene = Scene::new();
    promises::hold(&Tree::new(&scene), &scene);
}

#[test]
fn fault_i3_every_shape_of_head_comes_back() {
    for shape in ["detached", "unborn", "other branch", "worktree", "deleted branch"] {
        let scene = Scene::new();
        let mut tree = Tree::new(&scene);
        let root = tree.root.clone();
        match shape {
            "detached" => drop(git(&root, &["checkout", "--quiet", "--detach"])),
            "unborn" => drop(git(&root, &["checkout", "--quiet", "--orphan", "fresh"])),
            "worktree" => {
                tree.root = scene.root().join("worktree");
                git(
                    &root,
                    &["worktree", "add", "--quiet", "-b", "side", tree.root.to_str().unwrap()],
                );
                fs::write(tree.root.join("local"), "untracked").unwrap();
                tree.resource = build("git", &tree.root, None, &[]);
            }
            _ => {}
        }
        let original = tree.observe();
        let artifact = tree.resource.capture(&tree.slot(&scene), &scene.cx).unwrap();
        assert_eq!(tree.observe(), original, "{shape}: a capture only reads");
        match shape {
            "unborn" => drop(git(&root, &["commit", "--quiet", "-m", "first"])),
            "worktree" => drop(git(&tree.root, &["rm", "--quiet", "app"])),
            "deleted branch" => {
                git(&root, &["checkout", "--quiet", "-b", "release"]);
                git(&root, &["branch", "-D", "main"]);
            }
            _ => drop(git(&root, &["checkout", "--quiet", "-b", "release"])),
        }
        if shape != "worktree" {
            fs::write(root.join("app"), "of the release").unwrap();
            git(&root, &["commit", "--quiet", "-am", "release"]);
        }
        let failed = tree.observe();
        let displaced = tree.back(&scene, &artifact);
        assert_eq!(
            tree.resource.check(&artifact, &scene.cx).unwrap(),
            Live::Matches,
            "{shape}"
        );
        let restored = tree.observe();
        let without_refs = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("refs/heads/release"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(without_refs(&restored), without_refs(&original), "{shape}");
        tree.resource.undo(&displaced, &scene.cx).unwrap();
        assert_eq!(tree.observe(), failed, "{shape}: undone");
    }
}

#[test]
fn fault_i8_a_commit_that_was_rebased_away_and_pruned_is_held() {
    let scene = Scene::new();
    let tree = Tree::new(&scene);
    let original = tree.observe();
    let artifact = tree.resource.capture(&tree.slot(&scene), &scene.cx).unwrap();
    git(&tree.root, &["reset", "--quiet", "--hard", "HEAD~1"]);
    git(&tree.root, &["clean", "--quiet", "-fd"]);
    git(&tree.root, &["reflog", "expire", "--expire=now", "--all"]);
    git(&tree.root, &["gc", "--quiet", "--prune=now"]);
    tree.back(&scene, &artifact);
    assert_eq!(tree.observe(), original);
}
