//! The requests that begin or finish a run, with their flags; the comments are what `--help` prints.

use clap::Args;

use crate::request::global::yes;

/// Which resources.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only these resources
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "GUARD_ONLY")]
    pub only: Vec<String>,
    /// All but these resources
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "GUARD_SKIP")]
    pub skip: Vec<String>,
}

/// Who waits for the lock.
#[derive(Debug, Clone, Default, Args)]
pub struct Patience {
    /// Wait while another run holds the lock
    #[arg(long)]
    pub lock_wait: bool,
    /// How long to wait for it [default: 900s]
    #[arg(long, value_name = "DURATION")]
    pub lock_wait_timeout: Option<String>,
}

/// Who goes on if guard is killed.
#[derive(Debug, Clone, Default, Args)]
pub struct Standby {
    /// Start no watcher: if guard is killed, `guard resume` has to be typed
    #[arg(long)]
    pub no_watcher: bool,
}

/// `guard backup`
#[derive(Debug, Clone, Default, Args)]
pub struct Backup {
    /// What the backup is for
    #[arg(short, long, value_name = "TEXT", env = "GUARD_DESCRIPTION")]
    pub description: Option<String>,
    /// Which resources.
    #[command(flatten)]
    pub selection: Selection,
    /// Who waits for the lock.
    #[command(flatten)]
    pub patience: Patience,
}

/// `guard deploy`
#[derive(Debug, Clone, Default, Args)]
pub struct Deploy {
    /// What the release is
    #[arg(short, long, value_name = "TEXT", env = "GUARD_DESCRIPTION")]
    pub description: Option<String>,
    /// Leave the failed state for debugging
    #[arg(long)]
    pub no_rollback: bool,
    /// A URL that has to answer; may be given more than once
    #[arg(long, value_name = "URL")]
    pub health_url: Vec<String>,
    /// A check to run after the deployment; may be given more than once
    #[arg(long, value_name = "CMD")]
    pub verify: Vec<String>,
    /// How long the release is watched [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub monitor_duration: Option<String>,
    /// Time between two readings of a probe [default: 1s]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// Failures in a row that are too many [default: 3]
    #[arg(long, value_name = "N")]
    pub consecutive_failures: Option<String>,
    /// The share of failures that is too much, over 0 and at most 1 [default: 0.10]
    #[arg(long, value_name = "RATIO")]
    pub error_threshold: Option<String>,
    /// Readings that the share needs before it decides [default: 20]
    #[arg(long, value_name = "N")]
    pub min_samples: Option<String>,
    /// How long the deploy command may take; 0: for ever [default: 30m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// How long a whole way back may take until no more of it is begun [default: none]
    #[arg(long, value_name = "DURATION")]
    pub rollback_timeout: Option<String>,
    /// Deploy what was turned back before, unchanged, once more
    #[arg(long)]
    pub again: bool,
    /// Whether a rollback puts data back [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "always", "never", "if-no-writes"])]
    pub data_restore: Option<String>,
    /// Deploy although production is not well; the backup is marked as tainted
    #[arg(long)]
    pub allow_unhealthy_baseline: bool,
    /// Which resources.
    #[command(flatten)]
    pub selection: Selection,
    /// Who waits for the lock.
    #[command(flatten)]
    pub patience: Patience,
    /// Who goes on if guard is killed.
    #[command(flatten)]
    pub standby: Standby,
    /// The deploy command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `guard rollback`
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Rollback {
    /// The same as --backup-timestamp
    #[arg(value_name = "TS", conflicts_with = "undo")]
    pub backup: Option<String>,
    /// The backup: a timestamp, `latest`, or `previous` [default: the newest known-good one]
    #[arg(long, value_name = "TS", env = "GUARD_BACKUP_TIMESTAMP")]
    pub backup_timestamp: Option<String>,
    /// Back to a release by its name: a tag, a branch, a commit, or an image that says which commit it is of; data stays. With
    /// --service: this image, which the engine has, in place of the one in the backup
    #[arg(long, value_name = "RELEASE", conflicts_with = "undo")]
    pub to: Option<String>,
    /// With --to or --service: also the data that was backed up while that release was live, or that these services need
    #[arg(long, conflicts_with = "undo")]
    pub with_data: bool,
    /// Only these resources
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "GUARD_ONLY")]
    pub only: Vec<String>,
    /// All but these resources
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// How long it may take until no more of it is begun [default: none]
    #[arg(long, value_name = "DURATION")]
    pub rollback_timeout: Option<String>,
    /// Only what belongs to these services: their images and what is theirs alone; data stays as it is
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', env = "GUARD_SERVICE")]
    pub service: Vec<String>,
    /// Go back to a backup made by hand; its SQL runs as code in a database beside the live one
    #[arg(long)]
    pub trust_foreign: bool,
    /// Print the plan and its price; change nothing
    #[arg(long, env = "GUARD_DRY_RUN", value_parser = yes)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long, alias = "auto-confirm")]
    pub yes: bool,
    /// Go back although somebody has deployed by hand since guard's last run, or to a backup of another environment
    #[arg(long)]
    pub force: bool,
    /// For a program: never to a backup of another environment, whatever is forced.
    #[arg(skip)]
    pub keeps_to_own: bool,
    /// Back to the state before the last rollback
    #[arg(long, conflicts_with_all = ["backup_timestamp", "only", "service"])]
    pub undo: bool,
    /// Why; it stands in the history
    #[arg(long, value_name = "TEXT", env = "GUARD_REASON")]
    pub reason: Option<String>,
    /// Whether data is put back [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "always", "never", "if-no-writes"])]
    pub data_restore: Option<String>,
    /// Who waits for the lock.
    #[command(flatten)]
    pub patience: Patience,
    /// Who goes on if guard is killed.
    #[command(flatten)]
    pub standby: Standby,
}

