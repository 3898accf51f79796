//! What systemd ends together with guard: the control group of a service, of a session, or of a user's manager; and how a
//! process gets a scope of its own that outlives it.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clock::MachineClock;
use crate::privilege;

/// There where systemd is the first process.
const SYSTEMD: &str = "/run/systemd/system";
/// The program that puts a command into a scope and becomes it.
const RUN: &str = "systemd-run";
/// How long systemd may take to make a scope. It takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether it has.
const TICK: Duration = Duration::from_millis(10);

/// Whose scope it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The machine's.
    System,
    /// The user's own.
    User,
}

/// What becomes of a process that guard leaves behind when whoever has started guard is ended as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// No control group ends it.
    Free,
    /// It is ended with this unit, unless it gets a scope of its own, which this manager gives.
    Scope {
        /// The unit that would end it.
        unit: String,
        /// Who gives the scope.
        manager: Manager,
        /// Whether that manager ends, and the scope with it, when its user logs out.
        is_mortal: bool,
    },
    /// It is ended with this unit, and nobody gives a scope.
    Held {
        /// The unit that ends it.
        unit: String,
        /// Why nobody gives a scope.
        why: String,
    },
}

/// What is known of this process and its user.
struct Facts {
    /// The path of its control group.
    path: String,
    is_root: bool,
    user: String,
    /// Whether the user's manager answers.
    has_manager: bool,
    /// Whether it stays when the user logs out.
    lingers: bool,
    /// Whether the end of a session ends its processes; asked only where it matters.
    kills: fn() -> bool,
}

/// What would become of a process that guard leaves behind now.
#[must_use]
pub fn reach() -> Reach {
    if !Path::new(SYSTEMD).is_dir() {
        return Reach::Free;
    }
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let uid = privilege::user_id();
    let user = privilege::actor(None).user;
    let facts = Facts {
        path: path_of(&groups).unwrap_or_default().to_owned(),
        is_root: privilege::is_root(),
        has_manager: Path::new(&format!("/run/user/{uid}/systemd/private")).exists(),
        lingers: Path::new("/var/lib/systemd/linger").join(&user).exists(),
        user,
        kills: sessions_are_ended,
    };
    judge(&facts)
}

/// The control group that systemd keeps of a process. Where there are trees of both versions, it may keep it in either one, and
/// the other says nothing.
fn path_of(groups: &str) -> Option<&str> {
    let find = |mark: &str| {
        groups
            .lines()
            .find_map(|line| line.split_once(mark).map(|(_, path)| path))
    };
    let named = find(":name=systemd:").filter(|path| *path != "/");
    named.or_else(|| find("0::"))
}

fn judge(facts: &Facts) -> Reach {
    let parts: Vec<&str> = facts.path.split('/').filter(|part| !part.is_empty()).collect();
    let is = |unit: &str, kind: &str| unit.rsplit_once('.').is_some_and(|(_, ending)| ending == kind);
    let is_unit = |part: &&&str| is(part, "service") || is(part, "scope");
    let Some(unit) = parts.iter().rev().find(is_unit).map(|unit| (*unit).to_owned()) else {
        return Reach::Free;
    };
    let is_session = unit.starts_with("session-") && is(&unit, "scope");
    // The end of a session spares root by default, and everybody where the administrator has set so.
    if unit == "init.scope" || (is_session && (facts.is_root || !(facts.kills)())) {
        return Reach::Free;
    }
    if facts.is_root {
        return Reach::Scope {
            unit,
            manager: Manager::System,
            is_mortal: false,
        };
    }
    let linger = format!("`loginctl enable-linger {}`", facts.user);
    if !facts.has_manager {
        let why = format!(
            "there is no manager of the user {} to ask for one: {linger}",
            facts.user
        );
        return Reach::Held { unit, why };
    }
    if !facts.lingers && !parts.iter().any(|part| part.starts_with("user@")) {
        let why = format!(
            "the manager of the user {} ends when the user logs out: {linger}",
            facts.user
        );
        return Reach::Held { unit, why };
    }
    Reach::Scope {
        unit,
        manager: Manager::User,
        is_mortal: !facts.lingers,
    }
}

