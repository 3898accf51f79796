#!/usr/bin/env python3
"""Switches between two sides behind real fronts, by guard, with visitors who ask all the time.

usage: scripts/bench ways [--rounds N] [--rate R] [--fronts NAME,…] [--keep]

Each round deploys a release that is well on its own address and fails once visitors are at it: one switch forward and one
back, so N rounds (25) are 2N switches. Visitors ask R times a second (300) in all, over kept connections and over new ones by
turns, started on the clock; a kept connection that the front has closed before is thrown away first, as real clients do. A
request is lost where it gets no answer, or one that is not the side's own. From the trigger (the journal's record of the turn)
until the last answer of the failed side is the time until the old side answers everybody.
BENCH_GUARD=PATH measures that guard instead of a release build. Needs nginx, haproxy and caddy: scripts/setup.
"""

import argparse
import asyncio
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
FRONTS = ["nginx-marker", "nginx-link", "haproxy", "caddy-marker", "nginx-reload", "caddy-api"]


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Project:
    """The project of fixtures/sides behind one front."""

    def __init__(self, kind, root):
        self.kind, self.root, self.front = kind, root, None
        self.port, self.blue, self.green, self.admin = free_ports(4)
        self.directory = root / "project"
        self.directory.mkdir()
        root.chmod(0o755)
        for name in ["side.sh", "deploy.sh"]:
            shutil.copy(TOP / "fixtures/sides" / name, self.directory)
        shutil.copy(TOP / "fixtures/sides/app.py", root)
        (root / "blue.release").write_text("1 good\n")
        (self.directory / "release.txt").write_text("1\n")
        (self.directory / "guard.toml").write_text(self.settings())
        self.configure()
        self.side("start", "blue", self.blue)
        self.start()

    def settings(self):
        eyes = f'url = "http://127.0.0.1:{self.port}/"\nheader = "X-Side"\n'
        nginx = f'"nginx", "-p", "{self.root}", "-e", "{self.root}/error.log", "-c", "{self.root}/nginx.conf"'
        marker = f'kind = "marker"\npath = "{self.root}/green.on"\nside = "green"\n{eyes}'
        front = {
            "nginx-marker": marker,
            "caddy-marker": marker,
            "nginx-link": f'kind = "link"\npath = "{self.root}/live"\n'
            f'targets = {{ blue = "{self.root}/blue.sock", green = "{self.root}/green.sock" }}\n',
            "nginx-reload": f'kind = "nginx"\npath = "{self.root}/upstream.conf"\ncheck = [{nginx}, "-t"]\n'
            f'reload = [{nginx}, "-s", "reload"]\n{eyes}',
            "haproxy": f'kind = "haproxy"\nsocket = "{self.root}/haproxy.sock"\nbackend = "app"\n'
            f'state_file = "{self.root}/servers"\n',
            "caddy-api": f'kind = "caddy"\nadmin = "http://127.0.0.1:{self.admin}"\nid = "app"\n{eyes}',
        }[self.kind]
        sides = "".join(
            f'[blue_green.sides.{name}]\naddress = "127.0.0.1:{port}"\nhealth = "http://127.0.0.1:{port}/"\n'
            'start = ["./side.sh start"]\nstop = ["./side.sh stop"]\n'
            for name, port in [("blue", self.blue), ("green", self.green)]
        )
        return (
            'state_dir = "../state"\nstrategy = "blue-green"\n[resources.code]\nkind = "files"\npaths = ["release.txt"]\n'
            f'[probes.site]\nkind = "http"\nurl = "http://127.0.0.1:{self.port}/"\n[policy]\nwatcher = false\n'
            '[monitor]\nduration = "5s"\ninterval = "50ms"\nconsecutive_failures = 2\npersist = "50ms"\ngate = "20s"\n'
            f"min_samples = 3\n{sides}[blue_green.front]\n{front}"
        )

    def configure(self):
        root, port = self.root, self.port

        def nginx(body):
            places = "".join(
                f"{name}_temp_path {root}/{name};" for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            )
            (root / "nginx.conf").write_text(
                f"daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log; user root;\n"
                "events { worker_connections 2048; }\nhttp { access_log off; "
                f'{places} proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Through front;\n{body} }}\n'
            )

        def server(inside):
            return f"server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ {inside} }} }}"

        if self.kind == "nginx-marker":
            nginx(
                f"upstream blue {{ server 127.0.0.1:{self.blue}; }} upstream green {{ server 127.0.0.1:{self.green}; }}\n"
                + server(f"set $side blue; if (-f {root}/green.on) {{ set $side green; }} proxy_pass http://$side;")
            )
        elif self.kind == "nginx-link":
            (root / "live").symlink_to(root / "blue.sock")
            nginx(f"upstream live {{ server unix:{root}/live; }}\n" + server("proxy_pass http://live;"))
        elif self.kind == "nginx-reload":
            (root / "upstream.conf").write_text(f"upstream app {{ server 127.0.0.1:{self.blue}; }}\n")
            nginx(f"include {root}/upstream.conf;\n" + server("proxy_pass http://app;"))
        elif self.kind == "haproxy":
            (root / "haproxy.cfg").write_text(
                f"global\n  stats socket {root}/haproxy.sock mode 600 level admin\n  server-state-file {root}/servers\n"
                "defaults\n  mode http\n  load-server-state-from-file global\n  timeout connect 2s\n  timeout client 30s\n"
                f"  timeout server 30s\nfrontend site\n  bind 127.0.0.1:{port}\n  http-request set-header X-Through front\n"
                f"  default_backend app\nbackend app\n  server blue 127.0.0.1:{self.blue}\n"
                f"  server green 127.0.0.1:{self.green} disabled\n"
            )
        else:

            def proxy(name, to):
                return {
                    "@id": name,
                    "handler": "reverse_proxy",
                    "upstreams": [{"dial": f"127.0.0.1:{to}"}],
                    "headers": {"request": {"set": {"X-Through": ["front"]}}},
                }

            routes = [{"handle": [proxy("app", self.blue)]}]
            if self.kind == "caddy-marker":
                match = [{"file": {"root": str(root), "try_files": ["/green.on"]}}]
                routes.insert(0, {"match": match, "handle": [proxy("green", self.green)], "terminal": True})
            site = {"listen": [f"127.0.0.1:{port}"], "routes": routes, "automatic_https": {"disable": True}}
            config = {
                "admin": {"listen": f"127.0.0.1:{self.admin}"},
                "logging": {"logs": {"default": {"level": "ERROR"}}},
                "apps": {"http": {"servers": {"site": site}}},
            }
            (root / "caddy.json").write_text(json.dumps(config))

    def start(self):
        root = str(self.root)
        words = {
            "nginx": ["nginx", "-p", root, "-e", f"{root}/error.log", "-c", f"{root}/nginx.conf"],
            "haproxy": ["haproxy", "-db", "-f", f"{root}/haproxy.cfg"],
            "caddy": ["caddy", "run", "--config", f"{root}/caddy.json"],
        }[self.kind.split("-")[0]]
        environment = dict(os.environ, HOME=root, XDG_CONFIG_HOME=root, XDG_DATA_HOME=root)
        log = open(self.root / "front.log", "w", encoding="utf-8")
        self.front = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                socket.create_connection(("127.0.0.1", self.blue)).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"{self.kind} did not start: see {root}/front.log")

    def side(self, verb, name, port):
        environment = dict(os.environ, GUARD_SIDE=name, GUARD_SIDE_ADDRESS=f"127.0.0.1:{port}")
        subprocess.run(["./side.sh", verb], cwd=self.directory, env=environment, check=False)

    def stop(self):
        if self.front:
            self.front.send_signal(signal.SIGTERM)
            self.front.wait()
        for name, port in [("blue", self.blue), ("green", self.green)]:
            self.side("stop", name, port)

    def turns(self):
        """When each run turned back, and when it was over, in seconds since the epoch."""
        found = []
        for journal in sorted(self.root.glob("state/runs/*/journal.jsonl")):
            for line in journal.read_text().splitlines():
                record = json.loads(line)["record"]
                at = datetime.datetime.fromisoformat(record["at"][:26].rstrip("Z") + "+00:00").timestamp()
                if "turned" in record["fact"]:
                    found.append((at, at))
                if "closed" in record["fact"]:
                    found[-1] = (found[-1][0], at)
        return found


