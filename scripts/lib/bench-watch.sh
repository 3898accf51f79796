# The figures of the watch. Sourced by scripts/bench.
# shellcheck shell=bash

# Seconds of processor time that a process has used.
cpu_of() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"; }

bench_watch() {
  local trials=20000 real=50 probes=1000 seconds=30
  while [ $# -gt 0 ]; do
    case "$1" in
      --trials) trials=$2 ;;
      --real) real=$2 ;;
      --probes) probes=$2 ;;
      *) usage >&2 && exit 2 ;;
    esac
    shift 2
  done
  cargo build --quiet --locked --release --example figures --bin guard
  local built=${CARGO_TARGET_DIR:-target}/release
  printf '\n== M3 to M8, M10: the judge with a virtual clock\n'
  "$built/examples/figures" --trials "$trials" --pictures docs/pictures
  printf '\n== M1, M2, M9: real processes and containers\n'
  # The harness puts a dot before some of the lines.
  GUARD_REAL_TRIALS=$real cargo test --quiet --locked --test guard -- watch::fatal --nocapture --test-threads=1 2>&1 \
    | grep --line-buffered -o 'M[0-9].*'
  # Several at a time: they mostly wait. Other work on the machine shows in the slowest.
  printf 'load: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
  printf '\n== M12: what it costs\n'
  cost "$(realpath "$built/guard")" 1 "$seconds"
  cost "$(realpath "$built/guard")" "$probes" "$seconds"
  cost_of_curl "$seconds"
}

# Watches a small server by so many probes, each once a second: processor time, memory, and how far answers are off the
# schedule.
cost() {
  local guard=$1 probes=$2 seconds=$3 root port server pid before after
  root=$(mktemp -d "${TMPDIR:-/tmp}/guard-bench.XXXXXX")
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  serve "$port" &
  server=$!
  {
    echo 'project = "bench"'
    for i in $(seq 1 "$probes"); do
      printf '[probes.p%s]\nkind = "http"\nurl = "http://127.0.0.1:%s/"\n' "$i" "$port"
    done
  } >"$root/guard.toml"
  sleep 1
  (cd "$root" && GUARD_STATE_DIR=$root/state exec "$guard" -q watch >/dev/null 2>"$root/said") &
  pid=$!
  sleep 5
  before=$(cpu_of "$pid")
  sleep "$seconds"
  after=$(cpu_of "$pid")
  local memory
  memory=$(awk '/^VmHWM/ { printf "%.1f", $2 / 1000 }' "/proc/$pid/status")
  { kill "$pid" && wait "$pid"; } 2>/dev/null || true
  { kill "$server" && wait "$server"; } 2>/dev/null || true
  python3 - "$root/state/watch/probes.jsonl" "$probes" "$before" "$after" "$seconds" "$memory" <<'PY'
import json, sys
from collections import defaultdict
path, probes, before, after, seconds, memory = sys.argv[1:]
asked, failed = defaultdict(list), 0
for line in open(path):
    try:
        reading = json.loads(line)
    except ValueError:
        continue
    asked[reading["probe"]].append(reading["t"])
    failed += reading["outcome"] != "ok"
# How late each question was, by a schedule of one a second from the probe's first question on.
late = sorted(t - times[0] - n for times in asked.values() for n, t in enumerate(sorted(times)))
at = lambda share: late[min(int(len(late) * share), len(late) - 1)] * 1000
share = 100 * (float(after) - float(before)) / float(seconds)
print(f"{probes} probes a second: {share:.2f} % of a core, {memory} MB at most; {len(late)} readings, {failed} not well;"
      f" late by {at(.5):.0f} / {at(.99):.0f} / {at(1):.0f} ms (median, 99 %, worst)")
PY
  rm -rf "$root"
}

# The same question by curl, once a second: what a script in a loop costs.
cost_of_curl() {
  local seconds=$1 port server
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  serve "$port" &
  server=$!
  sleep 1
  # shellcheck disable=SC2016 # the inner shell's own variables
  python3 - "$seconds" "$port" <<'PY'
import resource, subprocess, sys, time
seconds, port = int(sys.argv[1]), sys.argv[2]
for _ in range(seconds):
    subprocess.run(["curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{port}/"], check=True)
    time.sleep(1)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"curl in a loop, 1 a second: {100 * (used.ru_utime + used.ru_stime) / seconds:.2f} % of a core, {used.ru_maxrss / 1000:.1f} MB")
PY
  { kill "$server" && wait "$server"; } 2>/dev/null || true
}

# A server that answers every connection at once and closes it.
serve() {
  exec python3 - "$1" <<'PY'
import asyncio, sys
async def answer(reader, writer):
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
    except Exception:
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
PY
}
