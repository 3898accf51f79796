//! Resources and probes as the file declares them: named, their kind known, their other keys left to the kind.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::behind::BehindSettings;
use super::layer::Layers;
use guard_model::name::{BadName, ProbeName, RuleName, TargetName};
use guard_model::secret::Secret;
use guard_model::section::Section;
use guard_model::setting::{Item, Problem, Source, Value, nearest};

/// A table `[resources.NAME]` or `[probes.NAME]`.
#[derive(Clone)]
pub struct Declared<N> {
    /// Its name.
    pub name: N,
    /// Its kind, one of those that there are.
    pub kind: String,
    /// Its other keys.
    pub item: Item,
    /// Where they were read from.
    pub source: Arc<Source>,
    path: String,
}

impl<N: fmt::Debug> fmt::Debug for Declared<N> {
    /// Without the other keys: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declared")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<N> Declared<N> {
    /// Reads the kind's own keys; keys that nobody asked for are noted as problems.
    pub fn read<T>(&self, problems: &mut Vec<Problem>, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let mut section = Section::new(&self.path, &self.source, self.item.clone(), problems);
        let value = read(&mut section);
        section.finish();
        value
    }
}

impl<N: Clone> Declared<N> {
    /// This table with some keys as an earlier one of the same kind has them; and in which of the others the two differ.
    #[must_use]
    pub fn with_keys_of(&self, earlier: &Self, keys: &[&str]) -> (Self, Vec<String>) {
        let (Value::Table(now), Value::Table(then)) = (&self.item.value, &earlier.item.value) else {
            return (self.clone(), Vec::new());
        };
        let is_taken = |key: &String| keys.contains(&key.as_str());
        let same = |key: &String| match (now.get(key), then.get(key)) {
            (Some((_, one)), Some((_, two))) => one.value.is_like(&two.value),
            (one, two) => one.is_none() == two.is_none(),
        };
        let names: std::collections::BTreeSet<&String> = now.keys().chain(then.keys()).collect();
        let differing = names.into_iter().filter(|key| !is_taken(key) && !same(key));
        let differing = differing.cloned().collect();
        let kept = now.iter().filter(|(key, _)| !is_taken(key));
        let taken = then.iter().filter(|(key, _)| is_taken(key));
        let entries = kept.chain(taken).map(|(key, entry)| (key.clone(), entry.clone()));
        let merged = Self {
            item: Item {
                value: Value::Table(entries.collect()),
                at: self.item.at.clone(),
            },
            ..self.clone()
        };
        (merged, differing)
    }
}

