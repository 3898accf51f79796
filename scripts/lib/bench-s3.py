# Measures objects over a slow way: guard beside rclone, on the same server, in one run. Called by scripts/bench.
"""usage: scripts/bench s3 [--objects N] [--bytes N] [--delay MS] [--large MB] [--rounds N] [--built]
  N objects (2000) of N bytes (1000) on the S3 server of the tests, which answers MS (20) later each way, as over a network;
  measures, N times (3) in turns, and tells the median and all of them:
    rclone with 32 and 64 transfers: down; and what a rollback does by its means: up, each object copied aside, put in place
    guard: the first backup, one where nothing has changed, the way back after all objects have changed;
    a copy of the backup elsewhere and back
  --large MB: one object of that size beside (0: none).
  --built: takes the release build that is there; BENCH_GUARD=PATH measures that guard.
  Quote the ratios, not the seconds."""

import asyncio
import glob
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache")), "guard-test")
who = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "something"}


def tool(pattern):
    found = sorted(glob.glob(os.path.join(cache, pattern)))
    if not found:
        sys.exit(f"scripts/setup makes {pattern}")
    return found[-1]


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Relay:
    """Hands on what comes, so much later each way; knows how many connections wait for an answer at most."""

    def __init__(self, port, delay):
        self.to, self.delay, self.port = port, delay, free()
        self.busy, self.most = set(), 0
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, "127.0.0.1", self.port), self.loop).result()

    async def hand_on(self, reader, writer, seen):
        # What was read is written when its time has come, in order, however much of it is on the way.
        waiting = asyncio.Queue()

        async def write():
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0, due - self.loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        end = self.loop.create_task(write())
        while True:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            if data:
                seen()
            waiting.put_nowait((self.loop.time() + self.delay, data))
            if not data:
                break
        try:
            await end
        except OSError:
            pass

    async def serve(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        name = object()

        def asked():
            self.busy.add(name)
            self.most = max(self.most, len(self.busy))

        await asyncio.gather(self.hand_on(reader, back, asked), self.hand_on(there, writer, lambda: self.busy.discard(name)))
        self.busy.discard(name)


def run(words, env, cwd=None, ok=(0,)):
    """Seconds and peak kilobytes."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, cwd=cwd, env={**os.environ, **env}, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ok:
            said.seek(0)
            sys.exit(f"{words}: {process.returncode}\n{said.read().decode(errors='replace')}")
    return time.monotonic() - begun, usage.ru_maxrss


class Bench:
    def __init__(self, base, guard, sizes):
        self.base, self.guard, self.sizes = base, guard, sizes
        self.rclone = tool("storages-*/bin/rclone")
        self.storage = os.path.join(base, "storage")
        for bucket in ("shop", "copies", "beside"):
            os.makedirs(os.path.join(self.storage, bucket))
        port = free()
        words = [tool("s3s-fs-*/bin/s3s-fs"), "--host", "127.0.0.1", "--port", str(port)]
        words += ["--access-key", who["AWS_ACCESS_KEY_ID"], "--secret-key", who["AWS_SECRET_ACCESS_KEY"], self.storage]
        self.server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        self.near = f"http://127.0.0.1:{port}"
        self.relay = Relay(port, sizes["--delay"] / 1000)
        self.far = f"http://127.0.0.1:{self.relay.port}"
        self.made = 0

    def by_rclone(self, words, transfers, endpoint=None):
        env = {
            "RCLONE_CONFIG": os.path.join(self.base, "no-such-file"),
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_ENDPOINT": endpoint or self.far,
            "RCLONE_S3_ACCESS_KEY_ID": who["AWS_ACCESS_KEY_ID"],
            "RCLONE_S3_SECRET_ACCESS_KEY": who["AWS_SECRET_ACCESS_KEY"],
            "RCLONE_S3_REGION": "us-east-1",
            "RCLONE_S3_FORCE_PATH_STYLE": "true",
            "RCLONE_S3_NO_CHECK_BUCKET": "true",
        }
        many = ["--transfers", str(transfers), "--checkers", str(transfers), "--no-traverse", "--no-check-dest"]
        return run([self.rclone, *words, *many], env)[0]

    def fill(self, seed):
        """All objects anew, by rclone and past the delay."""
        folder = os.path.join(self.base, f"objects-{seed}")
        os.makedirs(folder)
        for number in range(self.sizes["--objects"]):
            with open(os.path.join(folder, f"{number:06}"), "wb") as file:
                file.write(os.urandom(self.sizes["--bytes"]))
        if self.sizes["--large"]:
            with open(os.path.join(folder, "large"), "wb") as file:
                for _ in range(self.sizes["--large"]):
                    file.write(os.urandom(1_000_000))
        self.by_rclone(["copy", folder, ":s3:shop/objects/"], 32, self.near)
        return folder

    def rounds(self):
        found = {}

        def note(name, seconds):
            found.setdefault(name, []).append(seconds)
            print(f"  {name}: {seconds:.2f} s", file=sys.stderr)

        peak, most = 0, 0
        for number in range(self.sizes["--rounds"]):
            shutil.rmtree(os.path.join(self.storage, "shop", "objects"), ignore_errors=True)
            folder = self.fill(number * 2)
            for transfers in (32, 64):
                down = os.path.join(self.base, "down")
                note(f"rclone {transfers}, down", self.by_rclone(["copy", ":s3:shop/objects/", down], transfers))
                shutil.rmtree(down)
            place = os.path.join(self.base, f"project-{number}")
            os.makedirs(place)
            with open(os.path.join(place, "guard.toml"), "w") as file:
                file.write(f'verify = "none"\n[resources.objects]\nkind = "s3"\nurl = "s3://shop/objects"\nendpoint = "{self.far}"\n')
                file.write('[policy]\ndata_restore = "always"\n')
            env = {**who, "GUARD_STATE_DIR": os.path.join(place, "state"), "NO_COLOR": "1"}

            def by_guard(name, words, env=env, place=place):
                nonlocal peak, most
                self.relay.most = 0
                seconds, memory = run([self.guard, "-q", *words], env, cwd=place)
                peak, most = max(peak, memory), max(most, self.relay.most)
                note(name, seconds)

            by_guard("guard, first backup", ["backup"])
            time.sleep(1.1)
            by_guard("guard, unchanged", ["backup"])
            newest = sorted(name for name in os.listdir(os.path.join(place, "state", "backups")) if name.startswith("2"))[-1]
            with open(os.path.join(place, "guard.toml"), "a") as file:
                file.write(f'[copy]\nurl = "s3://copies/{number}"\nendpoint = "{self.far}"\n')
            by_guard("guard, copied elsewhere", ["copy", newest])
            fresh = os.path.join(place, "fresh")
            os.mkdir(fresh, 0o700)
            shutil.copy(os.path.join(place, "state", "key"), fresh)
            by_guard("guard, fetched", ["fetch", newest], env={**env, "GUARD_STATE_DIR": fresh})
            self.fill(number * 2 + 1)
            for transfers in (32, 64):
                up = self.by_rclone(["copy", folder, f":s3:beside/{number}-{transfers}/after/"], transfers)
                aside = self.by_rclone(["copy", ":s3:shop/objects/", f":s3:beside/{number}-{transfers}/before/"], transfers)
                back = self.by_rclone(["copy", f":s3:beside/{number}-{transfers}/after/", f":s3:beside/{number}-{transfers}/live/"], transfers)
                note(f"rclone {transfers}, way back", up + aside + back)
            by_guard("guard, way back", ["rollback", "--yes", f"--backup-timestamp={newest}"])
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), "rb") as meant, open(os.path.join(self.storage, "shop", "objects", name), "rb") as live:
                    if meant.read() != live.read():
                        sys.exit(f"{name} did not come back")
        return found, peak, most


def main(words):
    sizes = {"--objects": 2000, "--bytes": 1000, "--delay": 20, "--large": 0, "--rounds": 3}
    built = False
    while words:
        word = words.pop(0)
        if word in sizes and words:
            sizes[word] = int(words.pop(0))
        elif word == "--built":
            built = True
        else:
            sys.exit(__doc__)
    guard = os.environ.get("BENCH_GUARD")
    if not guard:
        guard = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(top, "target")), "release", "guard")
        if not built:
            subprocess.run(["cargo", "build", "--quiet", "--locked", "--release"], cwd=top, check=True)
    base = tempfile.mkdtemp(prefix="guard-bench.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    # Ended from outside, it still ends its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(base, os.path.abspath(guard), sizes)
    try:
        found, peak, most = bench.rounds()
        large = f", one of {sizes['--large']} MB" if sizes["--large"] else ""
        print(f"\n== {sizes['--objects']} objects of {sizes['--bytes']} bytes{large}, {sizes['--delay']} ms each way, median of {sizes['--rounds']}")
        middle = {name: statistics.median(seconds) for name, seconds in found.items()}
        for name, seconds in found.items():
            than = {"guard, first backup": "rclone 32, down", "guard, unchanged": "rclone 32, down", "guard, way back": "rclone 32, way back"}.get(name)
            ratio = f"{middle[name] / middle[than]:.2f} times as long as {than}" if than else ""
            print(f"{name:26} {middle[name]:>7.2f} s  {' '.join(f'{one:.2f}' for one in seconds):24} {ratio}")
        print(f"guard's memory: {peak / 1000:.0f} MB; requests of guard in flight: {most} at most")
    finally:
        bench.server.kill()
        bench.server.wait()
        shutil.rmtree(base)


main(sys.argv[1:])
