//! The page about drills: its catalogue is the program's, and its CI schedules are YAML.

use guard::model::drill::FAULTS;

use super::Page;
use super::yaml::leaves;

#[test]
fn the_catalogue_of_faults_is_the_programs() {
    let page = Page::named("docs/drills.md");
    let rows: Vec<&str> = page
        .text
        .lines()
        .skip_while(|line| !line.starts_with("| fault | kind |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<String> = FAULTS
        .iter()
        .map(|fault| {
            let kind = fault.kind.as_str();
            format!("| `{}` | {kind} | {} | {} |", fault.name, fault.about, fault.proves)
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_schedules_are_yaml_and_drill_in_staging() {
    let page = Page::named("docs/drills.md");
    let blocks = page.blocks();
    let schedules: Vec<&String> = blocks
        .iter()
        .filter(|(language, _)| language == "yaml")
        .map(|(_, text)| text)
        .collect();
    assert_eq!(schedules.len(), 2);
    for text in schedules {
        let leaves = leaves(text).unwrap_or_else(|error| panic!("{error}"));
        let is_staging = |(way, value): &(String, String)| way.ends_with("GUARD_ENVIRONMENT") && value == "staging";
        assert!(leaves.iter().any(is_staging), "{text}");
        assert!(text.contains("drill --all"), "{text}");
    }
}
