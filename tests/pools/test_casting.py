from __future__ import annotations

import base64
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.core.columns import WELL_KNOWN
from poolwright.core.errors import RecipeError
from poolwright.core.runtime.noting import watching
from poolwright.pools.columns.casting import as_given, check_values, given_type


def cast(name: str, values: pa.Array) -> list[object]:
    found = as_given(values, name, given_type(name, values.type, "x"))
    assert found.type == WELL_KNOWN[name].type
    return found.to_pylist()


AT = datetime(2014, 1, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2014-01-02T10:00:00Z", AT),
        ("2014-01-02 10:00:00", AT),
        (" 2014-01-02 10:00:00.0 ", AT),
        ("2014-01-02T10:00", AT),
        ("2014-01-02 10:00:00 UTC", AT),
        ("2014-01-02T12:00:00+02:00", AT),
        ("2014-01-02T05:30:00-0430", AT),
        ("2014-01-02T10:00:00.000000999", AT),
        ("1388656800", AT),
        ("1388656800.0", AT),
        ("2014-01-02", datetime(2014, 1, 2, tzinfo=UTC)),
        ("0000-00-00 00:00:00", None),
        ("2014-02-31", None),
        ("2014", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_times_of_text(text: str | None, time: datetime | None) -> None:
    around = pa.array(["2020-05-05", text, "nonsense", "1388656800", "2020-05-05T00:00:00Z"], pa.string())
    assert cast("uploaded_at", pa.array([text], pa.string())) == [time]
    assert cast("uploaded_at", around)[1] == time


def test_times_of_numbers_are_unix_seconds() -> None:
    assert cast("uploaded_at", pa.array([1_388_656_800, 0, None, 2014, 1_388_656_800_000, -86_400])) == [
        AT,
        datetime(1970, 1, 1, tzinfo=UTC),
        None,
        None,  # a year
        None,  # milliseconds
        datetime(1969, 12, 31, tzinfo=UTC),
    ]
    assert cast("taken_at", pa.array([1_388_656_800.5, float("nan"), float("inf")])) == [
        AT.replace(microsecond=500_000),
        None,
        None,
    ]
    assert cast("taken_at", pa.array([Decimal("1388656800")])) == [AT]


def test_times_of_times() -> None:
    assert cast("taken_at", pa.array([AT.replace(tzinfo=None)], pa.timestamp("ns"))) == [AT]
    assert cast("taken_at", pa.array([AT], pa.timestamp("ms", tz="Asia/Tokyo"))) == [AT]
    assert cast("taken_at", pa.array([AT.date()], pa.date32())) == [AT.replace(hour=0)]


def test_numbers() -> None:
    assert cast("width", pa.array(["640", " 480 ", "N/A", "", None, "12.5", "99999999999"])) == [
        640, 480, None, None, None, None, None,
    ]  # fmt: skip
    assert cast("width", pa.array([640.0, 0.5, float("nan"), 1e12])) == [640, None, None, None]
    assert cast("width", pa.array([2**40, 7])) == [None, 7]
    assert cast("latitude", pa.array(["25.5", "north"]).dictionary_encode()) == [25.5, None]
    assert cast("similarity", pa.array([0.25, None])) == [0.25, None]
    assert cast("latitude", pa.array([Decimal("1.5")])) == [1.5]


def test_texts() -> None:
    assert cast("label", pa.array([3, None])) == ["3", None]
    assert cast("label", pa.array(["a", "a", None], pa.large_string()).dictionary_encode()) == ["a", "a", None]
    assert cast("uid", pa.array([2**63], pa.uint64())) == [str(2**63)]
    assert cast("uid", pa.array([bytes(range(16))], pa.uuid())) == [bytes(range(16)).hex()]
    assert cast("sha256", pa.array([b"\x00\xff", None])) == ["00ff", None]
    assert cast("image", pa.array([b"x"], pa.large_binary())) == [b"x"]
    assert cast("text", pa.nulls(2)) == [None, None]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("uid", pa.float64()),
        ("text", pa.binary()),
        ("width", pa.list_(pa.int64())),
        ("taken_at", pa.bool_()),
        ("image", pa.float32()),
        ("sha256", pa.float32()),
    ],
)
def test_types_that_can_never_be_the_column_are_refused(name: str, dtype: pa.DataType) -> None:
    with pytest.raises(RecipeError, match=r"a\.csv: has type .* map another column"):
        given_type(name, dtype, "a.csv")


