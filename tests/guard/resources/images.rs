//! The images of a project's services, on the real engine.

use std::os::unix::fs::MetadataExt;

use guard::model::artifact::{Artifact, Live, Prepared};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};
use guard::services::Services;
use guard::system::docker::Recorded;

use super::built;
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

    /// Removes the first image with all that holds it, as a person does who wants room.
    fn forget_first(&self) {
        self.project.prune(&["container", "prune"]);
        docker(&["rmi", "--force", &self.first]);
        assert!(!self.is_in_engine());
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
fn fault_h10_a_tag_that_has_moved_goes_back_to_the_image_that_ran() {
    let stack = Stack::superseded(&[]);
    // Moved once more, by hand, and to an image that was never deployed.
    stack.dockerfile("three");
    stack.project.compose(&["build", "--quiet"]);
    let third = stack.id();
    assert!(third != stack.first && stack.project.states() == ["App running"]);
    stack.restore().unwrap();
    let runs = docker(&["inspect", "-f", "{{.Image}}", &stack.project.container("App")]);
    assert_eq!(
        (stack.id(), runs),
        (stack.first.clone(), stack.first.clone()),
        "the tag and what runs, by the image's id"
    );
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
    assert!(error.hint.unwrap().contains("save = \"always\""));
    assert_eq!(stack.observe(), running, "production is as it was");
}

/// The bytes of the files of a copy that no other backup has as well.
fn own_bytes(slot: &Slot, artifact: &Artifact) -> u64 {
    let own = artifact.files.iter().filter_map(|file| {
        let metadata = std::fs::metadata(slot.path_of(file)?).unwrap();
        (metadata.nlink() == 1).then_some(metadata.len())
    });
    own.sum()
}

#[test]
fn saved_images_are_stored_once_for_all_backups() {
    let stack = Stack::start(&["save"]);
    let cx = &stack.scene.cx;
    let capture = |number: u32, before: Option<&(Slot, Artifact)>| {
        let backup = stack.scene.root().join(format!("backup-{number}"));
        std::fs::create_dir(&backup).unwrap();
        let mut slot = Slot::new(&backup, stack.resource.name());
        if let Some((earlier, artifact)) = before {
            slot = slot.after(earlier.directory().parent().unwrap(), artifact.clone());
        }
        let artifact = stack.resource.capture(&slot, cx).unwrap();
        stack.resource.prove(&artifact, &slot, cx).unwrap();
        (slot, artifact)
    };
    let first = capture(1, None);
    let whole: u64 = first.1.bytes();
    assert!(whole > 10_000_000, "{whole}");
    stack.spoil_live();
    let second = capture(2, Some(&first));
    let new = own_bytes(&second.0, &second.1);
    assert!(
        new < whole / 20,
        "{new} of {whole} bytes are new for another layer on the same base"
    );
    let third = capture(3, Some(&second));
    assert!(third.1.summary.contains("saved before"), "{}", third.1.summary);
    // Each is whole without the others.
    std::fs::remove_dir_all(first.0.directory()).unwrap();
    std::fs::remove_dir_all(third.0.directory()).unwrap();
    stack.resource.prove(&second.1, &second.0, cx).unwrap();
}

#[test]
fn fault_f14_what_a_deploy_command_removed_is_had_again_or_told_at_once() {
    let stack = Stack::superseded(&["save"]);
    let slot = Slot::new(&stack.scene.backup(), stack.resource.name());
    let artifact = artifact_again(&slot);
    let cx = &stack.scene.cx;
    assert!(stack.resource.secure(&artifact, &slot, cx).unwrap().is_empty());
    stack.forget_first();
    let told = stack.resource.secure(&artifact, &slot, cx).unwrap();
    assert!(told[0].contains("App") && told[0].contains("had again"), "{told:?}");
    stack.project.prune(&["image", "prune", "--all"]);
    assert!(stack.is_in_engine(), "it is pinned again");
    stack.restore().unwrap();

    let stack = Stack::superseded(&[]);
    let slot = Slot::new(&stack.scene.backup(), stack.resource.name());
    stack.forget_first();
    let error = stack
        .resource
        .secure(&artifact_again(&slot), &slot, &stack.scene.cx)
        .unwrap_err();
    assert!(error.to_string().contains("not in the engine any more"), "{error}");
}

#[test]
fn only_images_that_no_registry_has_are_saved_where_that_is_asked() {
    let stack = Stack::start(&[]);
    let resource = stack.project.resource_of("images", "images", &[("save", "only-here")]);
    let slot = Slot::new(&stack.scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &stack.scene.cx).unwrap();
    assert!(artifact.summary.contains("1 image saved"), "{}", artifact.summary);
    assert!(artifact.bytes() > 10_000_000);
}

#[test]
fn a_saved_copy_that_is_damaged_is_not_loaded() {
    let stack = Stack::superseded(&["save"]);
    let slot = Slot::new(&stack.scene.backup(), stack.resource.name());
    let artifact = artifact_again(&slot);
    let pack = artifact.files.iter().find(|file| file.path.contains("/data-")).unwrap();
    let path = slot.path_of(pack).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    stack.forget_first();
    let error = stack.restore().unwrap_err();
    assert!(error.copy_is_bad, "{error:?}");
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

#[test]
fn a_preparation_of_before_still_names_the_services_that_going_back_replaces() {
    let scene = Scene::new();
    let images = built::build("images", &scene.project(), Some("shop"), &[]);
    // As journals have it since, and as they had it.
    for details in [r#"{"replaces":["app"]}"#, "null"] {
        let line = format!(
            r#"{{"resource":"images","work":{{"changed":["service app","names"]}},"details":{details},"price":[]}}"#
        );
        let prepared: Prepared = serde_json::from_str(&line).unwrap();
        assert_eq!(images.replaces(&prepared), ["app"], "{line}");
    }
}
