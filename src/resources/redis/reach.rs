//! How a server is asked: by its own client program, on this host or inside its container.

use std::path::PathBuf;
use std::time::Duration;

use super::server::Redis;
use super::target::Target;
use crate::error::{ResourceError, Result};
use crate::way::Way;
use guard_model::secret::Secret;
use guard_model::text::sanitised;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker::{self, Container};
use guard_system::processes::CallError;

/// How long one answer may take: a script over two hundred keys, each of which may be large.
const LIMIT: Duration = Duration::from_mins(2);
/// With what a reply begins that is an error.
const ERRORS: [&str; 15] = [
    "ERR ",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
    "LOADING",
    "DENIED",
    "MISCONF",
    "READONLY",
    "MOVED",
    "BUSY",
    "NOSCRIPT",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "OOM ",
    "EXECABORT",
];

/// A way to a server, found for one act.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// The container that runs the server.
    pub(super) container: Option<Container>,
    flags: Vec<String>,
    password: Option<Secret>,
    program: &'static str,
}

/// Whether there is a server to be asked.
#[derive(Debug)]
pub(super) enum Found {
    /// It answers.
    Runs(Box<Reach>),
    /// Nobody answers there, or its container does not run; this is why.
    Stopped(ResourceError),
}

impl Reach {
    /// The way to a server that has to run.
    pub(super) fn open(of: &Redis, cx: &Context) -> Result<Self> {
        match Self::find(of, cx)? {
            Found::Runs(reach) => Ok(*reach),
            Found::Stopped(error) => Err(error),
        }
    }

    /// Looks for the server, and says hello.
    pub(super) fn find(of: &Redis, cx: &Context) -> Result<Found> {
        let (mut target, mut container) = (Target::default(), None);
        match &of.way {
            Way::Url(url) => {
                let unread = |why| ResourceError::new(format!("could not read the `url`: {why}"));
                target = Target::of_url(url.expose()).map_err(unread)?;
            }
            Way::Service { service, project } => {
                let found = docker::container_by_service(cx, project, service).map_err(|error| {
                    ResourceError::because("could not reach the server's container", error)
                        .with_hint("`docker ps` shows whether the engine answers")
                })?;
                if !found.as_ref().is_some_and(Container::is_running) {
                    let (what, hint) = docker::not_running(found.as_ref(), project, service);
                    return Ok(Found::Stopped(ResourceError::new(what).with_hint(hint)));
                }
                container = found;
            }
        }
        let named = of.password_env.as_deref().and_then(|name| cx.environment.text(name));
        let password = named.map(Secret::new).or(target.password);
        for secret in password.iter().map(Secret::expose) {
            cx.redaction.learn(secret);
        }
        let mut flags = target.flags;
        if let Some(user) = of.user.clone().or(target.user) {
            flags.extend(["--user".to_owned(), user]);
        }
        let mut reach = Self {
            container,
            flags,
            password,
            program: "redis-cli",
        };
        reach.choose_program(cx)?;
        match reach.ask(0, &["PING"], cx) {
            Ok(_) => Ok(Found::Runs(Box::new(reach))),
            Err(error) if is_unanswered(&error) => {
                let what = "the server does not answer";
                let error = ResourceError {
                    what: what.to_owned(),
                    ..error
                }
                .with_hint("start it, or correct `url`");
                Ok(Found::Stopped(error))
            }
            Err(error) => Err(error),
        }
    }

    /// A way to servers that guard itself starts on this host.
    pub(super) fn local(cx: &Context) -> Result<Self> {
        let mut reach = Self {
            container: None,
            flags: Vec::new(),
            password: None,
            program: "redis-cli",
        };
        reach.choose_program(cx)?;
        Ok(reach)
    }

    /// The same way to a server that guard has started itself, which asks for no password.
    pub(super) fn unnamed(&self) -> Self {
        Self {
            flags: Vec::new(),
            password: None,
            ..self.clone()
        }
    }

    /// Takes the client that is there.
    fn choose_program(&mut self, cx: &Context) -> Result<()> {
        for program in ["redis-cli", "valkey-cli"] {
            self.program = program;
            if self.has_program(cx) {
                return Ok(());
            }
        }
        Err(ResourceError::new("neither redis-cli nor valkey-cli is installed here")
            .with_hint("install the package redis-tools, or use `service` to run the container's own"))
    }

    fn has_program(&self, cx: &Context) -> bool {
        cx.output(&self.call(&[], &["--version"])).is_ok()
    }

    /// A call of the client with these flags before the words; the password travels in its environment.
    fn call(&self, flags: &[String], words: &[&str]) -> Call {
        let mut env = vec![("LC_ALL", "C")];
        if let Some(password) = &self.password {
            env.push(("REDISCLI_AUTH", password.expose()));
        }
        let words: Vec<&str> = flags.iter().map(String::as_str).chain(words.iter().copied()).collect();
        let call = if let Some(container) = &self.container {
            let words: Vec<&str> = std::iter::once(self.program).chain(words).collect();
            docker::exec(&container.id, &env, false, &words)
        } else {
            let call = Call::new(self.program).args(words);
            env.iter().fold(call, |call, (name, value)| call.env(name, value))
        };
        call.timeout(LIMIT)
    }

