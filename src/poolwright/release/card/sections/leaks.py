"""Write the section of a dataset card on the rows that several parts of the release have in common."""

from __future__ import annotations

from collections.abc import Iterator

from poolwright.core.results.leaks import Leak
from poolwright.core.wording import counted
from poolwright.release.card.markdown import code, grid, plain, share
from poolwright.release.record import ReleaseRecord

HEAD = "## Leakage"


def leaks_section(release: ReleaseRecord) -> str:
    """Return the counts as Markdown; '' if the release has one part."""
    leaks = release.leaks
    if leaks is None:
        return ""
    words = [HEAD, "Rows of a later split, bucket or other part that an earlier part has, too:"]
    lines = [
        (code(leak.by), plain(leak.kind), f"{leak.rows:,} of {leak.later:,}", share(leak.rows, leak.later))
        for leak in leaks.found
    ]
    words.append(grid(("parts by", "compared by", "rows in an earlier part", "share"), lines, (2, 3)))
    pairs = [line for leak in leaks.found for line in _pairs(leak)]
    if pairs:
        words.append(grid(("parts by", "compared by", "part", "rows", "part", "rows", "such as"), pairs, (3, 5)))
    if leaks.above is not None:
        words.append(f"Vectors are near from a cosine of {leaks.above:g} on.")
    if any(leak.drawn for leak in leaks.found):
        words.append(
            "A random sample of rows is compared by vectors with all others, and the counts are of the sample."
        )
    missing = [f"{how} ({reason})" for how, reason in leaks.left_out.items()]
    words.append(f"Not compared: {plain('; '.join(missing))}." if missing else "")
    return "\n\n".join(part for part in words if part)


def _pairs(leak: Leak) -> Iterator[tuple[str, ...]]:
    for pair in leak.pairs:
        one, other = pair.examples[0] if pair.examples else ("", "")
        rows = f"{pair.rows_one:,}", f"{pair.rows_other:,}"
        yield (
            code(leak.by), plain(leak.kind), code(pair.one), rows[0], code(pair.other), rows[1],
            f"{code(one)} and {code(other)}",
        )  # fmt: skip
    if leak.more_pairs:
        yield code(leak.by), plain(leak.kind), f"{counted(leak.more_pairs, 'more pair')} of parts", "", "", "", ""
