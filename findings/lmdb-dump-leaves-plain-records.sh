#!/usr/bin/env bash
# lmdb-utils 0.9.24 (Debian 12), with lmdb 3.0.0 (PyPI).
#
# Guess: `mdb_dump -a`, read by `mdb_load`, makes an equal environment.
# Seen:  both end with 0. Records that stand in the main database beside named ones, such as a schema version, are in no part of
#        the dump; without `-a` only the main one is dumped, with the roots of the named ones as unreadable values. mdb_load
#        calls a line of mdb_dump's own header an unrecognized keyword, and goes on.
# So an LMDB environment is backed up as files, by `mdb_copy`, and a dump's counts are compared with the original's.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download lmdb-utils=0.9.24-1 liblmdb0=0.9.24-1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: lmdb==3.0.0
mkdir live loaded copied
cat >look.py <<'PYTHON'
import sys

import lmdb

environment = lmdb.open(sys.argv[1], max_dbs=2)
orders = environment.open_db(b"orders")
with environment.begin(write=True) as transaction:
    if sys.argv[1] == "live":
        transaction.put(b"version", b"7")
        transaction.put(b"1", b"chair", db=orders)
    print(sys.argv[1], [key for key, _ in transaction.cursor()], list(transaction.cursor(db=orders)))
PYTHON
venv/bin/python look.py live | tee said
LD_LIBRARY_PATH=$(dirname "$(find root -name liblmdb.so.0)")
export LD_LIBRARY_PATH
root/usr/bin/mdb_dump -a live >dump
root/usr/bin/mdb_load -f dump loaded 2>complaints
root/usr/bin/mdb_copy live copied
venv/bin/python look.py loaded | tee -a said
venv/bin/python look.py copied | tee -a said
grep -q "unrecognized keyword ignored: db_pagesize" complaints
for name in live copied; do grep -qxF "$name [b'orders', b'version'] [(b'1', b'chair')]" said; done
grep -qxF "loaded [b'orders'] [(b'1', b'chair')]" said
