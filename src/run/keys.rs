//! The keys of a watch: in the terminal of the run, while the release is waited for or watched, a person decides by a key.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::project::Project;
use crate::session::Session;
use guard_engine::steps::leave;
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::fact::Actor;
use guard_model::intervention::{Choice, Intervention, Via};
use guard_model::plan::Action;
use guard_report::printer::Reporter;
use guard_report::style::Form;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::keyboard::{Before, Keyboard, Pressed};

/// How the terminal was, while guard has changed it.
const TERMINAL: &str = "terminal.json";
/// How long one wait for a key takes; the end of the watch is seen in between.
const TICK: Duration = Duration::from_millis(100);
/// A question that nobody answers for so long is taken back.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a person is that sits before the terminal.
#[derive(Clone)]
pub struct Console {
    reporter: Arc<Reporter>,
    cx: Context,
    by: String,
    directory: PathBuf,
}

/// Keys that are listened to. Dropped, the terminal is as it was.
pub struct Keys {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Console {
    /// The terminal of a run, where guard shows a live display in one.
    #[must_use]
    pub fn of(run: &Run, project: &Project, session: &Session) -> Option<Self> {
        (session.is_program && session.style.form == Form::Live).then(|| Self {
            reporter: Arc::clone(&session.reporter),
            cx: project.cx.clone(),
            by: person(&project.actor),
            directory: run.directory.clone(),
        })
    }

    /// Listens while this is done; `None` where nothing is to be decided, or nobody can press a key.
    #[must_use]
    pub fn listen(&self, action: &Action) -> Option<Keys> {
        let is_up = match action {
            Action::Gate => false,
            Action::Watch => true,
            _ => return None,
        };
        let keyboard = Keyboard::open()?;
        let before = keyboard.before()?;
        // Without this, a guard that is killed could leave a terminal without echo.
        let text = serde_json::to_vec(&before).ok()?;
        disk::write_whole(&self.directory.join(TERMINAL), &text).ok()?;
        let over = Arc::new(AtomicBool::new(false));
        let (console, ended) = (self.clone(), Arc::clone(&over));
        let thread = std::thread::Builder::new()
            .name("guard-keys".to_owned())
            .spawn(move || console.attend(keyboard, is_up, &ended))
            .ok()?;
        Some(Keys {
            over,
            thread: Some(thread),
        })
    }

    fn attend(&self, mut keyboard: Keyboard, is_up: bool, over: &AtomicBool) {
        let hint = if is_up {
            "keys: r roll back, a accept, h hold"
        } else {
            "keys: r roll back, h hold"
        };
        let mut asked: Option<(Choice, Duration)> = None;
        let mut has_decided = false;
        self.reporter.keys(Some(hint.to_owned()));
        while !over.load(Ordering::SeqCst) {
            let pressed = keyboard.press(TICK);
            let now = self.cx.clock.steady();
            match (pressed, asked) {
                (Pressed::Gone, _) => break,
                _ if has_decided => {}
                (Pressed::Key(b'y' | b'Y'), Some((choice, _))) => {
                    has_decided = self.decide(choice);
                    asked = None;
                    let told = if has_decided { "decided; one moment" } else { hint };
                    self.reporter.keys(Some(told.to_owned()));
                }
                (Pressed::Key(key), None) => {
                    asked = choice(key, is_up).map(|choice| (choice, now));
                    let question = asked.map(|(choice, _)| question(choice).to_owned());
                    if question.is_some() {
                        self.reporter.keys(question);
                    }
                }
                (Pressed::Key(_), Some(_)) => {
                    asked = None;
                    self.reporter.keys(Some(hint.to_owned()));
                }
                (Pressed::Nothing, Some((_, since))) if now.saturating_sub(since) > PATIENCE => {
                    asked = None;
                    self.reporter.keys(Some(hint.to_owned()));
                }
                (Pressed::Nothing, _) => {}
            }
        }
        drop(keyboard);
        self.reporter.keys(None);
        let _optional = std::fs::remove_file(self.directory.join(TERMINAL));
    }

    fn decide(&self, choice: Choice) -> bool {
        let intervention = Intervention {
            choice,
            by: self.by.clone(),
            at: self.cx.clock.now(),
            via: Via::Key,
            reason: None,
        };
        let left = leave(&intervention, &self.directory);
        if let Err(error) = &left {
            self.cx
                .note(Level::Warn, format!("the decision could not be written: {error}"));
        }
        left.is_ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its own panic has put the terminal back as well.
            let _ended = thread.join();
        }
    }
}

/// Who decides, as the journal names them.
#[must_use]
pub fn person(actor: &Actor) -> String {
    format!("{}@{}", actor.user, actor.host)
}

/// Puts back the terminal of a guard that was killed while it listened to keys.
pub fn mend_terminal(run: &Run) {
    let path = run.directory.join(TERMINAL);
    let Ok(Some(bytes)) = disk::read_optional(&path) else {
        return;
    };
    if let Ok(before) = serde_json::from_slice::<Before>(&bytes) {
        // A terminal that is gone needs nothing.
        let _mended = before.mend();
    }
    let _optional = std::fs::remove_file(path);
}

fn choice(key: u8, is_up: bool) -> Option<Choice> {
    match key.to_ascii_lowercase() {
        b'r' => Some(Choice::Rollback),
        b'a' if is_up => Some(Choice::Accept),
        b'h' => Some(Choice::Hold),
        _ => None,
    }
}

/// No wider than the narrowest panel.
fn question(choice: Choice) -> &'static str {
    match choice {
        Choice::Rollback => "roll back now? y: yes, else no",
        Choice::Accept => "accept it now? y: yes, else no",
        Choice::Hold => "stop and leave it? y: yes, else no",
    }
}
