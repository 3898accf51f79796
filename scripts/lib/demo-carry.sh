# The demo of rows that a rollback takes along: a private Postgres cluster, gone afterwards. Sourced by scripts/demo.
# shellcheck shell=bash

# shellcheck source=scripts/lib/cluster.sh
. scripts/lib/cluster.sh

stop_demo() { stop_cluster; }

ask() { psql -qAtX -v ON_ERROR_STOP=1 -d shop -c "$1"; }

demo() {
  port=$(free_port)
  title "A shop with a Postgres database, and a release that will fail"
  start_cluster "$port" fsync=off
  mkdir -p "$project"
  cd "$project"
  git init -q .
  psql -qX -d postgres -c 'CREATE DATABASE shop'
  ask "CREATE TABLE users (id serial PRIMARY KEY, email text UNIQUE, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE orders (id serial PRIMARY KEY, buyer int NOT NULL REFERENCES users, total numeric(10,2) NOT NULL);
    INSERT INTO users (email, created_at) VALUES ('ada@example.org', now() - interval '1 day'), ('bob@example.org', now() - interval '1 hour');
    INSERT INTO orders (buyer, total) VALUES (1, 9.90)"
  cat >deploy.sh <<'TEXT'
#!/bin/sh
# The release takes a while; meanwhile people use the shop.
set -e
sql() { psql -qAtX -v ON_ERROR_STOP=1 -d shop -c "$1"; }
sleep 1
sql "INSERT INTO users (email) VALUES ('grace@example.org')"
sql "INSERT INTO orders (buyer, total) SELECT id, 42 FROM users WHERE email = 'grace@example.org'"
sql "UPDATE users SET email = 'b@example.org' WHERE id = 2"
sql "INSERT INTO users (email) VALUES ('bob@example.org')"
sleep 1
# And then it breaks the table that the code reads.
sql "ALTER TABLE orders RENAME COLUMN total TO amount"
TEXT
  chmod +x deploy.sh
  cat >guard.toml <<'TEXT'
state_dir = "../guard-state"

[resources.db]
kind = "postgres"
database = "shop"
carry_over = ["users", "orders"]

[verify]
commands = [["psql", "-qAtX", "-d", "shop", "-c", "SELECT sum(total) FROM orders"]]

[monitor]
duration = "1s"
interval = "200ms"
gate = "1s"
consecutive_failures = 2
persist = "400ms"
min_samples = 2
TEXT
  chmod 600 guard.toml

  title "The backup is taken, Grace registers and buys, the release fails, guard goes back"
  expect 21 "$guard" deploy -- ./deploy.sh

  title "Grace is still there"
  run ask "SELECT id, email, created_at::time(0) FROM users ORDER BY id"
  [ "$(ask "SELECT count(*) FROM users WHERE email = 'grace@example.org'")" = 1 ] || die "Grace is gone"
  [ "$(ask "SELECT count(*) FROM users WHERE email = 'bob@example.org'")" = 1 ] || die "Bob's address is there twice, or not at all"
  [ "$(ask "SELECT count(*) FROM orders")" = 1 ] || die "an order without a total was invented"

  title "What did not fit, and why: nothing is invented, nothing is lost"
  for file in ../guard-state/runs/*/salvage/db/*.csv; do
    say "${file##*/}"
    sed 's/^/     /' "$file"
  done

  title "By hand: the order lost its column, its row is in the displaced database and in the files"
  expect 0 "$guard" salvage latest
}
