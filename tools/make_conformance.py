"""Run the reproductions of published datasets, and write their numbers into docs/conformance.md.

    python tools/make_conformance.py FOLDER [NAME...]

FOLDER holds generated sources and runs, up to 8 GB for the largest. Sections of recipes that are not named stay as they
are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter

from poolwright.conformance import REPRODUCTIONS, Conformance, conformance
from poolwright.core.results.conformance import in_digits

sys.path.insert(0, str(Path(__file__).parent))  # it may be loaded by its path
from markdown_parts import table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conformance.md"
INTRODUCTION = (
    "<!-- Made by `python tools/make_conformance.py FOLDER`, which runs the recipes. -->",
    "# Conformance",
    "`poolwright conformance NAME` runs a shipped recipe at the size at which its dataset was published, and prints "
    "what it gives next to the published numbers. Sources that cannot be had are generated, with as many rows, "
    "classes and ties; steps that open images are left out. Everything else of the recipe runs unchanged.",
    "```sh\npoolwright conformance imagenet-glt\n```",
    "```py\nfrom poolwright.conformance import conformance\n\n"
    'found = conformance("imagenet-glt", "conformance/imagenet-glt")\n'
    "assert found.ok\n```",
    "*equal*: the rules of the dataset fix this number whatever the images are, and both are the same; if one differs, "
    "the exit status is 1. The other numbers depend on images, which are not the published ones, and show the order of "
    "magnitude. That each row is the right one is what the tests in `tests/conformance` check, against statements of "
    "the rules that share no code with the package. What the recipes do on real pictures is on the pages of the "
    "[datasets](README.md#published-datasets).",
)


def main() -> None:
    folder, *names = sys.argv[1:]
    sections = {}
    if PAGE.exists():
        _, *parts = PAGE.read_text(encoding="utf-8").split("\n## ")
        sections = {part.partition("\n")[0]: f"## {part.strip()}" for part in parts}
    for name in names or REPRODUCTIONS:
        begun = perf_counter()
        found = conformance(name, Path(folder) / name)
        sections[name] = section(found, perf_counter() - begun)
    ordered = [sections[name] for name in REPRODUCTIONS if name in sections]
    PAGE.write_text("\n\n".join([*INTRODUCTION, *ordered]) + "\n", encoding="utf-8")


def section(found: Conformance, seconds: float) -> str:
    """One recipe: what was generated, and its numbers."""
    rows: list[tuple[str, ...]] = [
        (one.what, in_digits(one.published), in_digits(one.ours), one.verdict) for one in found.numbers
    ]
    took = f"It took {seconds / 60:.0f} minutes" if seconds > 90 else f"It took {seconds:.0f} seconds"
    return "\n\n".join(
        (
            f"## {found.recipe}",
            f"Published in {found.source}. {found.generated} {took} on a machine of {os.cpu_count()} cores.",
            table(("number", "published", "ours", ""), rows),
        )
    )


if __name__ == "__main__":
    main()
