//! An unprivileged owner of a volume who races guard through rollbacks, undos and removals: nothing outside of the volume is
//! read, moved, changed or removed.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use guard::model::event::Voice;
use guard::model::name::{RunId, RunKind, Timestamp};
use guard::model::policy::DataRestore;
use guard::model::section::Section;
use guard::model::setting::{Item, Source, Value};
use guard::resources::{Resource, Site, Slot, kind};
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::environment::Environment;

use crate::figures::{is_full, reached, wanted};

/// Who owns the volumes, and races.
const OWNER: u32 = 33;
/// Rounds before a volume is made anew: what the owner did to one may keep every later round from beginning.
const ROUNDS: u64 = 20;

/// What the owner does, over and over, as fast as he can: a directory of the volume becomes a link to root's place and a
/// directory again; whatever appears with guard's form of a name, in the volume or beside it, is renamed and a link or a
/// directory of his own is put there; root's place is linked to by every name; and in a namespace of his own he mounts over
/// what he sees.
const RACER: &str = r#"
import os, random, sys
data, victim = sys.argv[1], sys.argv[2]
parent = os.path.dirname(data)
rand = random.Random(int(sys.argv[3]))
def attempt(act, *args):
    try: return act(*args)
    except OSError: return None
def flip(path):
    aside = path + ".x"
    attempt(os.rename, path, aside)
    attempt(os.symlink, victim, path)
    attempt(os.unlink, path)
    attempt(os.rename, aside, path)
def plant(place):
    for name in attempt(os.listdir, place) or []:
        if not name.startswith(".guard-"): continue
        path = os.path.join(place, name)
        attempt(os.rename, path, os.path.join(place, "stolen-%d" % rand.randrange(1 << 30)))
        if rand.random() < .5: attempt(os.symlink, victim, path)
        else:
            attempt(os.mkdir, path)
            attempt(os.symlink, victim, os.path.join(path, "entries"))
while True:
    act = rand.randrange(6)
    if act == 0: flip(os.path.join(data, "sub"))
    elif act == 1: flip(os.path.join(data, "sub/deep"))
    elif act == 2: plant(data)
    elif act == 3: plant(parent)
    elif act == 4:
        name = os.path.join(data, "link-%d" % rand.randrange(4))
        attempt(os.unlink, name)
        attempt(os.symlink, rand.choice([victim, victim + "/secret"]), name)
    else:
        name = os.path.join(data, "file-%d" % rand.randrange(4))
        attempt(os.unlink, name)
        attempt(os.link, victim + "/secret", name)
"#;

struct Ground {
    root: tempfile::TempDir,
    cx: Context,
    resource: Box<dyn Resource>,
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

struct Racer(Child);

fn build(directory: &Path, form: &str) -> Box<dyn Resource> {
    let source = Source::default();
    let mut problems = Vec::new();
    let item = |value: Value| Item { value, at: 0..0 };
    let keys = [("path", "place/data"), ("form", form)];
    let table: BTreeMap<_, _> = keys
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (0..0, item(Value::Text((*value).to_owned())))))
        .collect();
    let site = Site {
        directory: directory.to_owned(),
        compose: None,
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    let mut section = Section::new("resources.subject", &source, item(Value::Table(table)), &mut problems);
    (kind("volume").unwrap().build)("subject".parse().unwrap(), &mut section, &site).unwrap()
}

