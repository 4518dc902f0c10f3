"""Lists of rows and the text of recipes, as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import InputError, RecipeError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.texts.yaml_text import load
from poolwright.steps.choose import listed as listed_step
from poolwright.steps.choose.keep import Keep
from poolwright.steps.choose.listed import ListedStep
from poolwright.steps.choose.remove import Remove
from tests.calling import Called, call
from tests.packing import pack

HEX = [f"{number:032x}" for number in range(0xA0, 0xA4)]


def listed(step: ListedStep, values: pa.Array) -> tuple[list[object], str]:
    """The rows that the step leaves, and what it says of its list."""
    table = pa.table({step.by: values})
    step.gives(table.schema)
    state = step.fit(MemoryFrame(table, cuts=(1,)), Context())
    drop = step.apply(Rows(table), state).drop
    assert drop is not None
    return table.filter(pa.array(drop == 0)).column(0).to_pylist(), step.learned(state)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("capitals.txt", "".join(f"{one.upper()}\n" for one in HEX[:2])),
        ("prefix.txt", "".join(f"0x{one}\n" for one in HEX[:2])),
        ("blanks.txt", f'{HEX[0]}\t\n "{HEX[1]}" \n\n'),
        ("sheet.csv", f"\ufeffUID;why\n{HEX[0]};a,b\n{HEX[1]};c\n"),
        ("tabs.tsv", f"why\tuid\nx\t{HEX[0]}\ny\t{HEX[1]}\n"),
        ("no-header.csv", f"{HEX[0]}\n{HEX[1]}\n"),
        ("other-name.csv", f"identifier\n{HEX[0]}\n{HEX[1]}\n"),
        ("lines.jsonl", "".join(json.dumps({"uid": one, "n": 1}) + "\n" for one in HEX[:2])),
        ("plain.json", json.dumps(HEX[:2])),
    ],
)
def test_a_list_of_another_form_names_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    left, words = listed(Remove(file=str(tmp_path / name)), pa.array(HEX))
    assert left == HEX[2:]
    assert words == "a list of 2 entries of uid"


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_packed_lists_name_the_same_rows(tmp_path: Path, ending: str) -> None:
    np.save(tmp_path / "plain.npy", np.array([(0, 0xA0), (0, 0xA1)], dtype="u8,u8"))
    packed = pack(ending, (tmp_path / "plain.npy").read_bytes())
    (tmp_path / f"ids.npy.{ending}").write_bytes(packed)
    (tmp_path / f"ids.json.{ending}").write_bytes(pack(ending, json.dumps(HEX[:2]).encode()))
    for name in ("npy", "json"):
        assert listed(Keep(file=str(tmp_path / f"ids.{name}.{ending}")), pa.array(HEX))[0] == HEX[:2]
    (tmp_path / f"cut.npy.{ending}").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=rf"cut\.npy\.{ending}: cannot be read: the packed data is damaged or cut off"):
        listed(Remove(file=str(tmp_path / f"cut.npy.{ending}")), pa.array(HEX))


def test_bytes_and_pairs_of_integers_are_hexadecimal_uids(tmp_path: Path) -> None:
    raw, pairs = tmp_path / "raw.parquet", tmp_path / "pairs.npy"
    pq.write_table(pa.table({"uid": pa.array([bytes.fromhex(one) for one in HEX[:2]], pa.binary(16))}), raw)
    np.save(pairs, np.array([(0, 0xA0), (0, 0xA1)], dtype="u8,u8"))
    for file in (raw, pairs):
        assert listed(Keep(file=str(file)), pa.array(HEX))[0] == HEX[:2]


def test_integers_as_spreadsheets_write_them(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("line\n2.0\n007\n40\n")
    left, words = listed(Keep(file=str(tmp_path / "rows.csv"), by="number"), pa.array([1, 2, 7]))
    assert left == [2, 7]
    assert words == "a list of 3 entries of number; 1 of 3 entries met no row: '40'"


def test_urls_differ_in_their_spelling_alone() -> None:
    rows = [
        "http://farm3.staticflickr.com/8/a_b.jpg",
        "http://e.org:80/b.png",
        "https://e.org/c?id=1",
        "http://e.org/d",
    ]
    ids = ["https://live.staticflickr.com/8/a_b.jpg", "HTTPS://E.org/b.png?w=9#x", "https://e.org/c?id=2"]
    left, words = listed(Remove(ids=ids, by="url"), pa.array(rows))
    assert left == rows[2:]
    assert words.endswith("1 of 3 entries met no row: '//e.org/c?id=2'")


def test_rows_that_come_close_to_an_entry_without_a_row_are_named() -> None:
    uids = ["pond/0042.jpg", "Stra\u00dfe 1", "17", "x"]
    ids = ["0042", " stra\u00dfe-1", "0017", "y"]
    assert listed(Keep(ids=ids), pa.array(uids))[1].endswith(
        "4 of 4 entries met no row: '0017' (a row has '17'), '0042' (a row has 'pond/0042.jpg'), "
        "'stra\u00dfe-1' (a row has 'Stra\u00dfe 1'), 'y'"
    )
    table = pa.table({"uid": ["17", "18"], "url": ["http://a.org/p/c.png", None]})
    state = Remove(ids=["https://b.org/p/c.png", "18"], by="url").fit(MemoryFrame(table, cuts=(1,)), Context())
    assert state.values["words"] == (
        "2 of 2 entries met no row: '//b.org/p/c.png' (a row has 'http://a.org/p/c.png'), '18' (a uid, not a url)"
    )


def test_entries_are_not_compared_with_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_step, "_COMPARED", 1)
    assert listed(Keep(ids=["0017"]), pa.array(["17", "18"]))[1].endswith("1 of 1 entry met no row: '0017'")


def test_entries_without_rows_are_errors_if_the_list_is_strict() -> None:
    with pytest.raises(InputError, match=r"keep: 1 of 2 entries met no row: 'q'; correct the list"):
        listed(Keep(ids=["p", "q"], strict=True), pa.array(["p"]))


def test_the_only_column_of_another_name_without_a_row_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "why.csv").write_text("note\nsent a letter\n")
    with pytest.raises(InputError, match="has no column 'uid', and no entry of its only column 'note'"):
        listed(Remove(file=str(tmp_path / "why.csv")), pa.array(["p"]))


def check(folder: Path, text: str) -> Called:
    (folder / "rows.csv").write_text("uid,n\na,1\n")
    (folder / "r.yaml").write_text(text)
    return call("check", "r.yaml", folder=folder)


def recipe(steps: str, more: str = "") -> str:
    pools = "pools: {p: {read: table, path: rows.csv}}\n"
    return f"recipe: 1\nname: r\n{pools}tables:\n  t: {{from: p, steps: {steps}}}\n{more}"


def test_ids_that_yaml_reads_as_something_else_need_quotes(tmp_path: Path) -> None:
    found = check(tmp_path, recipe("[remove: {ids: [007, on, 2020-01-02]}]"))
    assert found.code == 2
    lines = found.err.splitlines()
    assert [line.partition("ids")[2].partition(";")[0] for line in lines] == [
        "[0]: 007 is the number 7 in YAML",
        "[1]: on is a truth value in YAML, and a text is expected",
        "[2]: 2020-01-02 is a date in YAML, and a text is expected",
    ]
    assert "write ids in quotes: '7'" in check(tmp_path, recipe("[keep: {ids: [7]}]")).err
    assert check(tmp_path, recipe("[keep: {ids: [7], by: n}]")).code == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2021-02-31\n", 2),
        ("a: 1\n? [b, c]\n: 2\n", 2),
        ("a: &x [*x]\n", 1),
        ("a: &x {b: *x}\n", 1),
        ("a: " + "[" * 300, 1),
        (
            "a: &a [1, 1, 1, 1]\n"
            + "".join(f"{two}: &{two} [{f'*{one}, ' * 20}]\n" for one, two in ("ab", "bc", "cd", "de")),
            5,
        ),
        ("a: 1\nb: \x01\n", 2),
        ("a: !!timestamp x\n", 1),
        ("a: !!bool x\n", 1),
        ("a: 1\na: 2\n", 2),
        ("a: 1:30\n", 1),
    ],
)
def test_yaml_that_is_wrong_is_one_error_with_its_line(text: str, line: int) -> None:
    with pytest.raises(RecipeError) as caught:
        load(text, "x.yaml")
    assert str(caught.value).startswith(f"x.yaml:{line}: ")
    assert "\n" not in str(caught.value)


def test_a_recipe_of_broken_yaml_ends_without_a_traceback(tmp_path: Path) -> None:
    found = check(tmp_path, recipe("[]", "variables: {day: 2023-02-29}\n"))
    assert found.code == 2
    (line,) = found.err.splitlines()
    assert line.startswith("error: r.yaml:6: variables.day: 2023-02-29 is not a valid timestamp of YAML; ")


def test_check_reports_all_mistakes_at_once(tmp_path: Path) -> None:
    more = "  u:\n    from: p\n    steps:\n      - where: m > 1\n      - top: {by: k, n: 1}\n"
    more += "releases:\n  - {table: w, layout: huggingfaces, to: out}\nsede: 1\n"
    found = check(tmp_path, recipe("[sizes, cap: {groups: n, n: 1}]", more))
    assert found.code == 2
    wanted = ["sede", "sizes", "groups", "column 'm'", "column 'k'", "no table 'w'", "huggingfaces"]
    lines = found.err.splitlines()
    assert [name for name in wanted if not any(name in line for line in lines)] == []
    assert all(line.startswith("error: r.yaml:") for line in lines)
    assert len(lines) == len(wanted)


def test_check_goes_on_after_wrong_steps_and_tables(tmp_path: Path) -> None:
    """Columns that a wrong step would have given are not missed; misspelt ones are found behind it, too."""
    (tmp_path / "rows.csv").write_text("uid,width,label\na,3,cat\nb,4,dog\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    (tmp_path / "r.yaml").write_text(
        """recipe: 1
