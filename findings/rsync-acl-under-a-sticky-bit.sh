#!/usr/bin/env bash
# rsync 3.2.7 (Debian 12), with getfacl and setfacl of Debian's acl.
#
# Guess: `rsync -aA` gives a copy the access list of the original, and a second run of it finds nothing to do.
# Seen:  where a directory has the sticky bit, and the entry of the owning group says the same as the mask, the copy's entry of
#        the owning group is empty: `group::r-x` becomes `group::---`, with exit code 0. Each later run lists the directory as
#        changed, and mends nothing. With the setgid bit instead, or with a wider mask, the list comes over as it is.
# So a copy is not judged by rsync alone: getfacl is asked on both sides, and what rsync's own copy differs in is known first.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download rsync=3.2.7-1+deb12u6 2>/dev/null
dpkg -x rsync_*.deb package
rsync=$room/package/usr/bin/rsync
[ "$("$rsync" --version | head -n 1 | tr -s ' ')" = "rsync version 3.2.7 protocol version 32" ]

copied() {
  rm -rf from to
  mkdir -p from/common to
  setfacl -m u:1234:---,g::r-x,m::"$2" from/common
  chmod "$1" from/common
  "$rsync" -aA from/ to/
  printf '%s, mask %s: %s; again: %s\n' "$1" "$2" "$(getfacl -cn to/common | grep '^group::' | cut -f 1)" \
    "$("$rsync" -aAi from/ to/ | tr -s ' ')"
}
{
  copied 1750 r-x
  copied 2750 r-x
  copied 1770 rwx
} | tee said
grep -qxF "2750, mask r-x: group::r-x; again: " said
grep -qxF "1770, mask rwx: group::r-x; again: " said
grep -qxE '1750, mask r-x: group::---; again: \.d\.{7}a\.+ common/' said
