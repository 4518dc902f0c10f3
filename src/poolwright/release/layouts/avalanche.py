"""Avalanche layout: the lists and tensors from which Avalanche makes benchmarks over a stream of time buckets.

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
    example: ClassVar[str] = "{table: best, layout: avalanche, splits: [split_0], images: none, to: out/best-lists}"
    tree: ClassVar[str] = """\
class_names.txt                     names of the classes by index, in alphabetical order
labeled_images/3/laptop/<uid>.jpg   image files by bucket and class; left out by `images: none`
training_folder/bucket_indices.json                             the buckets, in order
training_folder/filelists/3/all.txt                             one line per image: path and class index
training_folder/testset_ratio_0.3/split_0/3/train.txt           the lines to train on; test.txt
training_folder/testset_ratio_0.3/split_0/3/train_indices.json  their numbers in all.txt; test_indices.json
training_folder/features/clip/3/all.pth                         (tensor, class indices), in the order of all.txt
train/labeled_metadata.json, test/...                           {bucket: {class: path}}, buckets numbered from 0
train/labeled_metadata/3/laptop.json, test/...                  {uid: {"ID", "IMG_PATH": path seen from train}}
train/features/moco_b0/3/laptop.pth, test/...                   {uid: tensor}; features.json: {bucket: {class: path}}
metadata/3.parquet                  all columns, rows in the order of the lists"""
