//! What happens to a simulated run: its journey, its release, its policy, and its troubles; told as the source that makes it.

use std::fmt::{self, Display, Formatter};

use chrono::{DateTime, Utc};
use guard::model::name::RunKind;
use guard::model::plan::StageName;
use guard::model::policy::Policy;
use guard::run::plan::Place;

use super::world::Trouble;

/// What becomes of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is good.
    Good,
    /// Production is unwell before it.
    Unwell,
    /// The command fails half-way.
    CommandFails,
    /// It never answers.
    GateFails,
    /// It does not pass the user's checks.
    VerifyFails,
    /// It fails during the watch.
    WatchFails,
    /// The watch sees too little.
    Inconclusive,
}

/// A run's whole story.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What chance decides while the story is lived; 0: nothing comes by chance, and what was not synced is lost.
    pub luck: u64,
    /// The journey.
    pub kind: RunKind,
    /// The release.
    pub fate: Fate,
    /// Where the resources are copied and put back; resource 3 is called `r3`.
    pub places: Vec<Place>,
    /// Which of them the release changes.
    pub changes: Vec<bool>,
    /// A data resource that the release writes to only when it is about to be stopped.
    pub late: Option<usize>,
    /// A resource whose copy is damaged while the deploy command runs.
    pub rotten: Option<usize>,
    /// Whether copies of databases are made to stand by while the release is deployed.
    pub standby: bool,
    /// Whether the data policy forbids to put back what has changed.
    pub withholds: bool,
    /// Whether the old state passes its probes.
    pub is_old_well: bool,
    /// What was decided beforehand.
    pub policy: Policy,
    /// A step that fails so many times, and whether for good.
    pub failing: Option<(String, u32, bool)>,
    /// A step that is done twice each time.
    pub twice: Option<String>,
    /// What comes, by operation.
    pub troubles: Vec<(u32, Trouble)>,
}

/// The moment at which every run begins.
pub fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_761_147_000, 0).unwrap()
}

/// A plain story without any trouble.
pub fn plain(kind: RunKind, fate: Fate, stages: &[(StageName, StageName)]) -> Scenario {
    let place = |(index, (captured_in, restored_in)): (usize, &(StageName, StageName))| Place {
        name: format!("r{index}").parse().unwrap(),
        captured_in: *captured_in,
        restored_in: *restored_in,
    };
    Scenario {
        luck: 0,
        kind,
        fate,
        places: stages.iter().enumerate().map(place).collect(),
        changes: vec![true; stages.len()],
        late: None,
        rotten: None,
        standby: true,
        withholds: false,
        is_old_well: true,
        policy: Policy::default(),
        failing: None,
        twice: None,
        troubles: Vec::new(),
    }
}

/// Where a resource may be copied and put back.
pub const KINDS: [(StageName, StageName); 4] = [
    (StageName::Databases, StageName::Data),
    (StageName::Volumes, StageName::Data),
    (StageName::Surroundings, StageName::Code),
    (StageName::Surroundings, StageName::Images),
];

impl Scenario {
    /// What the deploy command writes, last first.
    pub fn release(&self) -> Vec<(String, String)> {
        let changed = (0..self.places.len()).filter(|index| self.changes[*index]);
        changed
            .map(|index| (format!("live/r{index}"), new(index)))
            .rev()
            .collect()
    }
}

/// The expression that makes this story, to be put into a test: what is as in a plain one is left out.
impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let stage = |place: &Place| {
            KINDS
                .iter()
                .position(|kind| *kind == (place.captured_in, place.restored_in))
        };
        let stages: Vec<_> = self.places.iter().filter_map(stage).collect();
        let kinds: Vec<_> = stages.iter().map(|stage| KINDS[*stage]).collect();
        let plain = plain(self.kind, self.fate, &kinds);
        writeln!(f, "Scenario {{")?;
        if self.luck != plain.luck {
            writeln!(f, "    luck: {},", self.luck)?;
        }
        if self.changes != plain.changes {
            writeln!(f, "    changes: vec!{:?},", self.changes)?;
        }
        if self.late.is_some() {
            writeln!(f, "    late: {:?},", self.late)?;
        }
        if self.rotten.is_some() {
            writeln!(f, "    rotten: {:?},", self.rotten)?;
        }
        if !self.standby {
            writeln!(f, "    standby: false,")?;
        }
        if self.withholds {
            writeln!(f, "    withholds: true,")?;
        }
        if !self.is_old_well {
            writeln!(f, "    is_old_well: false,")?;
        }
        if self.policy != plain.policy {
            self.tell_policy(f)?;
        }
        if let Some((step, times, is_permanent)) = &self.failing {
            writeln!(f, "    failing: Some(({step:?}.to_owned(), {times}, {is_permanent})),")?;
        }
        if let Some(step) = &self.twice {
            writeln!(f, "    twice: Some({step:?}.to_owned()),")?;
        }
        if !self.troubles.is_empty() {
            let told = |(at, trouble): &(u32, Trouble)| format!("({at}, Trouble::{trouble:?})");
            let told: Vec<_> = self.troubles.iter().map(told).collect();
            writeln!(f, "    troubles: vec![{}],", told.join(", "))?;
        }
        let told: Vec<_> = stages.iter().map(|stage| format!("KINDS[{stage}]")).collect();
        writeln!(
            f,
            "    ..plain(RunKind::{:?}, Fate::{:?}, &[{}])\n}}",
            self.kind,
            self.fate,
            told.join(", ")
        )
    }
}

impl Scenario {
    fn tell_policy(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (plain, policy) = (Policy::default(), &self.policy);
        writeln!(f, "    policy: Policy {{")?;
        for (name, wish, default) in [
            ("on_failure", policy.on_failure, plain.on_failure),
            ("on_unknown", policy.on_unknown, plain.on_unknown),
            ("on_interrupt", policy.on_interrupt, plain.on_interrupt),
        ] {
            if wish != default {
                writeln!(f, "        {name}: OnFailure::{wish:?},")?;
            }
        }
        if policy.on_inconclusive != plain.on_inconclusive {
            writeln!(
                f,
                "        on_inconclusive: OnInconclusive::{:?},",
                policy.on_inconclusive
            )?;
        }
        writeln!(f, "        ..Policy::default()\n    }},")
    }
}

/// What the old state of a resource holds.
pub fn old(index: usize) -> String {
    format!("the old state of resource {index}")
}

/// What the new state of a resource holds.
pub fn new(index: usize) -> String {
    format!("new: resource {index} of the release")
}