impl Ground {
    /// A volume of the owner's in a directory of the owner's, and a place of root's that nobody else may enter. `near`: guard's
    /// state lies on the file system of the volume; else guard works beside the volume, where the owner may rename.
    fn new(serial: u64, near: bool) -> Self {
        let root = tempfile::Builder::new().prefix("guard-owner-").tempdir().unwrap();
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let at = |name: &str| root.path().join(name);
        for name in [
            "place",
            "place/data",
            "place/data/sub",
            "place/data/sub/deep",
            "backup",
            "victim",
            "victim/etc",
        ] {
            std::fs::create_dir(at(name)).unwrap();
        }
        for (name, content) in [
            ("place/data/a", "one"),
            ("place/data/sub/b", "two"),
            ("place/data/sub/deep/c", "three"),
            ("victim/secret", "roots"),
            ("victim/etc/f", "roots too"),
        ] {
            std::fs::write(at(name), content).unwrap();
        }
        for name in [
            "place",
            "place/data",
            "place/data/a",
            "place/data/sub",
            "place/data/sub/b",
            "place/data/sub/deep",
        ] {
            chown(at(name), Some(OWNER), Some(OWNER)).unwrap();
        }
        std::fs::set_permissions(at("victim"), PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::set_permissions(at("victim/secret"), PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::create_dir(at("state")).unwrap();
        if !near {
            let call = Command::new("mount")
                .args(["-t", "tmpfs", "none"])
                .arg(at("state"))
                .status();
            assert!(call.unwrap().success());
        }
        let scratch = at("state/runs/run");
        std::fs::create_dir_all(&scratch).unwrap();
        let clock = MachineClock::start();
        let timestamp = Timestamp::at(clock.now(), u32::try_from(serial % 90_000).unwrap() + 2);
        let environment = Environment::of_this_process();
        let mut cx = Context::new(&at("place"), environment, clock, Voice::silent());
        cx.run = Some(RunId::new(&timestamp, RunKind::Deploy));
        cx.scratch = scratch;
        cx.directory = at("backup");
        let form = if serial.is_multiple_of(2) { "archive" } else { "chunks" };
        let resource = build(root.path(), form);
        Self { root, cx, resource }
    }

    fn race(&self, seed: u64) -> Racer {
        let child = Command::new("setpriv")
            .args([
                "--reuid",
                "33",
                "--regid",
                "33",
                "--clear-groups",
                // The package's: one of root's own may lie where nobody else may go.
                "/usr/bin/python3",
                "-c",
                RACER,
            ])
            .arg(self.root.path().join("place/data"))
            .arg(self.root.path().join("victim"))
            .arg(seed.to_string())
            .spawn();
        Racer(child.expect("setpriv and python3"))
    }

    /// Everything of root's place: names, owners, modes, contents.
    fn victim(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let mut left = vec![self.root.path().join("victim")];
        while let Some(path) = left.pop() {
            let found = std::fs::symlink_metadata(&path).unwrap();
            let content = if found.is_dir() {
                left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                String::new()
            } else {
                std::fs::read_to_string(&path).unwrap()
            };
            seen.push(format!(
                "{} {:o} {} {} {content}",
                path.display(),
                found.mode(),
                found.uid(),
                found.nlink()
            ));
        }
        seen.sort();
        seen
    }

    /// A way back, sometimes undone, and what is aside removed; each act may fail, and then says why.
    fn round(&self, copy: &(Slot, guard::model::artifact::Artifact), serial: u64) -> Vec<String> {
        let (resource, cx, mut told) = (&self.resource, &self.cx, Vec::new());
        let changed = self.root.path().join("place/data/changed");
        let _raced = std::fs::write(changed, serial.to_string());
        let mut step = |error: guard::resources::ResourceError| told.push(error.to_string());
        let Ok(prepared) = resource
            .prepare(&copy.1, &copy.0, DataRestore::Always, cx)
            .map_err(&mut step)
        else {
            return told;
        };
        let restored = resource.restore(&prepared, &copy.1, &copy.0, cx).map_err(&mut step);
        let Ok(mut displaced) = restored else {
            let _left = resource.discard(&prepared, cx).map_err(&mut step);
            return told;
        };
        if serial.is_multiple_of(3)
            && let Ok(undone) = resource.undo(&displaced, cx).map_err(&mut step)
        {
            displaced = undone;
        }
        let _left = resource.forget(&displaced, cx).map_err(&mut step);
        told
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let state: PathBuf = self.root.path().join("state");
        let _gone = Command::new("umount").arg("--quiet").arg(state).status();
    }
}

#[test]
fn r19_an_owner_who_races_guard_reaches_nothing_outside_of_the_volume() {
    let rounds = wanted("GUARD_FAULTS_RACES", if is_full() { 1_200 } else { 60 });
    let (mut done, mut told) = (0, 0);
    while done < rounds {
        let ground = Ground::new(done / ROUNDS, (done / ROUNDS).is_multiple_of(2));
        let slot = Slot::new(&ground.root.path().join("backup"), ground.resource.name());
        let artifact = ground.resource.capture(&slot, &ground.cx).expect("nobody races yet");
        let before = ground.victim();
        let mut racer = ground.race(done);
        let copy = (slot, artifact);
        for _ in 0..ROUNDS.min(rounds - done) {
            let errors = ground.round(&copy, done);
            assert_eq!(ground.victim(), before, "round {done}: {errors:?}");
            told += u64::from(!errors.is_empty());
            done += 1;
        }
        assert!(racer.0.try_wait().unwrap().is_none(), "nobody has raced");
    }
    reached(
        "R19",
        "nothing outside touched in 1,000 races, each told",
        &format!("{done} races, nothing outside touched, {told} of them stopped and told"),
        "scripts/faults --full owners",
    );
}
