"""Unit vectors that look like image embeddings, for the benchmarks of many clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TOPICS, WITHIN, ROWS_AT_ONCE = 600, 12, 65_536


def embeddings(rows: int, width: int, seed: int) -> npt.NDArray[np.float16]:
    """Rows around topics of very different size, and smaller ones within these.

    Features vary by 1 / rank, as the spectra of image embeddings fall, and all rows share a direction.
    """
    draw = np.random.default_rng(seed)
    spread = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    spread /= np.linalg.norm(spread)

    def drawn(count: int, scale: float) -> npt.NDArray[np.float32]:
        return draw.standard_normal((count, width), np.float32) * spread * np.float32(scale)

    shared, topics, within = drawn(1, 1), drawn(TOPICS, 1), drawn(TOPICS * WITHIN, 0.6)
    shares = draw.dirichlet(np.full(TOPICS, 0.5))
    out = np.empty((rows, width), np.float16)
    for start in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - start)
        topic = draw.choice(TOPICS, count, p=shares)
        smaller = topic * WITHIN + (draw.random(count) ** 2 * WITHIN).astype(int)
        made = shared + topics[topic] + within[smaller] + drawn(count, 0.7)
        out[start : start + count] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return out
