//! What starts programs of a project by itself: units of systemd that restart, timers, cron. Named before a deployment, held
//! while a way back lasts, and let go behind it.
//!
//! A unit keeps running; only its restarts are turned off, by a setting below `/run`, which a reboot takes away. Nothing is
//! stopped by its own command: that might be `docker compose down`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::noted::noted;
use guard_model::text::chain;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::leftovers::Left;
use guard_system::privilege;

/// The file in the run's directory that lists what is held.
const HELD: &str = "held-starters.json";
/// The setting that turns restarts off, in the unit's own directory.
const SETTING: &str = "zz-guard-way-back.conf";
/// Where cron keeps what it starts.
const TABLES: [&str; 4] = [
    "/etc/crontab",
    "/etc/cron.d",
    "/var/spool/cron/crontabs",
    "/var/spool/cron",
];
/// Where cron daemons say which process they are.
const DAEMONS: [&str; 2] = ["/run/crond.pid", "/run/cron.pid"];
/// How long systemd may take for one answer.
const LIMIT: Duration = Duration::from_mins(2);
/// The longest table of cron that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A unit that has to do with the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Unit {
    name: String,
    /// Whether it is one of the user's own manager.
    of_user: bool,
    /// `always`, `on-failure` …; `no` where it does not restart.
    restart: String,
    is_active: bool,
    /// It waits to be restarted.
    is_waiting: bool,
    /// The timers and paths that start it, those of them that are active.
    triggers: Vec<String>,
}

impl Unit {
    /// The program by which a person reaches its manager.
    fn systemctl(&self) -> &'static str {
        if self.of_user { "systemctl --user" } else { "systemctl" }
    }
}

/// What is held.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    units: Vec<Unit>,
    cron: Option<Left>,
}

/// What starts something of this directory by itself, each a phrase, and whether this user can hold it:
/// `shop.service (Restart=always)`.
#[must_use]
pub fn starters(directory: &Path, cx: &Context) -> Vec<(String, bool)> {
    let directory = disk::real_path(directory);
    let may_all = privilege::user_id() == 0;
    let units = units(&directory, cx);
    let units = units.iter().flat_map(|unit| {
        let can_hold = may_all || unit.of_user;
        words(unit).into_iter().map(move |phrase| (phrase, can_hold))
    });
    let tables = tables(&directory);
    let tables = tables
        .iter()
        .map(|table| (format!("cron ({})", table.display()), may_all));
    units.chain(tables).collect()
}

/// What is held in this run's directory, by name.
#[must_use]
pub fn held(cx: &Context) -> Vec<String> {
    let held = recorded(cx);
    let restarting = |unit: &Unit| (unit.restart != "no").then(|| unit.name.clone());
    let units = held
        .units
        .iter()
        .flat_map(|unit| restarting(unit).into_iter().chain(unit.triggers.clone()));
    let cron = held.cron.iter().filter(|daemon| daemon.is_there()).map(Left::shown);
    units.chain(cron).collect()
}

fn words(unit: &Unit) -> Vec<String> {
    let own = (unit.restart != "no").then(|| format!("{} (Restart={})", unit.name, unit.restart));
    let triggers = unit.triggers.iter().map(|one| format!("{one} (starts {})", unit.name));
    own.into_iter().chain(triggers).collect()
}

/// Holds all of it. Returns a sentence for each; what cannot be held is told as well.
#[must_use]
pub fn hold(cx: &Context) -> Vec<String> {
    let directory = disk::real_path(&cx.directory);
    let mut held = recorded(cx);
    for unit in units(&directory, cx) {
        if !held.units.iter().any(|known| known.name == unit.name) && !words(&unit).is_empty() {
            held.units.push(unit);
        }
    }
    let tables = tables(&directory);
    if held.cron.is_none() && !tables.is_empty() {
        held.cron = daemon();
    }
    if held.units.is_empty() && tables.is_empty() {
        return Vec::new();
    }
    let bytes = serde_json::to_vec(&held).unwrap_or_default();
    if let Err(error) = disk::write_whole(&cx.scratch.join(HELD), &bytes) {
        return vec![format!(
            "what starts the release by itself is not held: {}",
            chain(&error)
        )];
    }
    let mut told: Vec<String> = held.units.iter().flat_map(|unit| hold_unit(unit, cx)).collect();
    reload(&held, cx);
    for unit in held.units.iter().filter(|unit| unit.is_waiting) {
        // It has ended and is about to be started: nothing of it runs that a stop would disturb.
        let _too_late = systemctl(unit.of_user, &["stop", &unit.name], cx);
    }
    match (&held.cron, tables.is_empty()) {
        (Some(daemon), _) if daemon.hold() => told.push(format!(
            "{} starts jobs in this directory, and is held while the way back lasts",
            daemon.shown()
        )),
        (_, false) => told.push("cron starts jobs in this directory, and could not be held".to_owned()),
        (_, true) => {}
    }
    told
}

