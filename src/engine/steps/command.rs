//! The user's own commands: the deploy command, once and never again, and the checks behind it.

use std::path::{Path, PathBuf};

use super::drift::{RELEASED, Released};
use super::failure::failed;
use super::relay::Relay;
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::event::Level;
use guard_model::fact::{Deployed, Failure, StepOutput};
use guard_resources::Mark;
use guard_services::Roles;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::processes::CallError;
use guard_system::secrets;

/// The file in the run's directory to which a deploy script appends what it has to tell.
const ANNOUNCEMENTS: &str = "events";
/// The file there that holds what the deploy command has written.
pub const DEPLOY_LOG: &str = "deploy.log";

/// The file there that holds what a verify command has written, by its number from 1; the stage is `verify`, or `prove` behind
/// a way back.
#[must_use]
pub fn check_log(stage: &str, number: usize) -> String {
    format!("{stage}-{number}.log")
}

/// Runs the deploy command.
fn deploy(words: &[String], history: &History, cx: &Context) -> Result<StepOutput, Failure> {
    let events = cx.scratch.join(ANNOUNCEMENTS);
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::from_error(error);
    drop(disk::open_append(&events).map_err(|error| failed(&error))?);
    let timeout = history.plan().policy.deploy_timeout;
    let result = run(words, "deploy", Some(cx.scratch.join(DEPLOY_LOG)), timeout, &events, cx);
    let deployed = announced(&events, cx).map_err(|error| failed(&error))?;
    match result {
        Ok(()) => Ok(StepOutput::Deployed(deployed)),
        Err(failure) => Err(Failure {
            deployed: Some(deployed),
            ..failure
        }),
    }
}

