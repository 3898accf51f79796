//! Entries that nobody may move, not even root.

use guard::model::artifact::Work;
use guard::model::policy::DataRestore;

use super::tree::{observe, run};
use super::{copied, features, there_and_back};
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
        let (resource, slot, artifact) = copied(&scene, form);
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
            let story = format!("{form}: {spoil}");
            let again = there_and_back((&*resource, &slot, &artifact), &scene, state, &before, &story);
            resource.forget(&again, &scene.cx).unwrap();
            let idle = resource
                .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
                .unwrap();
            assert_eq!(idle.work, Work::Unchanged, "{story}");
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
