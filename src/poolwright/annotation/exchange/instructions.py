"""Read instructions: a Markdown page that defines each class for annotators, with positive and negative pictures.

    # Which pictures are wanted          anything before the first class is for all of them
    ## laptop                            one section per class, named as in the table
    A portable computer that ...
    ### Positive                         pictures of it
    ![open on a desk](images/laptop-1.jpg)
    ### Negative                         pictures that are easily mistaken for it
    ![a tablet](images/tablet.jpg)

The page is CommonMark; pictures are files in its folder or below. It is shown to annotators and released.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from poolwright.core.errors import InputError
from poolwright.core.images.image import REASONS, probe
from poolwright.core.images.image_files import read_bytes
from poolwright.core.wording import some

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PAGE = "instructions.html"
POSITIVE_HEADINGS = frozenset(("positive", "positives", "yes", "good"))
NEGATIVE_HEADINGS = frozenset(("negative", "negatives", "no", "bad"))
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }}
h2 {{ border-top: 1px solid #ccc; padding-top: 1rem; }}
img {{ max-height: 12rem; max-width: 100%; }}
</style>
<body>
{body}</body>
</html>
"""


@dataclass
class Section:
    """The section of one class: paths of its pictures, relative to the page."""

    positive: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Instructions:
    """A page that was read and checked.

    Attributes:
        path: of the page.
        text: its Markdown.
        classes: sections by the name of their class.
        images: paths of all pictures, relative to the page.
    """

    path: Path
    text: str
    classes: Mapping[str, Section]
    images: tuple[str, ...]

    def check_classes(self, wanted: Iterable[str]) -> None:
        """Check that every class has a section.

        Raises:
            InputError: some have none; the message names them.
        """
        known = {_plain(name) for name in self.classes}
        missing = [name for name in dict.fromkeys(wanted) if _plain(name) not in known]
        if missing:
            raise InputError(
                f"{self.path} has no section for {some(missing)}; add '## {missing[0]}' with what belongs to it, and "
                "pictures under '### Positive' and '### Negative'"
            )

    def fragment(self, hosted: str = "") -> str:
        """Render the page as HTML without head.

        Args:
            hosted: URL of the folder that the page and its pictures will be in; '' keeps paths relative.
        """
        tokens = _markdown().parse(self.text)
        for token in _all(tokens):
            source = token.attrs.get("src")
            if hosted and token.type == "image" and isinstance(source, str):
                token.attrs["src"] = f"{hosted.rstrip('/')}/{source}"
        for token, name in _headings(tokens):
            if token.tag == "h2":
                token.attrs["id"] = anchor(name)
        parser = _markdown()
        return str(parser.renderer.render(tokens, parser.options, {}))

    def page(self) -> str:
        """Render the page as an HTML file to be stored next to its pictures."""
        first = next((name for _, name in _headings(_markdown().parse(self.text))), "Instructions")
        return _PAGE.format(title=html.escape(first), body=self.fragment())

    def files(self) -> dict[str, bytes]:
        """Return all files to be shown and released, by path: the Markdown, the HTML and the pictures."""
        pictures = {path: (self.path.parent / path).read_bytes() for path in self.images}
        return {
            "instructions.md": self.text.encode(),
            PAGE: self.page().encode(),
            **pictures,
        }


def anchor(name: str) -> str:
    """Return the anchor of a class on the page."""
    return re.sub(r"[^\w-]+", "-", name.strip().casefold()).strip("-")


def read_instructions(path: Path) -> Instructions:
    """Read a page and check that its pictures exist and that every class has positive and negative ones.

    Raises:
        InputError: the page has problems; the message lists them all.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    tokens = _markdown().parse(text)
    classes, images, wrong = _sections(tokens)
    wrong += [f"{image}: {problem}" for image in images if (problem := _problem(path.parent, image))]
    for name, section in classes.items():
        lacking = [kind for kind in ("positive", "negative") if not getattr(section, kind)]
        wrong += [f"'{name}' has no picture under '### {kind.title()}'" for kind in lacking]
    if wrong:
        raise InputError(f"{path}: {some(wrong, 6)}")
    return Instructions(path, text, classes, tuple(images))


def _sections(tokens: list[Token]) -> tuple[dict[str, Section], list[str], list[str]]:
    """Sections by class, all pictures, and what is wrong."""
    classes: dict[str, Section] = {}
    images: dict[str, None] = {}
    wrong: list[str] = []
    current: list[str] | None = None
    section: Section | None = None
    names = {id(token): name for token, name in _headings(tokens)}
    for token in tokens:
        if id(token) in names and token.tag in ("h1", "h2"):
            name = names[id(token)]
            section, current = (Section(), None) if token.tag == "h2" else (None, None)
            if section is not None:
                wrong += [f"two sections '## {name}'"] if name in classes else []
                classes[name] = section
        elif id(token) in names and token.tag == "h3" and section is not None:
            current = _list_of(section, names[id(token)])
        for image in _images([token]):
            images[image] = None
            if current is not None:
                current.append(image)
    return classes, list(images), wrong


def _list_of(section: Section, heading: str) -> list[str] | None:
    plain = _plain(heading)
    if plain in POSITIVE_HEADINGS:
        return section.positive
    return section.negative if plain in NEGATIVE_HEADINGS else None


def _problem(folder: Path, image: str) -> str:
    """Describe the problem of a picture of the page; '' if there is none."""
    if urlsplit(image).scheme or image.startswith("/") or ".." in PurePosixPath(image).parts:
        return "pictures must be in the folder of the page or below, so that they can be released with it"
    data = read_bytes(str(folder), image)
    found = probe(data) if isinstance(data, bytes) else data
    return next(reason.words for reason in REASONS if reason.name == found) if isinstance(found, str) else ""


def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False})


def _headings(tokens: list[Token]) -> Iterator[tuple[Token, str]]:
    """Opening tokens of the headings, with their text."""
    for token, inner in pairwise(tokens):
        if token.type == "heading_open":
            yield token, "".join(child.content for child in inner.children or ()).strip()


def _images(tokens: list[Token]) -> list[str]:
    return [unquote(str(token.attrs.get("src", ""))) for token in _all(tokens) if token.type == "image"]


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


def _plain(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip().casefold()
