//! `guard report`, and the demo that ends with one.

use std::fs;

use crate::support::embedded::Embedded;
use crate::support::program::Program;

#[test]
fn a_good_and_a_bad_run_are_reported_in_every_form() {
    let project = Embedded::patient("");
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let good = project.newest_run();
    let page = fs::read_to_string(good.join("report.html")).unwrap();
    assert!(
        page.contains("The new release is live") && !good.join("incident.html").exists(),
        "{page}"
    );
    let line = "echo 'KeyError: STRIPE_KEY is missing' >&2; echo code 3 > code.txt; git -c user.name=t -c user.email=t@e.invalid commit -qam three; exit 3";
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", line])
        .expect(20)
        .says("incident.html");
    let bad = project.newest_run();
    assert!(bad.join("incident.html").exists() && !bad.join("report.html").exists());
    let named = bad.file_name().unwrap().to_string_lossy().into_owned();

    // The newest without a name; the line that says why, the commits, and the command that is typed next.
    let text = project.guard().run(&["report"]).expect(0).stdout;
    let commits = project.sh("git rev-parse HEAD HEAD");
    let before = commits.lines().next().unwrap();
    for wanted in [
        "> KeyError: STRIPE_KEY is missing",
        before,
        "(changed)",
        "## Post-mortem",
        &named,
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    // A file is written in the form of its name, another form where it is asked for.
    project
        .guard()
        .run(&["report", &named, "--into", "../of-the-bad.html"])
        .expect(0);
    let page = fs::read_to_string(project.root().join("of-the-bad.html")).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("<mark>KeyError: STRIPE_KEY is missing</mark>"),
        "{page}"
    );
    let json = project
        .guard()
        .run(&["report", "latest", "--format", "json"])
        .expect(0)
        .stdout;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["result"]["exit_code"], 20);
    let older = good.file_name().unwrap().to_string_lossy().into_owned();
    let ran = project.guard().run(&["--output", "json", "report", &older]).expect(0);
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["result"]["standing"], "good", "{last}");
    project
        .guard()
        .run(&["report", "20200101_000000-deploy"])
        .expect(2)
        .says("guard history");
}

#[test]
fn the_demo_keeps_its_promises_and_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let temporary = root.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let guard = Program::new(root.path(), &root.path().join("state"));
    // Neither programs nor a home are needed, and what a shell sets for guard does not reach it.
    let guard = guard
        .env("TMPDIR", temporary.to_str().unwrap())
        .env("PATH", "/nowhere")
        .env("GUARD_SKIP", "db");
    let ran = guard.run(&["demo"]).expect(0);
    for wanted in [
        "2. A good release",
        "somebody signs up: Linus is user 6",
        "As promised",
        "by digests of the demo's own",
    ] {
        assert!(
            ran.stdout.contains(wanted),
            "{wanted} is missing in\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    assert!(
        !ran.everything().contains("tk-demo-4f9c2d1b77a0"),
        "{}",
        ran.everything()
    );
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(!root.path().join("state").exists() && !root.path().join("state.root").exists());

    let ran = guard.run(&["demo", "--keep", "kept"]).expect(0);
    let page = fs::read_to_string(root.path().join("kept/report.html")).unwrap();
    assert!(
        page.contains("The watch found the release bad") && page.contains("is not there"),
        "{page}\n{}",
        ran.stderr
    );
    let projects = Program::new(&root.path().join("kept/project"), &root.path().join("kept/state"));
    let history = projects.run(&["history"]).expect(0).stdout;
    assert_eq!(history.matches("-deploy").count(), 2, "{history}");
    // It makes no directory its own that is there already.
    guard.run(&["demo", "--keep", "kept"]).expect(70).says("kept");
}
