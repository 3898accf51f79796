//! The settings in force: every layer read, every problem told at once, nothing asked again later.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::blue_green::{self, BlueGreenSettings};
use super::checks;
use super::copying::{self, CopySettings};
use super::declared::{self, Declared};
use super::encryption::{self, EncryptionSettings};
use super::env;
use super::excerpt;
use super::file::{self, Document, Tree};
use super::judging;
use super::layer::{Effective, Layers, Request};
use super::location::locate;
use super::parts::{self, ComposeSettings, Lock, Maintenance, Retention, Verify};
use super::project::{self, ComposeVariables};
use super::projects::{self, FurtherProject};
use super::services::{self, Services};
use super::value;
use guard_model::health::Rule;
use guard_model::name::{ProbeName, ResourceName, RuleName, TargetName};
use guard_model::notice;
use guard_model::policy::Policy;
use guard_model::secret::Secret;
use guard_model::section::Section;
use guard_model::setting::{Problem, Source, nearest};

/// Everything that a person has set, and the defaults for the rest.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Settings {
    /// The project's directory, absolute: that of the file; commands and relative paths start here.
    pub directory: PathBuf,
    /// The text that the settings were read from.
    pub source: Arc<Source>,
    /// Whether there is no file, so that the settings are what `guard init` would have found.
    pub discovered: bool,
    /// The environment that was laid over the file.
    pub environment_name: Option<String>,
    /// The environments that the file has.
    pub environments: Vec<String>,
    /// The project's name, fit for a path.
    pub project: String,
    /// The directory of guard's state, absolute.
    pub state_dir: PathBuf,
    /// The directory of the backups, absolute.
    pub backup_dir: PathBuf,
    /// The Compose project, where there is one.
    pub compose: Option<ComposeSettings>,
    /// Further Compose projects that the same deployment changes.
    pub projects: Vec<FurtherProject>,
    /// What is copied and put back.
    pub resources: Vec<Declared<ResourceName>>,
    /// What is asked, the health URLs among them.
    pub probes: Vec<Declared<ProbeName>>,
    /// How what is not a Compose project is stopped and started.
    pub services: Services,
    /// What forward and back mean for services and traffic; `None`: what it is where nobody says.
    pub strategy: Option<String>,
    /// The two sides of `strategy = "blue-green"`, and their front.
    pub blue_green: Option<BlueGreenSettings>,
    /// Whether faults may be injected here on purpose.
    pub drill: bool,
    /// The maintenance page.
    pub maintenance: Maintenance,
    /// The scripts that verify a release.
    pub verify: Verify,
    /// How readings are judged.
    pub monitor: Rule,
    /// The user's own rules, in the order of the file.
    pub rules: Vec<Declared<RuleName>>,
    /// How long a start may take, where somebody says; else it is learned from earlier starts, and until there are any it
    /// is that of `monitor`.
    pub gate: Option<Duration>,
    /// What follows.
    pub policy: Policy,
    /// Whether a release may follow on a state that is not well.
    pub allow_unhealthy_baseline: bool,
    /// Whether a second guard stands by, to go on with a run whose guard was killed.
    pub watcher: bool,
    /// How long the CI job may take from the beginning of guard on, where somebody says; GitLab tells it by itself.
    pub job_time: Option<Duration>,
    /// Which backups are kept.
    pub retention: Retention,
    /// Where backups are copied to.
    pub copy: CopySettings,
    /// For whom backups are encrypted.
    pub encryption: EncryptionSettings,
    /// What is done where another run holds the lock.
    pub lock: Lock,
    /// Whether prompts are answered with yes.
    pub confirmed: bool,
    /// Who is told what becomes of a run, Slack's webhook among them.
    pub targets: Vec<Declared<TargetName>>,
    /// What must be in no text; learn these before anything is said.
    pub secrets: Vec<Secret>,
    /// What is not wrong but worth a look.
    pub warnings: Vec<Problem>,
    /// The single values in force with their origins, for `guard check -v`.
    pub effective: Vec<Effective>,
}

impl fmt::Debug for Settings {
    /// Without the text they were read from: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("project", &self.project)
            .field("directory", &self.directory)
            .field("resources", &self.resources)
            .field("probes", &self.probes)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the settings from the file. `None`: there is no file, and nobody named one.
    ///
    /// # Errors
    /// All problems at once.
    pub fn of_file(request: &Request) -> Result<Option<Self>, Vec<Problem>> {
        let location = locate(request)?;
        match file::read(&location.file, &location.shown).map_err(|problem| vec![problem])? {
            Some(document) => Self::of_document(request, &location.directory, &document).map(Some),
            None if location.is_named => Err(vec![Problem {
                place: location.shown,
                message: "there is no such file".to_owned(),
                hint: Some("`guard init` writes one".to_owned()),
                excerpt: None,
            }]),
            None => Ok(None),
        }
    }

