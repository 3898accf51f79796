//! The real guard while a standby of a Postgres database loads beside the deployment: killed in each phase, turned back early,
//! and ended well. Half a load is never believed, and none stays.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::figures::reached;
use crate::support::cluster::Cluster;
use crate::support::embedded::{Embedded, signal, until};

/// 15 MB of rows, and an index: at 1 MB a second they load for long enough.
const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, x text);
    INSERT INTO t SELECT i, md5(i::text) || repeat(md5((i * 7)::text), 30) FROM generate_series(1, 15000) i;
    CREATE INDEX ON t (length(x));";
/// The backup is proven by reading alone, so that nothing is loaded before the deploy command.
const SETTINGS: &str = "proof = \"read\"\nstandby = \"always\"\n";
const WATCH: &str = "[verify]\ncommands = [[\"./verify.sh\"]]\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\n\
    consecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n";
/// Fails once `../bad` is there, and ends well once `../good` is.
const VERIFY: &str = "#!/bin/sh\ntest \"$GUARD_STAGE\" = prove && exit 0\n: > ../verifies\n\
    while ! test -e ../good; do test -e ../bad && exit 1; sleep 0.02; done\n";

/// Waits for what takes a busy machine longer than any program of its own.
fn patiently(mut came: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if came() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it did not come");
}

struct Scene {
    cluster: Cluster,
    project: Embedded,
    old: String,
}

impl Scene {
    /// With the load held to so many MB a second.
    fn new(rate: u32) -> Self {
        let cluster = Cluster::start();
        cluster.create("shop", ROWS);
        let url = cluster.url("shop");
        let project = Embedded::with(&format!(
            "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n{SETTINGS}standby_rate = {rate}\n{WATCH}"
        ));
        project.write("verify.sh", VERIFY);
        project.sh("chmod +x verify.sh");
        let old = cluster.observe("shop");
        Self { cluster, project, old }
    }

    /// A release that changes the schema; with these flags.
    fn deploy(&self, flags: &[&str]) -> Child {
        let url = self.cluster.url("shop");
        let release = format!("psql -qX '{url}' -c 'ALTER TABLE t ADD COLUMN y int'");
        let words = [&["deploy"], flags, &["--", "./deploy.sh", &release]].concat();
        let mut guard = self.project.guard().command(&words);
        guard.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn says(&self, name: &str) {
        std::fs::write(self.project.root().join(name), "").unwrap();
    }

    fn databases(&self) -> Vec<String> {
        self.cluster.databases()
    }

    /// Waits until the rows of a standby flow and the release is asked.
    fn until_loading(&self) {
        let flow = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'shop__guard_%' AND query LIKE 'COPY%'";
        until(|| self.cluster.sql("postgres", flow) == "1");
        until(|| self.project.root().join("verifies").exists());
    }

    fn journal(&self) -> String {
        std::fs::read_to_string(self.project.newest_run().join("journal.jsonl")).unwrap()
    }

    fn must_be_old(&self, story: &str) {
        assert_eq!(self.cluster.observe("shop"), self.old, "{story}");
        let left: Vec<String> = self
            .databases()
            .into_iter()
            .filter(|name| name.starts_with("shop__guard_"))
            .collect();
        assert!(left.is_empty(), "{story}: {left:?}");
    }
}

#[test]
fn fault_a5_half_a_standby_is_never_believed_whoever_was_killed_while_it_loaded() {
    // Killed while it loads; a person goes on, and it loads anew; killed again; then the release is found bad.
    let scene = Scene::new(1);
    let mut guard = scene.deploy(&["--no-watcher"]);
    scene.until_loading();
    let journal = scene.journal();
    let at = |what: &str| {
        journal
            .find(what)
            .unwrap_or_else(|| panic!("{what} is not in {journal}"))
    };
    let loading = "{\"standby\":{\"resource\":\"db\",\"state\":\"loading\"}";
    assert!(at("{\"begun\":{\"step\":\"deploy\"}") < at(loading), "{journal}");
    let status = scene.project.guard().run(&["status"]).expect(0).stdout.clone();
    assert!(status.contains("standby      db: is loaded, since"), "{status}");
    signal(&guard, Signal::KILL);
    guard.wait().unwrap();
    std::fs::remove_file(scene.project.root().join("verifies")).unwrap();
    let mut resumed = scene.project.guard().command(&["resume", "--no-watcher"]);
    let mut resumed = resumed.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    scene.until_loading();
    assert_eq!(scene.journal().matches(loading).count(), 2, "it was begun anew");
    let side = scene
        .databases()
        .into_iter()
        .filter(|name| name.starts_with("shop__guard_"));
    assert_eq!(side.count(), 1);
    signal(&resumed, Signal::KILL);
    resumed.wait().unwrap();
    scene.says("bad");
    let ran = scene.project.guard().run(&["resume"]);
    assert_eq!(ran.code, Some(21), "{}", ran.everything());
    scene.must_be_old("killed twice while it loaded");
    // Killed, and the run is ended by a person as things are.
    let scene = Scene::new(1);
    let mut guard = scene.deploy(&["--no-watcher"]);
    scene.until_loading();
    signal(&guard, Signal::KILL);
    guard.wait().unwrap();
    scene.project.guard().run(&["abort", "--yes"]).expect(35);
    assert_eq!(scene.databases(), ["shop"], "nothing stays behind an abort");
    reached(
        "A5",
        "half a standby believed: never",
        "killed twice, and aborted",
        "fixed stories",
    );
}

#[test]
fn fault_a5_a_watcher_takes_over_a_guard_whose_standby_loads() {
    let scene = Scene::new(1);
    let mut guard = scene.deploy(&[]);
    scene.until_loading();
    scene.says("bad");
    signal(&guard, Signal::KILL);
    guard.wait().unwrap();
    patiently(|| scene.journal().contains("\"closed\""));
    patiently(|| !scene.databases().iter().any(|name| name.starts_with("shop__guard_")));
    scene.must_be_old("its watcher took over");
}

#[test]
fn a_standby_that_loads_is_hurried_by_the_way_back_and_called_off_by_a_good_end() {
    let scene = Scene::new(1);
    let guard = scene.deploy(&[]);
    scene.until_loading();
    scene.says("bad");
    let said = String::from_utf8_lossy(&guard.wait_with_output().unwrap().stderr).into_owned();
    let journal = scene.journal();
    let ready = "\"state\":{\"ready\"";
    assert!(journal.contains(ready), "the way back goes on with it: {said}");
    assert!(journal.find("\"turned\"") < journal.find(ready), "{journal}");
    assert!(said.contains("a copy stands by as database shop__guard_"), "{said}");
    scene.must_be_old(&said);
    // A release that is kept before it is ready.
    let scene = Scene::new(1);
    let guard = scene.deploy(&[]);
    scene.until_loading();
    scene.says("good");
    let output = guard.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(scene.journal().contains("it was not needed any more"));
    assert_eq!(scene.databases(), ["shop"]);
    // A release that is kept behind one that was ready.
    let scene = Scene::new(0);
    let mut guard = scene.deploy(&[]);
    scene.project.until_journal_says(ready, &mut guard);
    assert_eq!(scene.databases().len(), 2);
    scene.says("good");
    assert_eq!(guard.wait().unwrap().code(), Some(0));
    assert_eq!(scene.databases(), ["shop"]);
}
