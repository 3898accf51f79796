//! What `guard init` finds in real directories, and that what it writes is valid.

use std::process::Command;

use guard::config::discover::{Discovery, look, render};
use guard::config::{Document, Settings};
use guard::model::event::Voice;
use guard::model::setting::Source;
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::environment::Environment;

use super::{Project, holds};

/// The machine's variables without those that would tell Compose about another project.
fn environment() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            !["COMPOSE_", "GUARD_", "POSTGRES_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

pub(super) fn context(project: &Project) -> Context {
    Context::new(
        project.root(),
        Environment::of_pairs(environment()),
        MachineClock::start(),
        Voice::silent(),
    )
}

/// A checkout of the shop; nothing of it is started.
pub(super) fn shop() -> Project {
    let project = Project::bare();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stack/new.sh");
    let made = Command::new("bash")
        .arg(script)
        .arg(project.root())
        .args(["guard-config-shop", "18765"])
        .status()
        .unwrap();
    assert!(made.success());
    project
}

fn document(text: &str) -> Document {
    Document {
        source: Source::new("guard.toml", text),
        mode: None,
    }
}

fn read(project: &Project, text: &str) -> Settings {
    Settings::of_document(&project.request(), project.root(), &document(text))
        .unwrap_or_else(|problems| panic!("{}in\n{text}", super::told(&problems)))
}

fn names(discovery: &Discovery) -> Vec<(&str, &str)> {
    let all = discovery.resources.iter().chain(&discovery.probes);
    all.map(|found| (found.name.as_str(), found.kind)).collect()
}

#[test]
fn the_shop_is_found_with_everything_a_release_can_change() {
    let project = shop();
    let discovery = look(&context(&project));
    assert_eq!(discovery.notes, Vec::<String>::new());
    assert_eq!(
        names(&discovery),
        [
            ("db", "postgres"),
            ("minio_data", "volume"),
            ("code", "git"),
            ("config", "files"),
            ("compose", "compose"),
            ("images", "images"),
            ("containers", "container"),
            ("nginx", "http"),
        ]
    );
    let text = render(&discovery);
    assert!(!text.contains("CANARY"), "a secret was written down:\n{text}");
    holds(
        &text,
        &[
            "files = [\"compose.yml\"]",
            "paths = [\".env\", \"nginx/**\"]",
            "check = [\"docker compose exec -T nginx nginx -t\"]",
            "url = \"http://127.0.0.1:18765/\"",
        ],
    );
    for line in text
        .lines()
        .filter(|line| line.contains(" = ") && !line.starts_with('#'))
    {
        assert!(line.contains("  # ") || line.starts_with("kind"), "unexplained: {line}");
    }
    let settings = read(&project, &text);
    assert!(settings.warnings.is_empty());
    assert_eq!(settings.resources.len(), 6);
    assert_eq!(settings.project, "guard-config-shop");
    let mut problems = Vec::new();
    settings.resources[0].read(&mut problems, |section| {
        assert_eq!(section.text("service").as_deref(), Some("postgres"));
        assert_eq!(section.text("database").as_deref(), Some("shop"));
        assert_eq!(section.text("user").as_deref(), Some("shop"));
    });
    assert!(problems.is_empty(), "the password is no key");
    let compose = settings
        .compose
        .unwrap()
        .resolve(&context(&project), project.root())
        .unwrap();
    assert_eq!(compose.project, "guard-config-shop");
}

#[test]
fn without_a_settings_file_a_compose_project_is_deployed_from_what_is_found() {
    let project = shop();
    let cx = context(&project);
    let settings = Settings::load(&project.request(), &cx).unwrap();
    assert!(settings.discovered);
    assert_eq!(settings.resources.len(), 6);
    let flagged = Project::bare()
        .flag("monitor.duration", "1m")
        .flag("monitor.interval", "soon");
    let mut request = flagged.request();
    project.root().clone_into(&mut request.start);
    let problems = Settings::load(&request, &cx).expect_err("flags are looked at as well");
    holds(&super::told(&problems), &["--interval"]);
    std::fs::write(project.path("guard.toml"), super::FINE).unwrap();
    let settings = Settings::load(&project.request(), &cx).unwrap();
    assert!(
        !settings.discovered && settings.resources.is_empty(),
        "a file is taken as it is"
    );
}

#[test]
fn a_directory_that_shows_nothing_is_refused_with_the_way_out() {
    let project = Project::bare();
    let cx = context(&project);
    let problems = Settings::load(&project.request(), &cx).expect_err("nothing is here");
    holds(
        &super::told(&problems),
        &["guard.toml: there is no settings file in ", "`guard init` writes one"],
    );
    let discovery = look(&cx);
    assert!(discovery.is_empty());
    assert!(read(&project, &render(&discovery)).verify.none);
}

#[test]
fn an_sqlite_file_that_a_url_names_from_the_root_is_found_once() {
    let project = Project::bare();
    let path = project.path("app.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
    std::fs::write(
        project.path(".env"),
        format!("DATABASE_URL=sqlite:///{}\n", path.display()),
    )
    .unwrap();
    let discovery = look(&context(&project));
    let found: Vec<&str> = discovery
        .resources
        .iter()
        .map(|found| found.kind)
        .filter(|kind| *kind == "sqlite")
        .collect();
    assert_eq!(found, ["sqlite"]);
}

#[test]
fn without_docker_the_rest_is_found_and_the_gap_is_told() {
    let project = shop();
    let empty = project.path("no-programs");
    std::fs::create_dir(&empty).unwrap();
    let database = rusqlite::Connection::open(project.path("orders.db")).unwrap();
    database.execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
    std::fs::write(project.path("thumbs.db"), b"not a database").unwrap();
    let printed = Command::new(env!("CARGO_BIN_EXE_guard"))
        .arg("-C")
        .arg(project.root())
        .args(["init", "--print"])
        .env("PATH", &empty)
        .output()
        .unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    holds(
        &text,
        &[
            "# Not taken up: the compose files could not be read",
            "`docker` was not found",
            "[resources.orders]",
            "[resources.code]",
            "paths = [\".env\"]",
            "verify = \"none\"",
        ],
    );
    assert!(!text.contains("thumbs"), "{text}");
    let settings = read(&project, &text);
    assert_eq!(settings.resources.len(), 5);
}

#[test]
fn a_compose_file_that_cannot_be_read_judges_no_release() {
    let project = Project::bare();
    std::fs::write(project.path("compose.yml"), "services: [broken\n").unwrap();
    let cx = context(&project);
    let discovery = look(&cx);
    holds(&discovery.notes.join("\n"), &["the compose files could not be read"]);
    read(&project, &render(&discovery));
    let problems = Settings::load(&project.request(), &cx).expect_err("nobody said that it may go unverified");
    holds(
        &super::told(&problems),
        &["nothing was found that could look at the release"],
    );
}

#[test]
fn services_volumes_mounts_and_ports_of_all_sorts() {
    let project = Project::bare();
    for directory in ["conf", "uploads", "pgdata"] {
        std::fs::create_dir(project.path(directory)).unwrap();
    }
    std::fs::write(project.path(".env.production"), "A=1\n").unwrap();
    std::fs::write(project.path(".env.example"), "A=\n").unwrap();
    std::fs::write(
        project.path("docker-compose.yml"),
        r#"
services:
  main-db:
    image: registry.example/postgis/postgis:16-3.4@sha256:0000000000000000000000000000000000000000000000000000000000000000
    environment: [POSTGRES_USER=geo, POSTGRES_PASSWORD=neverCANARY]
    volumes: ["./pgdata:/var/lib/postgresql/data"]
  other-db:
    image: company/own
    environment: {POSTGRES_PASSWORD: neverCANARY, POSTGRES_DB: "we\"ird$${name}"}
    volumes: ["own:/var/lib/postgresql/data"]
  exporter:
    image: postgres-exporter
    environment: {POSTGRES_PASSWORD: neverCANARY}
  third-db:
    image: mariadb:11
    environment: {MARIADB_ROOT_PASSWORD: neverCANARY, MARIADB_DATABASE: kiosk}
    volumes: ["kiosk:/var/lib/mysql"]
  legacy:
    image: mysql:8
    volumes: ["mysql:/var/lib/mysql"]
  cache:
    image: redis:7
    volumes: ["cache:/data"]
  api:
    image: company/api
    ports: ["8443:443", "4000:4000", "0.0.0.0:4001:4001", "5000"]
    volumes: ["./uploads:/data", "./conf:/etc/api:ro", ".:/src", "/var/run/docker.sock:/var/run/docker.sock"]
    healthcheck: {test: "curl -fsS http://localhost:4000/api/health?deep=1 || exit 1"}
  web-1:
    image: caddy
    ports: ["8088:80"]
    volumes: ["shared.v1:/data"]
volumes: {own: , kiosk: , mysql: , cache: , shared.v1: {external: true, name: shared}}
"#,
    )
    .unwrap();
    let discovery = look(&context(&project));
    let text = render(&discovery);
    let settings = read(&project, &text);
    assert!(!text.contains("CANARY"), "{text}");
    assert_eq!(
        names(&discovery),
        [
            ("main-db", "postgres"),
            ("other-db", "postgres"),
            ("third-db", "mariadb"),
            ("uploads", "volume"),
            ("cache", "redis"),
            ("mysql", "volume"),
            ("shared.v1", "volume"),
            ("config", "files"),
            ("compose", "compose"),
            ("images", "images"),
            ("containers", "container"),
            ("api", "http"),
            ("web-1", "http"),
        ],
        "{text}"
    );
    holds(
        &text,
        &[
            "database = \"geo\"",
            "database = \"kiosk\"",
            "paths = [\".env.production\", \"conf/**\"]",
            "url = \"http://127.0.0.1:4000/api/health?deep=1\"",
            "url = \"http://127.0.0.1:8088/\"",
            "[resources.\"shared.v1\"]",
            "It is external",
            "mode = \"stop\"",
        ],
    );
    let mut problems = Vec::new();
    let database = settings.resources[1].read(&mut problems, |section| section.text("database"));
    assert_eq!(database.as_deref(), Some("we\"ird${name}"));
}

#[test]
fn what_is_offered_in_comments_is_valid_without_them() {
    let project = Project::bare();
    let text = render(&look(&context(&project)));
    let offered: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .collect();
    let whole = offered.join("\n").replace("${DB_PASSWORD}", "x");
    let whole = whole.replace("${TEAM_SLACK_URL}", "https://hooks.example.net/x");
    // As it stands it encrypts for nobody, and that is said before anything is copied.
    let problems = Settings::of_document(&project.request(), project.root(), &document(&whole));
    holds(
        &super::told(&problems.expect_err("nobody has this key")),
        &["recipient"],
    );
    let (_, recipient) = guard::system::cipher::new_identity();
    let settings = read(&project, &whole.replace("age1...", &recipient));
    assert_eq!((settings.resources.len(), settings.probes.len()), (1, 1));
}

/// What is found where these variables stand in `.env`, and the file that is written of it.
fn with_env(env: &str) -> (Project, Discovery, String) {
    let project = Project::bare();
    std::fs::write(project.path(".env"), env).unwrap();
    let mut cx = context(&project);
    let is_ours = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        !["DB_", "DATABASE", "REDIS", "MYSQL", "PG"]
            .iter()
            .any(|one| name.starts_with(one))
    };
    let variables = environment().into_iter().filter(|(name, _)| is_ours(name));
    cx.environment = std::sync::Arc::new(Environment::of_pairs(variables));
    let discovery = look(&cx);
    let text = render(&discovery);
    (project, discovery, text)
}

#[test]
fn databases_are_found_by_the_variables_that_applications_are_given() {
    let (_project, found, text) = with_env(
        "DATABASE_URL=postgres://shop:canary@127.0.0.1:5432/shop?sslmode=disable\nREDIS_URL=redis://:canary@127.0.0.1:6379/0\nCACHE_DATABASE_URL=\"mysql://c:canary@db/cache\"\n",
    );
    assert_eq!(
        names(&found),
        [
            ("cache", "mysql"),
            ("db", "postgres"),
            ("redis", "redis"),
            ("config", "files")
        ]
    );
    holds(
        &text,
        &[
            "url = \"${DATABASE_URL}\"",
            "url = \"${REDIS_URL}\"",
            "url = \"${CACHE_DATABASE_URL}\"",
            "set -a; . ./.env",
        ],
    );
    assert!(!text.contains("canary"), "{text}");

    let (project, found, text) = with_env(
        "DB_CONNECTION=mysql\nDB_HOST=10.0.0.5\nDB_PORT=3307\nDB_DATABASE='my shop'\nDB_USERNAME=laravel\nDB_PASSWORD=\"can#ary\"\n",
    );
    assert_eq!(names(&found), [("db", "mysql"), ("config", "files")]);
    holds(
        &text,
        &[
            "url = \"mysql://10.0.0.5:3307/my%20shop\"",
            "user = \"laravel\"",
            "password_env = \"DB_PASSWORD\"",
        ],
    );
    assert!(!text.contains("can#ary"), "{text}");
    assert_eq!(read(&project, &text).resources.len(), 2);

    let (_project, found, text) = with_env(
        "DB_ENGINE=django.db.backends.postgresql\nDB_NAME=site\nDB_USER=django\nDB_PASSWORD=canary\nDB_HOST=::1\n",
    );
    assert_eq!(names(&found)[0], ("db", "postgres"));
    holds(&text, &["url = \"postgres://[::1]/site\"", "user = \"django\""]);
}

#[test]
fn what_a_variable_names_and_guard_cannot_use_is_told_with_the_way_out() {
    for (env, told) in [
        ("DATABASE_URL=postgresql+asyncpg://a:canary@h/x", "is a program's own"),
        (
            "DATABASE_URL=postgresql://a:canary@h/x?schema=public",
            "its parameter `schema`",
        ),
        ("DATABASE_URL=mongodb://a:canary@h/x", "no kind for `mongodb:`"),
        ("DB_DATABASE=x\nDB_HOST=h", "no variable says of which kind"),
    ] {
        let (project, found, text) = with_env(env);
        assert_eq!(names(&found), [("config", "files")], "{env}");
        holds(&text, &["# Not taken up: ", told]);
        assert!(!text.contains("canary"), "{text}");
        read(&project, &text);
    }
}

#[test]
fn sqlite_and_directories_of_data_are_found_where_git_does_not_keep_them() {
    let project = Project::bare();
    let write = |name: &str, content: &str| {
        let path = project.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let git = |words: &[&str]| {
        let done = Command::new("git")
            .current_dir(project.root())
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{words:?}");
    };
    write(".env", "DATABASE_URL=sqlite:///data/shop.sqlite3\n");
    write("media/logo.svg", "in git");
    write("public/uploads/.gitkeep", "");
    write("storage/app/public/photo.jpg", "somebody's");
    write("storage/logs/laravel.log", "made anew");
    write("storage/framework/cache/x", "made anew");
    write("var/cache/y", "made anew");
    write("data/letters/one.txt", "somebody's");
    git(&["init", "-q"]);
    git(&["add", "media", "-f", "public/uploads/.gitkeep"]);
    write("public/uploads/cat.jpg", "somebody's");
    let database = rusqlite::Connection::open(project.path("data/shop.sqlite3")).unwrap();
    database.execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
    let discovery = look(&context(&project));
    let found: Vec<String> = discovery
        .resources
        .iter()
        .map(|found| {
            let path = found.entries.iter().find(|entry| entry.key == "path");
            format!(
                "{} {}",
                found.kind,
                path.map_or("", |path| path.value.trim_matches('"'))
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "sqlite data/shop.sqlite3",
            "volume data/letters",
            "volume public/uploads",
            "volume storage/app",
            "git ",
            "files "
        ]
    );
    let text = render(&discovery);
    holds(&text, &["carry_over = \"new-files\""]);
    assert_eq!(read(&project, &text).resources.len(), 6);
}

#[test]
fn what_people_upload_stays_whether_it_lies_in_a_directory_or_in_a_volume() {
    let project = Project::bare();
    for directory in ["uploads", "plain"] {
        std::fs::create_dir(project.path(directory)).unwrap();
    }
    std::fs::write(
        project.path("docker-compose.yml"),
        r#"
services:
  app:
    image: company/app
    volumes: ["media:/srv/kept", "shop_uploads:/data", "state:/srv/state", "blobs:/app/public/avatars",
      "./uploads:/in", "./plain:/plain"]
  store:
    image: minio/minio
    volumes: ["files:/data"]
volumes: {media: , shop_uploads: , state: , blobs: , files: }
"#,
    )
    .unwrap();
    let discovery = look(&context(&project));
    let staying: Vec<&str> = discovery
        .resources
        .iter()
        .filter(|found| found.entries.iter().any(|entry| entry.key == "carry_over"))
        .map(|found| found.name.as_str())
        .collect();
    assert_eq!(staying, ["media", "shop_uploads", "blobs", "uploads"]);
    let text = render(&discovery);
    assert!(text.contains("carry_over = \"new-files\""), "{text}");
    read(&project, &text);
}
