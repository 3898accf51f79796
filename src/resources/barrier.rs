//! The barrier of one run at which resources that are swapped together wait for each other, so that one of them swaps for all.
//!
//! Each resource is put back by a thread of its own. The last one to be ready swaps for all; one that fails before lets none
//! be swapped. What a killed guard leaves is all old or all new, and each finds its own state when it is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{ResourceError, Result};
use guard_model::text::chain;
use guard_system::context::Context;

/// How long is waited for a participant of whom nothing was heard: steps that are done one after the other never meet. A guess.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked.
const TICK: Duration = Duration::from_millis(20);

/// Where resources that are swapped together wait for each other. The engine makes one for each run, and hands it to each swap
/// as part of its [`Group`](crate::abilities::Group).
#[derive(Debug, Default)]
pub struct SwapBarrier {
    rounds: Mutex<BTreeMap<String, Round>>,
}

/// One swap: `incoming` becomes `live`, and what is `live` becomes `outgoing`. Names, as the kind gives them.
#[derive(Debug, Clone)]
pub(crate) struct Swap {
    pub(crate) live: String,
    pub(crate) incoming: String,
    pub(crate) outgoing: String,
}

/// Who is where in one swap of several.
#[derive(Debug, Default)]
struct Round {
    members: BTreeMap<String, State>,
    /// Those who have gone; the round is forgotten when all have come and gone.
    left: BTreeSet<String>,
    /// Who was swapped, and why that failed, where it did.
    outcome: Option<(Vec<String>, std::result::Result<(), String>)>,
}

/// How far a member is.
#[derive(Debug, Clone)]
enum State {
    Coming,
    Ready(Swap),
    /// It needs no swap any more.
    Through,
    Failed,
}

impl SwapBarrier {
    fn rounds(&self) -> MutexGuard<'_, BTreeMap<String, Round>> {
        // A thread that panicked has left its round as failed, by its drop.
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part; `key` is the same for all that belong together, `name` is this one's live thing, `others` are those of the
    /// ones who are to come.
    fn take(&self, key: &str, name: &str, others: Vec<String>) -> Participant<'_> {
        let mut rounds = self.rounds();
        let round = rounds.entry(key.to_owned()).or_default();
        if round.left.contains(name) {
            // One that comes back begins anew.
            *round = Round::default();
        }
        round.members.insert(name.to_owned(), State::Coming);
        Participant {
            barrier: self,
            key: key.to_owned(),
            name: name.to_owned(),
            others,
        }
    }

    /// The place of the live database `name` among those of the same cluster that are swapped at the same time; `others`
    /// are clusters and live databases. None where it is alone, or its cluster is not known.
    pub(crate) fn among(
        &self,
        cluster: Option<&str>,
        name: &str,
        others: impl Iterator<Item = (Option<String>, String)>,
        cx: &Context,
    ) -> Option<Participant<'_>> {
        let cluster = cluster?;
        let others: Vec<String> = others
            .filter(|(of, other)| of.as_deref() == Some(cluster) && other != name)
            .map(|(_, other)| other)
            .collect();
        (!others.is_empty()).then(|| self.take(&format!("{cluster} {}", cx.token()), name, others))
    }
}

/// A member's place in a round; one that is given up without a swap has failed.
#[derive(Debug)]
pub(crate) struct Participant<'b> {
    barrier: &'b SwapBarrier,
    key: String,
    name: String,
    others: Vec<String>,
}

impl Participant<'_> {
    fn set(&self, state: State) {
        if let Some(round) = self.barrier.rounds().get_mut(&self.key) {
            round.members.insert(self.name.clone(), state);
        }
    }

    /// Says that there is nothing to be swapped any more.
    pub(crate) fn pass(&self) {
        self.set(State::Through);
    }

    /// Waits for the others, and swaps together with them: `make` swaps all that it is given, or none.
    pub(crate) fn swap(&self, swap: &Swap, make: impl Fn(&[Swap]) -> Result<()>, cx: &Context) -> Result<()> {
        self.set(State::Ready(swap.clone()));
        let begun = cx.clock.steady();
        loop {
            let is_late = cx.clock.steady().saturating_sub(begun) > PATIENCE;
            if let Some(swaps) = self.turn(is_late)? {
                if swaps.is_empty() {
                    return Ok(());
                }
                let swapped = make(&swaps);
                let told = match &swapped {
                    Ok(()) => Ok(()),
                    Err(error) => Err(chain(error)),
                };
                let who = swaps.into_iter().map(|swap| swap.live).collect();
                if let Some(round) = self.barrier.rounds().get_mut(&self.key) {
                    round.outcome = Some((who, told));
                    round.members.insert(self.name.clone(), State::Through);
                }
                return swapped;
            }
            cx.clock.sleep(TICK);
        }
    }

    /// What this member has to do now: nothing yet; nothing any more; or to swap all these.
    fn turn(&self, is_late: bool) -> Result<Option<Vec<Swap>>> {
        let mut rounds = self.barrier.rounds();
        let Some(round) = rounds.get_mut(&self.key) else {
            return Ok(Some(Vec::new()));
        };
        match &round.outcome {
            Some((who, Ok(()))) if who.contains(&self.name) => {
                round.members.insert(self.name.clone(), State::Through);
                return Ok(Some(Vec::new()));
            }
            Some((who, Err(why))) if who.contains(&self.name) => {
                let what = format!("the databases of this server are swapped together, and the swap failed: {why}");
                return Err(ResourceError::new(what));
            }
            _ => {}
        }
        let mut swaps = Vec::new();
        for name in self.others.iter().chain([&self.name]) {
            match round.members.get(name) {
                Some(State::Ready(swap)) => swaps.push(swap.clone()),
                Some(State::Through) => {}
                None if is_late => {}
                None | Some(State::Coming) => return Ok(None),
                Some(State::Failed) => {
                    let what = format!(
                        "nothing was swapped, since `{name}` on the same server could not be put back, and both go together"
                    );
                    return Err(ResourceError::new(what));
                }
            }
        }
        // Only one swaps for all: the others find nobody ready but themselves in the meantime.
        for name in &self.others {
            if let Some(state @ State::Ready(_)) = round.members.get_mut(name) {
                *state = State::Coming;
            }
        }
        round.members.insert(self.name.clone(), State::Coming);
        Ok(Some(swaps))
    }
}

impl Drop for Participant<'_> {
    fn drop(&mut self) {
        let mut rounds = self.barrier.rounds();
        if let Some(round) = rounds.get_mut(&self.key) {
            if let Some(state) = round.members.get_mut(&self.name)
                && !matches!(state, State::Through)
            {
                *state = State::Failed;
            }
            round.left.insert(self.name.clone());
            if self.others.iter().all(|name| round.left.contains(name)) {
                rounds.remove(&self.key);
            }
        }
    }
}
