//! The tour: a good release, a bad one, and the way back, each by guard itself, told as it goes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::part::stop;
use super::project::{Answer, Place};
use super::site::ask;
use guard_model::exit::ExitCode;
use guard_model::text::typed;
use guard_report::failure::Account;
use guard_run::request::{Check, Demo, Deploy, GlobalArgs, ReportOf, Request};
use guard_run::session::Session;
use guard_system::environment::Environment;

/// What a CI system or a shell sets for guard must not reach the demo: it would deploy by other settings, and write into
/// the job's own summary.
const FOREIGN: [&str; 10] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "MONITORING_DURATION",
    "ERROR_THRESHOLD",
    "HEALTH_CHECK_FAILURES_THRESHOLD",
    "HEALTH_CHECK_URL",
    "BACKUP_DIR",
    "SLACK_WEBHOOK_URL",
    "SLACK_WEBHOOK",
];

/// What answers a request as this program answers it when a person types it.
pub(crate) type Guard = fn(Request, &GlobalArgs, Environment, &clap::Command) -> ExitCode;

struct Tour<'t> {
    guard: Guard,
    global: GlobalArgs,
    environment: Environment,
    command: &'t clap::Command,
    place: Place,
    program: PathBuf,
}

/// Shows guard at work, and returns 0 where all went as promised.
pub(crate) fn tour(
    asked: &Demo,
    global: &GlobalArgs,
    environment: &Environment,
    (guard, command): (Guard, &clap::Command),
) -> ExitCode {
    let session = match Session::open(global, environment.clone()) {
        Ok(session) => session,
        Err(exit) => return exit,
    };
    let shown = shown(asked, global, environment, (guard, command));
    let exit = match shown {
        Ok(()) if session.style.json => session.answer(json!({ "demo": "as promised", "kept": asked.keep })),
        Ok(()) => ExitCode::DONE,
        Err(error) => {
            let failure = guard_model::fact::Failure::new(format!("the demo: {error}"))
                .with_hint("`guard demo --keep DIR` leaves what it made, for a look");
            session
                .reporter
                .account(&Account::of_failure(&failure, "production is untouched", None));
            ExitCode::BUG
        }
    };
    session.close();
    exit
}

fn shown(
    asked: &Demo,
    global: &GlobalArgs,
    environment: &Environment,
    (guard, command): (Guard, &clap::Command),
) -> Answer<()> {
    // Removed with all that is in it, unless it is to be kept.
    let temporary = tempfile::Builder::new().prefix("guard-demo.").tempdir()?;
    let root = match &asked.keep {
        None => temporary.path().to_owned(),
        Some(kept) => {
            guard_system::disk::create_new_dir(kept)?;
            kept.clone()
        }
    };
    let root = std::fs::canonicalize(root)?;
    let directory = root.join("project");
    let states = root.join("states").display().to_string();
    let ours = environment
        .texts()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("GUARD_"));
    let ours: Vec<&str> = ours.collect();
    let quiet = environment.with(ours.into_iter().chain(FOREIGN).map(|name| (name, None)));
    let tour = Tour {
        guard,
        global: GlobalArgs {
            directory: Some(directory.clone()),
            config: None,
            environment: None,
            ..global.clone()
        },
        environment: quiet.with([("GUARD_STATE_ROOT", Some(states.as_str()))]),
        command,
        place: Place::of(&directory),
        program: std::env::current_exe()?,
    };
    let result = tour.walk(&root, asked.keep.is_some());
    let stopped = tour.in_session(|session| stop(&tour.place, session));
    result.and(stopped)
}

