//! Every variable that guard reads, with the names that older scripts used for it: one table.

use guard_model::setting::Problem;
use guard_system::environment::Environment;

/// A setting that can be given outside of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Where it stands in `guard.toml`: `monitor.duration`; also the key of [`super::Request::flags`].
    pub key: &'static str,
    /// The flag, where there is one.
    pub flag: Option<&'static str>,
    /// The variable.
    pub variable: &'static str,
    /// Names in older scripts, the stronger first.
    pub aliases: &'static [&'static str],
    /// Whether the file can hold it as well.
    pub in_file: bool,
}

const fn name(
    key: &'static str,
    flag: Option<&'static str>,
    variable: &'static str,
    aliases: &'static [&'static str],
) -> Name {
    Name {
        key,
        flag,
        variable,
        aliases,
        in_file: true,
    }
}

const fn outside(
    key: &'static str,
    flag: Option<&'static str>,
    variable: &'static str,
    aliases: &'static [&'static str],
) -> Name {
    Name {
        in_file: false,
        ..name(key, flag, variable, aliases)
    }
}

/// All settings that have a flag or a variable.
pub const NAMES: &[Name] = &[
    outside("directory", Some("--directory"), "GUARD_DIRECTORY", &[]),
    outside("config", Some("--config"), "GUARD_CONFIG", &[]),
    outside("environment", Some("--environment"), "GUARD_ENVIRONMENT", &[]),
    name("project", None, "GUARD_PROJECT", &[]),
    outside("state_root", None, "GUARD_STATE_ROOT", &[]),
    outside("trusted_uids", None, "GUARD_TRUSTED_UIDS", &[]),
    name("state_dir", None, "GUARD_STATE_DIR", &[]),
    name("backup_dir", None, "GUARD_BACKUP_DIR", &["BACKUP_DIR"]),
    name(
        "health_urls",
        Some("--health-url"),
        "GUARD_HEALTH_URL",
        &["HEALTH_CHECK_URL"],
    ),
    name("verify.commands", Some("--verify"), "GUARD_VERIFY", &[]),
    name(
        "monitor.duration",
        Some("--monitor-duration"),
        "GUARD_MONITOR_DURATION",
        &["MONITORING_DURATION"],
    ),
    name("monitor.interval", Some("--interval"), "GUARD_INTERVAL", &[]),
    name(
        "monitor.consecutive_failures",
        Some("--consecutive-failures"),
        "GUARD_CONSECUTIVE_FAILURES",
        &["HEALTH_CHECK_FAILURES_THRESHOLD"],
    ),
    name(
        "monitor.error_threshold",
        Some("--error-threshold"),
        "GUARD_ERROR_THRESHOLD",
        &["ERROR_THRESHOLD"],
    ),
    name("monitor.min_samples", Some("--min-samples"), "GUARD_MIN_SAMPLES", &[]),
    name("policy.timeout", Some("--timeout"), "GUARD_TIMEOUT", &[]),
    name(
        "policy.rollback_timeout",
        Some("--rollback-timeout"),
        "GUARD_ROLLBACK_TIMEOUT",
        &[],
    ),
    name("policy.job_time", None, "GUARD_JOB_TIME", &[]),
    name("policy.data_restore", Some("--data-restore"), "GUARD_DATA_RESTORE", &[]),
    // The flag and the variable say yes or no; the file says `on_failure = "hold"`.
    name("policy.on_failure", Some("--no-rollback"), "GUARD_NO_ROLLBACK", &[]),
    // The flag and the variable say that there is to be none; the file says `watcher = false`.
    name("policy.watcher", Some("--no-watcher"), "GUARD_NO_WATCHER", &[]),
    name(
        "policy.allow_unhealthy_baseline",
        Some("--allow-unhealthy-baseline"),
        "GUARD_ALLOW_UNHEALTHY_BASELINE",
        &[],
    ),
    name("encryption.identity", None, "GUARD_IDENTITY", &[]),
    name("lock.wait", Some("--lock-wait"), "GUARD_LOCK_WAIT", &[]),
    name(
        "lock.wait_timeout",
        Some("--lock-wait-timeout"),
        "GUARD_LOCK_WAIT_TIMEOUT",
        &[],
    ),
    outside(
        "confirm",
        Some("--yes"),
        "GUARD_ROLLBACK_CONFIRM",
        &["GUARD_YES", "ROLLBACK_CONFIRM"],
    ),
    name(
        "notify.slack_webhook_url",
        None,
        "GUARD_SLACK_WEBHOOK_URL",
        &["SLACK_WEBHOOK_URL", "SLACK_WEBHOOK"],
    ),
];

/// Variables that are no settings: what the command line reads itself, and what guard announces to deploy commands and
/// hooks, and so finds again where one of them calls guard.
const OTHERS: &[&str] = &[
    "GUARD_OUTPUT",
    "GUARD_QUIET",
    "GUARD_COLOR",
    "GUARD_DESCRIPTION",
    "GUARD_ONLY",
    "GUARD_SKIP",
    "GUARD_SERVICE",
    "GUARD_REASON",
    "GUARD_DRY_RUN",
    "GUARD_DURATION",
    "GUARD_REPLAY",
    "GUARD_HOST",
    "GUARD_SEND_ENV",
    "GUARD_LINK_TIMEOUT",
    "GUARD_SSH",
    "GUARD_HOST_PROGRAM",
    "GUARD_VISIT",
    "GUARD_CALLED_AS",
    "GUARD_GITLAB_DOTENV",
    "GUARD_GITLAB_JUNIT",
    "GUARD_GITLAB_REPORT",
    "GUARD_RUN_ID",
    "GUARD_STAGE",
    "GUARD_SERVICE_NAME",
    "GUARD_EVENTS",
    "GUARD_ACT",
    "GUARD_MIGRATIONS",
    "GUARD_MIGRATIONS_COUNT",
    "GUARD_MIGRATE_TO",
    // What a job of GitLab's gets from the dotenv report of the one before it.
    "GUARD_OUTCOME",
    "GUARD_EXIT_CODE",
    "GUARD_ROLLED_BACK",
    "GUARD_REPORT",
    BACKUP_TIMESTAMP,
];

