#!/usr/bin/env bash
# fsspec 2026.9.0: a web server that is overloaded has no files.
#
# Expected: a server that answers 503 (overloaded) or 403 (forbidden) makes reading fail with that answer, and only 404
# means that a file is not there. fsspec's HTTP file system asks for the size of a file first, and whatever goes wrong
# with that request becomes FileNotFoundError; the answer is only in its __cause__. A loader that skips missing
# pictures, or takes a dataset without 'test.parquet' for one without a test split, goes on without rows that exist.
# exists() is False as well.
#
# Seen:
#   404: info FileNotFoundError   exists False   open FileNotFoundError
#   403: info FileNotFoundError   exists False   open FileNotFoundError
#   503: info FileNotFoundError   exists False   open FileNotFoundError
#
# To do: look at the __cause__ of FileNotFoundError, and take it for a missing file only with 404 or 410.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check \
    "fsspec==2026.9.0" "aiohttp==3.14.5" "requests==2.34.2"
unset PYTHONPATH
"$dir/env/bin/python" - <<'END'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/").partition(".")[0]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
files = fsspec.filesystem("http")


def failure(call: object, url: str) -> str:
    try:
        call(url)
    except Exception as error:
        return type(error).__name__
    return "nothing"


seen = {}
for status in (404, 403, 503):
    url = f"http://127.0.0.1:{server.server_port}/{status}.csv"
    seen[status] = failure(files.info, url), files.exists(url), failure(files.open, url)
    print(f"{status}: info {seen[status][0]}   exists {seen[status][1]}   open {seen[status][2]}")
sys.exit(set(seen.values()) != {("FileNotFoundError", False, "FileNotFoundError")})
END
