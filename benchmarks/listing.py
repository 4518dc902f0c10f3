"""List a pool of 100,000 objects in S3, and identify their contents, against listing them by boto3.

moto's server, in a process of its own, speaks S3 on this machine; here it does not sort all names anew for each page of
1,000, which takes hours. The pool looks for images, lists its parts, and asks for the sizes and ETags that its table is
made from.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import measure, python

OBJECTS = int(os.environ.get("POOLWRIGHT_BENCH_OBJECTS", 100_000))

SERVER = """
import sys
from moto import server
from moto.s3.models import S3Backend, s3_backends

def page(self, bucket, prefix, delimiter, continuation_token, start_after, max_keys):
    if delimiter:
        return slow(self, bucket, prefix, delimiter, continuation_token, start_after, max_keys)
    begin = int(continuation_token or 0)
    end = begin + max_keys
    return keys[begin:end], end < len(keys), str(end)

slow, S3Backend.list_objects_v2 = S3Backend.list_objects_v2, page
backend = s3_backends["123456789012"]["aws"]
backend.create_bucket("pools", "us-east-1")
for number in range(int(sys.argv[1])):
    backend.put_object("pools", f"photos/{number // 1000:03d}/{number:06d}.jpg", b"%d" % number)
keys = sorted((key for _, key in backend.buckets["pools"].keys.items()), key=lambda key: key.name)
running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
running.start()
print(running.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
OURS = """
import sys, time
from poolwright.core.remote.listing import infos_of
from poolwright.pools.image_folder import ImageFolder
begun = time.perf_counter()
pool = ImageFolder(path=("s3://pools/photos",))
pool.arrow_schema()
files = [file for part in pool.parts() for file in part.files]
found = infos_of(files)
print(len(found), time.perf_counter() - begun)
"""
PLAIN = """
import sys, time
import boto3
begun = time.perf_counter()
pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="pools", Prefix="photos/")
found = {item["Key"]: item["ETag"] for page in pages for item in page["Contents"]}
print(len(found), time.perf_counter() - begun)
"""


def run(work: Path) -> float:
    """Return our time over that of boto3."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(OBJECTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        address = f"http://127.0.0.1:{int(server.stdout.readline())}"
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ.update(keys, AWS_ENDPOINT_URL_S3=address)
        seconds = {
            name: _seconds(script, work / f"{name}.log") for name, script in {"plain": PLAIN, "ours": OURS}.items()
        }
    finally:
        server.stdin.close()
        server.wait(20)
    print(f"{OBJECTS:,} objects: ours {seconds['ours']:.1f} s, boto3 {seconds['plain']:.1f} s")
    return seconds["ours"] / seconds["plain"]


def _seconds(script: str, log: Path) -> float:
    measure(python(script), log)
    count, seconds = log.read_text().split()[-2:]
    assert int(count) == OBJECTS
    return float(seconds)
