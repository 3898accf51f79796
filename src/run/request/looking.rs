//! The requests that look at, prepare or tidy up; the comments are what `--help` prints.

use clap::Args;

use guard_store::Sample;

/// `guard init`
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// Write to standard output instead of guard.toml
    #[arg(long)]
    pub print: bool,
}

/// `guard check`
#[derive(Debug, Clone, Default, Args)]
pub struct Check {
    /// Only what belongs to these services, and their probes
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub service: Vec<String>,
    /// Only this resource, and try its promises: every act of a program of yours twice, and killed in the middle
    #[arg(long, value_name = "NAME")]
    pub resource: Option<String>,
}

/// `guard list`
#[derive(Debug, Clone, Default, Args)]
pub struct List {
    /// Also the backups of other environments, and of other databases, volumes and files
    #[arg(long)]
    pub all: bool,
}

/// `guard show`
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// The backup: a timestamp, `latest`, or `previous`
    #[arg(value_name = "TS")]
    pub timestamp: String,
}

/// `guard verify`
#[derive(Debug, Clone, Default, Args)]
pub struct Verify {
    /// The backup: a timestamp, `latest`, or `previous`
    #[arg(value_name = "TS", required_unless_present = "all", conflicts_with = "all")]
    pub timestamp: Option<String>,
    /// Every backup
    #[arg(long)]
    pub all: bool,
    /// Also restore databases beside the live ones, compare them, and drop them again
    #[arg(long, conflicts_with = "sample")]
    pub restore: bool,
    /// Look at every file, and read only so many of them, chosen by chance: 20, or 5%
    #[arg(long, value_name = "N|P%")]
    pub sample: Option<Sample>,
    /// Only the copies that belong to these services
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', conflicts_with = "sample")]
    pub service: Vec<String>,
}

/// `guard delete`
#[derive(Debug, Clone, Args)]
pub struct Delete {
    /// The backups
    #[arg(value_name = "TS", required = true)]
    pub timestamps: Vec<String>,
    /// Also the last one that holds something, and one of another environment
    #[arg(long)]
    pub force: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `guard mark`
#[derive(Debug, Clone, Args)]
pub struct Mark {
    /// The backup: a timestamp, `latest`, or `previous`
    #[arg(value_name = "TS")]
    pub timestamp: String,
    /// What you know of the state that it holds
    #[arg(value_name = "WHAT", value_parser = ["good", "bad", "unknown"])]
    pub knowledge: String,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

/// `guard prune`
#[derive(Debug, Clone, Args)]
pub struct Prune {
    /// Say what would be deleted; delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Compress the archives of all but the newest known-good backup again, harder, at this level of zstd
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_missing_value = "12", value_parser = clap::value_parser!(i32).range(1..=19))]
    pub recompress: Option<i32>,
}

