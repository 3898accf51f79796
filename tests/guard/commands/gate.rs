//! The gate of real Compose projects: what their health checks say is waited for, and believed.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::program::{Program, Ran};
use crate::support::project::BASE;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A Compose project that `guard init` has set up; gone when it is dropped.
struct Site {
    root: tempfile::TempDir,
    name: String,
}

/// A service of the tests' image, with these further lines of its own.
fn service(name: &str, lines: &[&str]) -> String {
    let usual =
        format!("  {name}:\n    image: {BASE}\n    pull_policy: never\n    init: true\n    stop_grace_period: 1s\n");
    lines.iter().fold(usual, |text, line| format!("{text}    {line}\n"))
}

/// The service `app` of a version, with this health check.
fn app(version: u32, check: &str) -> String {
    let environment = format!("environment: {{V: '{version}'}}");
    let check = format!("healthcheck: {check}");
    service("app", &["command: [sleep, '1000']", &environment, &check])
}

const WELL: &str = "{test: [CMD, 'true'], interval: 1s}";

impl Site {
    /// Starts these services, and has `guard init` write the settings; the watch is short.
    fn open(services: &str) -> Self {
        let root = tempfile::Builder::new().prefix("guard-gate-").tempdir().unwrap();
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("guard-test-gate-{}-{number}", std::process::id());
        std::fs::create_dir(root.path().join("site")).unwrap();
        let site = Self { root, name };
        site.release(services);
        site.sh("docker compose up --detach --wait 2>&1");
        site.guard().run(&["init"]).expect(0);
        site.sh("sed -i 's/^duration = .*/duration = \"5s\"\\npersist = \"1s\"/' guard.toml");
        site
    }

    /// Writes what the next deployment brings up.
    fn release(&self, services: &str) {
        let text = format!("name: {}\nservices:\n{services}", self.name);
        std::fs::write(self.root.path().join("next.yml"), &text).unwrap();
        if !self.root.path().join("site/compose.yml").exists() {
            std::fs::write(self.root.path().join("site/compose.yml"), text).unwrap();
        }
    }

    fn deploy(&self, services: &str) -> Ran {
        self.release(services);
        let line = "cp ../next.yml compose.yml && docker compose up --detach --remove-orphans";
        self.guard().run(&["deploy", "--", "sh", "-c", line])
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.root.path().join("site"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn guard(&self) -> Program {
        Program::new(&self.root.path().join("site"), &self.root.path().join("state"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What holds the image is guard's, and goes by its project's name.
        let line = format!(
            "docker compose down --timeout 1 --remove-orphans; \
             docker ps --all --quiet --filter name=^guard-pin-{0}- | xargs --no-run-if-empty docker rm --force; \
             docker image ls --filter 'reference=guard/pin/{0}/*' --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | xargs --no-run-if-empty docker rmi",
            self.name
        );
        let mut command = Command::new("sh");
        let command = command.args(["-c", &line]).current_dir(self.root.path().join("site"));
        let _gone = command.output();
    }
}

#[test]
fn a_container_that_stays_unhealthy_ends_the_wait_that_its_settings_allow() {
    let site = Site::open(&app(1, WELL));
    // How long a start takes is known from here on.
    site.deploy(&app(2, WELL)).expect(0);
    // Three tries of a minute each may be waited for; they fail at once.
    let bad = site.deploy(&app(3, "{test: [CMD, 'false'], interval: 1s, timeout: 1m}"));
    bad.expect(21)
        .says("app is unhealthy, and its own check has failed")
        .says("old, verified");
    assert_eq!(site.sh("docker compose exec -T app printenv V").trim(), "2");
}

#[test]
fn a_container_that_its_check_calls_unhealthy_too_early_may_come_up_yet() {
    let site = Site::open(&app(1, WELL));
    let slow = app(2, "{test: [CMD, test, -e, /up], interval: 1s, retries: 1}")
        .replace("[sleep, '1000']", "[sh, -c, 'sleep 6; touch /up; sleep 1000']");
    site.deploy(&slow).expect(0).says("new, verified");
}

#[test]
fn a_check_that_may_take_long_is_told_before() {
    let site = Site::open(&app(
        1,
        "{test: [CMD, 'true'], interval: 1s, timeout: 30s, retries: 5, start_period: 2m}",
    ));
    let said = |site: &Site| {
        let ran = site.guard().run(&["check"]).expect(0);
        ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let told = format!(
        "a start is waited for 5 min 35 s at most: the health check of {}-app-1 may say nothing for 4 min 35 s \
         (start_period 2 min, interval 1.0 s, timeout 30 s, retries 5), and 1 min follow",
        site.name
    );
    assert!(said(&site).contains(&told), "{}", said(&site));
    site.sh("sed -i 's/^duration/gate = \"30s\"\\nduration/' guard.toml");
    assert!(!said(&site).contains("a start is waited for"), "{}", said(&site));
}

#[test]
fn a_service_that_the_release_adds_has_to_hold_out_and_one_that_it_removes_is_not_missed() {
    let removed = service("side", &["command: [sleep, '1000']"]);
    let site = Site::open(&(app(1, WELL) + &removed));
    // What runs once, and is done while the release is watched, is well.
    let job = service("job", &["command: [sleep, '2']"]);
    site.deploy(&(app(2, WELL) + &job)).expect(0).says("new, verified");
    let broken = service("worker", &["command: [sh, -c, 'exit 4']", "restart: always"]);
    let ran = site.deploy(&(app(3, WELL) + &broken)).expect(21);
    ran.says("gate failed: containers: worker ").says("old, verified");
    let services = site.sh("docker compose ps --all --format '{{.Service}} {{.State}}'");
    assert!(
        services.contains("app running") && !services.contains("worker running"),
        "{services}"
    );
}
