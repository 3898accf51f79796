//! The layers a setting can come from: flag over `GUARD_*` over the older scripts' name over the file over the default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::env::{self, Name};
use super::value::{self, Read, Wrong, shown};
use guard_model::secret::REDACTED;
use guard_model::section::Section;
use guard_model::setting::{Problem, Source, Value};
use guard_model::tables::Form;
use guard_system::environment::Environment;
use guard_system::privilege;

/// Who asks for the settings, and with what in hand.
#[derive(Clone)]
pub struct Request {
    /// The directory guard was started in, absolute.
    pub start: PathBuf,
    /// The flags that were given, by the key of [`env::NAMES`]; a flag without a value is `yes`: `policy.on_failure` for
    /// `--no-rollback`.
    pub flags: BTreeMap<&'static str, Vec<String>>,
    /// The variables.
    pub environment: Environment,
    /// Whether the state belongs into the system's directory.
    pub is_root: bool,
    /// The kinds of resources there are.
    pub resource_kinds: Vec<&'static str>,
    /// The kinds of probes there are.
    pub probe_kinds: Vec<&'static str>,
    /// The strategies there are.
    pub strategies: Vec<&'static str>,
    /// The kinds of fronts there are.
    pub fronts: Vec<&'static str>,
    /// Whether a release is to be judged, so that settings that cannot judge one are wrong.
    pub judges: bool,
}

impl Request {
    /// A request from this directory, with no flags, for judging a release.
    #[must_use]
    pub fn new(
        start: impl Into<PathBuf>,
        environment: Environment,
        resource_kinds: Vec<&'static str>,
        probe_kinds: Vec<&'static str>,
    ) -> Self {
        Self {
            start: start.into(),
            flags: BTreeMap::new(),
            environment,
            is_root: privilege::is_root(),
            resource_kinds,
            probe_kinds,
            strategies: Vec::new(),
            fronts: Vec::new(),
            judges: true,
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag: `--interval`.
    Flag(&'static str),
    /// guard's own variable.
    Env(&'static str),
    /// A variable of older scripts.
    Alias(&'static str),
    /// The file: `guard.toml:12:8`.
    File(String),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Env(name) | Self::Alias(name) => f.write_str(name),
            Self::File(place) => f.write_str(place),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One value in force, for `guard check -v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its key in the file: `monitor.interval`.
    pub key: &'static str,
    /// Its value as it was written; secrets are redacted.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Texts that were given outside of the file.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) texts: Vec<String>,
    pub(super) origin: Origin,
}

impl Given {
    /// A source for problems with these texts: it has a name and no lines.
    pub(super) fn source(&self) -> Source {
        Source::new(self.origin.to_string(), String::new())
    }
}

/// The layers while they are read.
pub(super) struct Layers<'r> {
    pub(super) request: &'r Request,
    pub(super) source: &'r Source,
    pub(super) problems: Vec<Problem>,
    pub(super) effective: Vec<Effective>,
}

impl<'r> Layers<'r> {
    pub(super) fn new(request: &'r Request, source: &'r Source) -> Self {
        Self {
            request,
            source,
            problems: Vec::new(),
            effective: Vec::new(),
        }
    }

    /// The value in force; `default` as well where it is wrong, which is noted then. A file's value is looked at even where
    /// a stronger layer covers it.
    pub(super) fn value<T>(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        read: Read<T>,
        default: T,
        default_shown: &str,
    ) -> T {
        let local = key.rsplit('.').next().unwrap_or(key);
        section.form(local, || Form::Types(value::types(read)));
        let mut chosen = None;
        if let Some(item) = section.take(local) {
            match read(&item.value, false) {
                Ok(value) => {
                    let origin = Origin::File(self.source.place(&item.at));
                    chosen = Some((value, shown(&item.value), origin));
                }
                Err(wrong) => section.problem(local, wrong.message, wrong.hint),
            }
        }
        if let Some(given) = self.given(key) {
            let text = given.texts.last().cloned().unwrap_or_default();
            match read(&Value::Text(text.clone()), true) {
                Ok(value) => chosen = Some((value, text, given.origin)),
                Err(wrong) => self.wrong(&given.origin, wrong),
            }
        }
        let (value, text, origin) = chosen.unwrap_or_else(|| (default, default_shown.to_owned(), Origin::Default));
        self.remember(key, text, origin);
        value
    }

    /// What stands outside of the file for a setting: the flag, else the variable, else the older name.
    pub(super) fn given(&mut self, key: &str) -> Option<Given> {
        let name = env::find(key)?;
        given(self.request, name).unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }

    /// Notes a wrong value of a flag or variable.
    pub(super) fn wrong(&mut self, origin: &Origin, wrong: Wrong) {
        self.problems.push(Problem {
            place: origin.to_string(),
            message: wrong.message,
            hint: wrong.hint,
            excerpt: None,
        });
    }

    /// Keeps a value for `guard check -v`.
    pub(super) fn remember(&mut self, key: &'static str, value: String, origin: Origin) {
        let value = if guard_model::secret::is_secret_name(key) && origin != Origin::Default {
            REDACTED.to_owned()
        } else {
            value
        };
        self.effective.push(Effective { key, value, origin });
    }
}

/// What stands outside of the file for a name.
pub(super) fn given(request: &Request, name: &Name) -> Result<Option<Given>, Problem> {
    if let Some(texts) = request.flags.get(name.key).filter(|texts| !texts.is_empty()) {
        return Ok(Some(Given {
            texts: texts.clone(),
            origin: Origin::Flag(name.flag.unwrap_or(name.key)),
        }));
    }
    let variables = std::iter::once((name.variable, Origin::Env(name.variable)))
        .chain(name.aliases.iter().map(|alias| (*alias, Origin::Alias(alias))));
    for (variable, origin) in variables {
        if let Some(text) = request.environment.text(variable) {
            return Ok(Some(Given {
                texts: vec![text.to_owned()],
                origin,
            }));
        }
        if request.environment.path(variable).is_some() {
            return Err(Problem {
                place: variable.to_owned(),
                message: "is not UTF-8".to_owned(),
                hint: None,
                excerpt: None,
            });
        }
    }
    Ok(None)
}
