//! What can be said beside any request: which project, and how it is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is asked, and how it is to be told.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
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
///
/// # Errors
/// Another word.
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
