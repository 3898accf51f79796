//! Stories drawn by proptest, each from one number, so that one which goes wrong shrinks to the shortest that does.

use guard::model::name::RunKind;
use guard::model::plan::StageName;
use guard::model::policy::{OnFailure, OnInconclusive};
use guard::run::plan::Place;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::planted::Bug;
use super::scenario::{Fate, KINDS, Scenario, plain};
use super::world::Trouble;
use super::{Story, live};

// What stands further ahead in a list is what a story shrinks to; what stands in it twice is drawn twice as often.

const JOURNEYS: [RunKind; 6] = [
    RunKind::Deploy,
    RunKind::Deploy,
    RunKind::Deploy,
    RunKind::Rollback,
    RunKind::Undo,
    RunKind::Backup,
];

const FATES: [Fate; 9] = [
    Fate::Good,
    Fate::Good,
    Fate::CommandFails,
    Fate::CommandFails,
    Fate::GateFails,
    Fate::VerifyFails,
    Fate::WatchFails,
    Fate::Inconclusive,
    Fate::Unwell,
];

const TROUBLES: [Trouble; 12] = [
    Trouble::Kill,
    Trouble::Kill,
    Trouble::PowerLoss,
    Trouble::PowerLoss,
    Trouble::Stop,
    Trouble::Stop,
    Trouble::Contender,
    Trouble::Errors(1),
    Trouble::Errors(3),
    Trouble::Errors(u32::MAX),
    Trouble::Jump(-366 * 86_400),
    Trouble::Jump(3_660 * 86_400),
];

/// Steps that may be made to fail; those that end in a slash are about one resource.
const STEPS: [&str; 10] = [
    "seal", "evidence", "quiesce", "start", "prove", "capture/", "prepare/", "recheck/", "restore/", "undo/",
];

/// A trouble comes at one of so many operations; where a run has fewer, it is counted from the first again.
const MOMENTS: u32 = 180;

/// So often a story that goes wrong is made shorter.
const SHORTER: u32 = 2_000;

/// A shorter story needs other luck to go wrong in the same way: each is lived with these as well, with none at first.
const LUCKS: u64 = 16;

#[derive(Debug, Clone)]
struct Resource {
    stages: (StageName, StageName),
    is_kept: bool,
    is_late: bool,
}

#[derive(Debug, Clone)]
struct Failing {
    step: &'static str,
    resource: usize,
    times: u32,
    is_permanent: bool,
}

/// Every story. What a part of it comes to may hang on how many resources there are, so that is settled when it is made.
fn stories() -> impl Strategy<Value = Scenario> {
    let resource =
        (prop::sample::select(&KINDS[..]), any::<bool>(), any::<bool>()).prop_map(|(stages, is_kept, is_late)| {
            Resource {
                stages,
                is_kept,
                is_late,
            }
        });
    let failing = (
        prop::sample::select(&STEPS[..]),
        0_usize..12,
        1_u32..=4,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(step, resource, times, is_permanent)| Failing {
            step,
            resource,
            times,
            is_permanent,
        });
    let hold = || prop::bool::weighted(0.1);
    let wishes = (hold(), hold(), hold(), any::<bool>());
    let odd = (
        prop::bool::weighted(0.05),
        prop::bool::weighted(1.0 / 12.0),
        prop::bool::weighted(0.5),
    );
    (
        prop::collection::vec((0..MOMENTS, prop::sample::select(&TROUBLES[..])), 0..5),
        prop::option::weighted(0.25, failing),
        prop::option::weighted(0.04, 0_usize..12),
        wishes,
        odd,
        prop::collection::vec(resource, 1..=4),
        prop::sample::select(&FATES[..]),
        prop::sample::select(&JOURNEYS[..]),
    )
        .prop_map(|(troubles, failing, rotten, wishes, odd, resources, fate, kind)| {
            let stages: Vec<_> = resources.iter().map(|resource| resource.stages).collect();
            let mut story = plain(kind, fate, &stages);
            let is_whole = matches!(fate, Fate::Good | Fate::Inconclusive) || kind != RunKind::Deploy;
            for (index, resource) in resources.iter().enumerate() {
                story.changes[index] = is_whole || !resource.is_kept;
                if !story.changes[index] && resource.stages.1 == StageName::Data && resource.is_late {
                    story.late = Some(index);
                }
            }
            let count = story.places.len();
            story.rotten = rotten.filter(|_| kind == RunKind::Deploy).map(|index| index % count);
            let (is_withheld, is_old_unwell, stands_by) = odd;
            story.standby = stands_by;
            story.withholds = is_withheld;
            story.is_old_well = !is_old_unwell;
            let policy = &mut story.policy;
            for (wish, is_held) in [
                (&mut policy.on_failure, wishes.0),
                (&mut policy.on_unknown, wishes.1),
                (&mut policy.on_interrupt, wishes.2),
            ] {
                if is_held {
                    *wish = OnFailure::Hold;
                }
            }
            if wishes.3 {
                policy.on_inconclusive = OnInconclusive::Rollback;
            }
            story.failing = failing.map(|failing| {
                let name = named(failing.step, &story.places, failing.resource);
                (name, failing.times, failing.is_permanent)
            });
            let operations = 60 + 30 * u32::try_from(count).unwrap();
            story.troubles = troubles
                .into_iter()
                .map(|(moment, trouble)| (1 + moment % operations, trouble))
                .collect();
            story
        })
}

fn named(step: &str, places: &[Place], resource: usize) -> String {
    if step.ends_with('/') {
        format!("{step}{}", places[resource % places.len()].name)
    } else {
        step.to_owned()
    }
}

fn drawn(seed: u64) -> impl ValueTree<Value = Scenario> {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    stories().new_tree(&mut TestRunner::new_with_rng(config, rng)).unwrap()
}

fn with(luck: u64, story: Scenario) -> Scenario {
    Scenario { luck, ..story }
}

/// The story of this number.
pub fn story(seed: u64) -> Scenario {
    with(seed, drawn(seed).current())
}

/// The same with every trouble so many operations earlier.
fn earlier(by: u32, mut story: Scenario) -> Scenario {
    for (at, _) in &mut story.troubles {
        *at = at.saturating_sub(by).max(1);
    }
    story
}

/// The shortest story that the one of this number shrinks to, and how it goes wrong; `None` where that one does not.
pub fn shortest(seed: u64, bug: Option<Bug>) -> Option<(Scenario, Story)> {
    let wrong = |story: Scenario| {
        let lived = live(&story, bug);
        (!lived.wrong.is_empty()).then_some((story, lived))
    };
    let mut tree = drawn(seed);
    let mut least = wrong(with(seed, tree.current()))?;
    // With a resource less everything is earlier, by as many operations as it took.
    let mut shift = 0;
    let (mut left, mut is_other) = (SHORTER, tree.simplify());
    while is_other && left > 0 {
        left -= 1;
        let other = tree.current();
        let is_smaller = other.places.len() < least.0.places.len();
        let shifts = shift..shift + if is_smaller { MOMENTS } else { 1 };
        let found = shifts.into_iter().find_map(|by| {
            let other = earlier(by, other.clone());
            let found = (0..LUCKS)
                .chain([seed])
                .find_map(|luck| wrong(with(luck, other.clone())));
            found.map(|found| (by, found))
        });
        is_other = if let Some((by, found)) = found {
            (shift, least) = (by, found);
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    Some(least)
}
