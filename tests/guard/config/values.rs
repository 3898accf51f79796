//! Values that are refused rather than guessed, and that all of them are told at once.

use std::time::Duration;

use super::{FINE, Project, holds};

#[test]
fn fault_j9_a_threshold_of_ten_is_refused_and_not_taken_for_ten_per_cent() {
    for name in ["GUARD_ERROR_THRESHOLD", "ERROR_THRESHOLD"] {
        for value in [
            "10",
            "0",
            "-0.1",
            "NaN",
            "inf",
            "1.01",
            "150%",
            "0%",
            "ten",
            "10 percent",
        ] {
            let refusal = Project::new(FINE).with(name, value).refusal();
            holds(&refusal, &[name, "is not a ratio", "write `10%` for a percentage"]);
            assert_eq!(refusal.lines().count(), 1, "{refusal}");
        }
    }
    for (value, ratio) in [
        ("10%", 0.10),
        ("0.10", 0.10),
        ("1", 1.0),
        ("100%", 1.0),
        ("0.5 %", 0.005),
    ] {
        let settings = Project::new(FINE).with("ERROR_THRESHOLD", value).settings();
        assert!((settings.monitor.error_threshold - ratio).abs() < 1e-12, "{value}");
    }
}

#[test]
fn a_threshold_in_the_file_has_the_same_bounds() {
    for value in [
        "10", "0", "-0.1", "nan", "inf", "-inf", "1.01", "\"0.1\"", "\"110%\"", "true",
    ] {
        let refusal = Project::new(&format!("{FINE}[monitor]\nerror_threshold = {value}\n")).refusal();
        holds(&refusal, &["guard.toml:3:19", "`monitor.error_threshold`"]);
    }
    let settings = Project::new(&format!("{FINE}[monitor]\nerror_threshold = \"25%\"\n")).settings();
    assert!((settings.monitor.error_threshold - 0.25).abs() < f64::EPSILON);
}

#[test]
fn counts_begin_at_one() {
    for key in ["consecutive_failures", "min_samples"] {
        for value in ["0", "-1", "1.5", "\"3\"", "5000000000"] {
            let refusal = Project::new(&format!("{FINE}[monitor]\n{key} = {value}\n")).refusal();
            holds(&refusal, &["guard.toml:3:", &format!("`monitor.{key}`")]);
        }
    }
    let refusal = Project::new(FINE)
        .with("HEALTH_CHECK_FAILURES_THRESHOLD", "0")
        .refusal();
    holds(&refusal, &["HEALTH_CHECK_FAILURES_THRESHOLD: 0 is not in 1 to"]);
    for policy in ["keep = 0", "keep = -3", "keep_days = 0", "keep = \"\""] {
        let refusal = Project::new(&format!("{FINE}[retention]\n{policy}\n")).refusal();
        holds(&refusal, &["guard.toml:3:", "`retention.keep"]);
    }
}

#[test]
fn durations_are_over_zero_and_have_a_unit_or_are_seconds() {
    for value in ["0", "-5s", "10 parsecs", "NaN", "1e400", ""] {
        let refusal = Project::new(&format!("{FINE}[monitor]\ninterval = \"{value}\"\n")).refusal();
        holds(&refusal, &["guard.toml:3:12", "`monitor.interval`"]);
    }
    let refusal = Project::new(FINE).flag("monitor.duration", "soon").refusal();
    holds(&refusal, &["--monitor-duration: \"soon\" is not a duration", "10s, 5m"]);
    let settings = Project::new(FINE).with("MONITORING_DURATION", "90").settings();
    assert_eq!(settings.monitor.window, Duration::from_secs(90));
}

#[test]
fn a_rule_that_could_never_fire_is_refused() {
    let refusal = Project::new(&format!("{FINE}[monitor]\nduration = \"25s\"\ninterval = \"10s\"\n")).refusal();
    holds(
        &refusal,
        &["guard.toml:3:12", "3 failures in a row", "could never fire"],
    );
    let refusal = Project::new(FINE).with("GUARD_CONSECUTIVE_FAILURES", "601").refusal();
    holds(&refusal, &["GUARD_CONSECUTIVE_FAILURES", "could never fire"]);
}

#[test]
fn no_limit_has_to_be_asked_for() {
    let limit = |text: &str| Project::new(&format!("{FINE}{text}")).settings().policy.deploy_timeout;
    assert_eq!(limit(""), Some(Duration::from_mins(30)));
    assert_eq!(limit("[policy]\ntimeout = \"none\"\n"), None);
    holds(
        &Project::new(FINE).with("GUARD_TIMEOUT", "0").refusal(),
        &["GUARD_TIMEOUT", "`none` is no limit"],
    );
}

