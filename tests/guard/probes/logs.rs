//! `log`: what stands in files and containers' logs since the mark, whatever becomes of the file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use guard::model::health::{Answer, Class, Outcome};
use guard::probes::{Expectation, Probe, Site};
use serde_json::json;

use super::http::{failed, well};
use super::project::{IMAGE, Project, until};
use super::{build, build_for, read};
use crate::support::Scene;

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn look(probe: &dyn Probe, scene: &Scene) -> Answer {
    read(probe, &Expectation::default(), &scene.cx)
}

#[test]
fn only_what_comes_after_the_mark_counts_and_a_rotation_loses_nothing() {
    let scene = Scene::new();
    let path = scene.project().join("app.log");
    append(&path, &"ERROR old\n".repeat(50));
    let settings = json!({"path": "app.log", "max_per_minute": 2, "ignore": "no ERROR at all"});
    let probe = build("log", &settings).unwrap();
    let probe = probe.as_ref();
    assert_eq!(look(probe, &scene), well("0 errors in 0 lines within 60 s"));
    append(&path, "fine\nERROR one\nno ERROR at all\nERR");
    assert_eq!(
        look(probe, &scene),
        well("1 errors in 3 lines within 60 s"),
        "half a line is none"
    );
    append(&path, "OR two\n");
    // Renamed away, written to once more by a writer that has it open, and made anew.
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    append(&path.with_extension("1"), "fine\n");
    assert_eq!(
        look(probe, &scene),
        well("2 errors in 5 lines within 60 s"),
        "nothing is there for a moment"
    );
    append(&path, "ERROR three CANARY-log-5512\n");
    scene.cx.redaction.learn("CANARY-log-5512");
    let answer = look(probe, &scene);
    assert_eq!(
        answer,
        failed(Class::Log, "3 errors in 6 lines within 60 s: ERROR three [REDACTED]")
    );
    // Truncated in place, as `copytruncate` does.
    std::fs::write(&path, "fine\n").unwrap();
    assert_eq!(
        look(probe, &scene).note,
        "3 errors in 7 lines within 60 s: ERROR three [REDACTED]"
    );
}

#[test]
fn a_share_needs_lines_and_a_log_that_is_not_there_is_no_evidence() {
    let scene = Scene::new();
    let path = scene.project().join("app.log");
    let probe = build(
        "log",
        &json!({"path": "app.log", "max_share": 0.1, "pattern": "^5\\d\\d "}),
    )
    .unwrap();
    assert_eq!(look(probe.as_ref(), &scene).outcome, Outcome::Unknown);
    append(&path, "500 a\n500 b\n");
    assert_eq!(
        look(probe.as_ref(), &scene).outcome,
        Outcome::Ok,
        "two lines are no share"
    );
    append(&path, &"200 fine\n".repeat(17));
    assert_eq!(look(probe.as_ref(), &scene).outcome, Outcome::Ok);
    append(&path, "200 fine\n");
    assert_eq!(
        look(probe.as_ref(), &scene).outcome,
        Outcome::Ok,
        "2 of 20 is not over 10 %"
    );
    append(&path, "503 c\n");
    assert_eq!(look(probe.as_ref(), &scene).class, Some(Class::Log));
    std::fs::create_dir(scene.project().join("dir")).unwrap();
    let probe = build("log", &json!({"path": "dir"})).unwrap();
    assert_eq!(look(probe.as_ref(), &scene).outcome, Outcome::Unknown);
    for settings in [
        json!({}),
        json!({"path": "a", "services": ["b"]}),
        json!({"path": "a", "pattern": "("}),
        json!({"path": "a", "max_share": 1}),
        json!({"services": ["app"]}),
    ] {
        assert!(build_for("log", &settings, &Site::default()).is_err(), "{settings}");
    }
}

#[test]
fn containers_are_read_from_the_mark_on_the_new_ones_from_their_beginning() {
    let scene = Scene::new();
    let mut project = Project::new(&scene, "logs");
    let old = project.run(
        "app",
        &[IMAGE, "sh", "-c", "echo ERROR old; while sleep 0.1; do echo fine; done"],
    );
    // Its first words are from before the mark.
    let begun = std::time::Instant::now();
    while !super::project::docker(&["logs", &old]).contains("fine") {
        assert!(
            begun.elapsed() < std::time::Duration::from_mins(1),
            "the container says nothing"
        );
    }
    let settings = json!({"services": ["app"], "max_per_minute": 2, "timeout": "30s"});
    let probe = build_for("log", &settings, &project.site()).unwrap();
    let answer = until(probe.as_ref(), &scene, |answer| !answer.note.contains(" 0 lines"));
    assert!(answer.note.starts_with("0 errors"), "{answer:?}");
    super::project::docker(&["rm", "--force", &old]);
    project.run(
        "app",
        &[
            IMAGE,
            "sh",
            "-c",
            "for i in 1 2 3; do echo ERROR $i >&2; done; exec sleep 600",
        ],
    );
    let answer = until(probe.as_ref(), &scene, |answer| answer.outcome == Outcome::Failed);
    assert!(
        answer.note.starts_with("3 errors") && answer.note.ends_with("ERROR 3"),
        "{answer:?}"
    );
    let again = look(probe.as_ref(), &scene);
    assert!(again.note.starts_with("3 errors"), "no line counts twice: {again:?}");
}
