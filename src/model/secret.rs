//! Values that must not be shown, and the redaction that keeps them out of every text.

use std::fmt;
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Deserializer};

/// What stands where a secret stood.
pub const REDACTED: &str = "[REDACTED]";

/// A value that is handed on and never shown: `Debug` and `Display` print `[REDACTED]`; it cannot be serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that must hand it to another program.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Values shorter than this are not redacted: replacing them would mangle ordinary words (`DE[REDACTED]RY`).
pub const SHORTEST: usize = 8;

/// The values that must appear nowhere. Shared: a value learned late is redacted from then on.
#[derive(Clone, Default)]
pub struct Redaction {
    values: Arc<RwLock<Vec<String>>>,
}

impl Redaction {
    /// Adds a value, with its URL-encoded, JSON-escaped and base64 forms; values under [`SHORTEST`] bytes are passed over.
    ///
    /// Texts are redacted line by line, so a value of several lines, as a key is, is learned as its lines.
    pub fn learn(&self, value: &str) {
        if value.contains('\n') {
            value.lines().for_each(|line| self.learn(line));
            return;
        }
        let mut values = self.values.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let encoded: String = value
            .bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        let escaped = serde_json::Value::from(value).to_string();
        let escaped = escaped.trim_matches('"').to_owned();
        let as_base64 = if value.len() >= SHORTEST {
            base64_forms(value)
        } else {
            Vec::new()
        };
        for form in [value.to_owned(), encoded, escaped].into_iter().chain(as_base64) {
            if form.len() >= SHORTEST && !values.contains(&form) {
                values.push(form);
            }
        }
        // The longest first, so that a secret that contains another is replaced whole.
        values.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// The text without any of the values.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let values = self.values.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        values.iter().fold(text.to_owned(), |text, value| {
            if text.contains(value.as_str()) {
                text.replace(value.as_str(), REDACTED)
            } else {
                text
            }
        })
    }

    /// The length in bytes of the longest value; a stream has to hold back this much to find a value that is cut in two.
    #[must_use]
    pub fn longest(&self) -> usize {
        let values = self.values.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        values.first().map_or(0, String::len)
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redaction(…)")
    }
}

/// What base64, of either alphabet, makes of a value at each of the three places within a longer text at which it may begin;
/// the characters at both ends that depend on what stands beside it are left out.
fn base64_forms(value: &str) -> Vec<String> {
    const COMMON: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut forms = Vec::new();
    for (ends, before) in [(b"+/", 0), (b"+/", 1), (b"+/", 2), (b"-_", 0), (b"-_", 1), (b"-_", 2)] {
        let bytes = std::iter::repeat_n(0, before).chain(value.bytes());
        let bits: Vec<u8> = bytes
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
            .collect();
        let sextets = bits.chunks_exact(6).skip((before * 8).div_ceil(6));
        let digits = sextets.filter_map(|sextet| {
            let digit = usize::from(sextet.iter().fold(0, |digit, bit| digit << 1 | bit));
            COMMON.iter().chain(ends).nth(digit).copied().map(char::from)
        });
        forms.push(digits.collect());
    }
    forms
}

/// Whether a variable or key of this name holds a secret, by the words that such names use.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if matches!(name.as_str(), "PWD" | "OLDPWD") {
        // The shell's working directory.
        return false;
    }
    [
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "ACCESS_KEY",
        "CREDENTIAL",
        "WEBHOOK",
    ]
    .iter()
    .any(|word| name.contains(word))
        || name
            .split('_')
            .any(|word| matches!(word, "KEY" | "PASS" | "PWD" | "DSN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_m8_a_secret_in_base64_is_redacted_wherever_it_begins() {
        let redaction = Redaction::default();
        redaction.learn("osCANARY2b9e6d7714ac");
        for (text, left) in [
            // osCANARY2b9e6d7714ac alone, then behind one, two and three letters.
            ("b3NDQU5BUlkyYjllNmQ3NzE0YWM=", 3),
            ("eG9zQ0FOQVJZMmI5ZTZkNzcxNGFj", 4),
            ("eHhvc0NBTkFSWTJiOWU2ZDc3MTRhYw==", 7),
            ("eHh4b3NDQU5BUlkyYjllNmQ3NzE0YWM=", 7),
        ] {
            let cleaned = redaction.clean(text);
            assert!(cleaned.contains(REDACTED), "{cleaned}");
            assert!(cleaned.len() - REDACTED.len() <= left, "{cleaned}");
        }
    }
}
