#!/usr/bin/env bash
# sqlite-utils 4.2.1 (PyPI).
#
# Guess: `sqlite-utils transform`, which says that it keeps a table's indexes, keeps its triggers as well, or refuses.
# Seen:  it ends with 0 and prints nothing. Partial and expression indexes and the column's CHECK are there again; the
#        trigger is gone, and so is the column's COLLATE.
# So a schema is compared by all that SQLite keeps of it, triggers included, and not by tables, columns and indexes.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sqlite-utils==4.2.1
sql() {
  python3 - "$1" <<'PYTHON'
import sqlite3
import sys

with sqlite3.connect("shop.db") as database:
    if sys.argv[1] == "make":
        database.executescript("""
            CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE CHECK (name <> ''));
            CREATE TABLE log (name TEXT);
            CREATE INDEX by_lower ON item (lower(name));
            CREATE INDEX by_name ON item (name) WHERE name IS NOT NULL;
            CREATE TRIGGER logged AFTER INSERT ON item BEGIN INSERT INTO log VALUES (new.name); END;
            INSERT INTO item (name) VALUES ('chair');
        """)
    else:
        kinds = "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
        print(" ".join(f"{kind}:{name}" for kind, name in database.execute(kinds)))
        text = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'item'").fetchone()[0]
        print("NOCASE" in text, "CHECK" in text)
PYTHON
}
sql make
before=$(sql look)
said=$(venv/bin/sqlite-utils transform shop.db item --default name stool 2>&1) && code=0 || code=$?
after=$(sql look)
printf 'before: %s\nafter, exit code %s, said "%s": %s\n' "$before" "$code" "$said" "$after"
[ "$code" = 0 ] && [ -z "$said" ] &&
  [ "$before" = "index:by_lower index:by_name table:item table:log trigger:logged"$'\n'"True True" ] &&
  [ "$after" = "index:by_lower index:by_name table:item table:log"$'\n'"False True" ]
