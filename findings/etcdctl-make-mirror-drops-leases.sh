#!/usr/bin/env bash
# etcd 3.4.23 (Debian 12's packages).
#
# Guess: `etcdctl make-mirror` makes the destination equal to the source, for the day on which one moves over.
# Seen:  keys lose their lease, and so the end of their life: a lock that lasts five minutes in the source is held for ever in
#        the mirror. What the destination had before stays, although nobody has it in the source.
# So a mirror is compared key by key, with leases, before traffic goes to it; keys with a lease are better not brought over.
set -euo pipefail
room=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download etcd-server=3.4.23-4+b4 etcd-client=3.4.23-4+b4 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
mapfile -t ports < <(python3 -c '
import socket
kept = [socket.socket() for _ in range(4)]
for one in kept:
    one.bind(("127.0.0.1", 0))
for one in kept:
    print(one.getsockname()[1])')
export ETCDCTL_API=3
# The name of the store, its port for clients and its port for peers.
serve() {
  root/usr/bin/etcd --name "$1" --data-dir "$1" --unsafe-no-fsync --listen-client-urls "http://127.0.0.1:$2" \
    --advertise-client-urls "http://127.0.0.1:$2" --listen-peer-urls "http://127.0.0.1:$3" \
    --initial-advertise-peer-urls "http://127.0.0.1:$3" --initial-cluster "$1=http://127.0.0.1:$3" >"$1.log" 2>&1 &
  for _ in $(seq 100); do
    if root/usr/bin/etcdctl --endpoints "127.0.0.1:$2" endpoint health >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
}
serve live "${ports[0]}" "${ports[1]}"
serve mirror "${ports[2]}" "${ports[3]}"
live() { root/usr/bin/etcdctl --endpoints "127.0.0.1:${ports[0]}" "$@"; }
mirror() { root/usr/bin/etcdctl --endpoints "127.0.0.1:${ports[2]}" "$@"; }
[ "$(live version | head -n 1)" = "etcdctl version: 3.4.23" ]
lease=$(live lease grant 300 | cut -d ' ' -f 2)
live put --lease="$lease" lock me >/dev/null
live put setting new >/dev/null
mirror put left old >/dev/null
live make-mirror "127.0.0.1:${ports[2]}" >mirror.out 2>&1 &
for _ in $(seq 100); do
  [ -z "$(mirror get setting)" ] || break
  sleep 0.2
done
keys() {
  "$1" get "" --prefix --write-out=json | python3 -c '
import base64, json, sys
for key in json.load(sys.stdin)["kvs"]:
    print(base64.b64decode(key["key"]).decode(), "with a lease" if key.get("lease") else "for ever", end="; ")'
}
{
  echo "live: $(keys live)"
  echo "mirror: $(keys mirror)"
} | tee said
grep -qx "live: lock with a lease; setting for ever; " said
grep -qx "mirror: left for ever; lock for ever; setting for ever; " said
