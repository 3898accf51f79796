//! What is promised of the default rule, held: every scene of the simulator. `GUARD_TRIALS` makes it as long as one likes.

use std::fmt::Write;

use guard::model::health::Rule;
use guard::watch::simulate::{SCENES, figures};

#[test]
fn every_scene_comes_out_as_promised() {
    let trials = std::env::var("GUARD_TRIALS").map_or(400, |text| text.parse().unwrap());
    let (mut table, mut broken) = (String::new(), Vec::new());
    for scene in SCENES {
        let figures = figures(scene, &Rule::default(), trials);
        let bad = figures.bad();
        let at = |share| figures.after(share).unwrap_or(f64::NAN);
        let line = format!(
            "{:<4} {:<46} bad {bad:6.2} %   after {:5.1} / {:5.1} / {:5.1} s",
            scene.figure,
            scene.what,
            at(0.5),
            at(0.95),
            at(0.99)
        );
        writeln!(table, "{line}").unwrap();
        let holds = if scene.is_bad {
            // Chance leaves a bad replica of five alone now and then.
            bad >= 95.0 && at(0.95) <= scene.promise
        } else {
            // One in a few hundred is nothing that a few hundred trials can tell from one in ten thousand.
            bad <= scene.promise.max(150.0 / f64::from(trials))
        };
        if !holds {
            broken.push(format!("{line}, promised {}", scene.promise));
        }
    }
    eprintln!("{table}");
    assert!(broken.is_empty(), "{broken:#?}\n{table}");
}

#[test]
fn a_trial_is_the_same_every_time() {
    for scene in SCENES {
        assert_eq!(
            figures(scene, &Rule::default(), 6),
            figures(scene, &Rule::default(), 6),
            "{}",
            scene.key
        );
    }
}
