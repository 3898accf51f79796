//! What `guard check` learns about a resource before anyone goes forward.

/// What `guard check` learns about a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// What is in the way.
    pub obstacles: Vec<Obstacle>,
    /// What is worth knowing: versions, sizes, modes.
    pub facts: Vec<String>,
    /// What no restore has proven yet, a sentence: the way back is not called open then.
    pub untried: Option<String>,
    /// Bytes that a copy may take, where it can be estimated.
    pub copy_bytes: Option<u64>,
    /// Bytes that a restore needs beside the live resource, where it can be estimated.
    pub side_bytes: Option<u64>,
}

/// One thing in the way of a copy or a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// Whether a deployment is refused for it; else it is a warning.
    pub refuses: bool,
}

impl Survey {
    /// Adds an obstacle for which a deployment is refused.
    pub fn refuse(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.obstacles.push(Obstacle {
            what: what.into(),
            advice: advice.into(),
            refuses: true,
        });
    }

    /// Adds a warning.
    pub fn warn(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.obstacles.push(Obstacle {
            what: what.into(),
            advice: advice.into(),
            refuses: false,
        });
    }

    /// Adds a fact.
    pub fn fact(&mut self, fact: impl Into<String>) {
        self.facts.push(fact.into());
    }
}
