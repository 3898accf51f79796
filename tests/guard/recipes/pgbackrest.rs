//! A cluster of Postgres that goes back to a restore point by pgBackRest.

use std::os::unix::fs::MetadataExt;

use super::{Recipe, port};

struct Postgres(Recipe);

impl Drop for Postgres {
    fn drop(&mut self) {
        self.0.sh("./service stop postgresql");
    }
}

#[test]
fn a_cluster_goes_back_to_a_restore_point_by_its_recipe() {
    let mut recipe = Recipe::of("pgbackrest.md", &[]);
    let (port, home) = (port(), recipe.place("postgres"));
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    // Postgres refuses to run as root.
    let server = "setpriv --reuid=postgres --regid=postgres --clear-groups --";
    let server = if is_root { server } else { "" };
    let bin = recipe
        .sh("ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1")
        .trim()
        .to_owned();
    for (name, value) in [
        ("AS", server),
        ("H", &home),
        ("BIN", &bin),
        ("PGHOST", &format!("{home}/socket")),
        ("PGPORT", &port.to_string()),
        ("PGUSER", "postgres"),
        ("PGBACKREST_CONFIG", &format!("{home}/pgbackrest.conf")),
        ("POSTGRES_SERVICE", "./service"),
    ] {
        recipe.env(name, value);
    }
    recipe.sh("mkdir -p $H/socket $H/log $H/repository $H/lock $H/data");
    std::fs::write(
        recipe.path("postgres/pgbackrest.conf"),
        format!(
            "[global]\nrepo1-path={home}/repository\nrepo1-retention-full=2\nlog-path={home}/log\nlock-path={home}/lock\n\
             start-fast=y\n[main]\npg1-path={home}/data\npg1-port={port}\npg1-socket-path={home}/socket\npg1-user=postgres\n"
        ),
    )
    .unwrap();
    if is_root {
        recipe.sh("chown -R postgres:postgres $H");
    }
    recipe.sh("cd /; $AS $BIN/initdb -D $H/data -U postgres --no-sync -A trust >/dev/null");
    recipe.sh("cat >>$H/data/postgresql.conf <<END
port = $PGPORT
listen_addresses = ''
fsync = off
unix_socket_directories = '$H/socket'
archive_mode = on
archive_command = 'pgbackrest --config=$PGBACKREST_CONFIG --stanza=main archive-push %p'
END");
    recipe.script(
        "service",
        "#!/bin/sh\ncd /\ncase $1 in\n\
         stop) $AS $BIN/pg_ctl -D $H/data -m fast -w stop || true ;;\n\
         start) env -u GUARD_ACT -u GUARD_TOKEN -u GUARD_RESOURCE $AS $BIN/pg_ctl -D $H/data -w -l $H/log/server start ;;\nesac\n",
    );
    recipe.sh("./service start postgresql >/dev/null");
    let postgres = Postgres(recipe);
    postgres.0.sh("$AS psql -q -d postgres -c 'create database shop'");
    postgres.0.sh(
        "$AS psql -q -d shop -c \"create table people (id int primary key, name text); \
         insert into people select n, 'name ' || n from generate_series(1, 500) n\"",
    );
    postgres
        .0
        .sh("cd /; $AS pgbackrest --stanza=main stanza-create; $AS pgbackrest --stanza=main --type=full backup");
    postgres
        .0
        .sh("$AS psql -q -d shop -c \"update people set name = 'later' where id = 9\"");
    let observe = || {
        postgres
            .0
            .sh("$AS psql -X -A -t -d shop -c '\\d people' -c 'table people order by id' -c '\\dt'")
    };
    postgres.0.holds(
        "$AS psql -q -d shop -c 'alter table people drop column name; delete from people where id > 400; create table new (x int)'",
        "test \"$($AS psql -A -t -d shop -c 'select name from people where id = 9')\" = later",
        &observe,
    );
}
