//! The Compose project: its files and what ran, on the real engine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot, compose as kind};
use guard::services::Services;
use guard::system::docker::Recorded;

use super::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::project::{Project, docker};

const V1: &str = "
include: [more/extra.yml]
services:
  app:
    image: guard-test/debian:trixie
    command: [sleep, '600']
    init: true
    env_file: app.env
    environment: {GREETING: '${GREETING:-hello}'}
  job:
    image: guard-test/debian:trixie
    command: ['true']
";
const EXTRA: &str = "services: {side: {image: 'guard-test/debian:trixie', command: [sleep, '600'], init: true}}\n";
const V2: &str = "
services:
  app:
    image: guard-test/debian:trixie
    command: [sleep, '601']
    init: true
  worker:
    image: guard-test/debian:trixie
    command: [sleep, '600']
    init: true
";

struct Stack {
    project: Project,
    resource: Box<dyn Resource>,
    scene: Scene,
    /// What ran in each of the two states, by whether the compose file is the first one.
    before: Recorded,
}

impl Stack {
    fn start() -> Self {
        let scene = Scene::new();
        let directory = scene.project();
        fs::create_dir(directory.join("more")).unwrap();
        fs::write(directory.join("more/extra.yml"), EXTRA).unwrap();
        fs::write(directory.join("app.env"), "PASSWORD=canary-in-the-env-file\n").unwrap();
        fs::set_permissions(directory.join("app.env"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(directory.join(".env"), "GREETING=canary-in-dot-env\n").unwrap();
        let project = Project::new(&directory, V1);
        project.up();
        docker(&["wait", &project.container("job")]);
        let resource = project.resource("compose", "project", &[]);
        let before = Recorded::of(&scene.cx, &project.compose).unwrap();
        Self {
            project,
            resource,
            scene,
            before,
        }
    }
}

impl Subject for Stack {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }

    fn spoil_live(&self) {
        let directory = self.scene.project();
        fs::remove_file(directory.join("more/extra.yml")).unwrap();
        fs::write(directory.join("app.env"), "PASSWORD=lost\n").unwrap();
        fs::set_permissions(directory.join("app.env"), fs::Permissions::from_mode(0o600)).unwrap();
        self.project.write(V2);
        self.project.up();
    }

    fn settle(&self) {
        // As the stage that starts services does: what ran in the state whose files are there now.
        let cx = &self.scene.cx;
        let services = Services {
            compose: Some(self.project.compose.clone()),
            ..Services::default()
        };
        let is_first = fs::read_to_string(&self.project.compose.files[0]).unwrap() == V1;
        let limit = std::time::Duration::from_mins(1);
        if is_first {
            services.start(Some(&self.before), limit, cx).unwrap();
        } else {
            self.project.up();
        }
    }

    fn observe(&self) -> String {
        // Whether a job that had ended has left a container makes no difference to anyone.
        let mut seen = self.project.states();
        seen.retain(|state| !state.starts_with("job"));
        for name in ["compose.yml", "more/extra.yml", "app.env", ".env"] {
            let path = self.scene.project().join(name);
            let mode = fs::metadata(&path).map_or(0, |data| data.permissions().mode());
            seen.push(format!("{name} {mode:o} {:?}", fs::read_to_string(&path).ok()));
        }
        seen.join("\n")
    }
}

#[test]
fn keeps_the_promises() {
    let stack = Stack::start();
    assert_eq!(stack.project.states(), ["app running", "job exited", "side running"]);
    hold(&stack, &stack.scene);
}

#[test]
fn fault_h13_h14_the_copy_has_every_file_and_no_resolved_secret() {
    let stack = Stack::start();
    let slot = Slot::new(&stack.scene.backup(), stack.resource.name());
    let artifact = stack.resource.capture(&slot, &stack.scene.cx).unwrap();
    let names: Vec<&str> = artifact
        .files
        .iter()
        .filter_map(|file| file.path.split_once('-'))
        .map(|(_, name)| name)
        .collect();
    for name in ["compose.yml", "extra.yml", "app.env", ".env"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let configuration = fs::read_to_string(slot.directory().join("configuration.yml")).unwrap();
    assert!(configuration.contains("${GREETING"), "{configuration}");
    let details = artifact.details.to_string();
    for text in [&configuration, &details] {
        assert!(!text.contains("canary"), "{text}");
    }
    let listing = fs::read_to_string(slot.directory().join("containers.txt")).unwrap();
    assert!(
        listing.contains(&format!("{}-app-1", stack.project.name())),
        "{listing}"
    );
    let recorded = kind::recorded(&artifact).unwrap();
    assert_eq!(recorded.running().into_keys().collect::<Vec<_>>(), ["app", "side"]);
    assert!(recorded.has("job"));
}

#[test]
fn a_release_that_compose_refuses_is_a_difference_and_can_be_left() {
    let stack = Stack::start();
    let cx = &stack.scene.cx;
    let slot = Slot::new(&stack.scene.backup(), stack.resource.name());
    let artifact = stack.resource.capture(&slot, cx).unwrap();
    stack.project.write("services: {app: {imagee: x}}\n");
    let Live::Differs(parts) = stack.resource.check(&artifact, cx).unwrap() else {
        panic!("a broken file is a difference");
    };
    assert!(parts.contains(&"resolved configuration".to_owned()), "{parts:?}");
    let prepared = stack
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    stack.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    assert_eq!(stack.resource.check(&artifact, cx).unwrap(), Live::Matches);
}

#[test]
fn a_link_that_a_release_moved_points_where_it_did_and_what_it_pointed_at_is_untouched() {
    let scene = Scene::new();
    let cx = &scene.cx;
    let directory = scene.project();
    let project = Project::new(&directory, "services: {app: {image: 'guard-test/debian:trixie'}}\n");
    for (name, text) in [
        ("one.yml", V1.replace("include: [more/extra.yml]", "")),
        ("two.yml", V2.to_owned()),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
    fs::write(directory.join("app.env"), "").unwrap();
    fs::remove_file(directory.join("compose.yml")).unwrap();
    symlink("one.yml", directory.join("compose.yml")).unwrap();
    let resource = project.resource("compose", "project", &[]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, cx).unwrap();
    for spoil in [true, false] {
        fs::remove_file(directory.join("compose.yml")).unwrap();
        if spoil {
            symlink("two.yml", directory.join("compose.yml")).unwrap();
        } else {
            fs::write(directory.join("compose.yml"), V2).unwrap();
        }
        let scratch = tempfile::tempdir().unwrap();
        let mut cx = cx.clone();
        cx.scratch = scratch.path().to_owned();
        let prepared = resource.prepare(&artifact, &slot, DataRestore::Always, &cx).unwrap();
        let displaced = resource.restore(&prepared, &artifact, &slot, &cx).unwrap();
        assert_eq!(
            fs::read_link(directory.join("compose.yml")).unwrap().to_str(),
            Some("one.yml")
        );
        assert_eq!(fs::read_to_string(directory.join("two.yml")).unwrap(), V2);
        assert_eq!(resource.check(&artifact, &cx).unwrap(), Live::Matches);
        resource.undo(&displaced, &cx).unwrap();
        assert_eq!(directory.join("compose.yml").is_symlink(), spoil);
        assert_eq!(fs::read_to_string(directory.join("compose.yml")).unwrap(), V2);
        assert_ne!(fs::read_to_string(directory.join("one.yml")).unwrap(), V2);
    }
}
