//! Every pair of points: guard is killed at each operation of a run, and the resume at each of its own.

use guard::model::name::RunKind;
use guard::model::plan::StageName;

use crate::figures::{reached, wanted};
use crate::sim::live;
use crate::sim::scenario::{Fate, KINDS, Scenario, plain};
use crate::sim::world::Trouble;

type Stages = [(StageName, StageName)];

/// The shapes of runs whose pairs are tried.
pub fn shapes() -> Vec<Scenario> {
    let fates = [Fate::Good, Fate::CommandFails, Fate::GateFails, Fate::WatchFails];
    let sizes: [&Stages; 3] = [&KINDS[..1], &KINDS[1..3], &KINDS];
    let mut shapes = Vec::new();
    for stages in sizes {
        shapes.extend(fates.map(|fate| plain(RunKind::Deploy, fate, stages)));
        shapes.extend([RunKind::Rollback, RunKind::Undo].map(|kind| plain(kind, Fate::Good, stages)));
    }
    shapes
}

fn with(shape: &Scenario, troubles: &[(u32, Trouble)]) -> Scenario {
    Scenario {
        troubles: troubles.to_vec(),
        // Each pair has luck of its own.
        luck: troubles.iter().fold(0, |luck, (at, _)| luck * 1_009 + u64::from(*at)),
        ..shape.clone()
    }
}

#[test]
fn fault_a1_a3_a7_l12_r2_a_run_killed_at_any_point_and_its_resume_at_any_other_is_finished() {
    let sizes = usize::try_from(wanted("GUARD_FAULTS_PAIRS", 4)).unwrap();
    let (mut pairs, mut singles) = (0_u32, 0_u32);
    for (number, shape) in shapes().iter().enumerate().take(sizes) {
        for first in [Trouble::Kill, Trouble::PowerLoss] {
            let undisturbed = live(shape, None).operations;
            for at in 1..=undisturbed {
                let story = live(&with(shape, &[(at, first)]), None);
                assert!(story.wrong.is_empty(), "shape {number}, {first:?} at {at}: {story:#?}");
                singles += 1;
                for again in at + 1..=story.operations {
                    // The other kind for the second blow, and the same now and then.
                    let second = if again % 3 == 0 {
                        Trouble::Kill
                    } else {
                        Trouble::PowerLoss
                    };
                    let story = live(&with(shape, &[(at, first), (again, second)]), None);
                    pairs += 1;
                    assert!(
                        story.wrong.is_empty(),
                        "shape {number}, {first:?} at {at}, {second:?} at {again}: {story:#?}"
                    );
                }
            }
        }
    }
    reached(
        "R2",
        "100,000 pairs, 0 failures",
        &format!("{pairs} pairs behind {singles} single points, 0 failures"),
        "GUARD_FAULTS_PAIRS=18, exhaustive",
    );
}
