//! What `guard.toml` may hold, as a JSON schema for editors: made by reading, with the very readers of the settings, texts that
//! hold one key after the other, and noting what each reader asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::assembly::Assembly;
use guard_config::{Document, Request as Wish, Settings};
use guard_model::setting::Source;
use guard_model::tables::{Form, Key, Tables};
use guard_system::docker::Compose;

/// The name of the one table of each sort that is read.
const NAME: &str = "x";
/// Rounds of trying keys that the round before has found; a reader that asks more than so deep would be a surprise.
const ROUNDS: usize = 4;

/// All that is known of one key: the forms that its readers have asked for.
type Forms = BTreeMap<String, BTreeMap<String, Vec<Form>>>;

/// The schema. `wish` names the kinds there are.
#[must_use]
pub fn schema(wish: &Wish) -> Value {
    let top = explored("", "", wish);
    let of_kinds = |table: &str, kinds: &[&'static str]| -> Vec<(&'static str, Forms)> {
        let path = format!("{table}.{NAME}");
        let of = |kind: &&'static str| (*kind, explored(&path, &format!("{path}.kind = \"{kind}\"\n"), wish));
        kinds.iter().map(of).collect()
    };
    let resources = of_kinds("resources", &wish.resource_kinds);
    let probes = of_kinds("probes", &wish.probe_kinds);
    let targets = of_kinds("notify", guard_model::notice::KINDS);
    let rule = explored(
        &format!("rules.{NAME}"),
        &format!("[[rules]]\nname = \"{NAME}\"\n"),
        wish,
    );
    let project = explored(
        &format!("projects.{NAME}"),
        &format!("projects.{NAME}.directory = \"a\"\n"),
        wish,
    );
    let two_sides = two_sides(wish);
    let services = services(&top, wish);
    let whole = |is_part: bool| {
        let mut table = object(
            &top,
            "",
            &["resources", "probes", "notify", "rules", "projects", "services"],
        );
        let own = object(&top, "notify", &[]);
        let mut notify = named(&targets, "notify", is_part);
        if let Some(properties) = own.pointer("/properties") {
            notify["properties"] = properties.clone();
        }
        let rule = object(&rule, &format!("rules.{NAME}"), &[]);
        let project = object(&project, &format!("projects.{NAME}"), &[]);
        let mut sections = Map::new();
        sections.insert("resources".to_owned(), named(&resources, "resources", is_part));
        sections.insert("probes".to_owned(), named(&probes, "probes", is_part));
        sections.insert("notify".to_owned(), notify);
        sections.insert("rules".to_owned(), json!({ "type": "array", "items": rule }));
        sections.insert(
            "projects".to_owned(),
            json!({ "type": "object", "additionalProperties": off(&project) }),
        );
        sections.insert("blue_green".to_owned(), off(&two_sides));
        sections.insert("services".to_owned(), services.clone());
        if let Some(properties) = table.pointer_mut("/properties").and_then(Value::as_object_mut) {
            properties.extend(sections);
        }
        table
    };
    let mut schema = whole(false);
    schema["$schema"] = Value::from("http://json-schema.org/draft-07/schema#");
    schema["title"] = Value::from("guard.toml");
    // What an environment lays over the rest may be a part of a table.
    schema["properties"]["environments"] = json!({ "type": "object", "additionalProperties": whole(true) });
    schema
}

/// `[blue_green]`: sides with names of people's own, and a front of one of the kinds.
fn two_sides(wish: &Wish) -> Value {
    let path = "blue_green";
    let of_front = |kind: &&'static str| {
        let base = format!(
            "strategy = \"blue-green\"\n{path}.sides.{NAME}.address = \"127.0.0.1:1\"\n\
             {path}.sides.other.address = \"127.0.0.1:2\"\n{path}.front.kind = \"{kind}\"\n"
        );
        (*kind, explored(path, &base, wish))
    };
    let fronts: Vec<(&str, Forms)> = wish.fronts.iter().map(of_front).collect();
    let fits: Vec<Value> = fronts
        .iter()
        .map(|(kind, forms)| {
            let mut front = object(forms, &format!("{path}.front"), &[]);
            front["properties"]["kind"] = json!({ "const": kind });
            front
        })
        .collect();
    let Some((_, forms)) = fronts.first() else {
        return json!(false);
    };
    let side = object(forms, &format!("{path}.sides.{NAME}"), &[]);
    let mut table = object(forms, path, &["sides", "front"]);
    table["properties"]["sides"] = json!({ "type": "object", "additionalProperties": side });
    table["properties"]["front"] = json!({ "anyOf": fits });
    table
}

