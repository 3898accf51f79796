//! Two Compose projects in one run, on one engine and on two: both are copied, both go back, and each has its lock.

use std::path::Path;
use std::process::Command;

use crate::support::embedded::{end, signal, until};
use crate::support::engine::Engine;
use crate::support::program::Program;
use crate::support::project::BASE;

/// A shop and its billing, each a Compose project with a volume; billing may be on another engine.
struct Pair {
    root: tempfile::TempDir,
    second: Option<Engine>,
    names: [String; 2],
}

fn compose(name: &str, word: &str) -> String {
    let script = format!("echo {word} > /data/word; [ {word} = bad ] || sleep 600");
    format!(
        "name: {name}\nservices:\n  app:\n    image: {BASE}\n    pull_policy: never\n    init: true\n    network_mode: none\n    \
         stop_grace_period: 1s\n    command: [sh, -c, '{script}']\n    volumes: [data:/data]\nvolumes:\n  data: {{}}\n"
    )
}

const DEPLOY: &str = r#"#!/bin/sh
set -e
sed -i s/first/"$1"/g compose.yml billing/compose.yml
write() { docker compose exec -T app sh -c 'echo "written by the release" > /data/kept'; }
[ "$1" = first ] || write
docker compose up --detach
cd billing
export DOCKER_HOST=$BILLING
[ "$1" = first ] || write
docker compose up --detach
"#;

impl Pair {
    fn open(second: Option<Engine>) -> Self {
        let root = tempfile::Builder::new().prefix("guard-pair-").tempdir().unwrap();
        let unique = root.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let names = ["shop", "billing"].map(|name| format!("{unique}-{name}").trim_start_matches('.').to_owned());
        let directory = root.path().join("shop");
        std::fs::create_dir_all(directory.join("billing")).unwrap();
        std::fs::write(directory.join("compose.yml"), compose(&names[0], "first")).unwrap();
        std::fs::write(directory.join("billing/compose.yml"), compose(&names[1], "first")).unwrap();
        std::fs::write(directory.join("deploy.sh"), DEPLOY).unwrap();
        let host = second
            .as_ref()
            .map_or(String::new(), |second| format!("host = \"{}\"\n", second.host()));
        let mut settings =
            format!("[compose]\nfiles = [\"compose.yml\"]\n\n[projects.billing]\ndirectory = \"billing\"\n{host}\n");
        for (prefix, project) in [("", ""), ("billing-", "project = \"billing\"\n")] {
            for kind in ["compose", "images"] {
                settings = format!("{settings}[resources.{prefix}{kind}]\nkind = \"{kind}\"\n{project}\n");
            }
            settings = format!("{settings}[resources.{prefix}data]\nkind = \"volume\"\nvolume = \"data\"\n{project}\n");
            settings = format!("{settings}[probes.{prefix}app]\nkind = \"container\"\n{project}\n");
        }
        settings += "[policy]\ndata_restore = \"always\"\n\n[monitor]\nduration = \"1s\"\ninterval = \"200ms\"\n\
                     persist = \"200ms\"\ngate = \"30s\"\nmin_samples = 3\n";
        std::fs::write(directory.join("guard.toml"), settings).unwrap();
        let pair = Self { root, second, names };
        pair.sh("chmod 644 guard.toml; sh deploy.sh first");
        pair
    }

    fn billing(&self) -> String {
        self.second.as_ref().map_or(String::new(), Engine::host)
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.root.path().join("shop"))
            .env("BILLING", self.billing())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn guard(&self) -> Program {
        Program::new(&self.root.path().join("shop"), &self.root.path().join("state")).env("BILLING", &self.billing())
    }

    fn runs(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.path().join("state/runs")) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// What somebody else sees: for each project its containers, their images, and what its volume says.
    fn seen(&self) -> String {
        let mut seen = self.sh("cat compose.yml billing/compose.yml");
        for (name, host) in [(&self.names[0], String::new()), (&self.names[1], self.billing())] {
            let line = format!(
                "export DOCKER_HOST={host}; for c in $(docker ps -q --filter label=com.docker.compose.project={name}); do \
                 docker inspect -f '{{{{.Image}}}} {{{{.State.Status}}}}' $c; done; \
                 c=$(docker ps -aq --filter label=com.docker.compose.project={name}); \
                 for f in word kept; do echo \"$f: $(docker cp $c:/data/$f - 2>/dev/null | tar -xO 2>/dev/null)\"; done"
            );
            seen = format!("{seen}\n{name}: {}", self.sh(&line));
        }
        seen
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for (directory, host) in [("shop", String::new()), ("shop/billing", self.billing())] {
            let _down = Command::new("docker")
                .args(["compose", "down", "--volumes", "--timeout", "1"])
                .current_dir(self.root.path().join(directory))
                .env("DOCKER_HOST", host)
                .output();
        }
        let pins = self.names.each_ref().map(|name| {
            format!(
                "docker ps -aq --filter name=guard-pin-{name} | xargs -r docker rm -f; \
                 docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' 'guard/pin/{name}*/*' | xargs -r docker rmi"
            )
        });
        let _pins = Command::new("sh").args(["-c", &pins.join(";")]).output();
    }
}

