//! Which services run now, and which are stopped.

use std::collections::BTreeMap;

use super::{Result, ServiceError, Services};
use guard_model::now::Service;
use guard_system::context::Context;
use guard_system::docker::{Before, Container, Recorded, containers_of};

impl Services {
    /// Every service of the project that has a container now, or had a running one before the run's deploy command, and every named
    /// one that is no container and can be asked.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn standing(&self, cx: &Context) -> Result<Vec<Service>> {
        let mut named = self.named_standing(cx);
        let Some(compose) = &self.compose else {
            return Ok(named);
        };
        let found = containers_of(cx, &compose.project);
        let found = found.map_err(ServiceError::engine("see the project's containers"))?;
        let mut all: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
        for container in found.iter().filter(|one| !one.is_one_off()) {
            all.entry(&container.service).or_default().push(container);
        }
        // A note that cannot be read names nothing more; what is there is told all the same.
        let before = Recorded::noted(Before::Deploy, compose, cx).ok().flatten();
        let before = before.map(|recorded| recorded.running()).unwrap_or_default();
        let gone = before.keys().filter(|service| !all.contains_key(service.as_str()));
        let gone = gone.map(|service| Service {
            name: service.clone(),
            runs: false,
            how: "no container".to_owned(),
        });
        let mut services: Vec<Service> = gone.collect();
        services.extend(all.into_iter().map(|(name, containers)| of(name, &containers)));
        services.append(&mut named);
        services.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(services)
    }
}

fn of(name: &str, containers: &[&Container]) -> Service {
    let running = containers.iter().filter(|one| one.is_running()).count();
    let unwell = containers
        .iter()
        .find(|one| one.is_running() && one.health.as_deref() == Some("unhealthy"));
    let between = containers.iter().find(|one| !one.is_running() && one.is_up());
    let how = match (unwell, between) {
        (Some(_), _) => "unhealthy".to_owned(),
        (None, Some(one)) => one.state.clone(),
        (None, None) if running > 0 && running < containers.len() => format!("{running} of {}", containers.len()),
        (None, None) => String::new(),
    };
    Service {
        name: name.to_owned(),
        runs: running == containers.len() && unwell.is_none(),
        how,
    }
}
