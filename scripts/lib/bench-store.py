# Measures copies of a directory: guard beside tar, restic and borg, on the same data, in one run. Called by scripts/bench.
"""usage: scripts/bench store [--megabytes N] [--files N] [--growth] [--s3 N] [--backups N] [--keep] [--built]
  Makes N megabytes (1000) of mixed files, about half compressible, and measures, once each:
    first backup; second one after 1 % of the bytes changed; restore of that 1 % in place; restore of all;
    bytes stored by ten backups; peak memory of the first
  Then the same for N small files (200000). --growth: guard alone, from 10 to 1,000,000 files, or to --most N.
  --s3 N: N megabytes into the S3 server of the tests and back, beside restic on the same server.
  --backups N: guard alone, in a store of N backups: list, backup, prune, deploy.
  --built: takes the release build that is there.
  Tools that are not installed are left out. Quote the ratios, not the seconds."""

import glob
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import shlex

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
guard = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(top, "target")), "release", "guard")


def run(words, cwd=None, env=None, ok=(0,)):
    """Seconds and peak kilobytes of a program and its children."""
    os.sync()
    begun = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, cwd=cwd, env={**os.environ, **(env or {})}, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ok:
            said.seek(0)
            sys.exit(f"{words}: {process.returncode}\n{said.read().decode(errors='replace')}")
    return time.monotonic() - begun, usage.ru_maxrss


def shell(script, cwd=None):
    return run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd)


def stored(path):
    """Bytes on the disk, each file once however many names it has."""
    seen, total = set(), 0
    for root, _, names in os.walk(path):
        for name in names:
            stat = os.lstat(os.path.join(root, name))
            if stat.st_ino not in seen:
                seen.add(stat.st_ino)
                total += stat.st_size
    return total


def text(dice, length):
    words = b"the quick brown fox jumps over a lazy dog and then some more of it again\n".split(b" ")
    return b" ".join(dice.choices(words, k=length // 4 + 2))[:length]


def mixed(root, megabytes, dice):
    """Many small files, some large ones; half of the bytes compress well."""
    left, number = megabytes * 1_000_000, 0
    while left > 0:
        length = min(left, dice.choice([3_000, 8_000, 20_000, 40_000, 60_000, 100_000, 400_000, 20_000_000 if number % 50 == 0 else 9_000]))
        directory = os.path.join(root, str(number % 97))
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"{number}.bin"), "wb") as file:
            file.write(dice.randbytes(length) if number % 2 else text(dice, length))
        left, number = left - length, number + 1


def small(root, count, dice):
    for number in range(count):
        directory = os.path.join(root, str(number % 499))
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, str(number)), "wb") as file:
            file.write(dice.randbytes(dice.randrange(50, 600)))


def change(root, share, dice):
    """Overwrites this share of the bytes, a few kilobytes here and there."""
    paths = [os.path.join(at, name) for at, _, names in os.walk(root) for name in names if ".guard-" not in at]
    paths.sort()
    wanted = sum(os.path.getsize(path) for path in paths) * share
    while wanted > 0:
        path = dice.choice(paths)
        size = os.path.getsize(path)
        length = min(size, dice.randrange(2_000, 40_000))
        with open(path, "r+b") as file:
            file.seek(dice.randrange(size - length + 1))
            file.write(dice.randbytes(length))
        wanted -= length


class Tar:
    def __init__(self, name, pack, unpack, place):
        self.name, self.pack, self.unpack, self.place, self.count = name, pack, unpack, place, 0

    def backup(self, root):
        self.count += 1
        return shell(f"tar -C {shlex.quote(root)} -cf - . | {self.pack} > {self.place}/{self.count}.tar.x; sync {self.place}/{self.count}.tar.x")

    def restore(self, root):
        return shell(f"find {root} -mindepth 1 -delete; {self.unpack} < {self.place}/{self.count}.tar.x | tar -C {root} -xpf -; sync -f {root}")


