#!/usr/bin/env bash
# pgcopydb 0.10 with PostgreSQL 15.20 (Debian 12's packages).
#
# Guess: `pgcopydb clone` ends with 0 when each value is in the column that it was in.
# Seen:  a table that inherits gets a column of its parent's behind its own ones, where the parent got it later. pg_dump makes
#        the table anew with the inherited columns first, and pgcopydb copies rows without naming columns: with types that fit,
#        the values of two columns are exchanged. Exit code 0; pg_dump and pg_restore, which name them, keep the values. The rows
#        of an unlogged table are left out as well, without a word.
# So rows are compared column by column, by name: the order of columns is not one that a restore keeps.
set -euo pipefail
version=15.20-0+deb12u1
room=$(mktemp -d)
trap 'stop; rm -rf "$room"' EXIT
stop() {
  [ ! -e "$room/data/postmaster.pid" ] || as "$bin/pg_ctl" --pgdata="$room/data" --mode=immediate stop >/dev/null 2>&1 || true
}
# The server refuses to run as root.
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
chmod 755 "$room" && cd "$room"
apt-get -qq download "postgresql-15=$version" "postgresql-client-15=$version" "libpq5=$version" pgcopydb=0.10-1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
bin=$room/root/usr/lib/postgresql/15/bin
LD_LIBRARY_PATH=$(dirname "$(find "$room/root" -name libpq.so.5)")
export LD_LIBRARY_PATH PATH="$bin:$PATH"
mkdir data copying && { [ "$(id -u)" != 0 ] || chown nobody data copying; }
as initdb --pgdata=data --username=boss --auth=trust --no-sync >/dev/null
as pg_ctl --pgdata=data --wait --log=data/log --options="-k $room/data -h '' -p 5999" start >/dev/null
to=(--host="$room/data" --port=5999 --username=boss)
sql() { psql "${to[@]}" --no-psqlrc -qAt -v ON_ERROR_STOP=1 "$@"; }
for name in live cloned restored; do sql --dbname=postgres --command="CREATE DATABASE $name"; done
sql --dbname=live <<'SQL'
CREATE TABLE account (id int PRIMARY KEY);
CREATE TABLE savings (balance int) INHERITS (account);
ALTER TABLE account ADD COLUMN branch int DEFAULT 7;
INSERT INTO savings (id, balance) VALUES (1, 5000);
CREATE UNLOGGED TABLE session (id int);
INSERT INTO session VALUES (1);
SQL
where="host=$room/data port=5999 user=boss dbname="
as env HOME="$room/copying" "$room/root/usr/bin/pgcopydb" clone --source "${where}live" --target "${where}cloned" \
  --dir "$room/copying/state" >log 2>&1
pg_dump "${to[@]}" --format=custom live | pg_restore "${to[@]}" --dbname=restored
for name in live cloned restored; do
  echo "$name: $(sql --dbname=$name --command="SELECT format('balance %s, branch %s', balance, branch) FROM savings")," \
    "$(sql --dbname=$name --command="TABLE savings"), sessions $(sql --dbname=$name --command="SELECT count(*) FROM session")"
done | tee said
grep -qxF "live: balance 5000, branch 7, 1|5000|7, sessions 1" said
grep -qxF "cloned: balance 7, branch 5000, 1|5000|7, sessions 0" said
grep -qxF "restored: balance 5000, branch 7, 1|7|5000, sessions 1" said
