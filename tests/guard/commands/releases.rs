//! `guard rollback --to`: back to a release by its name, from what a backup recorded, else from git and the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::Program;

fn sh(directory: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    let output = command.args(["-euc", script]).current_dir(directory).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A checkout with two tagged releases, v2.0.0 live, and a directory of data beside it.
struct Project {
    root: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let root = tempfile::Builder::new().prefix("guard-release-").tempdir().unwrap();
        let project = Self { root };
        fs::create_dir(project.directory()).unwrap();
        project.write(
            "guard.toml",
            "project = \"releases\"\nverify = \"none\"\n[resources.code]\nkind = \"git\"\n\
             [resources.objects]\nkind = \"volume\"\npath = \"objects\"\n",
        );
        project.sh(
            "git init -q -b main; git config user.name t; git config user.email t@t.invalid
             echo objects >.gitignore; mkdir objects; echo of-one >objects/data; echo one >app
             git add .; git commit -qm 'Release one'; git tag v1.0.0
             echo two >app; echo more >more; git add .; git commit -qm 'Release two'; git tag -a -m two v2.0.0
             echo of-two >objects/data",
        );
        project
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("project")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory().join(name), text).unwrap();
    }

    fn sh(&self, script: &str) -> String {
        sh(&self.directory(), script)
    }

    fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.root.path().join("state"))
    }

    /// What is live: the code, what git says of it, and the data.
    fn seen(&self) -> String {
        self.sh("cat app; ls; git status --porcelain; cat objects/data")
    }
}

#[test]
fn a_tag_without_any_backup_puts_the_code_back_and_says_what_it_cannot() {
    let project = Project::new();
    let guard = project.guard();
    let two = project.seen();
    let dry = guard.run(&["rollback", "--to", "v1.0.0", "--dry-run"]).expect(0);
    assert_eq!(project.seen(), two, "a dry run changes nothing");
    assert!(dry.stdout.contains("Release one"), "{}", dry.stdout);
    dry.says("no backup was taken of")
        .says("stays as it is, since only a backup has it: objects");
    guard.run(&["rollback", "--to", "v1.0.0"]).expect(2).says("--yes");
    assert_eq!(project.seen(), two, "nobody said yes");
    guard.run(&["rollback", "--to", "v1.0.0", "--yes"]).expect(0);
    let one = project.seen();
    assert!(
        one.starts_with("one\n") && one.ends_with("of-two") && !one.contains("more"),
        "{one}"
    );
    assert_eq!(project.sh("git rev-parse HEAD"), project.sh("git rev-parse v1.0.0"));
    guard.run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(project.seen(), two, "and it can be undone");
    let refused = guard
        .run(&["rollback", "--to", "v1.0.0", "--with-data", "--yes"])
        .expect(40);
    refused.says("its data is nowhere");
}

#[test]
fn what_a_backup_recorded_of_the_release_goes_back_with_its_data_only_if_asked() {
    let project = Project::new();
    let guard = project.guard();
    project.sh("git checkout -q v1.0.0; echo of-one >objects/data; echo touched >>app");
    guard.run(&["backup"]).expect(0);
    project.sh("git checkout -q -f main; echo of-two >objects/data");
    let back = guard.run(&["rollback", "--to", "v1.0.0", "--yes"]).expect(0);
    back.says("was taken while");
    assert_eq!(project.sh("cat app objects/data"), "one\ntouched\nof-two");
    guard
        .run(&["rollback", "--to", "v1.0.0", "--with-data", "--yes"])
        .expect(0);
    assert_eq!(project.sh("cat app objects/data"), "one\ntouched\nof-one");
}

#[test]
fn names_that_mean_nothing_or_too_much_are_told() {
    let project = Project::new();
    let guard = project.guard();
    let before = project.seen();
    guard
        .run(&["rollback", "--to", "v1.0.O", "--yes"])
        .expect(2)
        .says("no tag, branch or commit here")
        .says("did you mean `v1.0.0`");
    project.sh("git branch v1.0.0 main 2>/dev/null");
    guard
        .run(&["rollback", "--to", "v1.0.0", "--yes"])
        .expect(2)
        .says("several releases")
        .says("tag v1.0.0")
        .says("branch v1.0.0");
    let commit = project.sh("git rev-parse 'v1.0.0^{commit}' 2>/dev/null || git rev-parse refs/tags/v1.0.0");
    guard.run(&["rollback", "--to", "--yes"]).expect(2);
    assert_eq!(project.seen(), before);
    guard.run(&["rollback", "--to", &commit[..10], "--yes"]).expect(0);
    assert!(project.seen().starts_with("one\n"));
}

