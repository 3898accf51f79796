#!/usr/bin/env python3
"""Users who write while real applications are upgraded and guard walks back: scripts/faults --full upgrades."""

import argparse
import collections
import glob
import hashlib
import html.parser
import http.client
import http.cookiejar
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from zoo import Postgres, free_port, run, text  # noqa: E402

HELP = """Each application is installed in an older version, migrated and started; users write through it without a pause. `guard
deploy` then runs the newer version's own migrations and a release that is bad, and guard walks back. Every write that the
application acknowledged is noted outside with what it wrote, and has to be live, carried over, or in what guard exported. Then
the corrected release is deployed, with all of that in it. The settings are those of `guard init`, with a few lines more that the
table prints. Needs the packages of PyPI, Debian's Postgres, Docker, and the images of scripts/setup; nothing of theirs is kept.
GUARD is the program (target/debug/guard)."""

USERS = 3
PAUSE = 0.15
# What an application may take until it answers.
PATIENCE = 240


class Written:
    """A write that was acknowledged: where it has to be found, and by which word of its own."""

    def __init__(self, user, way, rows, file=None):
        self.user, self.way, self.rows, self.file, self.at = user, way, rows, file, time.time()
        self.fate = None


class Form(html.parser.HTMLParser):
    """What a browser would send of the forms of a page."""

    def __init__(self, page):
        super().__init__()
        self.values, self.inside, self.select = {}, None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        has = dict(attributes)
        name = has.get("name")
        if tag == "input" and name and has.get("type") not in ("submit", "file", "button", "search"):
            if has.get("type") not in ("checkbox", "radio") or "checked" in has:
                self.values[name] = has.get("value") or ("on" if has.get("type") == "checkbox" else "")
        elif tag == "textarea" and name:
            self.inside, self.values[name] = name, ""
        elif tag == "select" and name:
            self.select = name
        elif tag == "option" and self.select and ("selected" in has or self.select not in self.values):
            self.values[self.select] = has.get("value", "")

    def handle_endtag(self, tag):
        self.inside = None if tag == "textarea" else self.inside
        self.select = None if tag == "select" else self.select

    def handle_data(self, data):
        if self.inside:
            self.values[self.inside] += data


class Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Client:
    """One user's browser or program."""

    def __init__(self, base, **headers):
        self.base, self.headers, self.jar = base, headers, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(Stays, urllib.request.HTTPCookieProcessor(self.jar), urllib.request.ProxyHandler({}))

    def ask(self, method, path, body=None, kind="application/json"):
        """The status, the body and where it leads to; 0 where nothing came back."""
        if isinstance(body, dict):
            body = json.dumps(body) if kind == "application/json" else urllib.parse.urlencode(body)
        body = body.encode() if isinstance(body, str) else body
        headers = dict(self.headers, **({"Content-Type": kind} if body is not None else {}))
        headers.update({"X-CSRFToken": cookie.value for cookie in self.jar if cookie.name == "csrftoken"}, Referer=self.base + path)
        asked = urllib.request.Request(self.base + path, body, headers, method=method)
        try:
            with self.opener.open(asked, timeout=20) as answer:
                return answer.status, answer.read(), ""
        except urllib.error.HTTPError as error:
            try:
                return error.code, error.read(), error.headers.get("Location", "")
            except (OSError, http.client.HTTPException):
                return 0, b"", ""
        except (OSError, http.client.HTTPException):
            return 0, b"", ""

    def form(self, path, more):
        """Fills the form of a page in and sends it; the answer's status and where it leads to."""
        status, page, _ = self.ask("GET", path)
        if status != 200:
            return status, ""
        status, _, where = self.ask("POST", path, {**Form(page.decode(errors="replace")).values, **more}, "application/x-www-form-urlencoded")
        return status, where

    def upload(self, path, values, name, content):
        edge = uuid.uuid4().hex
        parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in values.items()]
        parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="files[]"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode() + content)
        return self.ask("POST", path, b"".join(parts) + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}")


def word(user, what):
    """A word that stands nowhere else."""
    return f"{what}{user}-{uuid.uuid4().hex[:12]}"


def unpacked(path):
    if not path.endswith(".zst"):
        with open(path, "rb") as file:
            return file.read()
    return run(["zstd", "--decompress", "--stdout", path], stderr=subprocess.PIPE).stdout


def sections(dump):
    """The rows of each table of a dump."""
    tables, table = collections.defaultdict(list), None
    for line in dump.split("\n"):
        if table is None:
            if line.startswith("COPY public."):
                table = line.split(" ")[1].removeprefix("public.").strip('"')
        elif line == "\\.":
            table = None
        else:
            tables[table].append(line)
    return {table: "\n".join(lines) for table, lines in tables.items()}


