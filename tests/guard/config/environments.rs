//! `[environments.NAME]`, laid over the rest of the file.

use super::{Project, holds};

const TEXT: &str = r#"
verify = "none"

[resources.db]
kind = "postgres"
database = "app"
user = "app"

[resources.objects]
kind = "volume"
volume = "data"

[monitor]
min_samples = 30

[environments.staging.resources]
objects = false

[environments.staging.resources.db]
database = "app_staging"

[environments.staging.monitor]
duration = "1m"

[environments.production]
state_dir = "/srv/guard"
"#;

#[test]
fn tables_are_merged_and_the_rest_is_replaced() {
    let base = Project::new(TEXT).settings();
    assert_eq!(base.environment_name, None);
    assert_eq!(base.environments, ["production", "staging"]);
    assert_eq!(base.resources.len(), 2);

    let staging = Project::new(TEXT).flag("environment", "staging").settings();
    assert_eq!(staging.environment_name.as_deref(), Some("staging"));
    assert_eq!(staging.monitor.window.as_secs(), 60);
    assert_eq!(staging.monitor.min_samples, 30);
    let names: Vec<_> = staging
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    assert_eq!(names, ["db"], "`false` takes a resource away");
    let mut problems = Vec::new();
    staging.resources[0].read(&mut problems, |section| {
        assert_eq!(section.text("database").as_deref(), Some("app_staging"));
        assert_eq!(section.text("user").as_deref(), Some("app"));
        section.problem("database", "is the laid-over one", None);
        section.problem("user", "is the file's own", None);
    });
    assert_eq!(
        super::told(&problems),
        "guard.toml:20:12: `resources.db.database`: is the laid-over one\n\
         guard.toml:7:8: `resources.db.user`: is the file's own\n"
    );
    let production = Project::new(TEXT).with("GUARD_ENVIRONMENT", "production").settings();
    assert_eq!(production.state_dir.to_str(), Some("/srv/guard"));
}

#[test]
fn an_unknown_environment_is_told_with_the_nearest() {
    let refusal = Project::new(TEXT).flag("environment", "stagin").refusal();
    holds(
        &refusal,
        &[
            "--environment: guard.toml has no environment \"stagin\"",
            "did you mean `staging`?",
        ],
    );
    let refusal = Project::new("verify = \"none\"\n")
        .with("GUARD_ENVIRONMENT", "production")
        .refusal();
    holds(
        &refusal,
        &[
            "GUARD_ENVIRONMENT: guard.toml has no environment",
            "write [environments.production]",
        ],
    );
}

#[test]
fn environments_are_tables_and_not_nested() {
    let refusal = Project::new("verify = \"none\"\nenvironments = 3\n").refusal();
    holds(&refusal, &["guard.toml:2:1", "`environments` must be a table"]);
    let refusal = Project::new("verify = \"none\"\n[environments.a.environments.b]\n[environments]\nc = 1\n").refusal();
    holds(
        &refusal,
        &[
            "unknown key `environments.a.environments`",
            "`environments.c` must be a table",
        ],
    );
}

#[test]
fn variables_of_other_environments_need_not_be_set() {
    let text = "verify = \"none\"\n[environments.production]\nstate_dir = \"${PRODUCTION_STATE}\"\n";
    Project::new(text).settings();
    let refusal = Project::new(text).flag("environment", "production").refusal();
    holds(&refusal, &["guard.toml:3:13", "PRODUCTION_STATE is not set"]);
}
