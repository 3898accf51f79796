//! The numbers that are well, as settings give them.

use guard_model::health::{Answer, Class};
use guard_model::section::Section;
use guard_model::setting::Value;

/// The numbers that are well, bounds included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    min: f64,
    max: f64,
}

/// Limits within which no number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoNumber;

impl Limits {
    /// Reads `number = { min, max }`, `expect_number_above` and `expect_number_below`; `None`: nobody set any.
    ///
    /// # Errors
    /// No number is within them, which is noted.
    pub(super) fn read(section: &mut Section<'_>) -> Result<Option<Self>, NoNumber> {
        let above = number(section, "expect_number_above");
        let below = number(section, "expect_number_below");
        let (min, max) = if section.has("number") {
            section.section("number", |inner| (number(inner, "min"), number(inner, "max")))
        } else {
            let _known = section.take("number");
            (None, None)
        };
        let limits = [above, below, min, max].iter().any(Option::is_some).then(|| Self {
            min: min.or(above.map(f64::next_up)).unwrap_or(f64::NEG_INFINITY),
            max: max.or(below.map(f64::next_down)).unwrap_or(f64::INFINITY),
        });
        if limits.is_some_and(|limits| limits.min > limits.max) {
            section.problem("number", "no number is within these limits", None);
            return Err(NoNumber);
        }
        Ok(limits)
    }

    /// Judges a number; `of` says what it is of, where there are several. No number is no evidence.
    pub(super) fn judge(self, number: f64, of: &str) -> Answer {
        if number.is_nan() {
            return Answer::unknown(Class::NoData, format!("{of}NaN, which is no number"));
        }
        let answer = if number < self.min {
            Answer::failed(Class::Exit, format!("{of}{number} is too low"))
        } else if number > self.max {
            Answer::failed(Class::Exit, format!("{of}{number} is too high"))
        } else {
            Answer::ok(format!("{of}{number}"))
        };
        // One of several numbers is not the answer's own.
        if of.is_empty() {
            answer.with_number(number)
        } else {
            answer
        }
    }
}

/// A number, whole or not, as a setting.
pub(super) fn number(section: &mut Section<'_>, key: &str) -> Option<f64> {
    let number = match section.take(key)?.value {
        #[expect(clippy::cast_precision_loss, reason = "a limit that a person wrote")]
        Value::Whole(number) => number as f64,
        Value::Real(number) => number,
        _ => f64::NAN,
    };
    if number.is_finite() {
        return Some(number);
    }
    section.problem(key, "expected a number", None);
    None
}
