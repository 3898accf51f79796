//! The user's own rules in whole runs.

use crate::support::embedded::{Embedded, until};

/// A project whose usual rule waits longer than the window, so that only its own rules decide.
fn with(rules: &str) -> Embedded {
    let settings = Embedded::new()
        .sh("cat guard.toml")
        .replace("persist = \"50ms\"", "persist = \"10s\"\nerror_threshold = 1.0")
        .replace("duration = \"400ms\"", "duration = \"4s\"");
    Embedded::with(&format!("{settings}\n{rules}"))
}

/// Sick a moment after the watch began.
const LATER: &str = "(until grep -q 'step\":\"watch' ../state/runs/*/journal.jsonl; do sleep 0.02; done; sleep 0.2; \
                     echo 'mode=bad version=2' > conf/app.conf) &";

#[test]
fn a_rule_rolls_back_and_says_why() {
    let project = with("[[rules]]\nname = \"twice\"\nwhen = \"streak('app') >= 2\"\nthen = \"rollback\"\n");
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", LATER])
        .expect(22);
    ran.says("twice: streak('app') >= 2: roll back (streak('app') = 2)");
    assert_eq!(project.everything(), before);
    let traces = project.sh("cat ../state/runs/*/rules.jsonl");
    assert!(
        traces.contains("\"holds\":false") && traces.contains("\"fired\":true"),
        "{traces}"
    );
}

#[test]
fn a_rule_holds_alerts_keeps_logs_and_runs_a_command() {
    let project = with(
        "[[rules]]\nwhen = \"streak('app') >= 1\"\nthen = [\"sh\", \"-c\", \"echo $GUARD_RUN_ID > ../paged\"]\n\
         [[rules]]\nwhen = \"streak('app') >= 1\"\nthen = \"alert\"\n\
         [[rules]]\nwhen = \"streak('app') >= 1\"\nthen = \"preserve-logs\"\n\
         [[rules]]\nname = \"wait\"\nwhen = \"streak('app') >= 3\"\nthen = \"hold\"\n",
    );
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", LATER])
        .expect(31);
    ran.says("wait: streak('app') >= 3: hold for a person")
        .says("rule-2: streak('app') >= 1: alert");
    assert_eq!(
        project.sh("cat conf/app.conf"),
        "mode=bad version=2\n",
        "nobody rolled it back"
    );
    until(|| project.root().join("paged").exists());
    until(|| {
        !project
            .shell("ls ../state/runs/*/evidence-rule-3-*/disk.txt")
            .stdout
            .is_empty()
    });
}

#[test]
fn a_wrong_rule_is_found_before_anything_is_deployed() {
    let project = with("[[rules]]\nwhen = \"failures('appp', 5m) >= 3\"\nthen = \"rolback\"\n");
    for words in [&["check"][..], &["deploy", "--", "./deploy.sh", "all"]] {
        let ran = project.guard().run(words).expect(2);
        let line = project.sh("grep -n appp guard.toml | cut -d: -f1");
        let place = format!(
            "guard.toml:{}:18: `rules.rule-1.when`: there is no probe \"appp\"",
            line.trim()
        );
        ran.says(&place)
            .says("did you mean `app`?")
            .says("did you mean `rollback`?");
    }
    assert!(project.deployments().is_empty());
}
