//! The notifier: hands each notice to every target that wants it, aside of the run, within a few seconds, and notes what came of it.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;

use super::target::Target;
use super::way::{TOTAL, Trouble};
use super::words;
use guard_model::event::Level;
use guard_model::notice::{Notice, Occasion, Severity};
use guard_system::context::Context;
use guard_system::disk;

/// How long the first try may take.
const FIRST: Duration = Duration::from_secs(3);
/// How long a receiver is left alone before the second try.
const PAUSE: Duration = Duration::from_millis(250);
/// So many notices may be under way at once; a storm of alerts is not made worse.
const MOST: usize = 32;
/// What came of the notices of a run, in its directory.
const LOG: &str = "notifications.jsonl";

/// Tells targets. A clone tells the same ones.
#[derive(Clone)]
pub struct Notifier {
    targets: Arc<Vec<Target>>,
    cx: Context,
    runtime: Handle,
    pending: Arc<Pending>,
}

#[derive(Default)]
struct Pending {
    count: Mutex<usize>,
    fewer: Condvar,
    told: AtomicU64,
    missed: AtomicU64,
}

/// One line of the log.
#[derive(Serialize)]
struct Entry<'e> {
    at: String,
    target: &'e str,
    notice: &'e str,
    occasion: Occasion,
    severity: Severity,
    delivered: bool,
    tries: u32,
    millis: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'e str>,
}

impl Notifier {
    /// A notifier of these targets. What came of each notice stands in the run's directory, where `cx` is a run's.
    #[must_use]
    pub fn new(targets: Vec<Target>, cx: Context, runtime: Handle) -> Self {
        for secret in targets.iter().flat_map(Target::secrets) {
            cx.redaction.learn(secret);
        }
        Self {
            targets: Arc::new(targets),
            cx,
            runtime,
            pending: Arc::default(),
        }
    }

    /// Tells everybody who wants to know; returns at once. A failure is noted and changes nothing else.
    pub fn tell(&self, notice: &Notice) {
        let notice = Arc::new(words::clean(notice, &self.cx.redaction));
        for target in self.targets.iter().filter(|target| target.from <= notice.severity) {
            let mut count = self.pending.count.lock().unwrap_or_else(PoisonError::into_inner);
            if *count >= MOST {
                drop(count);
                self.note(
                    target,
                    &notice,
                    0,
                    Duration::ZERO,
                    Some("too many notices are under way"),
                );
                continue;
            }
            *count += 1;
            drop(count);
            let (notifier, target, notice) = (self.clone(), target.clone(), Arc::clone(&notice));
            self.runtime.spawn(async move {
                // Counted down even where a target panics: nobody may wait for it.
                let _done = Done(Arc::clone(&notifier.pending));
                notifier.deliver(&target, &notice).await;
            });
        }
    }

    /// Waits until every notice is delivered or given up, [`TOTAL`] and a moment at most; says whether all are.
    pub fn settle(&self) -> bool {
        let count = self.pending.count.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = TOTAL + Duration::from_millis(500);
        let waited = self
            .pending
            .fewer
            .wait_timeout_while(count, patience, |count| *count > 0);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// How many targets were told, and how many could not be.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        (count(&self.pending.told), count(&self.pending.missed))
    }

    /// The surroundings of what it tells.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.cx
    }

    async fn deliver(&self, target: &Target, notice: &Notice) {
        let begun = self.cx.clock.steady();
        let mut tries = 1;
        let mut result = self.attempt(target, notice, FIRST).await;
        if result.as_ref().is_err_and(|trouble| !trouble.is_lasting) {
            tokio::time::sleep(PAUSE).await;
            let left = TOTAL.saturating_sub(self.cx.clock.steady().saturating_sub(begun));
            tries = 2;
            result = self.attempt(target, notice, left).await;
        }
        let took = self.cx.clock.steady().saturating_sub(begun);
        let why = result.err().map(|trouble| self.cx.redaction.clean(&trouble.why));
        self.note(target, notice, tries, took, why.as_deref());
    }

    async fn attempt(&self, target: &Target, notice: &Notice, limit: Duration) -> Result<(), Trouble> {
        let told = tokio::time::timeout(limit, target.way.tell(notice, &self.cx)).await;
        told.unwrap_or_else(|_| {
            Err(Trouble::passing(format!(
                "no answer within {:.1} s",
                limit.as_secs_f64()
            )))
        })
    }

    /// Notes what came of it: in the run's directory, and for people.
    fn note(&self, target: &Target, notice: &Notice, tries: u32, took: Duration, why: Option<&str>) {
        let name = target.name.as_str();
        let counter = if why.is_none() {
            &self.pending.told
        } else {
            &self.pending.missed
        };
        counter.fetch_add(1, Ordering::SeqCst);
        match why {
            None => self
                .cx
                .note(Level::Detail, format!("{name} was told: {}", notice.title)),
            Some(why) => self.cx.note(
                Level::Warn,
                format!(
                    "{name} could not be told \"{}\": {why} (this changes nothing else)",
                    notice.title
                ),
            ),
        }
        if self.cx.run.is_none() {
            return;
        }
        let entry = Entry {
            at: self.cx.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            target: name,
            notice: &notice.id,
            occasion: notice.occasion,
            severity: notice.severity,
            delivered: why.is_none(),
            tries,
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            why,
        };
        let written = disk::open_append(&self.cx.scratch.join(LOG))
            .map_err(std::io::Error::other)
            .and_then(|mut log| log.write_all(format!("{}\n", serde_json::to_string(&entry)?).as_bytes()));
        if let Err(error) = written {
            self.cx
                .note(Level::Detail, format!("a notice could not be noted: {error}"));
        }
    }
}

/// Counts down when it is dropped.
struct Done(Arc<Pending>);

impl Drop for Done {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        self.0.fewer.notify_all();
    }
}