/// `[services]`: its own commands, and services with names of people's own, each with a probe of one of the kinds, or the name of one.
fn services(top: &Forms, wish: &Wish) -> Value {
    let path = format!("services.{NAME}");
    let base = format!("{path}.compose = \"a\"\n");
    let mut service = object(&explored(&path, &base, wish), &path, &["health"]);
    let probe = format!("{path}.health");
    let of_kind = |kind: &&'static str| {
        let forms = explored(&probe, &format!("{base}{probe}.kind = \"{kind}\"\n"), wish);
        let mut health = object(&forms, &probe, &[]);
        health["properties"]["kind"] = json!({ "const": kind });
        health
    };
    let mut fits: Vec<Value> = wish.probe_kinds.iter().map(of_kind).collect();
    fits.push(json!({ "type": "string", "minLength": 1 }));
    service["properties"]["health"] = json!({ "anyOf": fits });
    let mut table = object(top, "services", &[]);
    table["additionalProperties"] = off(&service);
    table
}

/// A table, or the `false` that takes it away.
fn off(table: &Value) -> Value {
    json!({ "anyOf": [{ "const": false }, table] })
}

/// Tables with names of people's own, each of a kind.
fn named(kinds: &[(&'static str, Forms)], table: &str, is_part: bool) -> Value {
    let path = format!("{table}.{NAME}");
    let with_kind = |kind: &str, forms: &Forms| {
        let mut of_kind = object(forms, &path, &[]);
        of_kind["properties"]["kind"] = json!({ "const": kind });
        of_kind
    };
    if is_part {
        // Which kind a part is of is said elsewhere: it has to fit one of them.
        let fits: Vec<Value> = kinds.iter().map(|(kind, forms)| with_kind(kind, forms)).collect();
        return json!({ "type": "object", "additionalProperties": { "anyOf": [{ "const": false }, { "anyOf": fits }] } });
    }
    let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    let branches: Vec<Value> = kinds
        .iter()
        .map(|(kind, forms)| json!({ "if": { "properties": { "kind": { "const": kind } } }, "then": with_kind(kind, forms) }))
        .collect();
    json!({ "type": "object", "additionalProperties": { "if": { "type": "object" }, "then": {
        "required": ["kind"], "properties": { "kind": { "enum": names } }, "allOf": branches }, "else": { "const": false } } })
}

/// A table with the keys that are known of it, those that are written elsewhere left out.
fn object(forms: &Forms, table: &str, without: &[&str]) -> Value {
    let mut properties = Map::new();
    let mut others = Value::from(false);
    for (key, of_it) in forms.get(table).into_iter().flatten() {
        if without.contains(&key.as_str()) {
            continue;
        }
        let inner = if table.is_empty() {
            key.clone()
        } else {
            format!("{table}.{key}")
        };
        let mut fits: Vec<Value> = of_it.iter().map(|form| value(form, forms, &inner)).collect();
        let fit = match fits.len() {
            1 => fits.remove(0),
            _ => json!({ "anyOf": fits }),
        };
        if key == NAME {
            others = fit;
        } else {
            properties.insert(key.clone(), fit);
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": others })
}

fn value(form: &Form, forms: &Forms, path: &str) -> Value {
    let words = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    match form {
        Form::Any => json!({}),
        Form::Text => json!({ "type": "string", "minLength": 1 }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Whole(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Form::Duration => json!({ "type": ["string", "number"] }),
        Form::Choice(words) => json!({ "enum": words }),
        Form::Texts | Form::Words => words,
        Form::Commands => json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": words }] }),
        Form::Table => object(forms, path, &[]),
        Form::Types(types) => json!({ "type": types }),
    }
}

/// What the readers ask for at this table and below, whatever the other keys say.
fn explored(path: &str, base: &str, wish: &Wish) -> Forms {
    let mut forms = Forms::new();
    let mut tried = BTreeSet::new();
    take(&mut forms, asked(base, wish), path);
    for _ in 0..ROUNDS {
        let mut texts = Vec::new();
        let mut all = base.to_owned();
        for (table, keys) in &forms {
            for (key, of_it) in keys {
                let lines: Vec<String> = of_it.iter().flat_map(|form| samples(table, key, form, path)).collect();
                all.extend(lines.first().cloned());
                texts.extend(lines.iter().map(|line| format!("{base}{line}")));
            }
        }
        texts.push(all);
        let before = tried.len();
        for text in texts {
            if tried.insert(text.clone()) {
                take(&mut forms, asked(&text, wish), path);
            }
        }
        if tried.len() == before {
            break;
        }
    }
    forms
}

/// Lines that give a key a value of its form.
fn samples(table: &str, key: &str, form: &Form, path: &str) -> Vec<String> {
    let mut values: Vec<String> = match form {
        Form::Text | Form::Texts | Form::Words => vec!["\"a\"".to_owned()],
        Form::Flag => vec!["true".to_owned(), "false".to_owned()],
        Form::Whole(from, _) => vec![from.to_string()],
        Form::Duration => vec!["\"1s\"".to_owned()],
        Form::Choice(words) => words
            .iter()
            .map(|word| Value::from(word.as_str()).to_string())
            .collect(),
        Form::Commands => vec!["[\"a\"]".to_owned()],
        // A table whose keys are people's own asks for this one.
        Form::Table => vec!["{}".to_owned(), format!("{{ {NAME} = \"a\" }}")],
        Form::Any | Form::Types(_) => Vec::new(),
    };
    // Some readers ask another question where the value is of another type: a word in place of a table.
    let others = ["\"a\"", "1", "true", "[\"a\"]", "{}"].map(str::to_owned);
    values.extend(others.into_iter().filter(|_| !matches!(form, Form::Types(_))));
    // Rules are a list of tables: their keys stand below its head.
    let whole = match table.strip_prefix(path) {
        Some(inner) if path.starts_with("rules.") => format!("{inner}.{key}").trim_start_matches('.').to_owned(),
        _ if table.is_empty() => key.to_owned(),
        _ => format!("{table}.{key}"),
    };
    values.into_iter().map(|value| format!("{whole} = {value}\n")).collect()
}

/// Adds what was asked for at a table and below; names that people give are no keys.
fn take(forms: &mut Forms, keys: Vec<Key>, path: &str) {
    let below = format!("{path}.");
    for key in keys.into_iter().filter(|key| !key.is_name) {
        let is_of_it = path.is_empty() || key.table == path || key.table.starts_with(&below);
        if !is_of_it || path.is_empty() && key.table.contains(&format!(".{NAME}")) {
            continue;
        }
        let of_it = forms.entry(key.table).or_default().entry(key.key).or_default();
        if !of_it.contains(&key.form) {
            // What was taken as it is at first, and is known better now, is that.
            of_it.retain(|known| *known != Form::Any);
            if key.form != Form::Any || of_it.is_empty() {
                of_it.push(key.form);
            }
        }
    }
}

/// Every key that reading this text asks for.
fn asked(text: &str, wish: &Wish) -> Vec<Key> {
    let tables = Tables::remembering();
    let source = Source {
        tables: tables.clone(),
        ..Source::new("schema", text)
    };
    let document = Document { source, mode: None };
    let directory = Path::new("/");
    if let Some(settings) = Settings::in_part_of(wish, directory, &document) {
        let compose = Compose {
            files: Vec::new(),
            env_files: Vec::new(),
            profiles: Vec::new(),
            project: NAME.to_owned(),
            directory: directory.to_owned(),
        };
        let assembly = Assembly {
            settings: &settings,
            compose: Some(&compose),
            further: &[],
            narrowing: guard_resources::Narrowed::default(),
        };
        // Only what is asked for matters here, and not what is wrong with it.
        drop(assembly.problems());
    }
    tables.asked()
}
