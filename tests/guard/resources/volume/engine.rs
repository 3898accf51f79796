//! Volumes of a real engine, with containers that write to them.

use std::path::PathBuf;

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Resource, Slot};

use super::super::built::{build, text};
use super::super::promises::{self, Subject};
use super::tree;
use crate::support::Scene;

const IMAGE: &str = "guard-test/debian:trixie";

/// A volume of its own, with its containers; removed with what it made.
struct Engine {
    project: String,
    volume: String,
    resource: Box<dyn Resource>,
    containers: std::cell::RefCell<Vec<String>>,
}

impl Engine {
    fn new(scene: &Scene, keys: &[(&str, Value)]) -> Self {
        let project = format!("guardtest{}", scene.cx.token().replace('_', ""));
        let volume = format!("{project}_minio_data");
        let labels = [
            format!("com.docker.compose.project={project}"),
            "com.docker.compose.volume=minio_data".to_owned(),
        ];
        tree::run(
            "docker",
            &[
                "volume", "create", "--label", &labels[0], "--label", &labels[1], &volume,
            ],
        );
        let keys = [&[("volume", text("minio_data"))], keys].concat();
        let resource = build("volume", &scene.project(), Some(&project), &keys);
        Self {
            project,
            volume,
            resource,
            containers: std::cell::RefCell::default(),
        }
    }

    fn root(&self) -> PathBuf {
        PathBuf::from(
            tree::run(
                "docker",
                &["volume", "inspect", "--format", "{{.Mountpoint}}", &self.volume],
            )
            .trim(),
        )
    }

    fn container(&self, script: &str) -> String {
        let mount = format!("{}:/data", self.volume);
        let label = format!("com.docker.compose.project={}", self.project);
        let args = [
            "run",
            "--detach",
            "--label",
            &label,
            "--network",
            "none",
            "--volume",
            &mount,
            IMAGE,
            "sh",
            "-c",
            script,
        ];
        let id = tree::run("docker", &args).trim().to_owned();
        self.containers.borrow_mut().push(id.clone());
        id
    }

    fn state(id: &str) -> String {
        tree::run(
            "docker",
            &["inspect", "--format", "{{.State.Status}} {{.State.Pid}}", id],
        )
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for id in self.containers.borrow().iter() {
            let _ = std::process::Command::new("docker")
                .args(["rm", "--force", id])
                .output();
        }
        let _ = std::process::Command::new("docker")
            .args(["volume", "rm", "--force", &self.volume])
            .output();
    }
}

impl Subject for Engine {
    fn resource(&self) -> &dyn Resource {
        &*self.resource
    }

    fn spoil_live(&self) {
        tree::spoil(&self.root());
    }

    fn observe(&self) -> String {
        tree::observe(&self.root())
    }
}

const WRITER: &str = "mkdir -p /data/objects; echo v1 > /data/objects/one; chown -R 1000:1000 /data; while :; do echo tick >> /data/log; sleep 0.01; done";

fn wait_for(path: &std::path::Path) {
    for _ in 0..500 {
        if path.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{} did not come", path.display());
}

#[test]
fn fault_h9_a_volume_keeps_the_promises() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[]);
    tree::plant(&subject.root());
    subject.resource.fingerprint(&scene.cx).unwrap();
    assert_eq!(subject.resource.occupies(), std::slice::from_ref(&subject.volume));
    promises::hold(&subject, &scene);
}

#[test]
fn fault_h7_containers_are_held_while_a_volume_is_copied_and_woken_again() {
    for mode in ["pause", "stop"] {
        let scene = Scene::new();
        let subject = Engine::new(&scene, &[("mode", text(mode))]);
        let running = subject.container(WRITER);
        let ended = subject.container("true");
        wait_for(&subject.root().join("log"));
        tree::run("docker", &["wait", &ended]);
        let before = Engine::state(&running);
        let slot = Slot::new(&scene.backup(), subject.resource.name());
        let artifact = subject
            .resource
            .capture(&slot, &scene.cx)
            .expect("nothing moves while it is held");
        subject.resource.prove(&artifact, &slot, &scene.cx).unwrap();
        let after = Engine::state(&running);
        assert!(after.starts_with("running"), "{mode}: {after}");
        assert_eq!(
            before == after,
            mode == "pause",
            "a pause keeps the process: {before} {after}"
        );
        assert!(
            Engine::state(&ended).starts_with("exited"),
            "what did not run is not started"
        );
        let failing = Slot::new(std::path::Path::new("/proc/nowhere"), subject.resource.name());
        subject
            .resource
            .capture(&failing, &scene.cx)
            .expect_err("no place for the copy");
        assert!(
            Engine::state(&running).starts_with("running"),
            "{mode}: woken after a failure too"
        );
        assert_eq!(
            std::fs::read_dir(scene.root().join("run")).unwrap().count(),
            0,
            "nobody is noted as held"
        );
    }
}

