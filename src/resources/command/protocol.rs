//! What guard and a program of the user's say to each other: the acts, what is asked, and what is answered.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk;

/// The protocol that this guard speaks.
pub(super) const PROTOCOL: u32 = 1;

/// The exit code by which a program says that the copy itself is at fault: `EX_DATAERR` of sysexits.
pub(super) const BAD_COPY: i32 = 65;

/// An act: the last argument of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Describe,
    Fingerprint,
    Capture,
    Stage,
    Exchange,
    Check,
    Undo,
    Forget,
    Discard,
    Price,
    Scratch,
    Spoil,
    Unscratch,
}

impl Act {
    /// The word that the program is called with.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Fingerprint => "fingerprint",
            Self::Capture => "capture",
            Self::Stage => "stage",
            Self::Exchange => "exchange",
            Self::Check => "check",
            Self::Undo => "undo",
            Self::Forget => "forget",
            Self::Discard => "discard",
            Self::Price => "price",
            Self::Scratch => "scratch",
            Self::Spoil => "spoil",
            Self::Unscratch => "unscratch",
        }
    }
}

/// What a program can do beside the acts that each has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ability {
    /// `undo` and `forget`: its `exchange` keeps what was there by itself.
    Undo,
    /// `discard`: its `stage` makes something outside of the directory that it is given.
    Discard,
    /// `price`: it tells what going back costs.
    Price,
    /// `scratch`, `spoil` and `unscratch`: it makes a copy of the whole thing to try everything on.
    Scratch,
}

/// What the program is asked: one JSON object on its standard input. What an act does not need is left out.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Asked<'a> {
    /// The directory with the files of a copy: to be filled (`capture`), or to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<&'a Path>,
    /// A private directory that is there, for what has to lie somewhere until the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<&'a Path>,
    /// What `capture` said in `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a Value>,
    /// What `stage` said in `staged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<&'a Value>,
    /// What `exchange` or `undo` said in `displaced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub displaced: Option<&'a Value>,
}

/// The frame around it.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub protocol: u32,
    pub act: &'static str,
    pub resource: &'a str,
    pub token: &'a str,
    /// What `scratch` said in `target`; absent: production.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<&'a Value>,
    #[serde(flatten)]
    pub asked: &'a Asked<'a>,
}

/// An answer: its words for people, and what the program wants to be told again.
pub(super) trait Answer: DeserializeOwned {
    /// What guard keeps for the program, by the key; nothing in it may be a secret.
    fn kept(&self) -> Vec<(&'static str, &Value)> {
        Vec::new()
    }
}

/// `describe`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub protocol: u32,
    #[serde(default)]
    pub abilities: Vec<Ability>,
    #[serde(default)]
    pub facts: Vec<String>,
    #[serde(default)]
    pub obstacles: Vec<Hindrance>,
    #[serde(default)]
    pub copy_bytes: Option<u64>,
    #[serde(default)]
    pub side_bytes: Option<u64>,
}

impl Description {
    pub(super) fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }
}

/// What a program finds in the way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hindrance {
    pub what: String,
    pub advice: String,
    #[serde(default = "yes")]
    pub refuses: bool,
}

fn yes() -> bool {
    true
}

/// `fingerprint`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    pub parts: BTreeMap<String, String>,
}

/// `capture`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Captured {
    pub summary: String,
    #[serde(default)]
    pub details: Value,
    /// What the copy is like, where the live resource may be written to meanwhile.
    #[serde(default)]
    pub parts: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub not_kept: Vec<String>,
    #[serde(default)]
    pub tools: BTreeMap<String, String>,
}

/// `stage`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staged {
    #[serde(default)]
    pub staged: Value,
}

/// `exchange` and `undo`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchanged {
    #[serde(default)]
    pub displaced: Value,
    #[serde(default)]
    pub kept: Vec<String>,
}

/// `check`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checked {
    pub differs: Vec<String>,
}

/// `price`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Priced {
    pub price: Vec<String>,
}

/// `scratch`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scratched {
    pub target: Value,
}

/// `forget`, `discard`, `spoil`, `unscratch`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Answer for Description {}
impl Answer for Parts {}
impl Answer for Checked {}
impl Answer for Priced {}
impl Answer for Nothing {}

impl Answer for Captured {
    fn kept(&self) -> Vec<(&'static str, &Value)> {
        vec![("details", &self.details)]
    }
}

impl Answer for Staged {
    fn kept(&self) -> Vec<(&'static str, &Value)> {
        vec![("staged", &self.staged)]
    }
}

impl Answer for Exchanged {
    fn kept(&self) -> Vec<(&'static str, &Value)> {
        vec![("displaced", &self.displaced)]
    }
}

impl Answer for Scratched {
    fn kept(&self) -> Vec<(&'static str, &Value)> {
        vec![("target", &self.target)]
    }
}

/// The parts as guard keeps them: digests of the values, since a value may be, or hold, a secret, and has to differ where it
/// differs.
pub(super) fn print_of(parts: &BTreeMap<String, String>, cx: &Context) -> Fingerprint {
    let all = parts.iter();
    all.fold(Fingerprint::default(), |print, (name, value)| {
        print.with(line(name, cx), disk::sha256_hex(value.as_bytes()))
    })
}

/// A program's words for people: one line, without secrets and without what moves a terminal.
pub(super) fn line(text: &str, cx: &Context) -> String {
    const LONGEST: usize = 400;
    let one = guard_model::text::sanitised(&cx.redaction.clean(text).replace('\n', "; "));
    guard_model::text::shortened(one.trim(), LONGEST)
}

/// The same of several, but for those that say nothing.
pub(super) fn lines(texts: &[String], cx: &Context) -> Vec<String> {
    let told = texts.iter().map(|text| line(text, cx));
    told.filter(|text| !text.is_empty()).collect()
}
