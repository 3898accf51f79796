#!/usr/bin/env bash
# mydumper 0.10.1 with MariaDB 10.11.19 (Debian 12's packages).
#
# Guess: `mydumper` and `myloader` bring over every column of a table.
# Seen:  both end with 0. A column that is INVISIBLE is made, and has its default in every row: the rows are read by `SELECT *`,
#        which leaves such columns out. mariadb-dump of the same server brings the values over.
# So columns are asked of the catalog and named one by one, when rows are counted, compared or carried over.
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
  "libmariadb3=$version" mydumper=0.10.1-1+deb12u2 libpcre3=2:8.39-15 2>/dev/null
for package in *.deb; do dpkg-deb --extract "$package" root; done
mkdir data && { [ "$(id -u)" != 0 ] || chown nobody data; }
LD_LIBRARY_PATH=$(dirname "$(find root -name libmariadb.so.3)"):$(dirname "$(find root -name libpcre.so.3)")
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
CREATE DATABASE shop;
CREATE DATABASE loaded;
CREATE DATABASE copied;
CREATE TABLE shop.item (id INT PRIMARY KEY, name TEXT, price INT INVISIBLE DEFAULT 0);
INSERT INTO shop.item (id, name, price) VALUES (1, 'chair', 40);
SQL
to=(--socket="$room/data/socket" --user=root)
root/usr/bin/mydumper "${to[@]}" --database=shop --outputdir="$room/dump" >log.dump 2>&1
root/usr/bin/myloader "${to[@]}" --directory="$room/dump" --source-db=shop --database=loaded --overwrite-tables >log.load 2>&1
root/usr/bin/mariadb-dump --no-defaults "${to[@]}" shop >dump.sql
sql copied <dump.sql
for name in shop loaded copied; do
  echo "$name: $(sql --execute="SELECT CONCAT_WS(' ', id, name, price) FROM $name.item")"
done | tee said
for name in shop copied; do grep -qxF "$name: 1 chair 40" said; done
grep -qxF "loaded: 1 chair 0" said
