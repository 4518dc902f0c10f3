"""Show how to load a release with `datasets`, as Markdown for its card."""

from __future__ import annotations

from poolwright.core.columns import IMAGE
from poolwright.release.card.markdown import code, fenced
from poolwright.release.record import ReleaseRecord

FOLDER_WORDS = "path/or/name/of/this/folder"


def is_loaded_by_split(release: ReleaseRecord) -> bool:
    """Whether each split has to be loaded on its own: `datasets` guesses the types of CSV files one by one."""
    return bool(release.images) and release.files[0].path.endswith(".csv") and len(release.splits) > 1


def load_with_datasets(release: ReleaseRecord) -> str:
    """Return code that loads the folder, or its first config if there are several, and a hint on other readers."""
    config = next(iter(release.configs), None)
    split = release.files_of(config)[0].split if config else next(iter(release.splits))
    named = f', "{config}"' if config else ""
    apart = is_loaded_by_split(release)
    given = f'"imagefolder", data_dir="{FOLDER_WORDS}/{split}", split="train"' if apart else f'"{FOLDER_WORDS}"{named}'
    lines = ["from datasets import load_dataset", "", f"dataset = load_dataset({given})"]
    lines.append("row = dataset[0]" if apart else f'row = dataset["{split}"][0]')
    if release.images:
        lines.append(f'row["{IMAGE}"]  # a PIL image, decoded on access')
    words = fenced("\n".join(lines), "python")
    if apart:
        words += (
            "\n\nThis loads one split, which `datasets` calls `train` whatever it is. CSV has no types, so `datasets` "
            "guesses them from each file, and refuses splits together whose types differ, for instance because one has "
            "missing values. `metadata: parquet` has types."
        )
    if config:
        words += f"\n\nThe values of `{release.parameters['configs']}` are configs: "
        words += ", ".join(code(name) for name in release.configs) + "."
    first = release.files[0].path
    if first.endswith(".parquet"):
        words += f'\n\nAny reader of Parquet works too: `pyarrow.parquet.read_table("{first}")`. '
        words += "`croissant.json` describes the same files for Croissant readers."
    return words
