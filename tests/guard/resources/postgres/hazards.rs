//! What a restore could stumble over on a real server: clients, extensions, properties, tablespaces, poolers, encodings, and
//! tables of every shape.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Survey};

use super::{alone, by_url, slot};
use crate::support::Scene;
use crate::support::cluster::{Cluster, ENCODED, PASSWORD};
use crate::support::embedded::Embedded;
use crate::support::kinds::build;

fn refusals(survey: &Survey) -> Vec<String> {
    let refusing = survey.obstacles.iter().filter(|obstacle| obstacle.refuses);
    refusing.map(|obstacle| obstacle.what.clone()).collect()
}

/// Spoils a database, restores it, and holds it to what it was.
fn goes_and_comes_back(cluster: &Cluster, scene: &Scene, resource: &dyn Resource, spoil: &str) {
    let (slot, cx) = (slot(scene, resource), &scene.cx);
    assert_eq!(refusals(&resource.survey(cx)), Vec::<String>::new());
    let original = cluster.observe("shop");
    let artifact = resource.capture(&slot, cx).unwrap();
    cluster.sql("shop", spoil);
    let prepared = resource.prepare(&artifact, &slot, DataRestore::Always, cx).unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    assert_eq!(cluster.observe("shop"), original);
    assert_eq!(
        resource.check(&artifact, cx).unwrap(),
        Live::Matches,
        "the fingerprint is the same"
    );
    resource.forget(&displaced, cx).unwrap();
    assert_eq!(cluster.databases(), ["shop"], "nothing is left behind");
}

#[test]
fn fault_g2_g24_clients_that_are_missing_too_old_or_known_to_have_holes_are_named() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE t (id int PRIMARY KEY);");
    let project = Embedded::with(&format!(
        "verify = \"none\"\n[resources.db]\nkind = \"postgres\"\nurl = \"{}\"\n",
        cluster.url("shop")
    ));
    let bin = project.root().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let guard = project.guard().env("PATH", &path);
    let fake = |version: &str| {
        for program in ["pg_dump", "pg_restore"] {
            let script = format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n");
            std::fs::write(bin.join(program), script).unwrap();
            let _mode = Command::new("chmod")
                .arg("755")
                .arg(bin.join(program))
                .status()
                .unwrap();
        }
    };
    let well = guard.run(&["check"]).everything();
    assert!(!well.contains("is older than the server"), "{well}");
    fake("9.6.24");
    let told = guard.run(&["check"]);
    let text = told.everything();
    assert!(text.contains("pg_dump 9.6.24 is older than the server, "), "{text}");
    assert!(text.contains("use `service` to run the container's own"), "{text}");
    let refused = guard.run(&["deploy", "--", "true"]);
    assert_eq!(
        refused.code,
        told.code,
        "a deployment is refused for it: {}",
        refused.everything()
    );
    assert_ne!(refused.code, Some(0));
    fake("15.13");
    // As one line, wherever the table breaks.
    let text = guard.run(&["check"]).everything();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("CVE-2025-8714") && text.contains("15.14 and later are mended"),
        "{text}"
    );
    // Nothing but psql, by its own path: Debian's is a wrapper that looks for the rest.
    let _gone = std::fs::remove_dir_all(&bin);
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(cluster.program("psql"), bin.join("psql")).unwrap();
    let text = project
        .guard()
        .env("PATH", &bin.display().to_string())
        .run(&["check"])
        .everything();
    assert!(text.contains("pg_dump is not installed here"), "{text}");
}

