//! The images of a project's services, on the real engine.

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};
use guard::services::Services;
use guard::system::docker::Recorded;

use super::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::project::{BASE, Project, docker};

struct Stack {
    project: Project,
    resource: Box<dyn Resource>,
    scene: Scene,
    first: String,
}

impl Stack {
    fn start(flags: &[&str]) -> Self {
        let scene = Scene::new();
        let project = Project::new(&scene.project(), "");
        // Built by Compose, which labels the image with its project.
        project.write(&format!(
            "services: {{App: {{image: '{}:latest', build: ., init: true}}}}\n",
            project.name()
        ));
        let stack = Self {
            resource: project.resource("images", "images", flags),
            first: String::new(),
            project,
            scene,
        };
        let first = stack.release("one");
        stack.project.up();
        Self { first, ..stack }
    }

    fn name(&self) -> String {
        format!("{}:latest", self.project.name())
    }

    fn dockerfile(&self, version: &str) {
        let label = self.project.label();
        let text = format!("FROM {BASE}\nLABEL {label} version={version}\nCMD [\"sleep\", \"600\"]\n");
        std::fs::write(self.scene.project().join("Dockerfile"), text).unwrap();
    }

    fn release(&self, version: &str) -> String {
        self.dockerfile(version);
        self.project.compose(&["build", "--quiet"]);
        self.id()
    }

    fn capture(&self) -> (Slot, guard::model::artifact::Artifact) {
        let slot = Slot::new(&self.scene.backup(), self.resource.name());
        let artifact = self.resource.capture(&slot, &self.scene.cx).unwrap();
        (slot, artifact)
    }

    fn restore(&self) -> Result<(), guard::resources::ResourceError> {
        let slot = Slot::new(&self.scene.backup(), self.resource.name());
        let artifact = artifact_again(&slot);
        let cx = &self.scene.cx;
        let prepared = self.resource.prepare(&artifact, &slot, DataRestore::Always, cx)?;
        self.resource.restore(&prepared, &artifact, &slot, cx)?;
        assert_eq!(self.id(), self.first);
        self.settle();
        assert_eq!(self.resource.check(&artifact, cx)?, Live::Matches);
        Ok(())
    }

    fn id(&self) -> String {
        docker(&["image", "inspect", "-f", "{{.Id}}", &self.name()])
    }

    fn is_in_engine(&self) -> bool {
        let listed = docker(&[
            "image",
            "ls",
            "-aq",
            "--no-trunc",
            "--filter",
            &format!("label={}", self.project.label()),
        ]);
        listed.lines().any(|id| id == self.first)
    }

    /// Captures, deploys a second release over the first one, so that only the pin holds the first.
    fn superseded(flags: &[&str]) -> Self {
        let stack = Self::start(flags);
        let (slot, artifact) = stack.capture();
        std::fs::write(
            slot.directory().join("artifact"),
            serde_json::to_vec(&artifact).unwrap(),
        )
        .unwrap();
        stack.spoil_live();
        assert_ne!(stack.id(), stack.first);
        stack
    }
}

