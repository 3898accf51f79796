//! `docs/configuration.md` says what the program does: its examples load, and its tables are complete.

use std::path::Path;

use guard::config::env::NAMES;
use guard::config::{COMMAND_KEYS, Origin};

use super::{FINE, PROBES, Project, RESOURCES};

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap()
}

#[test]
fn every_example_loads_in_each_of_its_environments() {
    let text = document();
    let examples: Vec<_> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 4);
    for example in examples {
        let environments = {
            let project = with_all_variables(example);
            project.settings().environments
        };
        for environment in environments {
            let settings = with_all_variables(example).flag("environment", &environment).settings();
            assert_eq!(settings.environment_name, Some(environment));
        }
    }
}

#[test]
fn the_whole_file_of_the_readme_loads() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let settings = Project::new(example)
        .with("SLACK_WEBHOOK", "https://hooks.example/x")
        .settings();
    assert_eq!((settings.resources.len(), settings.probes.len()), (6, 2));
}

/// A project with this file, in which every variable that it names is set; an example of something else than looking at
/// the release has no probe.
fn with_all_variables(example: &str) -> Project {
    let looks = example.contains("[probes") || example.contains("verify") || example.contains("url =");
    let before = if looks && !example.contains("[notify") {
        ""
    } else {
        FINE
    };
    let mut project = Project::new(&format!("{before}{example}"));
    for name in example.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
        project = project.with(name, "https://set.example/x");
    }
    project
}

#[test]
fn every_flag_variable_and_older_name_is_in_its_row() {
    let text = document();
    for name in NAMES {
        let row = text
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&format!("`{}`", name.variable)));
        let row = row.unwrap_or_else(|| panic!("{} has no row", name.variable));
        for part in name
            .flag
            .iter()
            .chain(name.aliases)
            .chain(name.in_file.then_some(&name.key))
        {
            assert!(row.contains(&format!("`{part}`")), "{part} is missing in {row}");
        }
    }
}

#[test]
fn every_default_is_in_its_row() {
    let text = document();
    let settings = Project::new(FINE).settings();
    assert!(settings.effective.len() > 20);
    for value in &settings.effective {
        assert_eq!(value.origin, Origin::Default);
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` | ", value.key)) && line.matches('|').count() == 4);
        let row = row.unwrap_or_else(|| panic!("{} has no row", value.key));
        if matches!(value.key, "project" | "state_dir" | "backup_dir") {
            continue;
        }
        let default = row.split('|').nth(2).unwrap().trim().trim_matches('`');
        assert_eq!(default, value.value, "{}", value.key);
    }
}

#[test]
fn every_command_key_and_kind_is_told() {
    let text = document();
    for word in COMMAND_KEYS.iter().chain(RESOURCES).chain(PROBES) {
        assert!(text.contains(&format!("`{word}`")), "{word} is missing");
    }
}

/// The kinds read their keys themselves; the page has to name each.
#[test]
fn every_key_that_a_kind_reads_is_told() {
    let text = document();
    let key = regex::Regex::new(
        r#"(?:section|inner|fields)\s*\.(?:text|required_text|word|words|texts|commands|flag|whole|duration|choice|path|secret|section|take)\(\s*"([a-z_]+)""#,
    )
    .unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in ["resources", "probes", "notify"] {
        for entry in walkdir::WalkDir::new(root.join(room)) {
            let entry = entry.unwrap();
            if entry.path().extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let source = std::fs::read_to_string(entry.path()).unwrap();
            for found in key.captures_iter(&source) {
                let named = format!("`{}`", &found[1]);
                assert!(
                    text.contains(&named),
                    "{named}, read in {}, is missing",
                    entry.path().display()
                );
            }
        }
    }
}
