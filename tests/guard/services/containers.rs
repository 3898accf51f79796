//! Named services that are containers of a Compose project, on the real engine: Redis, and an API that needs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::program::Program;
use crate::support::project::docker;

/// Waits for something that has to come, on a machine that may be busy with other containers.
#[track_caller]
fn until(mut came: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !came() {
        assert!(begun.elapsed() < std::time::Duration::from_mins(5), "it did not come");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

const COMPOSE: &str = "services:
  redis: {image: 'guard-test/redis:8', volumes: ['data:/data']}
  api: {image: 'API', ports: ['127.0.0.1:PORT:8000'], stop_signal: SIGKILL}
  other: {image: 'API', command: [sleep, '600'], init: true, stop_signal: SIGKILL}
volumes: {data: {}}
";

const SETTINGS: &str = r#"
[resources.project]
kind = "compose"
[resources.images]
kind = "images"
[resources.data]
kind = "redis"
service = "redis"

[services.redis]
compose = "redis"
before_copy = "docker compose exec -T redis redis-cli SAVE"
health = { kind = "command", command = ["sh", "-c", "docker compose exec -T redis redis-cli ping | grep -q PONG"] }

[services.api]
compose = "api"
needs = ["redis"]
health = { kind = "http", url = "http://127.0.0.1:PORT/health" }
within = "30s"
before_stop = "./note.sh"
after_stop = "./note.sh"
before_start = "./note.sh"
after_start = "./note.sh"

[monitor]
duration = "2s"
interval = "200ms"
consecutive_failures = 2
persist = "200ms"
gate = "4s"
min_samples = 3

[policy]
data_restore = "always"
"#;

/// Whether Redis runs at that moment is what the order is seen by.
const NOTE: &str = r#"#!/bin/sh
echo "$GUARD_SERVICE_NAME $GUARD_STAGE $(docker compose ps redis --format '{{.State}}')" >> ../log
if [ "$(cat ../halt 2>/dev/null)" = "$GUARD_STAGE" ]; then touch ../reached; sleep 120; fi
"#;

struct Shop {
    root: tempfile::TempDir,
    port: u16,
    name: String,
}

impl Shop {
    /// Version 1 runs and is well; the images of versions 1 to 3 are there.
    fn open(change: impl Fn(String) -> String) -> Self {
        let root = tempfile::Builder::new().prefix("guard-api-").tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let name = format!(
            "guard-test-svc-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let shop = Self { root, port, name };
        std::fs::create_dir(shop.directory()).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/services/api.py");
        std::fs::copy(fixture, shop.directory().join("api.py")).unwrap();
        for (name, text) in [
            ("note.sh", NOTE),
            (
                "Dockerfile",
                "FROM guard-test/app-base\nARG VERSION MODE\nENV VERSION=$VERSION MODE=$MODE\nCOPY api.py /app/\n\
                 CMD [\"python3\", \"/app/api.py\", \"8000\", \"redis:6379\"]\n",
            ),
            (
                "guard.toml",
                change(SETTINGS.replace("PORT", &port.to_string())).as_str(),
            ),
            (".env", &format!("COMPOSE_PROJECT_NAME={}\n", shop.name)),
        ] {
            std::fs::write(shop.directory().join(name), text).unwrap();
        }
        shop.compose_file("1");
        shop.sh("chmod +x note.sh; chmod 600 guard.toml");
        for (version, mode) in [("1", "good"), ("2", "bad"), ("3", "good")] {
            shop.sh(&format!(
                "DOCKER_BUILDKIT=0 docker build --quiet --force-rm --label guard.test.svc={} --build-arg VERSION={version} \
                 --build-arg MODE={mode} -t {} .",
                shop.name,
                shop.image(version)
            ));
        }
        shop.sh("docker compose up -d --pull never 2>&1");
        until(|| shop.who().is_some());
        shop.sh("docker compose exec -T redis redis-cli set basket one");
        shop
    }

    fn image(&self, version: &str) -> String {
        format!("{}:{version}", self.name)
    }

    fn compose_file(&self, version: &str) {
        let text = COMPOSE.replace("PORT", &self.port.to_string());
        // The other service keeps its own name for its image.
        let text = text
            .replacen("API", &self.image(version), 1)
            .replacen("API", "guard-test/debian:trixie", 1);
        std::fs::write(self.directory().join("compose.yml"), text).unwrap();
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("project")
    }

    fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.root.path().join("state")).env("GUARD_NO_WATCHER", "yes")
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Which version answers.
    fn who(&self) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/who", self.port);
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "2", &url])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let version = text.split_whitespace().last().map(str::to_owned);
        version.filter(|_| output.status.success())
    }

    fn basket(&self) -> String {
        self.sh("docker compose exec -T redis redis-cli get basket")
    }

    fn id(&self, service: &str) -> String {
        self.sh(&format!("docker compose ps -q {service}"))
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn forget_log(&self) {
        let _none = std::fs::remove_file(self.root.path().join("log"));
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let line = format!(
            "docker compose down -v -t 0 2>&1; docker ps -aq --filter name=guard-pin-{0}- | xargs -r docker rm -fv; \
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' 'guard/pin/{0}/*' | xargs -r docker rmi; \
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' '{0}' | xargs -r docker rmi -f; \
             docker images -q --filter label=guard.test.svc={0} | xargs -r docker rmi -f",
            self.name
        );
        // Whether it can be removed is no part of any test.
        let _gone = Command::new("sh")
            .args(["-c", &line])
            .current_dir(self.directory())
            .output();
    }
}