/// The artifact that `superseded` put beside the copy.
fn artifact_again(slot: &Slot) -> guard::model::artifact::Artifact {
    let text = std::fs::read(slot.directory().join("artifact")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

impl Subject for Stack {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }

    fn spoil_live(&self) {
        self.release("two");
        self.project.up();
    }

    fn settle(&self) {
        let cx = &self.scene.cx;
        let services = Services {
            compose: Some(self.project.compose.clone()),
            ..Services::default()
        };
        let recorded = Recorded::of(cx, &self.project.compose).unwrap();
        services
            .start(Some(&recorded), std::time::Duration::from_mins(1), cx)
            .unwrap();
    }

    fn observe(&self) -> String {
        let running = docker(&[
            "inspect",
            "-f",
            "{{.Image}} {{.State.Status}}",
            &self.project.container("App"),
        ]);
        format!("{} runs {running}", self.id())
    }
}

#[test]
fn keeps_the_promises() {
    let stack = Stack::start(&[]);
    hold(&stack, &stack.scene);
}

#[test]
fn keeps_the_promises_with_saved_images() {
    let stack = Stack::start(&["save"]);
    hold(&stack, &stack.scene);
}

#[test]
fn a_pin_is_no_container_of_the_project() {
    let stack = Stack::superseded(&[]);
    assert_eq!(stack.project.states(), ["App running"]);
    stack.project.up();
    stack.project.compose(&["down", "--remove-orphans"]);
    assert!(stack.is_in_engine(), "Compose takes no notice of the pin");
    stack.project.prune(&["image", "prune", "--all"]);
    assert!(stack.is_in_engine(), "the pin's container is still there");
}

#[test]
fn fault_f14_a_pin_survives_what_people_prune() {
    let stack = Stack::superseded(&[]);
    // Only this test's images carry the label: nobody else's are touched.
    stack.project.prune(&["image", "prune"]);
    stack.project.prune(&["image", "prune", "--all"]);
    assert!(stack.is_in_engine(), "the pin's container holds the image");
    stack.restore().unwrap();
}

#[test]
fn a_pin_without_its_container_is_still_a_name() {
    let stack = Stack::superseded(&[]);
    stack.project.prune(&["container", "prune"]);
    stack.project.prune(&["image", "prune"]);
    assert!(stack.is_in_engine(), "the pin's name holds the image");
    stack.restore().unwrap();
}

#[test]
fn fault_h11_an_image_that_nothing_holds_is_gone_and_said_to_be() {
    let stack = Stack::superseded(&[]);
    stack.project.prune(&["container", "prune"]);
    stack.project.prune(&["image", "prune", "--all"]);
    assert!(!stack.is_in_engine(), "this is what `docker system prune --all` does");
    let running = stack.observe();
    let error = stack.restore().unwrap_err();
    assert!(error.to_string().contains("not in the engine any more"), "{error}");
    assert!(error.hint.unwrap().contains("save = true"));
    assert_eq!(stack.observe(), running, "production is as it was");
}

#[test]
fn fault_h5_a_saved_image_comes_back_without_a_registry() {
    let stack = Stack::superseded(&["save"]);
    stack.project.prune(&["container", "prune"]);
    stack.project.prune(&["image", "prune", "--all"]);
    assert!(!stack.is_in_engine());
    stack.restore().unwrap();
}

#[test]
fn released_pins_let_go() {
    let stack = Stack::superseded(&[]);
    let artifact = artifact_again(&Slot::new(&stack.scene.backup(), stack.resource.name()));
    stack.resource.release(&artifact, &stack.scene.cx).unwrap();
    stack.resource.release(&artifact, &stack.scene.cx).unwrap();
    assert!(!stack.is_in_engine(), "nothing else held the image");
}

#[test]
fn an_image_that_is_nowhere_is_built_again_where_that_is_allowed() {
    let stack = Stack::start(&["rebuild"]);
    let (slot, artifact) = stack.capture();
    stack.spoil_live();
    stack.project.prune(&["container", "prune"]);
    stack.project.prune(&["image", "prune", "--all"]);
    // Another first release: the cache must not bring the very same image back.
    stack.dockerfile("one-again");
    let cx = &stack.scene.cx;
    let prepared = stack
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    assert!(prepared.price[0].contains("built again"), "{:?}", prepared.price);
    stack.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    assert!(
        matches!(stack.resource.check(&artifact, cx).unwrap(), Live::Differs(_)),
        "not started yet"
    );
    stack.settle();
    assert_eq!(stack.resource.check(&artifact, cx).unwrap(), Live::Matches);
    let version = docker(&[
        "inspect",
        "-f",
        "{{.Config.Labels.version}}",
        &stack.project.container("App"),
    ]);
    assert_eq!(version, "one-again");
}
