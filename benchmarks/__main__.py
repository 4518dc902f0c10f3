"""`python -m benchmarks [NAME]`: runs the benchmarks, prints `NAME ratio=...` and writes RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import date
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
WANTED = {
    "label": "our rows/s over the faster of faiss-cpu IndexFlatIP and plain NumPy; at least 2.5 with torch",
    "label-numpy": "the same without torch; at least 1",
    "selection": "our time over DuckDB's; at most 2.5, under 4 GB",
    "memory": "peak memory at 32x the rows over that at 4x; at most 1.1, under 1.5 GB",
    "throughput": "our rows/s over plain PyArrow and NumPy; at least 0.9",
    "embed": "our images/s over a bare forward loop; at least 0.85",
}


def main() -> None:
    names = sys.argv[1:] or list(WANTED)
    unknown = set(names) - set(WANTED)
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(WANTED)}")
    for name in names:
        work = HERE / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        print(f"{name}: {WANTED[name]}", flush=True)
        module, _, variant = name.partition("-")
        run = import_module(f"benchmarks.{module}").run
        ratio = run(work, backend=variant) if variant else run(work)
        print(f"{name} ratio={ratio:.2f}", flush=True)
        record(name, ratio)


def record(name: str, ratio: float) -> None:
    """Keep the newest ratio of each benchmark, and write them all as RESULTS.md."""
    store = HERE / "work" / "results.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    results[name] = {"ratio": round(ratio, 3), "day": date.today().isoformat(), "machine": machine()}
    store.write_text(json.dumps(results, indent=1))
    lines = ["# Results", "", "Written by `make bench`; each ratio is from one run on one machine.", ""]
    lines += ["| benchmark | ratio | what it is | day | machine |", "| --- | --- | --- | --- | --- |"]
    for known, words in WANTED.items():
        if known in results:
            row = results[known]
            lines.append(f"| {known} | {row['ratio']:.2f} | {words} | {row['day']} | {row['machine']} |")
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")


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
