# What scripts/demo says, runs and compares. Sourced.
# shellcheck shell=bash

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' red='' plain=''
fi

title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '   %s\n' "$*"; }
die() {
  printf '\n%sdemo: NOT AS PROMISED: %s%s\n' "$red" "$*" "$plain" >&2
  exit 1
}

# Runs a command in the project and shows it as a person would type it.
run() {
  printf '%s   $ %s%s\n' "$dim" "${*/#"$guard"/guard}" "$plain"
  "$@" </dev/null
}

# expect CODES COMMAND…: runs it; one of the codes (a list with spaces) must come back.
expect() {
  local codes=$1 code=0
  shift
  run "$@" || code=$?
  [[ " $codes " == *" $code "* ]] || die "exit code $code instead of ${codes// / or }"
  say "exit code $code"
}

# same BEFORE AFTER: two files of fingerprints, which must not differ.
same() {
  diff -u --label before --label after "$1" "$2" || die "the state is not the one before"
}

# differs BEFORE AFTER: shows the lines that changed; a comparison that finds nothing after a bad release is blind.
differs() {
  if cmp -s "$1" "$2"; then die "the bad release changed nothing, so the demo shows nothing"; fi
  # diff says 1 for what is wanted here.
  { diff -u --label before --label after "$1" "$2" || true; } | grep '^[-+]' | cut -c 1-100
}

# A port on which nobody listens.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Whatever the caller's shell or CI sets for guard must not reach the demo.
forget_environment() {
  local name
  for name in "${!GUARD_@}" GITHUB_ACTIONS GITLAB_CI MONITORING_DURATION ERROR_THRESHOLD HEALTH_CHECK_FAILURES_THRESHOLD \
    HEALTH_CHECK_URL ROLLBACK_CONFIRM BACKUP_DIR SLACK_WEBHOOK_URL SLACK_WEBHOOK COMPOSE_FILE COMPOSE_PROJECT_NAME; do
    [ "$name" = GUARD_TEST_MIRROR ] || unset "$name"
  done
}

# Builds guard and the demo's service; sets `guard` and `service` to their paths.
build() {
  local target
  title "Building guard"
  cargo build --locked --bin guard --example demo-service
  target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  guard=$target/debug/guard
  # shellcheck disable=SC2034 # used by scripts/lib/demo.sh
  service=$target/debug/examples/demo-service
}
