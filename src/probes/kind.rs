//! What a kind of probe is: its key, and how it is made of its table in `guard.toml`.

use super::probe::Probe;
use guard_model::health::Numbers;
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_system::docker::Compose;

/// What all probes of a project share.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The Compose project, where there is one.
    pub compose: Option<Compose>,
}

/// What a kind makes of its table in `guard.toml`.
pub type Built = Option<Box<dyn Probe>>;

/// A kind of probe.
pub struct Kind {
    /// As in `kind = "http"`.
    pub key: &'static str,
    /// One line for `guard init` and the docs.
    pub about: &'static str,
    /// Reads the kind's own keys from its table. Problems are told to the section; `None` where there are any.
    pub build: fn(ProbeName, &mut Section<'_>, &Site) -> Built,
    /// Which numbers its answers tell to rules.
    pub numbers: Numbers,
}