name: r
seed: 1
pools:
  rows: {read: table, path: rows.csv}
tables:
  one:
    from: rows
    steps:
      - where: widht >= 3
      - cap: {group: [labell], n: 5}
      - derive: {area: width * wdth}
      - where: area > 3
      - derive: {twice: 2 * width, thrice: 3 *}
      - where: twice > 3 and lable = 'cat'
      - where: twice > 3
  two:
    from: one
    steps:
      - where: widths > 3
      - where: twice > 3
releases:
  - {table: one, layout: parquets, to: out/one}
  - {table: two, layout: huggingface, images: none, to: taken}
  - {table: two, layout: huggingface, images: none, to: out/two}
  - {table: two, layout: huggingface, images: none, to: out/two/more}
"""
    )
    called = call("check", "r.yaml", folder=tmp_path)
    lines = {int(line.split(":")[2]): line for line in called.err.splitlines()}
    assert called.code == 2
    assert sorted(lines) == [10, 11, 12, 14, 15, 20, 23, 24, 26]
    for number, words in {
        10: "did you mean 'width'?",
        11: "did you mean 'label'?",
        12: "'derive' needs the column 'wdth', which no step before it gives; did you mean 'width'?",
        15: "'lable', which no step before it gives; did you mean 'label'?",
        20: "'widths', which no step before it gives; did you mean 'width'?",
        24: "the folder holds what is not a release",
        26: "another release is written to",
    }.items():
        assert words in lines[number]
    called = call("run", "r.yaml", "--set", "tables.one.steps=[]", "--set", "tables.two.steps=[]", folder=tmp_path)
    assert (called.code, (tmp_path / "runs").exists()) == (2, False)


def test_a_quote_that_is_never_closed_hides_no_entries(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text('uid;why\na;"asked in May\nb;\nc;\n')
    with pytest.raises(InputError, match=r"gone\.csv: line 2: a quote mark opens a value that is never closed"):
        listed(Remove(file=str(tmp_path / "gone.csv")), pa.array(["a", "b"]))
