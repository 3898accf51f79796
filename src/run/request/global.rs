//! What can be said beside any request: which project, and how it is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use guard_system::outside::Target;

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
    /// Do it at this host, by SSH: ssh://USER@HOST:PORT, or a host of your SSH configuration
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "GUARD_HOST",
        help_heading = "From outside"
    )]
    pub host: Option<Target>,
    /// Variables that go along to the host, beside those that guard itself reads
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_delimiter = ',',
        env = "GUARD_SEND_ENV",
        help_heading = "From outside"
    )]
    pub send_env: Vec<String>,
    /// How long a lost link is tried again [default: 10m]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        env = "GUARD_LINK_TIMEOUT",
        value_parser = span,
        help_heading = "From outside"
    )]
    pub link_timeout: Option<std::time::Duration>,
    /// The ssh program, with options of your own [default: ssh]
    #[arg(
        long,
        global = true,
        value_name = "WORDS",
        env = "GUARD_SSH",
        value_parser = words,
        help_heading = "From outside"
    )]
    pub ssh: Option<Words>,
    /// The guard to bring along, where the host needs another one than this [default: this very program]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "GUARD_HOST_PROGRAM",
        help_heading = "From outside"
    )]
    pub host_program: Option<PathBuf>,
}

/// A program with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

fn words(text: &str) -> Result<Words, String> {
    let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
    if words.is_empty() {
        Err("expected a program".to_owned())
    } else {
        Ok(Words(words))
    }
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    guard_model::setting::parse_duration(text)
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
