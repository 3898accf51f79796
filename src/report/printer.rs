//! The printer: a thread of its own between a run and its display, so that no terminal or pipe can hold the run up.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

use super::display::{Display, Told, What};
use super::displays::Displays;
use super::failure::Account;
use super::queue::{Queue, Taken};
pub use super::streams::{Streams, size_of_stderr};
use super::style::Style;
use guard_model::event::{Audience, Event};
use guard_model::fact::Record;
use guard_model::secret::Redaction;
use guard_system::clock::Clock;

/// How often a live display is painted.
const FRAME: Duration = Duration::from_millis(100);

/// How long the end of a run waits for its display.
pub const BRIEFLY: Duration = Duration::from_secs(1);

/// How long a command waits whose output is data: as long as somebody reads it.
pub const PATIENTLY: Duration = Duration::from_hours(24);

/// Says everything that guard says. Telling never blocks and never fails.
pub struct Reporter {
    queue: Arc<Queue<Told>>,
    clock: Arc<dyn Clock>,
}

impl Reporter {
    /// A reporter with its printer's thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(style: Style, streams: Streams, clock: Arc<dyn Clock>, redaction: Redaction) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Queue::default());
        let (taken, time) = (Arc::clone(&queue), Arc::clone(&clock));
        let print = move || print(&taken, &mut Displays::new(&style, streams, redaction), &*time);
        std::thread::Builder::new()
            .name("guard-printer".to_owned())
            .spawn(print)?;
        Ok(Arc::new(Self { queue, clock }))
    }

    fn told(&self, what: What) -> Told {
        Told {
            ts: self.clock.now(),
            at: self.clock.steady(),
            what,
        }
    }

    fn put(&self, what: What) {
        self.queue.put(self.told(what));
    }

    /// Learns the records of an earlier process of the same run, so that what comes next is told as its continuation.
    pub fn recall(&self, records: &[Record]) {
        self.put(What::Recall(records.to_vec()));
    }

    /// Tells an error in four parts.
    pub fn account(&self, account: &Account) {
        self.put(What::Account(account.clone()));
    }

    /// Writes data to stdout, as it is: a table, a file's content. Not for JSON, whose last word is [`Reporter::finish`].
    pub fn data(&self, text: impl Into<String>) {
        self.put(What::Data(text.into()));
    }

    /// Shows below everything what the keys do; only a live display does.
    pub fn keys(&self, line: Option<String>) {
        self.put(What::Keys(line));
    }

    /// Asks a question on stderr, below all that was told before, and waits this long at most until it can be read there.
    /// Says whether it can; the answer is somebody else's to read.
    #[must_use]
    pub fn ask(&self, question: impl Into<String>, patience: Duration) -> bool {
        let (written, waiting) = channel();
        self.put(What::Question(question.into(), written));
        waiting.recv_timeout(patience).is_ok()
    }

    /// Tells the result, where stdout carries JSON, and waits this long at most until everything is written. Says whether
    /// it was; nothing is shown after this.
    #[expect(
        clippy::must_use_candidate,
        reason = "whether a blocked terminal showed everything rarely matters"
    )]
    pub fn finish(&self, result: Option<Value>, patience: Duration) -> bool {
        if let Some(result) = result {
            self.put(What::Result(result));
        }
        self.queue.close();
        self.queue.wait_finished(patience)
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // The printer's thread ends with what was told so far.
        self.queue.close();
    }
}

impl Audience for Reporter {
    fn tell(&self, event: &Event) {
        let matters = matches!(event, Event::Fact { .. } | Event::Note { .. } | Event::Alert { .. });
        let told = self.told(What::Event(event.clone()));
        if matters {
            self.queue.put(told);
        } else {
            self.queue.offer(told);
        }
    }
}

fn print(queue: &Queue<Told>, displays: &mut Displays, clock: &dyn Clock) {
    loop {
        match queue.take(FRAME) {
            Taken::Item(told) => {
                displays.show(&told);
                displays.tick(told.at);
            }
            Taken::Dropped(count) => displays.dropped(count),
            Taken::Nothing => displays.tick(clock.steady()),
            Taken::Closed => break,
        }
    }
    displays.close();
    queue.finish();
}
