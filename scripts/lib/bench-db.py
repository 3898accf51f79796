#!/usr/bin/env python3
"""Measures what guard does to a Postgres database beside what people use otherwise: scripts/bench db."""

import argparse
import glob
import json
import os
import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from datetime import datetime

HELP = """Backup, restore, rollback and carry-over of Postgres databases on a private cluster, side by side in one run.
BENCH_GUARD=PATH measures that guard instead of a release build. With --server the cluster of PGHOST, PGPORT and PGUSER
is used, and the client programs that PATH finds; pgBackRest and the server's CPU are left out then. Absolute times
depend on the machine; quote the ratios."""

MIXED = """CREATE TABLE big{n} AS SELECT i AS id, md5(i::text) || md5((i * 7)::text) || md5((i * 13)::text) || md5((i * 17)::text) AS one,
    repeat('order ', 20) AS other FROM generate_series(1, {rows}) i;
  ALTER TABLE big{n} ADD PRIMARY KEY (id);"""
SMALL = """CREATE TABLE small AS SELECT i AS id FROM generate_series(1, 1000) i; ALTER TABLE small ADD PRIMARY KEY (id);
  CREATE TABLE visits (id bigserial PRIMARY KEY, at timestamptz DEFAULT now());"""
# Bytes that a row of the mixed data takes in its table and its index.
ROW = 310
# MB that a unit of pgbench's scale takes.
SCALE = 15


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench db", description=HELP)
    parser.add_argument("--mb", type=int, default=1100, help="MB of each kind of data (1100)")
    parser.add_argument("--rows", type=int, help="rows of mixed data instead")
    parser.add_argument("--sizes", default="0.1,1,4", help="GB of the databases that are rolled back (0.1,1,4)")
    parser.add_argument("--carried", type=int, default=100_000, help="rows that are carried over (100000)")
    parser.add_argument("--parts", default="mixed,pgbench,rollback,carry", help="what to measure (all)")
    parser.add_argument("--server", action="store_true", help="use the server that the environment names")
    return parser.parse_args()


