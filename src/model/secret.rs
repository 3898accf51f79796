//! Values that must not be shown, and the redaction that keeps them out of every text.

mod forms;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, BuildError};
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
    known: Arc<RwLock<Known>>,
}

/// What is looked for: the forms of all values, and what finds them in one pass, made when it is needed.
#[derive(Default)]
struct Known {
    values: BTreeSet<String>,
    forms: Vec<String>,
    finder: Option<Arc<AhoCorasick>>,
}

impl Redaction {
    /// Adds a value in every form that texts may show it in: plain, as URLs, JSON, HTML and shells write it, in base64 and in
    /// hexadecimal digits. Values under [`SHORTEST`] bytes are passed over. One that a URL has encoded is learned decoded too.
    ///
    /// Texts are redacted line by line, so a value of several lines, as a key is, is learned as its lines.
    pub fn learn(&self, value: &str) {
        if value.contains('\n') {
            value.lines().for_each(|line| self.learn(line));
            return;
        }
        if let Some(decoded) = forms::decoded(value) {
            self.learn(&decoded);
        }
        if value.len() < SHORTEST {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !known.values.insert(value.to_owned()) {
            return;
        }
        for form in forms::all(value) {
            if form.len() >= SHORTEST && !known.forms.contains(&form) {
                known.forms.push(form);
                known.finder = None;
            }
        }
    }

    /// The text without any of the values. Where two of them overlap, what they cover together is taken out.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let finder = match self.finder() {
            Ok(Some(finder)) => finder,
            Ok(None) => return text.to_owned(),
            // What cannot be searched cannot be shown.
            Err(_) => return REDACTED.to_owned(),
        };
        let mut found: Vec<(usize, usize)> = finder
            .find_overlapping_iter(text)
            .map(|found| (found.start(), found.end()))
            .collect();
        found.sort_unstable();
        let mut clean = String::with_capacity(text.len());
        let mut at = 0;
        let mut rest = found.into_iter().peekable();
        while let Some((start, mut end)) = rest.next() {
            while let Some((_, further)) = rest.next_if(|(next, _)| *next < end) {
                end = end.max(further);
            }
            clean.push_str(text.get(at..start).unwrap_or_default());
            clean.push_str(REDACTED);
            at = end;
        }
        clean.push_str(text.get(at..).unwrap_or_default());
        clean
    }

    /// The length in bytes of the longest value; a stream has to hold back this much to find a value that is cut in two.
    #[must_use]
    pub fn longest(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.forms.iter().map(String::len).max().unwrap_or_default()
    }

    /// What finds the forms; `None` where there is nothing to find.
    fn finder(&self) -> Result<Option<Arc<AhoCorasick>>, BuildError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.finder.is_some() || known.forms.is_empty() {
            return Ok(known.finder.clone());
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.finder = Some(Arc::new(AhoCorasick::new(&known.forms)?));
        Ok(known.finder.clone())
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redaction(…)")
    }
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
    fn secrets_that_overlap_are_taken_out_together() {
        let redaction = Redaction::default();
        assert_eq!(redaction.clean("nothing is known yet"), "nothing is known yet");
        redaction.learn("abcdefghij");
        redaction.learn("ghijklmnop");
        assert_eq!(redaction.clean("<abcdefghijklmnop>"), "<[REDACTED]>");
        assert_eq!(redaction.clean("abcdefghijabcdefghij"), "[REDACTED][REDACTED]");
        redaction.learn("short");
        assert_eq!(redaction.clean("a short word"), "a short word");
    }

    #[test]
    fn fault_m8_a_password_of_an_address_is_known_decoded() {
        let redaction = Redaction::default();
        redaction.learn("p%40ss%2Fw%C3%BCrd");
        for text in ["p@ss/würd", "p%40ss%2fw%c3%bcrd", "p%2540ss%252Fw%25C3%25BCrd"] {
            assert_eq!(redaction.clean(text), REDACTED, "{text}");
        }
        // A lone sign is no code, and no reason to stop.
        redaction.learn("100% of 3%zz and %");
        assert_eq!(redaction.clean("100% of 3%zz and %"), REDACTED);
    }

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
