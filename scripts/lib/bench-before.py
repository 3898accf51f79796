#!/usr/bin/env python3
"""Measures what has been added to guard since an earlier build, both in turns and in one run: scripts/bench before."""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HELP = """Compares two builds of guard in turns: `guard check`, and `guard backup` of many files that have not changed; and measures
what it takes to try a way back by loading a schema. CPU time of guard, of the programs that it calls and of the server counts, as a
machine with other work tells no other; wall time stands beside it."""

SETTINGS = """project = "before"
verify = "none"
state_dir = "{state}"
[resources.code]
kind = "git"
[resources.config]
kind = "files"
paths = ["app.conf"]
[resources.db]
kind = "postgres"
url = "postgres://shop@/shop?host={socket}&port=5499"
"""
FILES = """project = "before"
verify = "none"
state_dir = "{state}"
[resources.files]
kind = "volume"
path = "{data}"
"""


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench before", description=HELP)
    parser.add_argument("before", help="the earlier build")
    parser.add_argument("after", nargs="?", default="target/debug/guard", help="the later one (target/debug/guard)")
    parser.add_argument("--files", type=int, default=200_000, help="files of the directory (200000)")
    parser.add_argument("--tables", type=int, default=200, help="tables of the database (200)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    return parser.parse_args()


def as_server(words):
    root = os.geteuid() == 0
    return (["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] if root else []) + words


class Bench:
    def __init__(self, options):
        self.options = options
        self.root = tempfile.mkdtemp(prefix="guard-bench.")
        os.chmod(self.root, 0o755)
        self.socket = f"{self.root}/cluster"
        self.start()

    def start(self):
        found = [f"/usr/lib/postgresql/{version}/bin" for version in sorted(os.listdir("/usr/lib/postgresql"), key=float)]
        self.bin = found[-1]
        os.mkdir(self.socket)
        if os.geteuid() == 0:
            shutil.chown(self.socket, "postgres")
        data = f"{self.socket}/data"
        subprocess.run(as_server([f"{self.bin}/initdb", "-D", data, "--username=shop", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]),
                       cwd="/", check=True, stdout=subprocess.DEVNULL)
        subprocess.run(as_server([f"{self.bin}/pg_ctl", "-D", data, "-l", f"{self.socket}/log", "-w", "-o",
                                  f"-p 5499 -c listen_addresses='' -c unix_socket_directories='{self.socket}'", "start"]),
                       cwd="/", check=True, stdout=subprocess.DEVNULL)
        with open(f"{data}/postmaster.pid") as file:
            self.postmaster = int(file.readline())
        script = "CREATE DATABASE shop;\n\\connect shop\n" + "".join(
            f"CREATE TABLE t{n} (id bigserial PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now(), other bigint "
            f"{f'REFERENCES t{n - 1}' if n else ''}, CHECK (length(name) < 99)); CREATE INDEX ON t{n} (name); CREATE INDEX ON t{n} (at);\n"
            f"INSERT INTO t{n} (name) SELECT 'row ' || i FROM generate_series(1, 10) i;\n" for n in range(self.options.tables))
        subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-p", "5499", "-U", "shop", "-d", "postgres"],
                       input=script.encode(), check=True)

    def stop(self):
        subprocess.run(as_server([f"{self.bin}/pg_ctl", "-D", f"{self.socket}/data", "-m", "immediate", "stop"]), cwd="/", stdout=subprocess.DEVNULL)
        shutil.rmtree(self.root, ignore_errors=True)

    def of_server(self):
        """CPU seconds of the server, with those of its sessions that have ended."""
        with open(f"/proc/{self.postmaster}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def project(self, name, settings):
        place = f"{self.root}/{name}"
        os.mkdir(place)
        with open(f"{place}/app.conf", "w") as file:
            file.write("x = 1\n")
        for words in (["init", "-q"], ["add", "app.conf"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "one"]):
            subprocess.run(["git", *words], cwd=place, check=True)
        with open(f"{place}/.git/info/exclude", "a") as file:
            file.write("guard.toml\n")
        with open(f"{place}/guard.toml", "w") as file:
            file.write(settings.format(state=f"{self.root}/state-{name}", socket=self.socket, data=f"{self.root}/data"))
        os.chmod(f"{place}/guard.toml", 0o600)
        return place

    def call(self, guard, place, *words):
        """CPU and wall seconds of one call, which has to succeed."""
        environment = dict(os.environ, NO_COLOR="1", GUARD_STATE_ROOT=f"{self.root}/states")
        usage, server, begun = resource.getrusage(resource.RUSAGE_CHILDREN), self.of_server(), time.monotonic()
        told = subprocess.run([guard, "-C", place, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if told.returncode:
            sys.exit(f"{guard} {' '.join(words)}: {(told.stdout + told.stderr).decode(errors='replace')[-2000:]}")
        own = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        return own + self.of_server() - server, wall

    def turns(self, what, goal, places, *words):
        """Both builds in turns; the ratio is that of the medians of CPU time."""
        taken = {name: [] for name in places}
        for number in range(self.options.rounds):
            order = list(places.items())
            for name, (guard, place) in order if number % 2 else reversed(order):
                taken[name].append(self.call(guard, place, *words))
        cpu = {name: statistics.median(one[0] for one in figures) for name, figures in taken.items()}
        wall = {name: statistics.median(one[1] for one in figures) for name, figures in taken.items()}
        ratio = cpu["after"] / max(cpu["before"], 0.001)
        spread = ", ".join(f"{name} {min(one[0] for one in figures):.2f} to {max(one[0] for one in figures):.2f} s" for name, figures in taken.items())
        print(f"{what:44} before {cpu['before']:6.2f} s  after {cpu['after']:6.2f} s CPU ({wall['before']:.2f} and {wall['after']:.2f} s wall)  "
              f"ratio {ratio:.2f} (goal {goal}); {spread}", flush=True)

    def all(self):
        guards = {"before": os.path.realpath(self.options.before), "after": os.path.realpath(self.options.after)}
        places = {name: (guard, self.project(f"db-{name}", SETTINGS)) for name, guard in guards.items()}
        first, wall = self.call(guards["after"], places["after"][1], "check")
        for guard, place in places.values():
            self.call(guard, place, "backup")
        again = statistics.median(self.call(guards["after"], places["after"][1], "check")[0] for _ in range(self.options.rounds))
        print(f"{'way back tried by a load, ' + str(self.options.tables) + ' tables':44} {first - again:.2f} s CPU more than a check without ({wall:.2f} s wall in all; goal 2 s)", flush=True)
        self.turns("check, with a backup that is proven", "1.5", places, "check")
        for number in range(self.options.files):
            if number % 1000 == 0:
                os.makedirs(f"{self.root}/data/{number // 1000}")
            with open(f"{self.root}/data/{number // 1000}/{number}", "w") as file:
                file.write(f"file {number}\n" * 8)
        places = {name: (guard, self.project(f"files-{name}", FILES)) for name, guard in guards.items()}
        # Young files are read again: what is measured is the state that a day later has.
        old = time.time() - 86400
        for directory, _, names in os.walk(f"{self.root}/data"):
            for name in names:
                os.utime(f"{directory}/{name}", (old, old))
        for guard, place in places.values():
            self.call(guard, place, "backup")
        self.turns(f"backup of {self.options.files} unchanged files", "1.3", places, "backup")


def main():
    bench = Bench(parse())
    try:
        bench.all()
    finally:
        bench.stop()


main()