class Visitors(threading.Thread):
    """Asks by the clock until it is told to stop; `seen` has (end, side), `lost` (end, kind, why)."""

    def __init__(self, port, rate):
        super().__init__(daemon=True)
        self.port, self.rate, self.ends = port, rate, threading.Event()
        self.seen, self.lost, self.count, self.pool = [], [], 0, []

    def run(self):
        asyncio.run(self.ask_all())

    async def ask_all(self):
        begun, asked = time.monotonic(), []
        while not self.ends.is_set():
            self.count += 1
            await asyncio.sleep(max(0, begun + self.count / self.rate - time.monotonic()))
            asked = [one for one in asked if not one.done()]
            asked.append(asyncio.create_task(self.ask(self.count % 2 == 0)))
        await asyncio.gather(*asked)

    async def ask(self, is_new):
        kind, pair = ("new" if is_new else "kept"), None
        try:
            while self.pool and not is_new and pair is None:
                reader, writer = self.pool.pop()
                if reader.at_eof() or writer.is_closing():
                    writer.close()
                else:
                    pair = reader, writer
            if pair is None:
                pair = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 10)
            reader, writer = pair
            writer.write(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            body = await reader.readexactly(length)
            status = int(head.split(b" ")[1])
            # A failed release answers 500 with its own words: that is an answer.
            if status not in (200, 500) or body.split(b" ")[0] not in (b"blue", b"green"):
                raise OSError(f"status {status}")
            self.seen.append((time.time(), body.split(b" ")[0].decode()))
            if is_new:
                writer.close()
            else:
                self.pool.append(pair)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.lost.append((time.time(), kind, repr(error)))


def share(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measure(kind, asked, guard, work):
    root = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}.", dir=work))
    project = Project(kind, root)
    try:
        visitors = Visitors(project.port, asked.rate)
        visitors.start()
        time.sleep(0.5)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
        environment["GUARD_STATE_ROOT"] = str(root / "states")
        for _ in range(asked.rounds):
            words = [guard, "-q", "deploy", "--again", "--", "./deploy.sh", "2", "late"]
            ran = subprocess.run(words, cwd=project.directory, env=environment, capture_output=True, text=True, check=False)
            if ran.returncode != 22:
                sys.exit(f"{kind}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
        visitors.ends.set()
        visitors.join()
        waits = []
        for turn, closed in project.turns():
            late = [end for end, side in visitors.seen if side == "green" and turn < end < closed]
            waits.append(max([0.0] + [end - turn for end in late]))
        lost = {name: sum(1 for _, one, _ in visitors.lost if one == name) for name in ["kept", "new"]}
        print(
            f"{kind:13} {2 * asked.rounds:4} switches {visitors.count:7} requests   lost {lost['kept']:3} kept {lost['new']:3} new   "
            f"trigger to old side: p50 {1000 * share(waits, 0.5):4.0f} ms, p99 {1000 * share(waits, 0.99):4.0f} ms",
            flush=True,
        )
        for _, name, why in visitors.lost[:3]:
            print(f"              {name}: {why}")
    finally:
        project.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--fronts", default=",".join(FRONTS))
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    fronts = asked.fronts.split(",")
    unknown = [name for name in fronts if name not in FRONTS]
    if unknown:
        sys.exit(f"there is no front {unknown[0]}; there are: {', '.join(FRONTS)}")
    guard = os.environ.get("BENCH_GUARD")
    if not guard:
        subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "--bin", "guard"], cwd=TOP, check=True)
        guard = str(TOP / "target/release/guard")
    work = tempfile.mkdtemp(prefix="guard-bench-ways.")
    os.chmod(work, 0o755)
    try:
        for kind in fronts:
            measure(kind, asked, guard, work)
    finally:
        if asked.keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
