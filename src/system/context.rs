//! What every act is given: where it is, how to run programs, the time, whom to tell, when to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside::Aside;
use super::clock::Clock;
use super::disk::{At, DiskError};
use super::docker::{Configurations, Engine, Roads};
use super::environment::Environment;
use super::stop::Stop;
use guard_model::event::{Event, Level, Voice};
use guard_model::name::RunId;
use guard_model::plan::StepId;
use guard_model::secret::Redaction;

/// The surroundings of an act. Cheap to clone; a clone can belong to another step.
#[derive(Clone)]
pub struct Context {
    /// The project's directory: commands and relative paths start here.
    pub directory: PathBuf,
    /// The run, where there is one: part of every name that is made outside.
    pub run: Option<RunId>,
    /// The step, where there is one.
    pub step: Option<StepId>,
    /// The run's private directory (0700), for what has to be staged or kept; exists where `run` is set.
    pub scratch: PathBuf,
    /// The directory of all runs, each in one of its own; `None` where there is no state.
    pub runs: Option<PathBuf>,
    /// The variables guard was started with.
    pub environment: Arc<Environment>,
    /// The engine that every program is led to, where it is another one than that of the environment.
    pub engine: Option<Arc<Engine>>,
    /// By which roads the engines are asked.
    pub roads: Roads,
    /// What Compose has made of the projects' files so far.
    pub configurations: Configurations,
    /// Variables for the user's own commands: `GUARD_RUN_ID` and its like.
    pub announced: Arc<Vec<(String, String)>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom to tell.
    pub voice: Voice,
    /// What must be in no text.
    pub redaction: Redaction,
    /// Whether to stop.
    pub stop: Stop,
    /// What goes on beside the steps.
    pub aside: Aside,
    /// Whether clients stay shut out of what an act puts in, until somebody lets them in.
    pub fenced: bool,
    /// Whether what going back costs may be told once it is back.
    pub prices_later: bool,
    /// Whether the programs of an act may be ended at any time: it is aside of the run, and is begun anew.
    pub is_expendable: bool,
}

impl Context {
    /// A context outside of any run.
    #[must_use]
    pub fn new(directory: &Path, environment: Environment, clock: Arc<dyn Clock>, voice: Voice) -> Self {
        Self {
            directory: directory.to_owned(),
            run: None,
            step: None,
            scratch: directory.to_owned(),
            runs: None,
            environment: Arc::new(environment),
            engine: None,
            roads: Roads::default(),
            configurations: Configurations::default(),
            announced: Arc::default(),
            clock,
            voice,
            redaction: Redaction::default(),
            stop: Stop::default(),
            aside: Aside::default(),
            fenced: false,
            prices_later: false,
            is_expendable: false,
        }
    }

    /// The same surroundings for one step.
    #[must_use]
    pub fn for_step(&self, step: &StepId) -> Self {
        Self {
            step: Some(step.clone()),
            ..self.clone()
        }
    }

    /// The same surroundings for acts that must not be cut off by the first signal, as a swap must not.
    #[must_use]
    pub fn unstoppable(&self) -> Self {
        Self {
            stop: Stop::default(),
            ..self.clone()
        }
    }

    /// The same surroundings for acts that let no client into what they put in: that is for a later one to do.
    #[must_use]
    pub fn fenced(&self) -> Self {
        Self {
            fenced: true,
            ..self.clone()
        }
    }

    /// The same surroundings for acts whose price decides nothing, and is asked for again once they are done.
    #[must_use]
    pub fn prices_later(&self) -> Self {
        Self {
            prices_later: true,
            ..self.clone()
        }
    }

    /// The same surroundings for an act aside of the run's steps: whoever takes the run over from a guard that was killed ends
    /// its programs at once, and does not wait for them.
    #[must_use]
    pub fn expendable(&self) -> Self {
        Self {
            step: None,
            is_expendable: true,
            ..self.clone()
        }
    }

    /// The same surroundings at another engine; at the environment's own where there is none.
    #[must_use]
    pub fn at(&self, engine: Option<&Engine>) -> Self {
        let Some(engine) = engine else { return self.clone() };
        Self {
            environment: Arc::new(self.environment.with(engine.variables())),
            engine: Some(Arc::new(engine.clone())),
            ..self.clone()
        }
    }

    /// A text that tells this run's objects from any other's: `20251022_153000_deploy`; `manual` outside of a run.
    #[must_use]
    pub fn token(&self) -> String {
        self.run.as_ref().map_or_else(|| "manual".to_owned(), RunId::token)
    }

    /// A private directory for what is needed for a moment, gone when it is dropped: where `TMPDIR` says, else in the run's own
    /// directory, else where the system keeps such things.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn momentary(&self, prefix: &str) -> Result<tempfile::TempDir, DiskError> {
        let place = match self.environment.text("TMPDIR") {
            Some(named) => PathBuf::from(named),
            None if self.run.is_some() => self.scratch.clone(),
            None => std::env::temp_dir(),
        };
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(&place);
        made.at("make a directory in", &place)
    }

    /// Says a sentence, redacted.
    pub fn note(&self, level: Level, text: impl AsRef<str>) {
        self.voice.note(level, self.redaction.clean(text.as_ref()));
    }

    /// Tells that long work has come so far, in bytes.
    pub fn progress(&self, what: &str, done: u64, total: Option<u64>) {
        self.voice.tell(&Event::Progress {
            step: self.step.clone(),
            what: what.to_owned(),
            done,
            total,
        });
    }

    /// The path, from the project's directory where it is relative.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }
}
