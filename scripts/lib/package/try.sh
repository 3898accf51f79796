# Installs each package in a fresh container without a network, runs it, removes it, and looks for what is left. Sourced.
# shellcheck shell=bash disable=SC2154 # What scripts/package has set: into, version, program.

# As scripts/setup makes it: Debian with git, and nothing of guard's.
fresh=guard-test/debian:trixie

# in_fresh MOUNT…: runs the script on standard input in a container of its own.
in_fresh() {
  docker run --rm --interactive --network none --label guard.test=1 --volume "$into:/packages:ro" "$fresh" bash -euo pipefail -s
}

try_deb() {
  in_fresh <<'IN'
listed() { find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/lib/dpkg -o -path /var/log -o -path /root \) -prune -o -print | sort; }
listed >/tmp/before
dpkg --install /packages/guard_*.deb >/dev/null
guard --version
man=/usr/share/man/man1/guard-deploy.1.gz
{ [ -s "$man" ] || grep -qs 'path-exclude=/usr/share/man' /etc/dpkg/dpkg.cfg.d/*; } || { echo "$man is missing" >&2; exit 1; }
[ -s /usr/lib/systemd/system/guard-resume.service ]
guard demo >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }
grep -q 'old, verified' /tmp/said
(cd /usr/bin && sha256sum guard)
dpkg --purge guard >/dev/null
listed >/tmp/after
diff /tmp/before /tmp/after
IN
}

try_tarball() {
  in_fresh <<'IN'
cd /tmp && tar xzf /packages/guard-*-linux-*.tar.gz && cd guard-*
! ldd bin/guard 2>/dev/null | grep '=>' || echo "the program is not static: it was packed by --program" >&2
bin/guard demo >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }
grep -q 'old, verified' /tmp/said
IN
}

# Nothing is in it but the program, so that one that needs a C library cannot run.
try_image() {
  docker load --quiet --input "$into/guard-$version-image.tar.gz" >/dev/null
  if ldd "$program" 2>/dev/null | grep -q 'libc\.so'; then
    echo "the program is not static: the image is not tried" >&2
    return
  fi
  docker run --rm --network none --label guard.test=1 "guard:$version" --version
}
