//! Entries that nobody may move, not even root.

use guard::model::artifact::{Live, Work};
use guard::model::policy::DataRestore;
use guard::resources::Slot;

use super::super::built::{build, text};
use super::features;
use super::tree::{observe, run};
use crate::support::Scene;

#[test]
fn immutable_and_append_only_entries_come_back_as_that() {
    for form in ["archive", "chunks"] {
        let scene = Scene::new();
        let root = scene.project().join("objects");
        let sh = |words: &str| {
            run(
                "sh",
                &["-c", &format!("cd \"$1\" && {words}"), "sh", root.to_str().unwrap()],
            )
        };
        std::fs::create_dir(&root).unwrap();
        // Whatever comes of the test, its directory can be removed.
        let _unlocked = Unlocked(root.clone());
        sh(
            "mkdir -p deep/sub locked plain; for f in fixed log deep/sub/fixed deep/log locked/a plain/a; do echo $f > $f; done; \
            ln plain/a plain/b; chattr +i fixed deep/sub/fixed; chattr +a log deep/log; chattr +i locked",
        );
        let resource = build(
            "volume",
            &scene.project(),
            None,
            &[("path", text("objects")), ("form", text(form))],
        );
        let slot = Slot::new(&scene.backup(), resource.name());
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        let state = || (observe(&root), features(&root));
        let before = state();
        for spoil in [
            "chattr -i fixed",
            "chattr +i plain/a",
            "echo more >> log",
            "chattr -R -i -a .; rm -r deep locked fixed log",
            "chattr -i locked; rm locked/a; echo b > locked/b; chattr +i locked",
            "chattr -R -i deep; rm -r deep; echo x > deep; chattr +i deep",
            "chattr +a plain .",
        ] {
            sh(spoil);
            let failed = state();
            let prepared = resource
                .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
                .unwrap();
            assert!(prepared.work.is_needed(), "{form}: {spoil}: not noticed");
            let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
            assert_eq!(state(), before, "{form}: {spoil}");
            assert_eq!(resource.compare(&artifact, &slot, &scene.cx).unwrap(), Live::Matches);
            let undone = resource.undo(&displaced, &scene.cx).unwrap();
            assert_eq!(state(), failed, "{form}: {spoil}: an undo too");
            let again = resource.undo(&undone, &scene.cx).unwrap();
            assert_eq!(state(), before, "{form}: {spoil}: and its undo");
            resource.forget(&again, &scene.cx).unwrap();
            let idle = resource
                .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
                .unwrap();
            assert_eq!(idle.work, Work::Unchanged, "{form}: {spoil}");
        }
    }
}

struct Unlocked(std::path::PathBuf);

impl Drop for Unlocked {
    fn drop(&mut self) {
        let around = self.0.parent().unwrap().parent().unwrap();
        let _done = std::process::Command::new("chattr")
            .args(["-R", "-f", "-i", "-a"])
            .arg(around)
            .status();
    }
}