    /// Reads the settings from a text that stands for the file of this directory.
    ///
    /// # Errors
    /// All problems at once.
    pub fn of_document(request: &Request, directory: &Path, document: &Document) -> Result<Self, Vec<Problem>> {
        match of_text(request, directory, document) {
            (Some(settings), problems) if problems.is_empty() => Ok(settings),
            (_, problems) => Err(told(&document.source, problems)),
        }
    }

    /// What can be understood of a file that is wrong, to find what else is wrong with it; nothing may be done by it. `None`:
    /// there is no file, or its syntax is wrong.
    #[must_use]
    pub fn in_part(request: &Request) -> Option<Self> {
        let location = locate(request).ok()?;
        let document = file::read(&location.file, &location.shown).ok()??;
        of_text(request, &location.directory, &document).0
    }
}

impl Settings {
    /// What can be understood of a text that stands for the file of this directory; nothing may be done by it. `None`: its
    /// syntax is wrong.
    #[must_use]
    pub fn in_part_of(request: &Request, directory: &Path, document: &Document) -> Option<Self> {
        of_text(request, directory, document).0
    }
}

/// The settings that a text stands for, as far as it can be understood, and all that is wrong with it.
fn of_text(request: &Request, directory: &Path, document: &Document) -> (Option<Settings>, Vec<Problem>) {
    let source = Arc::new(document.source.clone());
    let mut layers = Layers::new(request, &source);
    let environment = layers.given("environment").and_then(|given| {
        let name = given.texts.last()?.clone();
        Some((name, given.origin))
    });
    let place = environment.as_ref().map(|(_, origin)| origin.to_string());
    let chosen = environment
        .as_ref()
        .map(|(name, _)| name.as_str())
        .zip(place.as_deref());
    let mut tree = match file::understand(document, chosen, &request.environment) {
        Ok(tree) => tree,
        Err(mut problems) => {
            problems.append(&mut layers.problems);
            return (None, problems);
        }
    };
    if let Some((name, origin)) = &environment {
        layers.remember("environment", name.clone(), origin.clone());
    }
    let mut problems = std::mem::take(&mut tree.problems);
    let name = environment.map(|(name, _)| name);
    let settings = read(tree, &mut layers, &mut problems, directory, &source, name);
    problems.append(&mut layers.problems);
    (Some(settings), problems)
}

/// Problems as they are told: by place, those of the text by line, each once, with what stands there.
#[must_use]
pub fn told(source: &Source, mut problems: Vec<Problem>) -> Vec<Problem> {
    excerpt::add(source, &mut problems);
    in_order(problems)
}

/// The problems by place, those of the file by line, each once.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_cached_key(|problem| {
        let mut parts = problem.place.rsplitn(3, ':');
        let column: usize = parts.next().and_then(|column| column.parse().ok()).unwrap_or_default();
        let line: usize = parts.next().and_then(|line| line.parse().ok()).unwrap_or_default();
        (line, column)
    });
    problems.dedup();
    problems
}

