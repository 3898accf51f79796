//! A server whose container does not run: the command that is told starts it, whatever its project is called.

use std::process::Command;

use crate::support::Scene;
use crate::support::project::{BASE, Project};

#[test]
fn the_command_that_is_told_starts_the_container() {
    let scene = Scene::new();
    let text = format!(
        "services:\n  store: {{image: '{BASE}', pull_policy: never, init: true, network_mode: none, command: [sleep, '600']}}\n"
    );
    let project = Project::new(&scene.project(), &text);
    let service = ("service", "store");
    let kinds = [
        project.resource_of("postgres", "db", &[service, ("database", "shop")]),
        project.resource_of("mariadb", "db", &[service, ("database", "shop")]),
        project.resource_of("redis", "cache", &[service]),
    ];
    for resource in kinds {
        for spoil in [&["down"][..], &["stop"], &["pause"]] {
            if spoil != ["down"] {
                project.up();
            }
            project.compose(spoil);
            let found = resource.survey(&scene.cx).obstacles;
            let first = found.first().expect("it does not run");
            let story = format!("{spoil:?}: {first:?}");
            assert!(
                first.what.contains("no container of the service \"store\" is running"),
                "{story}"
            );
            let command = first.advice.split('`').nth(1).expect(&story);
            let mut typed = Command::new("sh");
            let done = typed
                .args(["-c", command])
                .current_dir(scene.project())
                .output()
                .unwrap();
            assert!(done.status.success(), "{story}: {done:?}");
            assert_eq!(project.states(), ["store running"], "{story}");
        }
    }
}
