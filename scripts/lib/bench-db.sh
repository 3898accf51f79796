# Measures what guard does to a Postgres database beside what people use otherwise. Sourced by scripts/bench.
# shellcheck shell=bash

# shellcheck source=scripts/lib/cluster.sh
. scripts/lib/cluster.sh

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a / (b > 0 ? b : 0.001) }'; }
line() { printf '%-44s %9s %11s   %s\n' "$@"; }
ask() { psql -qAtX -v ON_ERROR_STOP=1 -d shop -c "$1"; }

# Seconds that a step of the newest run took.
step() {
  python3 - "$root/state/runs" "$1" <<'PY'
import glob, json, os, sys
from datetime import datetime
run = max(glob.glob(sys.argv[1] + "/*"), key=os.path.getctime)
at = {}
for text in open(run + "/journal.jsonl"):
    record = json.loads(text)["record"]
    (fact, body), = record["fact"].items()
    if isinstance(body, dict) and body.get("step") == sys.argv[2]:
        at[fact] = datetime.fromisoformat(record["at"][:26].rstrip("Z") + "+00:00")
print(f"{(at['done'] - at['begun']).total_seconds():.2f}")
PY
}

# Four clients that ask and write without a pause; each right answer leaves its time.
start_clients() {
  rm -f "$root"/answers.* "$root/stop"
  for client in 1 2 3 4; do
    (while [ ! -e "$root/stop" ]; do
      found=$(psql -qAtX -d shop -c "INSERT INTO visits DEFAULT VALUES" -c "SELECT count(*) FROM small" 2>/dev/null || true)
      [ "$found" != 1000 ] || now >>"$root/answers.$client"
    done) &
  done
  sleep 1
}

# The longest time without a right answer of anybody.
end_clients() {
  sleep 1
  touch "$root/stop"
  wait
  sort -n "$root"/answers.* | awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { printf "%.2f", gap }'
}

settings() {
  cat >"$root/project/guard.toml" <<TEXT
state_dir = "$root/state"
[resources.db]
kind = "postgres"
database = "shop"
$1
[verify]
commands = [["false"]]
[policy]
data_restore = "always"
[monitor]
duration = "1s"
interval = "200ms"
gate = "1s"
consecutive_failures = 2
persist = "400ms"
min_samples = 2
TEXT
  chmod 600 "$root/project/guard.toml"
}

# deploy COMMAND: a release that fails; guard goes back. Its peak memory is left in $peak, in MB.
deploy() {
  local code=0
  (cd "$root/project" && /usr/bin/time -f '%M' -o "$root/peak" "$guard" deploy -- sh -c "$1" >"$root/deploy.log" 2>&1) || code=$?
  [ "$code" = 21 ] || { cat "$root/deploy.log" && return 1; }
  peak=$(awk 'END { printf "%.0f", $1 / 1000 }' "$root/peak")
}

tidy_db() {
  touch "$root/stop"
  wait
  stop_cluster
  rm -rf "$root"
}

bench_db() {
  local rows=2000000 carried=100000 begun older table
  while [ $# -gt 0 ]; do
    case "$1" in
      --rows) rows=$2 && shift ;;
      --carried) carried=$2 && shift ;;
      *) usage >&2 && exit 2 ;;
    esac
    shift
  done
  guard=${BENCH_GUARD:-}
  if [ -z "$guard" ]; then
    cargo build --quiet --locked --release
    guard=${CARGO_TARGET_DIR:-$top/target}/release/guard
  fi
  root=$(mktemp -d "${TMPDIR:-/tmp}/guard-bench.XXXXXX")
  mkdir "$root/project"
  trap tidy_db EXIT
  start_cluster $((20000 + RANDOM % 20000)) shared_buffers=256MB max_wal_size=4GB
  psql -qX -d postgres -c 'CREATE DATABASE shop'
  # Half of each row compresses well, half does not.
  ask "CREATE TABLE big AS SELECT i AS id, md5(i::text) || md5((i * 7)::text) || md5((i * 13)::text) || md5((i * 17)::text) AS one,
      repeat('order ', 20) AS other FROM generate_series(1, $rows) i;
    ALTER TABLE big ADD PRIMARY KEY (id);
    CREATE TABLE small AS SELECT i AS id FROM generate_series(1, 1000) i; ALTER TABLE small ADD PRIMARY KEY (id);
    CREATE TABLE visits (id bigserial PRIMARY KEY, at timestamptz DEFAULT now());"
  for table in 1 2 3 4 5 6 7 8 9 10; do
    ask "CREATE TABLE t$table (id int PRIMARY KEY, up int $([ "$table" = 1 ] || echo "NOT NULL REFERENCES t$((table - 1))"), note text);"
  done
  ask "VACUUM ANALYZE"
  ask "CHECKPOINT"
  echo "$(ask "SELECT pg_size_pretty(pg_database_size('shop'))") in Postgres $(ask 'SHOW server_version'), $(nproc) cores, load $(cut -d ' ' -f 1 /proc/loadavg)"

  line "backup" "seconds" "MB" "than pg_dump | gzip"
  begun=$(now) && pg_dump shop | gzip >"$root/db.sql.gz" && sync "$root/db.sql.gz"
  older=$(since "$begun")
  show_backup() { line "$1" "$2" "$(du -sm --apparent-size "$3" | cut -f 1)" "$(ratio "$older" "$2") times as fast"; }
  show_backup "pg_dump | gzip" "$older" "$root/db.sql.gz"
  begun=$(now) && pg_dump -Fc -f "$root/db.fc" shop && sync "$root/db.fc"
  show_backup "pg_dump -Fc" "$(since "$begun")" "$root/db.fc"
  begun=$(now) && pg_dump -Fd -j 2 -f "$root/db.fd" shop
  show_backup "pg_dump -Fd -j 2" "$(since "$begun")" "$root/db.fd"
  settings ''
  (cd "$root/project" && "$guard" backup >"$root/backup.log" 2>&1) || { cat "$root/backup.log" && exit 1; }
  show_backup "guard backup, read back and proven" "$(step capture/db)" "$(printf '%s\n' "$root"/state/backups/2*/db | tail -n 1)"

  line "rollback under four clients" "outage" "to proven" "guard's memory"
  for standby in never always; do
    settings "standby = \"$standby\""
    start_clients
    deploy "psql -qX -d shop -c 'ALTER TABLE small ADD COLUMN x int'"
    line "guard, standby = $standby" "$(end_clients)" "$(step prepare/db) + $(step restore/db)" "$peak MB"
  done
  start_clients
  begun=$(now)
  psql -qX -d postgres -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'" \
    -c 'DROP DATABASE shop WITH (FORCE)' -c 'CREATE DATABASE shop' >/dev/null
  gunzip -c "$root/db.sql.gz" | psql -qX -d shop >/dev/null 2>&1
  older=$(since "$begun")
  line "terminate, drop, create, gunzip | psql" "$(end_clients)" "$older" ""

  line "carry-over" "seconds" "" ""
  settings 'carry_over = "inserts"'
  deploy "for t in 1 2 3 4 5 6 7 8 9 10; do psql -qX -d shop -c \"INSERT INTO t\$t SELECT i, i, md5(i::text) FROM generate_series(1, $((carried / 10))) i\"; done;
    psql -qX -d shop -c 'ALTER TABLE small ADD COLUMN x int'"
  line "$carried rows over ten tables with references" "$(step restore/db)" "" "$peak MB"
  for table in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(ask "SELECT count(*) FROM t$table")" = $((carried / 10)) ] || { echo "rows of t$table are missing" >&2 && exit 1; }
  done
}
