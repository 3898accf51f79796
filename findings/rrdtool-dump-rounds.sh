#!/usr/bin/env bash
# rrdtool 1.7.2 (Debian 12).
#
# Guess: `rrdtool dump` and `rrdtool restore`, the way to bring a database to another machine, keep the values: XML has room for
#        a double, and counters of bytes need it.
# Seen:  both end with 0. The dump writes ten digits after the point, 1.2345678901e+12, so that 1234567890123.25 comes back as
#        1234567890100. A dump of what was restored is equal to the first, byte by byte.
# So a dump that is equal to a dump of its restore proves nothing: the values have to be compared where they are stored.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download rrdtool=1.7.2-4+b8 librrd8=1.7.2-4+b8 libdbi1=0.9.0-6 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find root -name librrd.so.8)")
export LD_LIBRARY_PATH
rrdtool=root/usr/bin/rrdtool
[ "$("$rrdtool" --version | head -n 1 | cut -d ' ' -f 1,2)" = "RRDtool 1.7.2" ]
"$rrdtool" create live.rrd --start 1000000000 --step 60 DS:bytes:GAUGE:120:U:U RRA:LAST:0.5:1:10
"$rrdtool" update live.rrd 1000000020:0 1000000080:1234567890123.25
"$rrdtool" dump live.rrd live.xml
"$rrdtool" restore live.xml restored.rrd
"$rrdtool" dump restored.rrd restored.xml
cat >values.py <<'PYTHON'
import struct
import sys

# The round robin archive, ten doubles, is the end of the file.
with open(sys.argv[1], "rb") as file:
    values = struct.unpack("<10d", file.read()[-80:])
print(sys.argv[1], [value for value in values if value == value])
PYTHON
for name in live restored; do python3 values.py "$name.rrd"; done | tee said
cmp live.xml restored.xml
grep -qxF "live.rrd [1234567890123.25]" said
grep -qxF "restored.rrd [1234567890100.0]" said
