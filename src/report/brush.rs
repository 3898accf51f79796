//! The characters and shades to draw with.

use console::{Style, truncate_str};

use super::line::Tone;
use super::style;
use guard_model::health::Outcome;

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shade {
    /// Wrong.
    Red,
    /// Well.
    Green,
    /// Worth a look.
    Yellow,
    /// A title.
    Bold,
    /// Beside the point.
    Dim,
}

impl Shade {
    fn style(self) -> Style {
        // Whether colours are used is decided once, by `report::style`, and not by what this stream is.
        let style = Style::new().force_styling(true);
        match self {
            Self::Red => style.red(),
            Self::Green => style.green(),
            Self::Yellow => style.yellow(),
            Self::Bold => style.bold(),
            Self::Dim => style.dim(),
        }
    }
}

impl From<Tone> for Shade {
    fn from(tone: Tone) -> Self {
        match tone {
            Tone::Step => Self::Bold,
            Tone::Warn => Self::Yellow,
            Tone::Error => Self::Red,
            Tone::Detail | Tone::Info | Tone::Final => Self::Dim,
        }
    }
}

/// The characters and colours to draw with.
#[derive(Debug, Clone, Copy)]
pub struct Brush {
    /// Whether more than ASCII can be shown.
    pub unicode: bool,
    /// Whether colours are used.
    pub colour: bool,
}

impl Brush {
    /// The brush of a style.
    #[must_use]
    pub fn of(style: &style::Style) -> Self {
        Self {
            unicode: style.unicode,
            colour: style.colour,
        }
    }

    /// The text in a shade.
    #[must_use]
    pub fn paint(self, shade: Shade, text: &str) -> String {
        if self.colour && !text.is_empty() {
            shade.style().apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    /// The mark before a stage that went well.
    #[must_use]
    pub fn done(self) -> String {
        self.paint(Shade::Green, if self.unicode { "✔" } else { "ok:" })
    }

    /// The mark before a stage that failed.
    #[must_use]
    pub fn failed(self) -> String {
        self.paint(Shade::Red, if self.unicode { "✗" } else { "FAILED:" })
    }

    pub(super) fn cell(self, outcome: Outcome) -> String {
        let (shade, good, plain) = match outcome {
            Outcome::Ok => (Shade::Green, "▁", "."),
            Outcome::Failed => (Shade::Red, "✗", "x"),
            Outcome::Unknown => (Shade::Yellow, "?", "?"),
        };
        self.paint(shade, if self.unicode { good } else { plain })
    }

    pub(super) fn bar(self, share: f64, width: usize) -> String {
        let (full, empty) = if self.unicode { ("█", "░") } else { ("#", "-") };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "columns"
        )]
        let filled = ((share.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
        format!(
            "{}{}",
            full.repeat(filled),
            self.paint(Shade::Dim, &empty.repeat(width - filled))
        )
    }

    /// The text cut to so many columns.
    #[must_use]
    pub fn cut(self, text: &str, width: usize) -> String {
        truncate_str(text, width, if self.unicode { "…" } else { "~" }).into_owned()
    }
}
