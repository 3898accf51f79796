//! What the checks before a run have found: facts, warnings, and what refuses it.

use guard_resources::{Obstacle, Survey};

/// One finding.
pub struct Finding {
    /// What it is about: a resource, or a word as `disk`.
    pub about: String,
    /// What was found, and what can be done about it.
    pub obstacle: Obstacle,
}

/// Everything that was looked at.
#[derive(Default)]
pub struct Report {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is as it should be, and of what.
    pub facts: Vec<(String, String)>,
    /// What no restore has proven yet, and of which resource.
    pub untried: Vec<(String, String)>,
    /// What the backup takes at most, in bytes.
    pub copy_bytes: u64,
    /// What a way back stages beside production, in bytes.
    pub side_bytes: u64,
}

impl Report {
    /// What keeps the run from beginning.
    pub fn refuse(&mut self, about: &str, what: impl Into<String>, advice: impl Into<String>) {
        self.note(about, what, advice, true);
    }

    /// What is told, and keeps nothing from beginning.
    pub fn warn(&mut self, about: &str, what: impl Into<String>, advice: impl Into<String>) {
        self.note(about, what, advice, false);
    }

    fn note(&mut self, about: &str, what: impl Into<String>, advice: impl Into<String>, refuses: bool) {
        let obstacle = Obstacle {
            what: what.into(),
            advice: advice.into(),
            refuses,
        };
        self.findings.push(Finding {
            about: about.to_owned(),
            obstacle,
        });
    }

    /// What is as it should be.
    pub fn fact(&mut self, about: &str, fact: impl Into<String>) {
        self.facts.push((about.to_owned(), fact.into()));
    }

    /// Takes in what a resource has found about itself.
    pub fn take(&mut self, about: &str, survey: Survey) {
        self.findings
            .extend(survey.obstacles.into_iter().map(|obstacle| Finding {
                about: about.to_owned(),
                obstacle,
            }));
        self.facts
            .extend(survey.facts.into_iter().map(|fact| (about.to_owned(), fact)));
        self.untried
            .extend(survey.untried.into_iter().map(|untried| (about.to_owned(), untried)));
        self.copy_bytes += survey.copy_bytes.unwrap_or_default();
        self.side_bytes += survey.side_bytes.unwrap_or_default();
    }

    /// What keeps the run from beginning.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.obstacle.refuses)
    }
}
