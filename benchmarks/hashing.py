"""Hashing 4 million uids on one core: the rate of `hash64` over the one wanted.

The time is that of the processor, so that other work on the machine does not count.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from poolwright.kernels.selection.hashing import hash64

ROWS, WANTED = 4_000_000, 15e6
LENGTHS = (11, 32, 64)


def run(work: Path) -> float:
    """Uids of 32 characters per second and core, over 15 million; at least 1 is wanted. Prints other lengths too."""
    rates = {length: rate(uids(length)) for length in LENGTHS}
    for length, found in rates.items():
        print(f"  {length} characters: {found / 1e6:.1f} million per second")
    return rates[32] / WANTED


def uids(length: int) -> pa.Array:
    """Random hexadecimal uids, (ROWS,)."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = digits[np.random.default_rng(length).integers(0, 16, ROWS * length, dtype=np.uint8)]
    offsets = np.arange(0, (ROWS + 1) * length, length, dtype=np.int32)
    return pa.StringArray.from_buffers(ROWS, pa.py_buffer(offsets), pa.py_buffer(text))


def rate(values: pa.Array) -> float:
    """Strings per second, the best of five times."""
    seconds = []
    for _ in range(5):
        begun = time.thread_time()
        hash64(values, 2024)
        seconds.append(time.thread_time() - begun)
    return len(values) / min(seconds)