/// The backup to go back to; announced to hooks as well.
pub(super) const BACKUP_TIMESTAMP: &str = "GUARD_BACKUP_TIMESTAMP";

/// Variables that scripts for rollbacks use, and that guard does not read, each with what says the same here. Nobody is to
/// believe that one of them is obeyed.
const UNUSED: &[(&str, &str)] = &[
    (
        "AUTO_ROLLBACK",
        "`GUARD_NO_ROLLBACK=yes` leaves a failed release in place",
    ),
    ("BACKUP_RETENTION_DAYS", "`keep_days` below `[retention]`"),
    ("DEPLOY_TIMEOUT", "`GUARD_TIMEOUT`"),
    ("DEPLOYMENT_TIMEOUT", "`GUARD_TIMEOUT`"),
    ("DRY_RUN", "`--dry-run` or `GUARD_DRY_RUN=yes`"),
    ("HEALTH_CHECK_INTERVAL", "`GUARD_INTERVAL`"),
    ("HEALTH_CHECK_RETRIES", "`GUARD_CONSECUTIVE_FAILURES`"),
    ("HEALTH_CHECK_TIMEOUT", "`timeout` of the probe"),
    ("MAX_BACKUPS", "`keep` below `[retention]`"),
    ("MONITORING_INTERVAL", "`GUARD_INTERVAL`"),
    ("RETENTION_DAYS", "`keep_days` below `[retention]`"),
    (
        "ROLLBACK_ENABLED",
        "`GUARD_NO_ROLLBACK=yes` leaves a failed release in place",
    ),
    (
        "ROLLBACK_ON_FAILURE",
        "`GUARD_NO_ROLLBACK=yes` leaves a failed release in place",
    ),
    ("SKIP_BACKUP", "nothing: without a proven backup guard deploys nothing"),
    (
        "SLACK_CHANNEL",
        "the address of a webhook, which belongs to one channel",
    ),
];

/// A warning for each variable of [`UNUSED`] that is set.
#[must_use]
pub(super) fn unused(environment: &Environment) -> Vec<Problem> {
    let set = UNUSED
        .iter()
        .filter(|(name, _)| environment.text(name).is_some_and(|value| !value.is_empty()));
    set.map(|(name, instead)| Problem {
        place: (*name).to_owned(),
        message: "guard does not read this variable of older scripts".to_owned(),
        hint: Some(format!("instead: {instead}")),
        excerpt: None,
    })
    .collect()
}

/// Variables of the machine that guard is called on, or of the run that it is called in: they stay where they are.
const STAYING: &[&str] = &[
    "GUARD_HOST",
    "GUARD_SEND_ENV",
    "GUARD_LINK_TIMEOUT",
    "GUARD_SSH",
    "GUARD_HOST_PROGRAM",
    "GUARD_VISIT",
    "GUARD_CALLED_AS",
    "GUARD_GITLAB_DOTENV",
    "GUARD_GITLAB_JUNIT",
    "GUARD_GITLAB_REPORT",
    "GUARD_RUN_ID",
    "GUARD_STAGE",
    "GUARD_EVENTS",
    "GUARD_ACT",
];

/// The variables that go along when guard is asked to do its work at another host: those that it reads, by every name, where
/// they are set.
#[must_use]
pub fn travelling(environment: &Environment) -> Vec<(String, String)> {
    let settings = NAMES
        .iter()
        .flat_map(|name| std::iter::once(&name.variable).chain(name.aliases));
    let names = settings.chain(OTHERS).filter(|name| !STAYING.contains(name));
    names
        .filter_map(|name| Some(((*name).to_owned(), environment.text(name)?.to_owned())))
        .collect()
}

/// The entry of a setting.
#[must_use]
pub fn find(key: &str) -> Option<&'static Name> {
    NAMES.iter().find(|name| name.key == key)
}

/// The variables that are meant for guard and that guard does not know: `(problems, warnings)`. One letter off a known
/// name is a slip that must not be passed over, since the setting it was meant for would silently keep its default.
#[must_use]
pub(super) fn strangers(environment: &Environment) -> (Vec<Problem>, Vec<Problem>) {
    let known: Vec<&str> = NAMES
        .iter()
        .flat_map(|name| std::iter::once(&name.variable).chain(name.aliases))
        .chain(OTHERS)
        .copied()
        .collect();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for (name, value) in environment.texts() {
        if !name.starts_with("GUARD_") || value.is_empty() || known.contains(&name) {
            continue;
        }
        let near = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .min();
        let slip = near.filter(|(distance, _)| *distance <= 2);
        let problem = Problem {
            place: name.to_owned(),
            message: "guard knows no variable of this name".to_owned(),
            hint: slip.map(|(_, known)| format!("did you mean `{known}`?")),
            excerpt: None,
        };
        if slip.is_some() {
            problems.push(problem);
        } else {
            warnings.push(problem);
        }
    }
    (problems, warnings)
}
