//! The CI samples: their form, their variables, and their commands run in order as a runner would run them.

use std::path::Path;

use guard::config::env::NAMES;
use guard::model::exit::TABLE;

use super::Page;
use super::commands::of_shell;
use super::yaml::{Leaf, leaves};
use crate::support::program::Program;

const SETTINGS: &str =
    "verify = \"none\"\n[resources.web]\nkind = \"files\"\npaths = [\"web.conf\"]\n[environments.production]\n";

/// The sample that follows a heading.
fn sample(heading: &str) -> (String, Vec<Leaf>) {
    let page = Page::named("docs/ci.md");
    let section = page.text.split(&format!("## {heading}\n")).nth(1).unwrap();
    let text = section.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let leaves = leaves(text).unwrap_or_else(|error| panic!("{heading}: {error}"));
    (text.to_owned(), leaves)
}

fn value<'l>(leaves: &'l [Leaf], way: &str) -> &'l str {
    let found = leaves.iter().find(|(known, _)| known == way);
    &found.unwrap_or_else(|| panic!("{way} is missing")).1
}

/// The variables that a sample sets, all of which guard must know.
fn variables(leaves: &[Leaf], below: &str) -> Vec<(String, String)> {
    let set: Vec<(String, String)> = leaves
        .iter()
        .filter_map(|(way, value)| Some((way.strip_prefix(below)?.to_owned(), value.clone())))
        .filter(|(name, _)| name.starts_with("GUARD_"))
        .collect();
    for (name, _) in &set {
        assert!(
            NAMES.iter().any(|known| known.variable == name),
            "{name} is no variable of guard's"
        );
    }
    assert!(set.len() >= 4, "{set:?}");
    set
}

/// Runs the guard commands of a sample, in the order in which they stand, in a project of the directory.
fn run(text: &str, variables: &[(String, String)], runner: &[(&str, &str)], root: &Path) -> usize {
    let project = root.join("shop");
    std::fs::create_dir_all(project.join("scripts")).unwrap();
    std::fs::write(project.join("guard.toml"), SETTINGS).unwrap();
    std::fs::write(project.join("web.conf"), "old\n").unwrap();
    let script = project.join("scripts/deploy.sh");
    std::fs::write(&script, "#!/bin/sh\necho new >web.conf\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut program = Program::new(root, &root.join("state"));
    let all = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in all.chain(runner.iter().copied()) {
        program = program.env(name, value);
    }
    let place = project.display().to_string();
    let commands = of_shell(text);
    for words in &commands {
        let words: Vec<String> = words
            .iter()
            .skip(1)
            .map(|word| word.replace("/srv/shop", &place))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        program.run(&words).expect(0);
    }
    assert_eq!(std::fs::read_to_string(project.join("web.conf")).unwrap(), "new\n");
    commands.len()
}

#[test]
fn the_github_sample_does_what_it_says() {
    let (text, leaves) = sample("GitHub Actions");
    assert_eq!(value(&leaves, "concurrency.cancel-in-progress"), "false");
    assert!(value(&leaves, "jobs.deploy.runs-on").contains("self-hosted"));
    assert!(value(&leaves, "jobs.deploy.timeout-minutes").parse::<u32>().unwrap() > 42);
    assert!(
        !text.contains("failure()"),
        "a step on failure() does not run when a job is cancelled"
    );
    let root = tempfile::tempdir().unwrap();
    let output = root.path().join("output");
    let runner = [("GITHUB_ACTIONS", "true"), ("GITHUB_OUTPUT", output.to_str().unwrap())];
    assert_eq!(
        run(&text, &variables(&leaves, "jobs.deploy.env."), &runner, root.path()),
        3
    );
    let told = std::fs::read_to_string(output).unwrap();
    for name in text
        .split("steps.guard.outputs.")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap())
    {
        assert!(
            told.lines().any(|line| line.starts_with(&format!("{name}="))),
            "{name} is no output: {told}"
        );
    }
    assert!(told.contains("outcome=deployed"), "{told}");
}

#[test]
fn the_gitlab_sample_does_what_it_says() {
    let (text, leaves) = sample("GitLab CI");
    assert!(
        leaves.iter().all(|(way, _)| !way.contains("on_failure")),
        "no such key in GitLab"
    );
    assert_eq!(value(&leaves, "deploy.interruptible"), "false");
    assert_eq!(
        value(&leaves, "deploy.resource_group"),
        value(&leaves, "finish.resource_group")
    );
    let codes = value(&leaves, "deploy.allow_failure.exit_codes").trim_matches(['[', ']']);
    for code in codes.split(", ").map(|code| code.parse::<u8>().unwrap()) {
        let row = TABLE.iter().find(|row| row.code.number() == code).unwrap();
        assert_eq!(row.production, "old, verified", "{code} must not pass as a warning");
    }
    let root = tempfile::tempdir().unwrap();
    let build = root.path().join("build");
    std::fs::create_dir(&build).unwrap();
    let runner = [("GITLAB_CI", "true"), ("CI_PROJECT_DIR", build.to_str().unwrap())];
    assert_eq!(
        run(&text, &variables(&leaves, "deploy.variables."), &runner, root.path()),
        3
    );
    for report in ["dotenv", "junit"] {
        let file = build.join(value(&leaves, &format!("deploy.artifacts.reports.{report}")));
        assert!(file.is_file(), "{} was not written", file.display());
    }
    for page in ["guard-report.html", "guard-report.md"] {
        assert!(
            text.contains(&format!("- {page}\n")) && build.join(page).is_file(),
            "{page} is no artifact"
        );
    }
}
