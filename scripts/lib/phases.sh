# Named, timed phases of a script. Sourced.
# shellcheck shell=bash

# phase NAME COMMAND…: runs it and says how long it took; the script ends if it fails.
phase() {
  local name=$1 start=$SECONDS
  shift
  printf '[phase] %s\n' "$name" >&2
  # Not in a condition: there, `set -e` would be off inside a function.
  "$@"
  printf '[phase] %s: %s s\n' "$name" "$((SECONDS - start))" >&2
}

# attempt NAME COMMAND…: the same, but a failure only adds the name to $failed. The command must not rely on `set -e`.
failed=
attempt() {
  local name=$1 start=$SECONDS
  shift
  printf '[phase] %s\n' "$name" >&2
  "$@" || failed="$failed $name"
  printf '[phase] %s: %s s\n' "$name" "$((SECONDS - start))" >&2
}

# failed_tests LOG: the names of the tests that failed, as the lists behind the results have them.
failed_tests() {
  awk '/^failures:$/ { on = 1 } on && /^    [a-z_0-9:]+$/ { print $1 } /^test result:/ { on = 0 }' "$1" | sort -u
}
