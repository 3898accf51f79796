//! Units of systemd: what the manager says of them, how they are started and stopped, and what the journal has of them.
//!
//! Exit codes say little here: `show` of a unit that is nowhere ends with 0 and says `Result=success`, and `start` of a service
//! that dies at once ends with 0. So `LoadState` is asked first, and `NRestarts` and `InvocationID` tell that a unit has crashed.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::call::Call;
use super::context::Context;
use super::processes::{CallError, Sink};

/// How long the manager may take to start or stop a unit; the unit's own limits end before. A guess, on the long side.
const ACT_LIMIT: Duration = Duration::from_mins(10);
/// How long it may take for one answer. A guess.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The kinds of units that have a name of their own; a name without such an ending is that of a service.
const KINDS: [&str; 8] = [
    ".service", ".socket", ".timer", ".target", ".path", ".mount", ".scope", ".slice",
];
/// What the journal writes before the cursor of the last entry that it has shown.
const CURSOR: &str = "-- cursor: ";
/// What `journalctl` shows behind the entries is no longer than this, in bytes.
const TRAILER: usize = 4 * 1024;

/// What the manager says of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load: String,
    /// `active`, `activating`, `inactive`, `failed` …
    pub active: String,
    /// `running`, `exited`, `auto-restart`, `dead` …
    pub sub: String,
    /// Why it has ended: `success`, `exit-code`, `signal`, `timeout`, `watchdog` …
    pub result: String,
    /// How often the manager has started it again by itself; 0 again after a start or stop by hand.
    pub restarts: u64,
    /// Which start of it this is; another one is another life.
    pub invocation: String,
    /// The exit code of its main process, or the number of the signal that ended it.
    pub exit_status: i64,
    /// `simple`, `notify`, `oneshot` …; empty for what is no service.
    pub kind: String,
    /// The files of the unit have changed since the manager has read them.
    pub is_outdated: bool,
    /// The units that start it: sockets, timers, paths.
    pub triggers: Vec<String>,
}

impl UnitState {
    /// Whether it runs, is about to, or is about to end: something of it may be there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !matches!(self.active.as_str(), "inactive" | "failed" | "")
    }

    /// Whether it is up and stays so: not between two restarts.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it is a job that has done its work and is not meant to stay.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.kind == "oneshot" && self.active == "inactive" && self.result == "success"
    }

    /// What is wrong with the unit itself, where it cannot be started at all.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.load.as_str() {
            "loaded" | "merged" => None,
            "not-found" => Some("there is no such unit".to_owned()),
            "masked" => Some("it is masked, so that nothing can start it".to_owned()),
            "" => Some("systemd says nothing of it".to_owned()),
            other => Some(format!("systemd cannot read it ({other})")),
        }
    }

    /// The state in words: `failed (exit-code, 3), restarted 5 times`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut text = match self.result.as_str() {
            "" | "success" => format!("{} ({})", self.active, self.sub),
            result => format!("{} ({result}, {})", self.active, self.exit_status),
        };
        if self.restarts > 0 {
            text = format!("{text}, restarted {} times", self.restarts);
        }
        text
    }

    fn read(text: &str) -> Self {
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(known, _)| *known == key).map_or("", |(_, value)| value)
        };
        Self {
            load: value("LoadState").to_owned(),
            active: value("ActiveState").to_owned(),
            sub: value("SubState").to_owned(),
            result: value("Result").to_owned(),
            restarts: value("NRestarts").parse().unwrap_or_default(),
            invocation: value("InvocationID").to_owned(),
            exit_status: value("ExecMainStatus").parse().unwrap_or_default(),
            kind: value("Type").to_owned(),
            is_outdated: value("NeedDaemonReload") == "yes",
            triggers: value("TriggeredBy").split_whitespace().map(str::to_owned).collect(),
        }
    }
}

/// Whether this host is run by systemd.
#[must_use]
pub fn is_here() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The whole name of a unit: without an ending it is a service.
#[must_use]
pub fn full_name(unit: &str) -> String {
    if KINDS.iter().any(|kind| unit.ends_with(kind)) {
        unit.to_owned()
    } else {
        format!("{unit}.service")
    }
}

fn systemctl(words: &[&str], limit: Duration) -> Call {
    Call::new("systemctl")
        .args(["--no-ask-password", "--no-pager"])
        .args(words)
        .timeout(limit)
}

/// What the manager says of a unit, within `limit` where there is one. A unit that is nowhere has an answer as well.
///
/// # Errors
/// There is no systemd here, or it does not answer.
pub fn state(unit: &str, limit: Option<Duration>, cx: &Context) -> Result<UnitState, CallError> {
    let properties = "--property=LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,ExecMainStatus,Type,\
                      NeedDaemonReload,TriggeredBy";
    let call = systemctl(&["show", properties, "--", unit], limit.unwrap_or(ANSWER_LIMIT));
    Ok(UnitState::read(&cx.output(&call)?.text()))
}