/// Reads all tables of a section. `NAME = false` takes away what a base file declares.
pub(super) fn read_all<N: std::str::FromStr<Err = BadName>>(
    section: &mut Section<'_>,
    room: &str,
    kinds: &[&str],
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> Vec<Declared<N>> {
    let keys = section.keys();
    read_some(section, room, keys, kinds, source, layers)
}

/// Reads the tables of a section that has other keys as well; what is no table is left to whoever knows it.
pub(super) fn read_tables<N: std::str::FromStr<Err = BadName>>(
    section: &mut Section<'_>,
    room: &str,
    kinds: &[&str],
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> Vec<Declared<N>> {
    let mut keys = section.keys();
    keys.retain(|key| section.has_table(key));
    read_some(section, room, keys, kinds, source, layers)
}

/// Reads these tables of a section that has other keys as well.
pub(super) fn read_named<N: std::str::FromStr<Err = BadName>>(
    section: &mut Section<'_>,
    room: &str,
    keys: &[&str],
    kinds: &[&str],
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> Vec<Declared<N>> {
    let keys = keys.iter().map(|&key| key.to_owned()).collect();
    read_some(section, room, keys, kinds, source, layers)
}

fn read_some<N: std::str::FromStr<Err = BadName>>(
    section: &mut Section<'_>,
    room: &str,
    keys: Vec<String>,
    kinds: &[&str],
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> Vec<Declared<N>> {
    let mut all = Vec::new();
    for key in keys {
        section.is_name(&key);
        let Some(item) = section.take(&key) else { continue };
        if item.value == Value::Flag(false) {
            continue;
        }
        let name = match key.parse::<N>() {
            Ok(name) => Some(name),
            Err(error) => {
                section.problem(&key, error.to_string(), None);
                None
            }
        };
        let path = format!("{room}.{key}");
        let at = item.at.clone();
        let Value::Table(mut entries) = item.value else {
            section.problem(
                &key,
                format!("expected a table, found {}", item.value.noun()),
                Some(format!("write [{path}]; `false` takes it away")),
            );
            continue;
        };
        let known = format!("known kinds: {}", kinds.join(", "));
        let mut refuse = |at, message: String, hint: Option<String>| {
            layers.problems.push(Problem {
                place: source.place(at),
                message,
                hint: hint.or(Some(known.clone())),
                excerpt: None,
            });
        };
        let kind = match entries.remove("kind") {
            None => {
                refuse(&at, format!("`{path}`: `kind` is missing"), None);
                continue;
            }
            Some((_, item)) => match item.value {
                Value::Text(kind) if kinds.contains(&kind.as_str()) => kind,
                Value::Text(kind) => {
                    let hint = nearest(&kind, kinds.iter().copied());
                    refuse(&item.at, format!("`{path}.kind`: there is no kind {kind:?}"), hint);
                    continue;
                }
                other => {
                    let message = format!("`{path}.kind`: expected a string, found {}", other.noun());
                    refuse(&item.at, message, None);
                    continue;
                }
            },
        };
        if let Some(name) = name {
            all.push(Declared {
                name,
                kind,
                item: Item {
                    value: Value::Table(entries),
                    at,
                },
                source: Arc::clone(source),
                path,
            });
        }
    }
    // In the order of the file, as people read it; the table itself is sorted by name.
    all.sort_by_key(|declared| declared.item.at.start);
    all
}

/// The addresses to watch as probes of kind `http`: `health`, `health-2` …, beside those that have a name.
pub(super) fn of_health_urls(urls: &[String], source: &Arc<Source>, probes: &mut Vec<Declared<ProbeName>>) {
    let mut number = 1;
    for url in urls {
        let name = loop {
            let text = if number == 1 {
                "health".to_owned()
            } else {
                format!("health-{number}")
            };
            number += 1;
            if let Ok(name) = text.parse::<ProbeName>()
                && !probes.iter().any(|probe| probe.name == name)
            {
                break name;
            }
        };
        let url = Item {
            value: Value::Text(url.clone()),
            at: 0..0,
        };
        probes.push(Declared {
            path: format!("probes.{name}"),
            name,
            kind: "http".to_owned(),
            item: Item {
                value: Value::Table([("url".to_owned(), (0..0, url))].into()),
                at: 0..0,
            },
            source: Arc::clone(source),
        });
    }
}

/// The health address of a side as a probe of kind `http`, `side-NAME`; its name. `None`: the name is taken by another probe,
/// or no probe can be called so.
pub(super) fn of_side(
    side: &str,
    url: &str,
    source: &Arc<Source>,
    probes: &mut Vec<Declared<ProbeName>>,
) -> Option<ProbeName> {
    let name: ProbeName = format!("side-{side}").parse().ok()?;
    if probes.iter().any(|probe| probe.name == name) {
        return Some(name);
    }
    let url = Item {
        value: Value::Text(url.to_owned()),
        at: 0..0,
    };
    probes.push(Declared {
        path: format!("blue_green.sides.{side}"),
        name: name.clone(),
        kind: "http".to_owned(),
        item: Item {
            value: Value::Table([("url".to_owned(), (0..0, url))].into()),
            at: 0..0,
        },
        source: Arc::clone(source),
    });
    Some(name)
}

/// The probe `health` of a service, called as the service is. What is behind the service, `own`: of this kind of probe it is what is
/// asked where nobody names anything else.
pub(super) fn of_service(
    section: &mut Section<'_>,
    service: &str,
    own: Option<(&str, &str, &str)>,
    kinds: &[&str],
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> Option<Declared<ProbeName>> {
    let room = format!("services.{service}");
    let mut declared: Declared<ProbeName> = read_named(section, &room, &["health"], kinds, source, layers).pop()?;
    declared.name = service.parse().ok()?;
    if let (Some((kind, key, value)), Value::Table(entries)) = (own, &mut declared.item.value)
        && declared.kind == kind
        && !entries.contains_key(key)
    {
        let at = declared.item.at.clone();
        let text = |text: &str| Item {
            value: Value::Text(text.to_owned()),
            at: at.clone(),
        };
        let list = Item {
            value: Value::List(vec![text(value)]),
            at: at.clone(),
        };
        entries.insert(key.to_owned(), (at.clone(), list));
    }
    Some(declared)
}

/// The probe of a service that says nothing of its health and can be asked by itself: a unit of systemd, or a command that tells
/// whether it runs. `None`: it cannot, or another probe has its name.
pub(super) fn of_standing(
    service: &str,
    behind: &BehindSettings,
    at: Range<usize>,
    source: &Arc<Source>,
    probes: &mut Vec<Declared<ProbeName>>,
) -> Option<ProbeName> {
    let (kind, key, words) = match behind {
        BehindSettings::Systemd(unit) => ("systemd", "units", vec![unit.clone()]),
        BehindSettings::Commands { status, .. } => ("command", "command", status.clone()?),
        BehindSettings::Compose(_) => return None,
    };
    let name: ProbeName = service.parse().ok()?;
    if probes.iter().any(|probe| probe.name == name) {
        return None;
    }
    let item = |value| Item { value, at: at.clone() };
    let list = Value::List(words.into_iter().map(|word| item(Value::Text(word))).collect());
    let table = Value::Table([(key.to_owned(), (at.clone(), item(list)))].into());
    probes.push(Declared {
        path: format!("services.{service}.health"),
        name: name.clone(),
        kind: kind.to_owned(),
        item: item(table),
        source: Arc::clone(source),
    });
    Some(name)
}

/// Slack's webhook by itself as a target of kind `slack`, named so where that name is free.
pub(super) fn of_slack_webhook(url: &Secret, source: &Arc<Source>, targets: &mut Vec<Declared<TargetName>>) {
    let is_free = |name: &TargetName| !targets.iter().any(|target| target.name == *name);
    let names = ["slack", "slack-webhook"].iter().filter_map(|text| text.parse().ok());
    let Some(name) = names.into_iter().find(is_free) else {
        return;
    };
    let url = Item {
        value: Value::Text(url.expose().to_owned()),
        at: 0..0,
    };
    targets.push(Declared {
        path: "notify.slack_webhook".to_owned(),
        name,
        kind: "slack".to_owned(),
        item: Item {
            value: Value::Table([("url".to_owned(), (0..0, url))].into()),
            at: 0..0,
        },
        source: Arc::clone(source),
    });
}

/// Reads the list `[[rules]]`; each is named by its `name`, else by its number.
pub(super) fn read_rules(top: &mut Section<'_>, source: &Arc<Source>) -> Vec<Declared<RuleName>> {
    let Some(item) = top.take("rules") else {
        return Vec::new();
    };
    let Value::List(items) = item.value else {
        top.problem(
            "rules",
            format!("expected a list of tables, found {}", item.value.noun()),
            Some("write [[rules]]".to_owned()),
        );
        return Vec::new();
    };
    let mut all: Vec<Declared<RuleName>> = Vec::new();
    for (number, item) in (1..).zip(items) {
        let named = match &item.value {
            Value::Table(entries) => entries.get("name").map(|(_, item)| item.value.clone()),
            _ => None,
        };
        let text = match named {
            Some(Value::Text(name)) => name,
            _ => format!("rule-{number}"),
        };
        match text.parse::<RuleName>() {
            Ok(name) if all.iter().any(|rule| rule.name == name) => {
                top.problem("rules", format!("two rules are called {text:?}"), None);
            }
            Ok(name) => all.push(Declared {
                path: format!("rules.{name}"),
                name,
                kind: String::new(),
                item,
                source: Arc::clone(source),
            }),
            Err(error) => top.problem("rules", error.to_string(), None),
        }
    }
    all
}
