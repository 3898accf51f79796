//! Images that a real registry has: pulled by their digests when the engine has lost them, and only then.

use guard::model::artifact::{Artifact, Live};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use crate::support::Scene;
use crate::support::project::{BASE, Project, docker};
use crate::support::registry::Registry;

struct Pushed {
    registry: Registry,
    project: Project,
    resource: Box<dyn Resource>,
    scene: Scene,
    digest: String,
    id: String,
}

impl Pushed {
    /// A project that runs an image by the digest that a registry gave it.
    fn new() -> Self {
        let scene = Scene::new();
        let registry = Registry::start();
        let project = Project::new(&scene.project(), "");
        let name = registry.name(&format!("{}:one", project.name()));
        let label = project.label();
        let text = format!("FROM {BASE}\nLABEL {label} version=pushed\nCMD [\"sleep\", \"600\"]\n");
        std::fs::write(scene.project().join("Dockerfile"), text).unwrap();
        docker(&["build", "--quiet", "-t", &name, scene.project().to_str().unwrap()]);
        docker(&["push", &name]);
        let digest = docker(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &name]);
        let id = docker(&["image", "inspect", "-f", "{{.Id}}", &name]);
        project.write(&format!("services: {{app: {{image: '{digest}', init: true}}}}\n"));
        project.up();
        Self {
            resource: project.resource("images", "images", &[]),
            registry,
            project,
            scene,
            digest,
            id,
        }
    }

    fn capture(&self) -> (Slot, Artifact) {
        let slot = Slot::new(&self.scene.backup(), self.resource.name());
        let artifact = self.resource.capture(&slot, &self.scene.cx).unwrap();
        (slot, artifact)
    }

    /// Another image takes the service's place, and the first is removed with all that held it.
    fn lose(&self) {
        self.project.write(&format!(
            "services: {{app: {{image: '{BASE}', init: true, command: sleep 600}}}}\n"
        ));
        self.project.up();
        self.project.prune(&["container", "prune"]);
        docker(&["rmi", "--force", &self.id]);
        let left = std::process::Command::new("docker")
            .args(["image", "inspect", &self.id])
            .output()
            .unwrap();
        assert!(!left.status.success(), "it is still there");
    }
}

#[test]
fn fault_h11_an_image_that_is_gone_is_pulled_by_its_digest() {
    let pushed = Pushed::new();
    let (slot, artifact) = pushed.capture();
    let cx = &pushed.scene.cx;
    pushed.lose();
    let prepared = pushed
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    assert_eq!(
        docker(&["image", "inspect", "-f", "{{.Id}}", &pushed.digest]),
        pushed.id
    );
    pushed.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    pushed.project.write(&format!(
        "services: {{app: {{image: '{}', init: true}}}}\n",
        pushed.digest
    ));
    pushed.project.up();
    let container = pushed.project.container("app");
    assert_eq!(docker(&["inspect", "-f", "{{.Image}}", &container]), pushed.id);
    assert_eq!(pushed.resource.check(&artifact, cx).unwrap(), Live::Matches);
}

#[test]
fn fault_h5_a_registry_is_not_asked_for_what_is_there_and_its_silence_is_told() {
    let mut pushed = Pushed::new();
    let (slot, artifact) = pushed.capture();
    let cx = &pushed.scene.cx;
    pushed.registry.down();
    // The pin holds the image, so nobody is asked.
    pushed.project.write(&format!(
        "services: {{app: {{image: '{BASE}', init: true, command: sleep 600}}}}\n"
    ));
    pushed.project.up();
    assert!(
        pushed
            .resource
            .prepare(&artifact, &slot, DataRestore::Always, cx)
            .is_ok()
    );
    pushed.lose();
    let error = pushed
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap_err();
    assert!(error.to_string().contains("not in the engine any more"), "{error}");
    pushed.registry.up();
    assert!(
        pushed
            .resource
            .prepare(&artifact, &slot, DataRestore::Always, cx)
            .is_ok()
    );
}