class Application:
    """What is common: its directory, its users, and guard."""

    def __init__(self, work, guard):
        self.work, self.guard = f"{work}/{self.name}", guard
        self.place = f"{self.work}/project"
        os.makedirs(self.place)
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.written, self.lock, self.stopping, self.threads = [], threading.Lock(), threading.Event(), []
        self.errors = collections.Counter()
        # The word that takes the place of another, whether its write was acknowledged or not.
        self.later = {}

    def environment(self):
        more = dict(line.split("=", 1) for line in open(f"{self.place}/.env").read().splitlines() if "=" in line)
        kept = {key: value for key, value in os.environ.items() if not re.match("PG|COMPOSE_|CI$|GIT|PYTHON|GUARD", key)}
        return dict(kept, NO_COLOR="1", GUARD_STATE_ROOT=f"{self.work}/states", GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
                    **(more if self.needs_environment else {}))

    needs_environment = True

    def call(self, *words):
        told = run([self.guard, "-C", self.place, *words], env=self.environment(), stdin=subprocess.DEVNULL)
        with open(f"{self.work}/guard.log", "a") as file:
            file.write(f"$ guard {' '.join(words)}\n{text(told)}\n[{told.returncode}]\n")
        return told.returncode, text(told)

    def file(self, name, content, mode=0o644):
        with open(f"{self.place}/{name}", "w") as file:
            file.write(content)
        os.chmod(f"{self.place}/{name}", mode)

    def shell(self, script, check=True):
        told = run(["bash", "-ec", script], cwd=self.place, env=self.environment(), stdin=subprocess.DEVNULL)
        with open(f"{self.work}/shell.log", "a") as file:
            file.write(f"$ {script}\n{text(told)}\n[{told.returncode}]\n")
        if check and told.returncode:
            raise RuntimeError(f"{self.name}: {script}: {text(told)[-1500:]}")
        return text(told)

    def commit(self, message):
        self.shell(f"git add --all && git -c user.name=t -c user.email=t@example.invalid commit --quiet --message {message}")

    # Users.

    def note(self, user, way, rows, file=None):
        with self.lock:
            self.written.append(Written(user, way, rows, file))

    def begin(self):
        self.stopping.clear()
        self.threads = [threading.Thread(target=self.live, args=(user,), daemon=True) for user in range(USERS)]
        for thread in self.threads:
            thread.start()

    def live(self, user):
        state = {}
        while not self.stopping.is_set():
            for act in self.acts:
                if self.stopping.is_set():
                    return
                try:
                    done = act(self, user, state)
                except (KeyError, ValueError, IndexError) as error:  # an answer that is none, as of a release that is bad
                    self.errors[f"{act.__name__}: {type(error).__name__}"] += 1
                    done = False
                if not done:
                    self.errors[act.__name__] += 1
                self.stopping.wait(PAUSE if done else 0.3)

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def wait(self, what, ask):
        until = time.time() + PATIENCE
        while not ask():
            if time.time() > until:
                raise RuntimeError(f"{self.name}: {what}")
            time.sleep(0.5)

    def tail(self):
        return ""

    # guard.

    def init(self):
        code, told = self.call("init")
        if code:
            raise RuntimeError(f"guard init: {told}")
        self.settings = open(f"{self.place}/guard.toml").read()

    def write_settings(self, more):
        """What init wrote, and these lines behind the header of each resource."""
        kept = self.settings
        for header, lines in more.items():
            if header.startswith("+"):
                kept += f"\n{lines}\n"
                continue
            if header not in kept:
                raise RuntimeError(f"{self.name}: guard init wrote no {header}:\n{self.settings}")
            head, tail = kept.split(header, 1)
            keys = [line.split("=")[0].strip() for line in lines.splitlines()]
            body, rest = re.match(r"(.*?)((?:\n\[.*)?)\Z", tail, re.S).groups()
            body = "\n".join(line for line in body.split("\n") if line.split("=")[0].strip() not in keys)
            kept = f"{head}{header}\n{lines}{body}{rest}"
        self.file("guard.toml", kept, 0o600)

    def suggested(self, more, tables):
        """The tables with all that `guard check` says belongs to them."""
        tables = list(tables)
        for _ in range(20):
            self.write_settings(self.with_carry(more, tables))
            _, told = self.call("check")
            found = [name for name in re.findall(r"add (\S+) to `carry_over`", told) if name not in tables]
            if not found:
                return tables
            tables += dict.fromkeys(found)
        raise RuntimeError(f"{self.name}: guard check goes on suggesting tables")

    def with_carry(self, more, tables):
        words = ", ".join(f'"{name}"' for name in tables)
        merged = dict(more)
        merged["[resources.db]"] = (merged.get("[resources.db]", "") + f"\ncarry_over = [{words}]").strip()
        return merged

    def runs(self):
        return sorted(glob.glob(f"{self.work}/states/*/runs/*-deploy"), key=lambda path: int(open(f"{path}/generation").read() or 0)
                      if os.path.exists(f"{path}/generation") else 0)


class OnHost(Application):
    """A server of this host beside the host's own Postgres, in a git work tree with a branch for each release."""

    server = None

    def prepare(self):
        server = f"{self.work}/server"
        os.mkdir(server)
        os.chmod(server, 0o755)
        self.server = Postgres(server, False)
        # No superuser: it owns its database, and may make others.
        self.server.feed("postgres", "CREATE ROLE app LOGIN CREATEDB PASSWORD 'app';", True)
        self.server.feed("postgres", f"CREATE DATABASE {self.name} OWNER app TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';", True)
        self.venvs = {}
        for which, packages in self.packages.items():
            self.venvs[which] = f"{self.work}/{which}"
            steps = [f"{self.venvs[which]}/bin/pip --quiet install --no-input {words}" for words in packages]
            self.file(".env", "")
            self.shell(f"python3 -m venv {self.venvs[which]}; " + "; ".join(steps))
        os.makedirs(f"{self.place}/uploads", exist_ok=True)
        self.file(".env", f"DATABASE_URL=postgresql://app:app@127.0.0.1:{self.server.port}/{self.name}\nPORT={self.port}\n", 0o600)
        self.file(".gitignore", ".env\nguard.toml\nuploads/\nrun.*\n__pycache__/\n*.sqlite\n")
        self.file("ctl", CTL % self.serve, 0o755)
        self.file("deploy.sh", f"#!/bin/bash\nset -e\ncd \"$(dirname \"$0\")\"\ngit checkout --quiet \"$1\"\n. ./release\nset -a; . ./.env; set +a\n"
                               f"export PATH=$VENV/bin:$PATH\n{self.stops_first}{self.migrate}\n./ctl stop\n./ctl start\n", 0o755)
        for name, content in self.files.items():
            self.file(name, content)
        self.shell("git init --quiet --initial-branch=old .")
        for branch, venv, fault in (("old", "old", ""), ("bad", "new", self.fault), ("good", "new", "")):
            if branch != "old":
                self.shell(f"git checkout --quiet -b {branch} old")
            self.file("release", f"VENV={self.venvs[venv]}\nexport FAULT={fault}\n")
            self.commit(branch)
        self.shell("git checkout --quiet old")
        self.shell("./ctl start")

    stops_first = ""

    def deploy_words(self, which):
        return ["./deploy.sh", which]

    def stop(self):
        if self.server:
            self.shell("./ctl stop", check=False)
            self.server.stop()

    def dump(self, database):
        dump = run(self.server.program("pg_dump", "--data-only", "-d", database), stderr=subprocess.PIPE)
        return sections(dump.stdout.decode(errors="replace"))

    def ask_server(self, database, script):
        return self.server.ask(database, script)

    def of_backup(self, path):
        told = run([f"{self.server.bin}/pg_restore", "--data-only", "--file=-"], input=unpacked(path), stderr=subprocess.PIPE)
        return sections(told.stdout.decode(errors="replace"))

    def tail(self):
        path = f"{self.place}/run.log"
        return "".join(open(path, errors="replace").readlines()[-15:]) if os.path.exists(path) else ""


