# Measures ground that copies in an instant: guard with a standby and without, beside tar. Called by scripts/bench.
"""usage: scripts/bench ground [--megabytes N] [--files N] [--kinds btrfs,xfs] [--keep]
  Makes a file system of each kind in a file, N megabytes (2000) in N files (20000) on it, and measures, once each:
    a snapshot alone; tar through zstd; guard's first and second backup, with a standby and without;
    back after ten files were written over, and after all were: guard with a standby and without, and tar.
  As root. BENCH_GUARD=PATH measures that guard instead of a release build. Quote the ratios, not the seconds."""

import argparse
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
words = argparse.ArgumentParser(usage=__doc__)
words.add_argument("--megabytes", type=int, default=2000)
words.add_argument("--files", type=int, default=20000)
words.add_argument("--kinds", default="btrfs,xfs")
words.add_argument("--keep", action="store_true")
asked = words.parse_args()
guard = os.environ.get("BENCH_GUARD")
if guard is None:
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release"], cwd=top, check=True)
    guard = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(top, "target")), "release", "guard")


def run(script, cwd, ok=(0,)):
    """Seconds of a line of a shell, with nothing left to be written before."""
    os.sync()
    begun = time.monotonic()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd, capture_output=True, text=True)
    took = time.monotonic() - begun
    if done.returncode not in ok:
        sys.exit(f"{script}: {done.returncode}\n{done.stdout}{done.stderr}")
    return took, done.stdout + done.stderr


def fill(root, dice):
    length = asked.megabytes * 1_000_000 // asked.files
    text = (b"the quick brown fox jumps over the lazy dog " * (length // 44 + 1))[: length // 2]
    for number in range(asked.files):
        at = os.path.join(root, str(number % 199))
        os.makedirs(at, exist_ok=True)
        with open(os.path.join(at, str(number)), "wb") as file:
            file.write(dice.randbytes(length - len(text)) + text)


def spoil(root, count, dice):
    length = asked.megabytes * 1_000_000 // asked.files
    for number in range(count):
        with open(os.path.join(root, str(number % 199), str(number)), "wb") as file:
            file.write(dice.randbytes(length))


def project(place, name, data, standby):
    at = os.path.join(place, name)
    os.makedirs(at)
    with open(os.path.join(at, "guard.toml"), "w") as file:
        file.write(f'verify = "none"\n[resources.data]\nkind = "volume"\npath = "{data}"\nform = "chunks"\nstandby = "{standby}"\n[policy]\ndata_restore = "always"\n')
    return at


def took_by(state, step):
    """Seconds between the beginning and the end of a step in the newest run, by its journal."""
    runs = os.path.join(state, "runs")
    newest = max(os.listdir(runs))
    at = {}
    with open(os.path.join(runs, newest, "journal.jsonl")) as file:
        for line in file:
            record = json.loads(line).get("record", {})
            for what in ("begun", "done"):
                if isinstance(record.get("fact"), dict) and record["fact"].get(what, {}).get("step") == step:
                    at[what] = datetime.datetime.fromisoformat(record["at"][:26] + "+00:00")
    return (at["done"] - at["begun"]).total_seconds() if len(at) == 2 else 0.0


def one(kind, root):
    dice, rows = random.Random(7), []
    mount = os.path.join(root, "mnt")
    os.mkdir(mount)
    image = os.path.join(root, "image")
    with open(image, "wb") as file:
        file.truncate(asked.megabytes * 5_000_000 + 1_000_000_000)
    run(f"mkfs.{kind} -q {image}; mount -o loop {image} {mount}", root)
    try:
        data, store = os.path.join(mount, "data"), os.path.join(root, "store")
        os.mkdir(store)
        run("btrfs subvolume create data" if kind == "btrfs" else "mkdir data", mount)
        fill(data, dice)
        os.sync()
        time.sleep(3)
        if kind == "btrfs":
            rows.append(("snapshot alone", run("btrfs subvolume snapshot -r data still", mount)[0]))
            rows.append(("writable snapshot of it, and an exchange of names", run("btrfs subvolume snapshot still again; mv data gone; mv again data", mount)[0]))
            run("btrfs subvolume delete still; btrfs subvolume delete gone; btrfs subvolume sync . || true", mount)
            time.sleep(3)
        rows.append(("tar, zstd -1", run(f"tar -C data -cf - . | zstd -q -1 -T0 > {store}/tar; sync {store}/tar", mount)[0]))
        for standby in ("never", "auto"):
            at = project(root, standby, data, standby)
            env = f"export GUARD_STATE_DIR={root}/state-{standby} GUARD_STATE_ROOT={root}/states NO_COLOR=1; "
            for name in ("first", "second"):
                rows.append((f"guard, {standby}: {name} backup", run(f"{env}{guard} -q backup", at)[0]))
                rows.append(("    of it capture/data", took_by(f"{root}/state-{standby}", "capture/data")))
                time.sleep(3)
            for count in (10, asked.files):
                spoil(data, count, dice)
                took, _ = run(f"{env}{guard} -q rollback --yes --backup-timestamp=latest", at)
                rows.append((f"guard, {standby}: {count} files back", took))
                for step in ("prepare/data", "restore/data"):
                    rows.append((f"    of it {step}", took_by(f"{root}/state-{standby}", step)))
                time.sleep(3)
                run(f"{env}{guard} -q backup", at)
                time.sleep(3)
        spoil(data, asked.files, dice)
        rows.append((f"tar: {asked.files} files back", run(f"find data -mindepth 1 -delete; zstd -q -d < {store}/tar | tar -C data -xpf -; sync -f data", mount)[0]))
    finally:
        subprocess.run(["umount", mount], check=not asked.keep)
    return rows


if os.geteuid() != 0:
    sys.exit("mounts need root")
for kind in asked.kinds.split(","):
    root = tempfile.mkdtemp(prefix=f"guard-bench-cow-{kind}.")
    try:
        print(f"\n== {kind}: {asked.megabytes} MB in {asked.files} files; idle {os.getloadavg()[0]:.1f} load")
        for name, seconds in one(kind, root):
            print(f"{seconds:8.2f} s  {name}", flush=True)
    finally:
        if not asked.keep:
            shutil.rmtree(root, ignore_errors=True)
