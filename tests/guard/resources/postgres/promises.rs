//! The promises, by URL on a cluster of the host and by `docker exec` in a compose service.

use guard::resources::{Resource, Site};

use super::{EVERYTHING, SPOIL, by_url};
use crate::resources::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::cluster::{Cluster, told};
use crate::support::compose::Project;
use crate::support::kinds::build;

struct ByUrl<'a> {
    cluster: &'a Cluster,
    database: &'a str,
    resource: Box<dyn Resource>,
}

impl Subject for ByUrl<'_> {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        self.cluster.sql(self.database, SPOIL);
    }
    fn observe(&self) -> String {
        self.cluster.observe(self.database)
    }
}

fn hold_by_url(cluster: &Cluster, database: &str) {
    let scene = Scene::new();
    let resource = by_url(cluster, &scene, database);
    hold(
        &ByUrl {
            cluster,
            database,
            resource,
        },
        &scene,
    );
}

#[test]
fn a_database_at_a_url_keeps_all_promises() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let properties = r#"
        CREATE ROLE clerk; CREATE ROLE "Odd owner";
        ALTER DATABASE shop OWNER TO "Odd owner";
        REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
        GRANT CREATE ON DATABASE shop TO clerk WITH GRANT OPTION;
        ALTER DATABASE shop SET search_path TO "$user", public, "Odd schema";
        ALTER DATABASE shop SET work_mem TO '9MB';
        ALTER DATABASE shop SET default_transaction_read_only TO on;
        ALTER ROLE clerk IN DATABASE shop SET statement_timeout TO '7s';
        COMMENT ON DATABASE shop IS 'the shop''s';
    "#;
    cluster.sql("postgres", properties);
    hold_by_url(&cluster, "shop");
    assert_eq!(cluster.databases(), ["shop"], "nothing is left behind");
}

#[test]
fn odd_names_are_names() {
    let cluster = Cluster::start();
    let long = "ü".repeat(31);
    for name in ["-rf we\"ird DB Ünï 😀", "a=b 'c' \\d new\nline", &long] {
        cluster.create(name, EVERYTHING);
        hold_by_url(&cluster, name);
        assert_eq!(cluster.databases(), [name], "nothing is left behind");
        let quoted = name.replace('"', "\"\"");
        cluster.sql("postgres", &format!("DROP DATABASE \"{quoted}\";"));
    }
}

struct InService<'a> {
    project: &'a Project,
    resource: Box<dyn Resource>,
}

impl Subject for InService<'_> {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        self.project.exec(
            "database",
            &["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "shop", "-d", "shop"],
            SPOIL,
        );
    }
    fn observe(&self) -> String {
        told(
            &self
                .project
                .exec("database", &["pg_dump", "--create", "-U", "shop", "-d", "shop"], ""),
        )
    }
}

#[test]
fn a_database_in_a_service_keeps_all_promises() {
    let scene = Scene::new();
    let project = Project::up(
        &scene,
        "services:
  database:
    image: guard-test/postgres:17
    pull_policy: never
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: canary-in-the-container, POSTGRES_DB: shop}
",
    );
    project.exec(
        "database",
        &["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "shop", "-d", "shop"],
        EVERYTHING,
    );
    let site = Site {
        directory: scene.project(),
        compose: Some(project.compose.clone()),
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    let resource = build("postgres", &[("service", "database")], &site);
    assert_eq!(resource.needs_running(), ["database"]);
    hold(
        &InService {
            project: &project,
            resource,
        },
        &scene,
    );
    let resource = build("postgres", &[("service", "database")], &site);
    let said = scene.cx.redaction.clean("canary-in-the-container");
    assert_eq!(said, "[REDACTED]", "the container's password is known to be one");
    project.call(&["stop", "database"]);
    let survey = resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|obstacle| obstacle.refuses && obstacle.what.contains("it is exited")),
        "{survey:?}"
    );
    let resource = build("postgres", &[("service", "absent")], &site);
    let survey = resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|obstacle| obstacle.refuses && obstacle.what.contains("there is none")),
        "{survey:?}"
    );
}
