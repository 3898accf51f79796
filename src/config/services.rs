//! `[services]`: commands that stop and start what is no Compose project, and `[services.NAME]`, each a service of its own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::behind::BehindSettings;
use super::declared::{self, Declared};
use super::expand::COMMAND_KEYS;
use super::layer::Layers;
use super::parts::Commands;
use guard_model::name::{ProbeName, ResourceName};
use guard_model::section::Section;
use guard_model::setting::{Item, Problem, Source, Value, nearest, parse_duration};
use guard_model::tables::Form;

/// How long a service may take to become well where nobody says otherwise. As long as all services together; a guess.
const WITHIN: Duration = Duration::from_mins(2);

/// What runs, and how it is stopped and started around a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// Stops what is no Compose project.
    pub stop: Commands,
    /// Starts it.
    pub start: Commands,
    /// The services that have a name, in the order of the file.
    pub named: Vec<ServiceSettings>,
}

impl Services {
    /// Whether something is stopped by other means than Compose.
    #[must_use]
    pub fn stops_without_compose(&self) -> bool {
        let is_other = |service: &ServiceSettings| !matches!(service.behind, BehindSettings::Compose(_));
        !self.stop.is_empty() || self.named.iter().any(is_other)
    }

    /// Whether any of them is of the Compose project.
    #[must_use]
    pub fn has_compose(&self) -> bool {
        let is_container = |service: &ServiceSettings| matches!(service.behind, BehindSettings::Compose(_));
        self.named.iter().any(is_container)
    }
}

/// A service that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Its name.
    pub name: String,
    /// What is behind it.
    pub behind: BehindSettings,
    /// Where that stands in the file, for whoever finds that it is nowhere.
    pub place: String,
    /// The named services that it needs.
    pub needs: Vec<String>,
    /// The resources that it needs.
    pub resources: Vec<ResourceName>,
    /// Before anything is copied.
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
    /// Makes it take up what was put back, so that it need not be stopped.
    pub reload: Commands,
    /// What lets it finish its work before it is stopped.
    pub drain: Option<DrainSettings>,
    /// The probe that tells whether it is well.
    pub health: Option<ProbeName>,
    /// How long it may take to become well.
    pub within: Duration,
}

impl ServiceSettings {
    /// All commands that are run for it.
    pub fn commands(&self) -> impl Iterator<Item = &Vec<String>> {
        let hooks = [
            &self.before_copy,
            &self.after_copy,
            &self.before_stop,
            &self.after_stop,
            &self.before_start,
            &self.after_start,
            &self.reload,
        ];
        let (stop, start, status) = match &self.behind {
            BehindSettings::Commands { stop, start, status } => (stop.as_slice(), start.as_slice(), status.as_ref()),
            _ => (&[] as &[Vec<String>], &[] as &[Vec<String>], None),
        };
        let drain = match &self.drain {
            Some(DrainSettings::Run(commands)) => commands.as_slice(),
            _ => &[],
        };
        let own = stop.iter().chain(start).chain(status).chain(drain);
        hooks.into_iter().flatten().chain(own)
    }
}

/// What lets a service finish its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainSettings {
    /// So much time.
    Wait(Duration),
    /// Commands that return when it is done.
    Run(Commands),
}

/// What a service says that can only be judged when the whole file is read.
pub(super) struct Open {
    services: Vec<OpenService>,
}

/// The same of one service.
struct OpenService {
    /// Its place among all.
    at: usize,
    /// Where its table stands.
    place: Range<usize>,
    needs: Vec<(String, Range<usize>)>,
    health: Asked,
}

/// How a service says whether it is well.
enum Asked {
    /// Not at all: a unit and a status command are asked by themselves.
    Itself(Range<usize>),
    /// By a probe that is declared elsewhere.
    Of(String, Range<usize>),
    /// By a probe of its own.
    Own(Box<Declared<ProbeName>>),
}