def test_a_column_with_no_fitting_value_is_reported() -> None:
    with pytest.raises(RecipeError, match=r"ISO 8601 times or Unix seconds, but none of the first 2 .* 1884;"):
        check_values(pa.array([1884, None, 1908]), "taken_at", "a.csv")
    with pytest.raises(RecipeError, match="such as 'wide'"):
        check_values(pa.array(["", "wide"]), "width", "a.csv")
    check_values(pa.array(["", None]), "width", "a.csv")
    check_values(pa.array(["wide", "12"]), "width", "a.csv")


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=6), st.integers(0, 10**12).map(str)), max_size=40),
    st.integers(0, 40),
)
def test_a_value_does_not_depend_on_its_neighbours(values: list[str | None], cut: int) -> None:
    array = pa.array(values, pa.string())
    for name in ("width", "uploaded_at", "latitude"):
        assert repr(cast(name, array)) == repr(cast(name, array[:cut]) + cast(name, array[cut:]))


def test_images_in_base64() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(250, 256))
    text = base64.b64encode(png).decode()
    texts = pa.array([text, f"data:image/png;base64,{text}", base64.urlsafe_b64encode(png).decode().rstrip("="), "?"])
    assert cast("image", texts) == [png, png, png, None]
    check_values(texts, "image", "a.jsonl")
    with pytest.raises(RecipeError, match=r"such as 'a\.jpg'; map paths with 'columns: \{image_path: NAME\}'"):
        check_values(pa.array(["a.jpg", None, "b.jpg"]), "image", "a.jsonl")


def test_the_first_of_several_captions() -> None:
    lists = pa.array([["a dog", "a wet dog"], [" ", "one"], [], None])
    with watching() as noted:
        assert cast("text", lists) == ["a dog", "one", None, None]
        noted.settle(0, 4)
    assert noted.found == {"rows have several captions, of which 'text' is the first": (1, "'a dog'")}


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2014-01-02 12:00:00 +0200", AT),
        ("2014-01-02 12:00:00 +02", AT),
        ("2014-01-02T05:00:00-5:00", AT),
        ("2014-01-02 10:00:00 GMT", AT),
        ("2014-01-02t10:00:00z", AT),
        ("2014-01-02 10:00:00,0", AT),
        ("2014:01:02 10:00:00", AT),
        ("2014/01/02 10:00", AT),
        ("20140102T100000Z", AT),
        ("20140102100000", AT),
        ("Thu, 02 Jan 2014 12:00:00 +0200", AT),
        ("Thu Jan 02 12:00:00 +0200 2014", AT),
        ("20140102", AT.replace(hour=0)),
        ("20140231", None),
        ("201401", None),
        ("02/01/2014", None),
        ("2014-01-02 10:00:00 +99:00", None),
        ("2014-01-02 25:00:00", None),
    ],
)
def test_other_forms_of_times(text: str, time: datetime | None) -> None:
    assert cast("taken_at", pa.array([text, "2020-05-05"])) == [time, datetime(2020, 5, 5, tzinfo=UTC)]


def test_digits_that_are_a_date_are_no_seconds() -> None:
    numbers = [20_140_102, 20_140_231, 201_401, 20_140_102_100_000, 20_140_102_250_000, 17_000_000]
    day, before = AT.replace(hour=0), datetime(1970, 7, 16, 18, 13, 20, tzinfo=UTC)
    assert cast("taken_at", pa.array(numbers)) == [day, None, None, AT, None, before]
    assert cast("taken_at", pa.array([20_140_102.0, float("nan")])) == [day, None]


def test_values_that_cannot_be_read_are_noted() -> None:
    with watching() as noted:
        cast("width", pa.array(["640", "wide", "", None, "tall"]))
        noted.settle(0, 3)  # the rows of one unit
        cast("latitude", pa.array([91.0, float("nan"), -90.0, None]))
        noted.settle(0, 4)
    assert noted.found == {
        "values of 'width' could not be read": (1, "'wide'"),
        "values of 'latitude' could not be read": (1, "91.0"),
    }
