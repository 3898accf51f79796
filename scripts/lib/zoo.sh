#!/usr/bin/env bash
# Real schemas, made by the applications themselves at this moment: each is checked, backed up, dropped, and put back, and what
# pg_dump says of it has to be the same. Prints a line for each, and the figure. Needs the network for packages of Debian and
# PyPI; nothing of theirs is kept. Called by `scripts/faults --full zoo`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
# shellcheck source=scripts/lib/cluster.sh
. scripts/lib/cluster.sh
guard=$(realpath "${GUARD:-target/debug/guard}")
work=$(mktemp -d "${TMPDIR:-/tmp}/guard-zoo.XXXXXX")
trap 'stop_cluster; rm -rf "$work"' EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_cluster "$port" || exit 1
proven=0 refused=0 wrong=0 absent=0

# ask DATABASE SQL…
ask() { psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }
told() { pg_dump --create "$1" | grep -v -e '^\\restrict' -e '^\\unrestrict'; }

# judge NAME: what comes of the database of this name.
judge() {
  local name=$1 place=$work/judge-$1 code stamp
  mkdir -p "$place/app"
  printf 'project = "zoo"\nverify = "none"\nstate_dir = "%s/state"\n[resources.db]\nkind = "postgres"\nurl = "postgres:///%s"\n' "$place" "$name" >"$place/app/guard.toml"
  chmod 600 "$place/app/guard.toml"
  "$guard" -C "$place/app" check >"$place/check" 2>&1 || {
    refused=$((refused + 1))
    echo "refused  $name: $(grep -m1 '^NO' "$place/check" | cut -c1-160)"
    return
  }
  told "$name" >"$place/before"
  "$guard" -C "$place/app" backup >"$place/backup" 2>&1 || {
    wrong=$((wrong + 1))
    echo "WRONG    $name: guard check was passed, and guard backup was not: $(tail -n 3 "$place/backup")"
    return
  }
  stamp=$(find "$place/state/backups" -maxdepth 1 -name '[0-9]*_*' -printf '%f\n' | sort | tail -n 1)
  dropdb "$name"
  "$guard" -C "$place/app" rollback --backup-timestamp="$stamp" --yes --force --data-restore always >"$place/back" 2>&1
  code=$?
  told "$name" >"$place/after" 2>&1
  if cmp -s "$place/before" "$place/after"; then
    proven=$((proven + 1))
    echo "proven   $name: $(ask "$name" "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384") tables"
  else
    wrong=$((wrong + 1))
    echo "WRONG    $name: it did not come back (code $code): $(grep -m1 'why:' "$place/back" | cut -c1-300)"
    diff "$place/before" "$place/after" | head -n 5
  fi
}

# of_debian NAME PACKAGE FILE…: the SQL that a package brings, read by psql; a file that ends in .gz is unpacked.
of_debian() {
  local name=$1 package=$2 file
  shift 2
  mkdir -p "$work/debian/$package"
  if ! (cd "$work/debian/$package" && apt-get download "$package" && dpkg -x "$package"_*.deb .) >"$work/log" 2>&1; then
    absent=$((absent + 1))
    echo "absent   $name: $(tail -n 1 "$work/log")"
    return
  fi
  createdb "$name"
  for file in "$@"; do
    file=$work/debian/$package/$file
    if [ "${file%.gz}" != "$file" ]; then zcat "$file"; else cat "$file"; fi
  done | psql -Xq -d "$name" >"$work/log" 2>&1
  if [ "$(ask "$name" "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384")" = 0 ]; then
    absent=$((absent + 1))
    echo "absent   $name: its own SQL made nothing: $(tail -n 1 "$work/log")"
    return
  fi
  judge "$name"
}

# of_pypi NAME PACKAGES COMMAND…: an application's own migrations, in an environment of its own; PGDATABASE is the database.
of_pypi() {
  local name=$1 packages=$2
  shift 2
  # shellcheck disable=SC2086 # one word each
  if ! { python3 -m venv "$work/$name" && "$work/$name/bin/pip" --quiet install psycopg2-binary $packages; } >"$work/log" 2>&1; then
    absent=$((absent + 1))
    echo "absent   $name: $(tail -n 1 "$work/log")"
    return
  fi
  createdb --template=template0 --encoding=UTF8 --locale=C "$name"
  if ! (cd "$work/$name" && PATH=$work/$name/bin:$PATH PGDATABASE=$name "$@") >"$work/log" 2>&1; then
    absent=$((absent + 1))
    echo "absent   $name: its own migrations failed: $(tail -n 1 "$work/log")"
    return
  fi
  judge "$name"
}

