"""Avalanche layout: the lists and tensors of which Avalanche makes benchmarks over a stream of time buckets.

class_names.txt, labeled_images/<bucket>/<class>/<uid>.jpg
training_folder/...        see `training_folder`
metadata/<bucket>.parquet  the rows of each bucket, in the order of its list
"""

from __future__ import annotations

from typing import ClassVar

from poolwright.release.layouts.streams.stream_layout import StreamLayout


class Avalanche(StreamLayout):
    """Lists of paths and class indices, and feature tensors, by time bucket and split, as Avalanche reads them."""

    layout: ClassVar[str] = "avalanche"
