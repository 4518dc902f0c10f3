"""Fetch with img2dataset: run its downloader with matching arguments, and check its output afterwards.

It runs in an environment of its own, see `launcher`. It does not guard: it opens all addresses of its URLs and their
redirects, and has no limit on bytes or total time. Omissions are checked here: a row without an outcome, or an
unfinished shard, is an error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.files import write_atomically
from poolwright.core.parquet import parquet_writer
from poolwright.fetch.fetch import Fetched, SourceLike
from poolwright.fetch.img2dataset.launcher import TOOL, Launcher, find_launcher
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import SUCCESS
from poolwright.fetch.repeats import repeated
from poolwright.fetch.shards.folder import WORK, FetchFolder
from poolwright.fetch.shards.records import CAPTION, EXPECTED, URL
from poolwright.fetch.sources import FetchSource, open_source

OWN_ONLY = (
    "columns", "check", "per_host", "host_delay", "host_failures", "total", "max_bytes", "redirects", "backoff",
    "max_wait", "allow_private", "allow_networks", "proxy", "verify_tls", "placeholders", "retry",
)  # fmt: skip
"""Options that img2dataset does not have. It always acts as with `allow_private`."""

_RESERVED = frozenset(("md5", "sha256", "sha512", "caption", "url", "key", "status", "exif"))


def fetch_with_img2dataset(
    source: SourceLike,
    to: Path,
    options: FetchOptions,
    executable: str | Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Fetched:
    """Fetch with img2dataset, or let it continue.

    Args:
        source: as for `fetch_images`; it is written to one Parquet file with the column names that img2dataset expects.
        to: folder of the shards.
        options: only those that img2dataset has too.
        executable: its console script; default is what `find_launcher` finds.
        note: receives a line about the run.

    Raises:
        RecipeError: img2dataset was not found, does not have an option, or the folder holds something else.
        PoolwrightError: it failed, or ended without an outcome for every row.
    """
    refuse_own_options(options)
    launcher = find_launcher(executable)
    opened = open_source(source, options)
    FetchFolder(to, options).claim(opened)
    work = to.resolve() / WORK
    rows, log = work / "rows.parquet", work / f"{TOOL}.log"
    version = launcher.version()
    note(f"fetching with {TOOL} {version or 'of unknown version'} ({launcher.command[0]}); its output goes to {log}")
    count = write_rows(opened, rows)
    given = arguments(opened, rows, to.resolve(), options)
    _record(work, launcher, version, given)
    launcher.run(given, log)
    return _checked(to, count, options)


def _record(work: Path, launcher: Launcher, version: str | None, given: Mapping[str, Any]) -> None:
    """Add a line about this run to the journal of the tool."""
    line = {"tool": TOOL, "version": version, "command": launcher.command, "arguments": given}
    with (work / "tool.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def refuse_own_options(options: FetchOptions) -> None:
    """Refuse options that would silently be ignored.

    Raises:
        RecipeError: an option is set that img2dataset does not have.
    """
    for name in OWN_ONLY:
        if name in options.model_fields_set and not (name == "allow_private" and options.allow_private):
            raise RecipeError(f"img2dataset has no option like '{name}'; leave it out, or fetch without img2dataset")
    if options.user_agent and not options.user_agent.isidentifier():
        raise RecipeError("img2dataset takes only a token as user_agent, such as 'mybot'")


def write_rows(source: FetchSource, path: Path) -> int:
    """Write the rows of a source to one Parquet file with the columns url, caption, sha256 and the carried ones."""
    names = [_renamed(name) for name in source.schema.names]
    schema = pa.schema([field.with_name(name) for field, name in zip(source.schema, names, strict=True)])
    count = 0

    def write(out: Any) -> None:
        nonlocal count
        with parquet_writer(out, schema) as writer:
            for table in source.shards(100_000):
                writer.write_table(table.rename_columns(names))
                count += len(table)

    write_atomically(path, write)
    return count


def _renamed(name: str) -> str:
    return "sha256" if name == EXPECTED else name


def arguments(source: FetchSource, rows: Path, to: Path, options: FetchOptions) -> dict[str, Any]:
    """Return the arguments of `img2dataset.download` for `options`: bytes as served, hashes verified, no wandb."""
    names = source.schema.names
    carried = [name for name in names if name not in (URL, CAPTION, EXPECTED) and name not in _RESERVED]
    return {
        "url_list": str(rows),
        "input_format": "parquet",
        "output_folder": str(to),
        "output_format": options.format,
        "url_col": URL,
        "caption_col": CAPTION if CAPTION in names else None,
        "save_additional_columns": carried or None,
        "number_sample_per_shard": options.shard_rows,
        "processes_count": 1,
        "thread_count": options.concurrency,
        "timeout": max(1, round(options.timeout)),
        "retries": options.retries,
        "disable_all_reencoding": True,
        "extract_exif": options.exif,
        "compute_hash": "sha256",
        "verify_hash": ["sha256", source.algorithm] if EXPECTED in names else None,
        "user_agent_token": options.user_agent,
        "disallowed_header_directives": list(options.robots),
        "enable_wandb": False,
        "incremental_mode": "incremental",
        "max_shard_retry": 2,
    }


def _checked(to: Path, rows: int, options: FetchOptions) -> Fetched:
    """Count the outcomes that img2dataset wrote, as it always reports success."""
    files = sorted(to.glob("[0-9]*.parquet"))
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for file in files:
        stats = file.with_name(f"{file.stem}_stats.json")
        table = pq.read_table(file, columns=["status", "error_message"])
        if not stats.exists() or json.loads(stats.read_text(encoding="utf-8"))["count"] != len(table):
            raise PoolwrightError(f"{file}: img2dataset left the shard unfinished; the same command fetches it again")
        for row in table.to_pylist():
            statuses[row["status"]] += 1
            if row["status"] != SUCCESS:
                errors[row["error_message"] or "no message"] += 1
    if statuses.total() != rows:
        raise PoolwrightError(
            f"{to}: img2dataset ended with {statuses.total():,} outcomes for {rows:,} rows; "
            "the same command continues with the shards that are missing"
        )
    size = sum(file.stat().st_size for file in to.rglob("*") if file.is_file() and WORK not in file.parts)
    found = repeated(files, options.repeat_alarm)
    return Fetched(to, rows, dict(statuses.most_common()), dict(errors.most_common()), len(files), size, found, rows)
