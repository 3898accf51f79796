#!/usr/bin/env bash
# sqldiff 3.40.1 (Debian 12's sqlite3-tools), applied with Python's sqlite3.
#
# Guess: what `sqldiff one.db two.db` prints makes the first database equal to the second, and sqldiff then finds nothing to do.
# Seen:  everything ends with 0. Numbers are written with 15 digits, so that 0.1 + 0.2 comes over as 0.3, and the same statements
#        are printed again after each run of them. A column is added without its DEFAULT, NOT NULL and COLLATE; that is not
#        printed again, and a row which is inserted later is another one in the two.
# So a patch is no way back: what it has made is compared as it is stored, with the schema.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download sqlite3-tools=3.40.1-2+deb12u2 2>/dev/null
dpkg -x sqlite3-tools_*.deb package
sql() {
  python3 - "$@" <<'PYTHON'
import sqlite3
import sys

with sqlite3.connect(sys.argv[1]) as database:
    for script in sys.argv[2:]:
        database.executescript(script)
    database.execute("INSERT INTO item (id) VALUES (9)")
    print(sys.argv[1], database.execute("SELECT price, unit FROM item ORDER BY id").fetchall())
    database.rollback()
PYTHON
}
patch() { package/usr/bin/sqldiff live.db new.db; }
sql new.db "CREATE TABLE item (id INTEGER PRIMARY KEY, price REAL, unit TEXT NOT NULL DEFAULT 'kg' COLLATE NOCASE)" \
  "INSERT INTO item (id, price) VALUES (1, 0.1 + 0.2)" | tee said
python3 -c "import sqlite3; sqlite3.connect('live.db').executescript('''
  CREATE TABLE item (id INTEGER PRIMARY KEY, price REAL); INSERT INTO item VALUES (1, 0)''')"
patch >first
sql live.db "$(<first)" | tee -a said
patch >second
sql live.db "$(<second)" >/dev/null
patch >third
cat first second
grep -qxF "ALTER TABLE item ADD COLUMN unit;" first
grep -qxF "UPDATE item SET price=0.3 WHERE id=1;" second
cmp second third
grep -qxF "new.db [(0.30000000000000004, 'kg'), (None, 'kg')]" said
grep -qxF "live.db [(0.3, 'kg'), (None, None)]" said
