//! How the value of one setting is read: from the file with its type, from a flag or variable as text.

use std::path::PathBuf;
use std::time::Duration;

use guard_model::secret::Secret;
use guard_model::setting::{Item, Value, nearest, parse_duration};

/// Why a value cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }

    fn expected(form: &str, value: &Value) -> Self {
        Self::new(format!("expected {form}, found {}", value.noun()), None)
    }
}

/// Reads a value; the second argument is whether it was text to begin with, as flags and variables are.
pub(super) type Read<T> = fn(&Value, bool) -> Result<T, Wrong>;

/// Of each type of JSON some values: a reader that takes one of them takes that type. There is no other way to ask it.
pub(super) fn types<T>(read: Read<T>) -> Vec<&'static str> {
    let text = |text: &str| Value::Text(text.to_owned());
    let list = |items: &[&str]| {
        let item = |word: &&str| Item {
            value: Value::Text((*word).to_owned()),
            at: 0..0,
        };
        Value::List(items.iter().map(item).collect())
    };
    let samples = [
        ("boolean", vec![Value::Flag(true), Value::Flag(false)]),
        ("integer", vec![Value::Whole(1), Value::Whole(60)]),
        ("number", vec![Value::Real(0.5), Value::Real(1.5)]),
        ("array", vec![list(&[]), list(&["a"])]),
    ];
    let takes = |values: &[Value]| values.iter().any(|value| read(value, false).is_ok());
    let mut types: Vec<&'static str> = samples
        .iter()
        .filter(|(_, values)| takes(values))
        .map(|(name, _)| *name)
        .collect();
    // Words of all kinds are told only by trying, and one that is not known here may be taken: a string is, unless every
    // reader of something else refuses all of these.
    let texts = ["10s", "10%", "a", "/a", "https://a.example/b"].map(text);
    if takes(&texts) || types.is_empty() {
        types.push("string");
    }
    types
}

/// A value as people would write it; tables and their contents are not shown.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Whole(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => items
            .iter()
            .map(|item| shown(&item.value))
            .collect::<Vec<_>>()
            .join(" "),
        Value::Table(_) => "{…}".to_owned(),
    }
}

/// `true` or `false`; as text also `yes`, `no`, `1`, `0`, `on`, `off`.
pub(super) fn flag(value: &Value, text: bool) -> Result<bool, Wrong> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Text(word) if text => match word.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" | "on" => Ok(true),
            "no" | "false" | "0" | "off" => Ok(false),
            _ => Err(Wrong::new(format!("{word:?} is neither yes nor no"), None)),
        },
        other => Err(Wrong::expected("true or false", other)),
    }
}

/// A count of at least 1.
pub(super) fn count(value: &Value, text: bool) -> Result<u32, Wrong> {
    let number = match value {
        Value::Whole(number) => *number,
        Value::Text(word) if text => word
            .trim()
            .parse()
            .map_err(|_| Wrong::new(format!("{word:?} is not a whole number"), None))?,
        other => return Err(Wrong::expected("a whole number", other)),
    };
    match u32::try_from(number) {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err(Wrong::new(format!("{number} is not in 1 to 1000000"), None)),
    }
}

/// A ratio over 0 and at most 1, or a percentage with its sign.
pub(super) fn ratio(value: &Value, text: bool) -> Result<f64, Wrong> {
    let (ratio, written) = match value {
        Value::Real(number) => (*number, number.to_string()),
        #[expect(clippy::cast_precision_loss, reason = "only 1 is accepted, which is exact")]
        Value::Whole(number) => (*number as f64, number.to_string()),
        Value::Text(word) => {
            let trimmed = word.trim();
            let parsed = match trimmed.strip_suffix('%') {
                Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
                None if text => trimmed.parse(),
                None => {
                    return Err(Wrong::expected(
                        "a number, or a percentage with its sign as in \"10%\"",
                        value,
                    ));
                }
            };
            let parsed = parsed.map_err(|_| Wrong::new(format!("{word:?} is not a ratio"), Some(RATIO)))?;
            (parsed, format!("{word:?}"))
        }
        other => return Err(Wrong::expected("a ratio", other)),
    };
    if ratio > 0.0 && ratio <= 1.0 {
        return Ok(ratio);
    }
    Err(Wrong::new(
        format!("{written} is not a ratio over 0 and at most 1"),
        Some(RATIO),
    ))
}

const RATIO: &str = "0.10 means ten per cent; write `10%` for a percentage";

/// A duration over 0.
pub(super) fn duration(value: &Value, _: bool) -> Result<Duration, Wrong> {
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Whole(seconds) => seconds.to_string(),
        Value::Real(seconds) => seconds.to_string(),
        other => return Err(Wrong::expected("a duration", other)),
    };
    parse_duration(&text).map_err(|message| Wrong::new(message, None))
}

/// A duration, or `none` for no limit.
pub(super) fn limit(value: &Value, text: bool) -> Result<Option<Duration>, Wrong> {
    match value {
        Value::Text(word) if word == "none" => Ok(None),
        value => duration(value, text)
            .map(Some)
            .map_err(|wrong| Wrong::new(wrong.message, Some("`none` is no limit"))),
    }
}

/// A string that is not empty.
pub(super) fn text(value: &Value, _: bool) -> Result<String, Wrong> {
    match value {
        Value::Text(text) if text.is_empty() || text.contains('\0') => {
            Err(Wrong::new("must not be empty or hold a NUL", None))
        }
        Value::Text(text) => Ok(text.clone()),
        other => Err(Wrong::expected("a string", other)),
    }
}

/// A path, as written.
pub(super) fn path(value: &Value, from_text: bool) -> Result<Option<PathBuf>, Wrong> {
    text(value, from_text).map(|path| Some(PathBuf::from(path)))
}

/// An HTTPS address that is not to be shown.
pub(super) fn secret_url(value: &Value, from_text: bool) -> Result<Option<Secret>, Wrong> {
    let text = text(value, from_text)?;
    // The value itself is not repeated in the message: whoever has it can post.
    match url::Url::parse(&text) {
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(Some(Secret::new(text))),
        _ => Err(Wrong::new("is not an https:// address", None)),
    }
}

/// One of some words.
pub(super) fn choice<T: Clone>(value: &Value, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let word = text(value, false)?;
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    choices
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, value)| value.clone())
        .ok_or_else(|| Wrong {
            message: format!("{word:?} is not one of: {}", words.join(", ")),
            hint: nearest(&word, words.iter().copied()),
        })
}

/// A count of days of at least 1, or `none`.
pub(super) fn further(value: &Value, text: bool) -> Result<u32, Wrong> {
    let is_zero = match value {
        Value::Whole(number) => *number == 0,
        Value::Text(word) => text && word.trim() == "0",
        _ => false,
    };
    if is_zero { Ok(0) } else { count(value, text) }
}

pub(super) fn days(value: &Value, text: bool) -> Result<Option<u32>, Wrong> {
    match value {
        Value::Text(word) if word == "none" => Ok(None),
        value => count(value, text).map(Some),
    }
}