fn read(
    tree: Tree,
    layers: &mut Layers<'_>,
    problems: &mut Vec<Problem>,
    directory: &Path,
    source: &Arc<Source>,
    environment_name: Option<String>,
) -> Settings {
    let request = layers.request;
    let (mut slips, strangers) = env::strangers(&request.environment);
    layers.problems.append(&mut slips);
    let mut warnings = tree.warnings;
    warnings.extend(strangers.into_iter().chain(env::unused(&request.environment)));
    let mut top = Section::new("", source, tree.item, problems);
    let variables = ComposeVariables::read(directory, &request.environment).unwrap_or_else(|problem| {
        layers.problems.push(problem);
        ComposeVariables::without_file(&request.environment)
    });
    let (mut services, open) = top.section("services", |section| services::services(section, source, layers));
    let strategy = strategy(&mut top, &request.strategies);
    let compose = top.section("compose", |section| {
        project::compose(
            section,
            directory,
            &variables,
            services.stops_without_compose() && !services.has_compose(),
        )
    });
    let project = project::name(&mut top, layers, directory, compose.as_ref());
    let projects = top.section("projects", |section| {
        projects::projects(section, directory, &request.environment)
    });
    let state_dir = project::state_dir(&mut top, layers, directory, &project);
    let backup_dir = project::backup_dir(&mut top, layers, directory, &state_dir);
    let resources = top.section("resources", |section| {
        declared::read_all(section, "resources", &request.resource_kinds, source, layers)
    });
    let mut probes = top.section("probes", |section| {
        declared::read_all(section, "probes", &request.probe_kinds, source, layers)
    });
    checks::health_urls(&mut top, layers, source, &mut probes);
    services::settle(
        &mut services,
        open,
        &resources,
        &mut probes,
        source,
        &mut layers.problems,
    );
    let blue_green = blue_green::read(&mut top, strategy.as_deref(), &projects, source, layers, &mut probes);
    let verify = checks::verify(&mut top, layers, &resources);
    let maintenance = top.section("maintenance", parts::maintenance);
    let (monitor, gate) = top.section("monitor", |section| judging::rule(section, layers));
    let rules = declared::read_rules(&mut top, source);
    let (policy, allow_unhealthy_baseline, watcher, job_time) = policies(&mut top, layers);
    let retention = top.section("retention", |section| parts::retention(section, layers));
    let copy = top.section("copy", copying::copying);
    let encryption = top.section("encryption", |section| {
        encryption::encryption(section, layers, directory)
    });
    let lock = top.section("lock", |section| parts::lock(section, layers));
    let (slack_webhook, targets) = notified(&mut top, source, layers);
    let (confirmed, drill) = checks::confirmed_and_drill(&mut top, layers);
    top.finish();
    if probes.is_empty() && verify.commands.is_empty() && !verify.none && request.judges {
        layers.problems.push(nobody_looks(source));
    }
    let secrets = tree.secrets.into_iter().chain(slack_webhook).collect();
    Settings {
        directory: directory.to_owned(),
        source: Arc::clone(source),
        discovered: false,
        environment_name,
        environments: tree.environments,
        project,
        state_dir,
        backup_dir,
        compose,
        projects,
        resources,
        probes,
        services,
        strategy,
        blue_green,
        drill,
        maintenance,
        verify,
        monitor,
        rules,
        gate,
        policy,
        allow_unhealthy_baseline,
        watcher,
        job_time,
        retention,
        copy,
        encryption,
        lock,
        confirmed,
        targets,
        secrets,
        warnings,
        effective: std::mem::take(&mut layers.effective),
    }
}

/// What follows from what is seen, and what is decided before anything is: the policy, whether an unhealthy baseline is allowed,
/// whether a watcher stands by, and how long the CI job may take.
fn policies(top: &mut Section<'_>, layers: &mut Layers<'_>) -> (Policy, bool, bool, Option<Duration>) {
    top.section("policy", |section| {
        let key = "policy.allow_unhealthy_baseline";
        (
            judging::policy(section, layers),
            layers.value(section, key, value::flag, false, "false"),
            layers.value(section, "policy.watcher", judging::watcher, true, "true"),
            layers.value(section, "policy.job_time", value::limit, None, "as the runner says"),
        )
    })
}

/// Slack's webhook, where there is one, and all who are told.
fn notified(
    top: &mut Section<'_>,
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> (Option<Secret>, Vec<Declared<TargetName>>) {
    let (slack_webhook, mut targets) = top.section("notify", |section| {
        let key = "notify.slack_webhook_url";
        (
            layers.value(section, key, value::secret_url, None, "none"),
            declared::read_tables(section, "notify", notice::KINDS, source, layers),
        )
    });
    if let Some(url) = &slack_webhook {
        declared::of_slack_webhook(url, source, &mut targets);
    }
    (slack_webhook, targets)
}

/// The strategy that the settings name, where it is one of these.
fn strategy(top: &mut Section<'_>, known: &[&'static str]) -> Option<String> {
    let name = top.text("strategy")?;
    if !known.contains(&name.as_str()) {
        let hint = nearest(&name, known.iter().copied());
        top.problem(
            "strategy",
            format!("{name:?} is not one of: {}", known.join(", ")),
            hint,
        );
    }
    Some(name)
}

/// Says that a release would be judged by nothing.
fn nobody_looks(source: &Source) -> Problem {
    Problem {
        place: source.name.clone(),
        message: "nothing would look at the release: there is no probe, no health URL and no verify command".to_owned(),
        hint: Some("add [probes.NAME] or --health-url, or say `verify = \"none\"`".to_owned()),
        excerpt: None,
    }
}
