#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian 12's packages).
#
# Guess: a dump holds the values of a table. A FLOAT has 24 bits, and whole numbers up to 16777216 are exact in it.
# Seen:  mariadb-dump ends with 0 and writes the text that SELECT shows, of six digits: 1234567.75 becomes 1234570, 16777216
#        becomes 16777200. SELECT shows the same before and after; CHECKSUM TABLE and arithmetic do not. A DOUBLE comes over
#        whole.
# So a FLOAT of more than six digits does not come back, and that SELECT shows the same before and after is no proof that it did.
set -euo pipefail
version=1:10.11.19-0+deb12u1
room=$(mktemp -d)
trap 'stop; rm -rf "$room"' EXIT
stop() {
  [ -s "$room/data/pid" ] || return 0
  kill "$(<"$room/data/pid")"
  wait
}
chmod 755 "$room" && cd "$room"
apt-get -qq download "mariadb-server-core=$version" "mariadb-client-core=$version" "mariadb-client=$version" \
  "libmariadb3=$version" 2>/dev/null
for package in *.deb; do dpkg-deb --extract "$package" root; done
mkdir data && { [ "$(id -u)" != 0 ] || chown nobody data; }
LD_LIBRARY_PATH=$(dirname "$(find root -name libmariadb.so.3)")
export LD_LIBRARY_PATH
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
as root/usr/sbin/mariadbd --no-defaults --basedir="$room/root/usr" --datadir="$room/data" --skip-networking --skip-grant-tables \
  --lc-messages-dir="$room/root/usr/share/mysql" --socket="$room/data/socket" --pid-file="$room/data/pid" >log 2>&1 &
sql() { root/usr/bin/mariadb --no-defaults --socket="$room/data/socket" --batch --skip-column-names "$@"; }
for _ in $(seq 300); do
  if sql --execute="SELECT 1" >/dev/null 2>&1; then break; fi
  sleep 0.2
done
sql <<'SQL'
CREATE DATABASE dumped;
CREATE DATABASE loaded;
CREATE TABLE dumped.item (id INT PRIMARY KEY, price FLOAT, weight DOUBLE);
INSERT INTO dumped.item VALUES (1, 1234567.75, 1234567.75), (2, 16777216, 16777216);
SQL
root/usr/bin/mariadb-dump --no-defaults --socket="$room/data/socket" dumped >dump
sql loaded <dump
for name in dumped loaded; do
  echo "$name: SELECT $(sql --execute="SELECT GROUP_CONCAT(price ORDER BY id) FROM $name.item")," \
    "times 1: $(sql --execute="SELECT GROUP_CONCAT(price * 1e0, '/', weight ORDER BY id) FROM $name.item")"
done | tee said
grep -qxF "dumped: SELECT 1234570,16777200, times 1: 1234567.75/1234567.75,16777216/16777216" said
grep -qxF "loaded: SELECT 1234570,16777200, times 1: 1234570/1234567.75,16777200/16777216" said
[ "$(sql --execute="CHECKSUM TABLE dumped.item" | cut -f 2)" != "$(sql --execute="CHECKSUM TABLE loaded.item" | cut -f 2)" ]
