//! What an HTTP answer has to look like, and whether one does.

use std::ops::RangeInclusive;

use regex::bytes::Regex;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::Expectation;
use crate::basics::spoken;
use guard_model::health::{Answer, Class};
use guard_system::context::Context;

/// What is expected.
pub(super) struct Expected {
    /// Statuses that are well.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the body has to match.
    pub body: Option<Regex>,
    /// A place in a JSON body, and what has to stand there; `None`: anything but `null`.
    pub json: Option<(String, Option<Value>)>,
    /// Where the version stands.
    pub version: Option<Mark>,
}

/// Where an answer tells its version.
pub(super) enum Mark {
    /// At this place in a JSON body.
    Pointer(String),
    /// In this header.
    Header(HeaderName),
}

/// What was answered.
pub(super) struct Heard {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether the body went on.
    pub is_cut: bool,
}

impl Expected {
    /// Judges an answer: status first, then version, then body.
    pub(super) fn judge(&self, heard: &Heard, expectation: &Expectation, cx: &Context) -> Answer {
        self.judged(heard, expectation, cx).with_number(heard.status.into())
    }

    fn judged(&self, heard: &Heard, expectation: &Expectation, cx: &Context) -> Answer {
        let status = heard.status;
        if !self.statuses.iter().any(|range| range.contains(&status)) {
            if (300..400).contains(&status) {
                return Answer::failed(Class::Redirect, format!("{status}, a redirect, which is not followed"));
            }
            return Answer::failed(Class::Status, status.to_string());
        }
        let json = || serde_json::from_slice::<Value>(&heard.body);
        if let (Some(mark), Some(expected)) = (&self.version, &expectation.version) {
            let found = match mark {
                Mark::Pointer(pointer) => json().ok().and_then(|body| body.pointer(pointer).map(plain)),
                Mark::Header(name) => heard
                    .headers
                    .get(name)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            };
            let Some(found) = found else {
                let note = format!("{status} but no version answers (expected {expected})");
                return Answer::failed(Class::Version, spoken(cx, &note));
            };
            if bare(&found) != bare(expected) {
                let note = format!("{status} but version {found} answers (expected {expected})");
                return Answer::failed(Class::Version, spoken(cx, &note));
            }
        }
        let wrong = |why: String| {
            let cut = if heard.is_cut { " within its first 64 KiB" } else { "" };
            Answer::failed(Class::Body, spoken(cx, &format!("{status} but {why}{cut}")))
        };
        if let Some(body) = self.body.as_ref().filter(|body| !body.is_match(&heard.body)) {
            return wrong(format!("the body does not match /{body}/"));
        }
        if let Some((pointer, expected)) = &self.json {
            let Ok(body) = json() else {
                return wrong("the body is not JSON".to_owned());
            };
            return match (body.pointer(pointer), expected) {
                (None | Some(Value::Null), _) => wrong(format!("there is nothing at {pointer}")),
                (Some(found), Some(expected)) if !is_same(found, expected) => {
                    wrong(format!("{pointer} is {found} (expected {expected})"))
                }
                _ => Answer::ok(status.to_string()),
            };
        }
        Answer::ok(status.to_string())
    }
}

/// A JSON value as text: a string without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `v1.4.2` and `1.4.2` are the same version.
fn bare(version: &str) -> &str {
    let version = version.trim();
    version.strip_prefix('v').unwrap_or(version)
}

/// Whether two values are the same; `1` and `1.0` are.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}