/// The release: another image of the API, and another basket.
fn release(shop: &Shop, version: &str) -> String {
    let (old, new) = (shop.image("1"), shop.image(version));
    format!(
        "docker compose exec -T redis redis-cli set basket two && sed -i 's/{old}/{new}/' compose.yml && \
         docker compose up -d --pull never --no-deps api"
    )
}

#[test]
fn a_bad_release_goes_back_in_the_order_of_needs_also_when_guard_is_killed() {
    let shop = Shop::open(|settings| settings);
    let bad = release(&shop, "2");
    let ran = shop.guard().run(&["deploy", "--", "sh", "-c", &bad]).expect(21);
    assert_eq!((shop.who().as_deref(), shop.basket().as_str()), (Some("1"), "one"));
    // The data of Redis went back, so what needs it stopped before it, and was started behind it.
    let wanted = [
        "api before_stop running",
        "api after_stop running",
        "api before_start running",
        "api after_start running",
    ];
    assert_eq!(shop.log(), wanted, "{}", ran.everything());

    for hook in ["after_stop", "after_start"] {
        shop.forget_log();
        std::fs::write(shop.root.path().join("halt"), hook).unwrap();
        let reached = shop.root.path().join("reached");
        let mut guard = shop.guard().start(&["deploy", "--again", "--", "sh", "-c", &bad]);
        until(|| reached.exists() || guard.try_wait().unwrap().is_some());
        assert!(reached.exists(), "{:?}", shop.log());
        guard.kill().unwrap();
        guard.wait().unwrap();
        std::fs::remove_file(reached).unwrap();
        std::fs::remove_file(shop.root.path().join("halt")).unwrap();
        let resumed = shop.guard().run(&["resume"]).expect(21);
        assert_eq!((shop.who().as_deref(), shop.basket().as_str()), (Some("1"), "one"));
        for one in ["before_stop", "after_stop", "before_start", "after_start"] {
            let count = shop.log().iter().filter(|line| line.contains(one)).count();
            let wanted = if one == hook { 2 } else { 1 };
            assert_eq!(count, wanted, "{one}: {:?}\n{}", shop.log(), resumed.everything());
        }
    }
}

