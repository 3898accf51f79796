//! Every step of every shape of run fails once, often, and for good; and every step that may be repeated is done twice.

use guard::model::plan::{Action, Replay, Step};
use guard::run::plan::Place;

use crate::figures::reached;
use crate::pairs::shapes;
use crate::sim::live;
use crate::sim::scenario::Scenario;

/// The steps that a run over these resources may have.
fn steps(places: &[Place]) -> Vec<Step> {
    let mut actions = vec![
        Action::Baseline,
        Action::Seal,
        Action::Gate,
        Action::Verify,
        Action::Watch,
        Action::Evidence,
        Action::Quiesce,
        Action::Start,
        Action::Prove,
    ];
    for place in places {
        let of = [
            Action::Capture,
            Action::Prepare,
            Action::Recheck,
            Action::Restore,
            Action::Undo,
            Action::Price,
        ];
        actions.extend(of.map(|action| action(place.name.clone())));
    }
    let may_be_repeated = actions.into_iter().filter(|action| action.replay() == Replay::Safe);
    may_be_repeated.map(Step::of).collect()
}

#[test]
fn fault_l13_l14_every_step_may_fail_and_may_be_done_twice() {
    let mut count = 0;
    for shape in shapes() {
        for step in steps(&shape.places) {
            let name = step.id.as_str().to_owned();
            let failing = |times, permanent| Some((name.clone(), times, permanent));
            let mut stories = vec![Scenario {
                twice: Some(name.clone()),
                ..shape.clone()
            }];
            for (times, permanent) in [(1, false), (3, false), (7, false), (1, true), (7, true)] {
                stories.push(Scenario {
                    failing: failing(times, permanent),
                    ..shape.clone()
                });
            }
            for story in stories {
                let lived = live(&story, None);
                assert!(lived.wrong.is_empty(), "{story:?}\n{lived:#?}");
                count += 1;
            }
        }
    }
    reached(
        "L13",
        "every step failing once, three times, for good; every step twice",
        &format!("{count} runs, 0 violations"),
        "exhaustive",
    );
}
