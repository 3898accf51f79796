//! What guard learns from earlier runs.

use crate::support::embedded::Embedded;

#[test]
fn the_deadline_for_a_start_is_learned_unless_somebody_sets_it() {
    let project = Embedded::but("gate = \"300ms\"\n", "");
    let said = |project: &Embedded| project.guard().run(&["check"]).expect(0).stdout;
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
