//! Arguments in, exit code out.

mod args;
mod habits;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::commands::{self, outside};
use guard_model::exit::ExitCode as Code;
use guard_report::bug;
use guard_run::request::{OutputForm, Request};
use guard_run::watchdog_process;
use guard_system::environment::Environment;
use guard_system::outside::VISIT;
use guard_system::privilege;

pub use args::{Arguments, command};

/// What was typed, in the words that guard has for it.
fn parsed(arguments: Vec<OsString>) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let mut typed = Arguments::from_arg_matches(&matches)?;
    typed.request = habits::translated(typed.request, &matches)?;
    if let Request::Drill(asked) = &typed.request
        && asked.json
    {
        typed.global.output = Some(OutputForm::Json);
    }
    Ok(typed)
}

/// Runs guard with these arguments, the program's name first.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    privilege::forbid_core_dumps();
    privilege::be_opaque();
    bug::expect();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(asked) = watchdog_process::Asked::of(&arguments) {
        return watchdog_process::run(asked, environment).into();
    }
    if let Some(asked) = outside::Asked::of(&arguments) {
        return outside::serve(asked, environment).into();
    }
    match parsed(arguments.clone()) {
        // At the host it is done; who asks from outside sends the same words there.
        Ok(typed) if typed.global.host.is_some() && environment.path(VISIT).is_none() => {
            let words = arguments.get(1..).unwrap_or_default();
            outside::ask(words, &typed.request, &typed.global, environment).into()
        }
        Ok(arguments) => commands::run(arguments.request, &arguments.global, environment, &command()).into(),
        Err(error) => {
            let error = habits::without_assent(error);
            // A lost terminal changes nothing about the exit code.
            let _lost = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => Code::USAGE.into(),
            }
        }
    }
}
