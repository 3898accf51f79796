//! What happens to a simulated run: its journey, its release, its policy, and its troubles, all from one number.

use chrono::{DateTime, Utc};
use guard::model::name::RunKind;
use guard::model::plan::StageName;
use guard::model::policy::{OnFailure, OnInconclusive, Policy};
use guard::run::plan::Place;

use super::chance::Chance;
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

const FATES: [Fate; 9] = [
    Fate::Good,
    Fate::Good,
    Fate::Unwell,
    Fate::CommandFails,
    Fate::CommandFails,
    Fate::GateFails,
    Fate::VerifyFails,
    Fate::WatchFails,
    Fate::Inconclusive,
];

/// A run's whole story.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The number it came from.
    pub seed: u64,
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
        seed: 0,
        kind,
        fate,
        places: stages.iter().enumerate().map(place).collect(),
        changes: vec![true; stages.len()],
        late: None,
        rotten: None,
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
    /// The story of this number.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let kinds = [
            RunKind::Deploy,
            RunKind::Deploy,
            RunKind::Deploy,
            RunKind::Rollback,
            RunKind::Undo,
            RunKind::Backup,
        ];
        let stages: Vec<_> = (0..=chance.below(4)).map(|_| *chance.pick(&KINDS)).collect();
        let mut scenario = plain(*chance.pick(&kinds), *chance.pick(&FATES), &stages);
        scenario.seed = seed;
        let is_whole = matches!(scenario.fate, Fate::Good | Fate::Inconclusive) || scenario.kind != RunKind::Deploy;
        for (index, place) in scenario.places.iter().enumerate() {
            let changes = is_whole || chance.one_in(2);
            scenario.changes[index] = changes;
            if !changes && place.restored_in == StageName::Data && chance.one_in(2) {
                scenario.late = Some(index);
            }
        }
        scenario.rotten = (scenario.kind == RunKind::Deploy && chance.one_in(25)).then(|| chance.below(stages.len()));
        scenario.withholds = chance.one_in(20);
        scenario.is_old_well = !chance.one_in(12);
        for wish in [
            &mut scenario.policy.on_failure,
            &mut scenario.policy.on_unknown,
            &mut scenario.policy.on_interrupt,
        ] {
            if chance.one_in(10) {
                *wish = OnFailure::Hold;
            }
        }
        if chance.one_in(2) {
            scenario.policy.on_inconclusive = OnInconclusive::Rollback;
        }
        scenario.failing = chance.one_in(4).then(|| {
            let name = chance.below(stages.len());
            let steps = ["capture", "prepare", "recheck", "restore", "undo"].map(|verb| format!("{verb}/r{name}"));
            let others = ["seal", "evidence", "quiesce", "start", "prove"].map(str::to_owned);
            let step = if chance.one_in(2) {
                chance.pick(&steps)
            } else {
                chance.pick(&others)
            };
            (step.clone(), *chance.pick(&[1, 2, 3, 4]), chance.one_in(5))
        });
        let troubles = [
            Trouble::Kill,
            Trouble::Kill,
            Trouble::PowerLoss,
            Trouble::PowerLoss,
            Trouble::Errors(1),
            Trouble::Errors(3),
            Trouble::Errors(u32::MAX),
            Trouble::Jump(-366 * 86_400),
            Trouble::Jump(3_660 * 86_400),
            Trouble::Stop,
            Trouble::Stop,
            Trouble::Contender,
        ];
        for _ in 0..chance.below(5) {
            let at = 1 + u32::try_from(chance.below(60 + 30 * stages.len())).unwrap();
            scenario.troubles.push((at, *chance.pick(&troubles)));
        }
        scenario
    }

    /// What the deploy command writes, last first.
    pub fn release(&self) -> Vec<(String, String)> {
        let changed = (0..self.places.len()).filter(|index| self.changes[*index]);
        changed
            .map(|index| (format!("live/r{index}"), new(index)))
            .rev()
            .collect()
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
