//! How much git is asked: each question is a process, and what a checkout is like follows from few of them.

use crate::support::embedded::Embedded;

/// How many processes of git `guard check` has started, and what it says of the code.
fn checked(project: &Embedded) -> (usize, String) {
    let trace = project.root().join("trace");
    let guard = project.guard().env("GIT_TRACE2_EVENT", trace.to_str().unwrap());
    let said = guard.run(&["check"]).expect(0).everything();
    let events = std::fs::read_to_string(&trace).unwrap();
    std::fs::remove_file(&trace).unwrap();
    let begun = events
        .lines()
        .filter(|line| line.contains("\"event\":\"start\""))
        .count();
    let code = said.lines().find(|line| line.contains(" code ")).unwrap_or_default();
    (begun, code.to_owned())
}

#[test]
fn a_clean_checkout_is_asked_little_and_a_change_is_seen_all_the_same() {
    let project = Embedded::new();
    let (clean, said) = checked(&project);
    assert!(clean <= 5 && said.contains("main at"), "{clean}: {said}");
    for (change, count) in [
        ("echo more >> code.txt", 1),
        ("chmod +x code.txt", 1),
        ("echo new > untracked.txt", 2),
        ("git add untracked.txt", 2),
        ("touch meant && git add --intent-to-add meant", 3),
        ("git rm --quiet --cached guard.toml", 5),
    ] {
        project.sh(change);
        let (asked, said) = checked(&project);
        let expected = if count == 1 {
            "1 local change".to_owned()
        } else {
            format!("{count} local changes")
        };
        assert!(said.contains("main at") && asked > clean, "{change}: {said}");
        let all = project.guard().run(&["check"]).expect(0).everything();
        assert!(all.contains(&expected), "{change}: {expected} is missing in\n{all}");
    }
}

/// Attributes of a repository's own lead to the filters that it names: they are switched off, and what they would say is not said.
#[test]
fn a_filter_of_the_repository_is_not_run() {
    let project = Embedded::new();
    project.sh("mkdir -p .git/info && echo 'code.txt filter=spy' > .git/info/attributes
        git config filter.spy.clean 'touch ../was-run; cat' && git config filter.spy.smudge 'touch ../was-run; cat'
        git config filter.spy.required true && touch code.txt");
    let (_, said) = checked(&project);
    project.guard().run(&["backup"]).expect(0);
    assert!(!project.root().join("was-run").exists(), "{said}");
}