fn hold_unit(unit: &Unit, cx: &Context) -> Vec<String> {
    let mut told = Vec::new();
    if unit.restart != "no" {
        let place = setting(unit, cx);
        let made = place.parent().map_or(Ok(()), disk::create_private_dir);
        let written = made.and_then(|()| disk::write_whole(&place, b"[Service]\nRestart=no\n"));
        told.push(match written {
            Ok(()) => format!(
                "{} restarts by itself (Restart={}), and does not while the way back lasts",
                unit.name, unit.restart
            ),
            Err(error) => format!(
                "{} restarts by itself (Restart={}), and could not be held: {}",
                unit.name,
                unit.restart,
                chain(&error)
            ),
        });
    }
    for trigger in &unit.triggers {
        told.push(match systemctl(unit.of_user, &["stop", trigger], cx) {
            Ok(_) => format!("{trigger} starts {}, and is held while the way back lasts", unit.name),
            Err(why) => format!("{trigger} starts {}, and could not be held: {why}", unit.name),
        });
    }
    told
}

/// Lets all of it go on, and starts the units that ran and do not run now. Returns what is to be said of it at the end.
/// Safe to repeat.
#[must_use]
pub fn release(cx: &Context) -> Vec<String> {
    let held = recorded(cx);
    let mut told = Vec::new();
    let restarting = held.units.iter().filter(|unit| unit.restart != "no");
    for unit in restarting.clone() {
        let place = setting(unit, cx);
        if let Err(error) = disk::remove_file(&place)
            && place.exists()
        {
            told.push(format!(
                "{} does not restart any more (`rm {}` and `{} daemon-reload` let it): {}",
                unit.name,
                place.display(),
                unit.systemctl(),
                chain(&error)
            ));
        }
        // It stays where it holds settings of others.
        let _kept = place.parent().map(std::fs::remove_dir);
    }
    reload(&held, cx);
    for unit in restarting {
        let is_back = |word: &str| matches!(word, "active" | "activating" | "reloading");
        let now = systemctl(
            unit.of_user,
            &["show", "--property=ActiveState", "--value", &unit.name],
            cx,
        );
        let runs = now.as_ref().is_ok_and(|word| is_back(word.trim()));
        if !(unit.is_active || unit.is_waiting) || runs {
            told.push(format!(
                "{} was held while the way back lasted, and restarts by itself again",
                unit.name
            ));
            continue;
        }
        told.push(match systemctl(unit.of_user, &["start", &unit.name], cx) {
            Ok(_) => format!("{} had ended while it was held, and is started again", unit.name),
            Err(why) => format!(
                "{} had ended while it was held, and could not be started (`{} start {}` tries again): {why}",
                unit.name,
                unit.systemctl(),
                unit.name
            ),
        });
    }
    for unit in &held.units {
        for trigger in &unit.triggers {
            told.push(match systemctl(unit.of_user, &["start", trigger], cx) {
                Ok(_) => format!("{trigger} was held while the way back lasted, and goes on"),
                Err(why) => format!(
                    "{trigger} is still stopped (`{} start {trigger}` lets it go on): {why}",
                    unit.systemctl()
                ),
            });
        }
    }
    if let Some(daemon) = held.cron.filter(Left::is_there) {
        daemon.let_go();
        told.push(format!(
            "{} was held while the way back lasted, and goes on",
            daemon.shown()
        ));
    }
    told
}

fn setting(unit: &Unit, cx: &Context) -> PathBuf {
    let root = if unit.of_user {
        let runtime = cx.environment.text("XDG_RUNTIME_DIR").unwrap_or("/run/user/0");
        Path::new(runtime).join("systemd/user")
    } else {
        PathBuf::from("/run/systemd/system")
    };
    root.join(format!("{}.d", unit.name)).join(SETTING)
}

fn reload(held: &Held, cx: &Context) {
    for of_user in [false, true] {
        let is_changed = |unit: &Unit| unit.of_user == of_user && unit.restart != "no";
        if held.units.iter().any(is_changed) {
            // Where it is refused, the setting does nothing, and the look after the stop tells what came back.
            let _refused = systemctl(of_user, &["daemon-reload"], cx);
        }
    }
}

fn recorded(cx: &Context) -> Held {
    noted(HELD, cx)
}

fn systemctl(of_user: bool, words: &[&str], cx: &Context) -> std::result::Result<String, String> {
    let mut call = Call::new("systemctl").arg("--no-ask-password");
    if of_user {
        call = call.arg("--user");
    }
    let output = cx
        .output(&call.args(words).timeout(LIMIT))
        .map_err(|error| chain(&error))?;
    Ok(output.text())
}

