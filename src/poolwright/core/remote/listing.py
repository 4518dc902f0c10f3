"""Find remote files, and what identifies their contents without reading them."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from poolwright.core.remote.failures import reaching, retried
from poolwright.core.remote.schemes import file_system, is_url, scheme_of

_LISTED = 16
"""Files of one folder from which on the folder is listed, rather than each file asked for."""

KEPT_DIGESTS = ("sha256:", "git-sha1:", "md5:", "crc32c:", "etag:")
"""How the digest of a file begins that its store keeps."""

_CHANGES = ("ETag", "etag", "mtime", "LastModified", "Last-Modified", "updated", "created")
"""What changes with a file, by the names that file systems give it."""

_S3, _GCS, _AZURE, _WEB = ("s3", "s3a"), ("gs", "gcs"), ("az", "abfs", "abfss"), ("http", "https")


class RemoteFile(NamedTuple):
    """A remote file as its store describes it.

    Attributes:
        size: bytes; 0 if the store does not say.
        state: a text that changes whenever the file does: its digest if the store keeps one, else an ETag or a time; ''
            if the store says nothing.
        digest: the digest that the store keeps, see `content_of`.
    """

    size: int
    state: str
    digest: str | None


def known_digest(info: Mapping[str, Any]) -> str | None:
    """Return the digest of the whole content that a file system keeps, such as that of the Hub; None if it keeps none.

    Args:
        info: what fsspec's `info` says of the file.

    Returns:
        'sha256:' or 'git-sha1:' with the digest, hex; the latter of the content as Git stores it.
    """
    if lfs := info.get("lfs"):
        return f"sha256:{lfs['sha256']}"
    return f"git-sha1:{info['blob_id']}" if info.get("blob_id") else None


def content_of(url: str, info: Mapping[str, Any]) -> str | None:
    """Return what identifies the content of a remote file by its store's own account; None if it must be read.

    The Hub has SHA-256 or Git's SHA-1; S3 an ETag, a digest of the content or of its parts; Google Cloud Storage MD5 or
    CRC-32C; Azure MD5, else an ETag; of web servers a strong ETag counts, which RFC 9110 (8.8.1) has change with the
    content. Weak ones and times do not.

    Returns:
        One of `KEPT_DIGESTS`, with the value; an ETag with the size before it.
    """
    if known := known_digest(info):
        return known
    scheme, tag = scheme_of(url), str(info.get("ETag") or info.get("etag") or "")
    if scheme in _GCS:
        kept = {"md5": info.get("md5Hash"), "crc32c": info.get("crc32c")}
        return next((f"{name}:{value}" for name, value in kept.items() if value), None)
    if scheme in _AZURE:
        md5 = (info.get("content_settings") or {}).get("content_md5")
        if md5:
            return f"md5:{bytes(md5).hex()}"
    if not tag or scheme not in (*_S3, *_AZURE, *_WEB) or tag.startswith("W/"):
        return None
    tag = tag.strip('"')
    return f"etag:{info.get('size') or 0}-{tag}"


def info_of(url: str) -> RemoteFile:
    """Describe a remote file.

    Raises:
        FileNotFoundError: it is not there.
        InputError: the server fails, refuses, or cannot be reached.
    """
    system, path = file_system(url)
    try:
        with reaching(url):
            return remote_file(url, retried(lambda: system.info(path)))
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from None


def is_folder_at(url: str) -> bool:
    """Whether a URL is that of a folder, as `is_folder`.

    Raises:
        FileNotFoundError: there is nothing.
    """
    system, inner = file_system(url)
    with reaching(url):
        kind = retried(lambda: system.info(inner))["type"]
    return bool(kind == "directory" or (scheme_of(url) in _WEB and url.endswith("/")))


def is_folder(path: str) -> bool:
    """Whether a path or URL is that of a folder; a web server's is one that ends in '/', whose page links to the files.

    Raises:
        RecipeError: the URL's file system is not known or not installed.
        InputError: the server fails, refuses, or cannot be reached.
    """
    if not is_url(path):
        return os.path.isdir(path)
    try:
        return is_folder_at(path)
    except FileNotFoundError:
        return False


def is_file(path: str) -> bool:
    """Whether there is a file at a path or URL; raises as `is_folder`."""
    if not is_url(path):
        return os.path.isfile(path)
    try:
        return not is_folder_at(path)
    except FileNotFoundError:
        return False


def infos_of(urls: Iterable[str]) -> dict[str, RemoteFile]:
    """Describe remote files: those of one folder by listing it once, if there are many, or by a listing just made.

    Raises:
        FileNotFoundError: one is not there.
        InputError: a server fails, refuses, or cannot be reached.
    """
    folders: defaultdict[str, list[str]] = defaultdict(list)
    found: dict[str, RemoteFile] = {}
    for url in dict.fromkeys(urls):
        if (known := _remembered(url)) is not None:
            found[url] = known
        else:
            folders[url.rpartition("/")[0]].append(url)
    single: list[str] = []
    for folder, files in folders.items():
        if len(files) < _LISTED or scheme_of(folder) in _WEB:
            single += files
        else:
            found |= _listed(folder, files)
    with ThreadPoolExecutor(16) as threads:
        return found | dict(zip(single, threads.map(info_of, single), strict=True))


def files_below(root: str) -> list[str]:
    """List the files below a URL, at any depth: their paths relative to it.

    Raises:
        InputError: the server fails, refuses, or cannot be reached.
    """
    system, top = file_system(root)
    listed_with_digests, cut = scheme_of(root) in (*_S3, *_GCS, *_AZURE), len(top.rstrip("/"))
    with _lock:
        if not listed_with_digests or (root not in _listings) or time.monotonic() - _listings[root][0] > _FRESH:
            with reaching(root):
                found: Any = retried(lambda: system.find(top, detail=listed_with_digests))
            if not listed_with_digests:
                return [str(path)[cut:].lstrip("/") for path in found]
            _listings.clear()
            files = {str(path)[cut:].lstrip("/"): remote_file(root, info) for path, info in found.items()}
            _listings[root] = time.monotonic(), files
        return list(_listings[root][1])


_FRESH = 60.0
"""Seconds for which a listing is not made again, so that checking a pool, reading it and recording it lists it once."""

_listings: dict[str, tuple[float, dict[str, RemoteFile]]] = {}
_lock = threading.Lock()


def _remembered(url: str) -> RemoteFile | None:
    for root, (made, files) in list(_listings.items()):
        if url.startswith(f"{root.rstrip('/')}/") and time.monotonic() - made <= _FRESH:
            return files.get(url[len(root.rstrip("/")) + 1 :])
    return None


def forget(urls: Iterable[str]) -> None:
    """Let these files be listed and described anew."""
    urls = list(urls)
    if urls:
        _listings.clear()
    for url in {scheme_of(url): url for url in urls}.values():
        # fsspec keeps a file system, with what it has listed, for each thread number, which a later thread may have.
        type(file_system(url)[0]).clear_instance_cache()


def _listed(folder: str, files: list[str]) -> dict[str, RemoteFile]:
    system, top = file_system(folder)
    with reaching(folder):
        entries: list[Any] = retried(lambda: system.ls(top, detail=True))
    by_name = {str(entry["name"]).rpartition("/")[2]: entry for entry in entries if entry["type"] == "file"}
    found = {}
    for url in files:
        entry = by_name.get(url.rpartition("/")[2])
        found[url] = info_of(url) if entry is None else remote_file(url, entry)
    return found


def remote_file(url: str, info: Mapping[str, Any]) -> RemoteFile:
    """Return a remote file as fsspec's `info` describes it."""
    digest = content_of(url, info)
    state = digest or next((str(info[key]) for key in _CHANGES if info.get(key)), "")
    return RemoteFile(int(info.get("size") or 0), state, digest)
