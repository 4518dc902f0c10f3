"""8,000 pictures of 36 kB fetched from nginx on this machine, against img2dataset.

Both write the pictures as they are to WebDataset tars, with SHA-256, in a process per core. img2dataset keeps 64
requests per process open, we 64 in all. Without resizing (`resize_mode: no`) it decodes every picture; with
`disable_all_reencoding`, which is `fetch-served` here, it does not look at them. We read their headers, keep to the
rules of hosts, and flush to disk.

nginx is that of the system (`apt install nginx-light`). img2dataset is the one that POOLWRIGHT_IMG2DATASET names, or it
is installed into an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.embed import detailed_jpeg
from benchmarks.pictures import write_pictures
from benchmarks.timing import in_turn, python

IMAGES, IMAGE_BYTES = int(os.environ.get("POOLWRIGHT_BENCH_IMAGES", 8_000)), 36_000
REQUESTS = 64
PORT = 8_431
NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; types {{ image/jpeg jpg; }}
  client_body_temp_path {work}/t; proxy_temp_path {work}/t; fastcgi_temp_path {work}/t; uwsgi_temp_path {work}/t;
  scgi_temp_path {work}/t;
  server {{ listen 127.0.0.1:{port}; root {work}/images; }}
}}
"""
OURS = """
import shutil, sys
from pathlib import Path
from poolwright import api
from poolwright.fetch.options import FetchOptions
work, requests = Path(sys.argv[1]), int(sys.argv[2])
shutil.rmtree(work / "ours", ignore_errors=True)
options = FetchOptions(shard_rows=1000, concurrency=requests, per_host=requests, allow_private=True)
found = api.fetch(work / "rows.parquet", work / "ours", options)
assert found.succeeded == found.rows, found.errors
"""


def run(work: Path, backend: str = "decoded") -> float:
    """Return our files/s over those of img2dataset.

    Args:
        work: folder of the data.
        backend: whether it has the pictures 'decoded', or as 'served'.
    """
    peer, nginx = img2dataset(work / "i2d"), shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not peer or not nginx:
        sys.exit(f"fetch: skipped, {'img2dataset cannot be installed' if nginx else 'nginx is not installed'} here")
    rows(work)
    commands = {
        "img2dataset": python(PEER, peer, work, str(os.cpu_count()), str(REQUESTS), backend),
        "poolwright": python(OURS, work, str(REQUESTS)),
    }
    with serving(nginx, work):
        used = in_turn(commands, work)
    for name, usage in used.items():
        print(f"  {name}: {IMAGES / usage.seconds:,.0f} files/s, {usage.seconds:.2f} s, peak {usage.peak / 1e9:.2f} GB")
    check(work)
    return used["img2dataset"].seconds / used["poolwright"].seconds


PEER = """
import os, shutil, subprocess, sys
peer, work, processes, threads, way = sys.argv[1:]
shutil.rmtree(f"{work}/peer", ignore_errors=True)
arguments = {"url_list": f"{work}/rows.parquet", "input_format": "parquet", "url_col": "url", "caption_col": "text",
    "output_folder": f"{work}/peer", "output_format": "webdataset", "resize_mode": "no",
    "disable_all_reencoding": way == "served",
    "processes_count": processes, "thread_count": threads, "number_sample_per_shard": 1000, "enable_wandb": False}
kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
environment = {**kept, "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
subprocess.run([peer, *(f"--{name}={value}" for name, value in arguments.items())], check=True, env=environment)
"""


def rows(work: Path) -> None:
    """Write pictures, and a list of their URLs and captions, once."""
    if not (work / "rows.parquet").exists():
        photos = [detailed_jpeg(seed, 448, 336) for seed in range(40)]
        paths = write_pictures(work / "images", IMAGES, IMAGE_BYTES, photos)
        urls = [f"http://127.0.0.1:{PORT}/{path}" for path in paths]
        pq.write_table(
            pa.table({"url": urls, "text": [f"a caption of {path}" for path in paths]}), work / "rows.parquet"
        )


def check(work: Path) -> None:
    """Both must have all pictures.

    Raises:
        RuntimeError: they have not.
    """
    for folder in (work / "peer", work / "ours"):
        tables = [pq.read_table(path, columns=["status", "sha256"]) for path in sorted(folder.glob("*.parquet"))]
        found = pa.concat_tables(tables).column("status").to_pylist().count("success")
        if found != IMAGES:
            raise RuntimeError(f"{folder}: {found:,} of {IMAGES:,} pictures")


@contextmanager
def serving(nginx: str, work: Path) -> Iterator[None]:
    """Serve the pictures while the block runs."""
    config = work / "nginx.conf"
    config.write_text(NGINX.format(work=work.resolve(), port=PORT))
    server = subprocess.Popen([nginx, "-c", str(config.resolve()), "-e", str(work.resolve() / "nginx.log")])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", PORT)):
                    break
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


def img2dataset(folder: Path) -> str | None:
    """Return the console script of img2dataset; None if it cannot be installed."""
    named = os.environ.get("POOLWRIGHT_IMG2DATASET")
    script = folder / "bin" / "img2dataset"
    if named or script.exists():
        return named or str(script)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "-q", "img2dataset"]
    return None if subprocess.run(install, capture_output=True).returncode else str(script)
