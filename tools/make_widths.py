"""Write widths.txt, the dimensions of the vectors of all models of torchvision and timm, which take minutes to build.

    python tools/make_widths.py

Known architectures are kept, so that a newer release of a library adds to the table what is new in it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import timm
import torchvision

from poolwright.core.errors import RecipeError
from poolwright.models.encoders.networks import timm_models, torchvision_models, widths

OUT = Path(widths.__file__).with_name("widths.txt")


def main() -> None:
    by_width: dict[tuple[str, int], list[str]] = defaultdict(list)
    for library, names in (("timm", timm.list_models()), ("torchvision", _classifiers())):
        known = widths.known_widths(library)
        for name in sorted({*known, *names}):
            print(library, name, file=sys.stderr)
            for width in [known[name]] if name in known else _measured(library, name):
                by_width[library, width].append(name)
    lines = [f"{library} {width} {' '.join(names)}\n" for (library, width), names in sorted(by_width.items())]
    OUT.write_text("".join(lines), encoding="utf-8", newline="\n")


def _classifiers() -> list[str]:
    return list(torchvision.models.list_models(module=torchvision.models))


def _measured(library: str, name: str) -> Iterator[int]:
    """Yield the width of a model, if it can be an encoder."""
    with suppress(RecipeError):  # as of SqueezeNet, which ends in no linear layer
        if library == "torchvision":
            yield torchvision_models._width(name)
        else:
            config = timm.get_pretrained_cfg(name).to_dict()
            yield timm_models._width(name, config["input_size"][2], bool(config.get("fixed_input_size", False)))


if __name__ == "__main__":
    main()
