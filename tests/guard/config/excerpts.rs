//! The line that a problem is about, with a caret below the place, and never a secret in it.

use super::{FINE, Project};

/// The excerpts of a text's problems, in order.
fn excerpts(text: &str) -> Vec<Option<String>> {
    let problems = Project::new(text).load().expect_err("the settings are refused");
    problems.into_iter().map(|problem| problem.excerpt).collect()
}

#[test]
fn each_problem_shows_its_line_and_its_place() {
    let text = format!("{FINE}\nintervall = 3\n[resources.db]\n\tkind = \"postgress\"\n");
    let shown = excerpts(&text);
    let expected = ["3 | intervall = 3\n  | ^", "5 | \tkind = \"postgress\"\n  | \t       ^"];
    assert_eq!(shown, expected.map(|text| Some(text.to_owned())));
}

#[test]
fn a_flag_and_a_variable_have_no_line() {
    let project = Project::new(FINE).with("GUARD_ERROR_THRESHOLD", "many");
    let problems = project.load().expect_err("the settings are refused");
    assert!(problems.iter().all(|problem| problem.excerpt.is_none()), "{problems:?}");
}

#[test]
fn the_part_around_the_place_is_shown_of_a_long_line() {
    let long = "x".repeat(300);
    let shown = excerpts(&format!("project = \"{long}\" 3\n"));
    let shown = shown[0].as_deref().unwrap();
    let (line, caret) = shown.split_once('\n').unwrap();
    let at = caret.chars().position(|c| c == '^').unwrap();
    assert_eq!(line.chars().nth(at), Some('3'), "{shown}");
    assert!(line.chars().count() < 110 && line.contains("| …xxx"), "{shown}");
}

#[test]
fn fault_m7_no_secret_is_in_an_excerpt() {
    let canary = "s3cr3t-cnr";
    for line in [
        format!("password = \"{canary}\" x"),
        format!("password = \"{canary}"),
        format!("access = {{ user = \"a\", secret_key = \"{canary}\" }} x"),
        format!("\"api_key\" = \"{canary}\" x"),
        format!("url = \"postgres://app:{canary}@db/shop${{\""),
        format!("headers = {{ Authorization = \"Bearer {canary}\" }} x"),
        format!("passwords = [\n  \"{canary}\" \"x\"\n]"),
        format!("tokens = [\n  \"{canary}==\" \"x\"\n]"),
        format!("headers = {{ \"X-Api-Key\" = \"{canary}\" }} x"),
        format!("token = \"\"\"\na={canary}==\n\"\"\" x"),
        format!("token = \"\"\"\n{canary}\n\"\"\" x"),
    ] {
        let shown = excerpts(&format!("{FINE}[resources.db]\nkind = \"postgres\"\n{line}\n"));
        assert!(shown.iter().any(Option::is_some), "{line}: {shown:?}");
        for excerpt in shown.iter().flatten() {
            assert!(!excerpt.contains(canary), "{line}: {excerpt}");
        }
    }
}
