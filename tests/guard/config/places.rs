//! Where the project is, what it is called, and where its state lives.

use guard::config::Settings;

use super::{FINE, Project, holds};

#[test]
fn the_file_says_where_the_project_is() {
    let project = Project::bare();
    std::fs::create_dir_all(project.path("deep/er")).unwrap();
    std::fs::write(project.path("deep/er/ship.toml"), FINE).unwrap();
    let settings = Settings::of_file(&Project::bare_at(&project, "config", "deep/er/ship.toml"))
        .unwrap()
        .unwrap();
    assert_eq!(settings.directory, project.path("deep/er"));
    std::fs::write(project.path("deep/guard.toml"), FINE).unwrap();
    let settings = Settings::of_file(&Project::bare_at(&project, "directory", "deep"))
        .unwrap()
        .unwrap();
    assert_eq!(settings.directory, project.path("deep"));
}

#[test]
fn fault_k6_root_and_users_have_their_own_places() {
    let project = Project::new(&format!("project = \"shop\"\n{FINE}")).with("HOME", "/home/op");
    let mut request = project.request();
    let state = |request: &_| Settings::of_file(request).unwrap().unwrap().state_dir;
    assert_eq!(state(&request).to_str(), Some("/var/lib/guard/shop"));
    request.is_root = false;
    assert_eq!(state(&request).to_str(), Some("/home/op/.local/state/guard/shop"));
    let project = project.with("XDG_STATE_HOME", "/xdg");
    let mut request = project.request();
    request.is_root = false;
    assert_eq!(state(&request).to_str(), Some("/xdg/guard/shop"));
    let settings = Settings::of_file(&request).unwrap().unwrap();
    assert_eq!(settings.backup_dir.to_str(), Some("/xdg/guard/shop/backups"));
}

#[test]
fn fault_k5_without_a_home_the_way_out_is_told() {
    let project = Project::new(FINE);
    let mut request = project.request();
    request.is_root = false;
    let problems = Settings::of_file(&request).expect_err("no place");
    holds(
        &super::told(&problems),
        &["HOME: neither HOME nor XDG_STATE_HOME is set", "GUARD_STATE_DIR"],
    );
    let project = project
        .with("GUARD_STATE_DIR", "state")
        .with("XDG_STATE_HOME", "relative");
    let mut request = project.request();
    request.is_root = false;
    assert_eq!(
        Settings::of_file(&request).unwrap().unwrap().state_dir,
        project.path("state")
    );
}

#[test]
fn a_project_is_named_as_compose_names_it_else_by_its_directory_and_path() {
    let compose = "services: {}\n";
    let project = Project::new(FINE);
    let by_path = project.settings().project;
    assert!(by_path.starts_with("guard-config-") && by_path.len() > 20, "{by_path}");
    assert_ne!(by_path, Project::new(FINE).settings().project);

    std::fs::write(project.path("compose.yml"), compose).unwrap();
    assert_eq!(
        project.settings().project,
        by_path,
        "Compose's name for a directory is not unique"
    );
    std::fs::write(
        project.path("compose.yml"),
        format!("name: 'shop' # the shop\n{compose}"),
    )
    .unwrap();
    assert_eq!(project.settings().project, "shop");
    std::fs::write(
        project.path(".env"),
        "# names\nexport COMPOSE_PROJECT_NAME=\"from-dotenv\"\n",
    )
    .unwrap();
    assert_eq!(project.settings().project, "from-dotenv");
    let project = project.with("COMPOSE_PROJECT_NAME", "from-env");
    assert_eq!(project.settings().project, "from-env");
    std::fs::write(
        project.path("guard.toml"),
        format!("{FINE}[compose]\nproject = \"in-file\"\n"),
    )
    .unwrap();
    let settings = project.settings();
    assert_eq!(settings.project, "in-file");
    assert_eq!(settings.compose.unwrap().project.as_deref(), Some("in-file"));
    let project = project.with("GUARD_PROJECT", "by-hand");
    assert_eq!(project.settings().project, "by-hand");
    holds(
        &Project::new(&format!(
            "{FINE}[compose]\nfiles = [\"c.yml\"]\nproject = \"Big Shop\"\n"
        ))
        .refusal(),
        &["guard.toml:4:11", "is no project name for Compose"],
    );
    holds(
        &Project::new(FINE).with("GUARD_PROJECT", "../up").refusal(),
        &["GUARD_PROJECT", "cannot be a name"],
    );
}

#[test]
fn compose_is_what_the_file_says_else_what_compose_would_find() {
    let project = Project::new(FINE);
    assert_eq!(project.settings().compose, None);
    std::fs::write(project.path("docker-compose.yml"), "services: {}\n").unwrap();
    std::fs::write(project.path("docker-compose.override.yml"), "services: {}\n").unwrap();
    let found = project.settings().compose.unwrap().files;
    assert_eq!(
        found,
        [
            project.path("docker-compose.yml"),
            project.path("docker-compose.override.yml")
        ]
    );
    let project = project
        .with("COMPOSE_FILE", "a.yml:b.yml")
        .with("COMPOSE_PROFILES", "web,worker");
    let compose = project.settings().compose.unwrap();
    assert_eq!(compose.files, [project.path("a.yml"), project.path("b.yml")]);
    assert_eq!(compose.profiles, ["web", "worker"]);
    let text = format!("{FINE}[compose]\nfiles = [\"prod.yml\"]\nprofiles = [\"api\"]\nenv_files = [\"prod.env\"]\n");
    std::fs::write(project.path("guard.toml"), text).unwrap();
    let compose = project.settings().compose.unwrap();
    assert_eq!(compose.files, [project.path("prod.yml")]);
    assert_eq!(compose.profiles, ["api"]);
    assert_eq!(compose.env_files, [project.path("prod.env")]);
    let services = format!("{FINE}[services]\nstop = \"systemctl stop app\"\nstart = \"systemctl start app\"\n");
    std::fs::write(project.path("guard.toml"), services).unwrap();
    assert_eq!(project.settings().compose, None, "[services] says what runs here");
    holds(
        &Project::new(&format!("{FINE}[compose]\nprofiles = \"a\"\n")).refusal(),
        &["there is no compose file"],
    );
}

#[test]
fn a_hook_that_calls_guard_finds_the_same_backups() {
    let inside = Project::new(FINE)
        .with("GUARD_BACKUP_DIR", "/srv/backups/20251022_153000")
        .with("GUARD_BACKUP_TIMESTAMP", "20251022_153000");
    assert_eq!(inside.settings().backup_dir.to_str(), Some("/srv/backups"));
    let outside = Project::new(FINE).with("GUARD_BACKUP_DIR", "/srv/backups");
    assert_eq!(outside.settings().backup_dir.to_str(), Some("/srv/backups"));
}
