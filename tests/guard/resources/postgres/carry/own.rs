//! The release's own rows are never taken along, and no row of anybody's is lost for that.

use guard::model::artifact::{Artifact, Displaced};
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Mark, Resource, Slot};

use super::super::{alone, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::kinds::{list, text, try_build_of};

struct Shop {
    cluster: Cluster,
    scene: Scene,
    resource: Box<dyn Resource>,
    slot: Slot,
}

impl Shop {
    fn new(sql: &str, carry_over: Value) -> Self {
        let cluster = Cluster::start();
        cluster.create("shop", sql);
        let scene = Scene::new();
        let keys = [("url", text(&cluster.url("shop"))), ("carry_over", carry_over)];
        let resource =
            try_build_of("postgres", &keys, &alone(&scene)).unwrap_or_else(|problems| panic!("{problems:?}"));
        let slot = slot(&scene, resource.as_ref());
        Self {
            cluster,
            scene,
            resource,
            slot,
        }
    }

    fn ask(&self, sql: &str) -> String {
        self.cluster.sql("shop", sql)
    }

    fn mark(&self, mark: Mark) {
        self.resource.mark(mark, &self.scene.cx).unwrap();
    }

    fn back(&self, artifact: &Artifact) -> (Vec<String>, Displaced) {
        let cx = &self.scene.cx;
        let prepared = self
            .resource
            .prepare(artifact, &self.slot, DataRestore::Auto, cx)
            .unwrap();
        let displaced = self.resource.restore(&prepared, artifact, &self.slot, cx).unwrap();
        (prepared.price, displaced)
    }

    fn exported(&self, name: &str) -> String {
        std::fs::read_to_string(self.scene.cx.scratch.join("salvage/db").join(name)).unwrap_or_default()
    }
}

const SHOP: &str = "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ada');
    CREATE TABLE settings (key text PRIMARY KEY, value text);
    CREATE TABLE schema_migrations (version text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1');
    CREATE TABLE done_steps (step text PRIMARY KEY); INSERT INTO done_steps VALUES ('begin');";

#[test]
fn what_is_written_while_the_deploy_command_runs_is_exported_and_what_people_write_before_and_after_goes_along() {
    let shop = Shop::new(SHOP, text("inserts"));
    let artifact = shop.resource.capture(&shop.slot, &shop.scene.cx).unwrap();
    shop.ask("INSERT INTO users VALUES (2, 'before');");
    shop.mark(Mark::DeployBegins);
    shop.ask("INSERT INTO done_steps VALUES ('two');");
    shop.ask("INSERT INTO settings VALUES ('theme', 'dark');");
    shop.ask("INSERT INTO schema_migrations VALUES ('2');");
    shop.ask("ALTER TABLE users ADD mail text;");
    shop.ask("INSERT INTO users VALUES (3, 'meanwhile');");
    // A run that is taken up again does not begin later for that.
    shop.mark(Mark::DeployBegins);
    shop.mark(Mark::DeployEnded);
    shop.ask("INSERT INTO users VALUES (4, 'after');");
    // A container migrates at its start: its transaction also made a table.
    shop.ask("BEGIN; CREATE TABLE late (id int); INSERT INTO settings VALUES ('late', '1'); COMMIT;");
    let (price, displaced) = shop.back(&artifact);
    assert_eq!(
        shop.ask("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "Ada,before,after"
    );
    let left = "SELECT (SELECT count(*) FROM settings) || ' ' || (SELECT string_agg(step, ',') FROM done_steps) || ' ' || (SELECT string_agg(version, ',') FROM schema_migrations)";
    assert_eq!(shop.ask(left), "0 begin 1");
    assert!(shop.exported("users.new.csv").contains("meanwhile"));
    let settings = shop.exported("settings.new.csv");
    assert!(settings.contains("theme") && settings.contains("late"), "{settings}");
    assert!(shop.exported("done_steps.new.sql").contains("'two'"));
    let price = price.join("\n");
    assert!(
        price.contains("takes 2 rows of users along where they fit, and leaves out 1 row that"),
        "{price}"
    );
    assert!(
        !price.contains("schema_migrations"),
        "nobody loses a record of migrations: {price}"
    );
    // Who wants them has them by name.
    let out = shop.scene.root().join("out");
    shop.resource
        .salvage(&displaced, &["users".to_owned()], &out, &shop.scene.cx)
        .unwrap();
    assert_eq!(shop.ask("SELECT count(*) FROM users"), "4");
}

#[test]
fn rows_behind_a_deploy_command_whose_end_nobody_saw_are_exported() {
    let shop = Shop::new(SHOP, text("inserts"));
    let artifact = shop.resource.capture(&shop.slot, &shop.scene.cx).unwrap();
    shop.mark(Mark::DeployBegins);
    shop.ask("ALTER TABLE users ADD mail text;");
    shop.ask("INSERT INTO users VALUES (2, 'whose?');");
    shop.back(&artifact);
    assert_eq!(shop.ask("SELECT string_agg(name, ',') FROM users"), "Ada");
    assert!(shop.exported("users.new.csv").contains("whose?"));
}

#[test]
fn of_a_table_that_is_named_only_what_is_surely_a_migrations_stays_out() {
    let shop = Shop::new(SHOP, list(&["users", "settings"]));
    let artifact = shop.resource.capture(&shop.slot, &shop.scene.cx).unwrap();
    shop.mark(Mark::DeployBegins);
    shop.ask("ALTER TABLE users ADD mail text;");
    shop.ask("INSERT INTO users VALUES (2, 'meanwhile');");
    shop.ask(
        "BEGIN; INSERT INTO settings VALUES ('theme', 'dark'); INSERT INTO schema_migrations VALUES ('2'); COMMIT;",
    );
    shop.ask("BEGIN; INSERT INTO settings VALUES ('font', 'serif'); ALTER TABLE users ADD phone text; COMMIT;");
    shop.mark(Mark::DeployEnded);
    shop.back(&artifact);
    assert_eq!(
        shop.ask("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "Ada,meanwhile"
    );
    assert_eq!(shop.ask("SELECT count(*) FROM settings"), "0");
    assert_eq!(shop.exported("settings.new.csv").lines().count(), 3);
}

#[test]
fn what_belongs_together_goes_whole_or_not_at_all() {
    let shop = Shop::new(
        "CREATE TABLE orders (id int PRIMARY KEY, parent int REFERENCES orders);
         CREATE TABLE lines (of int REFERENCES orders, at int, amount int CHECK (amount > 0), PRIMARY KEY (of, at));
         CREATE TABLE notes (of int REFERENCES orders, what text);
         CREATE TABLE stamps (of int, at int, FOREIGN KEY (of, at) REFERENCES lines, id int PRIMARY KEY);
         INSERT INTO orders VALUES (1); INSERT INTO lines VALUES (1, 1, 1);",
        text("inserts"),
    );
    let artifact = shop.resource.capture(&shop.slot, &shop.scene.cx).unwrap();
    shop.ask("ALTER TABLE lines DROP CONSTRAINT lines_amount_check;");
    // 2 fits; a line of 3 does not; 4 has a note, which no key tells; 5 belongs to 3; 1 was there before.
    shop.ask("INSERT INTO orders VALUES (2, NULL), (3, NULL), (4, NULL), (5, 3), (6, NULL);");
    shop.ask("INSERT INTO lines VALUES (2, 1, 1), (3, 1, 1), (3, 2, -1), (4, 1, 1), (1, 2, -1), (1, 3, 3), (6, 1, 1);");
    shop.ask("INSERT INTO notes VALUES (4, 'x'), (1, 'y'); INSERT INTO stamps VALUES (3, 1, 1), (2, 1, 2);");
    let (_, displaced) = shop.back(&artifact);
    assert_eq!(
        shop.ask("SELECT string_agg(id::text, ',' ORDER BY id) FROM orders"),
        "1,2,6"
    );
    assert_eq!(
        shop.ask("SELECT string_agg(of || '.' || at, ',' ORDER BY of, at) FROM lines"),
        "1.1,1.3,2.1,6.1"
    );
    assert_eq!(shop.ask("SELECT string_agg(id::text, ',') FROM stamps"), "2");
    let refused = shop.exported("orders.refused.csv");
    assert!(
        refused.contains("a row of notes that belongs to it by notes_of_fkey stays out"),
        "{refused}"
    );
    let told = shop.resource.carried(&displaced).unwrap().sentences.join("\n");
    assert!(
        told.contains("of 16 rows written since the backup, 6 carried over, 10 exported"),
        "{told}"
    );
}

#[test]
fn a_unique_index_without_nulls_is_a_key_and_one_with_them_is_none() {
    let tables = "CREATE TABLE tags (name text UNIQUE, hits int); INSERT INTO tags VALUES ('a', 1);
        CREATE TABLE holes (name text UNIQUE, hits int); INSERT INTO holes VALUES ('a', 1), (NULL, 2);";
    let shop = Shop::new(tables, text("inserts"));
    let artifact = shop.resource.capture(&shop.slot, &shop.scene.cx).unwrap();
    shop.ask("ALTER TABLE tags ADD mail text;");
    shop.ask("INSERT INTO tags VALUES ('b', 2); INSERT INTO holes VALUES ('b', 2);");
    shop.back(&artifact);
    assert_eq!(shop.ask("SELECT string_agg(name, ',' ORDER BY name) FROM tags"), "a,b");
    assert_eq!(shop.ask("SELECT count(*) FROM holes"), "2");
    assert!(shop.exported("holes.new.csv").contains("b,2"));
}

#[test]
fn a_table_that_could_never_be_carried_is_refused_before_the_deployment() {
    let tables = "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE footprints (at timestamptz, who text);
        CREATE TABLE schema_migrations (version text PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY, who int REFERENCES users);
        CREATE TABLE events (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (9);";
    let shop = Shop::new(
        tables,
        list(&["users", "userz", "footprints", "schema_migrations", "events_1"]),
    );
    let survey = shop.resource.survey(&shop.scene.cx);
    let refused: Vec<&String> = survey
        .obstacles
        .iter()
        .filter(|found| found.refuses)
        .map(|found| &found.what)
        .collect();
    for sign in [
        "\"userz\", and there is no such table",
        "footprints, which has no key",
        "schema_migrations, in which a program of migrations",
        "\"events_1\", which is a partition of events",
    ] {
        assert!(refused.iter().any(|what| what.contains(sign)), "{sign}: {refused:?}");
    }
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert!(
        survey
            .obstacles
            .iter()
            .any(|found| !found.refuses && found.what.starts_with("orders refers to users")),
        "{survey:?}"
    );
}
