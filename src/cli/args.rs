//! The command line: everything that can be typed.

use std::collections::BTreeSet;

use clap::builder::Resettable;
use clap::{CommandFactory, Parser};

use guard_run::request::{GlobalArgs, Request};
use guard_system::environment::Environment;

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "guard",
    version,
    about = "Wraps a deployment: proves the way back, backs up, deploys, watches, and walks back if the release is bad",
    after_help = EXIT_CODES,
    infer_long_args = false
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub request: Request,
    /// How it is told.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The command line as data, for parsing, completions and the manual page.
///
/// A variable that is empty is not set, as CI systems hand on inputs that nobody has given.
#[must_use]
pub fn command() -> clap::Command {
    let environment = Environment::of_this_process();
    let empty: BTreeSet<&str> = environment
        .texts()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| name)
        .collect();
    without_variables(Arguments::command(), &empty)
}

fn without_variables(command: clap::Command, without: &BTreeSet<&str>) -> clap::Command {
    let is_without = |arg: &clap::Arg| {
        let name = arg.get_env().and_then(std::ffi::OsStr::to_str);
        name.is_some_and(|name| without.contains(name))
    };
    command
        .mut_args(|arg| {
            if is_without(&arg) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
        .mut_subcommands(|inner| without_variables(inner, without))
}

const EXIT_CODES: &str = "\
The exit code says what state production is in:
   0      new and verified (deploy); restored and proven (rollback)
   2      untouched: usage or settings
  10–14   untouched: refused, backup failed, locked, unfinished run, interrupted
  20–24   old and verified: the release was bad and guard walked back
  30–37   mixed, failed, unhealthy, unproven or differing: a person is needed
  38      as the run at the host says: `guard attach`
  40, 41  untouched: the backup cannot be used
At 3 a.m.: `guard status`, `guard rollback`, `guard resume`.";
