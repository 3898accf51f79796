//! Databases of one cluster that are put back, or back again, in one run: their swaps wait for each other, and are one
//! transaction.
//!
//! Each database is put back by a thread of its own. The last one to be ready swaps for all; one that fails before lets none
//! be swapped. What a killed guard leaves is all old or all new, and each finds its own state when it is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::exchange::{Swap, make_all};
use super::reach::Reach;
use crate::{ResourceError, Result};
use guard_model::text::chain;
use guard_system::context::Context;

/// How long is waited for somebody of whom nothing was heard: steps that are done one after the other never meet. A guess.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked.
const TICK: Duration = Duration::from_millis(20);

/// Who is where in one meeting.
#[derive(Default)]
struct Meeting {
    members: BTreeMap<String, State>,
    /// Those who have gone; the meeting is forgotten when all have come and gone.
    left: BTreeSet<String>,
    /// Who was swapped, and why that failed, where it did.
    outcome: Option<(Vec<String>, std::result::Result<(), String>)>,
}

/// How far a member is.
#[derive(Clone)]
enum State {
    Coming,
    Ready(Swap),
    /// It needs no swap any more.
    Through,
    Failed,
}

static MEETINGS: LazyLock<Mutex<BTreeMap<String, Meeting>>> = LazyLock::new(Mutex::default);

fn meetings() -> MutexGuard<'static, BTreeMap<String, Meeting>> {
    // A thread that panicked has left its meeting as failed, by its seat.
    MEETINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A member's place in a meeting; one that is given up without a swap has failed.
pub(super) struct Seat {
    key: String,
    name: String,
    others: Vec<String>,
}

impl Seat {
    /// The place of the live database `name` among those of the same cluster that are exchanged at the same time; `others`
    /// are clusters and live databases. None where it is alone, or nobody knows which cluster it is of.
    pub(super) fn among(
        cluster: Option<&str>,
        name: &str,
        others: impl Iterator<Item = (Option<String>, String)>,
        cx: &Context,
    ) -> Option<Self> {
        let cluster = cluster?;
        let others: Vec<String> = others
            .filter(|(of, other)| of.as_deref() == Some(cluster) && other != name)
            .map(|(_, other)| other)
            .collect();
        (!others.is_empty()).then(|| Self::take(&format!("{cluster} {}", cx.token()), name, others))
    }

    /// Takes part; `key` is the same for all that belong together, `name` is this one's live database, `others` are those of
    /// the ones who are to come.
    fn take(key: &str, name: &str, others: Vec<String>) -> Self {
        let mut meetings = meetings();
        let meeting = meetings.entry(key.to_owned()).or_default();
        if meeting.left.contains(name) {
            // Somebody who comes back begins anew.
            *meeting = Meeting::default();
        }
        meeting.members.insert(name.to_owned(), State::Coming);
        Self {
            key: key.to_owned(),
            name: name.to_owned(),
            others,
        }
    }

    fn set(&self, state: State) {
        if let Some(meeting) = meetings().get_mut(&self.key) {
            meeting.members.insert(self.name.clone(), state);
        }
    }

    /// Says that there is nothing to be swapped any more.
    pub(super) fn pass(&self) {
        self.set(State::Through);
    }

    /// Waits for the others, and swaps together with them.
    pub(super) fn swap(&self, swap: &Swap, reach: &Reach, maintenance: &str, cx: &Context) -> Result<()> {
        self.set(State::Ready(swap.clone()));
        let begun = cx.clock.steady();
        loop {
            let is_late = cx.clock.steady().saturating_sub(begun) > PATIENCE;
            if let Some(swaps) = self.turn(is_late)? {
                if swaps.is_empty() {
                    return Ok(());
                }
                let swapped = make_all(&swaps, reach, maintenance, cx);
                let told = match &swapped {
                    Ok(()) => Ok(()),
                    Err(error) => Err(chain(error)),
                };
                let who = swaps.into_iter().map(|swap| swap.live).collect();
                if let Some(meeting) = meetings().get_mut(&self.key) {
                    meeting.outcome = Some((who, told));
                    meeting.members.insert(self.name.clone(), State::Through);
                }
                return swapped;
            }
            cx.clock.sleep(TICK);
        }
    }

    /// What this member has to do now: nothing yet; nothing any more; or to swap all these.
    fn turn(&self, is_late: bool) -> Result<Option<Vec<Swap>>> {
        let mut meetings = meetings();
        let Some(meeting) = meetings.get_mut(&self.key) else {
            return Ok(Some(Vec::new()));
        };
        match &meeting.outcome {
            Some((who, Ok(()))) if who.contains(&self.name) => {
                meeting.members.insert(self.name.clone(), State::Through);
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
            match meeting.members.get(name) {
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
            if let Some(state @ State::Ready(_)) = meeting.members.get_mut(name) {
                *state = State::Coming;
            }
        }
        meeting.members.insert(self.name.clone(), State::Coming);
        Ok(Some(swaps))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut meetings = meetings();
        if let Some(meeting) = meetings.get_mut(&self.key) {
            if let Some(state) = meeting.members.get_mut(&self.name)
                && !matches!(state, State::Through)
            {
                *state = State::Failed;
            }
            meeting.left.insert(self.name.clone());
            if self.others.iter().all(|name| meeting.left.contains(name)) {
                meetings.remove(&self.key);
            }
        }
    }
}
