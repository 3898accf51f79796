//! GitLab CI: sections in the log, a dotenv report, a `JUnit` report, and the report of the run as an artifact.

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use quick_xml::escape::escape;

use super::markup::Markup;
use super::pairs::pairs;
use crate::line::Line;
use crate::result::{Outcome, StageOutcome};
use crate::run_view::{RunView, State};
use guard_model::fact::{Fact, Record};
use guard_model::text;
use guard_system::disk::{DiskError, write_whole};

/// The marks of GitLab CI.
#[derive(Debug, Default)]
pub struct GitLab {
    section: Option<String>,
    last: Option<DateTime<Utc>>,
}

impl GitLab {
    fn end(&mut self) -> String {
        let at = self.last.map_or(0, |at| at.timestamp());
        self.section.take().map_or_else(String::new, |name| {
            format!("\u{1b}[0Ksection_end:{at}:{name}\r\u{1b}[0K\n")
        })
    }
}

impl Markup for GitLab {
    fn line(&self, plain: &str, _: &Line) -> String {
        format!("{plain}\n")
    }

    fn fact(&mut self, record: &Record, view: &RunView) -> String {
        self.last = Some(record.at);
        match &record.fact {
            Fact::Begun { step } => {
                let Some(stage) = view.stage_of(step) else {
                    return String::new();
                };
                let name = format!(
                    "guard_{}_{}",
                    if stage.is_back { "back" } else { "ahead" },
                    stage.number
                );
                if self.section.as_ref() == Some(&name) {
                    return String::new();
                }
                let ended = self.end();
                let began = format!(
                    "\u{1b}[0Ksection_start:{}:{name}\r\u{1b}[0K{}\n",
                    record.at.timestamp(),
                    stage.title()
                );
                self.section = Some(name);
                ended + &began
            }
            Fact::RollbackBegan { .. } | Fact::Closed { .. } => self.end(),
            _ => String::new(),
        }
    }

    fn close(&mut self) -> String {
        self.end()
    }
}

/// A text as XML: safe in an attribute and in an element.
fn xml(text: &str) -> String {
    escape(text::sanitised(text)).into_owned()
}

/// The stages of a run as a `JUnit` report: each stage that ran is a case, and the ending is the last.
#[must_use]
pub fn junit(outcome: &Outcome) -> String {
    let ran: Vec<&StageOutcome> = outcome
        .stages
        .iter()
        .filter(|stage| stage.state != State::Waiting)
        .collect();
    let is_good = outcome.exit_code.number() == 0;
    let failures = ran.iter().filter(|stage| stage.state != State::Done).count() + usize::from(!is_good);
    let why = outcome
        .failure
        .as_ref()
        .map(|failure| failure.chain.join(": "))
        .unwrap_or_default();
    let seconds = outcome.seconds.unwrap_or_default();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"guard\" tests=\"{}\" failures=\"{failures}\" time=\"{seconds:.3}\">\n",
        ran.len() + 1,
    );
    let mut case = |name: &str, seconds: f64, failure: Option<String>| {
        let failure = failure
            .map(|why| format!("<failure message=\"{}\"/>", xml(&why)))
            .unwrap_or_default();
        let _infallible = writeln!(
            text,
            "<testcase classname=\"guard\" name=\"{}\" time=\"{seconds:.3}\">{failure}</testcase>",
            xml(name)
        );
    };
    for stage in ran {
        let failure = (stage.state != State::Done).then(|| format!("{}: {why}", stage.state.as_str()));
        case(&stage.title, stage.seconds.unwrap_or_default(), failure);
    }
    case(
        "production",
        seconds,
        (!is_good).then(|| format!("{} ({why})", outcome.production)),
    );
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}

/// `report` is the page; the Markdown stands beside it, with `.md` at its end.
pub(super) fn publish(
    [dotenv, junit_file, report]: [&Path; 3],
    outcome: &Outcome,
    markdown: &str,
    page: &str,
) -> Result<(), DiskError> {
    let mut variables = String::new();
    for (name, value) in pairs(outcome) {
        let _infallible = writeln!(
            variables,
            "GUARD_{}={}",
            name.to_ascii_uppercase(),
            text::sanitised(&value)
        );
    }
    let told = write_whole(dotenv, variables.as_bytes());
    let tested = write_whole(junit_file, junit(outcome).as_bytes());
    let written = write_whole(report, page.as_bytes());
    let beside = write_whole(&report.with_extension("md"), markdown.as_bytes());
    beside.and(written).and(tested).and(told)
}
