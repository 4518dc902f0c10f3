"""A small run with pictures, a studio on it, and people who click."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from starlette.types import ASGIApp

from poolwright import api
from poolwright.annotation.queue.queue import Queue, Settings, make_queue
from poolwright.api import Recipe
from poolwright.studio.access import Access, make_access

CAPTION = "<script>document.title = 'broken'</script> & \"quoted\""


def picture(row: int, size: tuple[int, int] = (60, 40)) -> bytes:
    """A small JPEG, different for every row."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = row * 37 % 256, row * 91 % 256, row * 53 % 256
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def make_run(folder: Path, rows: int = 60, classes: Sequence[str] = ("cat", "dog"), **images: bytes) -> Path:
    """A run `folder/run` with one table, `kept`, over `rows` pictures of these classes in turn.

    Args:
        images: files that replace a picture, by uid.
    """
    (folder / "images").mkdir(parents=True)
    uids = [f"u{row:04d}" for row in range(rows)]
    for row, uid in enumerate(uids):
        (folder / "images" / f"{uid}.jpg").write_bytes(images.get(uid, picture(row)))
    table = pa.table(
        {
            "uid": uids,
            "image_path": [f"{uid}.jpg" for uid in uids],
            "text": [CAPTION if row == 0 else f"picture {row}" for row in range(rows)],
            "class": [classes[row % len(classes)] for row in range(rows)],
            "width": pa.array([60] * rows, pa.int32()),
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "small",
        "pools": {"rows": {"read": "table", "path": "rows.parquet", "images": "images"}},
        "tables": {"kept": {"from": "rows", "steps": [{"where": "width > 10"}]}},
    }
    api.run(Recipe.from_data(data, folder), folder / "run")
    return folder / "run"


def ask(run: Path, name: str = "kept", **settings: Any) -> Queue:
    """A queue over the rows of the table `kept`, by class."""
    rows = pq.read_table(run.parent / "rows.parquet", columns=["uid", "class", "text"])
    return make_queue(run / "verify" / name, Settings("kept", **settings), rows)


@contextlib.contextmanager
def serving(run: Path, host: str = "127.0.0.1", names: Sequence[str] = ()) -> Iterator[tuple[int, Access]]:
    """A studio in a thread; gives its port and access. It listens on 127.0.0.1 whatever it believes."""
    from poolwright.studio.app import create_app

    access = make_access(run, host, names)
    with listening(create_app(run, access)) as port:
        yield port, access


@contextlib.contextmanager
def listening(app: ASGIApp) -> Iterator[int]:
    """An application, served in a thread; gives its port."""
    import uvicorn

    # As TCP by name: asyncio sends small answers at once only on such sockets.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


class Browser:
    """What a browser does of HTTP: keeps a cookie and a connection, sends the page's CSRF token and its origin.

    Args:
        port: of the studio.
        name: of an annotator, where nobody needs a token.
        token: where they do.
    """

    def __init__(self, port: int, name: str = "", token: str = "", host: str = "127.0.0.1") -> None:
        self.port, self.host = port, f"{host}:{port}"
        self.cookie = self.csrf = ""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        if name or token:
            self.get("/enter")
            status, _, _ = self.post("/enter", form={"name": token or name, "next": "/"})
            assert status == 200

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {"Host": self.host, **({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        try:
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
        data = answer.read()
        if set_cookie := answer.headers.get("set-cookie"):
            self.cookie = set_cookie.partition(";")[0]
        if found := re.search(rb'name="csrf" content="([^"]*)"', data):
            self.csrf = found.group(1).decode()
        return answer.status, answer.headers, data

    def get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        return self.request("GET", path)

    def post(
        self, path: str, data: Any = None, form: Mapping[str, str] | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        kind = "application/x-www-form-urlencoded" if form is not None else "application/json"
        body = urlencode(form).encode() if form is not None else json.dumps(data).encode()
        sent = {"Content-Type": kind, "X-CSRF-Token": self.csrf, "Origin": f"http://{self.host}"}
        return self.request("POST", path, body, sent | {name.replace("_", "-"): text for name, text in headers.items()})

    def ask(self, path: str, data: Any) -> Any:
        """Post JSON to a queue; what comes back."""
        status, _, body = self.post(path, data)
        assert status == 200, (status, body[:300])
        return json.loads(body)

    def take(self, queue: str, number: int = 10, group: str = "", have: Sequence[str] = ()) -> list[dict[str, str]]:
        found = self.ask(f"/verify/{quote(queue)}/take", {"number": number, "group": group, "have": list(have)})
        cards: list[dict[str, str]] = found["cards"]
        return cards

    def say(self, queue: str, verdicts: Mapping[str, str], act: str = "") -> Any:
        answers = [{"uid": uid, "verdict": verdict, "key": new_key()} for uid, verdict in verdicts.items()]
        return self.ask(f"/verify/{quote(queue)}/say", {"act": act or new_key(), "answers": answers})


def new_key() -> str:
    return uuid.uuid4().hex
