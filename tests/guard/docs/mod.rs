//! The pages: their links lead somewhere, their commands can be typed, their tables are the program's.

mod ci;
mod commands;
mod drills;
mod grounds;
mod links;
mod lock;
mod monitoring;
mod packages;
mod runners;
mod yaml;

use std::path::{Path, PathBuf};

use guard::model::exit::TABLE;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page: where it is, and what it says.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn at(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            path: path.to_owned(),
            text,
        }
    }

    fn named(name: &str) -> Self {
        Self::at(&root().join(name))
    }

    /// The fenced blocks: language and text.
    fn blocks(&self) -> Vec<(String, String)> {
        let mut blocks = Vec::new();
        let mut open: Option<(String, String)> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => open = Some((language.to_owned(), String::new())),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some((_, text))) => text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        blocks
    }

    /// Everything outside of fenced blocks.
    fn prose(&self) -> String {
        let mut prose = String::new();
        let mut is_inside = false;
        for line in self.text.lines() {
            if line.starts_with("```") {
                is_inside = !is_inside;
            } else if !is_inside {
                prose.extend([line, "\n"]);
            }
        }
        prose
    }
}

/// The README, the page for contributors, and every page below `docs`.
fn pages() -> Vec<Page> {
    let below = walkdir::WalkDir::new(root().join("docs")).sort_by_file_name();
    let found = below
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let top = ["README.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    let pages: Vec<Page> = top.into_iter().chain(found).map(|path| Page::at(&path)).collect();
    assert!(pages.len() > 15, "the pages were not found");
    pages
}

#[test]
fn every_page_opens_with_its_title_and_its_purpose() {
    for page in pages() {
        let mut lines = page.text.lines();
        let title = lines.next().unwrap_or_default();
        assert!(title.starts_with("# "), "{}: {title}", page.path.display());
        assert_eq!(lines.next(), Some(""), "{}", page.path.display());
        let first = lines.next().unwrap_or_default().trim_start_matches('*');
        let is_sentence = first.len() > 30 && first.starts_with(char::is_alphabetic);
        assert!(is_sentence, "{} opens with {first:?}", page.path.display());
    }
}

#[test]
fn every_decision_is_listed() {
    let list = Page::named("docs/decisions/README.md").text;
    for page in pages()
        .iter()
        .filter(|page| page.path.parent().unwrap().ends_with("decisions"))
    {
        let name = page.path.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "README.md" || list.contains(&format!("({name})")),
            "{name} is not listed"
        );
    }
}

#[test]
fn the_table_of_exit_codes_is_the_programs() {
    let page = Page::named("docs/exit-codes.md");
    let rows: Vec<String> = page
        .text
        .lines()
        .skip_while(|line| !line.starts_with("| code | production is | when |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(str::to_owned)
        .collect();
    let expected: Vec<String> = TABLE
        .iter()
        .map(|row| format!("| {} | {} | {} |", row.code.number(), row.production, row.when))
        .collect();
    assert_eq!(rows, expected);
    for row in TABLE {
        let number = row.code.number().to_string();
        let advice = page.text.split("## What to do").nth(1).unwrap();
        let is_told = advice
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
            .any(|codes| codes.split(", ").any(|code| code == number));
        assert!(is_told, "{number} has no advice");
    }
}

#[test]
fn the_ladder_on_the_map_is_the_one_that_is_held() {
    let page = Page::named("docs/architecture.md");
    let blocks = page.blocks();
    let ladder = &blocks.iter().find(|(_, text)| text.contains("7  cli")).unwrap().1;
    let shown: Vec<Vec<&str>> = ladder
        .lines()
        .rev()
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    let mut held: Vec<Vec<&str>> = crate::architecture::LADDER.iter().map(|rooms| rooms.to_vec()).collect();
    let mut shown = shown;
    for rooms in held.iter_mut().chain(&mut shown) {
        rooms.sort_unstable();
    }
    assert_eq!(shown, held);
}
