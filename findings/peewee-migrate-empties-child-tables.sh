#!/usr/bin/env bash
# peewee-migrate 2.3.0 with peewee 4.5.3 (PyPI), SQLite.
#
# Guess: a migration that makes a column NOT NULL, by `migrator.add_not_null`, leaves rows alone, those of other tables above
#        all.
# Seen:  it ends well. Where foreign keys are enforced, and a child table has ON DELETE CASCADE, all of the child's rows are
#        gone: the parent table is rebuilt, and SQLite deletes the children as the old one is dropped. That foreign keys are
#        switched off for it has no effect, since SQLite does not hear that within a transaction. Rolling back does not bring the
#        rows again.
# So rows of all tables are counted before and after a migration, and not those of the table that it names.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check peewee-migrate==2.3.0 peewee==4.5.3
mkdir migrations
cat >migrations/001_shop.py <<'PYTHON'
import peewee


def migrate(migrator, database, *, fake=False):
    @migrator.create_model
    class Customer(peewee.Model):
        name = peewee.TextField(null=True)

        class Meta:
            table_name = "customer"

    @migrator.create_model
    class Invoice(peewee.Model):
        customer = peewee.ForeignKeyField(Customer, on_delete="CASCADE")

        class Meta:
            table_name = "invoice"


def rollback(migrator, database, *, fake=False):
    pass
PYTHON
cat >named.py <<'PYTHON'
def migrate(migrator, database, *, fake=False):
    migrator.add_not_null("customer", "name")


def rollback(migrator, database, *, fake=False):
    migrator.drop_not_null("customer", "name")
PYTHON
cat >shop.py <<'PYTHON'
import shutil

import peewee
from peewee_migrate import Router

database = peewee.SqliteDatabase("shop.db", pragmas={"foreign_keys": 1})


def rows():
    names = ["customer", "invoice"]
    return [database.execute_sql(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names]


Router(database, migrate_dir="migrations").run()
database.execute_sql("INSERT INTO customer (name) VALUES ('one')")
database.execute_sql("INSERT INTO invoice (customer_id) VALUES (1), (1)")
print("before:", rows())
shutil.copy("named.py", "migrations/002_named.py")
router = Router(database, migrate_dir="migrations")
print("after:", router.run(), rows())
router.rollback()
print("rolled back:", router.done, rows())
PYTHON
venv/bin/python shop.py 2>log | tee said
grep -qxF "before: [1, 2]" said
grep -qxF "after: ['002_named'] [1, 0]" said
grep -qxF "rolled back: ['001_shop'] [1, 0]" said
