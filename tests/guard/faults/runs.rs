//! Simulated runs by the thousand: power loss, kills, I/O errors, clock jumps, signals, two actors; no promise is broken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::figures::{reached, wanted};
use crate::sim::live;
use crate::sim::scenario::Scenario;

/// Lives the stories of these seeds on all processors; the first that goes wrong, and what was wrong.
fn first_wrong(seeds: std::ops::Range<u64>) -> Option<(u64, Vec<String>)> {
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let worker = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return None;
                }
                let wrong = live(&Scenario::of(seed), None).wrong;
                if !wrong.is_empty() {
                    next.store(seeds.end, Ordering::Relaxed);
                    return Some((seed, wrong));
                }
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let found = workers.into_iter().filter_map(|worker| worker.join().unwrap());
        found.min_by_key(|(seed, _)| *seed)
    })
}

#[test]
fn r3_no_simulated_run_breaks_a_promise() {
    if let Ok(seed) = std::env::var("GUARD_FAULTS_SEED") {
        let scenario = Scenario::of(seed.parse().unwrap());
        let story = live(&scenario, None);
        panic!("seed {seed}: {scenario:?}\n{story:?}\n{}", story.facts);
    }
    let count = wanted("GUARD_FAULTS_RUNS", 10_000);
    // Another set every time: what is found once is replayed by its number.
    let chosen = wanted("GUARD_FAULTS_FROM", u64::from(std::process::id()) << 32);
    let begun = Instant::now();
    if let Some((seed, wrong)) = first_wrong(chosen..chosen + count) {
        panic!("{wrong:#?}\nGUARD_FAULTS_SEED={seed} replays it");
    }
    reached(
        "R3",
        "500,000 runs in 120 s, 0 violations",
        &format!("{count} runs in {} s, 0 violations", begun.elapsed().as_secs()),
        &format!("seeds from {chosen}"),
    );
}
