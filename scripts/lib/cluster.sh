# A private Postgres cluster of the host's own binaries, for demos and measurements. Sourced.
# shellcheck shell=bash

# Postgres refuses to run as root.
as_server() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@")
  else
    "$@"
  fi
}

# start_cluster PORT [SETTINGS…]: a cluster in a directory of its own, `$cluster`; psql finds it by the environment.
start_cluster() {
  local port=$1 settings=''
  shift
  pg_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [ -x "$pg_bin/initdb" ] || {
    echo "Postgres is not installed here (Debian: postgresql)" >&2
    return 1
  }
  # Apart from guard's own directories, which nobody else may own.
  cluster=$(mktemp -d "${TMPDIR:-/tmp}/guard-cluster.XXXXXX")
  [ "$(id -u)" != 0 ] || chown postgres "$cluster"
  as_server "$pg_bin/initdb" -D "$cluster/data" --username=shop --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  for setting in "$@"; do settings="$settings -c $setting"; done
  as_server "$pg_bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -w \
    -o "-p $port -c listen_addresses='' -c unix_socket_directories='$cluster'$settings" start >/dev/null
  export PGHOST=$cluster PGPORT=$port PGUSER=shop
}

stop_cluster() {
  [ -n "${cluster:-}" ] || return 0
  [ ! -f "$cluster/data/postmaster.pid" ] || as_server "$pg_bin/pg_ctl" -D "$cluster/data" -w -m immediate stop >/dev/null
  rm -rf "$cluster"
}
