//! Volumes of a real engine, with containers that write to them.

mod made;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use guard::model::artifact::{Artifact, Live};
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Mark, Resource, Slot};
use guard::system::docker::Inside;
use guard::system::environment::Environment;

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

/// A scene in which the program `guard` is found; its context reaches the volume only through the engine.
fn remote() -> Scene {
    let mut scene = Scene::new();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_guard"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let others = std::env::vars().filter(|(name, _)| name != "PATH");
    scene.cx.environment = Arc::new(Environment::of_pairs(others.chain([("PATH".to_owned(), path)])));
    scene
}

const THROUGH: [(&str, Value); 1] = [("through_engine", Value::Flag(true))];

/// The keys of a volume that is reached only through the engine, whose copies have this form.
fn through(form: &str) -> [(&'static str, Value); 2] {
    let [through] = THROUGH;
    [through, ("form", text(form))]
}

#[test]
fn a_volume_that_is_reached_only_through_the_engine_keeps_the_promises() {
    for form in ["archive", "chunks"] {
        let scene = remote();
        let subject = Engine::new(&scene, &through(form));
        tree::plant(&subject.root());
        promises::hold(&subject, &scene);
        let left = [
            "ps",
            "--all",
            "--quiet",
            "--filter",
            &format!("volume={}", subject.volume),
        ];
        assert_eq!(tree::run("docker", &left), "", "nothing stays in the engine");
    }
}

/// What guard in a container sends of a volume, of which an earlier copy is known.
fn packed(subject: &Engine, artifact: &Artifact, slot: &Slot, begun: &str, scene: &Scene) -> Vec<u8> {
    let inside = Inside::of_volume(&scene.cx, &subject.volume).unwrap();
    let entry = artifact.file("index.jsonl.zst").unwrap();
    let index = std::fs::read(slot.path_of(entry).unwrap()).unwrap();
    let mut sent = Vec::new();
    let mut sink = |bytes: &[u8]| {
        sent.extend_from_slice(bytes);
        Ok(())
    };
    let mut feed = |pipe: &mut dyn Write| {
        writeln!(pipe, "{begun}")?;
        pipe.write_all(&index)
    };
    let call = inside.call(&["pack"], false, &scene.cx);
    scene.cx.converse(&call, &mut sink, &mut feed).unwrap();
    sent
}

#[test]
fn through_the_engine_too_a_second_copy_and_a_restore_move_only_what_has_changed() {
    let scene = remote();
    let subject = Engine::new(&scene, &through("chunks"));
    let root = subject.root();
    let cx = &scene.cx;
    let noise: Vec<u8> = (0..3_000_000_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    std::fs::write(root.join("large"), &noise).unwrap();
    std::fs::create_dir(root.join("some")).unwrap();
    std::fs::write(root.join("some/small"), "v1").unwrap();
    std::fs::hard_link(root.join("large"), root.join("some/again")).unwrap();
    // What is younger than two seconds is read again, as is right.
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let first = subject.resource.capture(&slot, cx).unwrap();
    assert!(first.not_kept.is_empty(), "{:?}", first.not_kept);
    let begun = first.details["packed"]["begun"].to_string();
    assert!(packed(&subject, &first, &slot, "null", &scene).len() > 3_000_000);
    let known = packed(&subject, &first, &slot, &begun, &scene).len();
    assert!(known < 10_000, "{known} bytes came out, and nothing has changed");
    std::fs::write(root.join("some/small"), "v2").unwrap();
    let next = Slot::new(&scene.root().join("next"), subject.resource.name()).after(&scene.backup(), first.clone());
    let second = subject.resource.capture(&next, cx).unwrap();
    assert_eq!(second.details["packed"]["stored"], 2, "{:?}", second.details);
    subject.resource.prove(&second, &next, cx).unwrap();

    let inode = |name: &str| std::fs::metadata(root.join(name)).unwrap().ino();
    let (large, small) = (inode("large"), inode("some/small"));
    std::fs::write(root.join("surplus"), "new").unwrap();
    let staged = subject.resource.prepare(&first, &slot, DataRestore::Auto, cx).unwrap();
    assert!(
        staged.price[0].contains("1 of 5 entries are put back, and 1 put aside"),
        "{:?}",
        staged.price
    );
    // What comes to differ between the two is found as well.
    std::fs::write(root.join("large"), "overwritten").unwrap();
    let displaced = subject.resource.restore(&staged, &first, &slot, cx).unwrap();
    assert_eq!(subject.resource.check(&first, cx).unwrap(), Live::Matches);
    assert!(std::fs::read(root.join("large")).unwrap() == noise);
    assert_eq!(inode("large"), inode("some/again"));
    assert!(inode("large") != large && inode("some/small") != small);
    assert!(!root.join("surplus").exists());
    let undone = subject.resource.undo(&displaced, cx).unwrap();
    assert_eq!(std::fs::read_to_string(root.join("large")).unwrap(), "overwritten");
    assert_eq!(std::fs::read_to_string(root.join("surplus")).unwrap(), "new");
    assert_eq!(inode("some/small"), small);
    subject.resource.forget(&undone, cx).unwrap();
}

#[test]
fn fault_b16_a_file_that_is_written_to_meanwhile_is_told_of_through_the_engine_too() {
    for form in ["archive", "chunks"] {
        let scene = remote();
        let subject = Engine::new(&scene, &through(form));
        std::fs::write(subject.root().join("busy"), vec![1; 60_000_000]).unwrap();
        subject.container("while :; do printf x | dd of=/data/busy conv=notrunc status=none; touch /data/seen; done");
        wait_for(&subject.root().join("seen"));
        let slot = Slot::new(&scene.backup(), subject.resource.name());
        let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
        assert!(
            artifact.not_kept.iter().any(|lost| lost.contains("busy")),
            "{form}: {:?}",
            artifact.not_kept
        );
        subject.resource.prove(&artifact, &slot, &scene.cx).unwrap();
    }
}

#[test]
fn a_container_that_ends_in_the_middle_of_a_copy_is_told_as_such() {
    for form in ["archive", "chunks"] {
        let scene = remote();
        let subject = Engine::new(&scene, &through(form));
        let file = std::fs::File::create(subject.root().join("large")).unwrap();
        file.set_len(20_000_000_000).unwrap();
        let label = format!("label=guard.run={}", scene.cx.token());
        let killer = std::thread::spawn(move || {
            for _ in 0..600 {
                std::thread::sleep(std::time::Duration::from_millis(50));
                let words = [
                    "ps",
                    "--filter",
                    &label,
                    "--format",
                    "{{.ID}} {{.Command}}",
                    "--no-trunc",
                ];
                let running = tree::run("docker", &words);
                if let Some(line) = running.lines().find(|line| line.contains("pack")) {
                    tree::run("docker", &["kill", line.split(' ').next().unwrap()]);
                    return;
                }
            }
        });
        let slot = Slot::new(&scene.backup(), subject.resource.name());
        let error = subject.resource.capture(&slot, &scene.cx).map(drop).unwrap_err();
        killer.join().unwrap();
        assert!(
            error.to_string().contains("could not act inside of the volume"),
            "{form}: {error:?}"
        );
    }
}

#[test]
fn a_bad_copy_in_chunks_is_not_put_back_through_the_engine() {
    let scene = remote();
    let subject = Engine::new(&scene, &through("chunks"));
    let root = subject.root();
    tree::plant(&root);
    std::fs::write(root.join("object"), "what a pack holds").unwrap();
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    std::fs::write(root.join("object"), "bad").unwrap();
    let failed = tree::observe(&root);
    let pack = slot.directory().join("data-0001.pack");
    let bytes = std::fs::read(&pack).unwrap();
    std::fs::write(&pack, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>()).unwrap();
    let error = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap_err();
    assert!(error.copy_is_bad, "{error:?}");
    assert_eq!(tree::observe(&root), failed);
}

#[test]
fn both_ways_into_a_volume_see_the_same_and_finish_each_others_work() {
    let scene = remote();
    let subject = Engine::new(&scene, &THROUGH);
    let root = subject.root();
    tree::plant(&root);
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    assert!(
        !artifact.not_kept.iter().any(|lost| lost.contains("time")),
        "{:?}",
        artifact.not_kept
    );
    let keys = [("volume", text("minio_data"))];
    let local = build("volume", &scene.project(), Some(&subject.project), &keys);
    assert_eq!(local.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    tree::spoil(&root);
    let failed = tree::observe(&root);
    let staged = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    assert_eq!(tree::observe(&root), failed, "staging does not touch what is live");
    // As after a swap that was cut off: the state says so, and the next one to come finishes it.
    let displaced = local.restore(&staged, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(subject.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    subject.resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(tree::observe(&root), failed);
    subject.resource.forget(&displaced, &scene.cx).unwrap();
}

/// A copy that was made where the directory is seen goes back to the same volume, seen only through the engine.
fn goes_back_through_the_engine(form: &str) {
    let scene = remote();
    let subject = Engine::new(&scene, &THROUGH);
    let root = subject.root();
    tree::plant(&root);
    let keys = [("volume", text("minio_data")), ("form", text(form))];
    let local = build("volume", &scene.project(), Some(&subject.project), &keys);
    let slot = Slot::new(&scene.backup(), local.name());
    let artifact = local.capture(&slot, &scene.cx).unwrap();
    assert!(artifact.files.iter().any(|file| file.path.contains("/data-")) == (form == "chunks"));
    let before = tree::observe(&root);
    let cx = &scene.cx;
    assert_eq!(subject.resource.check(&artifact, cx).unwrap(), Live::Matches);
    let idle = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, cx)
        .unwrap();
    assert!(!idle.work.is_needed(), "{idle:?}");
    tree::spoil(&root);
    let failed = tree::observe(&root);
    for _ in 0..2 {
        subject
            .resource
            .prepare(&artifact, &slot, DataRestore::Auto, cx)
            .unwrap();
    }
    let staged = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, cx)
        .unwrap();
    assert_eq!(tree::observe(&root), failed, "staging does not touch what is live");
    let displaced = subject.resource.restore(&staged, &artifact, &slot, cx).unwrap();
    assert_eq!(tree::observe(&root), before);
    assert_eq!(subject.resource.check(&artifact, cx).unwrap(), Live::Matches);
    assert_eq!(local.check(&artifact, cx).unwrap(), Live::Matches);
    let undone = subject.resource.undo(&displaced, cx).unwrap();
    assert_eq!(tree::observe(&root), failed);
    subject.resource.undo(&undone, cx).unwrap();
    assert_eq!(tree::observe(&root), before);
    subject.resource.forget(&undone, cx).unwrap();
}

#[test]
fn a_copy_in_chunks_goes_back_to_a_volume_that_only_the_engine_reaches() {
    goes_back_through_the_engine("chunks");
}

#[test]
fn a_copy_with_nanoseconds_goes_back_to_a_volume_that_only_the_engine_reaches() {
    goes_back_through_the_engine("archive");
}

#[test]
fn fault_h20_what_a_killed_guard_left_working_in_a_volume_is_ended_before_anything_else_is_done_there() {
    let scene = remote();
    let subject = Engine::new(&scene, &THROUGH);
    let root = subject.root();
    std::fs::write(root.join("object"), "v1").unwrap();
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
    std::fs::write(root.join("object"), "bad").unwrap();
    let staged = subject
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let inside = Inside::of_volume(&scene.cx, &subject.volume).unwrap();
    // A stage that waits for the rest of its archive, whose guard is gone.
    let aside = format!(".guard-{:032x}", 9);
    let waiting = inside
        .call(&["stage", &aside], true, &scene.cx)
        .to_string()
        .replace('\'', "");
    let mut words = vec!["run", "--detach"];
    words.extend(waiting.split(' ').skip(2).filter(|word| *word != "--rm"));
    let left = tree::run("docker", &words);
    subject.resource.restore(&staged, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(std::fs::read_to_string(root.join("object")).unwrap(), "v1");
    let still = tree::run("docker", &["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(!still.contains(left.trim()), "it is still there");
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
fn fault_h6_a_database_is_seen_in_a_volume_that_only_the_engine_reaches() {
    let scene = remote();
    let subject = Engine::new(&scene, &THROUGH);
    std::fs::create_dir_all(subject.root().join("cluster/17")).unwrap();
    std::fs::write(subject.root().join("cluster/17/PG_VERSION"), "17\n").unwrap();
    let slot = Slot::new(&scene.backup(), subject.resource.name());
    subject.resource.capture(&slot, &scene.cx).expect("nobody uses it");
    let user = subject.container("sleep 600");
    let error = subject.resource.capture(&slot, &scene.cx).unwrap_err();
    assert!(error.to_string().contains("Postgres"), "{error}");
    tree::run("docker", &["rm", "--force", &user]);
}

#[test]
fn fault_h8_an_empty_volume_comes_back_empty() {
    for keys in [&[][..], &THROUGH[..]] {
        let scene = remote();
        let subject = Engine::new(&scene, keys);
        let slot = Slot::new(&scene.backup(), subject.resource.name());
        let artifact = subject.resource.capture(&slot, &scene.cx).unwrap();
        std::fs::write(subject.root().join("new"), "new").unwrap();
        let staged = subject
            .resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        let displaced = subject.resource.restore(&staged, &artifact, &slot, &scene.cx).unwrap();
        assert!(!subject.root().join("new").exists());
        assert_eq!(subject.resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
        subject.resource.undo(&displaced, &scene.cx).unwrap();
        assert_eq!(std::fs::read_to_string(subject.root().join("new")).unwrap(), "new");
    }
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

#[test]
fn through_the_engine_new_files_stay_and_the_releases_own_go_aside() {
    for form in ["archive", "chunks"] {
        let scene = remote();
        let [one, two] = through(form);
        let subject = Engine::new(&scene, &[one, two, ("carry_over", text("new-files"))]);
        let root = subject.root();
        tree::plant(&root);
        let (resource, cx) = (&subject.resource, &scene.cx);
        let slot = Slot::new(&scene.backup(), resource.name());
        let artifact = resource.capture(&slot, cx).unwrap();
        std::fs::write(root.join("early"), "before").unwrap();
        // Of a container's clock only seconds are told.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        resource.mark(Mark::DeployBegins, cx).unwrap();
        std::fs::create_dir(root.join("public")).unwrap();
        std::fs::write(root.join("public/app.js"), "compiled").unwrap();
        std::fs::remove_file(root.join("-rf")).unwrap();
        resource.mark(Mark::DeployEnded, cx).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2100));
        std::fs::write(root.join("public/avatar.png"), "upload").unwrap();
        let told = resource
            .outlook(&artifact, &slot, DataRestore::Auto, cx)
            .unwrap()
            .join("\n");
        assert!(
            told.contains("keeps 2 files")
                && told.contains("puts 1 file (8 bytes) aside that came while the deploy command ran"),
            "{told}"
        );
        let prepared = resource.prepare(&artifact, &slot, DataRestore::Auto, cx).unwrap();
        let displaced = resource.restore(&prepared, &artifact, &slot, cx).unwrap();
        assert!(
            root.join("early").exists() && root.join("public/avatar.png").exists(),
            "{form}"
        );
        assert!(
            root.join("-rf").exists() && !root.join("public/app.js").exists(),
            "{form}"
        );
        assert_eq!(resource.compare(&artifact, &slot, cx).unwrap(), Live::Matches, "{form}");
        let all = ["**".to_owned()];
        let told = resource
            .salvage_files(&displaced, &all, "guard salvage X --files '**'", cx)
            .unwrap();
        assert!(told.join("\n").contains("gave back 1 file"), "{told:?}");
        assert!(root.join("public/app.js").exists(), "{form}");
        resource.undo(&displaced, cx).unwrap();
        assert!(root.join("early").exists() && !root.join("-rf").exists(), "{form}");
    }
}
