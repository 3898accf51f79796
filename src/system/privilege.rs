//! Who we are on this host: user, process, boot; and what a process may leak.

use guard_model::fact::Actor;

/// Keeps the memory of this process, where secrets pass through, out of core dumps.
pub fn forbid_core_dumps() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A refusal leaves the limit as the administrator set it, which is theirs to decide.
    let _refused = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

/// Keeps other processes of the same user, as what a deploy command starts, from looking into this one: they can neither trace
/// it nor read its memory or environment. Programs that guard starts are as open as ever.
pub fn be_opaque() {
    // A kernel that refuses leaves things as they are for every program.
    let _refused = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Whether guard runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The effective user's number.
#[must_use]
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The home directory of a user; `None` where the host knows none.
#[must_use]
pub fn home_of(uid: u32) -> Option<std::path::PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let number = uid.to_string();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2) == Some(&number.as_str()))?;
    found.get(5).filter(|home| home.starts_with('/')).map(Into::into)
}

/// This host's name.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The id that the kernel gave to this boot; empty where it does not tell.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// The effective user's name, or the number where the host has no name for it.
fn user_name() -> String {
    let number = user_id().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2) == Some(&number.as_str()));
    found
        .and_then(|fields| fields.first().map(|name| (*name).to_owned()))
        .unwrap_or(number)
}

/// This process as the driver of a run.
#[must_use]
pub fn actor(user: Option<&str>) -> Actor {
    Actor {
        pid: std::process::id(),
        group: u32::try_from(rustix::process::getpgrp().as_raw_nonzero().get()).unwrap_or_default(),
        host: host_name(),
        boot: boot_id(),
        user: user.map_or_else(user_name, str::to_owned),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        watcher: false,
    }
}
