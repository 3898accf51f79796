//! A small Compose project of its own for one test, gone with everything that belongs to it when it is dropped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use guard::model::name::ResourceName;
use guard::model::section::Section;
use guard::model::setting::{Item, Source, Value};
use guard::resources::{Resource, Site, kind};
use guard::system::docker::Compose;

/// The image that the tests' services are made of.
pub const BASE: &str = "guard-test/debian:trixie";

/// A Compose project in a scene's project directory.
pub struct Project {
    /// How it is called.
    pub compose: Compose,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Project {
    /// Writes the compose file; starts nothing.
    pub fn new(directory: &Path, text: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let project = format!("guard-test-comp-{}-{number}", std::process::id());
        let file = directory.join("compose.yml");
        std::fs::write(&file, text).unwrap();
        Self {
            compose: Compose {
                files: vec![file],
                env_files: Vec::new(),
                profiles: Vec::new(),
                project,
                directory: directory.to_owned(),
            },
        }
    }

    /// The project's name.
    pub fn name(&self) -> &str {
        &self.compose.project
    }

    /// The label of the images that a test builds for the project; no other image has it.
    pub fn label(&self) -> String {
        format!("guard.test.comp={}", self.name())
    }

    /// Prunes containers or images, only those that carry the project's label.
    pub fn prune(&self, words: &[&str]) {
        let filter = format!("label={}", self.label());
        // The engine prunes for one at a time, and other tests prune as well.
        for _ in 0..100 {
            let output = Command::new("docker")
                .args(words)
                .args(["--force", "--filter", &filter])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                return;
            }
            assert!(said.contains("already running"), "{said}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        panic!("the engine is busy pruning");
    }

    /// Writes another compose file over the project's.
    pub fn write(&self, text: &str) {
        std::fs::write(&self.compose.files[0], text).unwrap();
    }

    /// Runs `docker compose` for the project, by other means than guard's; it has to succeed.
    pub fn compose(&self, args: &[&str]) -> String {
        let mut words = vec![
            "compose",
            "-p",
            self.name(),
            "-f",
            self.compose.files[0].to_str().unwrap(),
        ];
        words.extend(args);
        docker(&words)
    }

    /// Starts it.
    pub fn up(&self) {
        self.compose(&["up", "-d", "--pull", "never", "--remove-orphans"]);
    }

    /// Each container's service and state, `app running`, in order.
    pub fn states(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.name());
        let format = "{{.Label \"com.docker.compose.service\"}} {{.State}}";
        let text = docker(&["ps", "-a", "--filter", &filter, "--format", format]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The id of a service's container.
    pub fn container(&self, service: &str) -> String {
        self.compose(&["ps", "-a", "-q", service])
    }

    /// The resource of this kind over the project, with these flags set in its table.
    pub fn resource(&self, key: &str, name: &str, flags: &[&str]) -> Box<dyn Resource> {
        let flags = flags.iter().map(|flag| ((*flag).to_owned(), Value::Flag(true)));
        self.built(key, name, flags.collect())
    }

    /// The same with these words in its table.
    pub fn resource_of(&self, key: &str, name: &str, words: &[(&str, &str)]) -> Box<dyn Resource> {
        let word = |(key, word): &(&str, &str)| ((*key).to_owned(), Value::Text((*word).to_owned()));
        self.built(key, name, words.iter().map(word).collect())
    }

    fn built(&self, key: &str, name: &str, values: Vec<(String, Value)>) -> Box<dyn Resource> {
        let at_nowhere = |(key, value)| (key, (0..0, Item { value, at: 0..0 }));
        let entries: BTreeMap<_, _> = values.into_iter().map(at_nowhere).collect();
        let source = Source::default();
        let mut problems = Vec::new();
        let table = Item {
            value: Value::Table(entries),
            at: 0..0,
        };
        let mut section = Section::new("resources.x", &source, table, &mut problems);
        let site = Site {
            directory: self.compose.directory.clone(),
            compose: Some(self.compose.clone()),
            stops: false,
            only: guard::resources::Narrowed::default(),
            checkouts: Vec::new(),
        };
        let name: ResourceName = name.parse().unwrap();
        let built = (kind(key).unwrap().build)(name, &mut section, &site);
        section.finish();
        assert!(problems.is_empty(), "{problems:?}");
        built.unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.name());
        remove(&["ps", "-aq", "--filter", &filter], &["rm", "-fv"]);
        remove(&["volume", "ls", "-q", "--filter", &filter], &["volume", "rm", "-f"]);
        remove(&["network", "ls", "-q", "--filter", &filter], &["network", "rm"]);
        let pins = format!("name=^guard-pin-{}-", self.name());
        remove(&["ps", "-aq", "--filter", &pins], &["rm", "-fv"]);
        let own = format!("label={}", self.label());
        remove(&["image", "ls", "-q", "--no-trunc", "--filter", &own], &["rmi", "-f"]);
        for pattern in [format!("guard/pin/{}/*", self.name()), format!("{}*", self.name())] {
            let filter = format!("reference={pattern}");
            let list = [
                "image",
                "ls",
                "--filter",
                &filter,
                "--format",
                "{{.Repository}}:{{.Tag}}",
            ];
            remove(&list, &["rmi", "-f"]);
        }
    }
}

/// Runs what is listed through a removal; a test that failed half-way must still be cleaned up.
fn remove(list: &[&str], removal: &[&str]) {
    let listed = Command::new("docker").args(list).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut found: Vec<&str> = listed.split_whitespace().collect();
    found.dedup();
    if !found.is_empty() {
        let removed = Command::new("docker").args(removal).args(&found).output().unwrap();
        if !removed.status.success() {
            eprintln!("left behind: {}", String::from_utf8_lossy(&removed.stderr));
        }
    }
}

/// Runs `docker`; it has to succeed. Returns what it wrote, trimmed.
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(
        output.status.success(),
        "docker {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
