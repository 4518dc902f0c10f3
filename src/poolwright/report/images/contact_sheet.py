"""Write a contact sheet: thumbnails in rows, each with a line of text below, as one JPEG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.files import write_atomically
from poolwright.report.sheets import SheetCard

if TYPE_CHECKING:
    from PIL import Image

_CELL, _LINE, _GAP, _HEAD = 168, 18, 10, 44
_ACROSS = 8
_PAPER, _INK, _SOFT, _BLANK = "#f7f9fa", "#18222c", "#586572", "#e4e9ed"


def write_contact_sheet(cards: Sequence[SheetCard], lines: Sequence[str], title: str, path: Path) -> Path:
    """Write the cards' pictures, each with its line below, under a title.

    Args:
        cards: cards to show; those without a picture are blank, with their problem or uid.
        lines: text below each card.
        title: title, one line.
        path: path of the file, with the extension .jpg.
    """
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    across = min(_ACROSS, max(len(cards), 3))
    down = -(-len(cards) // across)
    size = (across * (_CELL + _GAP) + _GAP, _HEAD + down * (_CELL + _LINE + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    head, small = ImageFont.load_default(20), ImageFont.load_default(13)
    draw.text((_GAP, 12), _fitting(title, head, size[0] - 2 * _GAP), _INK, head)
    for index, (card, line) in enumerate(zip(cards, lines, strict=True)):
        left = _GAP + index % across * (_CELL + _GAP)
        top = _HEAD + index // across * (_CELL + _LINE + _GAP)
        picture = _picture(card)
        if picture is None:
            draw.rectangle((left, top, left + _CELL, top + _CELL), _BLANK)
            draw.text((left + 6, top + 6), _fitting(card.problem or card.uid, small, _CELL - 12), _SOFT, small)
        else:
            picture = ImageOps.contain(picture, (_CELL, _CELL))
            sheet.paste(picture, (left + (_CELL - picture.width) // 2, top + (_CELL - picture.height) // 2))
        draw.text((left, top + _CELL + 2), _fitting(line, small, _CELL), _INK, small)
    encoded = io.BytesIO()
    sheet.save(encoded, "JPEG", quality=88)
    write_atomically(path, lambda out: out.write(encoded.getvalue()))
    return path


def _picture(card: SheetCard) -> Image.Image | None:
    from PIL import Image

    if card.picture is None:
        return None
    data = base64.b64decode(card.picture.uri.partition(",")[2])
    return Image.open(io.BytesIO(data)).convert("RGB")


def _fitting(text: str, font: object, width: int) -> str:
    """Shorten a text to a width in pixels."""
    length = font.getlength  # type: ignore[attr-defined]
    if length(text) <= width:
        return text
    while text and length(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