#[test]
fn one_service_goes_back_alone_to_its_image_or_to_another_and_forward_again() {
    let shop = Shop::open(|settings| settings);
    shop.guard().run(&["backup"]).expect(0);
    // Somebody has deployed version 2 by hand: it is bad, and data has come since.
    shop.sh(&format!("{} 2>&1", release(&shop, "2")));
    until(|| shop.who().as_deref() == Some("2"));
    let (redis, other) = (shop.id("redis"), shop.id("other"));
    let planned = shop
        .guard()
        .run(&["rollback", "--service", "api", "--dry-run"])
        .expect(0);
    assert!(
        planned.stdout.contains("images") && !planned.stdout.contains("data "),
        "{}",
        planned.stdout
    );
    let ran = shop
        .guard()
        .run(&["rollback", "--service", "api", "--yes", "--force"])
        .expect(0);
    assert_eq!(
        (shop.who().as_deref(), shop.basket().as_str()),
        (Some("1"), "two"),
        "{}",
        ran.everything()
    );
    assert_eq!(
        (shop.id("redis"), shop.id("other")),
        (redis.clone(), other.clone()),
        "they went on"
    );
    assert_eq!(
        shop.log().iter().filter(|line| line.contains("stop")).count(),
        2,
        "{:?}",
        shop.log()
    );
    assert!(
        ran.everything().contains("until it is built or pulled again"),
        "{}",
        ran.everything()
    );
    // The other way again: to the bad one, which is told as that.
    shop.guard().run(&["rollback", "--undo", "--yes"]).expect(32);
    assert_eq!(shop.who().as_deref(), Some("2"));
    assert_eq!(shop.basket(), "two");
    // An image that somebody names.
    let third = shop.image("3");
    shop.guard()
        .run(&["rollback", "--service", "api", "--to", &third, "--yes", "--force"])
        .expect(0);
    assert_eq!(shop.who().as_deref(), Some("3"));
    assert_eq!((shop.id("redis"), shop.id("other")), (redis, other));
    let refused = shop
        .guard()
        .run(&["rollback", "--service", "api", "--to", "nowhere:1", "--yes"])
        .expect(10);
    refused.says("docker pull nowhere:1");
    // What a backup knows of each service.
    let shown = shop.guard().run(&["show", "latest"]).expect(0);
    assert!(
        shown.stdout.contains(&shop.image("1")) && shown.stdout.contains("running"),
        "{}",
        shown.stdout
    );
}

#[test]
fn a_rollback_of_one_service_that_is_killed_is_gone_on_with_as_it_was_asked_for() {
    let shop = Shop::open(|settings| settings);
    shop.guard().run(&["backup"]).expect(0);
    shop.sh(&format!("{} 2>&1", release(&shop, "2")));
    until(|| shop.who().as_deref() == Some("2"));
    let (redis, other) = (shop.id("redis"), shop.id("other"));
    for hook in ["after_stop", "after_start"] {
        std::fs::write(shop.root.path().join("halt"), hook).unwrap();
        let third = shop.image("3");
        let reached = shop.root.path().join("reached");
        let mut guard = shop
            .guard()
            .start(&["rollback", "--service", "api", "--to", &third, "--yes", "--force"]);
        until(|| reached.exists() || guard.try_wait().unwrap().is_some());
        assert!(reached.exists(), "{:?}", shop.log());
        guard.kill().unwrap();
        guard.wait().unwrap();
        std::fs::remove_file(reached).unwrap();
        std::fs::remove_file(shop.root.path().join("halt")).unwrap();
        let resumed = shop.guard().run(&["resume"]);
        assert_eq!(shop.who().as_deref(), Some("3"), "{}", resumed.everything());
        assert_eq!(shop.basket(), "two");
        assert_eq!((shop.id("redis"), shop.id("other")), (redis.clone(), other.clone()));
        // The state before was the bad one, and is told as that.
        shop.guard().run(&["rollback", "--undo", "--yes"]).expect(32);
        assert_eq!(shop.who().as_deref(), Some("2"));
    }
}

