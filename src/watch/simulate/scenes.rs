//! The scenes: what can befall a release, each with what guard promises about it.

use super::luck::Luck;
use super::said::{Said, World};
use guard_model::health::Outcome;

/// Something that befalls a release.
#[derive(Clone, Copy)]
pub struct Scene {
    /// A short name.
    pub key: &'static str,
    /// What happens, for people.
    pub what: &'static str,
    /// How the figure is called.
    pub figure: &'static str,
    /// Draws a trial: how the probe answers, and the second in which the fault begins.
    pub world: fn(&mut Luck) -> (World, f64),
    /// How it answered before the deployment, where that matters.
    pub before: Option<fn(&mut Luck) -> World>,
    /// Whether the release should be found bad; else it should stay.
    pub is_bad: bool,
    /// What is promised of the default rule: the time (95 %) in seconds, or the share of false alarms in percent.
    pub promise: f64,
}

const fn scene(
    figure: &'static str,
    key: &'static str,
    what: &'static str,
    world: fn(&mut Luck) -> (World, f64),
    is_bad: bool,
    promise: f64,
) -> Scene {
    Scene {
        key,
        what,
        figure,
        world,
        before: None,
        is_bad,
        promise,
    }
}

const fn after(before: fn(&mut Luck) -> World, scene: Scene) -> Scene {
    Scene {
        before: Some(before),
        ..scene
    }
}

/// All of them.
pub const SCENES: &[Scene] = &[
    scene(
        "M1",
        "down",
        "down for good after minute 2",
        |luck| down(luck, 0.001),
        true,
        12.0,
    ),
    scene(
        "M2",
        "hang",
        "silent for good after minute 2",
        |luck| down(luck, 5.0),
        true,
        12.0,
    ),
    scene("M3", "one-of-2", "1 of 2 replicas bad", |_| replicas(2.0), true, 65.0),
    scene("M3", "one-of-3", "1 of 3 replicas bad", |_| replicas(3.0), true, 115.0),
    scene("M3", "one-of-5", "1 of 5 replicas bad", |_| replicas(5.0), true, 300.0),
    scene(
        "M4",
        "stray-1",
        "healthy, 1 % stray failures",
        |_| (stray(0.01), 0.0),
        false,
        0.01,
    ),
    scene(
        "M4",
        "stray-2",
        "healthy, 2 % stray failures",
        |_| (stray(0.02), 0.0),
        false,
        0.01,
    ),
    scene(
        "M4",
        "stray-5",
        "healthy, 5 % stray failures",
        |_| (stray(0.05), 0.0),
        false,
        0.05,
    ),
    scene("M5", "outage-9", "one outage of 9 s", outage, false, 0.01),
    scene(
        "M6",
        "slow-start",
        "a start of up to 55 s, then a restart of 28 s",
        slow_start,
        false,
        0.1,
    ),
    after(
        |_| stray(0.15),
        scene(
            "M7",
            "as-before",
            "failing 15 % before and after",
            |_| (stray(0.15), 0.0),
            false,
            5.0,
        ),
    ),
    scene(
        "M8",
        "flap-10",
        "8 s down, 10 s up, and again",
        |luck| flapping(luck, 10.0),
        true,
        60.0,
    ),
    scene(
        "M8",
        "flap-20",
        "8 s down, 20 s up, and again",
        |luck| flapping(luck, 20.0),
        true,
        90.0,
    ),
    scene(
        "M8",
        "flap-40",
        "8 s down, 40 s up, and again",
        |luck| flapping(luck, 40.0),
        true,
        150.0,
    ),
    scene(
        "M9",
        "dead",
        "the container ends at its start",
        |_| (Box::new(|_, _| ended()), 0.0),
        true,
        3.0,
    ),
    after(
        |_| paced(0.1),
        scene(
            "M10",
            "slow-3",
            "answers take 3 times as long",
            |luck| slower(luck, 3.0),
            true,
            165.0,
        ),
    ),
    after(
        |_| paced(0.1),
        scene(
            "M10",
            "slow-5",
            "answers take 5 times as long",
            |luck| slower(luck, 5.0),
            true,
            135.0,
        ),
    ),
    after(
        |_| paced(0.1),
        scene(
            "M10",
            "slow-1",
            "answers take as long as before",
            |_| (paced(0.1), 0.0),
            false,
            0.1,
        ),
    ),
];

fn down(luck: &mut Luck, silence: f64) -> (World, f64) {
    let begin = 120.0 + luck.share();
    let world = move |t: f64, luck: &mut Luck| {
        if t < begin {
            return Said::refused_if(luck.share() < 0.01);
        }
        Said {
            took: silence,
            ..Said::REFUSED
        }
    };
    (Box::new(world), begin)
}

fn replicas(count: f64) -> (World, f64) {
    // The gate is passed first: a bad one may be asked there as well, which only makes the gate later.
    (
        Box::new(move |t, luck| Said::refused_if(t >= 2.0 && luck.share() < 1.0 / count)),
        2.0,
    )
}

fn stray(share: f64) -> World {
    Box::new(move |_, luck| Said::refused_if(luck.share() < share))
}

fn outage(luck: &mut Luck) -> (World, f64) {
    let begin = 5.0 + 580.0 * luck.share();
    let world = move |t: f64, _: &mut Luck| Said::refused_if((begin..begin + 9.0).contains(&t));
    (Box::new(world), begin)
}

fn slow_start(luck: &mut Luck) -> (World, f64) {
    let start = 55.0 * luck.share();
    let restart = start + 5.0 + 50.0 * luck.share();
    let world = move |t: f64, _: &mut Luck| Said::refused_if(t < start || (restart..restart + 28.0).contains(&t));
    (Box::new(world), 0.0)
}

fn flapping(luck: &mut Luck, up: f64) -> (World, f64) {
    // From the beginning of the first outage on, wherever between two probes that is.
    let begin = 120.0 + luck.share();
    let world = move |t: f64, _: &mut Luck| Said::refused_if(t >= begin && (t - begin) % (8.0 + up) < 8.0);
    (Box::new(world), begin)
}

fn ended() -> Said {
    Said {
        is_ended: true,
        ..Said::REFUSED
    }
}

fn paced(median: f64) -> World {
    Box::new(move |_, luck| Said {
        outcome: Outcome::Ok,
        took: luck.latency(median),
        is_ended: false,
    })
}

fn slower(luck: &mut Luck, factor: f64) -> (World, f64) {
    let begin = 60.0 + 60.0 * luck.share();
    let world = move |t: f64, luck: &mut Luck| Said {
        outcome: Outcome::Ok,
        took: luck.latency(if t < begin { 0.1 } else { 0.1 * factor }),
        is_ended: false,
    };
    (Box::new(world), begin)
}