impl Tour<'_> {
    /// Says a title and lines, between two calls of guard.
    fn say(&self, title: &str, lines: &[String]) -> Answer<()> {
        let mut text = format!("\n== {title}\n");
        for line in lines {
            text = format!("{text}   {line}\n");
        }
        self.in_session(|session| {
            if !session.style.json {
                session.reporter.data(text);
            }
            Ok(())
        })
    }

    fn in_session<T>(&self, act: impl FnOnce(&Session) -> Answer<T>) -> Answer<T> {
        let session =
            Session::open(&self.global, self.environment.clone()).map_err(|_| "the kernel gives no thread")?;
        let done = act(&session);
        session.close();
        done
    }

    /// Calls guard as a person would, and expects one of these exit codes.
    fn call(&self, request: Request, codes: &[u8]) -> Answer<()> {
        let exit = (self.guard)(request, &self.global, self.environment.clone(), self.command).number();
        if codes.contains(&exit) {
            return Ok(());
        }
        Err(format!("NOT AS PROMISED: guard ended with {exit}, and not with {codes:?}").into())
    }

    fn ask(&self, method: &str, path: &str) -> Answer<String> {
        let port = self.place.port()?;
        self.in_session(|session| session.runtime.block_on(ask(port, method, path)))
    }

    fn deploy(&self, version: &str) -> Request {
        let program = self.program.display().to_string();
        Request::Deploy(Box::new(Deploy {
            description: Some(format!("release {version}")),
            command: [program.as_str(), "demo-part", "deploy", version]
                .map(str::to_owned)
                .to_vec(),
            ..Deploy::default()
        }))
    }

    fn walk(&self, root: &Path, is_kept: bool) -> Answer<()> {
        // Bound once to find a port that is free, and given back for the service.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        self.place.make(port, &self.program)?;
        self.call_part("start")?;
        let hello = self.ask("GET", "/")?;
        self.say(
            "A project: a web service with an SQLite file, a directory of pictures and an .env",
            &[format!("v1 says: {hello}")],
        )?;
        self.say(
            "1. Is there a way back? Asked before anything is touched: guard check",
            &[],
        )?;
        self.call(Request::Check(Check::default()), &[0])?;

        self.say("2. A good release, v2, adds a column: guard deploy -- ./deploy v2", &[])?;
        self.call(self.deploy("v2"), &[0])?;
        let hello = self.ask("GET", "/")?;
        let user = self.ask("POST", "/users?name=Linus")?;
        let before = self.place.digests()?;
        self.say(
            "3. Life goes on",
            &[format!("v2 says: {hello}"), format!("somebody signs up: {user}")],
        )?;

        self.say(
            "4. A bad release, v3, drops the column, overwrites names, edits .env, and soon deletes the pictures",
            &["Its smoke test passes. The watch finds it out, and guard walks back.".to_owned()],
        )?;
        self.call(self.deploy("v3"), &[21, 22])?;
        let after = self.place.digests()?;
        let different = differences(&before, &after);
        if !different.is_empty() {
            return Err(format!(
                "NOT AS PROMISED: the state is not the one before: {}",
                different.join(", ")
            )
            .into());
        }
        let health = self.ask("GET", "/health")?;
        let into = root.join("report.html");
        self.call(
            Request::Report(ReportOf {
                into: Some(into.clone()),
                ..ReportOf::default()
            }),
            &[0],
        )?;
        let mut lines = vec![
            format!(
                "{} parts of the state are as they were before v3, by digests of the demo's own:",
                after.len()
            ),
            format!(
                "{}; and so on",
                after.keys().take(3).cloned().collect::<Vec<_>>().join("; ")
            ),
            format!("the service says: {health}"),
        ];
        if is_kept {
            let project = typed(&self.place.directory.display().to_string());
            lines.push(format!("the report of the bad release: {}", into.display()));
            lines.push(format!(
                "what guard keeps: guard -C {project} status, list, history, report"
            ));
        } else {
            lines.push(
                "`guard demo --keep DIR` leaves the project and the report of the bad release for a look".to_owned(),
            );
        }
        self.say("As promised", &lines)
    }

    fn call_part(&self, word: &str) -> Answer<()> {
        use guard_system::call::Call;
        let call = Call::new(self.program.display().to_string()).args(["demo-part", word]);
        self.in_session(|session| {
            session.context(&self.place.directory).output(&call)?;
            Ok(())
        })
    }
}

/// The parts in which two states differ.
fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let names = names.filter(|name| before.get(*name) != after.get(*name));
    let mut names: Vec<String> = names.cloned().collect();
    names.sort();
    names.dedup();
    names
}
