"""Values that may be meant to be the same."""

from __future__ import annotations

import random

import pyarrow as pa

from poolwright.kernels.selection.spelling import loosely


def test_what_else_is_in_a_batch_changes_nothing() -> None:
    """ASCII has classes of letters and digits of its own, which must take the same characters as Unicode's."""
    draw = random.Random(3)
    texts = [
        *(chr(code) for code in range(128)),
        *("".join(draw.choices("aKzZ0019 ./:-_%@\n\t", k=draw.randint(0, 12))) for _ in range(2000)),
        "https://a.org/x/0007.JPG",
        None,
    ]
    alone = loosely(pa.array(texts, pa.string()))
    together = loosely(pa.array([*texts, "é"]))
    assert [one.to_pylist() for one in alone] == [one.to_pylist()[:-1] for one in together]
    assert [one.to_pylist()[-2] for one in alone] == ["x0007jpg", "7"]
    assert loosely(pa.nulls(2, pa.string()))[0].to_pylist() == [None, None]