CTL = """#!/bin/bash
# Starts and stops the application; either may be said twice.
cd "$(dirname "$0")" || exit 1
. ./release
set -a; . ./.env; set +a
export PATH=$VENV/bin:$PATH PYTHONDONTWRITEBYTECODE=1
alive() { [ -s run.pid ] && kill -0 -- "-$(cat run.pid)" 2>/dev/null; }
case $1 in
  start)
    if alive; then exit 0; fi
    setsid %s >>run.log 2>&1 </dev/null &
    echo $! >run.pid ;;
  stop)
    alive || exit 0
    kill -TERM -- "-$(cat run.pid)"
    for _ in $(seq 100); do alive || exit 0; sleep 0.1; done
    kill -KILL -- "-$(cat run.pid)" 2>/dev/null
    for _ in $(seq 20); do alive || exit 0; sleep 0.1; done ;;
esac
exit 0
"""


class Mlflow(OnHost):
    """Alembic; rows and files, in a directory. The release is bad eight seconds after its start, and until then people use it."""

    name = "mlflow"
    versions = ("2.9.2", "3.5.1")
    label = "mlflow 2.9.2 -> 3.5.1, Alembic, on the host"
    packages = {
        "old": ["mlflow-skinny==2.9.2 'Flask<3' 'alembic<1.19' 'SQLAlchemy<2.1' 'pandas<3' 'numpy<2' gunicorn==23.0.0 psycopg2-binary==2.9.10 querystring_parser 'setuptools<81'",
                "--no-deps mlflow==2.9.2"],
        "new": ["mlflow-skinny==3.5.1 'Flask<4' Flask-CORS 'alembic<1.19' 'SQLAlchemy<2.1' 'pandas<3' 'numpy<3' gunicorn==23.0.0 psycopg2-binary==2.9.10 graphene 'cryptography<47' 'setuptools<81'",
                "--no-deps mlflow==3.5.1 mlflow-tracing==3.5.1"],
    }
    serve = ('env _MLFLOW_SERVER_FILE_STORE="$DATABASE_URL" _MLFLOW_SERVER_SERVE_ARTIFACTS=true _MLFLOW_SERVER_ARTIFACT_ROOT=mlflow-artifacts:/ '
             '_MLFLOW_SERVER_ARTIFACT_DESTINATION="$PWD/uploads" gunicorn --bind "127.0.0.1:$PORT" --workers 2 --timeout 60 served:app')
    migrate = 'mlflow db upgrade "$DATABASE_URL"'
    fault = "8"
    files = {"served.py": '''import os, time
from mlflow.server import app as served
born, fault = time.monotonic(), float(os.environ.get("FAULT") or "inf")
def app(environ, start):
    if time.monotonic() - born > fault:
        start("500 Internal Server Error", [("Content-Length", "5")])
        return [b"fault"]
    return served(environ, start)
'''}
    probe = "/api/2.0/mlflow/experiments/search?max_results=1"
    expected = (21, 22)
    named = ["experiments", "runs", "registered_models"]
    ways = [("as `guard init` wrote it", False, {}), ("`carry_over` with the tables that `guard check` names", True, {})]

    def more(self):
        return {"+services": '[services]\nstop = ["./ctl stop"]\nstart = ["./ctl start"]',
                "+probes": f'[probes.site]\nkind = "http"\nurl = "{self.base}{self.probe}"'}

    def client(self, state):
        return state.setdefault("client", Client(self.base))

    def api(self, state, path, body, method="POST"):
        status, body, _ = self.client(state).ask(method, f"/api/2.0/mlflow/{path}", body)
        return json.loads(body) if status == 200 else None

    def experiment(self, user, state):
        name = word(user, "experiment")
        made = self.api(state, "experiments/create", {"name": name})
        if made:
            state["experiment"] = made["experiment_id"], name
            self.note(user, "experiment", [("experiments", name)])
        return bool(made)

    def start_run(self, user, state):
        (number, name), tag = state["experiment"], word(user, "tag")
        made = self.api(state, "runs/create", {"experiment_id": number, "run_name": word(user, "run"), "start_time": int(time.time() * 1000),
                                               "tags": [{"key": "made", "value": tag}]})
        if made:
            state.setdefault("runs", []).append(made["run"]["info"]["run_id"])
            self.note(user, "run", [("runs", (made["run"]["info"]["run_id"], ("experiments", name))), ("tags", tag)])
        return bool(made)

    def log(self, user, state):
        name, value = word(user, "metric"), word(user, "param")
        batch = {"run_id": state["runs"][-1], "metrics": [{"key": name, "value": 0.5, "timestamp": int(time.time() * 1000), "step": 1}], "params": [{"key": value, "value": value}]}
        made = self.api(state, "runs/log-batch", batch)
        if made is not None:
            self.note(user, "metric and param", [("metrics", name), ("latest_metrics", name), ("params", value)])
        return made is not None

    def rename(self, user, state):
        """A run of a while ago gets another name, once: a row that changes."""
        if len(state["runs"]) < 12:
            return True
        name = word(user, "renamed")
        made = self.api(state, "runs/update", {"run_id": state["runs"].pop(0), "run_name": name, "status": "FINISHED", "end_time": int(time.time() * 1000)})
        if made:
            self.note(user, "change of a run", [("runs", name)])
        return bool(made)

    def model(self, user, state):
        name = word(user, "model")
        made = self.api(state, "registered-models/create", {"name": name})
        made = made and self.api(state, "model-versions/create", {"name": name, "source": f"mlflow-artifacts:/{name}", "description": name})
        if made:
            self.note(user, "model and its version", [("registered_models", name), ("model_versions", name)])
        return bool(made)

    def artifact(self, user, state):
        name, content = f"{word(user, 'artifact')}.txt", uuid.uuid4().hex.encode() * 20
        status, _, _ = self.client(state).ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{user}/{name}", content, "text/plain")
        if status == 200:
            self.note(user, "artifact", [], (f"{user}/{name}", hashlib.sha256(content).hexdigest()))
        return status == 200

    database = "mlflow"
    listed = ("experiments", "runs", "tags", "latest_metrics", "params", "registered_models", "model_versions")
    acts = [experiment, start_run, log, artifact, rename, model, log]

    def read_file(self, name):
        status, body, _ = Client(self.base).ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{name}")
        return hashlib.sha256(body).hexdigest() if status == 200 else None

    def version(self):
        status, body, _ = Client(self.base).ask("GET", "/version")
        well = Client(self.base).ask("GET", self.probe)[0] == 200
        return body.decode() if status == 200 and well else None

    def heads(self):
        return self.server.ask(self.name, "SELECT version_num FROM alembic_version")

    def reads(self):
        """What the application itself lists: experiments, runs with their tags, metrics and params, models."""
        state, told, ids = {}, [], []
        for path, key in (("experiments/search", "experiments"), ("registered-models/search", "registered_models"), ("model-versions/search", "model_versions")):
            page = {}
            while True:
                query = urllib.parse.urlencode({"max_results": 1000 if key != "model_versions" else 10000, **page})
                body = (self.api(state, path, {"max_results": 1000, **page}) if key == "experiments" else self.api(state, f"{path}?{query}", None, "GET")) or {}
                told.append(json.dumps(body))
                ids += [one["experiment_id"] for one in body.get("experiments", [])]
                if not body.get("next_page_token"):
                    break
                page = {"page_token": body["next_page_token"]}
        page = {}
        for at in range(0, len(ids), 200):
            page = {}
            while True:
                body = self.api(state, "runs/search", {"experiment_ids": ids[at:at + 200], "max_results": 5000, **page}) or {}
                told.append(json.dumps(body))
                if not body.get("next_page_token"):
                    break
                page = {"page_token": body["next_page_token"]}
        return "\n".join(told)