#[test]
fn a_compose_service_that_is_nowhere_is_told_with_its_line_and_the_nearest_name() {
    let shop = Shop::open(|settings| settings.replace("compose = \"api\"", "compose = \"apj\""));
    let checked = shop.guard().run(&["check"]).expect(10);
    let told = checked.everything();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("guard.toml:16:11") && told.contains("\"apj\"") && told.contains("did you mean"),
        "{told}"
    );
    assert!(docker(&["ps", "-q", "--filter", &format!("name={}-api", shop.name)]).len() > 5);
}

/// Two further projects, of which one needs the other; named so that their order is not that of their names.
struct Stacks {
    root: tempfile::TempDir,
    name: String,
}

impl Stacks {
    fn up() -> Self {
        let root = tempfile::Builder::new().prefix("guard-stacks-").tempdir().unwrap();
        let name = format!(
            "guard-test-stk-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let stacks = Self { root, name };
        for part in ["app", "monitoring"] {
            let directory = stacks.root.path().join("project").join(part);
            std::fs::create_dir_all(&directory).unwrap();
            let text = format!(
                "name: {}-{part}\nservices:\n  one: {{image: 'guard-test/debian:trixie', init: true, command: [sleep, '600'], volumes: ['data:/data']}}\nvolumes: {{data: {{}}}}\n",
                stacks.name
            );
            std::fs::write(directory.join("compose.yml"), text).unwrap();
        }
        let settings = "verify = \"none\"\n\
            [projects.app]\ndirectory = \"app\"\nneeds = [\"monitoring\"]\n[projects.monitoring]\ndirectory = \"monitoring\"\n\
            [resources.a]\nkind = \"volume\"\nvolume = \"data\"\nproject = \"app\"\n\
            [resources.m]\nkind = \"volume\"\nvolume = \"data\"\nproject = \"monitoring\"\n\
            [policy]\ndata_restore = \"always\"\n";
        let path = stacks.root.path().join("project/guard.toml");
        std::fs::write(&path, settings).unwrap();
        stacks.sh("chmod 600 guard.toml; for p in app monitoring; do docker compose -f $p/compose.yml up -d --pull never 2>&1; docker compose -f $p/compose.yml exec -T one sh -c 'echo 1 >/data/x'; done");
        stacks
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let directory = self.root.path().join("project");
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn moment(&self, part: &str, of: &str) -> String {
        docker(&[
            "inspect",
            "-f",
            &format!("{{{{.State.{of}}}}}"),
            &format!("{}-{part}-one-1", self.name),
        ])
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        let line = "for p in app monitoring; do docker compose -f $p/compose.yml down -v -t 0; done";
        let _gone = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.root.path().join("project"))
            .output();
    }
}

#[test]
fn further_projects_stop_and_start_in_the_order_of_their_needs() {
    let stacks = Stacks::up();
    let guard = Program::new(&stacks.root.path().join("project"), &stacks.root.path().join("state"));
    let bad = "for p in app monitoring; do docker compose -f $p/compose.yml exec -T one sh -c 'echo 2 >/data/x'; done; exit 1";
    let ran = guard
        .env("GUARD_NO_WATCHER", "yes")
        .run(&["deploy", "--", "sh", "-c", bad])
        .expect(20);
    for part in ["app", "monitoring"] {
        let now = stacks.sh(&format!("docker compose -f {part}/compose.yml exec -T one cat /data/x"));
        assert_eq!(now, "1", "{}", ran.everything());
    }
    assert!(
        stacks.moment("app", "FinishedAt") < stacks.moment("monitoring", "FinishedAt"),
        "{}",
        ran.everything()
    );
    assert!(
        stacks.moment("monitoring", "StartedAt") < stacks.moment("app", "StartedAt"),
        "{}",
        ran.everything()
    );
}