/// Whether the end of a session ends its processes, as logind says. Where it says nothing, they are ended: systemd's own default.
#[expect(
    clippy::disallowed_methods,
    reason = "a question to systemd, asked where there is no context"
)]
fn sessions_are_ended() -> bool {
    let name = "org.freedesktop.login1";
    let asked = Command::new("busctl")
        .args(["--system", "get-property", name, "/org/freedesktop/login1"])
        .args([&format!("{name}.Manager"), "KillUserProcesses"])
        .stdin(Stdio::null())
        .output();
    !asked.is_ok_and(|asked| String::from_utf8_lossy(&asked.stdout).trim() == "b false")
}

/// Starts this very program with these words in a scope of its own; whether it is there. What it inherits is what this process
/// has; variables of these names it does not.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the door for starting guard itself")]
pub fn start_in_scope(manager: Manager, words: &[String], without: &[&str]) -> bool {
    // By a descriptor: the program may have been replaced since, and `systemd-run` knows itself by /proc/self/exe.
    let Ok(program) = std::fs::File::open("/proc/self/exe") else {
        return false;
    };
    // A copy is handed on to programs that are started.
    let Ok(program) = rustix::io::dup(&program) else {
        return false;
    };
    let mut command = Command::new(RUN);
    if manager == Manager::User {
        command.arg("--user");
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", privilege::user_id()));
    }
    command
        .args([
            "--scope",
            "--quiet",
            "--collect",
            "--description=guard, standing by",
            "--",
        ])
        .arg(OsStr::new(&format!("/proc/self/fd/{}", program.as_raw_fd())))
        .args(words)
        .stdin(Stdio::null())
        .current_dir("/");
    for name in without {
        command.env_remove(name);
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let group = |process: &str| std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let (ours, its) = (group("self"), child.id().to_string());
    let clock = MachineClock::start();
    while clock.steady() < PATIENCE {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return false;
        }
        let now = group(&its);
        if !now.is_empty() && now != ours {
            return true;
        }
        clock.sleep(TICK);
    }
    // It was never let in; who is started instead must be the only one.
    let _gone = child.kill();
    let _gone = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(path: &str) -> Facts {
        Facts {
            path: path.to_owned(),
            is_root: false,
            user: "deploy".to_owned(),
            has_manager: true,
            lingers: true,
            kills: || true,
        }
    }

    fn scope(unit: &str, manager: Manager, is_mortal: bool) -> Reach {
        Reach::Scope {
            unit: unit.to_owned(),
            manager,
            is_mortal,
        }
    }

    #[test]
    fn the_group_is_found_in_both_kinds_of_tree() {
        let hybrid = "12:cpu:/a\n1:name=systemd:/system.slice/x.service\n0::/\n";
        assert_eq!(path_of(hybrid), Some("/system.slice/x.service"));
        let other = "9:name=systemd:/\n1:cpu:/\n0::/system.slice/x.service\n";
        assert_eq!(path_of(other), Some("/system.slice/x.service"));
        assert_eq!(path_of("0::/user.slice\n"), Some("/user.slice"));
    }

    #[test]
    fn root_leaves_a_service_by_the_machines_manager_and_a_session_spares_it() {
        let root = |path: &str| Facts {
            is_root: true,
            ..facts(path)
        };
        let service = judge(&root("/system.slice/actions.runner.service"));
        assert_eq!(service, scope("actions.runner.service", Manager::System, false));
        for free in ["/user.slice/user-0.slice/session-3.scope", "/init.scope", "/", ""] {
            assert_eq!(judge(&root(free)), Reach::Free, "{free}");
        }
    }

    #[test]
    fn a_user_needs_a_manager_that_stays() {
        let session = "/user.slice/user-1000.slice/session-3.scope";
        let lingering = judge(&facts(session));
        assert_eq!(lingering, scope("session-3.scope", Manager::User, false));
        let spared = Facts {
            kills: || false,
            ..facts(session)
        };
        assert_eq!(judge(&spared), Reach::Free);
        let mortal = Facts {
            lingers: false,
            ..facts(session)
        };
        let absent = Facts {
            has_manager: false,
            ..facts("/system.slice/ci.service")
        };
        for (facts, unit) in [(mortal, "session-3.scope"), (absent, "ci.service")] {
            let Reach::Held { unit: held, why } = judge(&facts) else {
                panic!("{unit} holds what it starts");
            };
            assert!(
                held == unit && why.contains("`loginctl enable-linger deploy`"),
                "{held}: {why}"
            );
        }
        let own = Facts {
            lingers: false,
            ..facts("/user.slice/user-1000.slice/user@1000.service/app.slice/ci.service")
        };
        assert_eq!(judge(&own), scope("ci.service", Manager::User, true));
    }
}