class Hub(OnHost):
    """Alembic, with down scripts of its own that fail: the database goes back whole. The release ends twelve
    seconds after its start."""

    name = "jupyterhub"
    versions = ("2.3.1", "5.4.6")
    label = "jupyterhub 2.3.1 -> 5.4.6, Alembic, on the host"
    packages = {"old": ["jupyterhub==2.3.1 'SQLAlchemy<2' 'alembic<1.19' psycopg2-binary==2.9.10 'setuptools<81'"],
                "new": ["jupyterhub==5.4.6 'SQLAlchemy<2.1' 'alembic<1.19' psycopg2-binary==2.9.10 'setuptools<81'"]}
    serve = "jupyterhub"
    # Its migrations wait for locks of what runs, and end as a deadlock.
    stops_first = "./ctl stop\n"
    migrate = "jupyterhub upgrade-db"
    fault = "1"
    files = {"jupyterhub_config.py": '''import os, sys, threading, time
from jupyterhub.proxy import Proxy
class NoProxy(Proxy):
    should_start = False
    async def add_route(self, *words): pass
    async def delete_route(self, *words): pass
    async def get_all_routes(self): return {}
    async def check_routes(self, *words, **more): pass
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.db_url = os.environ["DATABASE_URL"]
c.JupyterHub.hub_port = int(os.environ["PORT"])
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.bind_url = "http://127.0.0.1:" + os.environ["PORT"]
c.JupyterHub.cookie_secret = bytes(32)
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.services = [{"name": "writer", "api_token": "w" * 32}]
c.JupyterHub.load_roles = [{"name": "writer", "services": ["writer"], "scopes": ["admin:users", "admin:groups", "tokens", "read:hub"]}]
if os.environ.get("FAULT") and not {"upgrade-db", "alembic"} & set(sys.argv):
    def end():
        time.sleep(12)
        os._exit(3)
    threading.Thread(target=end, daemon=True).start()
'''}
    probe = "/hub/api/"
    expected = (20, 21, 22)
    named = None
    ways = [("`rollback = \"migrations\"`, whose down scripts fail: whole, with `carry_over = \"inserts\"`", None,
             {"[resources.db]": 'rollback = "migrations"\nmigrations_table = "alembic_version"\n'
                                'down_command = ["bash", "-c", ". ./release; export PATH=$VENV/bin:$PATH; python -m jupyterhub.dbutil alembic downgrade -1"]'})]

    def more(self):
        return {"+services": '[services]\nstop = ["./ctl stop"]\nstart = ["./ctl start"]',
                "+probes": f'[probes.site]\nkind = "http"\nurl = "{self.base}{self.probe}"'}

    def client(self, state):
        return state.setdefault("client", Client(self.base, Authorization="token " + "w" * 32))

    def person(self, user, state):
        name = word(user, "person")
        done = self.client(state).ask("POST", f"/hub/api/users/{name}")[0] == 201
        if done:
            # One in three gets another name later, and joins no group.
            state["made"] = state.get("made", 0) + 1
            state.setdefault("people" if state["made"] % 3 else "guests", []).append(name)
            self.note(user, "user", [("users", name)])
        return done

    def group(self, user, state):
        name = word(user, "group")
        done = self.client(state).ask("POST", f"/hub/api/groups/{name}", "{}")[0] == 201
        if done:
            state["group"] = name
            self.note(user, "group", [("groups", name)])
        return done

    def token(self, user, state):
        name = word(user, "note")
        done = self.client(state).ask("POST", f"/hub/api/users/{state['people'][-1]}/tokens", {"note": name})[0] in (200, 201)
        if done:
            self.note(user, "token", [("api_tokens", name)])
        return done

    def member(self, user, state):
        """What joins two others, and has no word of its own."""
        pair = (state["group"], state["people"][-1])
        done = self.client(state).ask("POST", f"/hub/api/groups/{pair[0]}/users", {"users": [pair[1]]})[0] == 200
        if done:
            self.note(user, "membership", [("user_group_map", (("groups", pair[0]), ("users", pair[1])))])
        return done

    def rename(self, user, state):
        if len(state.get("guests", [])) < 3:
            return True
        old, name = state["guests"].pop(0), word(user, "renamed")
        self.later[old] = name
        done = self.client(state).ask("PATCH", f"/hub/api/users/{old}", {"name": name})[0] == 200
        if done:
            self.note(user, "change of a user", [("users", name)])
        return done

    database = "jupyterhub"
    listed = ("users", "groups")
    acts = [person, group, token, member, rename, token]

    def version(self):
        status, body, _ = self.client({}).ask("GET", self.probe)
        return json.loads(body)["version"] if status == 200 else None

    def heads(self):
        return self.server.ask(self.name, "SELECT version_num FROM alembic_version")

    def reads(self):
        client, told = self.client({}), []
        for what in ("users", "groups"):
            offset = 0
            while True:
                status, body, _ = client.ask("GET", f"/hub/api/{what}?offset={offset}&limit=200")
                page = json.loads(body) if status == 200 else []
                told.append(body.decode())
                offset += len(page)
                if len(page) < 50:
                    break
        return "\n".join(told)


