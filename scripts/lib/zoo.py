#!/usr/bin/env python3
"""Real schemas, made by the applications themselves at this moment, on Postgres and MariaDB: scripts/faults --full zoo."""

import argparse
import glob
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HELP = """Each application of the list installs its pinned version into a directory that goes away, makes its schema by its own
migrations, and gets rows. Then guard checks it and backs it up with a proof, the database is dropped, guard goes back, and
what pg_dump or mariadb-dump says has to be the same. Prints a line for each, and the figures. Needs the packages of Debian
and PyPI, and the images of scripts/setup; nothing of theirs is kept. GUARD is the program (target/debug/guard)."""

SERVERS = ["postgres", "postgres-17", "mariadb", "mariadb-11"]
ROUNDS = 3


def run(words, **more):
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.STDOUT)
    return subprocess.run(words, **more)


def text(output):
    return (output.stdout or b"").decode(errors="replace")


def last(told):
    lines = [line for line in told.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def as_user(user, words):
    root = os.geteuid() == 0
    return (["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"] if root else []) + words


def plain(line):
    """A condition on a list without casts and parentheses: the server words it in another way once it was restored."""
    if b"ARRAY[" in line:
        for word in (b"::character varying", b"::text[]", b"::text", b"(", b")"):
            line = line.replace(word, b"")
    return line


class Compose:
    """A project of one service, a server of a later version; its programs run inside."""

    def __init__(self, place, image, environment, port, inside):
        self.name = f"guard-zoo-{os.getpid()}-{inside}"
        self.file = f"{place}/compose.yml"
        lines = "".join(f"      {key}: {value}\n" for key, value in environment.items())
        with open(self.file, "w") as file:
            file.write(f"name: {self.name}\nservices:\n  db:\n    image: {image}\n    pull_policy: never\n"
                       f"    environment:\n{lines}    ports: [\"127.0.0.1:{port}:{inside}\"]\n")
        up = self.call("up", "--detach", "--wait")
        if up.returncode:
            self.stop()
            sys.exit(text(up))
        self.id = text(self.call("ps", "--quiet", "db")).strip()

    def call(self, *words):
        return run(["docker", "compose", "--file", self.file, *words])

    def words(self, *words):
        return ["docker", "exec", "--interactive", self.id, *words]

    def settings(self):
        return f'[compose]\nfiles = ["{self.file}"]\nproject = "{self.name}"\n'

    def stop(self):
        self.call("down", "--volumes", "--timeout", "2")


class Postgres:
    """A server of this kind: of the host's own programs, or in a service."""

    kind = "postgres"
    sqlalchemy = "postgresql+psycopg2"

    def __init__(self, place, is_later):
        self.name = "postgres-17" if is_later else "postgres"
        self.port, self.user, self.password, self.host = free_port(), "zoo", "zoo", "127.0.0.1"
        self.compose, self.cluster = None, None
        if is_later:
            environment = {"POSTGRES_USER": self.user, "POSTGRES_PASSWORD": self.password}
            self.compose = Compose(place, "guard-test/postgres:17", environment, self.port, 5432)
        else:
            self.start(place)

    def start(self, place):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
        self.cluster = f"{place}/cluster"
        os.mkdir(self.cluster)
        shutil.chown(self.cluster, "postgres") if os.geteuid() == 0 else None
        secret = f"{place}/secret"
        with open(secret, "w") as file:
            file.write(self.password)
        os.chmod(secret, 0o644)
        words = [f"{self.bin}/initdb", "-D", f"{self.cluster}/data", f"--username={self.user}", "--auth-local=trust",
                 "--auth-host=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = run(as_user("postgres", words), cwd="/")
        options = f"-p {self.port} -c unix_socket_directories={self.cluster} -c fsync=off -c listen_addresses=127.0.0.1"
        words = [f"{self.bin}/pg_ctl", "-D", f"{self.cluster}/data", "-l", f"{self.cluster}/log", "-w", "-o", options, "start"]
        # What stays running must not hold the pipe.
        if made.returncode or run(as_user("postgres", words), cwd="/", stdout=subprocess.DEVNULL).returncode:
            sys.exit(text(made))

    def stop(self):
        if self.compose:
            self.compose.stop()
        else:
            run(as_user("postgres", [f"{self.bin}/pg_ctl", "-D", f"{self.cluster}/data", "-w", "-m", "immediate", "stop"]), cwd="/")

    def program(self, program, *words):
        if self.compose:
            return self.compose.words(program, "-U", self.user, *words)
        return [f"{self.bin}/{program}", "-h", self.cluster, "-p", str(self.port), "-U", self.user, *words]

    def feed(self, database, script, stops=False):
        words = self.program("psql", "-Xq", "-v", f"ON_ERROR_STOP={int(stops)}", "-d", database)
        return run(words, input=script if isinstance(script, bytes) else script.encode())

    def ask(self, database, script):
        told = run(self.program("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database), input=script.encode())
        return text(told).strip()

    def create(self, database):
        self.feed("postgres", f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';", True)

    def drop(self, database):
        return self.feed("postgres", f"DROP DATABASE {database} WITH (FORCE);", True)

    def told(self, database):
        dump = run(self.program("pg_dump", "--create", "-d", database))
        lines = [line for line in dump.stdout.splitlines() if not line.startswith((b"\\restrict", b"\\unrestrict"))]
        return b"\n".join(map(plain, lines)) if dump.returncode == 0 else None

    def settings(self, database):
        if self.compose:
            return f'{self.compose.settings()}[resources.db]\nkind = "postgres"\nservice = "db"\ndatabase = "{database}"\nproof = "restore"\n'
        url = f"postgres://{self.user}@/{database}?host={self.cluster}&port={self.port}"
        return f'[resources.db]\nkind = "postgres"\nurl = "{url}"\nproof = "restore"\n'

    def tables(self, database):
        return self.ask(database, "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p') "
                                  "AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_'")

    def columns(self, database):
        """Of each column that has no value of its own: table, column, type, longest, nullable, what it refers to, labels."""
        script = """SELECT json_agg(json_build_array(t.oid::regclass::text, quote_ident(a.attname), b.typname, b.typcategory,
            CASE WHEN b.typname IN ('varchar', 'bpchar') AND m > 4 THEN m - 4 END, NOT a.attnotnull,
            (SELECT json_build_array(f.confrelid::regclass::text, quote_ident(p.attname)) FROM pg_constraint f
                JOIN pg_attribute p ON p.attrelid = f.confrelid AND p.attnum = f.confkey[array_position(f.conkey, a.attnum)]
                WHERE f.contype = 'f' AND f.conrelid = t.oid AND a.attnum = ANY (f.conkey) LIMIT 1),
            (SELECT enumlabel FROM pg_enum WHERE enumtypid = b.oid ORDER BY enumsortorder LIMIT 1)) ORDER BY t.oid, a.attnum)
        FROM pg_class t JOIN pg_namespace s ON s.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type y ON y.oid = a.atttypid JOIN pg_type b ON b.oid = coalesce(nullif(y.typbasetype, 0), y.oid)
        CROSS JOIN LATERAL (SELECT CASE WHEN y.typbasetype <> 0 THEN y.typtypmod ELSE a.atttypmod END AS m) l
        WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
            AND a.attidentity = '' AND a.attgenerated = ''
            AND NOT EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = t.oid AND d.adnum = a.attnum);"""
        return json.loads(self.ask(database, script) or "null") or []

    def value(self, column, n):
        name, kind, category, longest, label = column[1], column[2], column[3], column[4], column[7]
        if label is not None:
            return "'" + label.replace("'", "''") + "'"
        known = {"bool": "true", "date": "DATE '2026-01-01' + %d" % n, "json": "'{\"n\": %d}'" % n, "jsonb": "'{\"n\": %d}'" % n,
                 "uuid": "gen_random_uuid()", "inet": f"'10.0.0.{n}'", "cidr": f"'10.0.{n}.0/24'", "macaddr": f"'08:00:2b:01:02:0{n}'",
                 "bytea": f"'\\x00ff0{n}'", "tsvector": f"'word{n}'", "xml": f"'<n>{n}</n>'", "timestamp": f"TIMESTAMP '2026-01-01' + {n} * interval '1 h'",
                 "timestamptz": f"TIMESTAMPTZ '2026-01-01' + {n} * interval '1 h'", "time": "'12:00'", "interval": f"'{n} days'", "hstore": f"'a=>{n}'", "ltree": f"'a.n{n}'"}
        if kind in known:
            return known[kind]
        if category == "N":
            return str(n)
        if category == "A":
            return "'{}'"
        if category == "S" or kind == "citext":
            word = f"{name.strip(chr(34))[:20]} é{n}"
            return f"'{word[-longest:] if longest else word}'"
        return "NULL"


class MariaDb:
    """The same for the other kind."""

    kind = "mariadb"
    sqlalchemy = "mysql+pymysql"

    def __init__(self, place, is_later):
        self.name = "mariadb-11" if is_later else "mariadb"
        self.port, self.user, self.password, self.host = free_port(), "zoo", "zoo", "127.0.0.1"
        self.compose, self.child = None, None
        if is_later:
            environment = {"MARIADB_ROOT_PASSWORD": "x", "MARIADB_DATABASE": "other"}
            self.compose = Compose(place, "guard-test/mariadb:11", environment, self.port, 3306)
        else:
            self.start(place)
        users = "; ".join(f"CREATE USER zoo@'{host}' IDENTIFIED BY 'zoo'; GRANT ALL ON *.* TO zoo@'{host}' WITH GRANT OPTION" for host in ("%", "localhost"))
        told = self.feed("mysql", users + ";", True)
        if told.returncode:
            sys.exit(text(told))

    def start(self, place):
        self.root = f"{place}/server"
        os.mkdir(self.root)
        shutil.chown(self.root, "mysql") if os.geteuid() == 0 else None
        words = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                 f"--datadir={self.root}/data", f"--tmpdir={self.root}"]
        run(as_user("mysql", words), cwd="/")
        words = ["mariadbd", "--no-defaults", f"--port={self.port}", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0",
                 "--skip-name-resolve", f"--datadir={self.root}/data", f"--socket={self.root}/s", f"--pid-file={self.root}/pid", f"--tmpdir={self.root}"]
        with open(f"{place}/log", "w") as log:
            self.child = subprocess.Popen(as_user("mysql", words), cwd="/", stdout=log, stderr=log)
        for _ in range(300):
            if self.feed("", "SELECT 1", True).returncode == 0:
                return
            time.sleep(0.2)
        sys.exit("the MariaDB server does not come up")

    def stop(self):
        if self.compose:
            self.compose.stop()
        else:
            self.child.kill()
            self.child.wait()

    def program(self, program, *words):
        if self.compose:
            return self.compose.words(program, "--user=root", "--password=x", "--default-character-set=utf8mb4", *words)
        return [program, "--no-defaults", "--user=root", f"--socket={self.root}/s", "--default-character-set=utf8mb4", *words]

    def feed(self, database, script, stops=False):
        words = ["--batch", "--skip-column-names"] + ([] if stops else ["--force"]) + ([f"--database={database}"] if database else [])
        return run(self.program("mariadb", *words), input=script if isinstance(script, bytes) else script.encode())

    def ask(self, database, script):
        told = run(self.program("mariadb", "--batch", "--skip-column-names", "--raw", f"--database={database}"), input=script.encode())
        return text(told).strip()

    def create(self, database):
        self.feed("", f"CREATE DATABASE {database} CHARACTER SET utf8mb4;", True)

    def drop(self, database):
        return self.feed("", f"DROP DATABASE {database};", True)

    def told(self, database):
        dump = run(self.program("mariadb-dump", "--routines", "--triggers", "--events", "--hex-blob", "--skip-comments",
                                "--order-by-primary", "--databases", database), stderr=subprocess.PIPE)
        return dump.stdout if dump.returncode == 0 else None

    def settings(self, database):
        if self.compose:
            return f'{self.compose.settings()}[resources.db]\nkind = "mariadb"\nservice = "db"\ndatabase = "{database}"\nproof = "restore"\n'
        return f'[resources.db]\nkind = "mariadb"\nurl = "mariadb://zoo:zoo@localhost/{database}?socket={self.root}/s"\nproof = "restore"\n'

    def tables(self, database):
        return self.ask(database, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'")

    def columns(self, database):
        script = """SELECT JSON_ARRAY(CONCAT('`', c.TABLE_NAME, '`'), CONCAT('`', c.COLUMN_NAME, '`'), DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH,
            IS_NULLABLE = 'YES', (SELECT JSON_ARRAY(CONCAT('`', k.REFERENCED_TABLE_NAME, '`'), CONCAT('`', k.REFERENCED_COLUMN_NAME, '`'))
                FROM information_schema.KEY_COLUMN_USAGE k WHERE k.TABLE_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME
                AND k.COLUMN_NAME = c.COLUMN_NAME AND k.REFERENCED_TABLE_SCHEMA = DATABASE() LIMIT 1))
        FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME) WHERE c.TABLE_SCHEMA = DATABASE()
            AND TABLE_TYPE = 'BASE TABLE' AND EXTRA NOT LIKE '%auto_increment%' AND EXTRA NOT LIKE '%GENERATED%'
            AND (COLUMN_DEFAULT IS NULL OR COLUMN_DEFAULT = 'NULL') ORDER BY c.TABLE_NAME, ORDINAL_POSITION;"""
        return [json.loads(line) for line in self.ask(database, script).splitlines() if line.startswith("[")]

    def value(self, column, n):
        name, kind, form, longest = column[1], column[2], column[3], column[4]
        if kind in ("enum", "set"):
            return form.split("(", 1)[1].split(",")[0].rstrip(")")
        if kind in ("varchar", "char", "text", "tinytext", "mediumtext", "longtext"):
            word = f"{name.strip('`')[:20]} é{n}"
            return f"'{word[-longest:]}'" if longest else "''"
        known = {"date": f"'2026-01-0{n}'", "datetime": f"'2026-01-0{n} 12:00:00'", "timestamp": f"'2026-01-0{n} 12:00:00'", "time": f"'12:0{n}:00'",
                 "year": "2026", "uuid": "UUID()", "inet6": f"'::{n}'", "inet4": f"'10.0.0.{n}'", "json": "'{}'", "bit": "1"}
        if kind in known:
            return known[kind]
        if "binary" in kind or "blob" in kind:
            return f"x'00{n:02x}'"
        return str(n)


def fill(server, database):
    """Puts rows into as many tables as take them, each by itself, parents before those that refer to them in a later round."""
    tables = {}
    for column in server.columns(database):
        tables.setdefault(column[0], []).append(column)
    script = []
    for n in range(1, ROUNDS + 1):
        for table, columns in tables.items():
            values = []
            for column in columns:
                other = column[6]
                if other and other[0] == table and column[5]:
                    values.append("NULL")
                elif other:
                    values.append(f"(SELECT {other[1]} FROM {other[0]} ORDER BY 1 DESC LIMIT 1)")
                else:
                    values.append(server.value(column, n))
            script.append(f"INSERT INTO {table} ({', '.join(column[1] for column in columns)}) SELECT {', '.join(values)};")
    server.feed(database, "\n".join(script))
    count = "\n".join(f"SELECT COUNT(*) FROM {table};" for table in tables)
    counts = [int(line) for line in server.ask(database, count).splitlines() if line.isdigit()]
    return sum(counts), sum(1 for count in counts if count)


class Zoo:
    def __init__(self, options):
        self.options = options
        self.guard = os.path.realpath(os.environ.get("GUARD", "target/debug/guard"))
        self.work = tempfile.mkdtemp(prefix="guard-zoo.")
        os.chmod(self.work, 0o755)
        self.counts = {}
        self.absent = []
        self.open_and_stuck = []
        self.opened = 0

    def count(self, server, what):
        key = (server.name, what)
        self.counts[key] = self.counts.get(key, 0) + 1

    def call(self, place, *words):
        environment = dict(os.environ, NO_COLOR="1", GUARD_STATE_ROOT=f"{self.work}/states", CI="")
        for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
            environment.pop(name, None)
        told = run([self.guard, "-C", place, *words], env=environment, stdin=subprocess.DEVNULL)
        return told.returncode, text(told)

    def judge(self, server, name, version):
        """What comes of the database of this name."""
        rows, full = fill(server, name)
        place = f"{self.work}/judge-{server.name}-{name}"
        os.makedirs(f"{place}/app")
        with open(f"{place}/app/guard.toml", "w") as file:
            file.write(f'project = "zoo-{name}"\nverify = "none"\nstate_dir = "{place}/state"\n{server.settings(name)}')
        os.chmod(f"{place}/app/guard.toml", 0o600)
        label = f"{server.name:11} {name} ({version})"
        code, told = self.call(f"{place}/app", "check")
        if code:
            self.count(server, "refused")
            why = [line for line in told.splitlines() if "NO" in line.split(" ")[:1]] or [last(told)]
            return self.say("refused", label, why[0][:300])
        self.opened += 1
        before = server.told(name)
        code, told = self.call(f"{place}/app", "backup")
        if code:
            self.open_and_stuck.append(name)
            self.count(server, "wrong")
            return self.say("WRONG", label, f"guard check was passed, and guard backup was not: {told[-600:]}")
        stamp = sorted(os.path.basename(path) for path in glob.glob(f"{place}/state/backups/[0-9]*_*"))[-1]
        dropped = server.drop(name)
        if dropped.returncode:
            sys.exit(text(dropped))
        code, told = self.call(f"{place}/app", "rollback", f"--backup-timestamp={stamp}", "--yes", "--force", "--data-restore", "always")
        after = server.told(name)
        if before and before == after:
            self.count(server, "back")
            self.say("back", label, f"{server.tables(name)} tables, {full} of them with rows, {rows} rows added")
        else:
            if code:
                self.open_and_stuck.append(name)
            self.count(server, "wrong")
            self.say("WRONG", label, f"it did not come back (code {code}): {told[-900:]}")
            for path, what in (("before", before), ("after", after)):
                with open(f"{place}/{path}", "wb") as file:
                    file.write(what or b"")
            print(text(run(["diff", f"{place}/before", f"{place}/after"]))[:1500], flush=True)
        server.drop(name)
        return None

    def say(self, what, label, more):
        print(f"{what:8} {label}: {more}", flush=True)

    def lack(self, server, name, why):
        self.absent.append(name)
        self.say("absent", f"{server.name:11} {name}", why)

    def of_debian(self, server, name, package, files):
        place = f"{self.work}/debian/{package}"
        if not os.path.isdir(place):
            os.makedirs(place)
            script = f"apt-get download {package} && dpkg -x {package}_*.deb . && dpkg-deb -f {package}_*.deb Version >version"
            got = run(["sh", "-c", script], cwd=place)
            if got.returncode:
                return self.lack(server, name, last(text(got)))
        version = open(f"{place}/version").read().strip() if os.path.exists(f"{place}/version") else "?"
        server.create(name)
        said = ""
        for pattern in files:
            for path in sorted(glob.glob(f"{place}/{pattern}")) or [pattern]:
                script = run(["zcat" if path.endswith(".gz") else "cat", path], stderr=subprocess.DEVNULL).stdout
                for word, other in (("@dbname@", name), ("_DBC_DBNAME_", name), ("_DBC_DBUSER_", server.user)):
                    script = script.replace(word.encode(), other.encode())
                said += text(server.feed(name, script))
        if server.tables(name) in ("0", ""):
            server.drop(name)
            return self.lack(server, name, f"its own SQL made nothing: {last(said)}")
        return self.judge(server, name, f"{package} {version}")

    def of_pypi(self, server, name, packages, script):
        place = f"{self.work}/pypi/{name}"
        if not os.path.isdir(place):
            drivers = ["psycopg2-binary", "pymysql", "cryptography"]
            script_of = f"python3 -m venv {place} && {place}/bin/pip --quiet install --no-input {' '.join(map(shlex.quote, drivers + packages))}"
            got = run(["sh", "-c", script_of])
            if got.returncode:
                return self.lack(server, name, last(text(got)))
        server.create(name)
        url = f"{server.sqlalchemy}://{server.user}:{server.password}@{server.host}:{server.port}/{name}"
        environment = dict(os.environ, PATH=f"{place}/bin:{os.environ['PATH']}", ZOO_URL=url, ZOO_KIND=server.kind, ZOO_NAME=name, ZOO_HOST=server.host,
                           ZOO_PORT=str(server.port), ZOO_USER=server.user, ZOO_PASSWORD=server.password, HOME=place, PYTHONPATH=place,
                           PGHOST=server.host, PGPORT=str(server.port), PGUSER=server.user, PGPASSWORD=server.password)
        made = run(["bash", "-ec", script], cwd=place, env=environment)
        with open(f"{place}/log-{server.name}", "wb") as file:
            file.write(made.stdout)
        if made.returncode:
            server.drop(name)
            return self.lack(server, name, f"its own migrations failed: {last(text(made))}")
        return self.judge(server, name, packages[0].replace("==", " "))

    def all(self):
        for wanted in self.options.servers.split(","):
            place = f"{self.work}/{wanted}"
            os.mkdir(place)
            kind = Postgres if wanted.startswith("postgres") else MariaDb
            server = kind(place, wanted not in ("postgres", "mariadb"))
            try:
                if kind is Postgres:
                    for role in ("roundcube", "icinga", "zabbix", "bacula", "kea"):
                        server.feed("postgres", f"CREATE ROLE {role};")
                for name, how in APPLICATIONS.items():
                    if self.options.names and name not in self.options.names:
                        continue
                    files = how.get(server.kind)
                    if "script" in how and files is not False:
                        self.of_pypi(server, name, how["packages"], how["script"])
                    elif files:
                        self.of_debian(server, name, files[0], files[1:])
            finally:
                server.stop()
            told = {what: self.counts.get((server.name, what), 0) for what in ("back", "refused", "wrong")}
            print(f"FIGURE\tR18\t{server.name}: real schemas that are called proven come back, 100 %\t"
                  f"{told['back']} of {told['back'] + told['wrong']}, {told['refused']} refused before\tscripts/faults --full zoo", flush=True)
        print(f"FIGURE\tR20\tguard check says open, and the way back ends for a cause that was there: 0\t"
              f"{len(self.open_and_stuck)} of {self.opened} real schemas\tscripts/faults --full zoo", flush=True)
        if self.absent:
            print(f"not to be had: {', '.join(sorted(set(self.absent)))}")
        return all(key[1] != "wrong" for key in self.counts) and any(key[1] == "back" for key in self.counts)


def django(apps, extra=""):
    """The script that makes a project of these applications and migrates it."""
    return f"""cat >settings.py <<PY
import os
SECRET_KEY = "zoo"
USE_TZ = True
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGES = [("en", "English")]
LANGUAGE_CODE = "en"
CMS_CONFIRM_VERSION4 = True
STATIC_URL = "/static/"
ROOT_URLCONF = "django.contrib.auth.urls"
INSTALLED_APPS = ["django.contrib." + name for name in "admin auth contenttypes sessions messages sites flatpages redirects staticfiles".split()] + "{apps}".split()
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {{"context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]}}}}]
if os.environ["ZOO_KIND"] == "mariadb":
    import pymysql
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()
DATABASES = {{"default": {{"ENGINE": "django.db.backends." + ("mysql" if os.environ["ZOO_KIND"] == "mariadb" else "postgresql"), "NAME": os.environ["ZOO_NAME"],
    "HOST": os.environ["ZOO_HOST"], "PORT": os.environ["ZOO_PORT"], "USER": os.environ["ZOO_USER"], "PASSWORD": os.environ["ZOO_PASSWORD"]}}}}
WAGTAIL_SITE_NAME = "zoo"
{extra}
PY
DJANGO_SETTINGS_MODULE=settings django-admin migrate --skip-checks --verbosity 0"""


SYNAPSE = """cat >homeserver.yaml <<YAML
server_name: zoo
report_stats: false
signing_key: "ed25519 a_zoo MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
media_store_path: $PWD/media
macaroon_secret_key: zoo
database:
  name: psycopg2
  args: {dbname: $ZOO_NAME, host: $ZOO_HOST, port: $ZOO_PORT, user: $ZOO_USER, password: $ZOO_PASSWORD}
YAML
update_synapse_database --database-config homeserver.yaml"""

KEYSTONE = """mkdir -p etc && printf '[database]\\nconnection = %s\\n[fernet_tokens]\\nkey_repository = %s\\n' "$ZOO_URL" "$PWD/keys" >etc/keystone.conf
keystone-manage --config-file etc/keystone.conf db_sync"""

GLANCE = """mkdir -p etc && printf '[database]\\nconnection = %s\\n' "$ZOO_URL" >etc/glance.conf
glance-manage --config-file etc/glance.conf db_sync"""

BUILDBOT = """rm -rf master && buildbot create-master --db="$ZOO_URL" master >/dev/null
sed "s|sqlite:///state.sqlite|$ZOO_URL|" master/master.cfg.sample >master/master.cfg
buildbot upgrade-master master"""

OPTUNA = """python - <<PY
import optuna, os
study = optuna.create_study(storage=os.environ["ZOO_URL"], study_name="zoo")
study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=5)
PY"""

AIRFLOW = """export AIRFLOW_HOME=$PWD/airflow AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=$ZOO_URL AIRFLOW__CORE__LOAD_EXAMPLES=False
airflow db migrate"""

APPLICATIONS = {
    "roundcube": {"postgres": ["roundcube-core", "usr/share/roundcube/SQL/postgres.initial.sql"], "mariadb": ["roundcube-core", "usr/share/roundcube/SQL/mysql.initial.sql"]},
    "powerdns": {"postgres": ["pdns-backend-pgsql", "usr/share/pdns-backend-pgsql/schema/schema.pgsql.sql"], "mariadb": ["pdns-backend-mysql", "usr/share/pdns-backend-mysql/schema/schema.mysql.sql"]},
    "zabbix": {"postgres": ["zabbix-server-pgsql"] + [f"usr/share/zabbix-server-pgsql/{name}.sql.gz" for name in ("schema", "images", "data")],
               "mariadb": ["zabbix-server-mysql"] + [f"usr/share/zabbix-server-mysql/{name}.sql.gz" for name in ("schema", "images", "data")]},
    "kea": {"postgres": ["kea-admin", "usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql"], "mariadb": ["kea-admin", "usr/share/kea/scripts/mysql/dhcpdb_create.mysql"]},
    "freeradius": {"postgres": ["freeradius-config", "etc/freeradius/3.0/mods-config/sql/main/postgresql/schema.sql", "etc/freeradius/3.0/mods-config/sql/ippool/postgresql/schema.sql",
                                "etc/freeradius/3.0/mods-config/sql/ippool/postgresql/procedure.sql"],
                   "mariadb": ["freeradius-config", "etc/freeradius/3.0/mods-config/sql/main/mysql/schema.sql", "etc/freeradius/3.0/mods-config/sql/ippool/mysql/schema.sql",
                               "etc/freeradius/3.0/mods-config/sql/ippool/mysql/procedure.sql"]},
    "rsyslog": {"postgres": ["rsyslog-pgsql", "usr/share/dbconfig-common/data/rsyslog-pgsql/install/pgsql"], "mariadb": ["rsyslog-mysql", "usr/share/dbconfig-common/data/rsyslog-mysql/install/mysql"]},
    "bacula": {"postgres": ["bacula-director-pgsql", "usr/share/dbconfig-common/data/bacula-director-pgsql/install/pgsql"],
               "mariadb": ["bacula-director-mysql", "usr/share/dbconfig-common/data/bacula-director-mysql/install/mysql"]},
    "tinyrss": {"postgres": ["tt-rss", "usr/share/tt-rss/www/sql/pgsql/schema.sql", "usr/share/tt-rss/schema/ttrss_schema_pgsql.sql"],
                "mariadb": ["tt-rss", "usr/share/tt-rss/www/sql/mysql/schema.sql", "usr/share/tt-rss/schema/ttrss_schema_mysql.sql"]},
    "ejabberd": {"postgres": ["ejabberd", "usr/share/ejabberd/sql/pg.sql", "usr/lib/*/ejabberd*/priv/sql/pg.sql"], "mariadb": ["ejabberd", "usr/share/ejabberd/sql/mysql.sql", "usr/lib/*/ejabberd*/priv/sql/mysql.sql"]},
    "icinga": {"postgres": ["icinga2-ido-pgsql", "usr/share/icinga2-ido-pgsql/schema/pgsql.sql"], "mariadb": ["icinga2-ido-mysql", "usr/share/icinga2-ido-mysql/schema/mysql.sql"]},
    "icingaweb": {"postgres": ["icingaweb2", "usr/share/icingaweb2/etc/schema/pgsql.schema.sql", "usr/share/icingaweb2/schema/pgsql.schema.sql"],
                  "mariadb": ["icingaweb2", "usr/share/icingaweb2/etc/schema/mysql.schema.sql", "usr/share/icingaweb2/schema/mysql.schema.sql"]},
    "gammu": {"postgres": ["gammu-smsd", "usr/share/doc/gammu-smsd/examples/pgsql.sql*"], "mariadb": ["gammu-smsd", "usr/share/doc/gammu-smsd/examples/mysql.sql*"]},
    "jabberd": {"postgres": ["jabberd2", "usr/share/doc/jabberd2/db-setup.pgsql*"], "mariadb": ["jabberd2", "usr/share/doc/jabberd2/db-setup.mysql*"]},
    "mediawiki": {"postgres": ["mediawiki", "usr/share/mediawiki/maintenance/postgres/tables-generated.sql", "usr/share/mediawiki/maintenance/postgres/tables.sql"],
                  "mariadb": ["mediawiki", "usr/share/mediawiki/maintenance/tables-generated.sql", "usr/share/mediawiki/maintenance/tables.sql"]},
    "cacti": {"mariadb": ["cacti", "usr/share/doc/cacti/cacti.sql*", "usr/share/cacti/conf_templates/cacti.sql*", "usr/share/dbconfig-common/data/cacti/install/mysql"]},
    "gerbera": {"mariadb": ["gerbera", "usr/share/gerbera/mysql.sql"]},
    "kamailio": {"postgres": ["kamailio-postgres-modules"] + [f"usr/share/kamailio/postgres/{name}-create.sql" for name in ("standard", "acc", "auth_db", "usrloc", "dialog", "presence")],
                 "mariadb": ["kamailio-mysql-modules"] + [f"usr/share/kamailio/mysql/{name}-create.sql" for name in ("standard", "acc", "auth_db", "usrloc", "dialog", "presence")]},
    "phpmyadmin": {"mariadb": ["phpmyadmin", "usr/share/dbconfig-common/data/phpmyadmin/install/mysql", "usr/share/phpmyadmin/sql/create_tables.sql"]},
    "django": {"packages": ["django==5.2.19"], "script": django("")},
    "wagtail": {"packages": ["wagtail==8.0.1"], "script": django("wagtail.contrib.forms wagtail.contrib.redirects wagtail.embeds wagtail.sites wagtail.users wagtail.snippets "
                                                          "wagtail.documents wagtail.images wagtail.search wagtail.admin wagtail modelcluster taggit")},
    "djangocms": {"packages": ["django-cms==5.1.3", "djangocms-text==1.0.2", "easy-thumbnails==2.10.1", "django-filer==3.6.0"], "script": django("cms menus treebeard filer easy_thumbnails")},
    "celerybeat": {"packages": ["django-celery-beat==2.9.0", "django-celery-results==2.6.0"], "script": django("django_celery_beat django_celery_results")},
    "oauth": {"packages": ["django-oauth-toolkit==3.4.1", "djangorestframework==3.18.3"], "script": django("oauth2_provider rest_framework rest_framework.authtoken")},
    "synapse": {"packages": ["matrix-synapse==1.163.2"], "script": SYNAPSE, "mariadb": False},
    "mlflow": {"packages": ["mlflow==3.5.1"], "script": 'mlflow db upgrade "$ZOO_URL"'},
    "keystone": {"packages": ["keystone==30.0.0", "setuptools<81"], "script": KEYSTONE, "postgres": False},
    "glance": {"packages": ["glance==33.0.0", "setuptools<81"], "script": GLANCE, "postgres": False},
    "buildbot": {"packages": ["buildbot==4.3.0", "setuptools<81"], "script": BUILDBOT},
    "optuna": {"packages": ["optuna==5.0.0"], "script": OPTUNA},
    "airflow": {"packages": ["apache-airflow==3.3.2", "asyncpg"], "script": AIRFLOW},
}


def main():
    parser = argparse.ArgumentParser(prog="scripts/lib/zoo.py", description=HELP)
    parser.add_argument("--servers", default=",".join(SERVERS), help=f"which of {', '.join(SERVERS)} (all)")
    parser.add_argument("--keep", action="store_true", help="leave the directory for a look")
    parser.add_argument("names", nargs="*", help="these applications alone")
    zoo = Zoo(parser.parse_args())
    try:
        is_right = zoo.all()
    finally:
        if zoo.options.keep:
            print(f"kept: {zoo.work}")
        else:
            shutil.rmtree(zoo.work, ignore_errors=True)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
