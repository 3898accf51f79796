#!/usr/bin/env bash
# Alembic 1.20.1 with SQLAlchemy 2.1.9 (PyPI), SQLite.
#
# Guess: `batch_alter_table` on SQLite, which rebuilds a table to add one column, leaves all the rest of it as it was.
# Seen:  the migration ends well. Beside the CHECK of a column, of which the documentation warns, the rebuilt table has lost
#        its trigger, AUTOINCREMENT (deleted keys are given out again), COLLATE NOCASE (`SELECT … WHERE name = 'Chair'` finds
#        nothing any more), and the index on an expression; the partial index is there.
# So a downgrade by the same means does not bring the old schema back: what is restored is compared with the backup.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check alembic==1.20.1 sqlalchemy==2.1.9
cat >migrate.py <<'PYTHON'
import warnings

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

warnings.simplefilter("ignore")
engine = sa.create_engine("sqlite:///shop.db")
with engine.begin() as connection:
    for statement in [
        "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE)",
        "CREATE TABLE log (name TEXT)",
        "CREATE INDEX by_lower ON item (lower(name))",
        "CREATE INDEX by_name ON item (name) WHERE name IS NOT NULL",
        "CREATE TRIGGER logged AFTER INSERT ON item BEGIN INSERT INTO log VALUES (new.name); END",
        "INSERT INTO item (name) VALUES ('chair')",
    ]:
        connection.exec_driver_sql(statement)


def look():
    with engine.begin() as connection:
        one = lambda text: connection.exec_driver_sql(text).scalar()
        names = connection.exec_driver_sql(
            "SELECT name FROM sqlite_schema WHERE type IN ('index', 'trigger') ORDER BY name"
        ).scalars().all()
        text = one("SELECT sql FROM sqlite_schema WHERE name = 'item'")
        return " ".join(names), "AUTOINCREMENT" in text, one("SELECT count(*) FROM item WHERE name = 'Chair'")


print("before:", look())
with engine.begin() as connection:
    operations = Operations(MigrationContext.configure(connection))
    with operations.batch_alter_table("item") as batch:
        batch.add_column(sa.Column("price", sa.Integer))
        batch.alter_column("name", nullable=False)
print("after:", look())
PYTHON
venv/bin/python migrate.py | tee said
grep -qxF "before: ('by_lower by_name logged', True, 1)" said
grep -qxF "after: ('by_name', False, 0)" said
