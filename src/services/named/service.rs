//! A service of the settings: its name, what is behind it, what it needs, and the commands around its copy, stop and start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use guard_system::context::Context;

/// Commands, each a list of words.
pub type Commands = Vec<Vec<String>>;

/// A service that has a name of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name in the settings.
    pub name: String,
    /// What it is.
    pub behind: Behind,
    /// The named services that it needs.
    pub needs: Vec<String>,
    /// The resources that it needs: what belongs to it, and, where they hold data, what it is stopped for.
    pub resources: Vec<String>,
    /// The commands around its copy, stop and start.
    pub hooks: Hooks,
    /// Makes it take up what was put back while it runs; empty: it is stopped and started.
    pub reload: Commands,
    /// What lets it finish its work before it is stopped.
    pub drain: Option<Drain>,
    /// What tells whether it is well.
    pub health: Option<Health>,
    /// How long it may take to become well after a start or a reload.
    pub within: Duration,
}

/// What is behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    /// A service of the Compose project.
    Compose(String),
    /// A unit of systemd, with its ending.
    Systemd(String),
    /// Commands.
    Commands {
        /// Stop it.
        stop: Commands,
        /// Start it.
        start: Commands,
        /// Ends with 0 where it runs; `None`: nobody can tell.
        status: Option<Vec<String>>,
    },
}

impl Default for Behind {
    fn default() -> Self {
        Self::Commands {
            stop: Commands::new(),
            start: Commands::new(),
            status: None,
        }
    }
}

/// Commands around a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before anything is copied into a backup.
    pub before_copy: Commands,
    /// After all is copied.
    pub after_copy: Commands,
    /// Before it is stopped.
    pub before_stop: Commands,
    /// After it was stopped.
    pub after_stop: Commands,
    /// Before it is started.
    pub before_start: Commands,
    /// After it was started, and is well.
    pub after_start: Commands,
}

/// What lets a service finish its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drain {
    /// So much time.
    Wait(Duration),
    /// Commands that return when it is done.
    Run(Commands),
}

/// What tells whether a service is well: a probe, which is another room's.
pub trait HealthCheck: Send + Sync {
    /// Asks once.
    ///
    /// # Errors
    /// It is not well: why, in words that are fit to be shown.
    fn ask(&self, cx: &Context) -> Result<(), String>;
}

/// A health check that services share.
#[derive(Clone)]
pub struct Health(pub Arc<dyn HealthCheck>);

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

impl PartialEq for Health {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Health {}

impl Named {
    /// The Compose service that it is.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        match &self.behind {
            Behind::Compose(service) => Some(service),
            _ => None,
        }
    }

    /// The unit that it is.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        match &self.behind {
            Behind::Systemd(unit) => Some(unit),
            _ => None,
        }
    }

    /// Its name among all services: a Compose service by its own, any other with a sign that no Compose service has.
    pub(crate) fn node(&self) -> String {
        match &self.behind {
            Behind::Compose(service) => service.clone(),
            _ => format!(":{}", self.name),
        }
    }
}