#[test]
fn something_has_to_look_at_the_release() {
    let refusal = Project::new("[resources.code]\nkind = \"git\"\n").refusal();
    holds(
        &refusal,
        &[
            "guard.toml: nothing would look at the release",
            "[probes.NAME]",
            "verify = \"none\"",
        ],
    );
    for empty in ["health_urls = []\n", "[verify]\ncommands = []\n", "[probes]\n"] {
        holds(&Project::new(empty).refusal(), &["nothing would look at the release"]);
    }
    holds(
        &Project::new("[resources]\n").with("GUARD_HEALTH_URL", "").refusal(),
        &["nothing would look"],
    );
    assert!(Project::new(FINE).settings().verify.none);
    let verified = Project::new("[verify]\ncommands = [\"./smoke.sh --all\", [\"sh\", \"-c\", \"a b\"]]\n").settings();
    assert_eq!(
        verified.verify.commands,
        [vec!["./smoke.sh", "--all"], vec!["sh", "-c", "a b"]]
    );
    holds(
        &Project::new("verify = \"nothing\"\n").refusal(),
        &["guard.toml:1:10", "none"],
    );
    let mut request = Project::new("[resources]\n").request();
    let project = Project::new("[resources]\n");
    request.start = project.root().to_owned();
    request.judges = false;
    assert!(
        guard::config::Settings::of_file(&request).is_ok(),
        "`guard list` judges nothing"
    );
}

#[test]
fn fault_k9_names_that_programs_would_take_for_options_are_refused() {
    for name in ["-rf", "--help", "a b", "../x", "a/b", ""] {
        let text = format!("{FINE}[resources.\"{name}\"]\nkind = \"git\"\n[probes.\"{name}\"]\nkind = \"http\"\n");
        let refusal = Project::new(&text).refusal();
        assert_eq!(refusal.matches("cannot be a name").count(), 2, "{refusal}");
        holds(&refusal, &["guard.toml:2:", "guard.toml:4:"]);
    }
}

#[test]
fn kinds_are_known_by_name() {
    let text = format!("{FINE}[resources.a]\nkind = \"postgress\"\n[resources.b]\nurl = \"x\"\n[probes.c]\nkind = 3\n");
    let refusal = Project::new(&text).refusal();
    holds(
        &refusal,
        &[
            "guard.toml:3:8: `resources.a.kind`: there is no kind \"postgress\" (did you mean `postgres`?)",
            "guard.toml:4:1: `resources.b`: `kind` is missing (known kinds: postgres, mariadb,",
            "guard.toml:7:8: `probes.c.kind`: expected a string, found a number",
        ],
    );
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let text = "verify = \"none\"\nbackup_dirr = \"x\"\nstrategy = \"in-plac\"\n[monitor]\nintervall = \"1s\"\nduration = true\n\
                [retention]\nkeep = 0\n[resources.db]\nkind = \"oracle\"\n[policy]\ndata_restore = \"sometimes\"\n\
                [notify]\nslack_webhook_url = \"hooks\"\n[services]\nstop = [\"systemctl stop 'app\"]\n";
    let refusal = Project::new(text)
        .with("GUARD_INTERVAL", "x")
        .with("GUARD_ERROR_TRESHOLD", "0.2")
        .flag("policy.data_restore", "maybe")
        .refusal();
    holds(
        &refusal,
        &[
            "guard.toml:2:1: unknown key `backup_dirr` (did you mean `backup_dir`?)",
            "guard.toml:3:12: `strategy`: \"in-plac\" is not one of: in-place, blue-green (did you mean `in-place`?)",
            "guard.toml:5:1: unknown key `monitor.intervall` (did you mean `interval`?)",
            "guard.toml:6:12: `monitor.duration`: expected a duration, found true or false",
            "guard.toml:8:8: `retention.keep`: 0 is not in 1 to",
            "guard.toml:10:8: `resources.db.kind`: there is no kind \"oracle\" (known kinds: postgres",
            "guard.toml:12:16: `policy.data_restore`: \"sometimes\" is not one of: auto, always, never, if-no-writes",
            "guard.toml:14:21: `notify.slack_webhook_url`: is not an https:// address",
            "guard.toml:16:9: `services.stop`: expected a command",
            "GUARD_INTERVAL: \"x\" is not a duration",
            "GUARD_ERROR_TRESHOLD: guard knows no variable of this name (did you mean `GUARD_ERROR_THRESHOLD`?)",
            "--data-restore: \"maybe\" is not one of",
        ],
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    let text = "verify = \"none\"\nintervall = \"5s\"\n[policy]\ninterval = \"5s\"\nkep = 2\ndata_restor = \"auto\"\n\
                [monitor]\nbackup_dir = \"x\"\n[moniter]\nduration = \"1m\"\n[services]\nnonsense = 1\n\
                [resources.db]\nkind = \"sqlite\"\npath = \"x\"\n[retention]\ndb = 1\n";
    holds(
        &Project::new(text).refusal(),
        &[
            "guard.toml:2:1: unknown key `intervall` (did you mean `monitor.interval`?)",
            "guard.toml:4:1: unknown key `policy.interval` (did you mean `monitor.interval`?)",
            // Half of a short word is another word.
            "guard.toml:5:1: unknown key `policy.kep` (did you mean `retention.keep`?)",
            // Its own table comes first.
            "guard.toml:6:1: unknown key `policy.data_restor` (did you mean `data_restore`?)",
            "guard.toml:8:1: unknown key `monitor.backup_dir` (did you mean `backup_dir` at the top, before the first table?)",
            "guard.toml:9:2: unknown key `moniter` (did you mean `monitor`?)",
            "guard.toml:12:1: unknown key `services.nonsense` (known here: ",
            // The name of a resource is no key.
            "guard.toml:17:1: unknown key `retention.db` (known here: ",
        ],
    );
}
