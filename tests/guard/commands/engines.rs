//! Engines that are elsewhere, that shift user ids, and that die at work: volumes are reached through them alone.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::support::embedded::until;
use crate::support::engine::{Engine, Entry};
use crate::support::program::Program;

/// A project of one volume of an engine.
struct Scene {
    root: tempfile::TempDir,
    engine: Engine,
    container: String,
    before: Vec<Entry>,
}

impl Scene {
    fn new(options: &[&str], entries: &[Entry]) -> Self {
        let engine = Engine::start(options);
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("project")).unwrap();
        let settings = "verify = \"none\"\n[resources.data]\nkind = \"volume\"\nvolume = \"shop_data\"\n\
                        [policy]\ndata_restore = \"always\"\n";
        std::fs::write(root.path().join("project/guard.toml"), settings).unwrap();
        let container = engine.volume("shop_data", entries);
        let before = engine.entries(&container);
        assert_eq!(before.len(), entries.len());
        Self {
            root,
            engine,
            container,
            before,
        }
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn guard(&self) -> Program {
        self.engine.guard(&self.root.path().join("project"), &self.state())
    }

    /// A deploy command that writes over an entry, puts another beside it, and fails.
    fn bad_release(&self) -> Vec<String> {
        let line = format!(
            "docker cp guard.toml {0}:/v/a; docker cp guard.toml {0}:/v/new; exit 7",
            self.container
        );
        ["deploy", "--", "sh", "-c", &line].map(str::to_owned).to_vec()
    }

    fn is_old(&self) {
        assert!(
            self.engine.entries(&self.container) == self.before,
            "the volume is not as it was"
        );
    }

    /// The name of the newest backup.
    fn backup(&self) -> String {
        let found = std::fs::read_dir(self.state().join("backups")).unwrap();
        let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).max().unwrap()
    }

    /// The helpers of guard that are still there.
    fn helpers(&self) -> String {
        let listed = self
            .engine
            .docker(&["ps", "--all", "--quiet", "--filter", "label=guard.run"], b"");
        String::from_utf8(listed).unwrap()
    }
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn some(name: &str, owner: u64) -> Entry {
    (name.to_owned(), owner, format!("content of {name}").into_bytes())
}

/// Stands before an engine, and writes down what it is asked for: `PUT /v1.41/containers/…`. Returns its address.
fn overheard(engine: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, engine) = (
        listener.local_addr().unwrap(),
        engine.trim_start_matches("tcp://").to_owned(),
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let ears = asked.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (Ok(server), ears) = (TcpStream::connect(&engine), ears.clone()) else {
                continue;
            };
            let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ended = std::io::copy(&mut answers, &mut back);
                let _closed = back.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let (mut client, mut server, mut bytes) = (client, server, vec![0; 65536]);
                while let Ok(count @ 1..) = client.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..count]);
                    let heads = text.lines().filter(|line| line.ends_with(" HTTP/1.1"));
                    ears.lock().unwrap().extend(heads.map(str::to_owned));
                    if server.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                let _closed = server.shutdown(Shutdown::Write);
            });
        }
    });
    (format!("tcp://{address}"), asked)
}

#[test]
fn fault_h16_h18_a_volume_of_an_engine_on_another_host_goes_back_through_it() {
    let scene = Scene::new(&[], &[some("a", 0), some("b", 33), some("c", 1000)]);
    let there = scene.engine.mountpoint("shop_data");
    assert!(!there.exists(), "{} is of this host", there.display());
    let checked = scene.guard().run(&["check", "-v"]).expect(0);
    assert!(
        checked.stdout.contains("reached through the engine"),
        "{}",
        checked.stdout
    );
    // Only the release's own command asks for archives: an upload may run a program of the container it goes to.
    let (address, asked) = overheard(&scene.engine.host());
    let ours = scene.bad_release()[4].replace("docker cp", &format!("docker --host {} cp", scene.engine.host()));
    let ran = scene
        .guard()
        .env("DOCKER_HOST", &address)
        .run(&["deploy", "--", "sh", "-c", &ours]);
    ran.expect(20);
    scene.is_old();
    let asked = asked.lock().unwrap().clone();
    let of_kind = |method: &str, part: &str| {
        let found = asked
            .iter()
            .filter(|line| line.starts_with(method) && line.contains(part));
        found.count()
    };
    assert!(of_kind("POST ", "/containers/create") > 2, "{asked:#?}");
    assert_eq!(of_kind("", "/archive"), 0, "{asked:#?}");
    // What was taken of one engine is of no use to another.
    let other = Program::new(&scene.root.path().join("project"), &scene.state()).env("GUARD_NO_WATCHER", "1");
    let refused = other.env("DOCKER_HOST", "tcp://127.0.0.1:9").run(&[
        "rollback",
        "--yes",
        "--backup-timestamp",
        &scene.backup(),
    ]);
    assert!([10, 40].contains(&refused.code.unwrap()), "{}", refused.everything());
    assert!(refused.stderr.contains("tcp://127.0.0.1:9"), "{}", refused.stderr);
    assert_eq!(scene.helpers(), "");
}

