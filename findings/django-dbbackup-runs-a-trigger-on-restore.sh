#!/usr/bin/env bash
# django-dbbackup 5.4.0 with Django 5.2.19 (PyPI), SQLite, `dbbackup.db.sqlite.SqliteConnector`.
#
# Guess: `dbrestore` of a dump as SQL text makes the database that `dbbackup` saw, or ends with an error.
# Seen:  it ends with 0. The dump is run line by line. Of a trigger the first line is refused, with a warning, and the lines of
#        its body are then run as statements of their own: the trigger is gone, its DELETE has emptied a table that nobody
#        touched. A text with `);` at the end of a line is lost with its row as well.
# So a restore is proven by the rows and by what stands beside the tables, and warnings of a restore are failures.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check django-dbbackup==5.4.0 Django==5.2.19
mkdir backups
cat >settings.py <<'PYTHON'
SECRET_KEY = "of a test"
USE_TZ = True
INSTALLED_APPS = ["dbbackup"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "dbbackup": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": "backups"}},
}
DBBACKUP_CONNECTORS = {"default": {"CONNECTOR": "dbbackup.db.sqlite.SqliteConnector"}}
PYTHON
cat >shop.py <<'PYTHON'
import sqlite3
import sys

with sqlite3.connect("shop.db") as database:
    if sys.argv[1] == "make":
        database.executescript("""
            CREATE TABLE cart (id INTEGER PRIMARY KEY);
            CREATE TABLE item (id INTEGER PRIMARY KEY, note TEXT);
            CREATE TRIGGER priced AFTER UPDATE ON item BEGIN
                DELETE FROM cart;
            END;
            INSERT INTO cart VALUES (1), (2);
            INSERT INTO item VALUES (1, 'plain'), (2, 'call(me);' || char(10) || 'soon');
        """)
    rows = [database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("cart", "item")]
    triggers = database.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'").fetchone()[0]
    print(f"{sys.argv[1]}: cart {rows[0]}, item {rows[1]}, triggers {triggers}")
PYTHON
export DJANGO_SETTINGS_MODULE=settings PYTHONPATH=.
python3 shop.py make | tee said
venv/bin/django-admin dbbackup --quiet
rm shop.db
venv/bin/django-admin dbrestore --noinput --quiet 2>warnings
python3 shop.py restored | tee -a said
grep -q "UserWarning: Error in db restore: incomplete input" warnings
grep -qxF "make: cart 2, item 2, triggers 1" said
grep -qxF "restored: cart 0, item 1, triggers 0" said
