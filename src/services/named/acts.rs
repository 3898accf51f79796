//! What can be done with one named service: asked, stopped, started, reloaded, waited for.

use std::sync::Arc;
use std::time::Duration;

use super::service::{Behind, Commands, Named};
use crate::commands::run_all;
use crate::wait::Wanted;
use crate::{Result, ServiceError};
use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker::Container;
use guard_system::processes::CallError;
use guard_system::systemd::{self, UnitState};

/// How often is looked whether a service is well.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a unit without a health check has to run in one life. A guess.
const STEADY: Duration = Duration::from_secs(2);
/// How long a command that tells whether a service runs may take. A guess.
const STATUS_LIMIT: Duration = Duration::from_secs(30);

/// How a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It runs, or is about to.
    Up,
    /// It was meant to run, and has failed.
    Failed,
    /// It does not run.
    Down,
    /// Nobody can tell.
    Unknown,
}

impl Named {
    /// How it stands; `containers` are those of the project.
    pub(super) fn standing(&self, containers: &[Container], cx: &Context) -> Result<Standing> {
        match &self.behind {
            Behind::Compose(service) => {
                let mut own = containers
                    .iter()
                    .filter(|one| one.service == *service && !one.is_one_off());
                Ok(if own.any(Container::is_up) {
                    Standing::Up
                } else {
                    Standing::Down
                })
            }
            Behind::Systemd(unit) => {
                let state = self.state(unit, cx)?;
                Ok(match state.active.as_str() {
                    "failed" => Standing::Failed,
                    _ if state.is_up() => Standing::Up,
                    _ => Standing::Down,
                })
            }
            Behind::Commands { status: None, .. } => Ok(Standing::Unknown),
            Behind::Commands {
                status: Some(words), ..
            } => {
                let Some(call) = Call::of_words(words) else {
                    return Ok(Standing::Unknown);
                };
                let outcome = cx.outcome(&told(call, "status", &self.surroundings(cx)).timeout(STATUS_LIMIT));
                match outcome {
                    Ok(output) if output.status.success() => Ok(Standing::Up),
                    Ok(_) => Ok(Standing::Down),
                    // One that never answers tells nothing; the stop is tried all the same.
                    Err(CallError::TimedOut { .. }) => Ok(Standing::Unknown),
                    Err(source) => Err(ServiceError::Command {
                        stage: format!("{} status", self.name),
                        source,
                    }),
                }
            }
        }
    }

    pub(super) fn state(&self, unit: &str, cx: &Context) -> Result<UnitState> {
        systemd::state(unit, None, cx).map_err(self.unit_error("see"))
    }

    fn unit_error(&self, verb: &str) -> impl FnOnce(CallError) -> ServiceError {
        let what = format!("{verb} {}", self.unit().unwrap_or(&self.name));
        move |source| ServiceError::Unit { what, source }
    }

    /// The surroundings of the commands of this service.
    fn surroundings(&self, cx: &Context) -> Context {
        let mut cx = cx.clone();
        let own = ("GUARD_SERVICE_NAME".to_owned(), self.name.clone());
        cx.announced = Arc::new(cx.announced.iter().cloned().chain([own]).collect());
        cx
    }

    /// Runs commands of this service.
    pub(super) fn run(&self, commands: &Commands, stage: &str, cx: &Context) -> Result<()> {
        run_all(commands, stage, &self.surroundings(cx)).map_err(|error| match error {
            ServiceError::Command { source, .. } => ServiceError::Command {
                stage: format!("{} {stage}", self.name),
                source,
            },
            other => other,
        })
    }

    /// Runs commands whose failure keeps nobody from going on: it is told.
    pub(super) fn try_run(&self, commands: &Commands, stage: &str, cx: &Context) {
        if let Err(error) = self.run(commands, stage, cx) {
            cx.note(Level::Warn, format!("{}: the work goes on without it", chain(&error)));
        }
    }

    /// Stops what is no container, and what would start it by itself.
    pub(super) fn stop(&self, triggers: &[String], cx: &Context) -> Result<()> {
        match &self.behind {
            Behind::Compose(_) => Ok(()),
            Behind::Systemd(unit) => {
                cx.note(Level::Info, format!("stops {unit}"));
                for trigger in triggers {
                    systemd::stop(trigger, cx).map_err(self.unit_error("stop what starts"))?;
                }
                systemd::stop(unit, cx).map_err(self.unit_error("stop"))
            }
            Behind::Commands { stop, .. } => {
                cx.note(Level::Info, format!("stops {}", self.name));
                self.run(stop, "stop", cx)
            }
        }
    }

    /// Starts what is no container, and what was stopped with it.
    pub(super) fn start(&self, triggers: &[String], cx: &Context) -> Result<()> {
        match &self.behind {
            Behind::Compose(_) => Ok(()),
            Behind::Systemd(unit) => {
                cx.note(Level::Info, format!("starts {unit}"));
                // A unit that does not come up is told by what is asked of it afterwards, as a container is.
                if let Err(error) = systemd::start(unit, cx) {
                    if !matches!(error, CallError::Exit { .. } | CallError::TimedOut { .. }) {
                        return Err(self.unit_error("start")(error));
                    }
                    cx.note(Level::Warn, chain(&error));
                }
                for trigger in triggers {
                    systemd::start(trigger, cx).map_err(self.unit_error("start what starts"))?;
                }
                Ok(())
            }
            Behind::Commands { start, .. } => {
                cx.note(Level::Info, format!("starts {}", self.name));
                self.run(start, "start", cx)
            }
        }
    }

    /// Waits until it is well, as long as its settings allow; `None`, or what is wrong.
    pub(super) fn await_well(&self, wanted: Wanted, cx: &Context) -> Result<Option<String>> {
        let begun = cx.clock.steady();
        let limit = self.within.min(wanted.moment());
        let mut life = (String::new(), begun);
        loop {
            let now = cx.clock.steady();
            let trouble = match self.unit_trouble(&mut life, now, cx)? {
                None => self.health.as_ref().and_then(|health| health.0.ask(cx).err()),
                Some(Trouble::For(words)) => Some(words),
                Some(Trouble::ForGood(words)) => return Ok(Some(format!("{} is {words}", self.name))),
            };
            let Some(trouble) = trouble else { return Ok(None) };
            if now.saturating_sub(begun) >= limit || cx.stop.is_asked() {
                let within = guard_model::text::duration(limit);
                return Ok(Some(format!("{} is not well within {within}: {trouble}", self.name)));
            }
            cx.clock.sleep(PAUSE);
        }
    }

    /// What is wrong with the unit behind it; `life` is which start of it was seen, and since when.
    fn unit_trouble(&self, life: &mut (String, Duration), now: Duration, cx: &Context) -> Result<Option<Trouble>> {
        let Some(unit) = self.unit() else { return Ok(None) };
        let state = self.state(unit, cx)?;
        if state.is_done() {
            return Ok(None);
        }
        if state.active == "failed" {
            return Ok(Some(Trouble::ForGood(state.words())));
        }
        if state.invocation != life.0 {
            *life = (state.invocation.clone(), now);
        }
        let is_steady = self.health.is_some() || now.saturating_sub(life.1) >= STEADY;
        Ok((!(state.is_running() && is_steady)).then(|| Trouble::For(state.words())))
    }
}

/// What is wrong with a unit.
enum Trouble {
    /// It may pass.
    For(String),
    /// It does not.
    ForGood(String),
}

fn told(mut call: Call, stage: &str, cx: &Context) -> Call {
    for (name, value) in cx.announced.iter() {
        call = call.env(name, value);
    }
    call.env("GUARD_STAGE", stage)
}
