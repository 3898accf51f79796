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
