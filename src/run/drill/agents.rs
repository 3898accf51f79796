//! Processes that make a fault last: a proxy before the application, a file that fills the disk, a loop of restarts.
//!
//! They are this program, out of the reach of what may kill guard. Each ends by itself as soon as the run's directory says that
//! the drill is over, or is gone: nobody has to know them to be rid of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::drill::proxy;
use crate::drill::record::Agent;
use crate::outcome::{Outcome, Refusal};
use crate::session::Session;
use guard_model::exit::ExitCode;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::identity::Identity;
use guard_system::{detached, disk, privilege};

/// How this program is called for a part of a drill.
pub const WORD: &str = "drill-part";
/// How often an agent looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// How long an agent may take to come, and to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two rounds of restarts.
const PAUSE: Duration = Duration::from_millis(300);
/// How long one of the commands of a loop may take.
const COMMAND: Duration = Duration::from_secs(20);
/// Free bytes that a disk keeps when it is filled: guard's own records have to fit.
pub const RESERVE: u64 = 64 * 1024 * 1024;
/// The file that says that a run has begun.
const JOURNAL: &str = "journal.jsonl";
/// What agents say.
const LOG: &str = "drill.log";

/// The fault is lifted: loops and files end, proxies only hand on.
pub const LIFTED: &str = "drill-lifted";
/// The drill is over: everything ends.
pub const OVER: &str = "drill-over";
/// What the proxies do, in a word: `errors`, `slow`.
pub const MODE: &str = "drill-mode";

/// Starts an agent for a run, and waits until it is at work; what it told beside its process, as its port.
///
/// # Errors
/// It could not be started, or is not able to do it.
pub fn start(run: &Path, what: &str, words: &[String]) -> std::io::Result<(Agent, String)> {
    let log = disk::open_append(&run.join(LOG)).map_err(std::io::Error::other)?;
    let us = Identity::of_this_process().ok_or_else(|| std::io::Error::other("/proc cannot be read"))?;
    let us = [us.pid.to_string(), us.began.to_string()];
    let first = [WORD, "away", &run.display().to_string(), &us[0], &us[1], what].map(str::to_owned);
    let all: Vec<String> = first.into_iter().chain(words.iter().cloned()).collect();
    let told = detached::start(&all, log, PATIENCE);
    let told = told.map_err(|error| {
        let said = disk::read_text_optional(&run.join(LOG))
            .ok()
            .flatten()
            .unwrap_or_default();
        let said = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
        std::io::Error::new(error.kind(), format!("{error}{said}"))
    })?;
    let mut parts = told.split(' ').map(str::to_owned);
    let pid = parts.next().and_then(|pid| pid.parse().ok());
    let process = pid.and_then(Identity::of);
    let process = process.ok_or_else(|| std::io::Error::other("it has ended already"))?;
    let agent = Agent {
        what: what.to_owned(),
        process,
        boot: privilege::boot_id(),
    };
    Ok((agent, parts.next().unwrap_or_default()))
}

/// Waits until these agents have ended, which were told to; one that does not hear is killed.
pub fn await_end(agents: &[&Agent], cx: &Context) {
    let deadline = cx.clock.steady() + PATIENCE;
    let is_any_alive = || agents.iter().any(|agent| agent.is_alive());
    while is_any_alive() && cx.clock.steady() < deadline {
        cx.clock.sleep(LOOK);
    }
    for agent in agents.iter().filter(|agent| agent.is_alive()) {
        kill(agent.process.pid);
    }
}

/// Kills a process.
pub fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // One that is gone already is what was wanted.
    let _gone = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
}

/// Who an agent works for.
struct Master {
    run: PathBuf,
    /// The guard that has started it.
    guard: Identity,
}

impl Master {
    /// Whether the agent is to end: the run's directory says so, is gone, or cannot be looked at; or guard has died before the run
    /// began, so that nobody will ever finish it.
    fn is_over(&self, at: &str) -> bool {
        let is_there = |name: &str| disk::exists(&self.run.join(name)).unwrap_or(true);
        let is_orphan = || !self.guard.is_alive() && !disk::exists(&self.run.join(JOURNAL)).unwrap_or(false);
        is_there(at) || is_there(OVER) || !disk::exists(&self.run).unwrap_or(false) || is_orphan()
    }
}

/// Is an agent: what [`start`] has asked for. The first of two processes only steps away.
///
/// # Errors
/// It cannot do what it is there for.
pub fn be(words: &[String], session: &Session) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| Refusal::new(ExitCode::REFUSED, error.to_string());
    let usage = || Refusal::new(ExitCode::USAGE, "a drill has no such part");
    let [step, run, pid, began, what, rest @ ..] = words else {
        return Err(usage());
    };
    if step == "away" {
        let next = [WORD, "agent", run, pid, began, what].map(str::to_owned);
        let next: Vec<String> = next.into_iter().chain(rest.iter().cloned()).collect();
        return detached::step_away(&next)
            .map(|()| ExitCode::DONE)
            .map_err(|error| failed(&error));
    }
    let (Ok(pid), Ok(began)) = (pid.parse(), began.parse()) else {
        return Err(usage());
    };
    let master = Master {
        run: PathBuf::from(run),
        guard: Identity { pid, began },
    };
    let done = match (what.as_str(), rest) {
        ("proxy", [url]) => be_proxy(&master, url, session),
        ("room", [directory]) => be_room(&master, Path::new(directory), session),
        ("loop", [directory, commands]) => be_loop(&master, Path::new(directory), commands, session),
        _ => return Err(usage()),
    };
    done.map(|()| ExitCode::DONE).map_err(|error| failed(&error))
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn ready(told: &str) -> std::io::Result<()> {
    detached::ready(format!("{} {told}", std::process::id()).trim_end(), "guard-drill")
}

fn be_proxy(master: &Master, url: &str, session: &Session) -> Done {
    let url = Url::parse(url)?;
    let listener = session
        .runtime
        .block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)))?;
    let port = listener.local_addr()?.port();
    let fault = proxy::Manner {
        mode: master.run.join(MODE),
        lifted: master.run.join(LIFTED),
    };
    session.runtime.spawn(proxy::serve(listener, url, fault));
    ready(&port.to_string())?;
    while !master.is_over(OVER) {
        session.clock.sleep(LOOK);
    }
    Ok(())
}

fn be_room(master: &Master, directory: &Path, session: &Session) -> Done {
    let (file, taken) = disk::take_room(directory, RESERVE)?;
    ready(&taken.to_string())?;
    while !master.is_over(LIFTED) {
        session.clock.sleep(LOOK);
    }
    drop(file);
    Ok(())
}

fn be_loop(master: &Master, directory: &Path, commands: &str, session: &Session) -> Done {
    let commands: Vec<Vec<String>> = serde_json::from_str(commands)?;
    // A wish to stop is told to this process by a file.
    let cx = session.context(directory).unstoppable();
    ready("")?;
    loop {
        for words in &commands {
            if master.is_over(LIFTED) {
                return Ok(());
            }
            if let Some(call) = Call::of_words(words) {
                // A start that fails is a part of a restart loop.
                let _whatever = cx.outcome(&call.directory(directory).timeout(COMMAND));
            }
        }
        session.clock.sleep(PAUSE);
    }
}
