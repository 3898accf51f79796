# The demo without Docker: SQLite, a directory, git and a settings file. Sourced by scripts/demo.
# shellcheck shell=bash

stop_demo() {
  [ ! -x "$project/stop.sh" ] || "$project/stop.sh"
}

# The state as other programs than guard see it. What guard displaced stays in `.guard-…` until retention, and is no part of it.
fingerprint() {
  echo "commit $(git rev-parse HEAD)"
  git status --porcelain
  bin/demo-service dump
  (cd data/pictures && find . -name '.guard-*' -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum)
  echo ".env $(sha256sum <.env) mode $(stat -c %a .env)"
  # A fingerprint is shown when it differs: the secret stays out of it.
  sed -e 's/^API_TOKEN=.*/API_TOKEN=…/' .env
}

ask() { bin/demo-service ask --port "$port" "$@"; }

demo() {
  local before=$work/before broken=$work/broken after=$work/after
  port=$(free_port)
  title "A project: a web service with an SQLite file, a directory of pictures, a git checkout and an .env"
  fixtures/demo/new.sh "$project" "$service" "$port"
  cd "$project"
  run ./start.sh
  say "v1 says: $(ask /)"

  title "1. Is there a way back? Asked before anything is touched"
  expect 0 "$guard" check

  title "2. A good release: v2 adds a column"
  expect 0 "$guard" deploy -- ./deploy.sh v2
  [ "$(ask /version)" = v2 ] || die "v2 does not answer"
  say "v2 says: $(ask /)"

  title "3. Life goes on: somebody signs up"
  say "POST /users?name=Linus: $(ask --method POST '/users?name=Linus')"
  fingerprint >"$before"

  title "4. A bad release: v3 drops the column, overwrites the names, edits .env, and soon deletes the pictures"
  say "Its smoke test passes; the watch finds it out, and guard walks back."
  expect "21 22" "$guard" deploy -- ./deploy.sh v3
  grep -qF 'pictures are gone' run/service.log || die "v3 did no harm, so the demo shows nothing"
  say "v3's own log: $(grep -F 'pictures are gone' run/service.log)"
  fingerprint >"$after"
  same "$before" "$after"
  [ "$(ask /version)" = v2 ] || die "v2 does not answer"
  say "Rows, pictures, .env and commit are the ones before, compared by the service itself, sha256sum and git."
  say "$(ask /health)"

  title "5. The same by hand: keep the bad release, look at it, then go back"
  expect 31 "$guard" deploy --again --no-rollback -- ./deploy.sh v3
  fingerprint >"$broken"
  say "What v3 did:"
  differs "$before" "$broken"
  expect 0 "$guard" rollback --yes
  fingerprint >"$after"
  same "$before" "$after"
  say "$(ask /health)"

  title "6. What there is now"
  expect 0 "$guard" status
  expect 0 "$guard" list
  expect 0 "$guard" history
}