/// Reads `[services]`. What is about other tables is left open for [`settle`].
pub(super) fn services(section: &mut Section<'_>, source: &Arc<Source>, layers: &mut Layers<'_>) -> (Services, Open) {
    let mut services = Services {
        stop: section.commands("stop").unwrap_or_default(),
        start: section.commands("start").unwrap_or_default(),
        named: Vec::new(),
    };
    if services.stop.is_empty() != services.start.is_empty() {
        let lonely = if services.stop.is_empty() { "start" } else { "stop" };
        section.problem(lonely, "stop and start belong together", None);
    }
    let mut open = Vec::new();
    let keys = section.keys().into_iter().filter(|key| key != "stop" && key != "start");
    for key in keys.collect::<Vec<_>>() {
        if !section.has_table(&key) {
            // Nobody asks for it, so it is told as an unknown key.
            continue;
        }
        section.is_name(&key);
        let Some(item) = section.take(&key).filter(|item| item.value != Value::Flag(false)) else {
            continue;
        };
        if let Err(error) = key.parse::<ProbeName>() {
            section.problem(&key, error.to_string(), None);
            continue;
        }
        if COMMAND_KEYS.contains(&key.as_str()) {
            // No variable below a key of this name would be expanded.
            section.problem(
                &key,
                format!("{key:?} stands for commands, and is no name of a service"),
                None,
            );
            continue;
        }
        let found = section.section(&key, |inner| service(inner, &key, source, layers));
        if let Some((service, needs, health)) = found {
            open.push((item.at, service, needs, health));
        }
    }
    // In the order of the file, as people read it.
    open.sort_by_key(|(at, ..)| at.start);
    let mut left = Vec::new();
    for (at, (place, service, needs, health)) in open.into_iter().enumerate() {
        services.named.push(service);
        left.push(OpenService {
            at,
            place,
            needs,
            health,
        });
    }
    (services, Open { services: left })
}

type Read = (ServiceSettings, Vec<(String, Range<usize>)>, Asked);

fn service(section: &mut Section<'_>, name: &str, source: &Arc<Source>, layers: &mut Layers<'_>) -> Option<Read> {
    let behind = behind(section, name);
    let place = ["compose", "systemd"].into_iter().find_map(|key| section.take(key));
    let needs = needs(section);
    let drain = drain(section);
    let within = section.duration("within");
    let health = health(section, name, behind.as_ref(), source, layers);
    let (before_copy, after_copy) = (section.commands("before_copy"), section.commands("after_copy"));
    let (before_stop, after_stop) = (section.commands("before_stop"), section.commands("after_stop"));
    let (before_start, after_start) = (section.commands("before_start"), section.commands("after_start"));
    let reload = section.commands("reload");
    let behind = behind?;
    let settings = ServiceSettings {
        name: name.to_owned(),
        behind,
        place: place.map(|item| source.place(&item.at)).unwrap_or_default(),
        needs: Vec::new(),
        resources: Vec::new(),
        before_copy: before_copy.unwrap_or_default(),
        after_copy: after_copy.unwrap_or_default(),
        before_stop: before_stop.unwrap_or_default(),
        after_stop: after_stop.unwrap_or_default(),
        before_start: before_start.unwrap_or_default(),
        after_start: after_start.unwrap_or_default(),
        reload: reload.unwrap_or_default(),
        drain,
        health: None,
        within: within.unwrap_or(WITHIN),
    };
    Some((settings, needs, health))
}