fn both_go_back(second: Option<Engine>) {
    let pair = Pair::open(second);
    let before = pair.seen();
    assert_eq!(before.matches("running").count(), 2, "{before}");
    let checked = pair.guard().run(&["check", "-v"]);
    assert!(matches!(checked.code, Some(0)), "{checked:?}");
    let ran = pair.guard().run(&["deploy", "--", "sh", "deploy.sh", "bad"]);
    let ran = ran.expect(21);
    assert!(ran.stderr.contains("billing-data: put back"), "{}", ran.stderr);
    assert_eq!(pair.seen(), before, "both are as they were");
    // What was displaced comes back on demand, in both.
    pair.guard().run(&["rollback", "--undo", "--yes"]);
    let undone = pair.seen();
    assert_eq!(undone.matches("kept: written by the release").count(), 2, "{undone}");
    pair.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(pair.seen(), before);
}

#[test]
fn two_projects_go_back_together() {
    both_go_back(None);
}

#[test]
fn fault_h16_a_project_on_another_engine_goes_back_through_its_api() {
    let second = Engine::start(&[]);
    let image = Command::new("docker").args(["save", BASE]).output().unwrap();
    second.docker(&["load", "--quiet"], &image.stdout);
    both_go_back(Some(second));
}

/// A context of Docker's, gone with the test.
struct Context(String);

impl Drop for Context {
    fn drop(&mut self) {
        let _removed = Command::new("docker")
            .args(["context", "rm", "--force", &self.0])
            .output();
    }
}

#[test]
fn a_project_is_reached_by_a_context_of_docker() {
    let second = Engine::start(&[]);
    let image = Command::new("docker").args(["save", BASE]).output().unwrap();
    second.docker(&["load", "--quiet"], &image.stdout);
    let host = second.host();
    let pair = Pair::open(Some(second));
    let context = Context(pair.names[1].clone());
    pair.sh(&format!(
        "docker context create {} --docker host={host} && sed -i 's,^host = .*,context = \"{0}\",' guard.toml && grep context guard.toml",
        context.0
    ));
    let before = pair.seen();
    pair.guard().run(&["backup"]).expect(0);
    pair.sh("cd billing && DOCKER_HOST=$BILLING docker compose exec -T app sh -c 'echo spoilt > /data/kept'");
    assert_ne!(pair.seen(), before);
    let back = [
        "rollback",
        "--yes",
        "--data-restore",
        "always",
        "--only",
        "billing-data",
    ];
    pair.guard().run(&back).expect(0);
    assert_eq!(pair.seen(), before);
}

/// Waits until the newest run has begun a step, and kills guard in it, with no watcher to stand in.
fn kill_in(pair: &Pair, step: &str, words: &[&str]) {
    let guard = pair.guard().env("GUARD_NO_WATCHER", "yes");
    let mut child = guard.start(words);
    let says = format!("{{\"begun\":{{\"step\":\"{step}\"");
    let runs = pair.root.path().join("state/runs");
    let before = pair.runs();
    until(|| {
        let new = pair.runs().into_iter().find(|run| !before.contains(run));
        let journal = new.and_then(|run| std::fs::read_to_string(runs.join(run).join("journal.jsonl")).ok());
        let has_come = journal.is_some_and(|text| text.contains(&says));
        assert!(
            has_come || child.try_wait().unwrap().is_none(),
            "{step} was never begun"
        );
        has_come
    });
    signal(&child, rustix::process::Signal::KILL);
    end(&mut child);
}

#[test]
fn a_run_over_two_projects_that_is_killed_is_finished() {
    let pair = Pair::open(None);
    let before = pair.seen();
    for (step, code) in [
        ("capture/billing-data", 14),
        ("deploy", 20),
        ("restore/billing-data", 21),
    ] {
        kill_in(&pair, step, &["deploy", "--", "sh", "deploy.sh", "bad"]);
        pair.guard().run(&["resume"]).expect(code);
        assert_eq!(pair.seen(), before, "killed in {step}");
    }
}

#[test]
fn a_run_holds_the_lock_of_every_project() {
    let pair = Pair::open(None);
    let root = pair.root.path().join("state.root");
    let other = pair.root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let settings = "verify = \"none\"\n[compose]\nfiles = [\"../shop/billing/compose.yml\"]\n[resources.compose]\nkind = \"compose\"\n";
    std::fs::write(other.join("guard.toml"), settings).unwrap();
    let elsewhere =
        Program::new(&other, &pair.root.path().join("other-state")).env("GUARD_STATE_ROOT", root.to_str().unwrap());
    let mut running = pair.guard().start(&[
        "deploy",
        "--",
        "sh",
        "-c",
        "touch begun; until [ -e over ]; do sleep 0.1; done",
    ]);
    until(|| Path::new(&pair.root.path().join("shop/begun")).exists());
    elsewhere.run(&["backup"]).expect(12);
    std::fs::write(pair.root.path().join("shop/over"), "").unwrap();
    running.wait().unwrap();
    elsewhere.run(&["backup"]).expect(0);
}

#[test]
fn a_project_that_is_none_is_named() {
    let pair = Pair::open(None);
    pair.sh("sed -i 's/project = \"billing\"/project = \"biling\"/' guard.toml");
    pair.guard().run(&["check"]).expect(2).says("did you mean `billing`?");
    pair.sh(
        "sed -i 's/project = \"biling\"/project = \"billing\"/; s,^directory.*,directory = \"nowhere\",' guard.toml",
    );
    pair.guard().run(&["check"]).expect(2).says("there is no compose file");
}
