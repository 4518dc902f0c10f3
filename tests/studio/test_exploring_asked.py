"""Addresses of pages of rows: what they ask, and that they come back as they went."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from poolwright.core.errors import InputError
from poolwright.inspect.views.clauses import Among, Between, Contains, Filter, HasOutcome, Picked, Satisfies
from poolwright.inspect.views.view import SHUFFLED, View
from poolwright.studio.exploring.query_state import PageState, number, read_asked, shown, words
from tests.inspect.views.world import make_world, pool_rows


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    return make_world(tmp_path_factory.mktemp("asked"), pool_rows(200)).view()


@pytest.mark.parametrize(
    "asked",
    [
        PageState(),
        PageState(Filter((HasOutcome(True), Satisfies("width > 3 and label = 'a & b'")))),
        PageState(Filter((Contains("a=b&c", ("uid", "text")), Picked("0123456789abcdef")))),
        PageState(Filter((Among("continent", (None, "Asia", "Südamerika")), Between("score", -0.5, 1e-7)))),
        PageState(Filter((Between("taken_at", 1e15, None),)), sort="score", descending=True, layout="table"),
        PageState(vectors="embedding", text="a red car", cut=0.271, sort=SHUFFLED),
        PageState(like="a/b & c", cut=-0.25),
    ],
)
def test_an_address_comes_back_as_it_went(asked: PageState, view: View) -> None:
    assert read_asked(view, parse_qsl(asked.query())) == asked


def test_values_are_turned_on_and_off() -> None:
    asked = PageState().toggled("label", "a").toggled("label", "b")
    assert asked.filter == Filter((Among("label", ("a", "b")),))
    assert asked.toggled("label", "a").toggled("label", None).filter == Filter((Among("label", (None, "b")),))
    assert asked.toggled("label", "a").toggled("label", "b").filter == Filter()
    assert asked.outcome(True).outcome(False).kept is False
    assert asked.outcome(True).outcome(None).kept is None


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("score", "-0.5", -0.5),
        ("width", "1e3", 1000),
        ("taken_at", "2001-09-09", 999_993_600_000_000),
        ("taken_at", "2001-09-09T02:46:40+01:00", 1_000_000_000_000_000),
        ("taken_at", "1000000000000000", 1e15),
        ("day", "1970-02-01", 31),
    ],
)
def test_numbers_and_times(column: str, text: str, value: float, view: View) -> None:
    assert number(view.column(column), text) == value


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("score", "nan"),
        ("score", "inf"),
        ("score", "2001-09-09"),
        ("taken_at", "yesterday"),
        ("taken_at", "1e300"),
        ("taken_at", "9e18"),
        ("day", "1e12"),
    ],
)
def test_what_is_no_number_is_refused(column: str, text: str, view: View) -> None:
    with pytest.raises(InputError, match=r"is not a (number|time)"):
        number(view.column(column), text)


def test_numbers_for_people(view: View, tmp_path: Path) -> None:
    assert shown(view.column("taken_at"), 1e15) == "2001-09-09"
    assert shown(view.column("day"), 31) == "1970-02-01"
    assert shown(view.column("width"), 12345.0) == "12,345"
    assert shown(view.column("score"), 0.12345) == "0.1235"
    assert shown(view.column("taken_at"), 1e30) == "1e+30"
    assert words(view, Between("score", None, 0.5)) == "score ≤ 0.5"
    assert words(view, Among("label", (None, "a", "b", "c", "d"))) == "label: no value, a, b and 2 more"
    assert words(view, Picked("0" * 16)) == "selection of lost rows"
