//! How named services stand among those of the Compose project: who needs whom, and which of them a way back stops.

use std::collections::{BTreeMap, BTreeSet};

use super::service::Named;
use crate::Services;
use crate::graph::{Needs, levels};

impl Services {
    /// Adds what the settings say of needs to what the Compose files say.
    pub(crate) fn add_needs(&self, needs: &mut Needs) {
        for service in &self.named {
            let on = service.needs.iter().filter_map(|name| self.named_by(name));
            let on: Vec<String> = on.map(Named::node).collect();
            needs.entry(service.node()).or_default().extend(on);
        }
    }

    /// The named service of this name.
    pub(crate) fn named_by(&self, name: &str) -> Option<&Named> {
        self.named.iter().find(|service| service.name == name)
    }

    /// The named services among these nodes, in the order of the settings.
    pub(crate) fn named_among<'s>(&'s self, nodes: &'s [String]) -> impl Iterator<Item = &'s Named> {
        self.named.iter().filter(|service| nodes.contains(&service.node()))
    }

    /// The nodes of those that need data which is put back.
    pub(crate) fn users_of(&self, resources: &[String]) -> impl Iterator<Item = String> {
        let uses = |service: &&Named| service.resources.iter().any(|name| resources.contains(name));
        self.named.iter().filter(uses).map(Named::node)
    }

    /// The nodes of those that a way back stops whatever it puts back: what no container is, and cannot be reloaded. A way back of
    /// some services alone stops others only where data goes back, which anything may write.
    pub(crate) fn stopped_always(&self, is_data: bool) -> impl Iterator<Item = String> {
        let is_meant = move |service: &&Named| {
            let is_asked = self.only.is_empty() || self.only.contains(&service.name) || is_data;
            service.container().is_none() && service.reload.is_empty() && is_asked
        };
        self.named.iter().filter(is_meant).map(Named::node)
    }

    /// The Compose services that a way back of some services alone is about; `None`: it is about all.
    pub(crate) fn only_containers(&self) -> Option<Vec<String>> {
        let of = |name: &String| match self.named_by(name) {
            Some(service) => service.container().map(str::to_owned),
            None => Some(name.clone()),
        };
        (!self.only.is_empty()).then(|| self.only.iter().filter_map(of).collect())
    }

    /// All named services, those that others need first.
    pub(crate) fn named_in_order(&self) -> Vec<&Named> {
        let mut needs = Needs::new();
        self.add_needs(&mut needs);
        let nodes: BTreeSet<String> = self.named.iter().map(Named::node).collect();
        let by_node: BTreeMap<String, &Named> = self.named.iter().map(|service| (service.node(), service)).collect();
        let levels = levels(&nodes, &needs).into_iter().rev().flatten();
        levels.filter_map(|node| by_node.get(&node).copied()).collect()
    }

    /// The node in words.
    pub(crate) fn shown(node: &str) -> String {
        node.trim_start_matches(':').to_owned()
    }
}
