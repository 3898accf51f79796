//! Flags that are settings: handed to the settings as the strongest layer, under the keys of `guard.toml`.

use std::collections::BTreeMap;

use crate::request::acting::{Deploy, Patience, Rollback, Standby};
use crate::request::asked::Request;
use crate::request::global::GlobalArgs;

/// Flags by the key of the setting that they are.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

fn text(flags: &mut Flags, key: &'static str, value: Option<&String>) {
    if let Some(value) = value {
        flags.insert(key, vec![value.clone()]);
    }
}

fn texts(flags: &mut Flags, key: &'static str, values: &[String]) {
    if !values.is_empty() {
        flags.insert(key, values.to_vec());
    }
}

fn set(flags: &mut Flags, key: &'static str, given: bool) {
    if given {
        flags.insert(key, vec!["yes".to_owned()]);
    }
}

fn patience(flags: &mut Flags, patience: &Patience) {
    set(flags, "lock.wait", patience.lock_wait);
    text(flags, "lock.wait_timeout", patience.lock_wait_timeout.as_ref());
}

fn standby(flags: &mut Flags, standby: &Standby) {
    set(flags, "policy.watcher", standby.no_watcher);
}

fn deploy(flags: &mut Flags, asked: &Deploy) {
    set(flags, "policy.on_failure", asked.no_rollback);
    texts(flags, "health_urls", &asked.health_url);
    texts(flags, "verify.commands", &asked.verify);
    text(flags, "monitor.duration", asked.monitor_duration.as_ref());
    text(flags, "monitor.interval", asked.interval.as_ref());
    text(
        flags,
        "monitor.consecutive_failures",
        asked.consecutive_failures.as_ref(),
    );
    text(flags, "monitor.error_threshold", asked.error_threshold.as_ref());
    text(flags, "monitor.min_samples", asked.min_samples.as_ref());
    text(flags, "policy.timeout", asked.timeout.as_ref());
    text(flags, "policy.rollback_timeout", asked.rollback_timeout.as_ref());
    text(flags, "policy.data_restore", asked.data_restore.as_ref());
    set(flags, "policy.allow_unhealthy_baseline", asked.allow_unhealthy_baseline);
    patience(flags, &asked.patience);
    standby(flags, &asked.standby);
}

fn rollback(flags: &mut Flags, asked: &Rollback) {
    text(flags, "policy.rollback_timeout", asked.rollback_timeout.as_ref());
    text(flags, "policy.data_restore", asked.data_restore.as_ref());
    set(flags, "confirm", asked.yes);
    patience(flags, &asked.patience);
    standby(flags, &asked.standby);
}

/// The flags of a request.
#[must_use]
pub fn of(request: &Request, global: &GlobalArgs) -> Flags {
    let mut flags = Flags::new();
    let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    text(&mut flags, "directory", global.directory.as_ref().map(path).as_ref());
    text(&mut flags, "config", global.config.as_ref().map(path).as_ref());
    text(&mut flags, "environment", global.environment.as_ref());
    match request {
        Request::Deploy(asked) => deploy(&mut flags, asked),
        Request::Rollback(asked) => rollback(&mut flags, asked),
        Request::Watch(asked) => {
            texts(&mut flags, "health_urls", &asked.health_url);
            text(&mut flags, "monitor.duration", asked.duration.as_ref());
            text(&mut flags, "monitor.interval", asked.interval.as_ref());
        }
        Request::Drill(asked) => {
            patience(&mut flags, &asked.patience);
            standby(&mut flags, &asked.standby);
        }
        Request::Backup(asked) => patience(&mut flags, &asked.patience),
        Request::Resume(asked) => {
            text(&mut flags, "policy.rollback_timeout", asked.rollback_timeout.as_ref());
            patience(&mut flags, &asked.patience);
            standby(&mut flags, &asked.standby);
        }
        Request::Abort(asked) => {
            set(&mut flags, "confirm", asked.yes);
            patience(&mut flags, &asked.patience);
        }
        Request::Delete(asked) => set(&mut flags, "confirm", asked.yes),
        Request::Salvage(asked) => set(&mut flags, "confirm", asked.yes),
        _ => {}
    }
    flags
}