/// The units that run something of this directory and restart, or are started by something; guard's own is none of them.
fn units(directory: &Path, cx: &Context) -> Vec<Unit> {
    let mut found = Vec::new();
    let managers = [
        (false, Path::new("/run/systemd/system").is_dir()),
        (
            true,
            privilege::user_id() != 0 && cx.environment.text("XDG_RUNTIME_DIR").is_some(),
        ),
    ];
    // What ends this unit ends guard.
    let own = disk::read_text_optional(Path::new("/proc/self/cgroup")).ok().flatten();
    let own = own.unwrap_or_default();
    for (of_user, _) in managers.into_iter().filter(|(_, is_there)| *is_there) {
        let properties = "--property=Id,WorkingDirectory,ExecStart,Restart,ActiveState,SubState,TriggeredBy";
        let Ok(text) = systemctl(of_user, &["show", "--all", properties, "*.service"], cx) else {
            continue;
        };
        let mut all: Vec<Unit> = text
            .split("\n\n")
            .filter_map(|block| read(block, directory, of_user))
            .collect();
        all.retain(|unit| !own.contains(&unit.name));
        for unit in &mut all {
            unit.triggers.retain(|one| {
                let told = systemctl(of_user, &["show", "--property=ActiveState", "--value", one], cx);
                told.is_ok_and(|state| state.trim() == "active")
            });
        }
        all.retain(|unit| !words(unit).is_empty());
        found.extend(all);
    }
    found
}

/// Reads what `systemctl show` prints of one service, where it has to do with the directory.
fn read(block: &str, directory: &Path, of_user: bool) -> Option<Unit> {
    let value = |key: &str| {
        let mut lines = block.lines().filter_map(|line| line.split_once('='));
        lines.find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    };
    let works_there = Path::new(value("WorkingDirectory").trim_start_matches(['-', '!'])).starts_with(directory);
    let commands = block.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let names_it = commands.into_iter().any(|command| mentions(command, directory));
    if !(works_there || names_it) {
        return None;
    }
    let is_kind = |name: &&str| {
        let ending = Path::new(name).extension().and_then(std::ffi::OsStr::to_str);
        matches!(ending, Some("timer" | "path"))
    };
    Some(Unit {
        name: value("Id").to_owned(),
        of_user,
        restart: Some(value("Restart"))
            .filter(|word| !word.is_empty())
            .unwrap_or("no")
            .to_owned(),
        is_active: matches!(value("ActiveState"), "active" | "reloading"),
        is_waiting: value("SubState").starts_with("auto-restart"),
        triggers: value("TriggeredBy")
            .split_whitespace()
            .filter(is_kind)
            .map(str::to_owned)
            .collect(),
    })
}

/// Whether a text names this directory, or something in it.
fn mentions(text: &str, directory: &Path) -> bool {
    let Some(name) = directory.to_str().filter(|name| name.len() > 1) else {
        return false;
    };
    let ends = |rest: &str| {
        rest.chars()
            .next()
            .is_none_or(|next| !(next.is_alphanumeric() || "-_.".contains(next)))
    };
    text.match_indices(name)
        .any(|(at, found)| text.get(at + found.len()..).is_none_or(ends))
}

/// The tables of cron with a line that names the directory; those that this user may not read are nobody's to see.
fn tables(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for place in TABLES.map(PathBuf::from) {
        if place.is_dir() {
            files.extend(disk::list(&place).unwrap_or_default());
        } else {
            files.push(place);
        }
    }
    let is_of_it = |file: &PathBuf| {
        let is_short = std::fs::metadata(file).is_ok_and(|about| about.is_file() && about.len() <= LONGEST);
        let text = disk::read_text_optional(file).ok().flatten().filter(|_| is_short);
        let text = text.unwrap_or_default();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.any(|line| mentions(line, directory))
    };
    files.retain(is_of_it);
    files
}

/// The cron daemon, where one runs.
fn daemon() -> Option<Left> {
    DAEMONS.iter().find_map(|file| {
        let text = disk::read_text_optional(Path::new(file)).ok().flatten()?;
        let found = Left::of(text.trim().parse().ok()?)?;
        found.is_called(&["cron", "crond"]).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_of_the_project_by_where_it_works_or_what_it_starts() {
        let directory = Path::new("/srv/shop");
        let block =
            |more: &str| format!("Id=shop.service\nRestart=always\nActiveState=active\nSubState=running\n{more}");
        let of = |more: &str| read(&block(more), directory, false);
        let found = of("WorkingDirectory=-/srv/shop/app\nTriggeredBy=shop.socket shop.timer").unwrap();
        assert_eq!(
            (found.restart.as_str(), found.triggers),
            ("always", vec!["shop.timer".to_owned()])
        );
        assert!(found.is_active && !found.is_waiting);
        assert!(
            of("ExecStart={ path=/usr/bin/docker ; argv[]=/usr/bin/docker compose -f /srv/shop/compose.yml up ; }")
                .is_some()
        );
        assert!(of("ExecStart={ path=/srv/shop2/run ; }").is_none(), "another directory");
        assert!(of("WorkingDirectory=/srv").is_none(), "one above it");
        assert!(read("Id=x.service\nExecStart={ path=/usr/sbin/x ; }", Path::new("/"), false).is_none());
    }
}
