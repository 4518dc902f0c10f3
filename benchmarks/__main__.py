"""`python -m benchmarks [--check] [NAME]`: runs benchmarks, prints `NAME ratio=...` and writes RESULTS.md.

With `--check` nothing is written: ratios are compared with those of RESULTS.md, and the exit status is 1 if one is
worse by more than 15 %.
"""

from __future__ import annotations

import os
import platform
import sys
from datetime import date
from importlib import import_module
from pathlib import Path

from benchmarks import timing
from benchmarks.results import TOLERANCE, Result, fallen, read_results, write_results

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
WANTED = {
    "label": "our rows/s over the faster of faiss-cpu IndexFlatIP and plain NumPy; at least 2.5 with torch",
    "label-numpy": "the same without torch; at least 1",
    "selection": "our time over DuckDB's; at most 2.5, under 4 GB",
    "join": "1 million labels joined to 20 million rows, written with zstd: our time over DuckDB's; at most 2",
    "admit": "repeated uids of 200 million rows found: our time over DuckDB's count(DISTINCT); at most 2, under 3 GB",
    "hashing": "uids of 32 characters hashed per second and core, over 15 million; at least 1",
    "geoyfcc": "CLIP-GeoYFCC, metadata to releases: our time over DuckDB's; under 60 s and 2 GB",
    "memory": "peak memory at 32x the rows over that at 4x; at most 1.1, under 1.5 GB",
    "flat": "classify, label, select: our time over 20 million rows over 20 times that over 1 million; at most 1.1",
    "throughput": "our rows/s over plain PyArrow and NumPy; at least 0.9",
    "svm": "our rows/s over the faster of scikit-learn and scikit-learn-intelex, cubic SVM; at least 6",
    "svm-run": "the same as a whole `poolwright apply`: start, digests, ledger, all columns and vectors",
    "clip_score": "best 30 % by CLIP score of 5 million rows, whole run: our rows/s over plain PyArrow and NumPy",
    "commonpool": "rows/s and core over 5 million rows, all in, over MapPool's published 7,100; under 2 GB",
    "even": "200 of 20,000 rows with even attributes: a plain loop's time over ours; at least 50, the same rows",
    "kmeans": "K-means in 1,000 classes of 1,300 x 512: scikit-learn's time over ours; at least 8, under 3 GB",
    "kmeans-2048": "the same, 200 classes of 1,300 x 2,048",
    "kmeans-large": "1 million x 256 in 10,000 clusters: faiss-cpu's time for 25 iterations over ours; at least 2",
    "assign": "rows of 768 to 100,000 centroids: faiss-cpu flat's time over ours, the same ids; at least 4",
    "retrieve": "plain NumPy's time to find 600 rows of each of 100 prompts x 11 buckets over our fit's; at least 1.3",
    "studio": "99th percentile of 20 annotators' verdicts over 150 ms, 2 verdicts/s each; at most 1",
    "embed": "our images/s over a bare forward loop; at least 0.85",
    "embed-ready": "the same of pixels that need no decoding; at least 0.97",
    "embed_files": "photographs of 3,000 x 2,000 to vectors, whole run: our pictures/s over a PyTorch DataLoader's "
    "(Pillow, 2 workers) around the same ONNX model; at least 2",
    "fetch": "pictures of 36 kB from nginx on the same machine: our files/s over img2dataset's (2 processes x 64 "
    "threads, resize_mode no); at least 5",
    "fetch-served": "the same with disable_all_reencoding, which does not look at the pictures",
    "tars": "a webdataset release of pictures of 30 kB: `tar`'s time to copy them over ours; at least 0.8",
    "tars-open": "a pool of 1,000 tars opened by its index: our seconds over 2; at most 1",
    "release-huggingface": "a Hugging Face release of pictures of 30 kB: time of datasets, the faster of save_to_disk "
    "and Parquet as for push_to_hub, over ours; at least 2",
    "report": "of a run over 1 million rows: time of a plain summary by DuckDB and matplotlib over ours; at least 1",
    "listing": "100,000 objects in S3 (moto) listed, with their ETags, as a pool: our time over boto3's; at most 1.5",
    "text": "a CSV of 3 million rows: seconds of one worker over those of one per core; more than 1",
    "text-gz": "the same, packed by gzip",
    "dedup": "near-duplicates of 1 million x 512 by cells, whole run: time of faiss by range over ours; at least 25",
    "dedup-scale": "the same for 0.5, 2 and 8 million x 128: exponent of our time; at most 1.4, under 3 GB",
    "leak": "near pairs of 50,000 and 1 million rows x 512, the same: faiss-cpu IndexFlatIP over our time; at least 10",
    "match": "500,000 entries found in captions: our captions/s and core over a loop of pyahocorasick; at least 10",
    "explore": "a session over 10 million rows, kept and dropped: our time over DuckDB's; at most 1",
    "first_look": "10 million rows: from `poolwright studio` without an index to a page of rows: our seconds over 30; "
    "at most 1",
    "first_look-questions": "the same rows: our time over 100 ms for the slowest kind of question that the page asks, "
    "each about a new value; median of seven; at most 1",
}


def main() -> None:
    """Run the benchmarks that are named, else all."""
    check = "--check" in sys.argv
    names = [name for name in sys.argv[1:] if name != "--check"] or list(WANTED)
    unknown = set(names) - set(WANTED)
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(WANTED)}")
    worse = []
    for name in names:
        ratio = measured(name)
        if not check:
            record(name, ratio)
        elif (before := read_results(RESULTS).get(name)) is None:
            print(f"{name}: RESULTS.md has no result of it to compare with", flush=True)
        elif (share := fallen(before, ratio)) > TOLERANCE:
            worse.append(f"{name}: {ratio:.2f}, which is {share:.0%} worse than {before.ratio:.2f} of {before.day}")
    if worse:
        sys.exit("\n".join(worse))


def measured(name: str) -> float:
    """Run one benchmark; return its ratio."""
    module, _, variant = name.partition("-")
    work = HERE / "work" / module
    work.mkdir(parents=True, exist_ok=True)
    print(f"{name}: {WANTED[name]}", flush=True)
    timing.PEAKS.clear()
    run = import_module(f"benchmarks.{module}").run
    ratio: float = run(work, backend=variant) if variant else run(work)
    print(f"{name} ratio={ratio:.2f}", flush=True)
    return ratio


def record(name: str, ratio: float) -> None:
    """Put a ratio into RESULTS.md, with the newest one of every other benchmark."""
    peak = max((size for log, size in timing.PEAKS.items() if log.startswith("poolwright")), default=0)
    found = Result(ratio, f"{peak / 1e9:.2f} GB" if peak else "", WANTED[name], date.today().isoformat(), machine())
    write_results(RESULTS, {**read_results(RESULTS), name: found}, list(WANTED))


def machine() -> str:
    """Processor, cores and Python, in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
