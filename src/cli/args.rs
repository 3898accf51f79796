//! The command line: everything that can be typed.

use clap::{CommandFactory, Parser};

use guard_run::request::{GlobalArgs, Request};

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

/// The command line as data, for completions and the manual page.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

const EXIT_CODES: &str = "\
The exit code says what state production is in:
   0      new and verified (deploy); restored and proven (rollback)
   2      untouched: usage or settings
  10–14   untouched: refused, backup failed, locked, unfinished run, interrupted
  20–24   old and verified: the release was bad and guard walked back
  30–36   mixed, failed, unhealthy or unproven: a person is needed
  40, 41  untouched: the backup cannot be used
At 3 a.m.: `guard status`, `guard rollback`, `guard resume`.";
