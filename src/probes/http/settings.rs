//! Reads the keys of an `http` probe.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Mutex;

use regex::bytes::Regex;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use url::Url;

use super::client::Manner;
use super::exchange::Http;
use super::expected::{Expected, Mark};
use super::origin::Origin;
use crate::basics::Basics;
use crate::{Built, Kind, Site};
use guard_model::health::Numbers;
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::setting::Value;

pub(crate) const KIND: Kind = Kind {
    key: "http",
    about: "an address answers with the expected status, body and version",
    build,
    numbers: Numbers::One,
};

/// The most redirects that may be followed.
const MOST_REDIRECTS: i64 = 5;

/// Makes of a setting's text where a value comes from.
type OriginOf = fn(String) -> Origin;

/// Builds the probe; problems are told to the section.
fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let method = method(section);
    let headers = headers(section);
    let expected = Expected {
        statuses: statuses(section),
        body: pattern(section),
        json: json(section),
        version: version(section),
    };
    let redirects = section.whole("follow_redirects", 0..=MOST_REDIRECTS).unwrap_or(0);
    let ca_file = section.path("ca_file");
    let uses_proxy = section.flag("proxy").unwrap_or(false);
    Some(Box::new(Http {
        manner: Manner {
            url: url(section)?,
            timeout: basics.timeout,
            redirects: usize::try_from(redirects).unwrap_or(0),
            ca_file,
            uses_proxy,
        },
        basics,
        method,
        headers,
        expected,
        kept: Mutex::new(None),
        client: Mutex::new(None),
    }))
}

fn url(section: &mut Section<'_>) -> Option<Url> {
    let text = section.required_text("url")?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
        // The text is not repeated: it may hold a password.
        _ => {
            section.problem("url", "expected an address like `http://127.0.0.1:3001/health`", None);
            None
        }
    }
}

fn method(section: &mut Section<'_>) -> Method {
    let choices = [
        ("GET", Method::GET),
        ("HEAD", Method::HEAD),
        ("POST", Method::POST),
        ("OPTIONS", Method::OPTIONS),
    ];
    section.choice("method", &choices).unwrap_or(Method::GET)
}

pub(super) fn headers(section: &mut Section<'_>) -> Vec<(HeaderName, Origin)> {
    let mut headers = Vec::new();
    if let Some(name) = section.text("bearer_env") {
        headers.push((AUTHORIZATION, Origin::BearerEnv(name)));
    }
    if let Some(path) = section.text("bearer_file") {
        headers.push((AUTHORIZATION, Origin::BearerFile(PathBuf::from(path))));
    }
    let tables: [(&str, OriginOf); 3] = [
        ("headers", Origin::Text),
        ("header_env", Origin::Env),
        ("header_file", |path| Origin::File(PathBuf::from(path))),
    ];
    for (table, origin) in tables {
        if !section.has(table) {
            let _known = section.take(table);
            continue;
        }
        section.section(table, |inner| {
            for key in inner.keys() {
                let Some(text) = inner.text(&key) else { continue };
                let is_valid = table != "headers" || HeaderValue::from_str(&text).is_ok();
                match HeaderName::from_bytes(key.as_bytes()) {
                    Ok(name) if is_valid => headers.push((name, origin(text))),
                    _ => inner.problem(&key, "is not a valid header", None),
                }
            }
        });
    }
    headers
}

fn statuses(section: &mut Section<'_>) -> Vec<RangeInclusive<u16>> {
    let standard = vec![200..=299];
    let Some(item) = section.take("expect_status") else {
        return standard;
    };
    let items = match item.value {
        Value::List(items) => items.into_iter().map(|item| item.value).collect(),
        one => vec![one],
    };
    let ranges: Option<Vec<_>> = items.iter().map(status_range).collect();
    match ranges {
        Some(ranges) if !ranges.is_empty() => ranges,
        _ => {
            let message = "expected statuses: 200, \"200-299\", or a list of such";
            section.problem("expect_status", message, None);
            standard
        }
    }
}

fn status_range(value: &Value) -> Option<RangeInclusive<u16>> {
    let (first, last) = match value {
        Value::Whole(status) => (u16::try_from(*status).ok()?, u16::try_from(*status).ok()?),
        Value::Text(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (first.trim().parse().ok()?, last.trim().parse().ok()?)
        }
        _ => return None,
    };
    (100 <= first && first <= last && last <= 599).then_some(first..=last)
}

fn pattern(section: &mut Section<'_>) -> Option<Regex> {
    let text = section.text("expect_body")?;
    Regex::new(&text)
        .map_err(|_| section.problem("expect_body", format!("{text:?} is not a regular expression"), None))
        .ok()
}

fn json(section: &mut Section<'_>) -> Option<(String, Option<serde_json::Value>)> {
    if section.has("expect_json") {
        return section.section("expect_json", |inner| {
            let expected = constant(inner, "equals");
            pointer(inner, "pointer").map(|pointer| (pointer, expected))
        });
    }
    let _known = section.take("expect_json");
    let expected = constant(section, "expect_json_equals");
    let pointer = pointer(section, "expect_json_pointer");
    if pointer.is_none() && expected.is_some() {
        section.problem("expect_json_equals", "needs `expect_json_pointer` beside it", None);
    }
    pointer.map(|pointer| (pointer, expected))
}

fn version(section: &mut Section<'_>) -> Option<Mark> {
    let header = section.text("expect_version_header").and_then(|name| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| section.problem("expect_version_header", "is not a header's name", None))
            .ok()
    });
    let pointer = pointer(section, "expect_version_pointer");
    pointer.map(Mark::Pointer).or(header.map(Mark::Header))
}

fn pointer(section: &mut Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key)?;
    if text.starts_with('/') {
        return Some(text);
    }
    let hint = Some(format!("write \"/{}\"", text.replace('.', "/")));
    section.problem(key, format!("{text:?} is not a JSON pointer"), hint);
    None
}

/// A value to compare with; a list or a table is none.
fn constant(section: &mut Section<'_>, key: &str) -> Option<serde_json::Value> {
    match section.take(key)?.value {
        Value::Text(text) => Some(text.into()),
        Value::Whole(number) => Some(number.into()),
        Value::Real(number) => Some(number.into()),
        Value::Flag(flag) => Some(flag.into()),
        Value::List(_) | Value::Table(_) => {
            section.problem(key, "expected a string, a number, or true or false", None);
            None
        }
    }
}
