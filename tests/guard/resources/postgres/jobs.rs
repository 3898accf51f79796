//! Dumps and restores in several jobs, what proves them, and the digest of rows by which all is compared.

use std::path::Path;

use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Resource, Site, Slot};

use super::{EVERYTHING, SPOIL, alone, slot};
use crate::resources::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::cluster::{Cluster, told};
use crate::support::compose::Project;
use crate::support::kinds::{text, try_build_of};

fn with(keys: &[(&str, &str)], numbers: &[(&str, i64)], site: &Site) -> Box<dyn Resource> {
    let texts = keys.iter().map(|(key, value)| (*key, text(value)));
    let numbers = numbers.iter().map(|(key, number)| (*key, Value::Whole(*number)));
    let keys: Vec<_> = texts.chain(numbers).collect();
    try_build_of("postgres", &keys, site).unwrap_or_else(|problems| panic!("{problems:?}"))
}

const SERVICE: &str = "services:
  database:
    image: guard-test/postgres:17
    pull_policy: never
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: canary-in-the-container, POSTGRES_DB: shop}
";

struct InJobs<'a> {
    project: &'a Project,
    resource: Box<dyn Resource>,
}

fn site_of(project: &Project, scene: &Scene) -> Site {
    Site {
        directory: scene.project(),
        compose: Some(project.compose.clone()),
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    }
}

impl<'a> InJobs<'a> {
    fn of(project: &'a Project, scene: &Scene) -> Self {
        let resource = with(&[("service", "database")], &[("jobs", 2)], &site_of(project, scene));
        Self { project, resource }
    }

    fn sql(&self, script: &str) -> String {
        let words = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "shop", "-d", "shop"];
        self.project.exec("database", &words, script)
    }
}

impl Subject for InJobs<'_> {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        self.sql(SPOIL);
    }
    fn observe(&self) -> String {
        let words = ["pg_dump", "--create", "-U", "shop", "-d", "shop"];
        told(&self.project.exec("database", &words, ""))
    }
}

#[test]
fn a_database_of_version_17_is_dumped_and_restored_in_jobs_through_its_container() {
    let scene = Scene::new();
    let project = Project::up(&scene, SERVICE);
    let site = site_of(&project, &scene);
    let subject = InJobs::of(&project, &scene);
    subject.sql(EVERYTHING);
    hold(&subject, &scene);
    let slot = slot(&scene, subject.resource());
    let artifact = subject.resource().capture(&slot, &scene.cx).unwrap();
    let paths: Vec<&str> = artifact.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths[0], "db/dump/toc.dat");
    let packed = paths.iter().filter(|path| path.ends_with(".dat.zst")).count();
    assert!(packed >= 4, "every table has a file of its own: {paths:?}");
    for file in std::fs::read_dir(slot.directory().join("dump")).unwrap() {
        let about = file.unwrap().metadata().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    // Held back, and as a script, since a directory cannot go through a pipe.
    let throttled = with(
        &[("service", "database"), ("standby", "always")],
        &[("jobs", 2), ("standby_load", 60)],
        &site,
    );
    let artifact = throttled.capture(&slot, &scene.cx).unwrap();
    subject.spoil_live();
    let spoilt = subject.observe();
    let prepared = throttled
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    assert!(prepared.work.is_needed());
    throttled.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_ne!(subject.observe(), spoilt);
    assert_eq!(subject.sql("SELECT count(*) FROM users"), "50\n");
    // Of what a killed capture has left there nothing stays.
    let left = |of: &str| project.exec("database", &["find", "/tmp", "-maxdepth", "1", "-name", of], "");
    assert_eq!(left("guard-*"), "", "nothing is left in the container");
    let digest = guard::system::disk::sha256_hex(b"shop");
    let directory = format!("/tmp/guard-{}-{}", scene.cx.token(), &digest[..8]);
    project.exec("database", &["mkdir", &directory], "");
    subject.resource().settle(&scene.cx).unwrap();
    assert_eq!(left("guard-*"), "", "what was left is removed");
}

/// Hardened containers have a root file system that nobody writes to; guard's own files then lie in the shared memory.
#[test]
fn a_server_whose_container_is_read_only_keeps_all_promises() {
    let scene = Scene::new();
    let closed = format!(
        "{SERVICE}    read_only: true\n    tmpfs: [/var/run/postgresql]\n    volumes: [data:/var/lib/postgresql/data]\nvolumes: {{data: {{}}}}\n"
    );
    let project = Project::up(&scene, &closed);
    let subject = InJobs::of(&project, &scene);
    // Rows that break a key are loaded by a list, which lies in the container.
    subject.sql(
        "CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one);
         SET session_replication_role = replica; INSERT INTO two VALUES (1, 7);",
    );
    let slot = slot(&scene, subject.resource());
    let artifact = subject.resource().capture(&slot, &scene.cx).unwrap();
    subject.resource().prove(&artifact, &slot, &scene.cx).unwrap();
    subject.sql("DROP TABLE two");
    let prepared = subject
        .resource()
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    subject
        .resource()
        .restore(&prepared, &artifact, &slot, &scene.cx)
        .unwrap();
    assert_eq!(subject.sql("SELECT one FROM two"), "7\n");
    let left = project.exec("database", &["find", "/dev/shm", "-name", "guard-*"], "");
    assert_eq!(left, "", "nothing is left in the container");
}

