//! Which release guard has left, and whether it is still the one that is live: somebody may have deployed by hand meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::artifact::{Prepared, Work};
use guard_model::event::Level;
use guard_model::name::ResourceName;
use guard_model::policy::OnFailure;
use guard_resources::Member;
use guard_system::context::Context;
use guard_system::disk;

/// The file in the run's directory: each resource that can tell, with the release that was live of it.
const LEFT: &str = "left.json";

/// Which release is live, by resource and its parts.
pub type Left = BTreeMap<ResourceName, BTreeMap<String, String>>;

/// What a deploy command has made of the release that was live, in the run's directory.
pub const RELEASED: &str = "released.json";

/// Which release was live before the deploy command and after it.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Released {
    /// Before it.
    pub before: Left,
    /// After it, whatever it ended with.
    pub after: Left,
}

/// Says that nobody looked whether another release is live by now. It holds no way back: that has to be open on bad days.
pub fn not_known(why: &dyn std::fmt::Display, cx: &Context) {
    let note = format!("whether somebody has deployed since is not known: {why}");
    cx.note(Level::Warn, note);
}

/// What a run has left; `None` where it left nothing, or where what it left cannot be read, which is told.
#[must_use]
pub fn left_by(run: &Path, cx: &Context) -> Option<Left> {
    let bytes = disk::read_optional(&run.join(LEFT));
    let bytes = bytes.map_err(|error| not_known(&error, cx)).ok().flatten()?;
    let left = serde_json::from_slice(&bytes);
    left.map_err(|error| not_known(&format!("{LEFT}: {error}"), cx)).ok()
}

/// In what a resource is not as guard left it, in words. Only a part that is there then and now can be another: one that has
/// died is what a way back is for, and nobody's deployment.
#[must_use]
pub fn drift(resource: &Member, left: &Left, cx: &Context) -> Option<String> {
    let name = resource.name();
    let then = left.get(name)?;
    // What cannot be told now has not been found to be another, and is not called the same either.
    let (asked, there) = resource.at(cx);
    let now = asked.live_release(&there);
    let now = now.map_err(|error| not_known(&format!("{name}: {error}"), cx)).ok()?;
    let others: Vec<String> = then
        .iter()
        .filter_map(|(part, before)| Some((part, before, now.get(part)?)))
        .filter(|(_, before, now)| before != now)
        .map(|(part, before, now)| format!("{part} is {now}, and guard left {before}"))
        .collect();
    (!others.is_empty()).then(|| format!("{name}: {}", others.join("; ")))
}

impl StepRunner {
    /// Which release is live now, of what can tell; what cannot be told is left out.
    pub(super) fn live_now(&self, cx: &Context) -> Left {
        let told = |member: &Member| {
            let (resource, there) = member.at(cx);
            let release = resource.live_release(&there).ok()?;
            (!release.is_empty()).then_some(release)
        };
        let all = self.resources.iter();
        all.filter_map(|(name, resource)| Some((name.clone(), told(resource)?)))
            .collect()
    }

    /// Writes down which release is live, where nothing was written down earlier in the run.
    pub fn keep_left(&self, cx: &Context) {
        match disk::exists(&cx.scratch.join(LEFT)) {
            Ok(false) => self.keep_left_anew(cx),
            Err(error) if cx.run.is_some() => Self::unseen(&error, cx),
            Ok(true) | Err(_) => {}
        }
    }

    fn unseen(why: &dyn std::fmt::Display, cx: &Context) {
        cx.note(Level::Warn, format!("a deployment by hand would not be noticed: {why}"));
    }

    /// Writes down which release is live, over what was written down earlier in the run.
    pub fn keep_left_anew(&self, cx: &Context) {
        if cx.run.is_none() {
            return;
        }
        let path = cx.scratch.join(LEFT);
        let unseen = |why: &dyn std::fmt::Display| Self::unseen(why, cx);
        let told = |member: &Member| {
            let (resource, there) = member.at(cx);
            let release = resource.live_release(&there).map_err(|error| unseen(&error)).ok()?;
            (!release.is_empty()).then_some(release)
        };
        let left: Left = self
            .resources
            .iter()
            .filter_map(|(name, resource)| Some((name.clone(), told(resource)?)))
            .collect();
        match serde_json::to_vec(&left).map(|bytes| disk::write_whole(&path, &bytes)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => unseen(&error),
            Err(error) => unseen(&error),
        }
    }

    /// What the policy makes of a resource that somebody else has deployed since the release was let through its gate: to put
    /// it back would undo their work, and perhaps their repair.
    pub(super) fn withheld_for_drift(&self, name: &ResourceName, history: &History, cx: &Context) -> Option<Prepared> {
        let left = left_by(&cx.scratch, cx)?;
        let why = drift(self.resources.get(name)?, &left, cx)?;
        let why = format!("somebody has deployed since: {why}");
        if history.plan().policy.on_drift == OnFailure::Rollback {
            cx.note(
                Level::Warn,
                format!("{why}; it is put back all the same, as the policy says"),
            );
            return None;
        }
        Some(Prepared {
            resource: name.clone(),
            work: Work::Withheld(why),
            details: serde_json::Value::Null,
            price: Vec::new(),
        })
    }
}