/// What is behind the service: exactly one of three.
fn behind(section: &mut Section<'_>, name: &str) -> Option<BehindSettings> {
    let (compose, systemd) = (section.word("compose"), section.word("systemd"));
    let stop = section.commands("stop").unwrap_or_default();
    let start = section.commands("start").unwrap_or_default();
    let status = section.has("status").then(|| section.words("status")).flatten();
    // For a schema: what is not there is asked for all the same.
    section.form("status", || Form::Words);
    let has_commands = ["stop", "start", "status"].into_iter().find(|key| section.has(key));
    match (compose, systemd, has_commands) {
        (Some(_), Some(_), _) => {
            let what = "stands beside `compose`; a service is one of the two";
            section.problem("systemd", what, None);
            None
        }
        (Some(_), None, Some(key)) | (None, Some(_), Some(key)) => {
            let other = if section.has("compose") { "compose" } else { "systemd" };
            let hint = "what is to be run beside it is `before_stop`, `after_start` and their like";
            let what = format!("stands beside `{other}`, which knows how it is stopped and started");
            section.problem(key, what, Some(hint.to_owned()));
            None
        }
        (Some(service), None, None) => Some(BehindSettings::Compose(service)),
        (None, Some(unit), None) => Some(BehindSettings::Systemd(guard_system::systemd::full_name(&unit))),
        (None, None, Some(_)) => {
            if stop.is_empty() || start.is_empty() {
                let there = if start.is_empty() { "stop" } else { "start" };
                let lonely = if section.has(there) { there } else { "status" };
                section.problem(lonely, "stop and start belong together", None);
                return None;
            }
            Some(BehindSettings::Commands { stop, start, status })
        }
        (None, None, None) => {
            // A value that is wrong was told already.
            if !section.has("compose") && !section.has("systemd") {
                let hint = format!("compose = {name:?}, systemd = \"{name}.service\", or stop and start");
                section.problem("", "says nothing of what is behind it", Some(hint));
            }
            None
        }
    }
}

/// The names that a service needs, each with its place.
fn needs(section: &mut Section<'_>) -> Vec<(String, Range<usize>)> {
    let texts = section.texts("needs").unwrap_or_default();
    let Some(item) = section.take("needs") else {
        return Vec::new();
    };
    let places: Vec<Range<usize>> = match &item.value {
        Value::List(items) => items.iter().map(|item| item.at.clone()).collect(),
        _ => vec![item.at.clone()],
    };
    texts.into_iter().zip(places).collect()
}

/// A time, or commands.
fn drain(section: &mut Section<'_>) -> Option<DrainSettings> {
    let item = section.take("drain");
    let seconds = match item.as_ref().map(|item| &item.value) {
        Some(Value::Text(text)) => parse_duration(text).ok(),
        Some(Value::Whole(_) | Value::Real(_)) => section.duration("drain"),
        _ => None,
    };
    let drain = match seconds {
        Some(time) => Some(DrainSettings::Wait(time)),
        None if matches!(
            item,
            Some(Item {
                value: Value::Text(_) | Value::List(_),
                ..
            }) | None
        ) =>
        {
            section.commands("drain").map(DrainSettings::Run)
        }
        None => {
            section.duration("drain");
            None
        }
    };
    section.form("drain", || Form::Types(vec!["string", "number", "array"]));
    drain
}

/// How the service says whether it is well.
fn health(
    section: &mut Section<'_>,
    name: &str,
    behind: Option<&BehindSettings>,
    source: &Arc<Source>,
    layers: &mut Layers<'_>,
) -> Asked {
    let Some(item) = section.take("health") else {
        // The readers of a schema see what could be here.
        let own = section.take("systemd").or_else(|| section.take("status"));
        return Asked::Itself(own.map_or(0..0, |item| item.at));
    };
    if let Value::Text(text) = &item.value {
        return Asked::Of(text.clone(), item.at.clone());
    }
    let kinds = layers.request.probe_kinds.clone();
    let own = match behind {
        Some(BehindSettings::Systemd(unit)) => Some(("systemd", "units", unit.as_str())),
        Some(BehindSettings::Compose(service)) => Some(("container", "services", service.as_str())),
        _ => None,
    };
    match declared::of_service(section, name, own, &kinds, source, layers) {
        Some(declared) => Asked::Own(Box::new(declared)),
        None => Asked::Itself(0..0),
    }
}

