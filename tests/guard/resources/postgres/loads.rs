//! A dump that is read back is not yet a dump that loads: what stands between the two is either overcome, or told before
//! anything is deployed.

use guard::model::artifact::{Artifact, Live};
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Resource, Survey};

use super::{alone, by_url, slot};
use crate::support::Scene;
use crate::support::cluster::{Cluster, ENCODED};
use crate::support::kinds::{build, text, try_build_of};

/// What a check finds that also tries.
fn checked(resource: &dyn Resource, newest: Option<&Artifact>, scene: &Scene) -> Survey {
    let mut survey = resource.survey(&scene.cx);
    if survey.obstacles.iter().all(|obstacle| !obstacle.refuses) {
        resource.try_back(newest, &scene.cx, &mut survey);
    }
    survey
}

fn refusals(survey: &Survey) -> Vec<String> {
    let refusing = survey.obstacles.iter().filter(|obstacle| obstacle.refuses);
    refusing
        .map(|obstacle| format!("{} — {}", obstacle.what, obstacle.advice))
        .collect()
}

/// A role that owns databases and is no superuser, with a password.
fn owner(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        "CREATE ROLE owner LOGIN CREATEDB PASSWORD 'of it'; CREATE ROLE other;",
    );
}

fn as_owner(cluster: &Cluster, scene: &Scene, database: &str) -> Box<dyn Resource> {
    let url = cluster
        .url(database)
        .replace(&format!("boss:{ENCODED}"), "owner:of%20it");
    build("postgres", &[("url", &url), ("lock_wait", "2s")], &alone(scene))
}

/// Finds nothing in the way, spoils the database, restores it, and returns what was before and after.
fn there_and_back(cluster: &Cluster, scene: &Scene, resource: &dyn Resource, spoil: &str) -> (String, String) {
    let (slot, cx) = (slot(scene, resource), &scene.cx);
    assert_eq!(refusals(&checked(resource, None, scene)), Vec::<String>::new());
    assert_eq!(cluster.databases(), ["shop"], "the trial leaves nothing");
    let before = cluster.observe("shop");
    let artifact = resource.capture(&slot, cx).unwrap();
    cluster.sql("shop", spoil);
    let prepared = resource.prepare(&artifact, &slot, DataRestore::Always, cx).unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    assert_eq!(resource.check(&artifact, cx).unwrap(), Live::Matches);
    let after = cluster.observe("shop");
    resource.forget(&displaced, cx).unwrap();
    assert_eq!(cluster.databases(), ["shop"], "nothing is left behind");
    (before, after)
}

