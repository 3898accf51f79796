# The demo on the Compose stack: Postgres, an object store, nginx and an app. Sourced by scripts/demo.
# shellcheck shell=bash

name=guard-test-demo-$$

stop_demo() {
  # What holds the images of the backups goes first: as long as it is there, an image cannot be removed.
  docker ps -aq --filter "name=^guard-pin-$name-" | xargs -r docker rm -f >/dev/null
  docker images --format '{{.Repository}}:{{.Tag}}' --filter "reference=guard/pin/$name/*" | xargs -r docker rmi >/dev/null
  [ ! -x "$project/down.sh" ] || "$project/down.sh"
}

ask() { curl -sS --fail-with-body --max-time 5 "http://127.0.0.1:$port$1" "${@:2}"; }

psql_of() { docker compose exec -T postgres psql -U shop -d shop -AtX -c "$1" </dev/null; }

# Every row of every table.
rows() {
  local tables table
  tables=$(psql_of "SELECT relname FROM pg_stat_user_tables ORDER BY 1")
  for table in $tables; do
    echo "table $table"
    psql_of "SELECT t::text FROM \"$table\" t ORDER BY 1"
  done
}

# Every file of the object store: digest and name. Asked there, not through the app, which may be unwell.
objects() {
  docker compose exec -T objects sh -c 'cd /data && find . -name ".guard-*" -prune -o -type f -print0 | sort -z | xargs -0 sha256sum' </dev/null
}

# The state as other programs than guard see it. What guard displaced stays in `.guard-…` until retention, and is no part of it.
fingerprint() {
  echo "commit $(git rev-parse HEAD)"
  git status --porcelain
  rows
  objects
  echo ".env $(sha256sum <.env) mode $(stat -c %a .env)"
  docker compose ps --services | sort
  docker inspect --format '{{.Name}} runs {{.Image}}' "$(docker compose ps -q app)"
}

settings() {
  cat <<TEXT
state_dir = "../guard-state"

[resources.db]
kind = "postgres"
service = "postgres"
database = "shop"
user = "shop"

[resources.objects]
kind = "volume"
volume = "minio_data"

[resources.code]
kind = "git"

[resources.stack]
kind = "compose"

[resources.images]
kind = "images"

[resources.config]
kind = "files"
paths = [".env"]

[probes.site]
kind = "http"
url = "http://127.0.0.1:$port/health"

[verify]
commands = ["./smoke.sh"]

[monitor]
duration = "8s"
interval = "500ms"
consecutive_failures = 3
persist = "2s"
gate = "20s"
min_samples = 5
TEXT
}

demo() {
  local before=$work/before after=$work/after
  port=$(free_port)
  title "A shop: Postgres, an object store, an app and nginx, with Compose"
  fixtures/stack/new.sh "$project" "$name" "$port"
  cd "$project"
  settings >guard.toml
  # It belongs to this machine, not to a version: a checkout of another version leaves it alone.
  mkdir -p .git/info
  echo guard.toml >>.git/info/exclude
  run ./deploy.sh v1 >"$work/deploy.log" 2>&1 || die "v1 does not start: $(tail -n 5 "$work/deploy.log")"
  run ./smoke.sh

  title "1. Is there a way back? Asked before anything is touched"
  expect 0 "$guard" check

  title "2. A good release: v2 adds a column"
  expect 0 "$guard" deploy -- ./deploy.sh v2
  [[ $(ask /version) == *'"v2"'* ]] || die "v2 does not answer"
  say "POST /users?name=Linus: $(ask '/users?name=Linus' -X POST)"
  fingerprint >"$before"

  title "3. A bad release: it renames a column, changes every name and drops the orders"
  expect "21 22" "$guard" deploy -- ./deploy.sh migrate
  run ./smoke.sh
  fingerprint >"$after"
  same "$before" "$after"
  say "Rows, objects, .env, commit, services and image are the ones before, compared by psql, sha256sum, docker inspect and git:"
  say "$(wc -l <"$after") lines of fingerprints, no difference."

  title "4. What there is now"
  expect 0 "$guard" status
  expect 0 "$guard" list
  expect 0 "$guard" history
}
