//! Which layer wins, and that every value can say where it came from.

use std::time::Duration;

use guard::config::{Origin, Settings};
use guard::model::policy::OnFailure;

use super::{FINE, Project, holds};

fn origin(settings: &Settings, key: &str) -> Origin {
    let value = settings.effective.iter().find(|value| value.key == key);
    value.unwrap_or_else(|| panic!("{key} has no origin")).origin.clone()
}

#[test]
fn flag_over_variable_over_older_name_over_environment_over_file_over_default() {
    let key = "monitor.duration";
    let text = format!("{FINE}[monitor]\nduration = \"2m\"\n[environments.staging.monitor]\nduration = \"3m\"\n");
    let mut project = Project::new(FINE);
    assert_eq!(project.settings().monitor.window, Duration::from_mins(10));
    assert_eq!(origin(&project.settings(), key), Origin::Default);

    std::fs::write(project.path("guard.toml"), text).unwrap();
    assert_eq!(project.settings().monitor.window, Duration::from_mins(2));
    assert_eq!(
        origin(&project.settings(), key),
        Origin::File("guard.toml:3:12".to_owned())
    );

    project = project.with("GUARD_ENVIRONMENT", "staging");
    assert_eq!(project.settings().monitor.window, Duration::from_mins(3));
    assert_eq!(
        origin(&project.settings(), key),
        Origin::File("guard.toml:5:12".to_owned())
    );

    project = project.with("MONITORING_DURATION", "240");
    assert_eq!(project.settings().monitor.window, Duration::from_mins(4));
    assert_eq!(origin(&project.settings(), key), Origin::Alias("MONITORING_DURATION"));

    project = project.with("GUARD_MONITOR_DURATION", "5m");
    assert_eq!(project.settings().monitor.window, Duration::from_mins(5));
    assert_eq!(origin(&project.settings(), key), Origin::Env("GUARD_MONITOR_DURATION"));

    project = project.flag(key, "6m");
    assert_eq!(project.settings().monitor.window, Duration::from_mins(6));
    assert_eq!(origin(&project.settings(), key), Origin::Flag("--monitor-duration"));
}

#[test]
fn a_wrong_value_in_the_file_is_told_even_where_a_flag_covers_it() {
    let text = format!("{FINE}[monitor]\nduration = \"x\"\n");
    let refusal = Project::new(&text).flag("monitor.duration", "1m").refusal();
    holds(&refusal, &["guard.toml:3:12", "`monitor.duration`"]);
}

#[test]
fn an_empty_variable_is_not_set() {
    let project = Project::new(FINE)
        .with("GUARD_INTERVAL", "")
        .with("ERROR_THRESHOLD", "");
    assert_eq!(origin(&project.settings(), "monitor.interval"), Origin::Default);
}

#[test]
fn a_variable_that_is_no_utf_8_is_a_problem_and_not_passed_over() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let project = Project::new(FINE);
    let mut request = project.request();
    let broken = OsString::from_vec(vec![b'5', 0xff]);
    request.environment =
        guard::system::environment::Environment::of_pairs([(OsString::from("GUARD_INTERVAL"), broken)]);
    let problems = Settings::of_file(&request).expect_err("refused");
    assert_eq!(super::told(&problems), "GUARD_INTERVAL: is not UTF-8\n");
}

