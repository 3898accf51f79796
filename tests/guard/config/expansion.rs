//! `${NAME}` in strings: expanded from the environment, never to nothing, never in a command.

use guard::config::COMMAND_KEYS;

use super::{FINE, Project, holds};

fn text_of(project: &Project, key: &str) -> String {
    let mut problems = Vec::new();
    let settings = project.settings();
    settings.resources[0]
        .read(&mut problems, |section| section.text(key))
        .unwrap()
}

fn with_url(url: &str) -> String {
    format!("{FINE}[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n")
}

#[test]
fn a_variable_is_expanded_where_it_is_set() {
    let project = Project::new(&with_url("postgres://app:${DB_PASSWORD}@db/${DB}"))
        .with("DB_PASSWORD", "p${DB}w")
        .with("DB", "shop");
    assert_eq!(
        text_of(&project, "url"),
        "postgres://app:p${DB}w@db/shop",
        "a value is not expanded again"
    );
    let secrets: Vec<_> = project
        .settings()
        .secrets
        .iter()
        .map(|secret| secret.expose().to_owned())
        .collect();
    assert!(
        secrets.contains(&"p${DB}w".to_owned()),
        "the password is to be redacted"
    );
    assert_eq!(
        text_of(&Project::new(&with_url("$HOME $$ $${X} 5$")), "url"),
        "$HOME $$ ${X} 5$"
    );
}

#[test]
fn fault_k4_a_huge_value_with_any_content_arrives_as_it_is() {
    let value = format!("{}\n\"quoted\" $(rm -rf /) `x` \u{1b}[0m", "x".repeat(1_000_000));
    let project = Project::new(&with_url("${BIG}")).with("BIG", &value);
    assert_eq!(text_of(&project, "url"), value);
    let shown = format!("{:?}", project.settings());
    assert!(!shown.contains("xxx"), "settings are not shown with what they hold");
}

#[test]
fn fault_k3_an_unset_or_empty_variable_is_a_problem_and_never_an_empty_string() {
    for project in [
        Project::new(&with_url("x${NOT_SET}")),
        Project::new(&with_url("x${NOT_SET}")).with("NOT_SET", ""),
    ] {
        holds(
            &project.refusal(),
            &["guard.toml:4:7: the variable NOT_SET is not set, or is empty"],
        );
    }
    for bad in ["${}", "${A:-b}", "${1A}", "${A", "${A B}"] {
        holds(
            &Project::new(&with_url(bad)).with("A", "a").refusal(),
            &["guard.toml:4:7"],
        );
    }
    let both = Project::new(&with_url("${ONE}${TWO}")).refusal();
    holds(&both, &["variable ONE", "variable TWO"]);
}

#[test]
fn commands_stay_as_they_are_written() {
    let text = "[verify]\ncommands = [[\"sh\", \"-c\", \"echo ${NOT_SET}\"], \"printf ${A}\"]\n\
                [maintenance]\non = \"touch ${A}\"\noff = [\"rm ${A}\"]\n\
                [resources.f]\nkind = \"files\"\ncheck = [\"nginx ${A}\"]\n";
    let settings = Project::new(text).with("A", "expanded").settings();
    assert_eq!(settings.verify.commands[0][2], "echo ${NOT_SET}");
    assert_eq!(settings.verify.commands[1], ["printf", "${A}"]);
    assert_eq!(settings.maintenance.on, [["touch", "${A}"]]);
    assert_eq!(settings.maintenance.off, [["rm", "${A}"]]);
    let mut problems = Vec::new();
    let check = settings.resources[0].read(&mut problems, |section| section.commands("check"));
    assert_eq!(check.unwrap(), [["nginx", "${A}"]]);
}

/// Whoever reads a key as commands has to list it, else its text would be expanded.
#[test]
fn every_key_that_is_read_as_commands_is_kept_literal() {
    let mut found = 0;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for part in text.split(".commands(\"").skip(1) {
            let key = part.split('"').next().unwrap();
            assert!(COMMAND_KEYS.contains(&key), "{key}, read in {}", entry.path().display());
            found += 1;
        }
    }
    assert!(found >= 5, "{found}");
}
