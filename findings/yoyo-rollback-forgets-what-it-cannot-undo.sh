#!/usr/bin/env bash
# yoyo-migrations 9.0.0 (PyPI), SQLite.
#
# Guess: a migration whose step has no rollback cannot be rolled back, and `yoyo rollback` says so.
# Seen:  `yoyo rollback` ends with 0 and prints nothing. It takes the migration off its list of applied ones, and leaves the
#        table in the database. The next `yoyo apply` of the same migration fails: the table already exists.
# So a way back by down migrations is proven by the schema, and neither by the exit code nor by the list of migrations.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check yoyo-migrations==9.0.0 setuptools==65.5.0
mkdir migrations
cat >migrations/0001-shop.py <<'PYTHON'
from yoyo import step

steps = [step("CREATE TABLE shop (id INTEGER PRIMARY KEY)")]
PYTHON
yoyo() { venv/bin/yoyo "$@" --batch --database sqlite:///shop.db migrations; }
look() {
  python3 - "$1" <<'PYTHON'
import sqlite3
import sys

print(sqlite3.connect("shop.db").execute(sys.argv[1]).fetchone()[0])
PYTHON
}

yoyo apply
[ "$(look "SELECT count(*) FROM _yoyo_migration")" = 1 ]
said=$(yoyo rollback --all 2>&1) && code=0 || code=$?
applied=$(look "SELECT count(*) FROM _yoyo_migration")
tables=$(look "SELECT count(*) FROM sqlite_schema WHERE name = 'shop'")
again=$(yoyo apply 2>&1) && next=0 || next=$?
echo "rollback: exit code $code, said '$said'; applied migrations: $applied; tables named shop: $tables"
echo "apply after it: exit code $next, $(tail -n 1 <<<"$again")"
[ "$code $applied $tables $next" = "0 0 1 1" ] && [ -z "$said" ] && grep -q "table shop already exists" <<<"$again"
