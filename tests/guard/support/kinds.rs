//! Resources made from the keys of their table, as `guard.toml` would make them.

use std::collections::BTreeMap;

use guard::model::section::Section;
use guard::model::setting::{Item, Problem, Source, Value};
use guard::resources::{Resource, Site, kind};

/// The resource `db` of a kind with these keys, or what is wrong with them.
pub fn try_build(key: &str, keys: &[(&str, &str)], site: &Site) -> Result<Box<dyn Resource>, Vec<Problem>> {
    let item = |value| Item { value, at: 0..0 };
    let entries = keys
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (0..0, item(Value::Text((*value).to_owned())))));
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
