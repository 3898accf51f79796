//! A container's own health check, asked at once: an engine makes the first only when an interval has passed.

use std::collections::BTreeMap;
use std::time::Duration;

use guard_system::context::Context;
use guard_system::docker::{Container, run_inside};

/// How long one check may take; one that takes longer is left to the engine, which has its own limit. A guess.
const LIMIT: Duration = Duration::from_secs(10);
/// The least time between the end of one check and the next: it is the application's own code, and may be heavy. One that takes
/// longer is followed by a rest as long as itself.
const REST: Duration = Duration::from_millis(100);

/// What the checks of containers that are starting have said.
#[derive(Debug, Default)]
pub(super) struct OwnChecks(BTreeMap<String, Said>);

#[derive(Debug)]
enum Said {
    /// Well, in the life that began then.
    Well(String),
    /// Not well: it is asked again from this moment on, by the steady clock.
    NotYet(Duration),
    /// It cannot be asked so.
    Nothing,
}

impl OwnChecks {
    /// Asks the check of each container of these whose health the engine does not know yet, all side by side, and takes it for
    /// healthy where the check says so, as the engine will. A check that fails proves nothing: the engine counts those itself.
    pub(super) fn hear(&mut self, containers: &mut [Container], cx: &Context) {
        let now = cx.clock.steady();
        let asked: Vec<&Container> = containers
            .iter()
            .filter(|one| one.is_starting() && !one.check.is_empty())
            .filter(|one| match self.0.get(&one.id) {
                None => true,
                Some(Said::Well(life)) => *life != one.started_at,
                Some(Said::NotYet(from)) => now >= *from,
                Some(Said::Nothing) => false,
            })
            .collect();
        let answers: Vec<(String, Said)> = std::thread::scope(|scope| {
            let asking: Vec<_> = asked
                .into_iter()
                .map(|one| (one.id.clone(), scope.spawn(move || ask(one, cx))))
                .collect();
            let heard = asking
                .into_iter()
                .map(|(id, one)| (id, one.join().unwrap_or(Said::Nothing)));
            heard.collect()
        });
        self.0.extend(answers);
        for one in containers.iter_mut().filter(|one| one.is_starting()) {
            if matches!(self.0.get(&one.id), Some(Said::Well(life)) if *life == one.started_at) {
                one.health = Some("healthy".to_owned());
            }
        }
    }
}

fn ask(container: &Container, cx: &Context) -> Said {
    let begun = cx.clock.steady();
    match run_inside(cx, &container.id, &container.check, LIMIT) {
        Some(Ok((0, _))) => Said::Well(container.started_at.clone()),
        Some(Ok(_)) => {
            let ended = cx.clock.steady();
            Said::NotYet(ended + ended.saturating_sub(begun).max(REST))
        }
        // A container that has ended meanwhile is seen to have; what cannot be asked through a socket is left to the engine.
        Some(Err(_)) | None => Said::Nothing,
    }
}
