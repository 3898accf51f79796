//! What a person can ask of guard, as data; the comments are what `--help` prints.

mod acting;
mod looking;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub use acting::{Abort, Backup, Decide, Deploy, Patience, Resume, Rollback, Selection, Standby};
pub use looking::{
    Check, Completions, Copy, Delete, Fetch, Freeze, HistoryOf, Init, Inside, List, LogsOf, Mark, Notify, Prune,
    Salvage, Show, Verify, Watch,
};

/// What is asked, and how it is to be told.
#[derive(Debug, Clone, Default, Args)]
pub struct Everywhere {
    /// The project's directory [default: the current one]
    #[arg(
        short = 'C',
        long,
        global = true,
        value_name = "DIR",
        env = "GUARD_DIRECTORY",
        help_heading = "Everywhere"
    )]
    pub directory: Option<PathBuf>,
    /// The settings [default: guard.toml in the project's directory]
    #[arg(
        short = 'f',
        long,
        global = true,
        value_name = "FILE",
        env = "GUARD_CONFIG",
        help_heading = "Everywhere"
    )]
    pub config: Option<PathBuf>,
    /// Lays `[environments.NAME]` over the settings
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "GUARD_ENVIRONMENT",
        help_heading = "Everywhere"
    )]
    pub environment: Option<String>,
    /// How it is told
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        env = "GUARD_OUTPUT",
        help_heading = "Everywhere"
    )]
    pub output: Option<OutputForm>,
    /// Only warnings, errors and the end
    #[arg(short, long, global = true, env = "GUARD_QUIET", value_parser = yes, help_heading = "Everywhere")]
    pub quiet: bool,
    /// More: where settings come from, the programs that run
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = "Everywhere")]
    pub verbose: bool,
    /// Colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "GUARD_COLOR",
        help_heading = "Everywhere"
    )]
    pub color: Option<Color>,
}

/// Yes or no, as the value of a variable: the flag itself has none.
pub(super) fn yes(text: &str) -> Result<bool, String> {
    match text.trim().to_lowercase().as_str() {
        "yes" | "true" | "1" | "on" => Ok(true),
        "no" | "false" | "0" | "off" | "" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// A live display on a terminal, plain lines elsewhere.
    Human,
    /// Plain lines.
    Plain,
    /// One JSON object a line on standard output.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that can.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// One thing to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Request {
    /// Look at the directory and write a commented guard.toml
    Init(Init),
    /// Prove the way back before anyone goes forward
    #[command(alias = "validate")]
    Check(Check),
    /// Take a backup
    Backup(Backup),
    /// Back up, run the deploy command, verify, watch; keep the release or walk back
    Deploy(Box<Deploy>),
    /// Walk back to a backup
    Rollback(Rollback),
    /// The same as `rollback --undo`: back to the state before the last rollback
    #[command(hide = true)]
    Undo(Rollback),
    /// Finish a run that was cut off
    Resume(Resume),
    /// End an unfinished run as things are: nothing is put back, everything is kept
    Abort(Abort),
    /// While a release is watched elsewhere: roll back now, accept it now, or hold
    Decide(Decide),
    /// List the backups
    #[command(alias = "backups")]
    List(List),
    /// Show what a backup holds
    Show(Show),
    /// Read every byte of a backup and compare it with its manifest
    Verify(Verify),
    /// Copy backups to another place
    Copy(Copy),
    /// Bring a backup back from another place
    Fetch(Fetch),
    /// Delete backups
    Delete(Delete),
    /// Say what you know of a backup: good ones are chosen by themselves, bad ones never
    Mark(Mark),
    /// Delete what retention does not keep
    Prune(Prune),
    /// Take rows out of a database that a rollback put aside
    Salvage(Salvage),
    /// Say what is going on
    Status,
    /// Say what happened
    History(HistoryOf),
    /// Print what the deploy and verify commands of a run have written
    Logs(LogsOf),
    /// Watch production without a deployment; replay or simulate watches
    Watch(Watch),
    /// Send a test notice to everybody who is told of runs
    Notify(Notify),
    /// Freeze: refuse deployments until `guard unlock`
    Lock(Freeze),
    /// End a freeze
    Unlock,
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man,
    /// Print the version
    Version,
    /// How guard calls itself beside a volume
    #[command(hide = true)]
    Inside(Inside),
}
