//! Restart policies of stopped containers: an engine that restarts during a way back would start the failed release again.

use serde::{Deserialize, Serialize};

use super::noted::noted;
use super::{Result, ServiceError, Services};
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{containers_of, set_restart_policy};

/// A container whose policy is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    id: String,
    /// As `docker update --restart` takes it: `always`, `on-failure:3`.
    policy: String,
}

impl Services {
    /// Takes the restart policy off the stopped containers of the project that an engine would start when it restarts itself,
    /// and writes down what it was; `name` is the further project's. Safe to repeat.
    ///
    /// # Errors
    /// The engine does not answer, or it cannot be written down.
    pub fn hold_restarts(&self, name: Option<&str>, cx: &Context) -> Result<()> {
        let Some(compose) = &self.compose else {
            return Ok(());
        };
        let containers = containers_of(cx, &compose.project);
        let containers = containers.map_err(ServiceError::engine("see the project's containers"))?;
        // One that was stopped by hand stays stopped with the others.
        let comes_up = |policy: &str| policy == "always" || policy.starts_with("on-failure");
        let stopped = containers
            .iter()
            .filter(|one| !one.is_up() && comes_up(&one.restart_policy));
        let mut kept = recorded(name, cx);
        let before = kept.len();
        kept.extend(stopped.map(|one| Kept {
            id: one.id.clone(),
            policy: one.restart_policy.clone(),
        }));
        if kept.len() == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        disk::write_whole(&cx.scratch.join(file(name)), &bytes).map_err(ServiceError::Note)?;
        let ids: Vec<&str> = kept.iter().map(|one| one.id.as_str()).collect();
        // One that is gone by now starts nothing; the others are updated all the same.
        let _gone = set_restart_policy(cx, &ids, "no");
        Ok(())
    }

    /// Gives the containers that are still there their policies back. Safe to repeat.
    ///
    /// # Errors
    /// One that is there could not be given its policy; all are tried.
    pub fn release_restarts(&self, name: Option<&str>, cx: &Context) -> Result<()> {
        let mut outcome = Ok(());
        for one in recorded(name, cx) {
            match set_restart_policy(cx, &[&one.id], &one.policy) {
                Err(error) if !error.is_missing() => {
                    let what = format!(
                        "give a container its restart policy back (`docker update --restart {} {}` does)",
                        one.policy, one.id
                    );
                    outcome = Err(ServiceError::engine(what)(error));
                }
                _ => {}
            }
        }
        outcome
    }
}

fn file(name: Option<&str>) -> String {
    name.map_or_else(
        || "held-restarts.json".to_owned(),
        |name| format!("held-restarts-{name}.json"),
    )
}

fn recorded(name: Option<&str>, cx: &Context) -> Vec<Kept> {
    noted(&file(name), cx)
}
