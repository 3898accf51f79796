//! Links between pages lead to a file, and to a heading where they name one.

use std::path::Path;

use super::{Page, pages};

/// A heading as the part of an address: lower case, spaces as hyphens, without what is neither.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

fn targets(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect()
}

fn is_there(page: &Page, target: &str) -> bool {
    if target.starts_with("https://") {
        return true;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        page.path.clone()
    } else {
        page.path.parent().unwrap_or(Path::new("/")).join(file)
    };
    if !path.exists() {
        return false;
    }
    heading.is_empty()
        || Page::at(&path)
            .prose()
            .lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| slug(line) == heading)
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    let mut dead = Vec::new();
    for page in pages() {
        for target in targets(&page.prose()) {
            count += 1;
            if !is_there(&page, target) {
                dead.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(count > 30, "only {count} links were found");
}

#[test]
fn a_dead_link_is_seen() {
    let page = Page::named("docs/runbook.md");
    assert!(is_there(&page, "exit-codes.md") && is_there(&page, "#the-disk-is-full"));
    assert!(!is_there(&page, "nowhere.md") && !is_there(&page, "#nowhere"));
    assert_eq!(targets("[a](b.md) and [c](d.md#e)"), ["b.md", "d.md#e"]);
}
