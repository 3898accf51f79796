#!/usr/bin/env bash
# obstore 0.12.1 (PyPI), the Python side of the Rust crate object_store.
#
# Guess: `list` of a `LocalStore` names every file below the directory, as `list` of any other store names every object.
# Seen:  a file whose name ends in `#` and digits, `invoice#12`, is in no list, and nothing is said of it; `invoice#b` is there.
#        Only who asks for the one by its name is told that such names are not supported.
# So a copy of a directory is counted against the directory itself, and not against the list that it was made from.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: obstore==0.12.1
mkdir files
for name in 'invoice#12' 'invoice#b' 'invoice'; do echo "$name" >"files/$name"; done
cat >look.py <<'PYTHON'
import obstore
from obstore.store import LocalStore

store = LocalStore("files")
print("list:", sorted(entry["path"] for page in obstore.list(store) for entry in page))
print("list_with_delimiter:", sorted(entry["path"] for entry in obstore.list_with_delimiter(store)["objects"]))
try:
    obstore.get(store, "invoice#12")
except Exception as error:
    print("get:", str(error).splitlines()[0])
PYTHON
venv/bin/python look.py | tee said
grep -qxF "list: ['invoice', 'invoice#b']" said
grep -qxF "list_with_delimiter: ['invoice', 'invoice#b']" said
grep -q "^get: .*are not supported: invoice#12" said
