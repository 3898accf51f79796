#!/usr/bin/env bash
# zstandard 0.25.0 (PyPI), with a file of pzstd 1.5.4 (Debian 12).
#
# Guess: the streaming calls of one decompressor give the same bytes of one valid file, or raise an error.
# Seen:  pzstd, which compresses with all cores, begins with a frame that is to be skipped and writes many after it.
#        `read_to_iter` gives no byte of it, and no error. Of two files of zstd, one behind the other, it gives the first alone.
#        `stream_reader` and `copy_stream` give all, with no other setting.
# So a decompressed backup is proven by its length and digest, and never by a reader that came to an end.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download zstd=1.5.4+dfsg2-5+deb12u1 2>/dev/null
dpkg -x zstd_*.deb package
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: zstandard==0.25.0
head --bytes=3000000 /dev/zero >plain
package/usr/bin/pzstd --quiet -o pzstd.zst plain
package/usr/bin/zstd --quiet --stdout plain plain >twice.zst
package/usr/bin/zstd --quiet --test pzstd.zst twice.zst
cat >read.py <<'PYTHON'
import io
import sys

import zstandard

for name in sys.argv[1:]:
    with open(name, "rb") as file:
        kept = file.read()
    copied = io.BytesIO()
    zstandard.ZstdDecompressor().copy_stream(io.BytesIO(kept), copied)
    streamed = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(kept)).read()
    pieces = b"".join(zstandard.ZstdDecompressor().read_to_iter(io.BytesIO(kept)))
    print(f"{name}: copy_stream {len(copied.getvalue())}, stream_reader {len(streamed)}, read_to_iter {len(pieces)}")
PYTHON
venv/bin/python read.py pzstd.zst twice.zst | tee said
grep -qxF "pzstd.zst: copy_stream 3000000, stream_reader 3000000, read_to_iter 0" said
grep -qxF "twice.zst: copy_stream 6000000, stream_reader 6000000, read_to_iter 3000000" said
