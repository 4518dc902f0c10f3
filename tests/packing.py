"""Packing files in tests."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pyarrow as pa


def pack(ending: str, data: bytes) -> bytes:
    """Data as a file with this ending holds it."""
    if ending == "zst":
        packed = pa.BufferOutputStream()
        with pa.CompressedOutputStream(packed, "zstd") as out:
            out.write(data)
        return packed.getvalue().to_pybytes()
    return {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[ending](data)
