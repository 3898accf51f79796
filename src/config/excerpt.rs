//! The line of the file that a problem is about, with a caret below the place.

use std::iter;

use guard_model::secret::is_secret_name;
use guard_model::setting::{Problem, Source};
use guard_model::text::sanitised;

/// Characters of a line that are shown; of a longer one, those around the place.
const WIDTH: usize = 90;
/// Characters that stand before the place in a line that is too long.
const BEFORE: usize = 30;
/// What stands for what must not be seen.
const MASK: char = '…';

/// Gives each problem of this text its line and a caret. A problem whose place is no line of the text, as that of a flag or a
/// variable, has none.
pub(super) fn add(source: &Source, problems: &mut [Problem]) {
    for problem in problems {
        if problem.excerpt.is_none() {
            problem.excerpt = of(source, &problem.place);
        }
    }
}

fn of(source: &Source, place: &str) -> Option<String> {
    let (line, column) = place.strip_prefix(&source.name)?.strip_prefix(':')?.split_once(':')?;
    let (number, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let line = source.text.lines().nth(number.checked_sub(1)?)?;
    if line.trim().is_empty() {
        return None;
    }
    let shown: Vec<char> = masked(line, is_inside_secret(&source.text, number)).chars().collect();
    // A tab is one character here and in the caret's line, so that both are as wide.
    let at = column.saturating_sub(1).min(shown.len());
    let first = if shown.len() > WIDTH {
        at.saturating_sub(BEFORE)
    } else {
        0
    };
    let part: String = shown.iter().skip(first).take(WIDTH).collect();
    let front = if first > 0 { "…" } else { "" };
    let back = if shown.len() > first + WIDTH { "…" } else { "" };
    let room: String = front
        .chars()
        .map(|_| ' ')
        .chain(
            part.chars()
                .take(at - first)
                .map(|c| if c == '\t' { '\t' } else { ' ' }),
        )
        .collect();
    let gutter = number.to_string();
    let empty: String = iter::repeat_n(' ', gutter.len()).collect();
    Some(format!(
        "{gutter} | {}\n{empty} | {room}^",
        kept(&format!("{front}{part}{back}"))
    ))
}

/// Escaped, but for tabs: what a terminal would obey is shown.
fn kept(text: &str) -> String {
    text.split('\t').map(sanitised).collect::<Vec<_>>().join("\t")
}

/// Whether a line goes on with the value of a key that holds a secret, as the items of a list and the lines of a long string
/// do. Such a value is over with the line that closes it; until then nothing of it is taken for a key.
fn is_inside_secret(text: &str, number: usize) -> bool {
    let mut closing = None;
    for line in text.lines().take(number.saturating_sub(1)) {
        if let Some(end) = closing {
            if closes(line, end) {
                closing = None;
            }
            continue;
        }
        let secret = line.match_indices('=').find(|(at, _)| holds_secret(&line[..*at]));
        let Some((at, _)) = secret else { continue };
        let value = line[at + 1..].trim_start();
        for (opening, end) in [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")] {
            if let Some(rest) = value.strip_prefix(opening)
                && !closes(rest, end)
            {
                closing = Some(end);
            }
        }
    }
    closing.is_some()
}

/// Whether a line closes a value. A bracket within a string does not, and where that cannot be told the value goes on: rather
/// too much is left out than too little.
fn closes(line: &str, end: &str) -> bool {
    match end {
        "]" | "}" => line.trim_end().trim_end_matches(',').ends_with(end),
        _ => line.contains(end),
    }
}

/// Whether the key that ends here holds a secret, by its name.
fn holds_secret(front: &str) -> bool {
    let between = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    let name = front.trim_end_matches(|c: char| c == '"' || c == '\'' || c.is_whitespace());
    let name = name.rsplit(between).next().unwrap_or_default().replace('-', "_");
    let is_other = ["authorization", "cookie", "identity"]
        .iter()
        .any(|other| name.eq_ignore_ascii_case(other));
    is_other || is_secret_name(&name)
}

/// The line without secrets: what stands after a key whose name says that it holds one, and what comes after `://`.
/// What is written here is in no list of secrets yet, since the settings could not be read.
fn masked(line: &str, is_inside: bool) -> String {
    let mut end = if is_inside { 0 } else { line.len() };
    if let Some((at, _)) = line.match_indices('=').find(|(at, _)| holds_secret(&line[..*at])) {
        end = end.min(at + 1);
    }
    if let Some(at) = line.find("://") {
        end = end.min(at + 3);
    }
    match line.get(..end) {
        Some(front) if end < line.len() => format!("{front}{MASK}"),
        _ => line.to_owned(),
    }
}
