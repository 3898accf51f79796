//! Restart policies of stopped containers: an engine that restarts during a way back would start the failed release again.

use serde::{Deserialize, Serialize};

use super::noted::noted;
use super::{Result, ServiceError, Services};
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{containers_of, docker, explained};

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
        let stopped = containers.iter().filter(|one| !one.is_up()).map(|one| one.id.as_str());
        let format = "{{.Id}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
        let ids: Vec<&str> = stopped.collect();
        if ids.is_empty() {
            return Ok(());
        }
        let call = docker().args(["container", "inspect", "--format", format]).args(ids);
        let told = cx.output(&call).map_err(explained);
        let told = told
            .map_err(ServiceError::engine("see the containers' restart policies"))?
            .text();
        let mut kept = recorded(name, cx);
        let before = kept.len();
        for line in told.lines() {
            let mut words = line.split_whitespace();
            let (Some(id), Some(policy)) = (words.next(), words.next()) else {
                continue;
            };
            let policy = match (policy, words.next()) {
                ("on-failure", Some(count)) if count != "0" => format!("{policy}:{count}"),
                ("always" | "on-failure", _) => policy.to_owned(),
                // One that was stopped by hand stays stopped with the others.
                _ => continue,
            };
            kept.push(Kept {
                id: id.to_owned(),
                policy,
            });
        }
        if kept.len() == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        disk::write_whole(&cx.scratch.join(file(name)), &bytes).map_err(ServiceError::Note)?;
        let ids = kept.iter().map(|one| one.id.as_str());
        let call = docker().args(["update", "--restart", "no"]).args(ids);
        // One that is gone by now starts nothing; the others are updated all the same.
        let _gone = cx.output(&call);
        Ok(())
    }

    /// Gives the containers that are still there their policies back. Safe to repeat.
    ///
    /// # Errors
    /// One that is there could not be given its policy; all are tried.
    pub fn release_restarts(&self, name: Option<&str>, cx: &Context) -> Result<()> {
        let mut outcome = Ok(());
        for one in recorded(name, cx) {
            let call = docker().args(["update", "--restart", &one.policy, &one.id]);
            match cx.output(&call).map_err(explained) {
                Err(error) if !error.to_string().to_lowercase().contains("no such container") => {
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