# django APPS: a project of these applications, migrated.
django() {
  cat >settings.py <<PY
import os
SECRET_KEY = "zoo"
USE_TZ = True
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGES = [("en", "English")]
LANGUAGE_CODE = "en"
CMS_CONFIRM_VERSION4 = True
INSTALLED_APPS = ["django.contrib." + name for name in "admin auth contenttypes sessions messages sites flatpages redirects".split()] + "$1".split()
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}}
WAGTAIL_SITE_NAME = "zoo"
PY
  DJANGO_SETTINGS_MODULE=settings PYTHONPATH=. django-admin migrate --skip-checks
}

synapse() {
  cat >homeserver.yaml <<YAML
server_name: zoo
report_stats: false
signing_key_path: $PWD/key
media_store_path: $PWD/media
macaroon_secret_key: zoo
database:
  name: psycopg2
  args: {dbname: $PGDATABASE, host: "$PGHOST", port: $PGPORT, user: $PGUSER}
YAML
  update_synapse_database --database-config homeserver.yaml
}

mlflow_schema() { mlflow db upgrade "postgresql:///$PGDATABASE?host=$PGHOST&port=$PGPORT&user=$PGUSER"; }

for role in roundcube icinga zabbix bacula; do ask postgres "CREATE ROLE $role"; done
of_debian roundcube roundcube-core usr/share/roundcube/SQL/postgres.initial.sql
of_debian powerdns pdns-backend-pgsql usr/share/pdns-backend-pgsql/schema/schema.pgsql.sql
of_debian zabbix zabbix-server-pgsql usr/share/zabbix-server-pgsql/{schema,images,data}.sql.gz
of_debian kea kea-admin usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql
of_debian freeradius freeradius-config etc/freeradius/3.0/mods-config/sql/main/postgresql/schema.sql etc/freeradius/3.0/mods-config/sql/ippool/postgresql/{schema,procedure}.sql
of_debian rsyslog rsyslog-pgsql usr/share/dbconfig-common/data/rsyslog-pgsql/install/pgsql
of_debian bacula bacula-director-pgsql usr/share/dbconfig-common/data/bacula-director-pgsql/install/pgsql
of_debian tinyrss tt-rss usr/share/tt-rss/schema/ttrss_schema_pgsql.sql
of_debian ejabberd ejabberd usr/share/ejabberd/sql/pg.sql
of_debian icinga icinga2-ido-pgsql usr/share/icinga2-ido-pgsql/schema/pgsql.sql
of_debian gammu gammu-smsd usr/share/doc/gammu-smsd/examples/pgsql.sql
of_debian jabberd jabberd2 usr/share/doc/jabberd2/db-setup.pgsql.gz
of_debian mediawiki mediawiki usr/share/mediawiki/maintenance/postgres/tables{-generated,}.sql
of_pypi django django django ""
of_pypi wagtail wagtail django "wagtail.contrib.forms wagtail.contrib.redirects wagtail.embeds wagtail.sites wagtail.users wagtail.snippets wagtail.documents wagtail.images wagtail.search wagtail.admin wagtail modelcluster taggit"
of_pypi djangocms "django-cms djangocms-text easy-thumbnails django-filer" django "cms menus treebeard filer easy_thumbnails"
of_pypi celerybeat "django-celery-beat django-celery-results" django "django_celery_beat django_celery_results"
of_pypi oauth "django-oauth-toolkit djangorestframework" django "oauth2_provider rest_framework rest_framework.authtoken"
of_pypi synapse matrix-synapse synapse
of_pypi mlflow mlflow mlflow_schema
printf 'FIGURE\tR18\tPostgres: real schemas that are called proven come back, 100 %%\t%s of %s, %s refused before, %s not to be had\tscripts/faults --full zoo\n' \
  "$proven" "$((proven + wrong))" "$refused" "$absent"
[ "$wrong" = 0 ] && [ "$proven" -ge 10 ]