class Restic:
    name = "restic"

    def __init__(self, place):
        self.place = os.path.join(place, "restic")
        self.env = {"RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": os.path.join(place, "cache")}
        run(["restic", "-q", "init", "-r", self.place, "--repository-version", "2"], env=self.env)

    def backup(self, root):
        return run(["restic", "-q", "-r", self.place, "backup", "."], cwd=root, env=self.env)

    def restore(self, root):
        return shell(f"find {root} -mindepth 1 -delete; RESTIC_PASSWORD=x RESTIC_CACHE_DIR={self.env['RESTIC_CACHE_DIR']} restic -q -r {self.place} restore latest --target {root}; sync -f {root}")


class Borg:
    name = "borg (zstd,3)"

    def __init__(self, place):
        self.place, self.count = os.path.join(place, "borg"), 0
        self.env = {"BORG_BASE_DIR": place, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        run(["borg", "init", "-e", "none", self.place], env=self.env)

    def backup(self, root):
        self.count += 1
        return run(["borg", "create", "-C", "zstd,3", f"{self.place}::{self.count}", "."], cwd=root, env=self.env)

    def restore(self, root):
        return shell(f"find {root} -mindepth 1 -delete; cd {root}; BORG_BASE_DIR={self.env['BORG_BASE_DIR']} BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes borg extract {self.place}::{self.count}; sync -f {root}")


class Guard:
    def __init__(self, place, root, form, more=""):
        self.name = f"guard, {form}"
        self.project = os.path.join(place, "project")
        self.place = os.path.join(place, "state")
        os.makedirs(self.project)
        self.env = {"GUARD_STATE_DIR": self.place, "NO_COLOR": "1"}
        with open(os.path.join(self.project, "guard.toml"), "w") as file:
            file.write(f'verify = "none"\n[resources.data]\nkind = "volume"\npath = "{root}"\nform = "{form}"\n[policy]\ndata_restore = "always"\n{more}')

    def backup(self, root):
        return run([guard, "-q", "backup"], cwd=self.project, env=self.env)

    def restore(self, root):
        newest = sorted(name for name in os.listdir(os.path.join(self.place, "backups")) if name.startswith("2"))[-1]
        return run([guard, "-q", "rollback", "--yes", f"--backup-timestamp={newest}"], cwd=self.project, env=self.env)


def apart(work, *args):
    """Does it in a process of its own: what this one needs would count as the memory of those it starts."""
    pid = os.fork()
    if pid == 0:
        try:
            work(*args)
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("the files could not be made")


def measure(make, root, dice_of, rounds):
    place = tempfile.mkdtemp(prefix="guard-bench.", dir=os.path.dirname(root))
    tool = make(place, root)
    repository = getattr(tool, "place", place)
    row = {"name": tool.name}
    # Files that were just made would be read again, as is right and not what is measured.
    time.sleep(3)
    row["first"], row["memory"] = tool.backup(root)
    row["size"] = stored(repository)
    apart(change, root, 0.01, dice_of(1))
    time.sleep(3)
    row["second"], _ = tool.backup(root)
    row["stored"] = stored(repository) - row["size"]
    apart(change, root, 0.01, dice_of(2))
    row["part"], _ = tool.restore(root)
    # Moved away and not deleted: for minutes ext4 looks for inodes that were not freed lately, one by one, and what is made
    # meanwhile takes several times as long.
    os.rename(root, root + ".gone")
    os.mkdir(root)
    row["all"], _ = tool.restore(root)
    if isinstance(tool, Tar):
        # Each is whole again, so eight more are eight times the second.
        row["ten"] = row["size"] + row["stored"] * (1 + rounds)
    else:
        for number in range(rounds):
            apart(change, root, 0.01, dice_of(10 + number))
            tool.backup(root)
        row["ten"] = stored(repository)
    return row


def table(rows):
    base = rows[0]
    print(f"{'':24} {'first':>12} {'MB':>7} {'second':>12} {'MB':>7} {'1 % back':>12} {'all back':>12} {'ten, MB':>8} {'peak MB':>8}")
    for row in rows:
        cells = [f"{row[key]:.1f} s {base[key] / row[key]:.1f} x" for key in ("first", "second", "part", "all")]
        megabytes = [f"{row[key] / 1e6:.0f}" for key in ("size", "stored", "ten")]
        print(f"{row['name']:24} {cells[0]:>12} {megabytes[0]:>7} {cells[1]:>12} {megabytes[1]:>7} {cells[2]:>12} {cells[3]:>12} {megabytes[2]:>8} {row['memory'] / 1000:>8.0f}")
    sys.stdout.flush()


def tools():
    """Makers of tools: of the directory for what they keep, and of the one that they copy."""
    yield lambda place, root: Tar("tar czf", "gzip", "gzip -dc", place)
    yield lambda place, root: Tar("tar | zstd -T0", "zstd -q -T0 -3", "zstd -dc", place)
    if shutil.which("restic"):
        yield lambda place, root: Restic(place)
    if shutil.which("borg"):
        yield lambda place, root: Borg(place)
    yield lambda place, root: Guard(place, root, "archive")
    yield lambda place, root: Guard(place, root, "chunks")


def compare(title, fill, base, rounds):
    print(f"\n== {title}")
    rows = []
    base = tempfile.mkdtemp(dir=base)
    for number, make in enumerate(tools()):
        # Each has a tree of its own, and nothing is deleted before the last has ended.
        root = os.path.join(base, f"data-{number}")
        os.mkdir(root)
        apart(fill, root, random.Random(7))
        rows.append(measure(make, root, lambda seed: random.Random(seed), rounds))
        print(f"  {rows[-1]['name']} is measured", file=sys.stderr)
    table(rows)
    shutil.rmtree(base)


def growth(base, most):
    print("\n== guard alone, chunks, small files\n" + f"{'files':>9} {'first':>9} {'unchanged':>10} {'ten back':>9} {'peak MB':>8}")
    for count in [count for count in (10, 1_000, 100_000, 1_000_000) if count <= most]:
        root, place = os.path.join(base, "data"), os.path.join(base, "place")
        os.mkdir(root)
        os.mkdir(place)
        apart(small, root, count, random.Random(3))
        tool = Guard(place, root, "chunks")
        time.sleep(3)
        first, _ = tool.backup(root)
        time.sleep(1)
        again, memory = tool.backup(root)
        for path in [os.path.join(root, str(number % 499), str(number)) for number in range(min(10, count))]:
            with open(path, "wb") as file:
                file.write(b"changed")
        back, back_memory = tool.restore(root)
        print(f"{count:>9} {first:>7.1f} s {again:>8.1f} s {back:>7.1f} s {max(memory, back_memory) / 1000:>8.0f}")
        sys.stdout.flush()
        shutil.rmtree(root)
        shutil.rmtree(place)


class Storage:
    """The S3 server of the tests, in a directory of its own."""

    def __init__(self, base):
        cache = os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
        found = sorted(glob.glob(os.path.join(cache, "guard-test", "s3s-fs-*", "bin", "s3s-fs")))
        if not found:
            sys.exit("scripts/setup builds the S3 server")
        self.root = os.path.join(base, "storage")
        os.makedirs(os.path.join(self.root, "guard"))
        os.makedirs(os.path.join(self.root, "restic"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words = [found[-1], "--host", "127.0.0.1", "--port", str(self.port), "--access-key", "someone", "--secret-key", "something", self.root]
        self.server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.env = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "something"}
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)


def elsewhere(base, megabytes):
    """Seconds until all is in the storage, and until all of it is back on a machine that has only the key."""
    print(f"\n== {megabytes} MB of mixed files, to an S3 server on this machine and back")
    root = os.path.join(base, "data")
    os.mkdir(root)
    apart(mixed, root, megabytes, random.Random(7))
    storage = Storage(base)
    try:
        rows = []
        if shutil.which("restic"):
            env = {**storage.env, "RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": os.path.join(base, "cache")}
            restic = ["restic", "-q", "-r", f"s3:http://127.0.0.1:{storage.port}/restic"]
            run([*restic, "init", "--repository-version", "2"], env=env)
            first, _ = run([*restic, "backup", "."], cwd=root, env=env)
            again, _ = run([*restic, "backup", "."], cwd=root, env=env)
            shutil.rmtree(env["RESTIC_CACHE_DIR"])
            back, _ = run([*restic, "restore", "latest", "--target", os.path.join(base, "back")], env=env)
            shutil.rmtree(os.path.join(base, "back"))
            rows.append(("restic", first, again, back, stored(os.path.join(storage.root, "restic"))))
        place = os.path.join(base, "place")
        os.mkdir(place)
        more = f'[copy]\nurl = "s3://guard/shop"\nendpoint = "http://127.0.0.1:{storage.port}"\n'
        tool = Guard(place, root, "chunks", more)
        tool.env.update(storage.env)
        first, _ = tool.backup(root)
        time.sleep(3)
        again, _ = tool.backup(root)
        newest = sorted(name for name in os.listdir(os.path.join(tool.place, "backups")) if name.startswith("2"))[-1]
        tool.env["GUARD_STATE_DIR"] = os.path.join(place, "fresh")
        os.mkdir(tool.env["GUARD_STATE_DIR"], 0o700)
        shutil.copy(os.path.join(tool.place, "key"), tool.env["GUARD_STATE_DIR"])
        shell(f"find {root} -mindepth 1 -delete")
        fetched, _ = run([guard, "-q", "fetch", newest], cwd=tool.project, env=tool.env)
        put_back, _ = run([guard, "-q", "rollback", "--yes", f"--backup-timestamp={newest}"], cwd=tool.project, env=tool.env)
        rows.append(("guard, chunks", first, again, fetched + put_back, stored(os.path.join(storage.root, "guard"))))
        print(f"{'':16} {'first':>9} {'unchanged':>10} {'all back':>9} {'MB there':>9}")
        for name, first, again, back, there in rows:
            print(f"{name:16} {first:>7.1f} s {again:>8.1f} s {back:>7.1f} s {there / 1e6:>9.0f}")
    finally:
        storage.server.kill()
        storage.server.wait()


def many(count):
    """A store of so many backups, by the test that makes one."""
    print(f"\n== a store of {count} backups")
    words = ["cargo", "test", "--quiet", "--release", "--locked", "--test", "guard", "--", "thousands_of_backups", "--nocapture"]
    subprocess.run(words, cwd=top, check=True, env={**os.environ, "GUARD_TEST_BACKUPS": str(count)})


def main(words):
    sizes = {"--megabytes": 1000, "--files": 200_000, "--most": 1_000_000, "--s3": 0, "--backups": 0}
    flags = {"--growth": False, "--keep": False, "--built": False}
    while words:
        word = words.pop(0)
        if word in sizes and words:
            sizes[word] = int(words.pop(0))
        elif word in flags:
            flags[word] = True
        else:
            sys.exit(__doc__)
    if not flags["--built"]:
        subprocess.run(["cargo", "build", "--quiet", "--locked", "--release"], cwd=top, check=True)
    base = tempfile.mkdtemp(prefix="guard-bench.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    try:
        if sizes["--megabytes"]:
            compare(f"{sizes['--megabytes']} MB of mixed files", lambda root, dice: mixed(root, sizes["--megabytes"], dice), base, 8)
        if sizes["--files"]:
            compare(f"{sizes['--files']} small files", lambda root, dice: small(root, sizes["--files"], dice), base, 0)
        if flags["--growth"]:
            growth(base, sizes["--most"])
        if sizes["--s3"]:
            elsewhere(base, sizes["--s3"])
        if sizes["--backups"]:
            many(sizes["--backups"])
    finally:
        if not flags["--keep"]:
            shutil.rmtree(base)


main(sys.argv[1:])
