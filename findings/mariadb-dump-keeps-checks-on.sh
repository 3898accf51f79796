#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian 12's packages).
#
# Guess: mariadb-dump, which switches UNIQUE_CHECKS and FOREIGN_KEY_CHECKS off for its own load, does the same for the CHECK
#        constraints that `SET check_constraint_checks = 0` switches off in a session.
# Seen:  it does not. A row that went in while they were off is dumped without a word (exit code 0), and the dump does not
#        load: ERROR 4025, the table stays empty.
# So a dump that was read back is no proof: it has to be loaded.
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
apt-get download --quiet --quiet "mariadb-server-core=$version" "mariadb-client-core=$version" "mariadb-client=$version" \
  "libmariadb3=$version"
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
USE dumped;
CREATE TABLE item (price int CHECK (price > 0));
SET check_constraint_checks = 0;
INSERT INTO item VALUES (-1);
SQL
root/usr/bin/mariadb-dump --no-defaults --socket="$room/data/socket" dumped >dump && dumped=0 || dumped=$?
said=$(sql loaded <dump 2>&1) && loaded=0 || loaded=$?
rows=$(sql --execute="SELECT count(*) FROM loaded.item")
echo "$(sql --execute='SELECT version()'): dump: exit code $dumped; load: exit code $loaded, $rows rows, $(tail -n 1 <<<"$said")"
[ "$dumped $loaded $rows" = "0 1 0" ] && grep -q "ERROR 4025" <<<"$said"