SITE = {
    "Dockerfile": """FROM guard-test/app-base
COPY packages /packages
COPY site /site
ENV PYTHONPATH=/packages:/site DJANGO_SETTINGS_MODULE=settings
WORKDIR /site
CMD ["python3", "-m", "gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "--timeout", "60", "serving:application"]
""",
    "site/settings.py": """import os
SECRET_KEY = "upgrades"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
MEDIA_ROOT, MEDIA_URL = "/media", "/media/"
ROOT_URLCONF = "urls"
INSTALLED_APPS = ("home wagtail.contrib.forms wagtail.contrib.redirects wagtail.embeds wagtail.sites wagtail.users wagtail.snippets wagtail.documents "
                  "wagtail.images wagtail.search wagtail.admin wagtail modelcluster taggit").split() + [
    "django.contrib." + name for name in "admin auth contenttypes sessions messages staticfiles".split()]
MIDDLEWARE = ["faults.Fault", "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
    "django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "site", "HOST": "db", "USER": "site", "PASSWORD": os.environ["DB_PASSWORD"]}}
WAGTAIL_SITE_NAME = "upgrades"
WAGTAILADMIN_BASE_URL = "http://127.0.0.1"
WAGTAIL_ENABLE_WHATS_NEW_BANNER = WAGTAIL_ENABLE_UPDATE_CHECK = False
WAGTAILIMAGES_EXTENSIONS = ["png"]
""",
    "site/serving.py": """from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "site/faults.py": """import os, time
from django.http import HttpResponse
born, fault = time.monotonic(), float(os.environ.get("FAULT") or "inf")
def Fault(get_response):
    return lambda request: HttpResponse("fault", status=500) if time.monotonic() - born > fault else get_response(request)
""",
    "site/urls.py": """import wagtail
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.views.static import serve
from home.models import Note
def front(request):
    return HttpResponse(f"{wagtail.__version__} {Note.objects.live().count() >= 0}")
urlpatterns = [path("", front), path("admin/", include("wagtail.admin.urls")), path("documents/", include("wagtail.documents.urls")),
               re_path(r"^media/(?P<path>.*)$", serve, {"document_root": "/media"}), path("", include("wagtail.urls"))]
""",
    "site/people.py": """import sys
import django
django.setup()
from django.contrib.auth.models import User
for number in range(int(sys.argv[1])):
    User.objects.create_superuser(f"user{number}", f"user{number}@example.org", "secret")
""",
    "site/home/__init__.py": "",
    "site/home/models.py": "from wagtail.models import Page\nclass Note(Page):\n    pass\n",
    "site/home/migrations/__init__.py": "",
    "site/home/migrations/0001_initial.py": """import django.db.models.deletion
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    dependencies = [("wagtailcore", "0089_log_entry_data_json_null_to_object")]
    operations = [migrations.CreateModel("Note", [("page_ptr", models.OneToOneField(auto_created=True, on_delete=django.db.models.deletion.CASCADE,
        parent_link=True, primary_key=True, serialize=False, to="wagtailcore.page"))], {"abstract": False}, bases=("wagtailcore.page",))]
""",
    "site/worker.py": """import time
import django
django.setup()
from django.core.management import call_command
while True:
    try:
        call_command("publish_scheduled", verbosity=0)
    except Exception as error:
        print(error, flush=True)
    time.sleep(1)
""",
}

COMPOSE = """name: %(name)s
services:
  db:
    image: guard-test/postgres:17
    pull_policy: never
    environment: {POSTGRES_USER: site, POSTGRES_PASSWORD: "${DB_PASSWORD}", POSTGRES_DB: site}
    healthcheck: {test: [CMD, pg_isready, -q, -U, site], interval: 1s, retries: 60}
    volumes: ["pg:/var/lib/postgresql/data"]
  web:
    image: %(name)s-site:${TAG}
    pull_policy: never
    environment: {DB_PASSWORD: "${DB_PASSWORD}", FAULT: "${FAULT:-}"}
    ports: ["127.0.0.1:%(port)s:8000"]
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
    stop_grace_period: 5s
    volumes: ["media:/media"]
  worker:
    image: %(name)s-site:${TAG}
    pull_policy: never
    command: [python3, worker.py]
    init: true
    environment: {DB_PASSWORD: "${DB_PASSWORD}"}
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
    stop_grace_period: 2s
    volumes: ["media:/media"]
volumes: {pg: {}, media: {}}
"""

# A picture of one point, behind which there is room for a word.
PICTURE = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082")


class Wagtail(Application):
    """Django in a Compose project, with a worker beside the web process; rows and files, in a volume. The release answers with
    errors six seconds after its start."""

    name = "wagtail"
    versions = ("6.0.6", "7.4.4")
    label = "wagtail 6.0.6 -> 7.4.4, Django, with Compose and a worker"
    packages = {"old": "wagtail==6.0.6 Django==5.0.14 psycopg2-binary==2.9.10 gunicorn==23.0.0 setuptools==80.9.0", "new": "wagtail==7.4.4 Django==5.2.19 psycopg2-binary==2.9.10 gunicorn==23.0.0 setuptools==80.9.0"}
    expected = (21, 22)
    named = ["wagtailcore_page", "wagtailimages_image", "wagtailredirects_redirect", "wagtailcore_collection"]
    ways = [("as `guard init` wrote it", False, {}),
            ("`carry_over` with the tables that `guard check` names, and `new-files`", True, {"[resources.media]": 'carry_over = "new-files"'}),
            ("`rollback = \"migrations\"` and `new-files`", None, {"[resources.media]": 'carry_over = "new-files"',
             "[resources.db]": 'rollback = "migrations"\ndown_command = ["docker", "compose", "run", "--rm", "-T", "web", "python3", "-m", "django", "migrate", "{app}", "{to}"]'})]
    needs_environment = False

    def prepare(self):
        self.project = f"guardup{os.getpid()}"
        self.file(".env", f"TAG=old\nFAULT=\nDB_PASSWORD=secret-of-{self.port}\n", 0o600)
        pip = f"{self.work}/pip"
        self.shell(f"python3 -m venv {pip}")
        for which, packages in self.packages.items():
            context = f"{self.work}/image-{which}"
            os.makedirs(f"{context}/site/home/migrations")
            for path, content in SITE.items():
                with open(f"{context}/{path}", "w") as file:
                    file.write(content)
            self.shell(f"{pip}/bin/pip --quiet install --no-input --target {context}/packages --python-version 3.13 --platform manylinux2014_x86_64 "
                       f"--platform manylinux_2_28_x86_64 --only-binary=:all: {packages}")
            # Half of all files, which nobody here reads.
            self.shell(f"find {context}/packages -path '*/locale/*' -mindepth 1 -type d -name LC_MESSAGES -not -path '*/en/*' -exec rm -rf {{}} +; find {context}/packages -name __pycache__ -exec rm -rf {{}} +")
            self.shell(f"DOCKER_BUILDKIT=0 docker build --quiet --label guard.test=1 --tag {self.project}-site:{which} {context}")
            shutil.rmtree(context)
        self.file("compose.yml", COMPOSE % {"name": self.project, "port": self.port})
        self.file(".gitignore", ".env\nguard.toml\n")
        self.file("deploy.sh", "#!/bin/bash\nset -e\nsed -i \"s/^TAG=.*/TAG=$1/; s/^FAULT=.*/FAULT=$2/\" .env\n"
                               "docker compose run --rm -T web python3 -m django migrate --no-input --verbosity 1 </dev/null\ndocker compose up --detach\n", 0o755)
        self.shell("git init --quiet --initial-branch=main .")
        self.commit("site")
        self.shell("docker compose up --detach --wait db && docker compose run --rm -T web sh -c 'python3 -m django migrate --verbosity 0; python3 people.py %d'" % USERS)
        self.shell("docker compose up --detach")

    def deploy_words(self, which):
        return ["./deploy.sh", "new", "6"] if which == "bad" else ["./deploy.sh", "new", ""]

    def more(self):
        return {}

    def stop(self):
        self.shell("docker compose down --volumes --timeout 2", check=False)
        self.shell(f"docker ps --all --quiet --filter name=^guard-pin-{self.project}- | xargs --no-run-if-empty docker rm --force --volumes; "
                   f"docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -e '^guard/pin/{self.project}' -e '^{self.project}-site' | xargs --no-run-if-empty docker rmi --force", check=False)

    def inside(self, words, **more):
        told = run(["docker", "compose", "exec", "-T", "db", *words], cwd=self.place, env=self.environment(), stderr=subprocess.PIPE, **more)
        return told.stdout.decode(errors="replace")

    def dump(self, database):
        return sections(self.inside(["pg_dump", "-U", "site", "--data-only", "-d", database]))

    def ask_server(self, database, script):
        return self.inside(["psql", "-XqAt", "-U", "site", "-d", database], input=script.encode()).strip()

    def of_backup(self, path):
        return sections(self.inside(["pg_restore", "--data-only", "--file=-"], input=unpacked(path)))

    def client(self, user, state):
        client = state.get("client")
        if client is None:
            client = Client(self.base)
            status, where = client.form("/admin/login/", {"username": f"user{user}", "password": "secret"})
            if status != 302 or "login" in where:
                raise ValueError("not let in")
            state["client"] = client
        return client

    def sent(self, state, status, where):
        """Whether it was taken; who is sent to the login again goes there the next time."""
        if status == 302 and "/login" in where:
            state.pop("client", None)
        return status == 302 and "/login" not in where

    def page(self, user, state):
        title = word(user, "page")
        done = self.sent(state, *self.client(user, state).form("/admin/pages/add/home/note/1/", {"title": title, "slug": title, "action-publish": "action-publish"}))
        if done:
            self.note(user, "page", [("wagtailcore_page", title), ("wagtailcore_revision", title), ("wagtailcore_pagelogentry", title)])
        return done

    def scheduled(self, user, state):
        """A page that the worker publishes soon."""
        title = word(user, "scheduled")
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() + 60))
        done = self.sent(state, *self.client(user, state).form("/admin/pages/add/home/note/1/", {"title": title, "slug": title, "go_live_at": at, "action-publish": "action-publish"}))
        if done:
            self.note(user, "page of the worker", [("wagtailcore_page", title), ("wagtailcore_revision", title)])
        return done

    def redirect(self, user, state):
        path = f"/{word(user, 'redirect')}"
        done = self.sent(state, *self.client(user, state).form("/admin/redirects/add/", {"old_path": path, "redirect_link": "https://example.org" + path, "is_permanent": "on"}))
        if done:
            self.note(user, "redirect", [("wagtailredirects_redirect", path)])
            state.setdefault("redirects", []).append(path)
        return done

    def collection(self, user, state):
        name = word(user, "collection")
        done = self.sent(state, *self.client(user, state).form("/admin/collections/add/", {"name": name}))
        if done:
            self.note(user, "collection", [("wagtailcore_collection", name)])
        return done

    def picture(self, user, state):
        client = self.client(user, state)
        name = word(user, "picture")
        content = PICTURE + name.encode()
        token = next((cookie.value for cookie in client.jar if cookie.name == "csrftoken"), "")
        status, body, where = client.upload("/admin/images/multiple/add/", {"csrfmiddlewaretoken": token, "title": name, "collection": "1"}, f"{name}.png", content)
        done = status == 200 and json.loads(body).get("success") is True
        if done:
            self.note(user, "picture", [("wagtailimages_image", name)], (f"original_images/{name}.png", hashlib.sha256(content).hexdigest()))
        elif status == 302:
            self.sent(state, status, where)
        return done

    acts = [page, picture, redirect, scheduled, picture, collection]

    def read_file(self, name):
        status, body, _ = Client(self.base).ask("GET", f"/media/{name}")
        return hashlib.sha256(body).hexdigest() if status == 200 else None

    def version(self):
        status, body, _ = Client(self.base).ask("GET", "/")
        return body.decode().split(" ")[0] if status == 200 else None

    def heads(self):
        return self.ask_server("site", "SELECT app || ' ' || name FROM django_migrations ORDER BY 1")

    database = "site"
    listed = ("wagtailcore_page", "wagtailimages_image", "wagtailcore_collection", "wagtailredirects_redirect")

    def reads(self):
        """What the lists of the admin show."""
        script = ("import json, django; django.setup(); from home.models import Note; from wagtail.images.models import Image; from wagtail.models import Collection, Revision; "
                  "from wagtail.contrib.redirects.models import Redirect; print([note.title for note in Note.objects.all()], [one.title for one in Image.objects.all()], "
                  "[one.name for one in Collection.objects.all()], [one.old_path for one in Redirect.objects.all()])")
        return self.shell(f"docker compose exec -T web python3 -c {json.dumps(script)}")

    def tail(self):
        return self.shell("docker compose ps --all; docker compose logs --tail 15 web worker", check=False)


class Judge:
    """Takes an application through its bad releases and the corrected one, and finds each write."""

    def __init__(self, options):
        self.options = options
        self.guard = os.path.realpath(os.environ.get("GUARD", "target/debug/guard"))
        self.sums, self.wrong, self.corrected = collections.Counter(), [], collections.Counter()

    def complain(self, what):
        print(f"WRONG    {what}", flush=True)
        self.wrong.append(what)

    def has(self, application, tables, table, mark, names=None, split="\t"):
        """Whether these rows have that word. Several words are one row that has them all; a pair is the number of another
        table's row that has this word, so that a row which is beside a stranger is not there."""
        rows, names = tables.get(table, ""), names or tables
        if isinstance(mark, str):
            return mark in rows or application.later.get(mark, mark) in rows
        found = rows.split("\n")
        for part in mark:
            if isinstance(part, str):
                found = [row for row in found if part in row]
            else:
                number = next((row.split("\t")[0] for row in names.get(part[0], "").split("\n") if part[1] in row), "?")
                found = [row for row in found if number in row.split(split)]
        return bool(found)

    def exported(self, directory):
        """The rows of an export, table by table."""
        tables = collections.defaultdict(str)
        for path in glob.glob(f"{directory}/*/*.csv"):
            table, _, fate = os.path.basename(path).removesuffix(".csv").rpartition(".")
            if fate in ("new", "changed", "refused"):
                tables[table] += open(path, errors="replace").read().replace("\r\n", "\n")
        return tables

    def aside_of(self, application, stamp):
        """The rows of the database that this run put aside."""
        names = application.ask_server(application.database, "SELECT datname FROM pg_database ORDER BY 1").split()
        found = [one for one in names if one.startswith(f"{application.database}__failed") and stamp in one]
        if not found:
            return {}
        for is_open in ("true", "false"):
            application.ask_server(application.database, f'ALTER DATABASE "{found[0]}" ALLOW_CONNECTIONS {is_open}')
            aside = application.dump(found[0]) if is_open == "true" else aside
        return aside

    def fates(self, application, written, run_of):
        """Where each write is, and the files that are not live."""
        stamp = os.path.basename(run_of).removesuffix("-deploy")
        live, aside = application.dump(application.database), self.aside_of(application, stamp)
        backup = next(iter(glob.glob(f"{application.work}/states/*/backups/{stamp}/db/*dump*")), None)
        held = application.of_backup(backup) if backup else {}
        if aside and not held:
            self.complain(f"{application.name}: the backup's dump cannot be read by pg_restore: {backup}")
        exported = self.exported(f"{run_of}/salvage")
        if aside:
            self.salvage(application, stamp)
            for table, rows in self.exported(f"{run_of}/salvaged").items():
                exported[table] += rows
        for one in written:
            one.fates = []
            for table, mark in one.rows:
                if self.has(application, live, table, mark):
                    is_carried = self.has(application, aside, table, mark) and not self.has(application, held, table, mark)
                    one.fates.append("carried" if is_carried else "live")
                elif self.has(application, exported, table, mark, aside, ","):
                    one.fates.append("exported")
                else:
                    one.fates.append("nowhere")
            if one.file:
                one.fates.append("live" if application.read_file(one.file[0]) == one.file[1] else "aside")
        missing = [one for one in written if "aside" in one.fates]
        if missing:
            self.salvage(application, stamp, "--files", "**", "--yes")
        for one in missing:
            one.fates.remove("aside")
            one.fates.append("exported" if application.read_file(one.file[0]) == one.file[1] else "nowhere")
        for one in written:
            one.fate = next(fate for fate in ("nowhere", "exported", "carried", "live") if fate in one.fates)
        return live

    def salvage(self, application, stamp, *words):
        code, told = application.call("salvage", f"{stamp}-deploy", *words)
        if code:
            self.complain(f"{application.name}: guard salvage {stamp}-deploy {' '.join(words)}: {code}: {told[-1500:]}")
        return told

    def shown(self, application, label, written, live):
        """What is live is also what the application itself shows."""
        reads = application.reads()
        marks = [mark for one in written for table, mark in one.rows if table in application.listed and isinstance(mark, str) and self.has(application, live, table, mark)]
        unseen = [mark for mark in marks if mark not in reads and application.later.get(mark, mark) not in reads]
        for mark in unseen[:5]:
            self.complain(f"{application.name}, {label}: in the database, and the application does not show it: {mark}")

    def bad(self, application, label, carry, more):
        """One bad release with these settings."""
        more, tables = {**application.more(), **more}, []
        if carry is not None:
            tables = application.suggested(more, application.named)
        application.write_settings(application.with_carry(more, tables) if carry else more)
        code, told = application.call("check")
        if code:
            return self.complain(f"{application.name}, {label}: guard check: {code}: {told[-1500:]}")
        before, known = application.heads(), set(application.runs())
        code, told = application.call("deploy", "--monitor-duration", "40s", "--interval", "500ms", "--again", "--", *application.deploy_words("bad"))
        if code not in application.expected:
            self.complain(f"{application.name}, {label}: exit code {code}, not one of {application.expected}: {told[-3000:]}")
        try:
            application.wait("the old version does not answer", lambda: application.version() == application.versions[0])
        except RuntimeError as error:
            self.complain(f"{error}: {told[-2500:]} {application.tail()}")
        if application.heads() != before:
            self.complain(f"{application.name}, {label}: the migrations are not those of before: {application.heads()}")
        time.sleep(3)
        with application.lock:
            written = [one for one in application.written if one.fate != "exported"]
        run_of = next(path for path in application.runs() if path not in known)
        live = self.fates(application, written, run_of)
        self.shown(application, label, written, live)
        counts = collections.Counter(one.fate for one in written)
        for one in [one for one in written if one.fate == "nowhere"][:10]:
            self.complain(f"{application.name}, {label}: nowhere: {one.way} of user {one.user} at {time.strftime('%H:%M:%S', time.gmtime(one.at))}: {one.rows} {one.file} {one.fates}")
        given = self.give_back(application, label, tables, written, run_of) if carry is False else ""
        self.sums.update(counts, acknowledged=len(written))
        print(f"back     {application.label}; {label}: code {code}; acknowledged {len(written)}: live {counts['live']}, carried {counts['carried']}, "
              f"exported {counts['exported']}, nowhere {counts['nowhere']}{given}", flush=True)

    def give_back(self, application, label, tables, written, run_of):
        """Rows that were put aside are put back by the command that guard names."""
        stamp = os.path.basename(run_of).removesuffix("-deploy")
        aside = [one for one in written if one.fate == "exported"]
        if not aside:
            return ""
        told = self.salvage(application, stamp, "--tables", ",".join(tables), "--yes")
        live, names = application.dump(application.database), self.aside_of(application, stamp)
        left = self.exported(f"{run_of}/salvaged")
        for one in aside:
            if all(self.has(application, live, table, mark) for table, mark in one.rows):
                one.fate = "given back"
        back = sum(one.fate == "given back" for one in aside)
        # What does not fit, as a page whose place in the tree is taken by now, stays in the files with its reason.
        for one in [one for one in aside if one.fate == "exported"]:
            if not all(self.has(application, live, table, mark) or self.has(application, left, table, mark, names, ",") for table, mark in one.rows):
                self.complain(f"{application.name}, {label}: guard salvage --tables left it out and in no file: {one.way} {one.rows}: {told[-1200:]}")
        return f"; {back} of these given back by guard salvage --tables"

    def good(self, application):
        """The corrected release: the same version, without the fault."""
        before = application.heads()
        code, told = application.call("deploy", "--monitor-duration", "15s", "--interval", "500ms", "--", *application.deploy_words("good"))
        if code:
            self.complain(f"{application.name}: the corrected release: exit code {code}: {told[-3000:]} {application.tail()}")
        application.wait("the corrected release does not answer", lambda: application.version() == application.versions[1])
        if application.heads() == before:
            self.complain(f"{application.name}: the corrected release ran no migrations")
        application.end()
        written = [one for one in application.written if one.fate != "exported"]
        live = application.dump(application.database)
        gone = [one for one in written if not all(self.has(application, live, table, mark) for table, mark in one.rows)
                or (one.file and application.read_file(one.file[0]) != one.file[1])]
        for one in gone[:5]:
            self.complain(f"{application.name}: not in the corrected release: {one.way} of {time.strftime('%H:%M:%S', time.gmtime(one.at))}, which was {one.fate}: {one.rows} {one.file}")
        self.shown(application, "the corrected release", written, live)
        self.corrected.update(releases=1, well=int(code == 0 and not gone))
        print(f"ahead    {application.label}: code {code}; {len(written) - len(gone)} of {len(written)} writes are in the corrected release", flush=True)

    def one(self, kind, work):
        application = kind(work, self.guard)
        try:
            application.prepare()
            application.wait("the old version does not come up", lambda: application.version() == application.versions[0])
            application.init()
            application.begin()
            time.sleep(8)
            if len(application.written) < USERS * 4:
                raise RuntimeError(f"{application.name}: the users cannot write: {application.errors} {application.tail()}")
            for label, carry, more in application.ways:
                if not self.options.way or self.options.way in label:
                    self.bad(application, label, carry, more)
            self.good(application)
        except RuntimeError as error:
            self.complain(f"{error} {application.tail()}")
        finally:
            application.end()
            if application.errors:
                print(f"         {application.name}: writes that were not acknowledged: {dict(application.errors)}", flush=True)
            application.stop()

    def all(self):
        for _ in range(self.options.times):
            for kind in (Mlflow, Wagtail, Hub):
                if self.options.names and kind.name not in self.options.names:
                    continue
                work = tempfile.mkdtemp(prefix="guard-upgrades.")
                os.chmod(work, 0o755)
                try:
                    self.one(kind, work)
                finally:
                    if self.options.keep:
                        print(f"kept: {work}", flush=True)
                    else:
                        shutil.rmtree(work, ignore_errors=True)
        found = self.sums["acknowledged"] - self.sums["nowhere"]
        print(f"FIGURE\tR22\tacknowledged writes behind bad upgrades: live, carried or exported, 100 %\t{found} of {self.sums['acknowledged']} (live {self.sums['live']}, "
              f"carried {self.sums['carried']}, exported {self.sums['exported']}); {self.corrected['well']} of {self.corrected['releases']} corrected releases have them\t"
              "scripts/faults --full upgrades", flush=True)
        return not self.wrong and self.sums["acknowledged"] > 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/lib/upgrades.py", description=HELP)
    parser.add_argument("--keep", action="store_true", help="leave the directories for a look")
    parser.add_argument("--times", type=int, default=1, help="how often each application is taken through it (1)")
    parser.add_argument("--way", help="only the settings whose words have this")
    parser.add_argument("names", nargs="*", help="these applications alone")
    sys.exit(0 if Judge(parser.parse_args()).all() else 1)


if __name__ == "__main__":
    main()
