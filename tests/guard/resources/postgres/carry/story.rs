//! A shop whose release went bad: what it was, what happened since, and what can be asked about it.

use std::path::PathBuf;

use guard::model::artifact::{Artifact, Displaced, Live, Prepared};
use guard::model::policy::DataRestore;
use guard::model::setting::Value;
use guard::resources::{Resource, Slot};
use serde_json::Value as Json;

use super::super::{alone, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::kinds::{text, try_build_of};

/// Tables with everything that makes carrying hard.
pub const SHOP: &str = r#"
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE DOMAIN code AS varchar(8) CHECK (VALUE <> 'no');
CREATE TABLE users (id bigserial PRIMARY KEY, email text UNIQUE, name text NOT NULL, mentor bigint REFERENCES users, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who bigint NOT NULL REFERENCES users, total numeric(10,2), half numeric GENERATED ALWAYS AS (total / 2) STORED, s state DEFAULT 'open', c code);
CREATE TABLE items (orders_id int, line int, label text, PRIMARY KEY (orders_id, line), FOREIGN KEY (orders_id) REFERENCES orders);
CREATE TABLE parts (orders_id int, line int, n int, raw bytea, doc jsonb, tags text[], PRIMARY KEY (orders_id, line, n), FOREIGN KEY (orders_id, line) REFERENCES items DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE left_hand (id int PRIMARY KEY, other int);
CREATE TABLE right_hand (id int PRIMARY KEY, other int NOT NULL REFERENCES left_hand);
ALTER TABLE left_hand ADD CONSTRAINT back FOREIGN KEY (other) REFERENCES right_hand;
CREATE TABLE visits (id bigserial, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE notes (what text);
CREATE TABLE migrations (id int PRIMARY KEY);
CREATE TABLE dropped (id int PRIMARY KEY);
CREATE TABLE "Odd ""Ta
ble"" 😀" ("Key of it" text PRIMARY KEY, "a,""b" text);
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'a trigger was here'; RETURN NEW; END $$;
CREATE TRIGGER spoiling BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION spoil();
CREATE TRIGGER sleeping BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION spoil();
ALTER TABLE users ENABLE ALWAYS TRIGGER spoiling; ALTER TABLE users DISABLE TRIGGER sleeping;
CREATE RULE nothing AS ON INSERT TO items DO INSTEAD NOTHING;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON users USING (name = current_user);
ALTER TABLE users DISABLE TRIGGER spoiling; ALTER TABLE items DISABLE RULE nothing;
INSERT INTO users (email, name) VALUES ('a@x', 'Ada'), ('b@x', 'Bob'), ('c@x', 'Cyd');
INSERT INTO orders (who, total) VALUES (1, 1.5), (2, 2);
INSERT INTO items VALUES (1, 1, 'one');
INSERT INTO visits (at) VALUES ('2025-02-02');
INSERT INTO notes VALUES ('twice'), ('twice');
INSERT INTO migrations VALUES (1);
ALTER TABLE users ENABLE ALWAYS TRIGGER spoiling; ALTER TABLE items ENABLE RULE nothing;
"#;

/// What happens after the backup: people use the shop, and a release changes it.
pub const SINCE: &str = r#"
SET session_replication_role = replica;
ALTER TABLE users DISABLE TRIGGER spoiling; ALTER TABLE items DISABLE RULE nothing;
INSERT INTO users (email, name, mentor) VALUES ('d@x', 'Dan', 6), ('e@x', E'Eve\t\\N\n"😀', NULL), ('f@x', 'Fay', 4);
UPDATE users SET email = 'z@x' WHERE id = 3;
INSERT INTO users (email, name) VALUES ('c@x', 'takes the address that user 3 has in the backup');
INSERT INTO orders (who, total) VALUES (4, 3.25), (1, NULL);
ALTER TYPE state ADD VALUE 'great';
ALTER TABLE users ADD COLUMN phone text; UPDATE users SET phone = '1' WHERE id = 5;
ALTER TABLE orders DROP COLUMN half; ALTER TABLE orders ALTER COLUMN total TYPE numeric;
ALTER DOMAIN code DROP CONSTRAINT code_check;
CREATE TABLE brand_new (id int PRIMARY KEY); INSERT INTO brand_new VALUES (1), (2);
DROP TABLE dropped;
"#;
/// What cannot stand in one transaction with it.
pub const LATER: &str = r#"
SET session_replication_role = replica;
INSERT INTO orders (who, total, s) VALUES (2, 4, 'great');
INSERT INTO orders (who, total) VALUES (7, 5);
INSERT INTO orders (who, total) VALUES (2, 6.789);
INSERT INTO orders (who, total, c) VALUES (2, 7, 'no');
INSERT INTO items VALUES (1, 2, 'two'), (3, 1, ''), (5, 1, 'of an order that does not fit'), (6, 1, 'the same');
DELETE FROM items WHERE orders_id = 1 AND line = 1;
INSERT INTO parts VALUES (3, 1, 1, '\xdeadbeef', '{"a": [1, null]}', '{"x,y",NULL,"q\"uote"}'), (5, 1, 1, NULL, NULL, NULL);
INSERT INTO left_hand VALUES (1, 1), (2, NULL); INSERT INTO right_hand VALUES (1, 1), (2, 99);
INSERT INTO left_hand VALUES (3, 2);
INSERT INTO visits (at) VALUES ('2025-03-03'), ('2025-04-04');
INSERT INTO notes VALUES ('twice'), ('new');
INSERT INTO migrations VALUES (2);
INSERT INTO "Odd ""Ta
ble"" 😀" VALUES (E'k\\1\n', E'\\N'), ('', NULL);
"#;

/// A database that was captured, used, spoilt, and is prepared to be put back.
pub struct Story {
    pub cluster: Cluster,
    pub scene: Scene,
    pub resource: Box<dyn Resource>,
    pub slot: Slot,
    pub artifact: Artifact,
    pub prepared: Prepared,
    pub schema: String,
}

pub fn build_with(cluster: &Cluster, scene: &Scene, carry_over: Value) -> Box<dyn Resource> {
    let keys = [("url", text(&cluster.url("shop"))), ("carry_over", carry_over)];
    try_build_of("postgres", &keys, &alone(scene)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub fn schema(cluster: &Cluster) -> String {
    let lines = cluster.observe("shop");
    let mut in_rows = false;
    let keep = |line: &&str| {
        let was = in_rows;
        in_rows = line.starts_with("COPY ") || (in_rows && *line != "\\.");
        !was && !line.starts_with("SELECT pg_catalog.setval")
    };
    lines.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

pub fn story(carry_over: Value) -> Story {
    let cluster = Cluster::start();
    cluster.create("shop", SHOP);
    cluster.sql(
        "postgres",
        "ALTER DATABASE shop SET default_transaction_read_only TO off; COMMENT ON DATABASE shop IS 'its own';",
    );
    let scene = Scene::new();
    let resource = build_with(&cluster, &scene, carry_over);
    let slot = slot(&scene, resource.as_ref());
    let schema = schema(&cluster);
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SINCE);
    cluster.sql("shop", LATER);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    Story {
        cluster,
        scene,
        resource,
        slot,
        artifact,
        prepared,
        schema,
    }
}

impl Story {
    pub fn restore(&self) -> Displaced {
        let restored = self
            .resource
            .restore(&self.prepared, &self.artifact, &self.slot, &self.scene.cx);
        restored.unwrap()
    }

    pub fn salvage(&self) -> PathBuf {
        self.scene.cx.scratch.join("salvage").join("db")
    }

    pub fn account(&self) -> Json {
        serde_json::from_slice(&std::fs::read(self.salvage().join("account.json")).unwrap()).unwrap()
    }

    /// One table's figures: (new, changed, gone, carried, refused, exported).
    pub fn figures(&self, table: &str) -> [u64; 6] {
        let account = self.account();
        let tables = account["tables"].as_array().unwrap();
        let found = tables.iter().find(|figures| figures["table"] == table);
        let found = found.unwrap_or_else(|| panic!("{table} is not in {account:#}"));
        ["new", "changed", "gone", "carried", "refused", "exported"].map(|part| found[part].as_u64().unwrap())
    }

    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.salvage().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn ask(&self, question: &str) -> String {
        self.cluster.sql("shop", question)
    }

    /// Whether the live database is as the account of the carried rows says.
    pub fn hold_to(&self, displaced: &Displaced) {
        let carried = self.resource.carried(displaced).expect("rows were carried");
        let meant = Artifact {
            fingerprint: carried.becomes,
            ..self.artifact.clone()
        };
        assert_eq!(self.resource.check(&meant, &self.scene.cx).unwrap(), Live::Matches);
    }
}