impl StepRunner {
    /// Runs the deploy command behind the maintenance page. The page comes down when the command ended well, since the probes
    /// have to see the release. Otherwise it stays up across the way back, which takes it down at its end.
    pub(super) fn deploy(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            // Nothing is deployed before it is known what has to run again after a way back.
            self.strategy
                .before_release(&services, &there)
                .map_err(|error| Failure::from_error(&error))?;
        }
        let cx = &self.beside(cx, Roles::idle)?;
        let before = self.live_now(cx);
        self.strategy.hold_traffic(&self.services, cx);
        self.mark(Mark::DeployBegins, cx);
        let result = deploy(&self.command, history, cx);
        self.mark(Mark::DeployEnded, &cx.unstoppable());
        let after = self.live_now(&cx.unstoppable());
        let released = serde_json::to_vec(&Released { before, after }).unwrap_or_default();
        if let Err(error) = disk::write_whole(&cx.scratch.join(RELEASED), &released) {
            cx.note(
                Level::Warn,
                format!("what the release has changed is not written down: {error}"),
            );
        }
        Self::tell_left_running("deploy", result.is_ok(), cx);
        self.look_at_way_back(history, cx);
        self.learn_secrets(cx);
        if result.is_ok() {
            self.take_page_down(cx);
            self.secure(history, cx);
        }
        result.map(|yields| match yields {
            StepOutput::Deployed(deployed) => StepOutput::Deployed(Deployed {
                changed: self.has_changed(history, cx),
                ..deployed
            }),
            other => other,
        })
    }

    /// Tells every resource that the deploy command begins, or has ended.
    fn mark(&self, mark: Mark, cx: &Context) {
        for (name, member) in &self.resources {
            let (resource, there) = member.at(cx);
            if let Err(error) = resource.mark(mark, &there) {
                let why = failed(&error, cx).sentence();
                let what = "a rollback will not know which rows were written while the deploy command ran";
                cx.note(Level::Warn, format!("{name}: {what}: {why}"));
            }
        }
    }

    /// Looks whether the deploy command took away what the way back needs, as one does that cleans up behind itself: told now
    /// and not when it is needed. A release is not bad for it.
    fn secure(&self, history: &History, cx: &Context) {
        let cx = &cx.unstoppable();
        for artifact in history.artifacts() {
            let name = &artifact.resource;
            let Some(member) = self.resources.get(name) else {
                continue;
            };
            let (resource, there) = member.at(cx);
            match resource.secure(artifact, &self.slot(history, name), &there) {
                Ok(sentences) => {
                    for sentence in sentences {
                        cx.note(Level::Warn, format!("the deploy command took from {name}: {sentence}"));
                    }
                }
                Err(error) => {
                    let failure = failed(&error, cx);
                    let hint = failure
                        .hint
                        .clone()
                        .map_or_else(String::new, |hint| format!(" ({hint})"));
                    let why = failure.sentence();
                    cx.note(
                        Level::Error,
                        format!("THE WAY BACK IS NOT OPEN: the deploy command took from {name} what a rollback needs: {why}{hint}"),
                    );
                }
            }
        }
    }

    /// Takes the maintenance page down; a page that stays up is told, and that is all.
    pub fn take_page_down(&self, cx: &Context) {
        if let Err(error) = self.strategy.admit_traffic(&self.services, &cx.unstoppable()) {
            let chain = Failure::from_error(&error).chain.join(": ");
            cx.note(Level::Warn, format!("the maintenance page is still up: {chain}"));
        }
    }

    /// Learns the secrets that the deploy command has written into the env files, and takes them out of what was kept of
    /// its output: until now nobody could know them.
    pub(super) fn learn_secrets(&self, cx: &Context) {
        for file in &self.env_files {
            if let Err(error) = secrets::learn_file(&cx.redaction, file) {
                cx.note(
                    Level::Warn,
                    format!("secrets in it are not known, and may be shown: {error}"),
                );
            }
        }
        let log = cx.scratch.join(DEPLOY_LOG);
        let kept = disk::read_text_optional(&log).ok().flatten().unwrap_or_default();
        let clean = cx.redaction.clean(&kept);
        if clean != kept
            && let Err(error) = disk::write_whole(&log, clean.as_bytes())
        {
            cx.note(Level::Warn, format!("a new secret may stand in it: {error}"));
        }
    }

    /// Runs the user's checks, one after the other; the first failure ends them.
    pub(super) fn verify(&self, cx: &Context) -> Result<StepOutput, Failure> {
        let cx = &self.beside(cx, Roles::idle)?;
        self.run_checks("verify", cx).map(|_| StepOutput::Nothing)
    }

    /// Runs them again over what was put back, with `GUARD_STAGE=prove`. One that the release brought along, and that is gone
    /// with it, has nothing to say. Returns what they found, each a sentence.
    pub(super) fn prove_by_checks(&self, cx: &Context) -> Result<Vec<String>, Failure> {
        let cx = &self.beside(cx, Roles::live)?;
        self.run_checks("prove", cx)
    }

    fn run_checks(&self, stage: &str, cx: &Context) -> Result<Vec<String>, Failure> {
        let mut passed = Vec::new();
        for (number, words) in self.verify.iter().enumerate() {
            let log = cx.scratch.join(check_log(stage, number + 1));
            let events = cx.scratch.join(ANNOUNCEMENTS);
            match run(words, stage, Some(log), Some(self.verify_timeout), &events, cx) {
                Ok(()) => passed.push(format!("`{}` passed", cx.redaction.clean(&words.join(" ")))),
                Err(failure) if stage == "prove" && is_gone(words, cx) => {
                    let note = format!(
                        "{}; it went with the release, and says nothing of what was put back",
                        failure.sentence()
                    );
                    cx.note(Level::Warn, note);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(passed)
    }
}

/// Whether a command's own program is a file of the project that is not there.
fn is_gone(words: &[String], cx: &Context) -> bool {
    let program = words.first().filter(|program| program.contains('/'));
    program.is_some_and(|program| matches!(disk::exists(&cx.resolve(program)), Ok(false)))
}

/// Runs one command of the user's in guard's own group, so that it can read the terminal.
fn run(
    words: &[String],
    source: &str,
    log: Option<PathBuf>,
    timeout: Option<std::time::Duration>,
    events: &Path,
    cx: &Context,
) -> Result<(), Failure> {
    let Some(call) = Call::of_words(words) else {
        return Err(Failure::new("the command is empty"));
    };
    let mut call = call
        .in_our_group()
        .merged()
        .env("GUARD_STAGE", source)
        .env("GUARD_EVENTS", events);
    for (name, value) in cx.announced.iter() {
        call = call.env(name, value);
    }
    if let Some(timeout) = timeout {
        call = call.timeout(timeout);
    }
    let log = log
        .map(|path| disk::open_append(&path))
        .transpose()
        .map_err(|error| Failure::from_error(&error))?;
    let mut relay = Relay::new(source, log, &cx.redaction, &cx.voice);
    let result = cx.stream(&call, &mut |bytes: &[u8]| relay.take(bytes));
    if let Err(error) = relay.finish() {
        cx.note(
            Level::Warn,
            format!("the log of the {source} command is not complete: {error}"),
        );
    }
    let output = result.map_err(|error| Failure {
        exit: Some(match &error {
            CallError::TimedOut { .. } => "a timeout".to_owned(),
            CallError::Stopped { .. } => "an interruption".to_owned(),
            _ => "an error at its start".to_owned(),
        }),
        interrupted: matches!(error, CallError::Stopped { .. }),
        ..Failure::from_error(&error)
    })?;
    if output.status.success() {
        return Ok(());
    }
    let call = call.shown(&cx.redaction);
    let failure = Failure::new(format!("the {source} command `{call}` ended with {}", output.exit()));
    // A Ctrl-C reaches the whole group: the command may end before guard's own flag is looked at.
    Err(Failure {
        exit: Some(output.exit()),
        interrupted: cx.stop.is_asked(),
        ..failure
    })
}

/// What the deploy command has announced so far. A line that cannot be understood is told and passed over.
fn announced(events: &Path, cx: &Context) -> Result<Deployed, disk::DiskError> {
    let mut deployed = Deployed::default();
    let bytes = disk::read_optional(events)?.unwrap_or_default();
    for line in String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let value = |text: &str| guard_model::text::shortened(&cx.redaction.clean(text.trim()), 200);
        match line.split_once('=') {
            Some(("phase", text)) => deployed.phase = Some(value(text)),
            Some(("irreversible", text)) => deployed.irreversible.push(value(text)),
            Some(("expect-version", text)) => deployed.expect_version = Some(value(text)),
            _ => cx.note(
                Level::Warn,
                format!("GUARD_EVENTS holds a line that guard does not know: {:?}; it knows phase=, irreversible=, expect-version=", value(line)),
            ),
        }
    }
    Ok(deployed)
}
