"""A stand-in for the Hugging Face Hub on this machine.

It speaks the part of the Hub's HTTP API that `poolwright push`, `pull` and `hf://` paths use, as huggingface_hub 2.4
calls it, with plain Git LFS uploads (in one piece or several) instead of Xet. It keeps everything in memory, and fails
as asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_StandInTokenOfNobody0123456789"
READER = "hf_StandInTokenThatMayOnlyRead01"
_LFS_ENDINGS = (".parquet", ".jpg", ".jpeg", ".png", ".webp", ".npy", ".npz", ".tar", ".bin", ".zip")
_LFS_BYTES = 10 << 20


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Stored:
    """One file of a commit: its digest, and whether it is in Git LFS."""

    oid: str
    size: int
    lfs: bool


@dataclass
class Repo:
    """One dataset: its commits, the newest last, and branches by name."""

    private: bool
    commits: dict[str, dict[str, Stored]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    bytes: int


@dataclass
class Fault:
    """What goes wrong with requests that match, as often as `times` says, after `after` of them went well.

    `how` is a status, 'drop' (the connection ends after some bytes were read), 'hang' (for a minute), 'after' (the
    request is carried out and the connection ends before the answer), 'cut' (the connection ends in the middle of the
    answer), or 'wrong' (other bytes are sent).
    """

    method: str
    path: str
    how: int | str
    times: int = 1
    after: int = 0


class HubServer(ThreadingHTTPServer):
    """Use as a context manager; `url` is what HF_ENDPOINT is set to."""

    daemon_threads = True

    def __init__(self, part_bytes: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.store_url = f"http://localhost:{self.server_address[1]}"  # another host, as large files have on the Hub
        self.part_bytes = part_bytes
        self.lock = threading.RLock()
        self.hanging = threading.Event()
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []

    def __enter__(self) -> HubServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients end connections on purpose

    def fail(self, method: str, path: str, how: int | str, times: int = 1, after: int = 0) -> None:
        self.faults.append(Fault(method, path, how, times, after))

    def fault(self, method: str, path: str) -> int | str | None:
        with self.lock:
            for one in self.faults:
                if one.method == method and re.search(one.path, path) and one.times:
                    if one.after:
                        one.after -= 1
                        continue
                    one.times -= 1
                    return one.how
        return None

    def requests(self, method: str, path: str) -> list[Seen]:
        return [one for one in self.seen if one.method == method and re.search(path, one.path)]

    def sent(self) -> dict[str, int]:
        """Bytes of large files that were received since the last call, by digest."""
        found = {one.path.split("/")[2].partition("?")[0]: one.bytes for one in self.requests("PUT", "^/lfs/")}
        self.seen.clear()
        return found

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """The files of a dataset at the head of a branch."""
        one = self.repos[repo]
        return {name: self.blobs[stored.oid] for name, stored in one.commits[one.branches[branch]].items()}

    def put(self, repo: str, files: dict[str, bytes], private: bool = False) -> None:
        """Make a dataset, or another commit of it, with these files, as someone else would."""
        one = self.repos.setdefault(repo, Repo(private))
        stored = {".gitattributes": self.store(b"*.parquet filter=lfs\n", False)}
        stored |= {name: self.store(data, name.endswith(_LFS_ENDINGS)) for name, data in files.items()}
        self.commit(one, "main", stored, "by hand")

    def store(self, data: bytes, lfs: bool) -> Stored:
        oid = hashlib.sha256(data).hexdigest() if lfs else git_digest(data)
        self.blobs[oid] = data
        return Stored(oid, len(data), lfs)

    def commit(self, repo: Repo, branch: str, files: dict[str, Stored], message: str) -> str:
        text = json.dumps([branch, message, len(repo.commits), {name: one.oid for name, one in files.items()}])
        oid = hashlib.sha1(text.encode()).hexdigest()
        repo.commits[oid] = files
        repo.branches[branch] = oid
        repo.messages.append(message)
        return oid


class _Stop(Exception):
    """The connection ends without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms until the head, sent before it, is acknowledged
    server: HubServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_HEAD = do_GET

    def _answer(self) -> None:
        url = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        how = self.server.fault(self.command, self.path)
        if how == "drop":
            self.rfile.read(size // 2)
            self.close_connection = True
            self.connection.close()
            return
        if how == "hang":
            self.server.hanging.set()
            threading.Event().wait(60)
        body = self._body(size)
        with self.server.lock:
            headers = {name.lower(): text for name, text in self.headers.items()}
            self.server.seen.append(Seen(self.command, self.path, headers, len(body)))
        if isinstance(how, int):
            # Like a careless proxy: it repeats what it was sent.
            self._json({"error": f"it failed; Authorization: {self.headers.get('Authorization')}"}, how)
            return
        self.how = how
        try:
            self._route(unquote(url.path).strip("/").split("/"), url.path, parse_qs(url.query), body)
        except _Stop:
            self.close_connection = True
            self.connection.close()

    def _body(self, size: int) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(size)
        body = b""
        while count := int(self.rfile.readline(), 16):
            body += self.rfile.read(count)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _route(self, words: list[str], raw: str, query: dict[str, list[str]], body: bytes) -> None:
        match words:
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                good = json.loads(body)["content"].startswith("---\n")
                wrong = [] if good else [{"message": "there is no header"}]
                self._json({"errors": wrong, "warnings": []}, 200 if good else 400)
            case ["lfs", oid] | ["lfs", oid, "part", *_] | ["lfs", oid, "complete"]:
                self._store(oid, words, body)
            case ["cdn", oid]:
                self._send(self.server.blobs[oid], {"ETag": f'"{oid}"'})
            case ["datasets", owner, name, "info", "lfs", "objects", "batch"]:
                self._batch(json.loads(body), f"{owner}/{name.removesuffix('.git')}")
            case ["datasets", owner, name, "resolve", *_]:
                revision, _, path = raw.split("/resolve/", 1)[1].partition("/")
                self._resolve(f"{owner}/{name}", unquote(revision), unquote(path))
            case ["api", "datasets", owner, name, *_]:
                rest = [unquote(word) for word in raw.strip("/").split("/")[4:]]
                self._dataset(f"{owner}/{name}", rest, query, body)
            case _:
                self._json({"error": f"the stand-in has no {self.command} {self.path}"}, 501)

    def _dataset(self, name: str, rest: list[str], query: dict[str, list[str]], body: bytes) -> None:
        writes = rest[:1] in (["preupload"], ["commit"], ["branch"])
        repo = self._repo(name, writes)
        if repo is None:
            return
        if rest[:1] == ["branch"]:
            known = rest[1] in repo.branches
            repo.branches.setdefault(rest[1], repo.branches["main"])
            self._json({"error": "there is such a branch"} if known else {}, 409 if known else 200)
            return
        commit = self._revision(repo, rest[1] if len(rest) > 1 else "main")
        if commit is None:
            return
        files = repo.commits[commit]
        match rest:
            case [] | ["revision", _]:
                siblings = [{"rfilename": path} for path in files]
                self._json({"id": name, "sha": commit, "private": repo.private, "siblings": siblings, "tags": []})
            case ["tree", _, *folder]:
                self._tree(files, "/".join(folder), query)
            case ["paths-info", _]:
                paths = parse_qs(body.decode()).get("paths", [])
                self._json([_entry(path, files[path]) for path in paths if path in files])
            case ["preupload", _]:
                ignored = self.server.blobs[files[".gitignore"].oid].decode().split() if ".gitignore" in files else []
                self._json({"files": [_mode(one, files, ignored) for one in json.loads(body)["files"]]})
            case ["commit", branch]:
                self._commit(repo, name, branch, [json.loads(line) for line in body.splitlines()])
            case _:
                self._json({"error": f"the stand-in has no {self.path}"}, 501)

    def _repo(self, name: str, writes: bool = False) -> Repo | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        repo = self.server.repos.get(name)
        if repo is None or (repo.private and token not in (TOKEN, READER)):
            status = 404 if token else 401
            self._json({"error": "Repository not found"}, status, {"X-Error-Code": "RepoNotFound"})
            return None
        if writes and token != TOKEN:
            self._json({"error": "You may not write here"}, 403 if token else 401)
            return None
        return repo

    def _revision(self, repo: Repo, revision: str) -> str | None:
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return None
        return commit

    def _create(self, wanted: dict[str, Any]) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != TOKEN:
            reader = token == READER
            self._json({"error": "No write access" if reader else "Invalid token"}, 403 if reader else 401)
            return
        name = f"{wanted['organization']}/{wanted['name']}"
        page = {"url": f"{self.server.url}/datasets/{name}", "name": name}
        with self.server.lock:
            if name in self.server.repos:
                self._json({"error": "You already created this dataset repo", **page}, 409)
                return
            self.server.put(name, {}, wanted.get("visibility") == "private" or wanted.get("private") is True)
        self._json(page)

    def _batch(self, wanted: dict[str, Any], name: str) -> None:
        if self._repo(name, writes=True) is None:
            return
        objects = []
        for one in wanted["objects"]:
            known = one["oid"] in self.server.blobs
            objects.append({**one} if known else {**one, "actions": self._actions(one["oid"], one["size"])})
        self._json({"transfer": "basic", "objects": objects})

    def _actions(self, oid: str, size: int) -> dict[str, Any]:
        place = f"{self.server.store_url}/lfs/{oid}"
        step = self.server.part_bytes
        if not step or size <= step:
            return {"upload": {"href": f"{place}?X-Amz-Signature=secret", "header": {}}}
        urls = {str(number + 1): f"{place}/part/{number}" for number in range(-(-size // step))}
        return {"upload": {"href": f"{place}/complete", "header": {"chunk_size": str(step), **urls}}}

    def _store(self, oid: str, words: list[str], body: bytes) -> None:
        parts = self.server.parts.setdefault(oid, {})
        if "part" in words:
            parts[int(words[-1])] = body
            self._json({}, headers={"ETag": f'"{len(body)}"'})
            return
        data = b"".join(part for _, part in sorted(parts.items())) if words[-1] == "complete" else body
        if hashlib.sha256(data).hexdigest() != oid:
            self._json({"error": "the bytes have another digest"}, 400)
            return
        self.server.blobs[oid] = data
        self._json({})

    def _commit(self, repo: Repo, name: str, branch: str, lines: list[dict[str, Any]]) -> None:
        header = lines[0]["value"]
        head = repo.branches.get(branch)
        if header.get("parentCommit") not in (None, head):
            self._json({"error": "A commit has happened since"}, 412)
            return
        files = dict(repo.commits[str(head)])
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    files[value["path"]] = self.server.store(base64.b64decode(value["content"]), False)
                case "lfsFile" if value["oid"] not in self.server.blobs:
                    self._json({"error": f"the LFS file {value['path']} was not uploaded"}, 400)
                    return
                case "lfsFile":
                    files[value["path"]] = Stored(value["oid"], value["size"], True)
                case "deletedFile":
                    del files[value["path"]]
        commit = self.server.commit(repo, branch, files, header["summary"])
        if self.how == "after":
            raise _Stop
        self._json({"commitUrl": f"{self.server.url}/datasets/{name}/commit/{commit}", "commitOid": commit})

    def _tree(self, files: dict[str, Stored], folder: str, query: dict[str, list[str]]) -> None:
        prefix = f"{folder}/" if folder else ""
        found: dict[str, dict[str, Any]] = {}
        for path, stored in sorted(files.items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts)):
                inner = prefix + "/".join(parts[:depth])
                found[inner] = {"type": "directory", "path": inner, "size": 0, "oid": git_digest(inner.encode())}
            found[path] = _entry(path, stored)
        deep = query.get("recursive", ["false"])[0].lower() == "true"
        if folder and not found:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        self._json([one for path, one in found.items() if deep or "/" not in path[len(prefix) :]])

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        commit = self._revision(repo, revision) if repo else None
        if repo is None or commit is None:
            return
        stored = repo.commits[commit].get(path)
        if stored is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{stored.oid}"'}
        if stored.lfs:
            headers |= {"X-Linked-Etag": f'"{stored.oid}"', "X-Linked-Size": str(stored.size)}
            if self.how != "wrong":
                self._json({}, 302, {**headers, "Location": f"{self.server.store_url}/cdn/{stored.oid}"})
                return
        data = self.server.blobs[stored.oid]
        self._send(bytes(len(data)) if self.how == "wrong" else data, headers)

    def _send(self, data: bytes, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
            data = data[first : last + 1]
        self._reply(data, 206 if asked else 200, "application/octet-stream", {"Accept-Ranges": "bytes", **headers})

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._reply(json.dumps(value).encode(), status, "application/json", headers or {})

    def _reply(self, data: bytes, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            half = len(data) // 2 if self.how == "cut" else len(data)
            self.wfile.write(data[:half])
            if self.how == "cut":
                raise _Stop

    how: int | str | None = None


def _entry(path: str, stored: Stored) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": stored.size, "oid": stored.oid}
    if stored.lfs:
        pointer = {"oid": stored.oid, "size": stored.size, "pointerSize": 130}
        entry |= {"oid": git_digest(stored.oid.encode()), "lfs": pointer}
    return entry


def _mode(asked: dict[str, Any], files: dict[str, Stored], ignored: list[str]) -> dict[str, Any]:
    path = asked["path"]
    lfs = path.endswith(_LFS_ENDINGS) or asked["size"] >= _LFS_BYTES
    known = {"oid": files[path].oid} if path in files else {}
    return {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": path in ignored, **known}
