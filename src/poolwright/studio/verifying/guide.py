"""Render the page of instructions next to the pictures: Markdown as HTML, its pictures served by number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

MOST_BYTES = 400_000


@dataclass(frozen=True)
class Guide:
    """A page of instructions.

    Attributes:
        general: the text before the first class, as HTML.
        classes: the section of each class, by its heading in lower case.
        images: the pictures of the page, relative to its folder; they are served by their number.
    """

    general: Markup
    classes: dict[str, Markup]
    images: tuple[str, ...]

    def of(self, name: str) -> Markup:
        """Return the section of a class, or ''."""
        return self.classes.get(name.strip().casefold(), Markup(""))


def read_guide(path: Path, queue: str) -> Guide:
    """Read a Markdown page: a section '## NAME' for each class. HTML in it is shown as text."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False})
    tokens = parser.parse(path.read_text(encoding="utf-8-sig", errors="replace")[:MOST_BYTES])
    images: list[str] = []
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                images.append(str(child.attrs.get("src", "")))
                child.attrs["src"] = f"/verify/{quote(queue, safe='')}/shown/{len(images) - 1}"
            if child.type == "link_open":
                child.attrs |= {"target": "_blank", "rel": "noreferrer noopener"}
    starts = [at for at, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    pieces = [tokens[begin:end] for begin, end in zip([0, *starts], [*starts, len(tokens)], strict=True)]
    html = [Markup(parser.renderer.render(piece, parser.options, {})) for piece in pieces]
    names = [tokens[at + 1].content.strip().casefold() for at in starts]
    return Guide(html[0], dict(zip(names, html[1:], strict=True)), tuple(images))
