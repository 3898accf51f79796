# The demo of kills: guard is killed at random moments of a bad deployment, and the state before comes back each time.
# Sourced by scripts/demo, after demo.sh, whose project and looks it uses.
# shellcheck shell=bash

# What guard was doing when it was killed: the last step that it told of.
doing() { grep -F "[STEP]" "$1" | tail -n 1 | cut -d " " -f 2- | grep . || echo "its first look"; }

# The directory of the newest run. Their names are guard's own and hold nothing that a list could trip over.
newest_run() {
  # shellcheck disable=SC2012
  ls -td "$project"/../guard-state/runs/*/ | head -n 1
}

is_unfinished() { ! "$guard" --output json status 2>/dev/null | grep -qF '"unfinished":null'; }

# Waits, with nothing typed, until the watcher has finished the run.
left_alone() {
  local patience=600
  while is_unfinished; do
    patience=$((patience - 1))
    [ "$patience" -gt 0 ] || die "the watcher has not finished the run: $(tail -n 3 "$(newest_run)watcher.log")"
    sleep 0.1
  done
}

# One deployment that is killed. One of even number has a watcher, one of odd number has none.
strike() {
  local number=$1 after=$2 log=$work/strike-$1.log pid code=0 run
  local words=(deploy --again)
  if [ $((number % 2)) = 1 ]; then words+=(--no-watcher); fi
  "$guard" "${words[@]}" -- ./deploy.sh v3 >"$log" 2>&1 </dev/null &
  pid=$!
  sleep "$after"
  kill -9 "$pid" 2>/dev/null || true
  { wait "$pid" || code=$?; } 2>/dev/null
  run=$(newest_run)
  if [ "$code" != 137 ]; then
    [[ $code == 2[12] ]] || die "it ended with $code: $(tail -n 3 "$log")"
    say "$number: after $after s it had ended by itself, with $code"
  elif [ $((number % 2)) = 0 ] && [ -e "${run}watcher.log" ]; then
    left_alone
    if grep -q . "${run}watcher.log"; then
      say "$number: killed after $after s, in \"$(doing "$log")\"; its watcher finished it, and nobody typed anything"
    else
      # Whoever is killed between the last record and the end has left nothing to do.
      tail -n 1 "${run}journal.jsonl" | grep -qF '"closed"' || die "nobody finished the run"
      say "$number: killed after $after s, when the run was over: nothing was left to do"
    fi
  else
    code=0
    "$guard" resume >"$work/resume.log" 2>&1 </dev/null || code=$?
    case $code in
      0 | 14) say "$number: killed after $after s, in \"$(doing "$log")\"; nothing had been touched (guard resume: $code)" ;;
      2[0-4]) say "$number: killed after $after s, in \"$(doing "$log")\"; guard resume walked back ($code)" ;;
      *) die "guard resume ended with $code: $(tail -n 3 "$work/resume.log")" ;;
    esac
  fi
}

demo() {
  local before=$work/before after=$work/after seed=${SEED:-$RANDOM$RANDOM} number span
  port=$(free_port)
  title "A project: a web service with an SQLite file, a directory of pictures, a git checkout and an .env"
  fixtures/demo/new.sh "$project" "$service" "$port"
  cd "$project"
  run ./start.sh
  expect 0 "$guard" deploy --quiet -- ./deploy.sh v2
  fingerprint >"$before"

  title "1. How long does a bad release take, from the backup to the end of the way back?"
  SECONDS=0
  expect "21 22" "$guard" deploy --again --quiet -- ./deploy.sh v3
  span=$SECONDS
  fingerprint >"$after"
  same "$before" "$after"
  say "$span s"

  title "2. Ten times the same, and each time guard is killed with -9 at a random moment (SEED=$seed)"
  say "kill -9 is what a cancelled CI job, the out-of-memory killer or a power cut comes down to: no signal is heard."
  say "Half of the time a watcher stands by, as it does unless --no-watcher is given: a second guard that waits, and goes on"
  say "when the first is gone. The other half has none: then the journal knows how far guard came, and guard resume goes on."
  RANDOM=$((seed % 32768))
  for number in 1 2 3 4 5 6 7 8 9 10; do
    strike "$number" "$(awk -v part="$RANDOM" -v span="$span" 'BEGIN { printf "%.2f", part / 32768 * span }')"
    fingerprint >"$after"
    same "$before" "$after"
    [ "$(ask /version)" = v2 ] || die "v2 does not answer"
  done
  say "Rows, pictures, .env and commit are the ones before, each time: compared by the service itself, sha256sum and git."

  title "3. What guard remembers"
  expect 0 "$guard" history
}