    /// Asks for one thing in one database, and returns what the server says, a line for each element.
    pub(super) fn ask(&self, database: u32, words: &[&str], cx: &Context) -> Result<String> {
        self.ask_at(&self.flags, database, words, cx)
    }

    /// The same of another server that its own container or this host runs, at a socket.
    pub(super) fn ask_at(&self, flags: &[String], database: u32, words: &[&str], cx: &Context) -> Result<String> {
        let mut all = flags.to_vec();
        all.extend(["--no-auth-warning", "--raw", "-n", &database.to_string()].map(str::to_owned));
        let command = words.first().copied().unwrap_or_default();
        let output = cx
            .output(&self.call(&all, words))
            .map_err(|error| explained(error, command))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The client has two ways to say that a command failed, and an exit code for neither.
        let stderr = &output.stderr;
        let told = text.trim_start_matches("(error) ");
        if ERRORS.iter().any(|error| told.starts_with(error)) {
            return Err(refused(command, told.lines().next().unwrap_or_default()));
        }
        if let Some(failed) = stderr
            .lines()
            .find(|line| line.contains("AUTH failed") || line.contains("Could not connect"))
        {
            return Err(refused(command, failed));
        }
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// A setting of the server; `None` where it may not be asked or has none of that name.
    pub(super) fn setting(&self, name: &str, cx: &Context) -> Option<String> {
        let text = self.ask(0, &["CONFIG", "GET", name], cx).ok()?;
        text.split_once('\n').map(|(_, value)| value.to_owned())
    }

    /// What `INFO` says of one thing.
    pub(super) fn info(&self, section: &str, cx: &Context) -> Result<Info> {
        Ok(Info(self.ask(0, &["INFO", section], cx)?))
    }

    /// The directory of the server's files, as it sees it, and where it is from here.
    pub(super) fn directory(&self, told: &str, cx: &Context) -> Result<PathBuf> {
        let Some(container) = &self.container else {
            return Ok(PathBuf::from(told));
        };
        let below = |target: &str| {
            std::path::Path::new(told)
                .strip_prefix(target)
                .ok()
                .map(std::path::Path::to_owned)
        };
        let mut mounts: Vec<_> = container
            .mounts
            .iter()
            .filter(|mount| below(&mount.target).is_some())
            .collect();
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.target.len()));
        let mount = mounts.first().ok_or_else(|| {
            ResourceError::new(format!(
                "{told} of the container {} is in no volume: it is lost with it",
                container.name
            ))
            .with_hint(format!("mount a volume at {told}"))
        })?;
        let source = if mount.kind == "volume" {
            let failed =
                |error| ResourceError::because(format!("could not look at the volume {}", mount.source), error);
            let volume = docker::volume(cx, &mount.source).map_err(failed)?;
            PathBuf::from(volume.map(|volume| volume.mountpoint).unwrap_or_default())
        } else {
            PathBuf::from(&mount.source)
        };
        Ok(source.join(below(&mount.target).unwrap_or_default()))
    }
}

/// The lines of `INFO`.
pub(super) struct Info(String);

impl Info {
    pub(super) fn of(text: String) -> Self {
        Self(text)
    }

    /// The value of a field; empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        let mut lines = self.0.lines();
        let found = lines.find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_default()
    }

    /// The numbers of the databases that hold keys.
    pub(super) fn databases(&self) -> Vec<u32> {
        let lines = self.0.lines();
        lines
            .filter_map(|line| line.strip_prefix("db")?.split_once(':')?.0.parse().ok())
            .collect()
    }
}

fn is_unanswered(error: &ResourceError) -> bool {
    error.to_string().contains("does not answer")
}

fn explained(error: CallError, command: &str) -> ResourceError {
    let text = if let CallError::Exit { stderr, .. } = &error {
        stderr.clone()
    } else {
        String::new()
    };
    if text.contains("Could not connect") || text.contains("Connection reset") || text.contains("Connection refused") {
        return ResourceError::because("the server does not answer", error);
    }
    if text.contains("is not running") || text.contains("No such container") {
        return ResourceError::because("the server does not answer: its container has ended", error);
    }
    ResourceError::because(format!("could not ask the server for {command}"), error)
}

fn refused(command: &str, said: &str) -> ResourceError {
    let said = sanitised(said);
    if said.contains("Could not connect") {
        return ResourceError::new(format!("the server does not answer: {said}"));
    }
    let hint = match said.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" => "name the password by `password_env`, or in the `url`",
        _ if said.contains("AUTH failed") => "correct `user`, and the password in `url` or `password_env`",
        "NOPERM" => "let guard use an account that may do it: `ACL SETUSER guard on >PASSWORD ~* +@all`",
        "LOADING" | "BUSY" => "wait until it is ready, then run the same command again",
        _ => "see the server's log and its settings (`rename-command`)",
    };
    ResourceError::new(format!("the server refuses {command}: {said}")).with_hint(hint)
}