/// Judges what is about other tables: names that are needed, circles, and probes. The services' own probes join the others.
pub(super) fn settle(
    services: &mut Services,
    open: Open,
    resources: &[Declared<ResourceName>],
    probes: &mut Vec<Declared<ProbeName>>,
    source: &Arc<Source>,
    problems: &mut Vec<Problem>,
) {
    let names: Vec<String> = services.named.iter().map(|service| service.name.clone()).collect();
    let mut refuse = |at: &Range<usize>, message: String, hint: Option<String>| {
        problems.push(Problem {
            place: source.place(at),
            message,
            hint,
            excerpt: None,
        });
    };
    twice(services, &open, &mut refuse);
    let mut edges: Vec<(usize, usize, Range<usize>)> = Vec::new();
    for left in open.services {
        let Some(service) = services.named.get_mut(left.at) else {
            continue;
        };
        for (need, at) in left.needs {
            let found = names.iter().position(|name| *name == need);
            let resource = resources.iter().find(|resource| resource.name.as_str() == need);
            if let Some(found) = found {
                service.needs.push(need.clone());
                edges.push((left.at, found, at.clone()));
            }
            service.resources.extend(resource.map(|resource| resource.name.clone()));
            if found.is_none() && resource.is_none() {
                let known = names.iter().map(String::as_str);
                let known = known.chain(resources.iter().map(|resource| resource.name.as_str()));
                let hint = nearest(&need, known).or_else(|| Some(format!("write [services.{need}]")));
                let message = format!(
                    "`services.{}.needs`: there is no service or resource {need:?}",
                    service.name
                );
                refuse(&at, message, hint);
            }
        }
        service.health = match left.health {
            Asked::Of(name, at) => {
                let found = probes.iter().find(|probe| probe.name.as_str() == name);
                if found.is_none() {
                    let hint = nearest(&name, probes.iter().map(|probe| probe.name.as_str())).or_else(|| {
                        Some("write a table of a probe: health = { kind = \"http\", url = \"…\" }".to_owned())
                    });
                    let message = format!("`services.{}.health`: there is no probe {name:?}", service.name);
                    refuse(&at, message, hint);
                }
                found.map(|probe| probe.name.clone())
            }
            Asked::Own(declared) => {
                if probes.iter().any(|probe| probe.name == declared.name) {
                    let (name, hint) = (&service.name, format!("health = {:?} asks that one", service.name));
                    let message = format!("`services.{name}.health`: [probes.{name}] has the same name");
                    refuse(&declared.item.at, message, Some(hint));
                }
                let name = declared.name.clone();
                probes.push(*declared);
                Some(name)
            }
            Asked::Itself(at) => declared::of_standing(&service.name, &service.behind, at, source, probes),
        };
    }
    for (names, at) in circles(&edges, &names) {
        let (first, way) = (names.first().cloned().unwrap_or_default(), names.join(" → "));
        let message = format!("`services.{first}.needs`: goes round in a circle: {way}");
        refuse(
            &at,
            message,
            Some("none of them could be started first: take one of these needs out".to_owned()),
        );
    }
}

/// Tells of two services that are the same thing.
fn twice(services: &Services, open: &Open, refuse: &mut impl FnMut(&Range<usize>, String, Option<String>)) {
    for (at, service) in services.named.iter().enumerate() {
        let same = |other: &&ServiceSettings| {
            other.behind == service.behind && !matches!(other.behind, BehindSettings::Commands { .. })
        };
        let place = open.services.get(at).map(|left| &left.place);
        if let (Some(other), Some(place)) = (services.named.iter().take(at).find(same), place) {
            let (name, first) = (&service.name, &other.name);
            let message = format!(
                "`services.{name}`: is {}, as `services.{first}` is",
                service.behind.words()
            );
            refuse(place, message, None);
        }
    }
}

/// The circles, each once, by the names on the way and the place of the need that closes it.
fn circles(edges: &[(usize, usize, Range<usize>)], names: &[String]) -> Vec<(Vec<String>, Range<usize>)> {
    let mut found = Vec::new();
    let mut known: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
    for start in 0..names.len() {
        let mut open = vec![vec![start]];
        while let Some(way) = open.pop() {
            let Some(last) = way.last() else { continue };
            for (_, to, at) in edges.iter().filter(|(from, ..)| from == last) {
                if *to == start {
                    if known.insert(way.iter().copied().collect()) {
                        let round = way.iter().chain([to]).filter_map(|at| names.get(*at).cloned());
                        found.push((round.collect(), at.clone()));
                    }
                } else if !way.contains(to) {
                    let mut longer = way.clone();
                    longer.push(*to);
                    open.push(longer);
                }
            }
        }
    }
    found
}