class Bench:
    def __init__(self, options):
        self.options = options
        self.root = tempfile.mkdtemp(prefix="guard-bench.")
        os.chmod(self.root, 0o755)
        self.project = f"{self.root}/project"
        os.mkdir(self.project)
        self.environment = dict(os.environ, NO_COLOR="1", GUARD_STATE_ROOT=f"{self.root}/states")
        self.cluster = self.postmaster = None
        self.guard = os.environ.get("BENCH_GUARD") or self.build()
        if not options.server:
            self.start()

    def build(self):
        subprocess.run(["cargo", "build", "--quiet", "--locked", "--release"], check=True)
        return os.path.abspath(os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release/guard"))

    def as_server(self, words):
        # Postgres refuses to run as root.
        if os.getuid() == 0:
            words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *words]
        return words

    def start(self):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
        self.cluster = tempfile.mkdtemp(prefix="guard-cluster.")
        if os.getuid() == 0:
            shutil.chown(self.cluster, "postgres")
        data, port = f"{self.cluster}/data", random.randrange(20000, 60000)
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run(self.as_server([f"{self.bin}/initdb", "-D", data, "--username=shop", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8", "--no-sync"]), **quiet)
        settings = f"-p {port} -c listen_addresses='' -c unix_socket_directories={self.cluster} -c shared_buffers=256MB -c max_wal_size=4GB"
        subprocess.run(self.as_server([f"{self.bin}/pg_ctl", "-D", data, "-l", f"{self.cluster}/log", "-w", "-o", settings, "start"]), **quiet)
        self.postmaster = int(open(f"{data}/postmaster.pid").readline())
        self.environment.update(PGHOST=self.cluster, PGPORT=str(port), PGUSER="shop")

    def close(self):
        if self.cluster:
            subprocess.run(self.as_server([f"{self.bin}/pg_ctl", "-D", f"{self.cluster}/data", "-w", "-m", "immediate", "stop"]),
                stdout=subprocess.DEVNULL, cwd="/", check=False)
            shutil.rmtree(self.cluster, ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def sql(self, database, script):
        words = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", database]
        return subprocess.run(words, input=script, text=True, check=True, capture_output=True, env=self.environment).stdout.strip()

    def recreate(self, database):
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.sql("postgres", f'CREATE DATABASE "{database}"')

    def drop_all(self):
        names = self.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'shop%' OR datname = 'again'").split()
        for name in names:
            self.sql("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')

    def server_cpu(self):
        """Seconds of processor time of the server and all its sessions, past ones included."""
        if not self.postmaster:
            return 0.0
        total, tick = 0, os.sysconf("SC_CLK_TCK")
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                fields = open(path).read().rpartition(")")[2].split()
            except OSError:
                continue
            own = path.split("/")[2] == str(self.postmaster)
            if own or fields[1] == str(self.postmaster):
                total += sum(map(int, fields[11:15] if own else fields[11:13]))
        return total / tick

    def timed(self, command, expect=0, **options):
        """Wall time, processor time of the command and the server, and the largest process of the command in MB."""
        options.setdefault("cwd", self.project)
        before, server, begun = resource.getrusage(resource.RUSAGE_CHILDREN), self.server_cpu(), time.monotonic()
        peak = f"{self.root}/peak"
        words = command if isinstance(command, list) else ["bash", "-o", "pipefail", "-c", command]
        with open(f"{self.root}/log", "w") as log:
            code = subprocess.run(["/usr/bin/time", "-f", "%M", "-o", peak, *words], env=self.environment, stdout=log, stderr=log, check=False, **options).returncode
        wall = time.monotonic() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + self.server_cpu() - server
        if code != expect:
            raise SystemExit(f"{command} ended with {code}:\n{open(f'{self.root}/log').read()}")
        return wall, cpu, int(open(peak).read().split()[-1]) / 1000

    def settings(self, more=""):
        text = f"""state_dir = "{self.root}/state"
[resources.db]
kind = "postgres"
database = "shop"
{more}
[verify]
commands = [["false"]]
[policy]
data_restore = "always"
[monitor]
duration = "1s"
interval = "200ms"
gate = "1s"
consecutive_failures = 2
persist = "400ms"
min_samples = 2
"""
        path = f"{self.project}/guard.toml"
        open(path, "w").write(text)
        os.chmod(path, 0o600)

    def step(self, name):
        """When a step of the newest run began and ended."""
        run = max(glob.glob(f"{self.root}/state/runs/*"), key=os.path.getctime)
        at = {}
        for line in open(f"{run}/journal.jsonl"):
            record = json.loads(line)["record"]
            ((fact, body),) = record["fact"].items()
            if isinstance(body, dict) and body.get("step") == name:
                at[fact] = datetime.fromisoformat(record["at"][:26].rstrip("Z") + "+00:00").timestamp()
        return at["begun"], at["done"]

    def seconds(self, name):
        begun, done = self.step(name)
        return done - begun


def megabytes(path):
    if os.path.isfile(path):
        return os.path.getsize(path) / 1e6
    return sum(os.path.getsize(os.path.join(home, file)) for home, _, files in os.walk(path) for file in files) / 1e6


def load():
    return open("/proc/loadavg").read().split()[0]


def copies(bench, title):
    """Backup and restore of the database shop, by every way."""
    size, version = bench.sql("shop", "SELECT pg_size_pretty(pg_database_size('shop'))"), bench.sql("shop", "SHOW server_version")
    client = subprocess.run(["pg_dump", "--version"], capture_output=True, text=True, env=bench.environment, check=True).stdout.split()[2]
    cores = os.cpu_count()
    print(f"\n{title}: {size} in Postgres {version}, client {client}, {cores} cores, load {load()}", flush=True)
    print("| way | backup | CPU | MB | peak MB | restore | CPU | peak MB |\n|---|---|---|---|---|---|---|---|", flush=True)
    home, first = bench.root, {}

    def row(name, backup, size, restore):
        cells = [name]
        for kind, figures in (("backup", backup), ("restore", restore)):
            if not figures:
                cells += ["–"] * (3 if kind == "backup" else 2)
                continue
            wall, cpu, peak = figures
            base = first.setdefault(kind, wall)
            cells += [f"{wall:.1f} s, {base / wall:.1f} ×", f"{cpu:.1f} s"] + ([f"{size:.0f}"] if kind == "backup" else []) + [f"{peak:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)

    def again(command):
        bench.recreate("again")
        figures = bench.timed(command)
        bench.sql("postgres", 'DROP DATABASE "again"')
        return figures

    out = f"{home}/dump"
    backup = bench.timed(f"pg_dump shop | gzip > {out} && sync {out}")
    size, restore = megabytes(out), again(f"gunzip -c {out} | psql -qX -v ON_ERROR_STOP=1 -d again")
    row("`pg_dump \\| gzip`, `gunzip \\| psql`", backup, size, restore)
    os.remove(out)
    ways = [("`pg_dump -Fc`", f"pg_dump -Fc -f {out} shop && sync {out}", f"pg_restore -e -d again {out}"),
        (f"`pg_dump -Fd -j {cores}`", f"pg_dump -Fd -j {cores} -f {out} shop", f"pg_restore -e -j {cores} -d again {out}")]
    if int(client.split(".")[0]) >= 16:
        ways.append((f"`pg_dump -Fd -j {cores} -Z zstd:1`", f"pg_dump -Fd -j {cores} -Z zstd:1 -f {out} shop", f"pg_restore -e -j {cores} -d again {out}"))
    if shutil.which("zstd"):
        ways.append(("`pg_dump \\| zstd -T0 -1`", f"pg_dump shop | zstd -q -T0 -1 > {out} && sync {out}", f"zstd -dc {out} | psql -qX -v ON_ERROR_STOP=1 -d again"))
    for name, dump, load_again in ways:
        backup = bench.timed(dump)
        row(name, backup, megabytes(out), again(load_again))
        shutil.rmtree(out, ignore_errors=True) if os.path.isdir(out) else os.remove(out)
    if bench.cluster and shutil.which("pgbackrest"):
        repository, restored = f"{bench.cluster}/repository", f"{bench.cluster}/restored"
        words = bench.as_server(["pgbackrest", "--stanza=shop", f"--pg1-path={bench.cluster}/data", f"--repo1-path={repository}",
            f"--pg1-port={bench.environment['PGPORT']}", f"--pg1-socket-path={bench.cluster}", "--pg1-user=shop",
            f"--lock-path={bench.cluster}", f"--log-path={bench.cluster}", "--log-level-console=warn"])
        bench.timed([*words, "stanza-create"], cwd="/")
        fast = [f"--process-max={cores}", "--compress-type=zst", "--compress-level=1", "--start-fast", "--no-archive-check"]
        backup = bench.timed([*words, *fast, "--type=full", "backup"], cwd="/")
        size = megabytes(repository)
        moved = [word.replace(f"{bench.cluster}/data", restored) for word in words]
        restore = bench.timed([word for word in moved if "--pg1-port" not in word and "socket" not in word and "--pg1-user" not in word] + [f"--process-max={cores}", "--type=none", "restore"], cwd="/")
        row("pgBackRest, full, zst 1, the whole cluster", backup, size, restore)
        for path in (repository, restored):
            shutil.rmtree(path, ignore_errors=True)
    bench.settings()
    backup = bench.timed([bench.guard, "backup"])
    captured = bench.seconds("capture/db")
    path = sorted(glob.glob(f"{home}/state/backups/2*"))[-1]
    restore = bench.timed([bench.guard, "verify", os.path.basename(path), "--restore"])
    row("guard, read back and proven; restored and compared", backup, megabytes(f"{path}/db"), restore)
    print(f"guard's step alone, copy, digest and proof: {captured:.1f} s, {first['backup'] / captured:.1f} ×", flush=True)


class Clients:
    """Clients that write and ask without a pause, each in a session that it opens again when it is lost."""

    def __init__(self, bench, count=4):
        self.bench, self.over, self.right, self.wrong = bench, False, [], 0
        self.threads = [threading.Thread(target=self.work) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        time.sleep(2)

    def work(self):
        session = None
        while not self.over:
            if session is None or session.poll() is not None:
                session = subprocess.Popen(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", "shop"], env=self.bench.environment, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                session.stdin.write("INSERT INTO visits DEFAULT VALUES;\nSELECT count(*) FROM small;\n")
                session.stdin.flush()
                answer = session.stdout.readline().strip()
            except (BrokenPipeError, OSError):
                answer = ""
            if answer == "1000":
                self.right.append(time.time())
            elif answer:
                self.wrong += 1
            else:
                session.kill()
                session.wait()
                session = None
        if session:
            session.kill()
            session.wait()

    def end(self):
        """The longest time without a right answer of anybody, and how many were wrong."""
        time.sleep(2)
        self.over = True
        for thread in self.threads:
            thread.join()
        times = sorted(self.right)
        return max((after - before for before, after in zip(times, times[1:])), default=float("nan")), self.wrong

    def rate(self, begun, ended):
        """Right answers a second in a span of time."""
        return sum(begun <= at < ended for at in list(self.right)) / max(ended - begun, 0.001)


def rollbacks(bench, sizes):
    print(f"\nGoing back under four clients that write and ask without a pause, load {load()}")
    print("| database | way | longest time without a right answer | wrong answers | prepared beside what is live | swapped | peak MB | answers a second: before, while the standby is loaded |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for size in sizes:
        bench.drop_all()
        bench.recreate("shop")
        bench.sql("shop", MIXED.format(n="", rows=int(size * 1e9 / ROW)) + SMALL)
        bench.sql("shop", "VACUUM ANALYZE")
        shown = bench.sql("shop", "SELECT pg_size_pretty(pg_database_size('shop'))")
        for standby in ("never", "always"):
            bench.settings(f'standby = "{standby}"')
            clients = Clients(bench)
            asked = time.time()
            time.sleep(3)
            before = clients.rate(asked, time.time())
            _, _, peak = bench.timed([bench.guard, "deploy", "--", "sh", "-c", "psql -qX -d shop -c 'ALTER TABLE small ADD COLUMN x int'"], expect=21)
            gap, wrong = clients.end()
            meanwhile = f"{before:.0f}, {clients.rate(*bench.step('capture/db')):.0f}" if standby == "always" else f"{before:.0f}, –"
            print(f"| {shown} | guard, `standby = \"{standby}\"` | {gap:.2f} s | {wrong} | {bench.seconds('prepare/db'):.1f} s | {bench.seconds('restore/db'):.1f} s | {peak:.0f} | {meanwhile} |", flush=True)
            for name in bench.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'shop\\_\\_%'").split():
                bench.sql("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
        out = f"{bench.root}/dump"
        bench.timed(f"pg_dump shop | gzip > {out}")
        clients = Clients(bench)
        bench.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'")
        bench.recreate("shop")
        wall, _, _ = bench.timed(f"gunzip -c {out} | psql -qX -d shop")
        gap, wrong = clients.end()
        print(f"| {shown} | terminate, drop, create, `gunzip \\| psql` | {gap:.2f} s | {wrong} | – | {wall:.1f} s | – | – |", flush=True)


def carry(bench, rows):
    bench.drop_all()
    bench.recreate("shop")
    bench.sql("shop", SMALL + MIXED.format(n="", rows=100_000))
    each = rows // 10
    for table in range(1, 11):
        reference = f"NOT NULL REFERENCES t{table - 1}" if table > 1 else ""
        bench.sql("shop", f"CREATE TABLE t{table} (id int PRIMARY KEY, up int {reference}, note text)")
    bench.settings('carry_over = "inserts"')
    script = "".join(f"INSERT INTO t{table} SELECT i, i, md5(i::text) FROM generate_series(1, {each}) i;" for table in range(1, 11))
    script += "ALTER TABLE small ADD COLUMN x int"
    _, _, peak = bench.timed([bench.guard, "deploy", "--", "psql", "-qX", "-d", "shop", "-c", script], expect=21)
    found = [bench.sql("shop", f"SELECT count(*) || ' ' || count(DISTINCT id) FROM t{table}") for table in range(1, 11)]
    carried, doubled = sum(int(line.split()[0]) for line in found), sum(int(line.split()[0]) - int(line.split()[1]) for line in found)
    run = max(glob.glob(f"{bench.root}/state/runs/*"), key=os.path.getctime)
    exported = sum(sum(1 for _ in open(path)) - 1 for path in glob.glob(f"{run}/salvage/db/t*.csv"))
    lost = each * 10 - carried - exported
    print(f"\nCarry-over over ten tables with foreign keys, load {load()}: {each * 10} rows written, {carried} carried, {exported} exported, "
        f"{lost} lost, {doubled} doubled, in {bench.seconds('restore/db'):.1f} s; guard's memory {peak:.0f} MB", flush=True)
    if lost or doubled:
        raise SystemExit("rows were lost or doubled")


def main():
    options = parse()
    parts = options.parts.split(",")
    bench = Bench(options)
    try:
        if "mixed" in parts:
            bench.drop_all()
            bench.recreate("shop")
            rows = options.rows or int(options.mb * 1e6 / ROW)
            for table in (1, 2, 3):
                bench.sql("shop", MIXED.format(n=table, rows=rows // (2 if table == 1 else 4)))
            bench.sql("shop", SMALL)
            bench.sql("shop", "VACUUM ANALYZE")
            bench.sql("shop", "CHECKPOINT")
            copies(bench, "mixed data, half of it hard to compress")
        if "pgbench" in parts:
            bench.drop_all()
            bench.recreate("shop")
            binary = shutil.which("pgbench") or f"{bench.bin}/pgbench"
            subprocess.run([binary, "-i", "-q", "-s", str(max(options.mb // SCALE, 1)), "shop"], env=bench.environment, check=True, capture_output=True)
            bench.sql("shop", "CHECKPOINT")
            copies(bench, "pgbench")
        if "rollback" in parts:
            rollbacks(bench, [float(size) for size in options.sizes.split(",")])
        if "carry" in parts:
            carry(bench, options.carried)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
