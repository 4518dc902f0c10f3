"""Images and small encoders that tests make themselves."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from poolwright.testing.tiny_clip import MANIFEST, save_graph, write_clip, write_image_graph, write_text_graph

__all__ = ["MANIFEST", "encoded", "picture", "save_graph", "write_clip", "write_image_graph", "write_text_graph"]


def picture(seed: int, width: int = 200, height: int = 150) -> Image.Image:
    """Smooth colours with hard edges."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    image.paste(tuple(rng.integers(0, 256, 3).tolist()), (width // 4, height // 4, width // 2, height // 2))
    return image


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()
