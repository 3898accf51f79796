//! What guard learns from earlier runs.

use crate::support::embedded::Embedded;

#[test]
fn the_deadline_for_a_start_is_learned_unless_somebody_sets_it() {
    let project = Embedded::but("gate = \"300ms\"\n", "");
    // As one line: where the table breaks a sentence is not of interest here.
    let said = |project: &Embedded| {
        let ran = project.guard().run(&["check"]).expect(0);
        ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(
        said(&project).contains("dead on arrival after 60 s"),
        "{}",
        said(&project)
    );
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    // A start that took no time may take 30 s all the same.
    assert!(
        said(&project).contains("dead on arrival after 30 s"),
        "{}",
        said(&project)
    );
    project.sh("sed -i 's/^duration/gate = \"45s\"\\nduration/' guard.toml");
    assert!(
        said(&project).contains("dead on arrival after 45 s"),
        "{}",
        said(&project)
    );
}

#[test]
fn the_pace_is_taken_while_the_backup_is_and_not_a_moment_longer() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let run = project.newest_run();
    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(run.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // The deploy script's first act leaves a file outside of the project.
    let begun = std::fs::metadata(project.root().join("deploys.log"))
        .unwrap()
        .modified()
        .unwrap();
    let pace = lines("pace.jsonl");
    assert!(!pace.is_empty());
    for reading in &pace {
        let at = chrono::DateTime::parse_from_rfc3339(reading["at"].as_str().unwrap()).unwrap();
        assert!(std::time::SystemTime::from(at) <= begun, "{reading}");
    }
}