const WORDS: &str = r"
CREATE SCHEMA lib; CREATE TABLE lib.stop (word text PRIMARY KEY); INSERT INTO lib.stop VALUES ('the');
CREATE FUNCTION lib.plain(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lower(t); END $$;
CREATE FUNCTION slug(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN replace(plain(t), ' ', '-'); END $$;
CREATE FUNCTION is_word(t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT NOT EXISTS (SELECT FROM stop WHERE word = t) $$;
CREATE DOMAIN word AS text CHECK (is_word(VALUE));
";

#[test]
fn names_without_a_schema_are_found_where_the_application_finds_them() {
    for shape in [
        "CREATE TABLE pages (id int PRIMARY KEY, name text); INSERT INTO pages VALUES (1, 'A b'); CREATE INDEX ON pages (slug(name));",
        "CREATE TABLE pages (id int PRIMARY KEY, name text CHECK (is_word(name))); INSERT INTO pages VALUES (1, 'A b');",
        "CREATE TABLE pages (id int PRIMARY KEY, name text, slug text GENERATED ALWAYS AS (slug(name)) STORED); INSERT INTO pages VALUES (1, 'A b');",
        "CREATE TABLE pages (id int PRIMARY KEY, name word); INSERT INTO pages VALUES (1, 'A b');",
        "CREATE TABLE pages (id int PRIMARY KEY, name text); INSERT INTO pages VALUES (1, 'A b'); CREATE MATERIALIZED VIEW m AS SELECT slug(name) FROM pages;",
        "CREATE TABLE pages (id int PRIMARY KEY, name text); INSERT INTO pages VALUES (1, 'A b'); CREATE INDEX ON pages (id) WHERE is_word(name);",
    ] {
        let cluster = Cluster::start();
        cluster.create("shop", "ALTER DATABASE shop SET search_path TO public, lib;");
        cluster.sql("shop", &format!("{WORDS}{shape}"));
        let scene = Scene::new();
        let resource = by_url(&cluster, &scene, "shop");
        let (before, after) = there_and_back(
            &cluster,
            &scene,
            resource.as_ref(),
            "ALTER TABLE pages ADD COLUMN more int; DELETE FROM pages;",
        );
        assert_eq!(after, before, "{shape}");
    }
}

/// Postgres writes both another way after a restore than before it, and means the same.
#[test]
fn what_a_restore_only_writes_another_way_is_the_same() {
    for shape in [
        "CREATE TABLE named (id int PRIMARY KEY); CREATE TABLE pages (name text) INHERITS (named); ALTER TABLE named ADD COLUMN kind text;
         INSERT INTO pages VALUES (1, 'a', 'b');",
        "CREATE TABLE pages (id int PRIMARY KEY, x int, CHECK (x BETWEEN 1 AND 5 AND id > 0)); INSERT INTO pages VALUES (1, 2);
         CREATE VIEW few AS SELECT id FROM pages WHERE x NOT BETWEEN 1 AND 5 OR id = 1;
         CREATE INDEX ON pages (id) WHERE x BETWEEN 1 AND 5 AND id > 2;",
    ] {
        let cluster = Cluster::start();
        cluster.create("shop", shape);
        let scene = Scene::new();
        let resource = by_url(&cluster, &scene, "shop");
        let cx = &scene.cx;
        let slot = slot(&scene, resource.as_ref());
        let artifact = resource.capture(&slot, cx).unwrap();
        cluster.sql("shop", "DELETE FROM pages;");
        let prepared = resource.prepare(&artifact, &slot, DataRestore::Always, cx).unwrap();
        resource.restore(&prepared, &artifact, &slot, cx).unwrap();
        assert_eq!(resource.check(&artifact, cx).unwrap(), Live::Matches, "{shape}");
        let again = checked(resource.as_ref(), Some(&artifact), &scene);
        assert!(again.obstacles.is_empty(), "{shape}: {again:?}");
        let is = resource.fingerprint(cx).unwrap();
        assert_eq!(artifact.fingerprint.differences(&is), Vec::<String>::new(), "{shape}");
    }
}

#[test]
fn a_table_that_pg_dump_can_read_is_read_whatever_its_indexes_look_into() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE EXTENSION cube; CREATE EXTENSION earthdistance; CREATE TABLE places (id int PRIMARY KEY, lat float8, lon float8);
         INSERT INTO places VALUES (1, 52, 13); CREATE INDEX ON places USING gist (ll_to_earth(lat, lon));",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let (before, after) = there_and_back(
        &cluster,
        &scene,
        resource.as_ref(),
        "ALTER TABLE places ADD COLUMN more int;",
    );
    assert_eq!(after, before);
}

#[test]
fn rows_that_break_a_key_come_back_as_they_were() {
    let orphans = "CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY, who int REFERENCES customers);
        CREATE TABLE told (n int); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.told VALUES (1); RETURN NEW; END $$;
        CREATE TRIGGER telling BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell(); ALTER TABLE orders ENABLE ALWAYS TRIGGER telling;
        INSERT INTO customers VALUES (1); INSERT INTO orders VALUES (1, 1);
        SET session_replication_role = replica; DELETE FROM customers;";
    let cluster = Cluster::start();
    owner(&cluster);
    cluster.create("shop", orphans);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let (before, after) = there_and_back(
        &cluster,
        &scene,
        resource.as_ref(),
        "ALTER TABLE orders ADD COLUMN more int;",
    );
    assert_eq!(after, before, "and no trigger has told anything again");
    // Who may not turn triggers off is told which rows they are, and what to do.
    cluster.sql("shop", "DROP TRIGGER telling ON orders;");
    cluster.sql("postgres", "ALTER DATABASE shop OWNER TO owner;");
    cluster.sql("shop", "ALTER TABLE customers OWNER TO owner; ALTER TABLE orders OWNER TO owner; ALTER TABLE told OWNER TO owner; ALTER FUNCTION tell OWNER TO owner;");
    let told = refusals(&checked(as_owner(&cluster, &scene, "shop").as_ref(), None, &scene));
    assert!(
        told.len() == 1 && told[0].contains("orders_who_fkey") && told[0].contains("rows break a foreign key"),
        "{told:?}"
    );
    assert_eq!(cluster.databases(), ["shop"], "nothing is left behind");
}

#[test]
fn what_no_restore_could_make_again_is_refused_by_trying() {
    let cluster = Cluster::start();
    owner(&cluster);
    cluster.sql("postgres", "CREATE DATABASE shop OWNER owner;");
    cluster.sql("shop", "SET ROLE owner; CREATE TABLE mine (id int PRIMARY KEY);");
    let scene = Scene::new();
    let resource = as_owner(&cluster, &scene, "shop");
    assert_eq!(
        refusals(&checked(resource.as_ref(), None, &scene)),
        Vec::<String>::new()
    );
    for (make, sign, unmake) in [
        (
            "CREATE EXTENSION pg_stat_statements;",
            "pg_stat_statements",
            "DROP EXTENSION pg_stat_statements;",
        ),
        (
            "CREATE SCHEMA audit AUTHORIZATION other;",
            "other",
            "DROP SCHEMA audit;",
        ),
        (
            "CREATE TYPE mood AS ENUM ('a'); ALTER TYPE mood OWNER TO other;",
            "other",
            "DROP TYPE mood;",
        ),
        (
            "SET ROLE owner; CREATE TABLE twice (x int); CREATE UNIQUE INDEX doubled ON twice (x); RESET ROLE;
             UPDATE pg_index SET indisready = false WHERE indexrelid = 'doubled'::regclass; INSERT INTO twice VALUES (1), (1);
             UPDATE pg_index SET indisready = true WHERE indexrelid = 'doubled'::regclass;",
            "doubled",
            "DROP TABLE twice;",
        ),
        (
            "SET ROLE owner; CREATE FUNCTION fits(x int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x < 9'; CREATE TABLE held (x int CHECK (fits(x)));
             INSERT INTO held VALUES (5); CREATE OR REPLACE FUNCTION fits(x int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x < 3';",
            "held",
            "DROP TABLE held; DROP FUNCTION fits;",
        ),
        (
            "CREATE TABLE hidden (x int); ALTER TABLE hidden OWNER TO owner; ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY;",
            "row security",
            "DROP TABLE hidden;",
        ),
    ] {
        cluster.sql("shop", make);
        let told = refusals(&checked(resource.as_ref(), None, &scene));
        assert!(told.iter().any(|told| told.contains(sign)), "{make}: {told:?}");
        let slot = slot(&scene, resource.as_ref());
        assert!(resource.capture(&slot, &scene.cx).is_err(), "nor is it backed up as if it were a way back: {make}");
        cluster.sql("shop", unmake);
        assert_eq!(cluster.databases(), ["shop"], "nothing is left behind");
    }
    assert_eq!(
        refusals(&checked(resource.as_ref(), None, &scene)),
        Vec::<String>::new()
    );
}

#[test]
fn a_table_of_another_role_that_a_release_makes_does_not_keep_the_way_back_shut() {
    let cluster = Cluster::start();
    owner(&cluster);
    cluster.sql("postgres", "CREATE DATABASE shop OWNER owner;");
    cluster.sql(
        "shop",
        "SET ROLE owner; CREATE TABLE mine (id int PRIMARY KEY); INSERT INTO mine VALUES (1);",
    );
    for spoil in [
        "CREATE TABLE public.theirs (x int); INSERT INTO theirs VALUES (1); DELETE FROM mine;",
        "CREATE SCHEMA closed; CREATE TABLE closed.theirs (x serial); DELETE FROM mine;",
        "ALTER TABLE mine OWNER TO boss; ALTER TABLE mine ENABLE ROW LEVEL SECURITY; DELETE FROM mine;",
        "SELECT lo_from_bytea(0, 'theirs'); CREATE SEQUENCE theirs; DELETE FROM mine;",
    ] {
        let scene = Scene::new();
        let resource = as_owner(&cluster, &scene, "shop");
        let (slot, cx) = (slot(&scene, resource.as_ref()), &scene.cx);
        let before = cluster.observe("shop");
        let artifact = resource.capture(&slot, cx).unwrap();
        cluster.sql("shop", spoil);
        let prepared = resource.prepare(&artifact, &slot, DataRestore::Auto, cx).unwrap();
        assert!(prepared.work.is_needed(), "{spoil}: {prepared:?}");
        let displaced = resource.restore(&prepared, &artifact, &slot, cx).unwrap();
        assert_eq!(cluster.observe("shop"), before, "{spoil}");
        resource.forget(&displaced, cx).unwrap();
        assert_eq!(cluster.databases(), ["shop"]);
    }
}

#[test]
fn bytes_of_any_encoding_come_back_as_they_are() {
    let cluster = Cluster::start();
    for (encoding, bytes) in [
        ("SQL_ASCII", r"caf\xe9\xff"),
        ("LATIN1", r"caf\xe9"),
        ("EUC_JP", r"\xa4\xa2"),
    ] {
        cluster.sql(
            "postgres",
            &format!("CREATE DATABASE shop TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C';"),
        );
        cluster.sql(
            "shop",
            &format!("SET client_encoding = '{encoding}'; CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, E'{bytes}');"),
        );
        let scene = Scene::new();
        let resource = by_url(&cluster, &scene, "shop");
        there_and_back(
            &cluster,
            &scene,
            resource.as_ref(),
            "ALTER TABLE t ADD COLUMN more int; DELETE FROM t;",
        );
        let told = cluster.sql(
            "shop",
            "SELECT encode(convert_to(a, getdatabaseencoding()), 'hex') FROM t",
        );
        assert_eq!(told, bytes.replace("caf", "636166").replace(r"\x", ""), "{encoding}");
        cluster.sql("postgres", "DROP DATABASE shop;");
    }
}

#[test]
fn rows_that_a_restore_puts_into_another_partition_are_the_same_rows() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TYPE kind AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'); CREATE TABLE h (k kind, day date, PRIMARY KEY (k, day)) PARTITION BY RANGE (day);
         CREATE TABLE h1 PARTITION OF h FOR VALUES FROM (MINVALUE) TO (MAXVALUE) PARTITION BY HASH (k);
         CREATE TABLE h10 PARTITION OF h1 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h11 PARTITION OF h1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO h SELECT k, '2025-01-01' FROM unnest(enum_range(NULL::kind)) k;",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    there_and_back(
        &cluster,
        &scene,
        resource.as_ref(),
        "ALTER TABLE h ADD COLUMN more int; DELETE FROM h WHERE k = 'a';",
    );
    assert_eq!(
        cluster.sql("shop", "SELECT string_agg(k::text, '' ORDER BY k) FROM h"),
        "abcdefgh"
    );
}

