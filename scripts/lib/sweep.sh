# Removes what test programs that were killed have left in the Docker Engine. Sourced.
# shellcheck shell=bash

# A shop that nobody takes down is asked for its health all the time, and costs a third of a processor. Only what is named
# after a process that is gone is removed: another test run may be at work.
sweep() {
  remove "container rm -fv" container -a
  remove "network rm" network
  remove "volume rm" volume
}

# remove HOW KIND [OPTION]: removes these; one that cannot be removed costs time, and is no reason not to test.
remove() {
  local name how
  read -ra how <<<"$1"
  left_behind "${@:2}" | while read -r name; do
    docker "${how[@]}" "$name" || echo "[sweep] $name stays" >&2
  done
}

# left_behind KIND [OPTION]: the names of these.
left_behind() {
  local name pid field=.Name
  [ "$1" != container ] || field=.Names
  docker "$1" ls "${@:2}" --format "{{$field}}" 2>/dev/null | while read -r name; do
    pid=$(sed -nE 's/^(guard-pin-)?guard-test-(comp-)?([0-9]+)-.*/\3/p' <<<"$name")
    if [ -n "$pid" ] && [ ! -e "/proc/$pid" ]; then echo "$name"; fi
  done
}
