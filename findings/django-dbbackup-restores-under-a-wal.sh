#!/usr/bin/env bash
# django-dbbackup 5.4.0 with Django 5.2.19 (PyPI), SQLite in WAL mode, no setting of connectors.
#
# Guess: `dbrestore`, while the application has the database open, brings the backup's rows back, or says why it cannot.
# Seen:  it ends with 0, and everybody reads the rows of before the restore: the file is written over in its place, and the log
#        beside it, which is left there, is applied to it. After the application has gone they are in the file itself.
# So a SQLite database is put back with what belongs to it, `-wal` and `-shm`, while nobody has it open.
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
PYTHON
cat >shop.py <<'PYTHON'
import sqlite3
import subprocess


def admin(*words):
    return subprocess.run(["venv/bin/django-admin", *words, "--quiet"]).returncode


def names(database):
    return [name for (name,) in database.execute("SELECT name FROM item ORDER BY id")]


application = sqlite3.connect("shop.db", isolation_level=None)
application.execute("PRAGMA journal_mode = WAL")
application.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
application.execute("INSERT INTO item VALUES (1, 'old')")
application.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print("dbbackup:", admin("dbbackup"), names(application))
application.execute("UPDATE item SET name = 'new'")
print("dbrestore:", admin("dbrestore", "--noinput"), names(application), names(sqlite3.connect("shop.db")))
application.close()
later = sqlite3.connect("shop.db")
print("later:", names(later), later.execute("PRAGMA integrity_check").fetchone()[0])
PYTHON
export DJANGO_SETTINGS_MODULE=settings PYTHONPATH=.
venv/bin/python shop.py | tee said
grep -qxF "dbbackup: 0 ['old']" said
grep -qxF "dbrestore: 0 ['new'] ['new']" said
grep -qxF "later: ['new'] ok" said