#[test]
fn an_event_trigger_that_forbids_ddl_does_not_forbid_the_restore() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;
         CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no DDL: %', tg_tag; END $$;
         CREATE EVENT TRIGGER locked ON ddl_command_end EXECUTE FUNCTION no_ddl();",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let (before, after) = there_and_back(&cluster, &scene, resource.as_ref(), "INSERT INTO t VALUES (2);");
    assert_eq!(after, before);
    assert_eq!(cluster.sql("shop", "SELECT n FROM m"), "1");
    // Before version 17 nobody can keep out one that fires always: it is named, with what helps.
    cluster.sql(
        "shop",
        "SET session_replication_role = replica; ALTER EVENT TRIGGER locked ENABLE ALWAYS;",
    );
    let scene = Scene::new();
    let told = refusals(&checked(by_url(&cluster, &scene, "shop").as_ref(), None, &scene));
    let version: u32 = cluster.sql("shop", "SHOW server_version_num").parse().unwrap();
    if version < 170_000 {
        assert!(
            told.len() == 1 && told[0].contains("ALTER EVENT TRIGGER locked ENABLE`"),
            "{told:?}"
        );
    } else {
        assert_eq!(told, Vec::<String>::new());
    }
    let keys = [("url", text(&cluster.url("shop"))), ("in_place", Value::Flag(true))];
    let in_place = try_build_of("postgres", &keys, &alone(&scene)).unwrap_or_else(|problems| panic!("{problems:?}"));
    let told = refusals(&checked(in_place.as_ref(), None, &scene));
    assert!(
        told.len() == 1 && told[0].contains("the event trigger locked would fire"),
        "{told:?}"
    );
}

