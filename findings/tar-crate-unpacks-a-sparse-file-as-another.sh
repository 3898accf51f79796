#!/usr/bin/env bash
# tar 0.4.46 (crates.io) and BusyBox 1.35.0 (Debian 12), with an archive of Debian's GNU tar.
#
# Guess: a reader that knows GNU tar's sparse files unpacks those of `tar --format=posix --sparse` as well, or refuses them.
# Seen:  it ends well. In the place of `hole`, which is not there, is a directory `GNUSparseFile.N` with a file of that name,
#        whose content is the map of the pieces and then the pieces: 516 bytes of 1048580. The same file in `--format=gnu` comes
#        back whole from the crate; BusyBox, which refuses that one, ends with 0 here.
# So an archive that others made is read with its extended records, and what is unpacked is compared by names and lengths.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
apt-get -qq download busybox-static=1:1.35.0-4+deb12u1+b1 2>/dev/null
dpkg -x busybox-static_*.deb package
mkdir -p unpack/src
cat >unpack/Cargo.toml <<'TOML'
[package]
name = "unpack"
version = "0.0.0"
edition = "2021"

[dependencies]
tar = "=0.4.46"
TOML
cat >unpack/src/main.rs <<'RUST'
fn main() -> std::io::Result<()> {
    let names: Vec<String> = std::env::args().collect();
    tar::Archive::new(std::fs::File::open(&names[1])?).unpack(&names[2])
}
RUST
(cd unpack && cargo build --quiet)
truncate --size=1M hole
echo end >>hole
seen() { (cd "$1" && find . -type f -printf '%P %s\n' | sed 's/GNUSparseFile\.[0-9]*/GNUSparseFile.N/'); }
for format in gnu posix; do
  tar --format="$format" --sparse --create --file="$format.tar" hole
  mkdir "by-crate-$format" "by-busybox-$format"
  unpack/target/debug/unpack "$format.tar" "by-crate-$format" && code=0 || code=$?
  echo "$format, crate: exit code $code, $(seen "by-crate-$format")"
  package/bin/busybox tar -x -f "$format.tar" -C "by-busybox-$format" 2>/dev/null && code=0 || code=$?
  echo "$format, busybox: exit code $code, $(seen "by-busybox-$format")"
done | tee said
cmp hole by-crate-gnu/hole
tail --bytes=4 by-crate-posix/*/hole | grep -qx end
grep -qxF "gnu, crate: exit code 0, hole 1048580" said
grep -qxF "gnu, busybox: exit code 1, " said
grep -qxF "posix, crate: exit code 0, GNUSparseFile.N/hole 516" said
grep -qxF "posix, busybox: exit code 0, GNUSparseFile.N/hole 516" said
