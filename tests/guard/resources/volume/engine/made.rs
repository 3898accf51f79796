//! Volumes that a release made otherwise, with other options, another name or other labels: the way back makes them as they were.

use std::path::Path;

use guard::model::artifact::{Artifact, Live, Prepared};
use guard::model::policy::DataRestore;
use guard::resources::Slot;

use super::super::super::built::{build, text};
use super::super::tree;
use super::Engine;
use crate::support::Scene;

impl Engine {
    /// What Compose does where a release asks for other options: the volume goes with what is in it, and is made anew.
    fn made_with(&self, options: &[&str]) {
        tree::run("docker", &["volume", "rm", &self.volume]);
        let labels = [
            format!("com.docker.compose.project={}", self.project),
            "com.docker.compose.volume=minio_data".to_owned(),
        ];
        let mut words = vec!["volume", "create", "--label", &labels[0], "--label", &labels[1]];
        words.extend(options.iter().flat_map(|option| ["--opt", option]));
        words.push(&self.volume);
        tree::run("docker", &words);
    }

    /// How it was made.
    fn made(&self) -> String {
        let format = "{{.Driver}} {{json .Options}} {{json .Labels}}";
        tree::run("docker", &["volume", "inspect", "--format", format, &self.volume])
    }

    fn copied(&self, scene: &Scene) -> (Slot, Artifact) {
        let slot = Slot::new(&scene.backup(), self.resource.name());
        let artifact = self.resource.capture(&slot, &scene.cx).unwrap();
        (slot, artifact)
    }

    fn prepared(&self, (slot, artifact): &(Slot, Artifact), scene: &Scene) -> Prepared {
        let prepared = self.resource.prepare(artifact, slot, DataRestore::Auto, &scene.cx);
        prepared.unwrap()
    }