#[test]
fn containers_held_by_a_killed_run_are_woken_by_the_next() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[("mode", text("pause"))]);
    let running = subject.container(WRITER);
    wait_for(&subject.root().join("log"));
    let record = serde_json::json!({ "mode": "pause", "containers": [running] });
    std::fs::write(scene.root().join("run/held-subject.json"), record.to_string()).unwrap();
    tree::run("docker", &["pause", &running]);
    subject.resource().settle(&scene.cx).unwrap();
    assert!(Engine::state(&running).starts_with("running"));
    subject.resource().settle(&scene.cx).expect("nobody is left");
}

#[test]
fn a_volume_is_copied_through_the_engine_and_put_back_where_its_directory_is() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[("through_engine", Value::Flag(true))]);
    let root = subject.root();
    tree::plant(&root);
    let survey = subject.resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|one| one.refuses && one.what.contains("not put back from here")),
        "{survey:?}"
    );
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    subject.resource.prove(&artifact, &slot, &scene.cx).unwrap();
    assert!(artifact.not_kept[0].contains("sub-second"), "{:?}", artifact.not_kept);
    assert_eq!(artifact.fingerprint, subject.resource.fingerprint(&scene.cx).unwrap());
    assert_eq!(subject.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    let local = build(
        "volume",
        &scene.project(),
        Some(&subject.project),
        &[("volume", text("minio_data"))],
    );
    assert_eq!(
        local.check(&artifact, &scene.cx).unwrap(),
        Live::Matches,
        "both ways see the same"
    );
    tree::spoil(&root);
    assert!(matches!(
        subject.resource.check(&artifact, &scene.cx).unwrap(),
        Live::Differs(_)
    ));
    subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .expect_err("not from here");
    let prepared = local.prepare(&artifact, &slot, DataRestore::Auto, &scene.cx).unwrap();
    local.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(local.check(&artifact, &scene.cx).unwrap(), Live::Matches);
}

#[test]
fn fault_h8_a_volume_that_is_missing_or_mounted_from_elsewhere_is_named() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[]);
    let project = Some(subject.project.as_str());
    let missing = build("volume", &scene.project(), project, &[("volume", text("minio_dta"))]);
    let survey = missing.survey(&scene.cx);
    assert!(
        survey.obstacles[0].advice.contains("did you mean `minio_data`?"),
        "{survey:?}"
    );
    let name = format!("{}_remote", subject.project);
    let options = [
        "volume",
        "create",
        "--opt",
        "type=nfs",
        "--opt",
        "o=addr=192.0.2.1,ro",
        "--opt",
        "device=:/export",
        &name,
    ];
    tree::run("docker", &options);
    let remote = build("volume", &scene.project(), project, &[("volume", text("remote"))]);
    let survey = remote.survey(&scene.cx);
    tree::run("docker", &["volume", "rm", &name]);
    assert!(
        survey.obstacles[0].refuses && survey.obstacles[0].what.contains("nfs"),
        "{survey:?}"
    );
}

#[test]
fn fault_h6_a_volume_that_a_database_writes_to_is_refused() {
    let scene = Scene::new();
    let subject = Engine::new(&scene, &[]);
    std::fs::write(subject.root().join("ibdata1"), "").unwrap();
    assert!(
        subject.resource.survey(&scene.cx).obstacles.is_empty(),
        "nobody uses it"
    );
    let user = subject.container("sleep 600");
    let survey = subject.resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|one| one.refuses && one.what.contains("MySQL")),
        "{survey:?}"
    );
    tree::run("docker", &["rm", "--force", &user]);
}