#[test]
fn fault_g8_extensions_come_back_in_their_version_or_are_refused_before() {
    let cluster = Cluster::start();
    let words = "CREATE TABLE words (word text); CREATE INDEX ON words USING gin (word gin_trgm_ops); INSERT INTO words VALUES ('deploy');";
    cluster.create("shop", &format!("CREATE EXTENSION pg_trgm VERSION '1.5'; {words}"));
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    goes_and_comes_back(
        &cluster,
        &scene,
        resource.as_ref(),
        "DROP TABLE words; ALTER EXTENSION pg_trgm UPDATE;",
    );
    let version = "SELECT extversion FROM pg_extension WHERE extname = 'pg_trgm'";
    assert_eq!(
        cluster.sql("shop", version),
        "1.5",
        "not the one that a dump would have brought"
    );
    // The release has dropped it; and the server has no such version, or no such extension, any more.
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", "DROP EXTENSION pg_trgm CASCADE;");
    for (name, version, sign) in [
        ("pg_trgm", "0.7", "pg_trgm in version 0.7"),
        ("gone", "1", "not installed: gone"),
    ] {
        let mut forged = artifact.clone();
        forged.details["extensions"][name] = version.into();
        let error = resource
            .prepare(&forged, &slot, DataRestore::Always, &scene.cx)
            .expect_err("not there");
        assert!(
            error.to_string().contains(sign) && error.hint.is_some() && !error.copy_is_bad,
            "{error:?}"
        );
        assert_eq!(cluster.databases(), ["shop"], "before anything is made");
    }
    // In a schema of its own an older version cannot be had: the check says so while nobody is hurt.
    cluster.sql(
        "shop",
        "CREATE SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext VERSION '1.4';",
    );
    let told = refusals(&resource.survey(&scene.cx));
    assert!(
        told.len() == 1 && told[0].contains("pg_trgm is of version 1.4 in the schema ext"),
        "{told:?}"
    );
    cluster.sql("shop", "ALTER EXTENSION pg_trgm UPDATE;");
    goes_and_comes_back(&cluster, &scene, resource.as_ref(), "DROP EXTENSION pg_trgm CASCADE;");
}

#[test]
fn fault_g12_settings_rights_and_comment_of_the_database_come_back() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);");
    let roles = r#"CREATE ROLE "it's ""her"" 😀
role"; CREATE ROLE clerk; CREATE ROLE "Owner of it";
        ALTER DATABASE shop OWNER TO "Owner of it"; ALTER DATABASE shop CONNECTION LIMIT 40;
        REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT, TEMPORARY ON DATABASE shop TO clerk WITH GRANT OPTION;
        GRANT CREATE ON DATABASE shop TO "it's ""her"" 😀