/// `guard abort`
#[derive(Debug, Clone, Default, Args)]
pub struct Abort {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Why; it stands in the history
    #[arg(long, value_name = "TEXT", env = "GUARD_REASON")]
    pub reason: Option<String>,
    /// Who waits for the lock.
    #[command(flatten)]
    pub patience: Patience,
}

/// `guard drill`
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Drill {
    /// Every fault of this kind that can be injected here
    #[arg(long, value_name = "KIND", value_parser = ["application", "database", "configuration"], conflicts_with_all = ["fault", "all"])]
    pub kind: Option<String>,
    /// This fault; may be given more than once [default: one of each kind]
    #[arg(long, value_name = "NAME")]
    pub fault: Vec<String>,
    /// Every fault that can be injected here
    #[arg(long, conflicts_with = "fault")]
    pub all: bool,
    /// List the faults, what each proves, and how its last drill went; change nothing
    #[arg(long)]
    pub list: bool,
    /// How long the probes have to notice, once the release is watched: then guard goes back by itself [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = guard_model::setting::parse_duration)]
    pub within: Option<std::time::Duration>,
    /// What is not compared: the beginning of a file's or a part's name, as `objects/tmp/`, `db/table public.sessions`
    #[arg(long, value_name = "RESOURCE/NAME")]
    pub ignore: Vec<String>,
    /// Write a `JUnit` report into this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<std::path::PathBuf>,
    /// The same as --output json
    #[arg(long)]
    pub json: bool,
    /// In a process of its own, since guard itself is killed.
    #[arg(long, hide = true)]
    pub alone: bool,
    /// Who waits for the lock.
    #[command(flatten)]
    pub patience: Patience,
    /// Who goes on if guard is killed.
    #[command(flatten)]
    pub standby: Standby,
    /// A deploy command to run before the fault [default: none, the fault alone]
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `guard resume`
#[derive(Debug, Clone, Default, Args)]
pub struct Resume {
    /// Finish what was cut off in any project of this user on this machine, one after the other
    #[arg(long)]
    pub all: bool,
    /// Leave these resources as they are, and finish the rest
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// How long the whole way back may take from here on, in place of the run's own limit; `none`: as long as it takes
    #[arg(long, visible_alias = "timeout", value_name = "DURATION")]
    pub rollback_timeout: Option<String>,
    /// Who waits for the lock.
    #[command(flatten)]
    pub patience: Patience,
    /// Who goes on if guard is killed.
    #[command(flatten)]
    pub standby: Standby,
}

/// `guard decide`
#[derive(Debug, Clone, Default, Args)]
pub struct Decide {
    /// What is to be done with the release that is watched
    #[arg(value_name = "WHAT", value_parser = ["rollback", "accept", "hold"])]
    pub choice: String,
    /// Why; it stands in the journal
    #[arg(long, value_name = "TEXT", env = "GUARD_REASON")]
    pub reason: Option<String>,
}