#[test]
fn a_tag_that_was_moved_since_a_backup_is_told_with_both_commits() {
    let project = Project::new();
    let guard = project.guard();
    guard.run(&["backup"]).expect(0);
    let then = project.sh("git rev-parse --short HEAD");
    project.sh("echo three >app; git commit -qam 'Release three'; git tag -f v2.0.0 >/dev/null");
    let now = project.sh("git rev-parse --short HEAD");
    let before = project.seen();
    let refused = guard.run(&["rollback", "--to", "v2.0.0", "--yes"]).expect(10);
    let refused = refused.says("another commit than it was").says(&then).says(&now);
    assert_eq!(project.seen(), before);
    let next = refused
        .stderr
        .lines()
        .find_map(|line| line.split("rollback --to ").nth(1))
        .unwrap()
        .to_owned();
    guard.run(&["rollback", "--to", next.trim(), "--yes"]).expect(0);
    assert!(project.seen().starts_with("two\n"), "{}", project.seen());
}

/// Takes a Compose project down with its images and their pins.
struct Down<'p>(&'p Project, String);
impl Drop for Down<'_> {
    fn drop(&mut self) {
        let name = &self.1;
        self.0.sh(&format!(
            "docker compose -p {name} down -t 1 >/dev/null 2>&1
             docker ps -aq --filter name=guard-pin-{name} | xargs -r docker rm -f >/dev/null 2>&1 || true
             docker image ls -q --no-trunc --filter label=com.docker.compose.project={name} | sort -u | xargs -r docker rmi -f >/dev/null 2>&1 || true"
        ));
    }
}

#[test]
fn the_image_of_a_release_is_found_by_its_label_also_without_its_name() {
    let project = Project::new();
    let name = format!("guard-test-release-{}", std::process::id());
    let compose = format!("docker compose -p {name}");
    project.write(
        "compose.yml",
        &format!(
            "services:\n  app:\n    image: {name}:latest\n    build:\n      context: .\n      labels:\n        \
             org.opencontainers.image.revision: \"${{REVISION:-none}}\"\n    command: sleep infinity\n    init: true\n    \
             stop_grace_period: 1s\n"
        ),
    );
    project.write("Dockerfile", "FROM guard-test/debian:trixie\nCOPY app /app\n");
    project.write(
        "guard.toml",
        &format!(
            "project = \"releases\"\nverify = \"none\"\n[compose]\nfiles = [\"compose.yml\"]\nproject = \"{name}\"\n\
             [resources.code]\nkind = \"git\"\n[resources.images]\nkind = \"images\"\n"
        ),
    );
    let _down = Down(&project, name.clone());
    let up = |text: &str, tag: &str| {
        project.sh(&format!(
            "echo {text} >app; git add -A; git commit -qm 'With images: {text}'; git tag {tag}
             REVISION=$(git rev-parse HEAD) {compose} up -d --build --quiet-pull >/dev/null 2>&1"
        ));
    };
    up("three", "v3.0.0");
    up("four", "v4.0.0");
    let inside = || project.sh(&format!("docker exec $({compose} ps -q app) cat /app"));
    assert_eq!(inside(), "four");
    let guard = project.guard();
    guard.run(&["rollback", "--to", "v3.0.0", "--yes"]).expect(0);
    assert_eq!(
        (inside(), project.sh("cat app")),
        ("three".to_owned(), "three".to_owned())
    );
    guard.run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(inside(), "four");
    // No image was ever built of v1.0.0.
    let refused = guard.run(&["rollback", "--to", "v1.0.0", "--yes"]);
    assert_eq!(refused.code, Some(11), "{}", refused.everything());
    refused.says("this engine has no image of app");
    assert_eq!(inside(), "four");
}
