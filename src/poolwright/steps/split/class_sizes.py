"""Give class sizes, the largest first: a shipped list, lists from files, and rules with an imbalance factor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from poolwright.core.errors import InputError, MissingExtra, StepError
from poolwright.core.params import Count, exact
from poolwright.core.remote.files import local_file

ImageNetGlt = Literal["imagenet-glt"]
IMAGENET_GLT: ImageNetGlt = "imagenet-glt"
SHIPPED_SIZES_ARE = "class sizes near those of the published list, not equal to them"
"""How the shipped sizes differ from the authors' list, whose licence allows no copy; the docs have the figures."""
_SHIPPED = "imagenet_glt_sizes.txt"
_LISTS = (".pt", ".pth", ".pytorch")


class Profile(BaseModel):
    """Class sizes that decrease by a rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    shape: Literal["exponential", "step"] = Field(
        description="exponential: a constant factor from class to class. step: a fifth of the classes has the "
        "largest size, a fifth half of it, the others the smallest"
    )
    largest: Count | None = Field(
        default=None,
        description="rows of the largest class; default, for lists of attributes: all that the tests leave of it",
    )
    imbalance: float = Field(ge=1, description="size of the largest class over that of the smallest")

    @model_validator(mode="after")
    def _some_rows(self) -> Profile:
        if self.largest is not None and self.largest < self.imbalance:
            raise ValueError(
                f"the smallest class would have {self.largest / self.imbalance:.2g} rows; none can have less than 1"
            )
        return self

    def sizes(self, classes: int, rows: int | None = None) -> list[int]:
        """Return the sizes of this many classes, rounded down.

        Args:
            rows: rows of the largest class if `largest` does not give them.

        Raises:
            StepError: neither does.
        """
        largest = rows if self.largest is None else self.largest
        if largest is None:
            raise StepError("glt: the rule of 'sizes' needs the rows of the largest class: largest: 500")
        smallest = Fraction(largest) / exact(self.imbalance)
        if self.shape == "step":
            steps = [Fraction(largest), Fraction(largest, 2), smallest]
            # A fifth, another fifth, the rest; half of the largest is never below the smallest.
            parts = [min(5 * number // max(classes, 1), 2) for number in range(classes)]
            return [int(max(steps[part], smallest)) for part in parts]
        # In decimals, which are the same on every machine.
        ratio, last = Decimal(repr(self.imbalance)), max(classes - 1, 1)
        return [int(largest / ratio ** (Decimal(number) / last)) for number in range(classes)]


def sizes_for(
    sizes: ImageNetGlt | Profile | tuple[int, ...], file: str | None, classes: int, rows: int | None = None
) -> list[int]:
    """Return the sizes of this many classes, by name, rule, list or file.

    Args:
        rows: rows of the largest class, for a rule that does not give them.

    Raises:
        StepError: the list is for another number of classes, the file cannot be used, or rows are not known.
        MissingExtra: as `read_sizes`.
    """
    if file is not None:
        found = read_sizes(file)
    elif isinstance(sizes, Profile):
        found = sizes.sizes(classes, rows)
    else:
        found = shipped_sizes(classes) if isinstance(sizes, str) else list(sizes)
    if len(found) != classes:
        raise StepError(f"glt: there are {classes:,} classes, and the list has the sizes of {len(found):,}")
    return found


def shipped_sizes(classes: int) -> list[int]:
    """Return class sizes of ImageNet-GLT: the list for 1,000 classes, else entries evenly spread over it."""
    text = (files(__package__) / _SHIPPED).read_text(encoding="utf-8")
    sizes = [int(line) for line in text.splitlines() if not line.startswith("#")]
    last = max(classes - 1, 1)
    return [sizes[(2 * number * (len(sizes) - 1) + last) // (2 * last)] for number in range(classes)]


def read_sizes(path: str) -> list[int]:
    """Read a list of sizes from a file: text with one number per line, JSON, or a list saved by torch.

    Raises:
        StepError: the file cannot be read, or does not hold whole numbers.
        MissingExtra: it was saved by torch, which is not installed.
    """
    try:
        file = local_file(path)
        if file.suffix in _LISTS:
            found = _load_torch(file)
        elif file.suffix == ".json":
            found = json.loads(file.read_text(encoding="utf-8"))
        else:
            lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
            found = [int(line) for line in lines if line]
    except (InputError, MissingExtra):
        raise
    except Exception as error:  # torch and its pickles fail in many ways
        raise StepError(f"glt: the class sizes in {path} cannot be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(size, int) and not isinstance(size, bool) for size in found):
        raise StepError(f"glt: {path} does not hold a list of whole numbers, one for each class")
    try:
        check_sizes(found)
    except ValueError as error:
        raise StepError(f"glt: {path}: {error}") from None
    return found


def check_sizes(sizes: Sequence[int]) -> None:
    """Check that sizes are given with the largest first.

    Raises:
        ValueError: one is larger than the one before, or below 1.
    """
    for number, size in enumerate(sizes):
        if size < 1:
            raise ValueError(f"class {number} of the class sizes has {size} rows; every class needs at least one")
        if number and size > sizes[number - 1]:
            raise ValueError(
                f"list class sizes from the largest on; class {number} with {size:,} rows is larger than the one "
                f"before with {sizes[number - 1]:,}"
            )


def _load_torch(file: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", f"reading {file.name}, which torch saved") from None
    loaded = torch.load(file, map_location="cpu", weights_only=True)
    return loaded.tolist() if isinstance(loaded, torch.Tensor) else loaded
