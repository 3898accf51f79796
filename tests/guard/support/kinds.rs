//! Resources made from the keys of their table, as `guard.toml` would make them.

use std::collections::BTreeMap;

use guard::model::section::Section;
use guard::model::setting::{Item, Problem, Source, Value};
use guard::resources::{Resource, Site, kind};

fn item(value: Value) -> Item {
    Item { value, at: 0..0 }
}

/// A text as a value.
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A list of texts as a value.
pub fn list(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|word| item(text(word))).collect())
}

/// The resource `db` of a kind with these keys, or what is wrong with them.
pub fn try_build(key: &str, keys: &[(&str, &str)], site: &Site) -> Result<Box<dyn Resource>, Vec<Problem>> {
    let keys: Vec<(&str, Value)> = keys.iter().map(|(key, value)| (*key, text(value))).collect();
    try_build_of(key, &keys, site)
}

/// The same, of values of any form.
pub fn try_build_of(key: &str, keys: &[(&str, Value)], site: &Site) -> Result<Box<dyn Resource>, Vec<Problem>> {
    let entries = keys
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (0..0, item(value.clone()))));
    let table = item(Value::Table(entries.collect::<BTreeMap<_, _>>()));
    let (source, mut problems) = (Source::default(), Vec::new());
    let mut section = Section::new("resources.db", &source, table, &mut problems);
    let built = (kind(key).expect("a known kind").build)("db".parse().unwrap(), &mut section, site);
    section.finish();
    match built {
        Some(built) if problems.is_empty() => Ok(built),
        _ => Err(problems),
    }
}

/// The resource `db` of a kind with these keys, which must be right.
pub fn build(key: &str, keys: &[(&str, &str)], site: &Site) -> Box<dyn Resource> {
    try_build(key, keys, site).unwrap_or_else(|problems| panic!("{problems:?}"))
}
