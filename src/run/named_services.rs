//! Named services of the settings become those of a run.

use std::collections::BTreeMap;

use guard_config::{BehindSettings, DrainSettings, ServiceSettings};
use guard_model::name::ProbeName;
use guard_services::{Behind, Drain, Health, Hooks, Named};

/// The named services of some settings; `health` are the probes that tell whether they are well.
#[must_use]
pub(crate) fn named(settings: &[ServiceSettings], health: &BTreeMap<ProbeName, Health>) -> Vec<Named> {
    settings.iter().map(|service| of(service, health)).collect()
}

fn of(service: &ServiceSettings, health: &BTreeMap<ProbeName, Health>) -> Named {
    Named {
        name: service.name.clone(),
        behind: match service.behind.clone() {
            BehindSettings::Compose(name) => Behind::Compose(name),
            BehindSettings::Systemd(unit) => Behind::Systemd(unit),
            BehindSettings::Commands { stop, start, status } => Behind::Commands { stop, start, status },
        },
        needs: service.needs.clone(),
        resources: service.resources.iter().map(ToString::to_string).collect(),
        hooks: Hooks {
            before_copy: service.before_copy.clone(),
            after_copy: service.after_copy.clone(),
            before_stop: service.before_stop.clone(),
            after_stop: service.after_stop.clone(),
            before_start: service.before_start.clone(),
            after_start: service.after_start.clone(),
        },
        reload: service.reload.clone(),
        drain: service.drain.clone().map(|drain| match drain {
            DrainSettings::Wait(time) => Drain::Wait(time),
            DrainSettings::Run(commands) => Drain::Run(commands),
        }),
        health: service.health.as_ref().and_then(|name| health.get(name).cloned()),
        within: service.within,
    }
}
