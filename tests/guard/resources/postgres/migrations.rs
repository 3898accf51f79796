//! Going back by down scripts and commands: rows stay, each layout is understood, and what cannot go back is said before.

use guard::model::artifact::{Artifact, Prepared, Work};
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Resource, ResourceError, Slot};

use super::{alone, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::embedded::Embedded;
use crate::support::kinds::{list, text, try_build, try_build_of};

struct Shop {
    cluster: Cluster,
    scene: Scene,
    resource: Box<dyn Resource>,
    slot: Slot,
}

fn shop(sql: &str, more: &[(&str, Value)]) -> Shop {
    let cluster = Cluster::start();
    cluster.create("shop", sql);
    let scene = Scene::new();
    std::fs::create_dir_all(scene.project().join("migrations")).unwrap();
    let mut keys = vec![("url", text(&cluster.url("shop"))), ("rollback", text("migrations"))];
    keys.extend(more.iter().cloned());
    let resource = try_build_of("postgres", &keys, &alone(&scene)).unwrap_or_else(|problems| panic!("{problems:?}"));
    let slot = slot(&scene, resource.as_ref());
    Shop {
        cluster,
        scene,
        resource,
        slot,
    }
}

impl Shop {
    fn write(&self, name: &str, sql: &str) {
        std::fs::write(self.scene.project().join("migrations").join(name), sql).unwrap();
    }

    fn capture(&self) -> Artifact {
        self.resource.capture(&self.slot, &self.scene.cx).unwrap()
    }

    fn prepare(&self, artifact: &Artifact) -> Result<Prepared, ResourceError> {
        self.resource
            .prepare(artifact, &self.slot, DataRestore::Auto, &self.scene.cx)
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact) -> Result<Vec<String>, ResourceError> {
        let displaced = self.resource.restore(prepared, artifact, &self.slot, &self.scene.cx)?;
        let carried = self.resource.carried(&displaced).expect("what it is meant to be now");
        assert_eq!(self.resource.fingerprint(&self.scene.cx).unwrap(), carried.becomes);
        self.resource
            .undo(&displaced, &self.scene.cx)
            .expect_err("the release brings its migrations itself");
        self.resource.forget(&displaced, &self.scene.cx).unwrap();
        let mut sentences = carried.sentences;
        sentences.extend(displaced.kept_as);
        Ok(sentences)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.scene.project().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// What of the schema is not the backup's.
    fn newly(&self, artifact: &Artifact) -> Vec<String> {
        let now = self.resource.fingerprint(&self.scene.cx).unwrap();
        let mut parts = now.differences(&artifact.fingerprint);
        parts.retain(|part| part == "schema");
        parts
    }

    fn ask(&self, sql: &str) -> String {
        self.cluster.sql("shop", sql)
    }
}

const SCHEMA: &str = "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ada');";

#[test]
fn newer_migrations_are_taken_back_newest_first_and_rows_stay() {
    let books = "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('20250101');";
    let shop = shop(
        &format!("{SCHEMA}{books}"),
        &[("backup", text("schema")), ("snapshot_tables", list(&["users"]))],
    );
    shop.write(
        "20250101_users.sql",
        "-- migrate:up\nSELECT 1;\n-- migrate:down\nDROP TABLE users;\n",
    );
    shop.write(
        "20250202_mail.sql",
        "-- migrate:up\nALTER TABLE users ADD mail text;\n-- migrate:down\nALTER TABLE users DROP mail;\n",
    );
    let artifact = shop.capture();
    assert!(artifact.not_kept[0].contains("the rows of shop"), "{artifact:?}");
    assert_eq!(shop.prepare(&artifact).unwrap().work, Work::Unchanged);
    shop.ask("INSERT INTO users VALUES (2, 'Grace');");
    assert!(
        matches!(shop.prepare(&artifact).unwrap().work, Work::Left(_)),
        "rows are left alone"
    );
    let release = "ALTER TABLE users ADD mail text; INSERT INTO schema_migrations VALUES ('20250202');
        CREATE TABLE tags (of int REFERENCES users, mail text); INSERT INTO schema_migrations VALUES ('20250303');
        INSERT INTO users VALUES (3, 'Hedy', 'h@x'); INSERT INTO tags VALUES (3, 'x');";
    shop.ask(release);
    // The way back of the newest is missing: told with its name, before anything stops.
    let error = shop.prepare(&artifact).expect_err("no script");
    assert!(
        error.what.contains("migration 20250303 has no down script") && error.hint.is_some(),
        "{error:?}"
    );
    shop.write(
        "20250303_tags.down.sql",
        "BEGIN; DROP TABLE tags; SELECT 1 / (SELECT count(*) FROM users WHERE name = 'let it through'); COMMIT;",
    );
    let prepared = shop.prepare(&artifact).unwrap();
    assert_eq!(
        prepared.work,
        Work::Changed(vec!["migration 20250303".to_owned(), "migration 20250202".to_owned()])
    );
    assert!(prepared.price[0].contains("20250303_tags.down.sql"), "{prepared:?}");
    // A script that fails is taken back as a whole, and the next try goes on from there.
    let error = shop.restore(&prepared, &artifact).expect_err("a division by zero");
    assert!(
        error.what.contains("20250303_tags.down.sql failed and was taken back"),
        "{error:?}"
    );
    assert_eq!(shop.ask("SELECT count(*) FROM tags"), "1");
    shop.ask("INSERT INTO users VALUES (4, 'let it through', NULL);");
    let told = shop.restore(&prepared, &artifact).unwrap().join("\n");
    assert!(told.contains("took 2 migrations back: 20250303, 20250202"), "{told}");
    assert_eq!(
        shop.ask("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "Ada,Grace,Hedy,let it through"
    );
    assert_eq!(
        shop.ask("SELECT string_agg(version, ',') FROM schema_migrations"),
        "20250101"
    );
    let dump = told.split(" in ").last().unwrap();
    let kept = std::process::Command::new("pg_restore")
        .args(["-f", "-", dump])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&kept.stdout).contains("h@x"),
        "the table as it was before"
    );
    shop.restore(&prepared, &artifact)
        .expect("a repeated restore has nothing left to do");
}

#[test]
fn golang_migrate_tells_only_its_newest_and_whether_it_is_dirty() {
    let books = "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (1, false);";
    let shop = shop(&format!("{SCHEMA}{books}"), &[("backup", text("schema"))]);
    for (name, sql) in [
        ("000001_users.down.sql", "DROP TABLE users;"),
        ("000002_mail.up.sql", "ALTER TABLE users ADD mail text;"),
        ("000002_mail.down.sql", "ALTER TABLE users DROP mail;"),
        ("000003_tags.down.sql", "DROP TABLE tags;"),
        ("000004_later.down.sql", "DROP TABLE never;"),
    ] {
        shop.write(name, sql);
    }
    let artifact = shop.capture();
    shop.ask("ALTER TABLE users ADD mail text; CREATE TABLE tags (); UPDATE schema_migrations SET version = 3, dirty = true;");
    let error = shop.prepare(&artifact).expect_err("dirty");
    assert!(
        error.what.contains("the migration 3 did not come to its end"),
        "{error:?}"
    );
    shop.ask("UPDATE schema_migrations SET dirty = false;");
    let prepared = shop.prepare(&artifact).unwrap();
    // Killed between two of them: the books say how far it came.
    shop.ask("DROP TABLE tags; UPDATE schema_migrations SET version = 2;");
    shop.restore(&prepared, &artifact).unwrap();
    assert_eq!(
        shop.ask("SELECT version || ' ' || dirty FROM schema_migrations"),
        "1 false"
    );
    assert_eq!(shop.ask("SELECT name FROM users"), "Ada");
}

#[test]
fn a_command_takes_back_what_only_its_tool_knows() {
    let books = "CREATE TABLE django_migrations (id serial, app text, name text); INSERT INTO django_migrations (app, name) VALUES ('shop', '0001_initial');";
    let down = "psql -qX -v ON_ERROR_STOP=1 \"$SHOP\" -c 'ALTER TABLE users DROP mail' -c \"DELETE FROM django_migrations WHERE app || '.' || name = '$GUARD_MIGRATIONS'\" && echo $GUARD_MIGRATE_TO $GUARD_MIGRATIONS_COUNT > told";
    let shop = shop(&format!("{SCHEMA}{books}"), &[("down_command", list(&["./down.sh"]))]);
    let script = format!("#!/bin/sh\n{}\n", down.replace("$SHOP", &shop.cluster.url("shop")));
    let path = shop.scene.project().join("down.sh");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let artifact = shop.capture();
    shop.ask(
        "ALTER TABLE users ADD mail text; INSERT INTO django_migrations (app, name) VALUES ('shop', '0002_mail');",
    );
    let prepared = shop.prepare(&artifact).unwrap();
    assert_eq!(
        prepared.work,
        Work::Changed(vec!["migration shop.0002_mail".to_owned()])
    );
    shop.restore(&prepared, &artifact).unwrap();
    let told = std::fs::read_to_string(shop.scene.project().join("told")).unwrap();
    assert_eq!(told.trim(), "shop.0001_initial 1");
    // A command that does not do what it should is not believed.
    shop.ask("ALTER TABLE users ADD mail text; ALTER TABLE users ADD more text; INSERT INTO django_migrations (app, name) VALUES ('shop', '0002_mail');");
    let prepared = shop.prepare(&artifact).unwrap();
    shop.ask("INSERT INTO users VALUES (9, 'Edsger', 'e@x', 'x');");
    let displaced = shop
        .resource
        .restore(&prepared, &artifact, &shop.slot, &shop.scene.cx)
        .unwrap();
    assert_eq!(
        shop.newly(&artifact),
        Vec::<String>::new(),
        "it went back whole instead"
    );
    assert_eq!(
        shop.ask("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "Ada,Edsger"
    );
    let carried = shop.resource.carried(&displaced).expect("with the rows written since");
    assert!(
        carried.sentences[0].contains("carried 1 row over into users"),
        "{carried:?}"
    );
    let again = shop
        .resource
        .restore(&prepared, &artifact, &shop.slot, &shop.scene.cx)
        .unwrap();
    assert_eq!(
        again.details["aside"], displaced.details["aside"],
        "a repeated restore finds it done"
    );
}

#[test]
fn alembics_one_row_goes_back_step_by_step_to_the_head_that_was() {
    let books =
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('c1');
        CREATE TABLE chain (at text, below text); INSERT INTO chain VALUES ('c1', NULL);";
    let shop = shop(
        &format!("{SCHEMA}{books}"),
        &[("down_command", list(&["./down.sh", "-{count}"]))],
    );
    let down = format!(
        "#!/bin/sh\n[ \"$1\" = -1 ] && echo \"$GUARD_MIGRATE_TO\" >> told && exec psql -qX -v ON_ERROR_STOP=1 '{}' -c \"UPDATE alembic_version SET version_num = (SELECT below FROM chain WHERE at = version_num)\" -c \"ALTER TABLE users DROP COLUMN IF EXISTS mail\"\n",
        shop.cluster.url("shop")
    );
    shop.program("down.sh", &down);
    let artifact = shop.capture();
    let step = "UPDATE alembic_version SET version_num = 'a3'; INSERT INTO chain VALUES ('b2', 'c1'), ('a3', 'b2'); ALTER TABLE users ADD mail text;";
    shop.ask(&format!("{step} INSERT INTO users VALUES (2, 'Grace', 'g@x');"));
    let prepared = shop.prepare(&artifact).unwrap();
    assert_eq!(prepared.work, Work::Changed(vec!["migration a3".to_owned()]));
    shop.restore(&prepared, &artifact).unwrap();
    assert_eq!(shop.ask("SELECT version_num FROM alembic_version"), "c1");
    assert_eq!(
        shop.ask("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "Ada,Grace"
    );
    let told = std::fs::read_to_string(shop.scene.project().join("told")).unwrap();
    assert_eq!(told, "c1\nc1\n", "one call for each step, each told where it leads");
}

#[test]
fn a_down_command_that_fails_leads_to_the_whole_database_and_who_registered_stays() {
    let books = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('c1');";
    for command in [&["false"][..], &["true"], &["./none-such"]] {
        let shop = shop(&format!("{SCHEMA}{books}"), &[("down_command", list(command))]);
        let artifact = shop.capture();
        shop.ask("UPDATE alembic_version SET version_num = 'a3'; ALTER TABLE users ADD mail text;");
        shop.ask("INSERT INTO users VALUES (2, 'Grace', 'g@x');");
        let prepared = shop.prepare(&artifact).unwrap();
        let displaced = shop
            .resource
            .restore(&prepared, &artifact, &shop.slot, &shop.scene.cx)
            .unwrap();
        assert_eq!(shop.newly(&artifact), Vec::<String>::new());
        assert_eq!(shop.ask("SELECT version_num FROM alembic_version"), "c1", "{command:?}");
        assert_eq!(
            shop.ask("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
            "Ada,Grace"
        );
        assert!(shop.resource.holds_rows(&displaced), "{displaced:?}");
        shop.resource.undo(&displaced, &shop.scene.cx).unwrap();
        assert_eq!(shop.ask("SELECT version_num FROM alembic_version"), "a3");
    }
}

#[test]
fn django_goes_back_application_by_application_in_the_order_in_which_they_ran() {
    let books = "CREATE TABLE django_migrations (id serial, app text, name text);
        INSERT INTO django_migrations (app, name) VALUES ('shop', '0001_initial'), ('auth', '0001_initial'), ('auth', '0002_more'),
            ('art', '0001_initial'), ('art', '0002_size'), ('art', '0003_more'), ('art', '0001_squashed_0002_size');";
    let shop = shop(
        &format!("{SCHEMA}{books}"),
        &[("down_command", list(&["./manage.py", "migrate", "{app}", "{to}"]))],
    );
    let manage = format!(
        "#!/bin/sh\necho \"$*\" >> told\nn=$3; [ \"$n\" = zero ] && n=0000\nexec psql -qX -v ON_ERROR_STOP=1 '{}' -c \"DELETE FROM django_migrations WHERE app = '$2' AND name > '$n'\"\n",
        shop.cluster.url("shop")
    );
    shop.program("manage.py", &manage);
    let artifact = shop.capture();
    shop.ask(
        "INSERT INTO django_migrations (app, name) VALUES ('tax', '0001_initial'), ('art', '0004_x'), ('shop', '0002_mail'), ('auth', '0003_x'), ('shop', '0003_tags');",
    );
    let prepared = shop.prepare(&artifact).unwrap();
    let newest_first = [
        "shop.0003_tags",
        "auth.0003_x",
        "shop.0002_mail",
        "art.0004_x",
        "tax.0001_initial",
    ];
    let expected = newest_first.map(|version| format!("migration {version}")).to_vec();
    assert_eq!(prepared.work, Work::Changed(expected));
    shop.restore(&prepared, &artifact).unwrap();
    let told = std::fs::read_to_string(shop.scene.project().join("told")).unwrap();
    assert_eq!(
        told, "migrate shop 0001_initial\nmigrate auth 0002_more\nmigrate art 0003_more\nmigrate tax zero\n",
        "a squashed migration that was noted last is not the furthest"
    );
}

#[test]
fn the_records_of_each_tool_are_read_as_it_writes_them() {
    for (records, newer, told) in [
        (
            "CREATE TABLE flyway_schema_history (installed_rank int, version text, type text, success boolean);
             INSERT INTO flyway_schema_history VALUES (1, '2.9', 'SQL', true);",
            "INSERT INTO flyway_schema_history VALUES (2, '2.10', 'SQL', true), (3, NULL, 'SQL', true), (4, '3', 'SQL', true), (5, '3', 'UNDO_SQL', true);",
            "2.10",
        ),
        (
            "CREATE TABLE _prisma_migrations (id text, migration_name text, started_at timestamptz, finished_at timestamptz, rolled_back_at timestamptz);
             INSERT INTO _prisma_migrations VALUES ('a', '20250101000000_init', '2025-01-01', '2025-01-01', NULL);",
            "INSERT INTO _prisma_migrations VALUES ('b', '20250202000000_mail', '2025-02-02', '2025-02-02', NULL), ('c', '20250303000000_no', '2025-03-03', '2025-03-03', '2025-03-04');",
            "20250202000000_mail",
        ),
        (
            "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); CREATE TABLE ar_internal_metadata (key varchar, value varchar);
             INSERT INTO schema_migrations VALUES ('20250101');",
            "INSERT INTO schema_migrations VALUES ('20250202')",
            "20250202",
        ),
        (
            "CREATE TABLE _sqlx_migrations (version bigint, success boolean); INSERT INTO _sqlx_migrations VALUES (9, true);",
            "INSERT INTO _sqlx_migrations VALUES (10, true)",
            "10",
        ),
        (
            "CREATE TABLE \"__EFMigrationsHistory\" (\"MigrationId\" varchar, \"ProductVersion\" varchar); CREATE TABLE migrations (since date);
             INSERT INTO \"__EFMigrationsHistory\" VALUES ('2025_a', '9');",
            "INSERT INTO \"__EFMigrationsHistory\" VALUES ('2025_b', '9')",
            "2025_b",
        ),
        (
            "CREATE TABLE migrations (id serial, migration varchar, batch int); INSERT INTO migrations (migration) VALUES ('2025_z');",
            "INSERT INTO migrations (migration) VALUES ('2025_a')",
            "2025_a",
        ),
    ] {
        let shop = shop(&format!("{SCHEMA}{records}"), &[("down_command", list(&["false"]))]);
        let artifact = shop.capture();
        shop.ask(newer);
        let prepared = shop.prepare(&artifact).unwrap();
        assert_eq!(prepared.work, Work::Changed(vec![format!("migration {told}")]), "{records}");
    }
}

#[test]
fn wrong_settings_of_migrations_are_told() {
    let scene = Scene::new();
    let url = ("url", "postgres://boss@localhost/shop");
    for (keys, sign) in [
        (&[url, ("backup", "schema")][..], "holds no rows"),
        (&[url, ("migrations", "db")], "only with"),
        (
            &[url, ("rollback", "migrations"), ("carry_over", "inserts")],
            "leaves rows where they are",
        ),
        (&[url, ("rollback", "backwards")], "is not one of"),
    ] {
        let problems = try_build("postgres", keys, &alone(&scene)).err().expect("refused");
        assert!(format!("{problems:?}").contains(sign), "{sign}: {problems:?}");
    }
    let bare = shop(SCHEMA, &[]);
    let survey = bare.resource.survey(&bare.scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|found| found.refuses && found.what.contains("no table of migrations")),
        "{survey:?}"
    );
}

#[test]
fn a_bad_release_goes_back_by_its_migrations_and_who_registered_stays() {
    let cluster = Cluster::start();
    let books = "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text, success boolean); INSERT INTO _sqlx_migrations VALUES (1, 'users', true);";
    cluster.create("shop", &format!("{SCHEMA}{books}"));
    let url = cluster.url("shop");
    let project = Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\nrollback = \"migrations\"\n
[verify]\ncommands = [[\"sh\", \"-c\", \"test $GUARD_STAGE = prove\"]]\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n"
    ));
    project.sh("mkdir migrations && echo 'ALTER TABLE users DROP mail;' > migrations/2_mail.down.sql");
    let release = format!(
        "psql -qX -v ON_ERROR_STOP=1 '{url}' -c \"ALTER TABLE users ADD mail text; INSERT INTO users VALUES (2, 'Grace', 'g@x'); INSERT INTO _sqlx_migrations VALUES (2, 'mail', true)\""
    );
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", &release])
        .expect(21);
    let ran = ran.says("took 1 migration back: 2");
    assert_eq!(
        cluster.sql("shop", "SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "Ada,Grace",
        "{}",
        ran.stderr
    );
    assert_eq!(
        cluster.sql("shop", "SELECT string_agg(version::text, ',') FROM _sqlx_migrations"),
        "1"
    );
    assert_eq!(cluster.databases(), ["shop"]);
}
