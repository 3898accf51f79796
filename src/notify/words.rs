//! A notice in the form of each kind of target. What a service said must not become a command of the receiver's.

use quick_xml::escape::partial_escape;
use serde_json::{Value, json};

use guard_model::notice::{Notice, Severity};
use guard_model::secret::Redaction;
use guard_model::text::{sanitised, shortened};

/// The longest text, in characters; receivers cut or refuse longer ones.
const LONGEST: usize = 2_500;
/// The longest line, in characters.
const LONGEST_LINE: usize = 400;

/// The notice without secrets, control characters, line breaks inside a line, and calls to everybody.
pub(super) fn clean(notice: &Notice, redaction: &Redaction) -> Notice {
    let clean = |text: &str| shortened(&calm(&sanitised(redaction.clean(text).trim())), LONGEST_LINE);
    let mut room = LONGEST;
    let mut lines = Vec::new();
    for line in &notice.lines {
        let line = clean(line);
        room = room.saturating_sub(line.chars().count());
        if room == 0 {
            break;
        }
        lines.push(line);
    }
    Notice {
        title: clean(&notice.title),
        project: clean(&notice.project),
        environment: notice.environment.as_deref().map(clean),
        host: clean(&notice.host),
        lines,
        ..notice.clone()
    }
}

/// Breaks the words by which chat programs wake everybody: `@everyone`, `@channel`, `@here`, `@all`. Several receivers that
/// are not Slack read them in plain text. An invisible space behind the `@` is all it takes.
fn calm(text: &str) -> String {
    let mut calmed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = rest.split_at(at + 1);
        calmed.push_str(before);
        let lower: String = after.chars().take(8).collect::<String>().to_lowercase();
        if ["everyone", "channel", "here", "all"]
            .iter()
            .any(|word| lower.starts_with(word))
        {
            calmed.push('\u{200b}');
        }
        rest = after;
    }
    calmed.push_str(rest);
    calmed
}

/// `shop (production) on web-1`.
fn place(notice: &Notice) -> String {
    let environment = notice
        .environment
        .as_ref()
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!("{}{environment} on {}", notice.project, notice.host)
}

/// Slack's form. Slack reads `<…>` as commands and `&` as the start of an entity; with these three escaped, no text can
/// mention anybody or hide where a link leads.
pub(super) fn slack(notice: &Notice) -> Value {
    let mark = match notice.severity {
        Severity::Info => ":white_check_mark:",
        Severity::Warning => ":warning:",
        Severity::Critical => ":rotating_light:",
    };
    let mut text = format!(
        "{mark} *{}*\n{}",
        partial_escape(place(notice)),
        partial_escape(notice.title.as_str())
    );
    for line in &notice.lines {
        text.push('\n');
        text.push_str(&partial_escape(line.as_str()));
    }
    json!({ "text": text, "link_names": false, "unfurl_links": false, "unfurl_media": false })
}

/// The generic form: the notice as JSON, with its text in one piece for receivers that only show one.
pub(super) fn plain_json(notice: &Notice) -> Value {
    let mut value = serde_json::to_value(notice).unwrap_or(Value::Null);
    if let Some(map) = value.as_object_mut() {
        map.insert("version".to_owned(), 1.into());
        map.insert("text".to_owned(), body(notice).into());
    }
    value
}

/// The subject of a mail.
pub(super) fn subject(notice: &Notice) -> String {
    let urgency = match notice.severity {
        Severity::Info => "",
        Severity::Warning => "warning: ",
        Severity::Critical => "CRITICAL: ",
    };
    shortened(&format!("[guard] {urgency}{}: {}", place(notice), notice.title), 180)
}

/// The text of a mail.
pub(super) fn body(notice: &Notice) -> String {
    let run = notice
        .run
        .as_ref()
        .map(|run| format!("run {run}, "))
        .unwrap_or_default();
    let last = format!("{run}{}", notice.at.format("%Y-%m-%d %H:%M:%S UTC"));
    let lines = [place(notice), notice.title.clone()]
        .into_iter()
        .chain(notice.lines.iter().cloned());
    lines
        .chain([last])
        .fold(String::new(), |text, line| text + &line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_woken_by_a_service() {
        assert_eq!(
            calm("@here @HERE mail@allen.example @ x"),
            "@\u{200b}here @\u{200b}HERE mail@\u{200b}allen.example @ x"
        );
        assert_eq!(calm("@Channel"), "@\u{200b}Channel");
    }
}
