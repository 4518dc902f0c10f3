"""Lines of YFCC100M: every form, every field, and what is wrong with a bad one."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote_plus

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.pools.columns.url_text import decode
from poolwright.pools.yfcc.lines import FIELDS, parse
from tests.pools.yfcc import HASH, line


def values(text: str | bytes, *names: str) -> dict[str, object]:
    columns, errors = parse(pa.array([text]), names or list(FIELDS))
    assert errors.to_pylist() == [None]
    for name, array in columns.items():
        array.validate(full=True)
        assert array.type == FIELDS[name].type
    return {name: array[0].as_py() for name, array in columns.items()}


def error(text: str | bytes) -> str:
    columns, errors = parse(pa.array([line(), text, line()] if isinstance(text, str) else [text]), list(FIELDS))
    row = len(errors) // 2
    assert all(array[row].as_py() is None for array in columns.values())
    assert errors.null_count == len(errors) - 1
    return str(errors[row])


def test_every_field_of_a_line() -> None:
    assert values(line()) == {
        "line_number": 0,
        "photo_id": 6985418911,
        "hash": HASH,
        "user_nsid": "11111111@N00",
        "author": "José R.",
        "taken_at": datetime(2012, 2, 16, 9, 56, 37, tzinfo=UTC),
        "taken": "2012-02-16 09:56:37.0",
        "uploaded_at": datetime(2012, 3, 15, 19, 41, 23, tzinfo=UTC),
        "capture_device": "Canon PowerShot S2",
        "title": 'The "old" pier',
        "description": "two\nlines, 100%",
        "user_tags": ["key west", "sunset, late"],
        "machine_tags": ["geo:lat=1"],
        "longitude": -81.804885,
        "latitude": 24.550558,
        "accuracy": 12,
        "page_url": "http://www.flickr.com/photos/11111111@N00/6985418911/",
        "url": "http://farm8.staticflickr.com/7205/6985418911_df.jpg",
        "license": "cc-by-nc-nd-2.0",
        "license_name": "Attribution-NonCommercial-NoDerivs License",
        "license_url": "http://creativecommons.org/licenses/by-nc-nd/2.0/",
        "server": 7205,
        "farm": 8,
        "secret": "df7747990d",
        "original_secret": "692d7e0a7f",
        "extension": "jpg",
        "media": "photo",
        "attribution": '"The "old" pier" by José R., https://www.flickr.com/photos/11111111@N00/6985418911/, '
        "CC BY-NC-ND 2.0 (https://creativecommons.org/licenses/by-nc-nd/2.0/)",
    }


@pytest.mark.parametrize("without", [(), ("line_number",), ("hash",), ("line_number", "hash")])
def test_lines_of_23_24_and_25_fields(without: tuple[str, ...]) -> None:
    whole = values(line())
    assert values(line(without)) == {name: None if name in without else value for name, value in whole.items()}


def test_forms_may_be_mixed_and_a_hash_may_be_short() -> None:
    texts = [line(), line(("hash",)), line(("line_number",), hash="9f"), line(("line_number", "hash")), None]
    columns, errors = parse(pa.array(texts, pa.binary()), ["line_number", "photo_id", "hash"])
    assert columns["line_number"].to_pylist() == [0, 0, None, None, None]
    assert columns["photo_id"].to_pylist() == [6985418911] * 4 + [None]
    assert columns["hash"].to_pylist() == [HASH, None, "9f", None, None]
    assert errors.null_count == 5


def test_a_hash_of_digits_alone_is_no_photo_id() -> None:
    digits = "12345678901234567890123456789012"
    assert values(line(("line_number",), hash=digits), "photo_id", "hash") == {"photo_id": 6985418911, "hash": digits}


def test_empty_fields_are_null() -> None:
    names = set(FIELDS) - {"line_number", "photo_id", "media", "attribution", "taken_at", "license"}
    found = values(line(**dict.fromkeys(names, "")))
    assert {name for name, value in found.items() if value is not None} == {
        "line_number",
        "photo_id",
        "media",
        "attribution",
    }


@pytest.mark.parametrize(
    "taken", ["null", "2012-02-30 10:00:00.0", "0000-00-00 00:00:00", "0000-01-01 00:00:00.0", "2012", "16.2.2012"]
)
def test_an_impossible_date_is_null_but_its_text_stays(taken: str) -> None:
    found = values(line(taken=taken), "taken", "taken_at")
    assert found == {"taken": None if taken == "null" else taken, "taken_at": None}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("longitude", "181"),
        ("latitude", "-90.1"),
        ("latitude", "nan"),
        ("longitude", "x"),
        ("accuracy", "1000"),
        ("server", "0x1F"),
        ("farm", "-"),
        ("uploaded_at", "99999999999999"),
        ("uploaded_at", "yesterday"),
    ],
)
def test_what_is_no_value_of_its_column_is_null(name: str, text: str) -> None:
    columns, errors = parse(pa.array([line(), line(**{name: text}), line()]), [name])
    assert [value is None for value in columns[name].to_pylist()] == [False, True, False]
    assert errors.null_count == 3


@pytest.mark.parametrize(
    ("url", "name", "code"),
    [
        ("http://creativecommons.org/licenses/by-sa/2.0/", "nonsense", "cc-by-sa-2.0"),
        ("", "Attribution License", "cc-by"),
        ("http://example.org", "Public Domain Mark 1.0", "pdm-1.0"),
        ("", "my own", None),
    ],
)
def test_the_licence_is_reported_by_its_url_else_its_name(url: str, name: str, code: str | None) -> None:
    assert values(line(license_url=url, license_name=name), "license")["license"] == code


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"title": "", "author": ""},
            "Photo by 11111111@N00, https://flic.kr/p, CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/)",
        ),
        (
            {"title": "", "media": "1", "license_url": "", "license_name": "my own"},
            "Video by A, https://flic.kr/p, my own",
        ),
        ({"title": "two%0Alines", "license_url": "", "license_name": "", "page_url": ""}, '"two lines" by A'),
        ({"user_nsid": "", "author": "", "title": "x", "page_url": "", "license_url": ""}, '"x", CC BY'),
    ],
)
def test_the_attribution_names_what_there_is_in_one_line(changes: dict[str, str], text: str) -> None:
    known = {
        "author": "A",
        "page_url": "http://flic.kr/p",
        "license_url": "http://creativecommons.org/licenses/by/2.0/",
        "license_name": "Attribution License",
    }
    assert values(line(**{**known, **changes}), "attribution")["attribution"] == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "blank line"),
        ("  ", "blank line"),
        ("abc", "1 field where 23, 24 or 25 are expected"),
        (line(("line_number", "hash", "farm")), "22 fields where 23, 24 or 25 are expected"),
        (line() + "\t", "26 fields where 23, 24 or 25 are expected"),
        (line(photo_id="abc"), "photo id 'abc' is no number"),
        (line(photo_id=""), "photo id '' is no number"),
        (line(photo_id="1" * 19), "photo id '1111111111111111111' is no number"),
        (line(photo_id="٣"), "photo id '٣' is no number"),
        (line(line_number="x"), "line number 'x' is no number"),
        (line(hash="xyz"), "hash 'xyz' is not hexadecimal"),
        (line(("hash",), title="a\tb"), "user NSID 'Jos%C3%A9+R.' has no '@'"),
        (line(media="2"), "marker '2' is neither 0 (photo) nor 1 (video)"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_line(text: str | bytes, words: str) -> None:
    assert error(text) == words


def test_no_lines_give_columns_of_their_types() -> None:
    columns, errors = parse(pa.array([], pa.binary()), list(FIELDS))
    assert {name: array.type for name, array in columns.items()} == {name: field.type for name, field in FIELDS.items()}
    assert len(errors) == 0
    assert parse(pa.array(["", None]), ["attribution"])[0]["attribution"].null_count == 2


@given(st.lists(st.none() | st.text("aé%+4C3Af9 \0,", max_size=12), max_size=8), st.integers(0, 3))
def test_text_is_decoded_as_the_standard_library_decodes_it(texts: list[str | None], start: int) -> None:
    expected = [None if text is None else unquote_plus(text, errors="replace") for text in texts][start:]
    assert decode(pa.array(texts, pa.string())[start:]).to_pylist() == expected
