//! What follows when a rule of the user's fires: somebody is told, logs are kept, a command runs. All of it aside of the watch.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use guard_model::event::{Event, Level};
use guard_services::keep_evidence;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_watch::{Fired, Then, Trace};

/// How long a rule's command may take. A guess.
const LIMIT: Duration = Duration::from_mins(10);
/// What the rules saw, in the run's directory.
const TRACES: &str = "rules.jsonl";

/// How long guard waits at its own end for what rules have set going. A guess.
const PATIENCE: Duration = Duration::from_secs(10);

/// What rules have set going and is not over: shared by all watches of a run, and waited for at its end.
#[derive(Clone, Default)]
pub struct Errands(Arc<(Mutex<usize>, Condvar)>);

/// One of them; it is over when this is dropped.
struct Errand(Errands);

impl Errands {
    fn begin(&self, work: impl FnOnce() + Send + 'static) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let errand = Errand(self.clone());
        tokio::task::spawn_blocking(move || {
            work();
            drop(errand);
        });
    }

    /// Waits until all of it is over, ten seconds at most: a command that takes longer goes on without guard.
    pub fn settle(&self) {
        let (open, ended) = &*self.0;
        let open = open.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether it is over or late, guard ends.
        drop(ended.wait_timeout_while(open, PATIENCE, |open| *open > 0));
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let (open, ended) = &*self.0.0;
        *open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ended.notify_all();
    }
}

/// What acting needs to know of the run.
#[derive(Clone)]
pub(super) struct Acting {
    /// The Compose project, where there is one.
    pub(super) project: Option<String>,
    /// The units of systemd that are services.
    pub(super) units: Vec<String>,
    /// From when on logs are kept.
    pub(super) since: DateTime<Utc>,
    /// Where it is noted what is under way.
    pub(super) errands: Errands,
}

impl Acting {
    /// Acts on what fired. The watch does not wait for it, and nothing of it can fail the watch.
    pub(super) fn act(&self, fired: Fired, cx: &Context) {
        cx.voice.tell(&Event::Alert {
            rule: fired.rule.clone(),
            severity: fired.severity,
            text: cx.redaction.clean(&fired.text),
        });
        let (cx, acting) = (cx.unstoppable(), self.clone());
        match fired.then {
            // The verdict says the rest, and the evidence of a rollback is kept by itself.
            Then::Rollback | Then::Hold | Then::Alert => {}
            Then::PreserveLogs => {
                let at = cx.clock.now().format("%H%M%S");
                let directory = cx.scratch.join(format!("evidence-{}-{at}", fired.rule));
                self.errands.begin(move || {
                    for note in keep_evidence(&directory, acting.project.as_deref(), &acting.units, acting.since, &cx) {
                        cx.note(Level::Warn, format!("evidence: {note}"));
                    }
                });
            }
            Then::Run(words) => {
                let Some(mut call) = Call::of_words(&words) else { return };
                for (name, value) in cx.announced.iter() {
                    call = call.env(name, value);
                }
                self.errands.begin(move || {
                    if let Err(error) = cx.output(&call.timeout(LIMIT)) {
                        cx.note(Level::Warn, format!("{}: its command failed: {error}", fired.rule));
                    }
                });
            }
        }
    }
}

/// Keeps what the rules saw.
pub(super) fn trace(traces: &[Trace], cx: &Context) {
    if traces.is_empty() || cx.run.is_none() {
        return;
    }
    let mut text = String::new();
    for trace in traces {
        text.push_str(&cx.redaction.clean(&serde_json::to_string(trace).unwrap_or_default()));
        text.push('\n');
    }
    let written = disk::open_append(&cx.scratch.join(TRACES))
        .map_err(std::io::Error::other)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        cx.note(Level::Warn, format!("what the rules saw could not be kept: {error}"));
    }
}
