//! Databases on a private cluster and in a compose service.

mod carry;
mod cut_off;
mod desk;
mod faults;
mod hazards;
mod held;
mod jobs;
mod loads;
mod managed;
mod migrations;
mod promises;
mod servers;
mod since;
mod standby;
mod swap;
mod together;
mod zoo;

use guard::resources::{Resource, Site, Slot};

use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::kinds::build;

/// Fills a database with something of every kind that a restore could lose.
pub const EVERYTHING: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN short AS varchar(9) CHECK (VALUE IN ('a', 'b'));
CREATE SCHEMA "Odd schema";
CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL, guarded int, kind varchar CHECK (kind IN ('a', 'b')), born timestamptz, weight float8, raw bytea);
CREATE TABLE "Odd schema"."or""ders" (id int GENERATED ALWAYS AS IDENTITY, who bigint REFERENCES users (id), m mood DEFAULT 'ok', gone int);
ALTER TABLE "Odd schema"."or""ders" DROP COLUMN gone;
CREATE TABLE events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX users_name ON users (lower(name));
CREATE VIEW loud AS SELECT upper(name) AS name FROM users WHERE kind IN ('a', 'b');
CREATE MATERIALIZED VIEW quiet AS SELECT count(*) FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$;
CREATE TRIGGER touching BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON users USING (name = current_user);
CREATE PUBLICATION all_users FOR TABLE users;
GRANT SELECT ON users TO PUBLIC;
COMMENT ON TABLE users IS 'it''s a \ comment';
INSERT INTO users (name, kind, born, weight, raw) SELECT 'user ' || n || E'\n😀', 'a', now(), 1.0 / n, decode(md5(n::text), 'hex') FROM generate_series(1, 50) n;
INSERT INTO "Odd schema"."or""ders" (who) SELECT id FROM users;
INSERT INTO events VALUES ('2025-05-05', 'x');
SELECT lo_from_bytea(0, 'large');
"#;

/// What a bad release does: something added, altered, removed.
pub const SPOIL: &str = r#"
SET default_transaction_read_only = off;
DROP TABLE "Odd schema"."or""ders";
ALTER TABLE users ADD COLUMN email text;
UPDATE users SET name = 'spoilt' WHERE id < 10;
DELETE FROM users WHERE id > 40;
CREATE TABLE sessions (token text);
"#;

/// A scene with a slot.
pub fn slot(scene: &Scene, resource: &dyn Resource) -> Slot {
    Slot::new(&scene.backup(), resource.name())
}

/// No compose project.
pub fn alone(scene: &Scene) -> Site {
    Site {
        directory: scene.project(),
        compose: None,
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    }
}

/// A database of a cluster as a resource, by TCP with a password.
pub fn by_url(cluster: &Cluster, scene: &Scene, database: &str) -> Box<dyn Resource> {
    build(
        "postgres",
        &[("url", &cluster.url(database)), ("lock_wait", "2s")],
        &alone(scene),
    )
}