#[test]
fn fault_h19_owners_come_back_through_an_engine_that_shifts_user_ids() {
    let scene = Scene::new(
        &["--userns-remap=daemon:daemon"],
        &[some("a", 33), some("b", 0), some("c", 1000)],
    );
    let owners: Vec<u64> = scene.before.iter().map(|(_, owner, _)| *owner).collect();
    assert_eq!(owners, [100_033, 100_000, 101_000], "the engine shifts them");
    scene.guard().run(&words(&scene.bad_release())).expect(20);
    scene.is_old();
}

/// Waits until a journal says this of the newest run.
fn until_said(scene: &Scene, text: &str, child: &mut std::process::Child) {
    let says = || {
        let runs = std::fs::read_dir(scene.state().join("runs")).into_iter().flatten();
        let journals = runs.map(|run| run.unwrap().path().join("journal.jsonl"));
        journals
            .into_iter()
            .any(|journal| std::fs::read_to_string(journal).is_ok_and(|text_of| text_of.contains(text)))
    };
    until(|| says() || child.try_wait().unwrap().is_some());
    assert!(says(), "it ended before its journal said {text}");
}

#[test]
fn fault_h2_an_engine_that_dies_during_a_copy_leaves_no_backup() {
    // Nothing that compresses.
    let mut content = vec![0; 40_000_000];
    Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut content).unwrap();
    let mut scene = Scene::new(&[], &[some("a", 0), ("large".to_owned(), 0, content)]);
    let said = std::fs::File::create(scene.root.path().join("said")).unwrap();
    // Four seconds for the large file, however fast this machine is.
    scene.engine.slow_to(10_000_000);
    let mut guard = scene.guard().command(&["backup"]).stderr(said).spawn().unwrap();
    let copied = || {
        let found = walkdir::WalkDir::new(scene.state().join("backups"))
            .into_iter()
            .flatten();
        let sizes = found.filter_map(|entry| Some((entry.metadata().ok()?.is_file(), entry.metadata().ok()?.len())));
        sizes
            .filter(|(is_file, _)| *is_file)
            .map(|(_, length)| length)
            .sum::<u64>()
    };
    until(|| copied() > 4_000_000 || guard.try_wait().unwrap().is_some());
    assert!(guard.try_wait().unwrap().is_none(), "it was faster than the test");
    scene.engine.kill();
    let code = guard.wait().unwrap().code();
    let said = std::fs::read_to_string(scene.root.path().join("said")).unwrap();
    assert_eq!(code, Some(11), "{said}");
    assert!(
        said.contains("production is untouched") || said.contains("Production is untouched"),
        "{said}"
    );
    let listed = scene.guard().run(&["list"]).expect(0);
    assert!(
        !listed.stdout.contains("known good") && !listed.stdout.contains("unknown"),
        "{}",
        listed.stdout
    );
    scene.engine.up();
    scene.engine.slow_to(u64::MAX);
    scene.guard().run(&["backup"]).expect(0);
    scene.guard().run(&["verify", &scene.backup()]).expect(0);
    scene.is_old();
}

#[test]
fn fault_h3_an_engine_that_restarts_during_the_way_back_does_not_keep_it_from_its_end() {
    let mut scene = Scene::new(&[], &[some("a", 0), some("b", 33)]);
    for step in ["prepare/data", "restore/data"] {
        let mut guard = scene.guard().start(&words(&scene.bad_release()));
        until_said(&scene, &format!("{{\"begun\":{{\"step\":\"{step}\"}}}}"), &mut guard);
        scene.engine.kill();
        std::thread::sleep(std::time::Duration::from_millis(300));
        scene.engine.up();
        let mut code = guard.wait().unwrap().code().unwrap();
        if code == 30 {
            // It was away for longer than guard tries.
            let resumed = scene.guard().run(&["resume"]);
            code = resumed.code.unwrap();
            assert_eq!(code, 20, "{}", resumed.everything());
        }
        assert_eq!(code, 20, "cut off at {step}");
        scene.is_old();
        std::fs::rename(
            scene.state().join("runs"),
            scene.state().join(format!("runs-{}", &step[..7])),
        )
        .unwrap();
    }
}