    fn differs(&self, (_, artifact): &(Slot, Artifact), scene: &Scene) -> String {
        match self.resource.check(artifact, &scene.cx).unwrap() {
            Live::Differs(parts) => parts.join("; "),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_volume_that_the_release_made_otherwise_is_made_again_as_it_was() {
    for kind in ["tmpfs", "bind"] {
        let scene = Scene::new();
        let elsewhere = scene.root().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let subject = Engine::new(&scene, &[]);
        tree::plant(&subject.root());
        let copy = subject.copied(&scene);
        let (before, made) = (tree::observe(&subject.root()), subject.made());
        let device = format!("device={}", elsewhere.display());
        let options: &[&str] = match kind {
            "tmpfs" => &["type=tmpfs", "device=tmpfs", "o=size=10m"],
            _ => &["type=none", "o=bind", &device],
        };
        subject.made_with(options);
        let user = subject.container("echo new > /data/new; touch /tmp/done; exec sleep 600");
        if kind == "bind" {
            super::wait_for(&elsewhere.join("new"));
        }
        assert!(subject.differs(&copy, &scene).contains("the volume itself"), "{kind}");
        let agrees = subject.resource.agrees(&copy.1, &scene.cx);
        agrees.expect("it can be made as it was");
        let staged = subject.prepared(&copy, &scene);
        assert!(
            staged.price[0].contains("is made anew as it was"),
            "{kind}: {:?}",
            staged.price
        );
        assert!(
            subject.made().contains(kind),
            "{kind}: nothing is down yet, and nothing is done"
        );
        let restore = || subject.resource.restore(&staged, &copy.1, &copy.0, &scene.cx);
        let error = restore().expect_err("it is in use");
        assert!(error.to_string().contains("still uses the volume"), "{kind}: {error}");
        tree::run("docker", &["stop", "--time", "0", &user]);
        let displaced = restore().unwrap();
        assert_eq!(subject.made(), made, "{kind}");
        assert_eq!(tree::observe(&subject.root()), before, "{kind}");
        assert_eq!(
            subject.resource.check(&copy.1, &scene.cx).unwrap(),
            Live::Matches,
            "{kind}"
        );
        restore().expect("a repeat finds it done");
        assert_eq!(tree::observe(&subject.root()), before, "{kind}");
        let still = tree::run("docker", &["ps", "--all", "--quiet", "--no-trunc"]);
        assert!(
            !still.contains(user.trim()),
            "{kind}: Compose makes the container again"
        );
        if kind == "bind" {
            let new = std::fs::read_to_string(elsewhere.join("new")).unwrap();
            assert_eq!(new, "new\n", "what was elsewhere stays there");
        }
        let error = subject.resource.undo(&displaced, &scene.cx).expect_err("by hand");
        let hint = error.hint.unwrap_or_default();
        assert!(
            hint.contains("docker volume create --driver local --opt") && hint.contains(kind),
            "{kind}: {hint}"
        );
        subject.resource.forget(&displaced, &scene.cx).unwrap();
        assert_eq!(tree::observe(&subject.root()), before, "{kind}");
    }
}

#[test]
fn what_is_in_a_volume_that_is_made_as_it_was_is_put_aside() {
    let scene = Scene::new();
    let elsewhere = scene.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let subject = Engine::new(&scene, &[]);
    let device = format!("device={}", elsewhere.display());
    subject.made_with(&["type=none", "o=bind", &device]);
    tree::plant(&elsewhere);
    let copy = subject.copied(&scene);
    let (before, made) = (tree::observe(&elsewhere), subject.made());
    subject.made_with(&[]);
    std::fs::create_dir(subject.root().join("2026")).unwrap();
    std::fs::write(subject.root().join("2026/upload"), "a person's").unwrap();
    tree::spoil(&elsewhere);
    let staged = subject.prepared(&copy, &scene);
    let displaced = subject.resource.restore(&staged, &copy.1, &copy.0, &scene.cx).unwrap();
    assert_eq!(subject.made(), made);
    assert_eq!(tree::observe(&elsewhere), before);
    let mut kept = displaced
        .kept_as
        .iter()
        .map(|place| Path::new(place.strip_prefix("directory ").unwrap()));
    let found = kept.find(|place| place.join("2026/upload").exists());
    let found = found.unwrap_or_else(|| panic!("{:?}", displaced.kept_as)).to_owned();
    assert_eq!(
        std::fs::read_to_string(found.join("2026/upload")).unwrap(),
        "a person's"
    );
    subject.resource.forget(&displaced, &scene.cx).unwrap();
    assert!(!found.exists());
    assert_eq!(tree::observe(&elsewhere), before);
}

#[test]
fn where_a_volume_cannot_be_made_as_it_was_the_commands_are_named_and_after_them_it_is() {
    let scene = Scene::new();
    let elsewhere = scene.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let subject = Engine::new(&scene, &[]);
    let device = format!("device={}", elsewhere.display());
    subject.made_with(&["type=none", "o=bind", &device]);
    tree::plant(&elsewhere);
    let copy = subject.copied(&scene);
    let (before, made) = (tree::observe(&elsewhere), subject.made());
    subject.made_with(&["type=tmpfs", "device=tmpfs"]);
    tree::spoil(&elsewhere);
    // Nobody makes this one again: it is of no project.
    let mount = format!("{}:/data", subject.volume);
    let name = format!("{}-foreign", subject.project);
    let words = ["create", "--name", &name, "--volume", &mount, super::IMAGE, "true"];
    let foreign = tree::run("docker", &words).trim().to_owned();
    subject.containers.borrow_mut().push(foreign.clone());
    let agrees = subject.resource.agrees(&copy.1, &scene.cx).expect_err("a check tells");
    let error = subject
        .resource
        .prepare(&copy.1, &copy.0, DataRestore::Auto, &scene.cx)
        .expect_err("foreign");
    assert_eq!(agrees.to_string(), error.to_string());
    let hint = error.hint.clone().unwrap_or_default();
    assert!(
        error.to_string().contains(&name) && hint.contains("`guard resume` makes it as it was"),
        "{error}: {hint}"
    );
    let there = tree::run("docker", &["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(there.contains(&foreign), "nothing of anybody's is removed");
    let commands = hint
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with("docker "));
    for command in commands {
        tree::run("sh", &["-c", command]);
    }
    let staged = subject.prepared(&copy, &scene);
    subject.resource.restore(&staged, &copy.1, &copy.0, &scene.cx).unwrap();
    assert_eq!((subject.made(), tree::observe(&elsewhere)), (made, before));
}

#[test]
fn a_key_that_the_release_gave_another_volume_goes_back_to_the_one_that_was_copied() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[]);
    tree::plant(&subject.root());
    let copy = subject.copied(&scene);
    let before = tree::observe(&subject.root());
    // Compose's `name:` for the same key; the engine lists it first.
    let mut other = Engine::new(&scene, &[]);
    other.volume = format!("{}-0-named", subject.project);
    let labels = [
        format!("com.docker.compose.project={}", subject.project),
        "com.docker.compose.volume=minio_data".to_owned(),
    ];
    let words = [
        "volume",
        "create",
        "--label",
        &labels[0],
        "--label",
        &labels[1],
        &other.volume,
    ];
    tree::run("docker", &words);
    std::fs::write(other.root().join("new"), "the release's").unwrap();
    assert_eq!(subject.resource.check(&copy.1, &scene.cx).unwrap(), Live::Matches);
    tree::spoil(&subject.root());
    let staged = subject.prepared(&copy, &scene);
    subject.resource.restore(&staged, &copy.1, &copy.0, &scene.cx).unwrap();
    assert_eq!(tree::observe(&subject.root()), before);
    assert_eq!(
        std::fs::read_to_string(other.root().join("new")).unwrap(),
        "the release's"
    );
}

#[test]
fn a_check_tells_that_compose_would_make_the_volume_anew() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[]);
    let file = |options: &str| {
        let text = format!(
            "services:\n  app:\n    image: {}\n    volumes: [\"minio_data:/data\"]\nvolumes:\n  minio_data:\n{options}",
            super::IMAGE
        );
        std::fs::write(scene.project().join("compose.yaml"), text).unwrap();
    };
    let keys = [("volume", text("minio_data"))];
    let resource = build("volume", &scene.project(), Some(&subject.project), &keys);
    file("    driver: local\n");
    assert_eq!(resource.survey(&scene.cx).obstacles, []);
    file("    driver_opts: {type: tmpfs, device: tmpfs}\n");
    let survey = resource.survey(&scene.cx);
    assert!(
        !survey.obstacles[0].refuses && survey.obstacles[0].what.contains("Compose may make it anew"),
        "{survey:?}"
    );
}