role"; ALTER DATABASE shop SET search_path TO "$user", public; ALTER DATABASE shop SET statement_timeout TO '70s';
        ALTER DATABASE shop SET "app.key" TO 'it''s, a = \ value'; ALTER ROLE clerk IN DATABASE shop SET work_mem TO '9MB';
        COMMENT ON DATABASE shop IS E'it''s\n\\ commented';"#;
    cluster.sql("postgres", roles);
    let told = "SELECT pg_get_userbyid(datdba), datconnlimit, datacl, shobj_description(d.oid, 'pg_database'),
        (SELECT json_agg(json_build_array(setrole::regrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname = 'shop'";
    let before = cluster.sql("postgres", told);
    assert!(
        before.contains("app.key") && before.contains("commented") && before.contains("clerk=T*c*/"),
        "{before}"
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    goes_and_comes_back(
        &cluster,
        &scene,
        resource.as_ref(),
        "ALTER TABLE t ADD COLUMN more int; ALTER DATABASE shop RESET ALL; COMMENT ON DATABASE shop IS 'spoilt'; GRANT ALL ON DATABASE shop TO PUBLIC;",
    );
    assert_eq!(cluster.sql("postgres", told), before);
}

/// What a plain dump does not hold, or holds in places that are easily forgotten.
const OUTSIDE: &str = r"
CREATE TABLE far (id bigserial PRIMARY KEY, at timestamptz DEFAULT now()) TABLESPACE aside;
CREATE SEQUENCE tickets START 700 INCREMENT 7 CYCLE MAXVALUE 999 OWNED BY far.id;
SELECT nextval('tickets') FROM generate_series(1, 5);
INSERT INTO far DEFAULT VALUES;
SELECT lo_from_bytea(4711, '\x00ff0d0a'); SELECT lo_from_bytea(4712, 'second'); GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC;
COMMENT ON LARGE OBJECT 4712 IS 'two';
CREATE PUBLICATION few FOR TABLE far WITH (publish = 'insert'); CREATE PUBLICATION every FOR ALL TABLES;
CREATE EXTENSION postgres_fdw;
CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere', dbname 'x');
CREATE USER MAPPING FOR boss SERVER other OPTIONS (user 'u', password 'p');
CREATE FOREIGN TABLE there (id int) SERVER other;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watching ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION watch();
CREATE ROLE reader; ALTER TABLE far ENABLE ROW LEVEL SECURITY; ALTER TABLE far FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON far AS RESTRICTIVE FOR SELECT TO reader USING (id > 0);
CREATE STATISTICS together ON id, at FROM far; CREATE UNLOGGED TABLE light (x int); ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
CREATE COLLATION numeric_ish (provider = icu, locale = 'en-u-kn-true'); CREATE TABLE sorted (t text COLLATE numeric_ish);
CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int); CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple); CREATE CAST (int AS date) WITH INOUT;
";

#[test]
fn fault_g13_what_a_dump_easily_forgets_is_there_again() {
    let cluster = Cluster::start();
    let place = cluster.directory("aside");
    cluster.sql(
        "postgres",
        &format!("CREATE TABLESPACE aside LOCATION '{}';", place.display()),
    );
    cluster.create("shop", OUTSIDE);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let spoil = "DROP EVENT TRIGGER watching; DROP PUBLICATION every; DROP SERVER other CASCADE; SELECT lo_unlink(4711); SELECT lo_put(4712, 0, 'x');
        ALTER TABLE far SET TABLESPACE pg_default; ALTER TABLE far DISABLE ROW LEVEL SECURITY; SELECT setval('tickets', 707); DROP TABLE sorted; DROP AGGREGATE total (int);";
    goes_and_comes_back(&cluster, &scene, resource.as_ref(), spoil);
    let at = "SELECT spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE relname = 'far'";
    assert_eq!(cluster.sql("shop", at), "aside");
    assert_eq!(
        cluster.sql("shop", "SELECT encode(lo_get(4711), 'hex') || last_value FROM tickets"),
        "00ff0d0a728"
    );
}

/// A small file system, gone when it is dropped.
struct Small(PathBuf);

impl Small {
    fn at(path: &Path, megabytes: u32) -> Self {
        let mut mount = Command::new("mount");
        mount
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={megabytes}m,mode=0777"),
                "guard-test",
            ])
            .arg(path);
        assert!(mount.status().unwrap().success(), "mounting needs root");
        Self(path.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn fault_g15_no_room_for_a_second_copy_is_told_before_and_survived_after() {
    let cluster = Cluster::start();
    let place = cluster.directory("small");
    let _small = Small::at(&place, 37);
    Cluster::own(&place);
    cluster.sql(
        "postgres",
        &format!("CREATE TABLESPACE small LOCATION '{}';", place.display()),
    );
    cluster.sql("postgres", "CREATE DATABASE shop TABLESPACE small;");
    cluster.sql("shop", "CREATE TABLE t (id int PRIMARY KEY, filler text); INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 2000) n;");
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    assert_eq!(refusals(&resource.survey(&scene.cx)), Vec::<String>::new());
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    // The release changes something, and somebody fills the disk.
    cluster.sql("shop", "ALTER TABLE t ADD COLUMN more int;");
    let free = guard::system::disk::free_bytes(&place).unwrap();
    let filler = place.join("filler");
    std::fs::write(&filler, vec![0; usize::try_from(free).unwrap() - 3_000_000]).unwrap();
    let told = refusals(&resource.survey(&scene.cx));
    assert!(told.len() == 1 && told[0].contains("the server's disk has"), "{told:?}");
    let failed = cluster.observe("shop");
    let error = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .expect_err("no room");
    assert!(
        error.to_string().contains("disk is full") && !error.copy_is_bad,
        "{error:?}"
    );
    assert_eq!(cluster.observe("shop"), failed, "production is as it was");
    std::fs::remove_file(&filler).unwrap();
    // On a full disk the server may not even be able to drop what was begun: the next try does.
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .expect("there is room again");
    resource.discard(&prepared, &scene.cx).unwrap();
    assert_eq!(cluster.databases(), ["shop"], "nothing is left of either try");
}

/// A PgBouncer in front of a cluster; gone when it is dropped.
struct Pooler {
    child: Child,
    port: u16,
}

impl Pooler {
    fn start(cluster: &Cluster, scene: &Scene) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let directory = scene.root().join("pooler");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("users"), format!("\"boss\" \"{PASSWORD}\"\n")).unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = users\npool_mode = session\nignore_startup_parameters = extra_float_digits\nserver_login_retry = 1\n",
            cluster.port
        );
        std::fs::write(directory.join("pooler.ini"), settings).unwrap();
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
            "pgbouncer",
            "pooler.ini",
        ]);
        let _open = Command::new("chmod")
            .arg("-R")
            .arg("a+rwX")
            .arg(scene.root())
            .status()
            .unwrap();
        let child = command
            .current_dir(&directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let pooler = Self {
            child: child.expect("scripts/setup installs PgBouncer"),
            port,
        };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn fault_g16_a_pooler_in_between_is_named_and_gone_past() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);");
    let scene = Scene::new();
    let pooler = Pooler::start(&cluster, &scene);
    let address = cluster
        .url("shop")
        .replace(&format!(":{}/", cluster.port), &format!(":{}/", pooler.port));
    let ask = |url: &str| {
        let mut client = Command::new(cluster.program("psql"));
        let output = client
            .args([
                "-XAtq",
                "-d",
                url,
                "-c",
                "SELECT string_agg(id::text, ',' ORDER BY id) FROM t",
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(ask(&address), "1", "the pooler works");
    let through = build("postgres", &[("url", &address)], &alone(&scene));
    let told = refusals(&through.survey(&scene.cx));
    assert!(told.len() == 1 && told[0].contains("PgBouncer is between"), "{told:?}");
    let past = build(
        "postgres",
        &[("url", &address), ("direct_url", &cluster.url("shop"))],
        &alone(&scene),
    );
    assert_eq!(refusals(&past.survey(&scene.cx)), Vec::<String>::new());
    let slot = slot(&scene, past.as_ref());
    let artifact = past.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", "ALTER TABLE t ADD COLUMN more int; INSERT INTO t VALUES (2);");
    assert_eq!(ask(&address), "1,2");
    let prepared = past.prepare(&artifact, &slot, DataRestore::Always, &scene.cx).unwrap();
    past.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(past.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    // The pooler's sessions with the displaced database were ended with all others: it makes new ones.
    let mut answer = ask(&address);
    for _ in 0..40 {
        if answer == "1" {
            break;
        }
        assert_ne!(answer, "1,2", "nobody is led to the displaced database");
        std::thread::sleep(std::time::Duration::from_millis(250));
        answer = ask(&address);
    }
    assert_eq!(answer, "1");
}

#[test]
fn fault_g22_template1_encodings_and_collations_do_not_leak_into_what_is_restored() {
    let cluster = Cluster::start();
    cluster.sql(
        "template1",
        "CREATE TABLE junk (x int); CREATE SCHEMA dirty; INSERT INTO junk VALUES (1);",
    );
    let scene = Scene::new();
    for creation in [
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'",
    ] {
        cluster.sql(
            "postgres",
            &format!("CREATE DATABASE shop TEMPLATE template0 {creation};"),
        );
        cluster.sql("shop", "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a'), (2, chr(65) || 'b'); CREATE INDEX ON t (name);");
        let told = "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, daticulocale FROM pg_database WHERE datname = 'shop'";
        let before = cluster.sql("postgres", told);
        let resource = by_url(&cluster, &scene, "shop");
        if creation.contains("icu") {
            cluster.sql(
                "postgres",
                "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'shop';",
            );
            let survey = resource.survey(&scene.cx);
            let warned = survey
                .obstacles
                .iter()
                .any(|found| !found.refuses && found.what.contains("collation version 0.1"));
            assert!(warned, "{survey:?}");
        }
        goes_and_comes_back(
            &cluster,
            &scene,
            resource.as_ref(),
            "ALTER TABLE t ADD COLUMN more int; DELETE FROM t;",
        );
        assert_eq!(cluster.sql("postgres", told), before, "{creation}");
        assert_eq!(
            cluster.sql(
                "shop",
                "SELECT to_regclass('junk') IS NULL AND to_regnamespace('dirty') IS NULL"
            ),
            "t"
        );
        cluster.sql("postgres", "DROP DATABASE shop;");
    }
}

#[test]
fn fault_g17_what_only_a_superuser_may_make_anew_is_refused_by_name() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE ROLE owner LOGIN CREATEDB PASSWORD 'of it'; CREATE ROLE stranger;",
    );
    cluster.sql("postgres", "CREATE DATABASE shop OWNER owner;");
    cluster.sql("shop", "SET ROLE owner; CREATE TABLE mine (id int PRIMARY KEY);");
    let scene = Scene::new();
    let url = cluster.url("shop").replace(&format!("boss:{ENCODED}"), "owner:of%20it");
    let resource = build("postgres", &[("url", &url)], &alone(&scene));
    assert_eq!(refusals(&resource.survey(&scene.cx)), Vec::<String>::new());
    for (make, sign, unmake) in [
        (
            "CREATE FUNCTION w() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION w();",
            "the event trigger watching",
            "DROP EVENT TRIGGER watching; DROP FUNCTION w;",
        ),
        (
            "CREATE PUBLICATION every FOR ALL TABLES;",
            "the publication every",
            "DROP PUBLICATION every;",
        ),
        (
            "ALTER DATABASE shop SET log_statement TO 'all';",
            "the setting log_statement",
            "ALTER DATABASE shop RESET ALL;",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER w;",
            "the foreign-data wrapper w",
            "DROP FOREIGN DATA WRAPPER w;",
        ),
        (
            "CREATE TABLE theirs (); ALTER TABLE theirs OWNER TO stranger;",
            "what belongs to the role stranger",
            "DROP TABLE theirs;",
        ),
    ] {
        cluster.sql("shop", make);
        let told = refusals(&resource.survey(&scene.cx));
        assert!(told.iter().any(|told| told.contains(sign)), "{sign}: {told:?}");
        let as_boss = by_url(&cluster, &scene, "shop").survey(&scene.cx);
        assert_eq!(refusals(&as_boss), Vec::<String>::new(), "a superuser may");
        cluster.sql("shop", unmake);
        assert!(
            !refusals(&resource.survey(&scene.cx))
                .iter()
                .any(|told| told.contains(sign))
        );
    }
}

/// Tables of shapes that are easily forgotten, and what was written into them after the backup.
const SHAPES: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z]+$');
CREATE TABLE "Capital ""Name"" with, 😀
and a line" ("Key column" int PRIMARY KEY, m mood, c code);
CREATE TABLE keyless (x int, y text);
CREATE TABLE made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net numeric, gross numeric GENERATED ALWAYS AS (net * 1.2) STORED);
CREATE TABLE parts (region text, id int, v text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a'); CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE TABLE orders (region text, no int, PRIMARY KEY (region, no));
CREATE TABLE lines (region text, no int, line int, PRIMARY KEY (region, no, line), FOREIGN KEY (region, no) REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE log (what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_TABLE_NAME); RETURN NEW; END $$;
CREATE TRIGGER telling AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY; CREATE POLICY none ON orders USING (false);
INSERT INTO orders VALUES ('a', 1); INSERT INTO lines VALUES ('a', 1, 1); INSERT INTO parts VALUES ('a', 1, 'x'), ('z', 1, 'y');
INSERT INTO "Capital ""Name"" with, 😀
and a line" VALUES (1, 'ok', 'abc'); INSERT INTO keyless VALUES (1, 'x'), (1, 'x'); INSERT INTO made (net) VALUES (10);
"#;

const SINCE: &str = r#"
INSERT INTO orders VALUES ('b', 2); INSERT INTO lines VALUES ('b', 2, 1), ('a', 1, 2); INSERT INTO parts VALUES ('a', 2, 'n'), ('q', 2, 'n');
INSERT INTO made (net) VALUES (20); INSERT INTO keyless VALUES (2, 'new');
ALTER TYPE mood ADD VALUE 'great'; ALTER DOMAIN code DROP CONSTRAINT code_check;
INSERT INTO "Capital ""Name"" with, 😀
and a line" VALUES (2, 'sad', 'fits'), (3, 'great', 'new'), (4, 'ok', 'NOT 1');
ALTER TABLE made ADD COLUMN note text; INSERT INTO wide (c1, c1600) VALUES (2, 22);
"#;

#[test]
fn tables_of_every_shape_come_back_and_their_rows_are_carried() {
    let cluster = Cluster::start();
    let columns: Vec<String> = (1..=1600)
        .map(|n| format!("c{n} int{}", if n == 1 { " PRIMARY KEY" } else { "" }))
        .collect();
    let wide = format!(
        "CREATE TABLE wide ({}); INSERT INTO wide (c1, c2, c1600) VALUES (1, 2, 16);",
        columns.join(", ")
    );
    cluster.create("shop", &format!("{SHAPES}{wide}"));
    let scene = Scene::new();
    let keys = [("url", cluster.url("shop")), ("carry_over", "inserts".to_owned())];
    let keys = keys.each_ref().map(|(key, value)| (*key, value.as_str()));
    let resource = build("postgres", &keys, &alone(&scene));
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SINCE);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    let carried = resource.carried(&displaced).expect("rows were carried over");
    let told = carried.sentences.join("\n");
    let ask = |sql: &str| cluster.sql("shop", sql);
    assert_eq!(
        ask("SELECT string_agg(region || no, ',' ORDER BY no) FROM orders"),
        "a1,b2",
        "{told}"
    );
    assert_eq!(
        ask("SELECT string_agg(region || no || line, ',' ORDER BY 1) FROM lines"),
        "a11,a12,b21",
        "{told}"
    );
    assert_eq!(
        ask("SELECT string_agg(tableoid::regclass || ' ' || id, ',' ORDER BY 1) FROM parts"),
        "parts_a 1,parts_a 2,parts_rest 1,parts_rest 2"
    );
    assert_eq!(
        ask("SELECT string_agg(id || ' ' || gross, ',' ORDER BY id) FROM made"),
        "1 12.0,2 24.0",
        "{told}"
    );
    assert_eq!(
        ask("SELECT string_agg(what, ',') FROM log"),
        "orders",
        "the trigger told nothing again, and what it told then has no key"
    );
    assert_eq!(
        ask(
            "SELECT string_agg(\"Key column\" || ' ' || c, ',' ORDER BY 1) FROM \"Capital \"\"Name\"\" with, 😀\nand a line\""
        ),
        "1 abc,2 fits",
        "what the old types forbid stays out: {told}"
    );
    assert_eq!(
        ask("SELECT string_agg(c1 || ' ' || c1600, ',' ORDER BY c1) FROM wide"),
        "1 16,2 22",
        "{told}"
    );
    assert_eq!(
        ask("SELECT count(*) FROM keyless"),
        "2",
        "rows without a key are exported, not guessed at: {told}"
    );
    assert!(told.contains("keyless"), "{told}");
    assert_eq!(
        ask("INSERT INTO made (net) VALUES (30) RETURNING id"),
        "3",
        "no number is given out twice"
    );
}
