//! A rule of the user's: its condition, what follows when it holds, and how it is read from its table.

use std::time::Duration;

use super::parser::parse;
use super::tree::Expr;
use guard_model::health::Numbers;
use guard_model::name::{ProbeName, RuleName};
use guard_model::notice::Severity;
use guard_model::section::Section;
use guard_model::setting::Value;
use guard_model::text::duration;

/// What follows when a rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The release is bad.
    Rollback,
    /// The release is bad, and a person decides what becomes of it.
    Hold,
    /// Somebody is told.
    Alert,
    /// The evidence is kept as it is now.
    PreserveLogs,
    /// A command runs, aside of the watch.
    Run(Vec<String>),
}

impl Then {
    /// Whether it ends the watch.
    #[must_use]
    pub fn decides(&self) -> bool {
        matches!(self, Self::Rollback | Self::Hold)
    }

    fn words(&self) -> String {
        match self {
            Self::Rollback => "roll back".to_owned(),
            Self::Hold => "hold for a person".to_owned(),
            Self::Alert => "alert".to_owned(),
            Self::PreserveLogs => "keep the logs".to_owned(),
            Self::Run(words) => format!("run `{}`", words.first().map(String::as_str).unwrap_or_default()),
        }
    }
}

/// A rule of the user's.
#[derive(Debug, Clone)]
pub struct UserRule {
    /// Its name.
    pub name: RuleName,
    /// Its condition as it was written.
    pub text: String,
    /// Its condition.
    pub when: Expr,
    /// What follows.
    pub then: Then,
    /// How long the condition has to hold without a break.
    pub lasting: Duration,
    /// How long it is quiet after it fired. A rollback needs none: it happens once.
    pub cooldown: Duration,
    /// Of rules that hold at the same moment, the one with the greatest priority comes first.
    pub priority: i64,
    /// How much an alert matters, the first time.
    pub severity: Severity,
}

impl UserRule {
    /// Reads a rule from its table. Names of probes and functions, and the types of all parts, are checked here: nothing
    /// of a rule can be wrong later.
    pub fn read(name: RuleName, section: &mut Section<'_>, probes: &[(ProbeName, Numbers)]) -> Option<Self> {
        let _known = section.take("name");
        let choices = [Severity::Info, Severity::Warning, Severity::Critical].map(|one| (one.as_str(), one));
        let severity = section.choice("severity", &choices).unwrap_or(Severity::Warning);
        let lasting = section.duration("for").unwrap_or_default();
        let cooldown = section.duration("cooldown").unwrap_or(Duration::from_mins(10));
        let priority = section.whole("priority", -1000..=1000).unwrap_or(0);
        let then = then(section);
        let text = section.required_text("when")?;
        match parse(&text, probes) {
            Ok(when) => Some(Self {
                name,
                text,
                when,
                then: then?,
                lasting,
                cooldown,
                priority,
                severity,
            }),
            Err(complaint) => {
                section.problem_within("when", complaint.at, complaint.message, complaint.hint.as_deref());
                None
            }
        }
    }

    /// The rule in one sentence, for people: `failures('web', 5m) >= 3 for 10 s: roll back`.
    #[must_use]
    pub fn words(&self) -> String {
        let lasting = if self.lasting.is_zero() {
            String::new()
        } else {
            format!(" for {}", duration(self.lasting))
        };
        format!("{}{lasting}: {}", self.text, self.then.words())
    }
}

fn then(section: &mut Section<'_>) -> Option<Then> {
    let is_command = section
        .take("then")
        .is_some_and(|item| matches!(item.value, Value::List(_)));
    if is_command {
        return section.words("then").map(Then::Run);
    }
    if !section.has("then") {
        let hint = "rollback, hold, alert, preserve-logs, or a command as a list of words";
        section.problem("then", "is missing: what follows?", Some(hint.to_owned()));
        return None;
    }
    let choices = [
        ("rollback", Then::Rollback),
        ("hold", Then::Hold),
        ("alert", Then::Alert),
        ("preserve-logs", Then::PreserveLogs),
    ];
    section.choice("then", &choices)
}