/// `guard salvage`
#[derive(Debug, Clone, Args)]
pub struct Salvage {
    /// The run that went back, as `guard history` names it; `latest`: the newest that put anything aside
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Only this resource
    #[arg(long, value_name = "NAME")]
    pub resource: Option<String>,
    /// Put the rows that only the displaced database has back into these tables; `all`: into every one. Without it, rows
    /// are only written to files
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// Give files back that match one of these patterns, where nothing has their names by now: `**` is all of them, `*.jpg` a
    /// kind, `2026/**` a directory. Without it, files are only listed
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub files: Vec<String>,
    /// Where the rows go [default: `salvaged` in the run's directory]
    #[arg(long, value_name = "DIR")]
    pub into: Option<std::path::PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `guard history`
#[derive(Debug, Clone, Args)]
pub struct HistoryOf {
    /// How many runs
    #[arg(short, long, default_value_t = 20)]
    pub number: usize,
}

/// `guard logs`
#[derive(Debug, Clone, Default, Args)]
pub struct LogsOf {
    /// The run, as `guard history` names it [default: the newest that ran a command]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// `guard attach`
#[derive(Debug, Clone, Default, Args)]
pub struct Attach {
    /// The run, as `guard history` names it [default: the one that goes on, else the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// `guard report`
#[derive(Debug, Clone, Default, Args)]
pub struct ReportOf {
    /// The run, as `guard history` names it [default: the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Its form [default: what the name of the file of --into ends with, else markdown]
    #[arg(long, value_name = "FORM")]
    pub format: Option<ReportForm>,
    /// Write it into this file
    #[arg(long, value_name = "FILE")]
    pub into: Option<std::path::PathBuf>,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportForm {
    /// A page with plots, in one file
    Html,
    /// Text for a ticket or a terminal
    #[value(alias = "md")]
    Markdown,
    /// All of it for programs
    Json,
}

impl ReportForm {
    /// The form that a file's name asks for; `None`: it asks for none.
    #[must_use]
    pub fn of_file(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "html" | "htm" => Some(Self::Html),
            "md" | "markdown" => Some(Self::Markdown),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// `guard watch`
#[derive(Debug, Clone, Default, Args)]
pub struct Watch {
    /// How long [default: until stopped]
    #[arg(long, value_name = "DURATION", env = "GUARD_DURATION")]
    pub duration: Option<String>,
    /// Only the probes of these services
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', conflicts_with_all = ["replay", "simulate"])]
    pub service: Vec<String>,
    /// A URL that has to answer; may be given more than once
    #[arg(long, value_name = "URL")]
    pub health_url: Vec<String>,
    /// Time between two readings of a probe [default: 1s]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// Write the figures for Prometheus into this file
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<std::path::PathBuf>,
    /// Serve /metrics and a status page at this address of this machine
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Judge the readings of a run again: its directory, or its probes.jsonl
    #[arg(long, value_name = "PATH", env = "GUARD_REPLAY", conflicts_with_all = ["simulate", "metrics_file", "listen"])]
    pub replay: Option<std::path::PathBuf>,
    /// Show what these settings would make of typical faults
    #[arg(long, conflicts_with_all = ["metrics_file", "listen"])]
    pub simulate: bool,
    /// How many watches of each fault are simulated
    #[arg(long, value_name = "N", default_value_t = 300, requires = "simulate")]
    pub trials: u32,
}

/// `guard notify`
#[derive(Debug, Clone, Args)]
pub struct Notify {
    /// How much it matters: those who want only graver notices are not told
    #[arg(long, value_name = "SEVERITY", default_value = "critical", value_parser = ["info", "warning", "critical"])]
    pub severity: String,
}

/// `guard lock`
#[derive(Debug, Clone, Args)]
pub struct Freeze {
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
}

/// `guard inside`: how guard calls itself beside a volume.
#[derive(Debug, Clone, Args)]
pub struct Inside {
    /// The act
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// `guard demo`
#[derive(Debug, Clone, Default, Args)]
pub struct Demo {
    /// Leave the project, its backups and the report of the bad release in this directory, which must not be there yet
    #[arg(long, value_name = "DIR")]
    pub keep: Option<std::path::PathBuf>,
}

/// `guard demo-part`: a part of the demo's project.
#[derive(Debug, Clone, Default, Args)]
pub struct DemoPart {
    /// The part
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// `guard drill-part`: what a drill has done by a process of its own.
#[derive(Debug, Clone, Default, Args)]
pub struct DrillPart {
    /// The part
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// `guard schema`
#[derive(Debug, Clone, Default, Args)]
pub struct SchemaOf {
    /// Write it into this file
    #[arg(long, value_name = "FILE")]
    pub into: Option<std::path::PathBuf>,
}

/// `guard completions`
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `guard man`
#[derive(Debug, Clone, Default, Args)]
pub struct ManOf {
    /// Write each command's page into a file of its own in this directory, which is made where it is not there
    #[arg(long, value_name = "DIR")]
    pub into: Option<std::path::PathBuf>,
}

/// `guard copy`
#[derive(Debug, Clone, Default, Args)]
pub struct Copy {
    /// The backups: timestamps, `latest` or `previous` [default: all that are not there yet]
    #[arg(value_name = "TS")]
    pub timestamps: Vec<String>,
}

/// `guard fetch`
#[derive(Debug, Clone, Default, Args)]
pub struct Fetch {
    /// The backup; without it, the ones that are there are listed
    #[arg(value_name = "TS")]
    pub timestamp: Option<String>,
    /// Where from, on a machine that has no settings yet
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// The storage's address
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The storage's region
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
}
