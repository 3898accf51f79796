//! What the checks before a run have found: facts, warnings, and what refuses it.

use guard_resources::{Obstacle, Survey};

/// One finding.
pub(super) struct Finding {
    pub(super) about: String,
    pub(super) obstacle: Obstacle,
}

/// Everything that was looked at.
#[derive(Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) facts: Vec<(String, String)>,
    /// What no restore has proven yet, and of which resource.
    pub(super) untried: Vec<(String, String)>,
    pub(super) copy_bytes: u64,
    pub(super) side_bytes: u64,
}

impl Report {
    /// What keeps the run from beginning.
    pub(super) fn refuse(&mut self, about: &str, what: impl Into<String>, advice: impl Into<String>) {
        self.note(about, what, advice, true);
    }

    pub(super) fn warn(&mut self, about: &str, what: impl Into<String>, advice: impl Into<String>) {
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

    pub(super) fn fact(&mut self, about: &str, fact: impl Into<String>) {
        self.facts.push((about.to_owned(), fact.into()));
    }

    pub(super) fn take(&mut self, about: &str, survey: Survey) {
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

    pub(super) fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.obstacle.refuses)
    }
}
