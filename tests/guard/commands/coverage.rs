//! What services write and no resource copies is named by `guard check`, and nothing else is.

use std::process::Command;

use crate::support::Scene;
use crate::support::compose::Project;
use crate::support::program::Program;
use crate::support::project::BASE;

const FILE: &str = "    pull_policy: never
    init: true
    network_mode: none
    stop_grace_period: 1s
    command: [sh, -c, 'echo 1 > /nameless/file; sleep 600']
    volumes: [kept:/kept, cache:/cache, ./uploads:/uploads, ./drafts:/drafts, ./code:/code, /nameless, /hollow, 'read:/read:ro']
volumes: {kept: {}, cache: {}, read: {}}
";

const RESOURCES: &str = "[resources.kept]
kind = \"volume\"
volume = \"kept\"

[resources.uploads]
kind = \"volume\"
path = \"uploads\"

[resources.code]
kind = \"git\"

[probes.app]
kind = \"container\"
";

#[test]
fn what_no_resource_copies_is_named_until_somebody_says_that_nobody_would_miss_it() {
    let scene = Scene::new();
    let directory = scene.project();
    for name in ["uploads", "drafts", "code"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
        std::fs::write(directory.join(name).join("file"), "1").unwrap();
    }
    std::fs::write(directory.join(".gitignore"), "uploads\ndrafts\n").unwrap();
    let project = Project::up(&scene, &format!("services:\n  app:\n    image: {BASE}\n{FILE}"));
    let git = "git init -q && git add -A && git -c user.name=a -c user.email=a@localhost commit -qm one";
    let made = Command::new("sh").args(["-c", git]).current_dir(&directory).status();
    assert!(made.unwrap().success());
    let guard = Program::new(&directory, &scene.root().join("state"));
    let name = &project.compose.project;
    let check = |disposable: &str| {
        let settings = format!("[compose]\nfiles = [\"compose.yml\"]\nproject = \"{name}\"\n{disposable}\n{RESOURCES}");
        std::fs::write(directory.join("guard.toml"), settings).unwrap();
        // Tables go on in the next line.
        let told = guard.run(&["check"]).expect(0).everything();
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let told = check("");
    for wanted in [
        "no backup holds the volume cache of app",
        "no backup holds the directory drafts, which app writes to",
        "app keeps files at /nameless in a volume without a name",
        "compose.disposable = [\"app:/nameless\"]",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    for unwanted in [
        "volume kept",
        "volume read",
        "directory uploads",
        "directory code",
        "/hollow",
    ] {
        assert!(
            !told.contains(&format!("no backup holds the {unwanted}")),
            "{unwanted}: {told}"
        );
    }
    assert!(!told.contains("/hollow"), "an empty one holds nothing: {told}");
    let told = check("disposable = [\"cache\", \"app:/drafts\", \"app:/nameless\"]");
    assert!(!told.contains("no backup holds"), "{told}");
    assert!(!told.contains("without a name"), "{told}");
}
