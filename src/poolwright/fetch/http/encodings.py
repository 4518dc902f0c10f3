"""Undo content encodings, piece by piece and within a limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from poolwright.fetch.outcome import Failure

_REFUSED = frozenset(
    {"br", "bzip2", "compress", "dcb", "dcz", "exi", "lzma", "pack200-gzip", "x-bzip2", "x-compress", "xz", "zstd"}
)
"""Compressions that are not undone: none was asked for. Those of IANA's registry 'HTTP Content Coding', and of curl."""

_ZIPPED = ("gzip", "x-gzip", "deflate")
_MOST_LAYERS = 5
_PIECE = 1 << 20


class Decoder(Protocol):
    """Decodes a stream of bytes."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded bytes of the next ones."""
        ...

    def close(self) -> Iterator[bytes]:
        """Yield what is left at the end of the stream.

        Raises:
            Failure: incomplete_body, if more bytes were to come.
        """
        ...


def decoder(encodings: Iterable[str], most: int) -> Decoder:
    """Return the decoder of a response.

    Words that name no compression ('aws-chunked', 'binary', 'image/jpeg') are passed over, as urllib3 and browsers do.

    Args:
        encodings: values of all Content-Encoding headers; each may be a list.
        most: bytes allowed between two layers.

    Raises:
        Failure: bad_encoding, if a compression is not supported, or there are too many.
    """
    names = [name.partition(";")[0].strip(" \t\"'").lower() for value in encodings for name in value.split(",")]
    refused = next((name for name in names if name in _REFUSED), None)
    if refused:
        raise Failure("bad_encoding", f"content encoding '{refused}', but none was asked for", 200)
    layers = [name for name in names if name in _ZIPPED]
    if len(layers) > _MOST_LAYERS:
        raise Failure("bad_encoding", f"{len(layers)} content encodings, one in another", 200)
    return _Layers([_Unzip(name) for name in reversed(layers)], most)


class _Layers:
    """Decoders one after another; the one applied last by the server comes first."""

    def __init__(self, layers: list[_Unzip], most: int) -> None:
        self._layers, self._most = layers, most
        self._sizes = [0] * len(layers)

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._through(data, 0)

    def close(self) -> Iterator[bytes]:
        for depth, layer in enumerate(self._layers):
            for piece in layer.close():
                yield from self._through(piece, depth + 1)

    def _through(self, data: bytes, depth: int) -> Iterator[bytes]:
        if depth == len(self._layers):
            yield data
            return
        for piece in self._layers[depth].feed(data):
            self._sizes[depth] += len(piece)
            if depth + 1 < len(self._layers) and self._sizes[depth] > self._most:
                raise Failure("too_large", f"more than {self._most:,} bytes within its encodings", 200)
            yield from self._through(piece, depth + 1)


class _Unzip:
    """Undoes gzip, of several members too, or deflate with or without the header of zlib."""

    def __init__(self, name: str) -> None:
        self._gzip = "gzip" in name
        self._head = b""
        self._unzip: zlib._Decompress | None = None
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._head + data
        self._head = b""
        while data:
            if self._unzip is None:
                if len(data) < 2:
                    self._head = data
                    return
                if self._members and not (self._gzip and data[:2] == b"\x1f\x8b"):
                    return  # padding behind the end
                self._unzip = zlib.decompressobj(self._window(data))
            piece = self._unzip.decompress(data, _PIECE)
            data = self._unzip.unconsumed_tail
            if self._unzip.eof:
                data, self._unzip = self._unzip.unused_data, None
                self._members += 1
            yield piece

    def close(self) -> Iterator[bytes]:
        if self._unzip is not None:
            left = self._unzip.flush()
            ended = self._unzip.eof
            yield left
        else:
            ended = bool(self._members) or not self._head
        if not ended:
            raise Failure("incomplete_body", "the compressed body ended too early", 200)

    def _window(self, data: bytes) -> int:
        """Return zlib's `wbits`. A deflate stream has a header of zlib (RFC 9110), or, from some servers, none."""
        if self._gzip or data[:2] == b"\x1f\x8b":
            return 47
        with_header = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return 15 if with_header else -15
