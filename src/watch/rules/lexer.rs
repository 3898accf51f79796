//! Cuts the text of a condition into words, each with its place.

use super::complaint::Complaint;
use guard_model::setting::parse_duration;

/// A word of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `3`, `0.5`, `10%`.
    Number(f64),
    /// `5m`, `250ms`; in seconds.
    Span(f64),
    /// `'web'`, `"web"`.
    Text(String),
    /// `failures`, `and`.
    Word(String),
    /// `>=`, `(`, `,` …
    Sign(&'static str),
}

/// The longest first, so that `>=` is not read as `>`.
const SIGNS: &[&str] = &[
    ">=", "<=", "==", "!=", "&&", "||", ">", "<", "!", "+", "-", "*", "/", "(", ")", ",", ".",
];

/// The words with their places in bytes.
pub(super) fn cut(text: &str) -> Result<Vec<(usize, Token)>, Complaint> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        let (token, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first.is_ascii_digit() {
            number(rest, at)?
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-'))
                .unwrap_or(rest.len());
            (Token::Word(rest.get(..end).unwrap_or_default().to_owned()), end)
        } else if matches!(first, '\'' | '"') {
            let inner = rest.get(1..).unwrap_or_default();
            let Some(end) = inner.find(first) else {
                return Err(Complaint::new(at, "this quote is not closed", None));
            };
            (Token::Text(inner.get(..end).unwrap_or_default().to_owned()), end + 2)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let hint = (first == '=').then(|| "`==` compares".to_owned());
            return Err(Complaint::new(at, format!("{first:?} means nothing here"), hint));
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), Complaint> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    if unit > 0 {
        let whole = rest.get(..end + unit).unwrap_or_default();
        let span = parse_duration(whole).map_err(|message| Complaint::new(at, message, None))?;
        return Ok((Token::Span(span.as_secs_f64()), end + unit));
    }
    let number: f64 = digits
        .parse()
        .map_err(|_| Complaint::new(at, format!("{digits:?} is no number"), None))?;
    if after.starts_with('%') {
        return Ok((Token::Number(number / 100.0), end + 1));
    }
    Ok((Token::Number(number), end))
}