#[test]
fn a_template_comes_back_as_a_template_and_what_was_put_aside_can_be_removed() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE t (i int PRIMARY KEY); ALTER DATABASE shop IS_TEMPLATE true;",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let (before, after) = there_and_back(
        &cluster,
        &scene,
        resource.as_ref(),
        "ALTER TABLE t ADD COLUMN more int;",
    );
    assert_eq!(after, before);
    assert_eq!(
        cluster.sql("shop", "SELECT datistemplate FROM pg_database WHERE datname = 'shop'"),
        "t"
    );
}

#[test]
fn one_load_proves_the_copies_of_its_schema_and_no_others() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE t (i int PRIMARY KEY, filler text);");
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let own = slot(&scene, resource.as_ref());
    let loaded = |artifact: &Artifact| artifact.details["loaded"].clone();
    let first = resource.capture(&own, &scene.cx).unwrap();
    assert!(loaded(&first).is_object(), "the first copy is loaded");
    cluster.sql(
        "shop",
        "INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 40000) n;",
    );
    let after = |artifact: &Artifact| own.clone().after(&scene.backup(), artifact.clone());
    let second = resource.capture(&after(&first), &scene.cx).unwrap();
    assert_eq!(loaded(&second), loaded(&first), "rows alone need no second proof");
    let survey = checked(resource.as_ref(), Some(&second), &scene);
    assert_eq!((&survey.untried, refusals(&survey)), (&None, Vec::new()));
    cluster.sql("shop", "ALTER TABLE t ADD COLUMN more int;");
    let survey = checked(resource.as_ref(), Some(&second), &scene);
    let untried = survey.untried.expect("rows of another schema");
    assert!(untried.contains("were never restored yet"), "{untried}");
    assert_eq!(
        cluster.databases(),
        ["shop"],
        "the schema was tried, and nothing is left"
    );
    let third = resource.capture(&after(&second), &scene.cx).unwrap();
    assert_ne!(loaded(&third), loaded(&first), "the changed schema is loaded again");
    // Some read and never load: then no proof is claimed.
    let url = cluster.url("shop");
    let reads = build("postgres", &[("url", &url), ("proof", "read")], &alone(&scene));
    let read = reads.capture(&own, &scene.cx).unwrap();
    assert!(loaded(&read).is_null());
}
