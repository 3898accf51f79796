//! Why a command ended without a run: what failed, why, what state production is in, and the one command to run next.

use std::error::Error;

use serde_json::Value;

use guard_model::exit::ExitCode;
use guard_model::fact::Failure;
use guard_model::setting::Problem;
use guard_report::failure::{Account, Next};

/// A command that ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The exit code.
    pub exit: ExitCode,
    /// The error in four parts.
    pub account: Box<Account>,
    /// What else there is to tell to whoever reads JSON: an object, laid beside the account.
    pub details: Box<Value>,
}

impl Refusal {
    /// A refusal with one sentence.
    #[must_use]
    pub fn new(exit: ExitCode, sentence: impl Into<String>) -> Self {
        Self::of_failure(exit, &Failure::new(sentence))
    }

    /// A refusal that an error explains, with its whole chain.
    #[must_use]
    pub fn of_error(exit: ExitCode, error: &(dyn Error + 'static)) -> Self {
        Self::of_failure(exit, &Failure::from_error(error))
    }

    /// A refusal that a failure explains.
    #[must_use]
    pub fn of_failure(exit: ExitCode, failure: &Failure) -> Self {
        let production = exit
            .meaning()
            .map_or("as the journal says", |meaning| meaning.production);
        Self {
            exit,
            account: Box::new(Account::of_failure(
                failure,
                format!("production is {production}"),
                None,
            )),
            details: Box::default(),
        }
    }

    /// What is said of a panic. A run that it cut off is resumed like any other.
    #[must_use]
    pub fn of_bug(message: &str, program: &str) -> Self {
        Self::new(ExitCode::BUG, "a bug in guard ended it")
            .because(message)
            .because("the run's directory keeps what is needed to report it, in bug.log")
            .next("to go on with a run that it cut off", format!("{program} resume"))
    }

    /// All that is wrong with the settings.
    #[must_use]
    pub fn of_problems(problems: &[Problem]) -> Self {
        let headline = match problems.len() {
            1 => "the settings are wrong".to_owned(),
            count => format!("the settings are wrong in {count} places"),
        };
        let mut refusal = Self::new(ExitCode::USAGE, headline);
        let told = problems.iter().map(|problem| match &problem.excerpt {
            Some(excerpt) => format!("{problem}\n{excerpt}"),
            None => problem.to_string(),
        });
        refusal.account.why = told.collect();
        refusal.next("when they are corrected", "guard check")
    }

    /// The refusal with a further reason.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.account.why.push(why.into());
        self
    }

    /// The refusal with more for whoever reads JSON.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Box::new(details);
        self
    }

    /// The refusal with the command to run next.
    #[must_use]
    pub fn next(mut self, purpose: &str, command: impl Into<String>) -> Self {
        self.account.next = Some(Next::new(purpose, command));
        self
    }
}

/// What a command returns: the exit code it ends with.
pub type Outcome = Result<ExitCode, Refusal>;