#[test]
fn a_large_dump_of_version_15_is_restored_in_jobs() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE one AS SELECT n AS id, md5(n::text) || md5((n * 7)::text) AS words FROM generate_series(1, 200000) n;
         CREATE TABLE two AS SELECT * FROM one; ALTER TABLE one ADD PRIMARY KEY (id); ALTER TABLE two ADD FOREIGN KEY (id) REFERENCES one;
         ALTER DATABASE shop CONNECTION LIMIT 4;",
    );
    let scene = Scene::new();
    let resource = with(&[("url", &cluster.url("shop"))], &[("jobs", 3)], &alone(&scene));
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert!(artifact.files[0].path.ends_with("dump.pgc.zst") && artifact.files[0].bytes > 8 * 1024 * 1024);
    resource.rehearse(&artifact, &slot, &scene.cx).unwrap();
    assert_eq!(cluster.databases(), ["shop"]);
    assert_eq!(names_in(&slot), ["dump.pgc.zst"], "what was unpacked is gone");
}

fn names_in(slot: &Slot) -> Vec<String> {
    let read = |path: &Path| std::fs::read_dir(path).unwrap();
    let names = read(&slot.directory()).map(|entry| entry.unwrap().file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn every_change_of_a_value_changes_the_digest() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN short AS varchar(9);
         CREATE TABLE t (id int PRIMARY KEY, a text, b text, n numeric, f float8, j json, c char(4), m mood, p pair, l text[], s short,
           \"odd \"\"name\" bytea, gone int);
         ALTER TABLE t DROP COLUMN gone;
         INSERT INTO t VALUES (1, 'x', 'y', 1.0, 0, '{\"a\":1}', 'ab', 'ok', (1, 'x'), '{a,b}', 's', '\\x00'), (2, 'y', 'x', 2, 1, '[]', 'c', 'sad', NULL, NULL, NULL, NULL);
         CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES;",
    );
    let scene = Scene::new();
    let resource = with(&[("url", &cluster.url("shop"))], &[], &alone(&scene));
    let table = || {
        let print = resource.fingerprint(&scene.cx).unwrap();
        print.part("table t").unwrap().to_owned()
    };
    let original = table();
    for change in [
        "a = 'z' WHERE id = 1",
        "a = b, b = a WHERE id = 1",
        "a = CASE a WHEN 'x' THEN 'y' ELSE 'x' END",
        "a = NULL WHERE id = 1",
        "a = '' WHERE id = 1",
        "n = 1.00 WHERE id = 1",
        "f = '-0' WHERE id = 1",
        "j = '{\"a\": 1}' WHERE id = 1",
        "c = 'abc' WHERE id = 1",
        "m = 'sad' WHERE id = 1",
        "p = (1, NULL) WHERE id = 1",
        "p = (NULL, NULL) WHERE id = 2",
        "l = '{\"a,b\"}' WHERE id = 1",
        "s = '' WHERE id = 2",
        "\"odd \"\"name\" = '' WHERE id = 2",
        "id = 3 WHERE id = 2",
    ] {
        cluster.sql("shop", &format!("CREATE TABLE kept AS TABLE t; UPDATE t SET {change};"));
        assert_ne!(table(), original, "{change}");
        cluster.sql(
            "shop",
            "DELETE FROM t; INSERT INTO t SELECT * FROM kept ORDER BY id DESC; DROP TABLE kept;",
        );
        assert_eq!(table(), original, "and back, in another order");
    }
    // Somebody's own cast is not asked: it would run with the rights of guard's user.
    cluster.sql(
        "shop",
        "CREATE FUNCTION spy(pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'a cast was asked'; END $$;
         CREATE CAST (pair AS text) WITH FUNCTION spy(pair);",
    );
    assert_eq!(table(), original);
}

#[test]
fn the_manifest_tells_what_the_database_relies_on() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE ROLE staff; CREATE ROLE clerk LOGIN CREATEDB; GRANT staff TO clerk; CREATE TABLE t (id int PRIMARY KEY);
         ALTER TABLE t OWNER TO clerk; CREATE PUBLICATION news FOR TABLE t; SELECT lo_from_bytea(0, 'large');",
    );
    let scene = Scene::new();
    let resource = with(&[("url", &cluster.url("shop"))], &[], &alone(&scene));
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let about = &artifact.details["surroundings"];
    assert_eq!(
        about["roles"]["clerk"],
        "CREATE ROLE clerk LOGIN CREATEDB; GRANT staff TO clerk;"
    );
    assert_eq!(about["publications"], serde_json::json!(["news"]));
    assert_eq!(about["large_objects"], 1);
    assert_eq!(about["tablespaces"], serde_json::json!(["pg_default"]));
    resource.agrees(&artifact, &scene.cx).unwrap();
    let mut other = artifact.clone();
    other.details["surroundings"]["tablespaces"] = serde_json::json!(["pg_default", "fast"]);
    let error = resource.agrees(&other, &scene.cx).expect_err("no such tablespace");
    assert!(
        error.hint.as_deref().unwrap().contains("CREATE TABLESPACE \"fast\""),
        "{error:?}"
    );
    cluster.sql("shop", "DROP TABLE t; DROP ROLE clerk;");
    let error = resource.agrees(&artifact, &scene.cx).expect_err("no such role");
    assert!(
        error
            .hint
            .as_deref()
            .unwrap()
            .contains("CREATE ROLE clerk LOGIN CREATEDB;"),
        "{error:?}"
    );
}
