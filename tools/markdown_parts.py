"""Parts of generated pages, in Markdown."""

from __future__ import annotations

import inspect
from typing import Any

NOTE = "<!-- Made from the code by `make docs`; change the docstrings and fields there. -->\n"


def page(parts: list[str]) -> str:
    return NOTE + "\n" + "\n\n".join(part.strip("\n") for part in parts) + "\n"


def doc(cls: type[Any]) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
