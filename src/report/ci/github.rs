//! GitHub Actions: groups, annotations, the step summary and the step's outputs.
//!
//! `::add-mask::` is not used: it writes the secret itself into the stream, and whoever else reads that stream has it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::markup::Markup;
use super::pairs::pairs;
use crate::line::{Line, Tone};
use crate::result::Outcome;
use crate::run_view::RunView;
use guard_model::fact::{Fact, Record};
use guard_model::text;
use guard_system::disk::{At, DiskError, open_append};

/// The marks of GitHub Actions.
#[derive(Debug, Default)]
pub struct GitHub {
    group: Option<String>,
}

/// A text as the message of a workflow command.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A line in which the runner finds no workflow command: neither `::…` at its head nor `##[…` anywhere.
fn inert(line: &str) -> String {
    let line = line.replace("##[", "# #[");
    if line.trim_start().starts_with("::") {
        format!("| {line}")
    } else {
        line
    }
}

impl GitHub {
    fn end(&mut self) -> String {
        self.group
            .take()
            .map_or_else(String::new, |_| "::endgroup::\n".to_owned())
    }
}

impl Markup for GitHub {
    fn line(&self, plain: &str, line: &Line) -> String {
        // GitHub shows ten annotations of a kind for a step: one for each thing told, none for the lines that explain it.
        let is_head = !line.text.starts_with(' ') && !line.text.is_empty();
        match line.tone {
            Tone::Error if is_head => format!("::error title=guard::{}\n", escaped(&line.text)),
            Tone::Warn if is_head => format!("::warning title=guard::{}\n", escaped(&line.text)),
            _ => inert(plain) + "\n",
        }
    }

    fn fact(&mut self, record: &Record, view: &RunView) -> String {
        match &record.fact {
            Fact::Begun { step } => {
                let title = view.stage_of(step).map(|stage| (stage.title(), stage.is_back));
                let title = title.map(|(title, is_back)| if is_back { format!("Back, {title}") } else { title });
                if title.is_none() || title == self.group {
                    return String::new();
                }
                let ended = self.end();
                self.group = title;
                let title = escaped(self.group.as_deref().unwrap_or_default());
                format!("{ended}::group::{title}\n")
            }
            Fact::RollbackBegan { .. } | Fact::Closed { .. } => self.end(),
            _ => String::new(),
        }
    }

    fn close(&mut self) -> String {
        self.end()
    }
}

pub(super) fn publish(
    summary: Option<&Path>,
    output: Option<&Path>,
    outcome: &Outcome,
    report: &str,
) -> Result<(), DiskError> {
    let mut outputs = String::new();
    for (name, value) in pairs(outcome) {
        // One line each, whatever a path may hold: a line end would let it set another output.
        let _infallible = writeln!(outputs, "{name}={}", text::sanitised(&value));
    }
    let append = |path: Option<&Path>, text: &str| match path {
        Some(path) => open_append(path)?.write_all(text.as_bytes()).at("write", path),
        None => Ok(()),
    };
    let told = append(output, &outputs);
    let ended = if report.ends_with('\n') { "" } else { "\n" };
    append(summary, &format!("{report}{ended}")).and(told)
}