#[test]
fn every_older_name_reaches_its_setting() {
    let hook = "https://hooks.slack.example/services/CANARY1234";
    let settings = Project::new("")
        .with("MONITORING_DURATION", "60")
        .with("ERROR_THRESHOLD", "0.2")
        .with("HEALTH_CHECK_FAILURES_THRESHOLD", "5")
        .with("HEALTH_CHECK_URL", "http://127.0.0.1:1/health")
        .with("ROLLBACK_CONFIRM", "yes")
        .with("BACKUP_DIR", "./backups")
        .with("SLACK_WEBHOOK", hook)
        .settings();
    assert_eq!(settings.monitor.window, Duration::from_mins(1));
    assert!((settings.monitor.error_threshold - 0.2).abs() < f64::EPSILON);
    assert_eq!(settings.monitor.consecutive_failures, 5);
    assert_eq!(settings.probes[0].name.as_str(), "health");
    assert_eq!(settings.probes[0].kind, "http");
    assert!(settings.confirmed);
    assert_eq!(settings.backup_dir, settings.directory.join("./backups"));
    let target = &settings.targets[0];
    assert_eq!((target.name.as_str(), target.kind.as_str()), ("slack", "slack"));
    let url = target.read(&mut Vec::new(), |section| section.text("url"));
    assert_eq!(url.as_deref(), Some(hook));
    let hooked = Project::new(FINE)
        .with("SLACK_WEBHOOK_URL", hook)
        .with("GUARD_YES", "1")
        .settings();
    assert!(hooked.confirmed && hooked.targets.len() == 1);
    let shown = format!("{:?}", settings.effective);
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(settings.secrets.iter().any(|secret| secret.expose() == hook));
    for alias in guard::config::env::NAMES.iter().flat_map(|name| name.aliases) {
        let known = shown.contains(&format!("Alias({alias:?})"));
        assert!(
            known || ["SLACK_WEBHOOK_URL", "GUARD_YES"].contains(alias),
            "{alias} is set and not in force: {shown}"
        );
    }
}

#[test]
fn health_urls_become_probes_beside_the_named_ones() {
    let text = "[probes.health]\nkind = \"tcp\"\n";
    let settings = Project::new(text)
        .with("GUARD_HEALTH_URL", "http://a.example/x http://b.example/y")
        .settings();
    let names: Vec<_> = settings
        .probes
        .iter()
        .map(|probe| (probe.name.as_str(), probe.kind.as_str()))
        .collect();
    assert_eq!(names, [("health", "tcp"), ("health-2", "http"), ("health-3", "http")]);
    let mut problems = Vec::new();
    let url = settings.probes[1].read(&mut problems, |section| section.required_text("url"));
    assert_eq!(url.as_deref(), Some("http://a.example/x"));
    settings.probes[1].read(&mut problems, |section| section.problem("url", "is bad", None));
    assert_eq!(
        super::told(&problems).lines().next(),
        Some("GUARD_HEALTH_URL: `probes.health-2.url`: is bad")
    );
    let flagged = Project::new(text)
        .with("HEALTH_CHECK_URL", "http://a/")
        .flag("health_urls", "http://b/")
        .settings();
    let url = flagged.probes[1].read(&mut problems, |section| section.text("url"));
    assert_eq!(url.as_deref(), Some("http://b/"));
}

#[test]
fn no_rollback_says_no() {
    let settings = Project::new(FINE).flag("policy.on_failure", "yes").settings();
    assert_eq!(settings.policy.on_failure, OnFailure::Hold);
    let text = "verify = \"none\"\n[policy]\non_failure = \"hold\"\n";
    let settings = Project::new(text).settings();
    assert_eq!(settings.policy.on_failure, OnFailure::Hold);
    let settings = Project::new(text).with("GUARD_NO_ROLLBACK", "no").settings();
    assert_eq!(settings.policy.on_failure, OnFailure::Rollback);
    holds(
        &Project::new(FINE).with("ROLLBACK_CONFIRM", "sure").refusal(),
        &["ROLLBACK_CONFIRM", "neither yes nor no"],
    );
}

#[test]
fn the_flag_for_verify_replaces_the_commands_of_the_file() {
    let text = "[verify]\ncommands = [\"./a\"]\n";
    let settings = Project::new(text)
        .flag("verify.commands", "./b 'x y'")
        .flag("verify.commands", "./c")
        .settings();
    assert_eq!(settings.verify.commands, [vec!["./b", "x y"], vec!["./c"]]);
    assert!(Project::new("").flag("verify.commands", "none").settings().verify.none);
    holds(
        &Project::new("").flag("verify.commands", "./b 'x").refusal(),
        &["--verify:", "its quotes must be closed"],
    );
}

#[test]
fn a_foreign_variable_is_worth_a_warning_only() {
    let settings = Project::new(FINE).with("GUARD_GEM_HOME", "/x").settings();
    assert_eq!(
        super::told(&settings.warnings),
        "GUARD_GEM_HOME: guard knows no variable of this name\n"
    );
    let announced = Project::new(FINE)
        .with("GUARD_RUN_ID", "x")
        .with("GUARD_EVENTS", "y")
        .with("GUARD_STAGE", "z");
    assert!(announced.settings().warnings.is_empty());
}
