//! A server on which the user may neither make nor rename databases: the restore in place, by a role of few rights.

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::Resource;

use super::{alone, slot};
use crate::resources::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::cluster::{Cluster, ENCODED};
use crate::support::kinds::{build, try_build};

/// What such an owner may make, of most kinds.
const OWNED: &str = r#"
SET ROLE owner;
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS varchar(9) CHECK (VALUE <> '');
CREATE TYPE pair AS (a int, b text);
CREATE SCHEMA "Odd schema";
CREATE TABLE users (id bigserial PRIMARY KEY, name text, m mood DEFAULT 'ok', s short, p pair);
CREATE TABLE "Odd schema"."or""ders" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who bigint REFERENCES users);
CREATE TABLE events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE VIEW loud AS SELECT upper(name) AS name FROM users; CREATE MATERIALIZED VIEW quiet AS SELECT count(*) FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$;
CREATE TRIGGER touching BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int); CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE STATISTICS together ON id, name FROM users; CREATE COLLATION plain (provider = libc, locale = 'C');
ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON users USING (name = current_user);
CREATE PUBLICATION few FOR TABLE users; CREATE SEQUENCE alone START 7;
INSERT INTO users (name, p) SELECT 'user ' || n, (n, 'x')::pair FROM generate_series(1, 50) n;
INSERT INTO "Odd schema"."or""ders" (who) SELECT id FROM users; INSERT INTO events VALUES ('2025-05-05', 'x');
SELECT lo_from_bytea(4711, 'large');
"#;

const SPOILT: &str = r#"
SET ROLE owner;
DROP TABLE "Odd schema"."or""ders"; ALTER TABLE users ADD COLUMN email text; UPDATE users SET name = 'spoilt' WHERE id < 10;
DELETE FROM users WHERE id > 40; CREATE TABLE sessions (token text); CREATE SCHEMA added; CREATE TABLE added.more (x int);
DROP AGGREGATE total (int); CREATE FUNCTION more(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE newer AS ENUM ('a');
SELECT lo_unlink(4711); DROP PUBLICATION few; ALTER DOMAIN short DROP CONSTRAINT short_check;
"#;

struct Limited<'a> {
    cluster: &'a Cluster,
    resource: Box<dyn Resource>,
}

impl Subject for Limited<'_> {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }
    fn spoil_live(&self) {
        self.cluster.sql("shop", SPOILT);
    }
    fn observe(&self) -> String {
        self.cluster.observe("shop")
    }
}

/// A database of the administrator's, with an owner of what is in it, who may go nowhere else.
fn managed() -> (Cluster, String) {
    let cluster = Cluster::start();
    let roles = "CREATE ROLE owner LOGIN PASSWORD 'of it' NOSUPERUSER NOCREATEDB; CREATE DATABASE shop;
        REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; REVOKE CONNECT ON DATABASE template1 FROM PUBLIC;";
    cluster.sql("postgres", roles);
    let rights =
        "GRANT CREATE ON DATABASE shop TO owner; GRANT ALL ON SCHEMA public TO owner; CREATE EXTENSION pg_trgm;";
    cluster.sql("shop", rights);
    let url = cluster.url("shop").replace(&format!("boss:{ENCODED}"), "owner:of%20it");
    (cluster, url)
}

#[test]
fn fault_g17_where_nothing_may_be_renamed_the_restore_in_place_keeps_all_promises() {
    let (cluster, url) = managed();
    cluster.sql("shop", OWNED);
    let scene = Scene::new();
    let swapping = build("postgres", &[("url", &url)], &alone(&scene)).survey(&scene.cx);
    let told = swapping
        .obstacles
        .iter()
        .find(|found| found.what.contains("may not make and rename"));
    assert!(
        told.is_some_and(|told| told.refuses && told.advice.contains("in_place = true")),
        "{swapping:?}"
    );
    let resource = in_place(&url, &scene);
    let subject = Limited {
        cluster: &cluster,
        resource,
    };
    hold(&subject, &scene);
    assert_eq!(cluster.databases(), ["shop"], "nothing was made beside it");
}

fn in_place(url: &str, scene: &Scene) -> Box<dyn Resource> {
    use guard::model::setting::Value;

    use crate::support::kinds::{text, try_build_of};
    let keys = [("url", text(url)), ("in_place", Value::Flag(true))];
    try_build_of("postgres", &keys, &alone(scene)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn numbers_go_on_behind_a_restore_in_place_and_its_undo() {
    let (cluster, url) = managed();
    let ask = |script: &str| {
        cluster
            .sql("shop", &format!("SET ROLE owner; {script}"))
            .lines()
            .last()
            .unwrap()
            .to_owned()
    };
    let add = "INSERT INTO people (name) VALUES ('somebody') RETURNING id";
    ask(&format!(
        "CREATE TABLE people (id bigserial PRIMARY KEY, name text); {add}"
    ));
    let scene = Scene::new();
    let resource = in_place(&url, &scene);
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    ask(&format!("ALTER TABLE people ADD COLUMN mail text; {add}; {add}; {add}"));
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    let restore = || resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    let displaced = restore();
    assert_eq!(ask("SELECT max(id) FROM people"), "1");
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    assert_eq!(restore(), displaced, "a repeat finds it done");
    assert_eq!(ask(&add.replace("somebody", "Nell")), "5", "number 4 was the last one");
    resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(ask("SELECT max(id) FROM people"), "4");
    assert_eq!(ask(add), "6");
}

#[test]
fn a_restore_in_place_that_fails_leaves_everything_as_it_was() {
    let (cluster, url) = managed();
    cluster.sql("shop", OWNED);
    let scene = Scene::new();
    let resource = in_place(&url, &scene);
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SPOILT);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    assert!(
        prepared.price.iter().any(|line| line.contains("locks every table")),
        "{prepared:?}"
    );
    // Somebody else's table in the way can neither be removed nor replaced.
    let theirs =
        "CREATE TABLE \"theirs, not ours\" (id int PRIMARY KEY); GRANT SELECT ON \"theirs, not ours\" TO owner;";
    cluster.sql("shop", theirs);
    let failed = cluster.observe("shop");
    let survey = resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|found| found.refuses && found.what.contains("the role boss")),
        "{survey:?}"
    );
    let error = resource
        .restore(&prepared, &artifact, &slot, &scene.cx)
        .expect_err("not ours");
    assert!(error.to_string().contains("as it was"), "{error}");
    assert_eq!(cluster.observe("shop"), failed, "one transaction: all or nothing");
    cluster.sql("shop", "DROP TABLE \"theirs, not ours\";");
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert!(displaced.kept_as[0].starts_with("dump in "), "{displaced:?}");
    assert_eq!(resource.fingerprint(&scene.cx).unwrap(), artifact.fingerprint);
    resource.forget(&displaced, &scene.cx).unwrap();
    for key in ["carry_over", "standby"] {
        let value = if key == "standby" { "always" } else { "inserts" };
        let keys = [
            ("url", crate::support::kinds::text(&url)),
            ("in_place", guard::model::setting::Value::Flag(true)),
            (key, crate::support::kinds::text(value)),
        ];
        let problems = crate::support::kinds::try_build_of("postgres", &keys, &alone(&scene))
            .err()
            .expect("refused");
        assert!(format!("{problems:?}").contains("in_place"), "{problems:?}");
    }
    assert!(try_build("postgres", &[("direct_url", "mysql://x")], &alone(&scene)).is_err());
}