/// Starts a unit, and waits as long as its type says. What had failed too often may be started again.
///
/// # Errors
/// The manager refuses, or the unit does not come up.
pub fn start(unit: &str, cx: &Context) -> Result<(), CallError> {
    let now = state(unit, None, cx)?;
    if now.is_outdated {
        cx.output(&systemctl(&["daemon-reload"], ACT_LIMIT))?;
    }
    if now.active == "failed" {
        cx.output(&systemctl(&["reset-failed", "--", unit], ANSWER_LIMIT))?;
    }
    cx.output(&systemctl(&["start", "--", unit], ACT_LIMIT)).map(drop)
}

/// Stops a unit, and waits until nothing of it is left.
///
/// # Errors
/// The manager refuses, or the unit does not end.
pub fn stop(unit: &str, cx: &Context) -> Result<(), CallError> {
    cx.output(&systemctl(&["stop", "--", unit], ACT_LIMIT)).map(drop)
}

/// The names of all services that the manager knows, loaded or on disk.
///
/// # Errors
/// There is no systemd here, or it does not answer.
pub fn services(cx: &Context) -> Result<Vec<String>, CallError> {
    let call = systemctl(&["list-unit-files", "--no-legend", "--type=service"], ANSWER_LIMIT);
    let text = cx.output(&call)?.text();
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// Where the journal ends now; `None` where it is empty.
///
/// # Errors
/// It cannot be read.
pub fn journal_end(limit: Duration, cx: &Context) -> Result<Option<String>, CallError> {
    let call = Call::new("journalctl").args(["--quiet", "--no-pager", "--lines=0", "--show-cursor"]);
    let text = cx.output(&call.timeout(limit))?.text();
    Ok(text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(CURSOR))
        .map(str::to_owned))
}

/// What units have logged behind a place in the journal, the first `most` bytes of it, and the place behind that; what is more
/// than that is passed over. Without a place: since the beginning of the journal.
///
/// # Errors
/// The journal cannot be read, or the place is not in it any more.
pub fn journal_after(
    units: &[String],
    cursor: Option<&str>,
    most: usize,
    limit: Duration,
    cx: &Context,
) -> Result<(Vec<u8>, Option<String>), CallError> {
    let mut call = Call::new("journalctl").args(["--quiet", "--no-pager", "--output=cat", "--show-cursor"]);
    for unit in units {
        call = call.arg("--unit").arg(unit);
    }
    if let Some(cursor) = cursor {
        call = call.arg(format!("--after-cursor={cursor}"));
    }
    let (mut kept, mut end) = (Vec::new(), Vec::new());
    cx.pull(&call.timeout(limit), &mut |bytes| {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        end.extend_from_slice(bytes);
        let surplus = end.len().saturating_sub(TRAILER);
        end.drain(..surplus);
        Ok(())
    })?;
    // The last line is the journal's own, where there was any entry.
    let at = |text: &[u8]| {
        let line = format!("\n{CURSOR}");
        let found = text.windows(line.len()).rposition(|window| window == line.as_bytes());
        found
            .map(|at| at + 1)
            .or_else(|| text.starts_with(CURSOR.as_bytes()).then_some(0))
    };
    let place = at(&end).map(|at| {
        let line = end.get(at + CURSOR.len()..).unwrap_or_default();
        String::from_utf8_lossy(line).trim().to_owned()
    });
    if let Some(at) = at(&kept) {
        kept.truncate(at);
    }
    Ok((kept, place))
}

/// What a unit has logged since a moment, with times, handed over piece by piece.
///
/// # Errors
/// The journal cannot be read; what was handed over before is right.
pub fn journal_since(
    unit: &str,
    since: DateTime<Utc>,
    limit: Duration,
    sink: Sink<'_>,
    cx: &Context,
) -> Result<(), CallError> {
    let call = Call::new("journalctl")
        .args(["--quiet", "--no-pager", "--output=short-iso-precise", "--unit"])
        .arg(unit)
        .arg(format!("--since=@{}", since.timestamp()));
    cx.pull(&call.timeout(limit), sink).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_nowhere_is_told_though_its_result_is_success() {
        let text = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\nNRestarts=0\n";
        let state = UnitState::read(text);
        assert!(state.trouble().is_some() && !state.is_up());
    }

    #[test]
    fn one_that_waits_to_be_restarted_is_up_and_does_not_run() {
        let text = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=4\n\
                    ExecMainStatus=3\nTriggeredBy=a.socket b.timer\n";
        let state = UnitState::read(text);
        assert!(state.is_up() && !state.is_running() && state.trouble().is_none());
        assert_eq!(state.words(), "activating (exit-code, 3), restarted 4 times");
        assert_eq!(state.triggers, ["a.socket", "b.timer"]);
    }

    #[test]
    fn a_name_without_an_ending_is_a_service() {
        assert_eq!(full_name("api"), "api.service");
        assert_eq!(full_name("api.v2"), "api.v2.service");
        assert_eq!(full_name("api.socket"), "api.socket");
    }
}
