"""The view against plain PyArrow over the joined rows."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.inspect.views.world import World, make_world, pool_rows
from tests.run.pools import class_features, make_recipe, write_pool

from poolwright import api
from poolwright.core.errors import InputError, PoolwrightError, RecipeError, StepError
from poolwright.core.rows import Rows
from poolwright.expressions.expression import Expression
from poolwright.inspect.views import build
from poolwright.inspect.views.answers import facet_of
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Among, Between, Contains, Filter, HasOutcome, Picked, Satisfies
from poolwright.inspect.views.comparing import differences
from poolwright.inspect.views.images import values_of
from poolwright.inspect.views.selections import save_selection
from poolwright.inspect.views.view import SHUFFLED, View

SOURCE = ["uid", "text", "continent", "width", "score", "year", "taken_at", "day", "colour"]


def test_every_row_is_there_with_the_values_of_its_source(world: World, view: View) -> None:
    assert (view.rows, view.kept, view.whole) == (3000, world.table.record.rows_kept, True)
    for name in SOURCE:
        found, wanted = view.column(name).take(np.arange(view.rows)), world.rows[name].combine_chunks()
        wanted = wanted.cast(found.type)
        assert found.is_valid().equals(wanted.is_valid())
        nan = pc.is_nan(found) if pa.types.is_floating(found.type) else pa.nulls(len(found), pa.bool_())
        assert pc.if_else(nan, None, found).equals(pc.if_else(nan, None, wanted)), name
    assert view.column(DROPPED_BY).take(np.arange(view.rows)).to_pylist() == world.rows["reason"].to_pylist()
    assert view.column("kind").take(np.arange(9)).to_pylist() == world.rows["kind"].to_pylist()[:9]
    assert np.allclose(view.column("half").take([5, 2999]), world.rows["half"].take([5, 2999]).to_numpy())


def test_what_cheap_steps_gave_is_replayed_for_dropped_rows(world: World, view: View) -> None:
    vectors = np.array(world.rows["embedding"].combine_chunks().values, np.float64).reshape(view.rows, -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # float16 leaves lengths off
    products = vectors @ class_features().T.astype(np.float64)
    labels = [f"class {place}" for place in products.argmax(axis=1)]
    assert view.column("label").take(np.arange(view.rows)).to_pylist() == labels
    assert np.allclose(view.column("similarity").take(np.arange(view.rows)), products.max(axis=1), atol=1e-6)
    splits = view.column("split").take(np.arange(view.rows)).to_pylist()
    assert set(splits[: view.kept]) == {"train", "test"}
    assert set(splits[view.kept :]) == {None}
    assert view.unknown == ()


FILTERS = {
    "all": (Filter(), lambda rows: np.ones(len(rows), bool)),
    "kept": (Filter((HasOutcome(True),)), lambda rows: pc.is_null(rows["reason"])),
    "dropped": (Filter((HasOutcome(False),)), lambda rows: pc.is_valid(rows["reason"])),
    "values": (
        Filter((Among("continent", ("Asia", "Südamerika", "nowhere")),)),
        lambda rows: pc.is_in(rows["continent"], pa.array(["Asia", "Südamerika"])),
    ),
    "no value": (
        Filter((Among("year", (None, "2003")),)),
        lambda rows: pc.or_(pc.is_null(rows["year"]), pc.fill_null(pc.equal(rows["year"], 2003), False)),
    ),
    "boolean": (Filter((Among("colour", ("true",)),)), lambda rows: pc.fill_null(rows["colour"], False)),
    "range": (
        Filter((Between("score", -0.5, 0.25),)),
        lambda rows: _true(pc.and_(pc.greater_equal(rows["score"], -0.5), pc.less_equal(rows["score"], 0.25))),
    ),
    "times": (
        Filter((Between("taken_at", 10**15 + 10**13, None),)),
        lambda rows: pc.greater_equal(rows["taken_at"], pa.scalar(10**15 + 10**13, pa.timestamp("us"))),
    ),
    "days": (
        Filter((Between("day", 100, 200),)),
        lambda rows: pc.and_(
            pc.greater_equal(rows["day"], pa.scalar(date(1970, 4, 11))), pc.less_equal(rows["day"], date(1970, 7, 20))
        ),
    ),
    "where": (
        Filter((Satisfies("width > 1000 and (score < 0 or colour)"),)),
        lambda rows: _true(
            pc.and_kleene(pc.greater(rows["width"], 1000), pc.or_kleene(pc.less(rows["score"], 0), rows["colour"]))
        ),
    ),
    "words": (
        Filter((Contains("NR. 12", ("text",)),)),
        lambda rows: _true(pc.match_substring(rows["text"], "Nr. 12")),
    ),
    "together": (
        Filter((HasOutcome(False), Among("continent", ("Asia",)), Between("width", None, 2000))),
        lambda rows: pc.and_(
            pc.is_valid(rows["reason"]),
            pc.and_(pc.equal(rows["continent"], "Asia"), pc.less_equal(rows["width"], 2000)),
        ),
    ),
}


def _true(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(values, False)


def _plain(rows: pa.Table, name: str) -> np.ndarray:
    return np.asarray(FILTERS[name][1](rows)).astype(bool)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_find_what_pyarrow_finds(name: str, world: World, view: View) -> None:
    chosen, wanted = FILTERS[name][0], _plain(world.rows, name)
    assert view.rows_of(chosen).tolist() == wanted.tolist()
    assert view.count(chosen).rows == wanted.sum()
    assert view.count(chosen).kept == wanted[: view.kept].sum()
    assert list(view.uids(chosen)) == world.rows.filter(pa.array(wanted))["uid"].to_pylist()


@pytest.mark.parametrize("name", ["all", "together", "no value"])
@pytest.mark.parametrize("facet", ["continent", "year", "colour", "kind", DROPPED_BY])
def test_facets_count_as_group_by_does(name: str, facet: str, world: World, view: View) -> None:
    chosen = FILTERS[name][0]
    own = chosen.without(lambda clause: isinstance(clause, Among) and clause.column == facet)
    rows = world.rows.filter(pa.array(view.rows_of(own)))
    values = rows["reason" if facet == DROPPED_BY else facet].to_pylist()
    wanted = Counter(
        str(value).lower() if isinstance(value, bool) else None if value is None else str(value) for value in values
    )
    found = view.facet(facet, chosen, most=99)
    assert {value.name: value.rows for value in found.values if value.rows} == wanted
    assert found.distinct == len(wanted)
    assert [value.rows for value in found.values if not value.chosen] == sorted(
        (value.rows for value in found.values if not value.chosen), reverse=True
    )


def test_values_of_equal_counts_come_in_order(tmp_path: Path) -> None:
    view = make_world(tmp_path, pool_rows(5), steps=[]).view()
    assert [value.name for value in view.facet("kind").values] == ["k0", "k1", "k2", "k3", "k4"]
    found = facet_of("year", [None, "10", "9", "-2", "x", "²"], np.ones(6, np.int64), set(), 9, "")
    assert [value.name for value in found.values] == [None, "-2", "9", "10", "x", "²"]


def test_facets_can_be_looked_through(view: View) -> None:
    found = view.facet("label", most=3, like="CLASS 1")
    assert {value.name for value in found.values} <= {"class 1", "class 10", "class 11"}
    chosen = Filter((Among("label", ("class 9",)),))
    assert {value.name for value in view.facet("label", chosen, most=1).values} == {"class 0", "class 9"}
    assert [value.chosen for value in view.facet("label", chosen, most=1).values] == [False, True]


@pytest.mark.parametrize("sort", ["score", "width", "taken_at", "colour", "year"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("unsorted", [0, 700, 20_000])
def test_pages_are_sorted_as_pyarrow_sorts(
    sort: str, descending: bool, unsorted: int, world: World, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolwright.inspect.views.view._FIRST_ROWS", unsorted)
    chosen = FILTERS["dropped"][0]
    rows = world.rows.append_column("at", pa.array(np.arange(view.rows))).filter(_plain(world.rows, "dropped"))
    key = rows[sort]
    if sort == "score":
        rows = rows.set_column(rows.schema.get_field_index(sort), sort, pc.if_else(pc.is_nan(key), None, key))
    order = "descending" if descending else "ascending"
    valid = rows.filter(pc.is_valid(rows[sort])).sort_by([(sort, order), ("at", order)])
    wanted = valid["at"].to_pylist() + rows.filter(pc.is_null(rows[sort]))["at"].to_pylist()
    found, start = [], 0
    while start < len(wanted):
        page = view.page(chosen, sort, descending, start, 333)
        assert page.rows == len(wanted)
        found += page.positions
        start += 333
    assert found == wanted


def test_pages_without_an_order_come_as_the_rows_are(world: World, view: View) -> None:
    wanted = np.flatnonzero(_plain(world.rows, "values")).tolist()
    chosen = FILTERS["values"][0]
    assert list(view.page(chosen, start=100, size=300).positions) == wanted[100:400]
    assert view.page(chosen, start=10**6).positions == ()
    shuffled = [view.page(chosen, SHUFFLED, start=start, size=500).positions for start in range(0, len(wanted), 500)]
    assert sorted(place for page in shuffled for place in page) == wanted
    assert list(shuffled[0]) != wanted[:500]


def test_histograms_count_as_numpy_does(world: World, view: View) -> None:
    found = view.histogram("score", Filter(), bins=20)
    for counts, mine in ((found.kept, slice(0, view.kept)), (found.dropped, slice(view.kept, None))):
        values = np.array(world.rows["score"].to_numpy())[mine]
        values = values[np.isfinite(values)]
        places = np.clip(((values - found.low) / (found.high - found.low) * 20).astype(int), 0, 19)
        assert list(counts) == np.bincount(places, minlength=20).tolist()
    assert (found.low, found.high) == (-1.0, 1.0)


def test_no_answer_depends_on_chunks_or_parts(world: World, view: View, tmp_path: Path) -> None:
    other = make_world(tmp_path, pool_rows(), parts=1).view(chunk_rows=1 << 18)
    for chosen, _ in FILTERS.values():
        assert sorted(other.uids(chosen)) == sorted(view.uids(chosen))
        assert other.facet("label", chosen) == view.facet("label", chosen)
        assert other.histogram("width", chosen) == view.histogram("width", chosen)
        pages = [one.read(one.page(chosen, SHUFFLED).positions, ["uid"]) for one in (other, view)]
        assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "name", ["values", "no value", "boolean", "range", "times", "days", "where", "words", "together"]
)
def test_a_filter_is_a_step(name: str, world: World, view: View, tmp_path: Path) -> None:
    expression = FILTERS[name][0].sql(view)
    assert expression is not None
    shutil.copytree(world.folder / "rows", tmp_path / "rows")
    made = api.run(make_recipe(tmp_path, [{"where": expression}]), tmp_path / "run").tables["chosen"]
    wanted = world.rows.filter(_plain(world.rows, name))
    if name == "together":  # what was dropped is no part of a step
        wanted = world.rows.filter(
            view.rows_of(FILTERS[name][0].without(lambda clause: isinstance(clause, HasOutcome)))
        )
    assert sorted(made.read(["uid"])["uid"].to_pylist()) == sorted(wanted["uid"].to_pylist())


@pytest.mark.parametrize(
    "clause",
    [
        *(
            Between("similarity", low, high)
            for low, high in [(0.3, None), (None, 0.7), (0.1234567891234, 0.3000000119)]
        ),
        *(Between("score", low) for low in (0.42, -0.07, 1e-9, 0.30000000000000004, 1e-300)),
        *(Between("half", low) for low in (0.54, 0.5402)),
        *(Between("width", low) for low in (1000, 1000.5)),
        Between("taken_at", 10**15 + 1, 10**15 + 10**13 + 7),
        *(Contains(words, ("text", "continent")) for words in ("nr. 1", "NR", "N.*", "ſ", "S", "ü", "(", "\\", "'")),
        Among("kind", ("k1", None)),
    ],
)
def test_a_clause_is_its_expression(clause: Among | Between | Contains, view: View) -> None:
    expression = clause.sql(view)
    assert expression is not None
    assert view.rows_of(Filter((clause,))).tolist() == view.rows_of(Filter((Satisfies(expression),))).tolist()


@pytest.mark.parametrize("name", ["similarity", "half"])
def test_a_bound_has_the_precision_of_its_column(name: str, view: View) -> None:
    value = view.column(name).take([7]).to_numpy()[0]
    found = view.rows_of(Filter((Between(name, float(str(value)), float(str(value))),)))
    assert found[7]


def test_rows_are_read_with_all_their_values(world: World, view: View) -> None:
    for position in (0, view.kept - 1, view.kept, view.rows - 1):
        values, wanted = values_of(view, position), world.rows.slice(position, 1).to_pylist()[0]
        assert (values["uid"], values["tags"]) == (wanted["uid"], wanted["tags"])
        assert values["embedding"] == "vector of 16"
        assert values[DROPPED_BY] == wanted["reason"]
    assert view.read([3], ["day"])[0]["day"] == world.rows["day"][3].as_py()
    assert isinstance(view.read([3], ["day"])[0]["day"], date)
    assert isinstance(view.read([3], ["taken_at"])[0]["taken_at"], datetime)
    assert view.positions_of([world.rows["uid"][2500].as_py(), "not there"]) == [2500]


def test_selections_are_kept_and_are_lists_for_remove(world: World, view: View, tmp_path: Path) -> None:
    name = save_selection(view.folder, [7, 3, 2999, 7], view.rows)
    assert save_selection(view.folder, (3, 7, 2999), view.rows) == name
    chosen = Filter((Picked(name),))
    assert (view.count(chosen).rows, chosen.sql(view)) == (3, None)
    shutil.copytree(world.folder / "rows", tmp_path / "rows")
    (tmp_path / "uids.txt").write_text("".join(f"{uid}\n" for uid in view.uids(chosen)))
    made = api.run(make_recipe(tmp_path, [{"remove": {"file": "uids.txt"}}]), tmp_path / "run").tables["chosen"]
    assert set(view.uids()) - set(made.read(["uid"])["uid"].to_pylist()) == set(view.uids(chosen))
    for wrong in ("../../secret", "0" * 16):
        with pytest.raises(InputError, match="select again"):
            view.count(Filter((Picked(wrong),)))
    with pytest.raises(InputError, match="do not exist"):
        save_selection(view.folder, [3000], view.rows)
    with pytest.raises(InputError, match="nothing is selected"):
        save_selection(view.folder, [], view.rows)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (Filter((Among("continnt", ("Asia",)),)), "did you mean 'continent'"),
        (Filter((Among("text", ("x",)),)), "too many different values"),
        (Filter((Between("continent", 0, 1),)), "no ranges"),
        (Filter((Satisfies("width +"),)), "width"),
        (Filter((Satisfies("width + 1"),)), "not true or false"),
        (Filter((Satisfies("1 = 1"),)), "names no column"),
        (Filter((Satisfies("widht > 3"),)), "did you mean 'width'"),
        (Filter((Contains("x", ("width",)),)), "not text"),
    ],
)
def test_errors_say_what_to_do(chosen: Filter, words: str, view: View) -> None:
    with pytest.raises(PoolwrightError, match=words):
        view.count(chosen)


def test_an_expensive_expression_sees_few_rows_at_a_time(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, values, seconds_per_row = list[int](), Expression.values, 0.0

    def noted(self: Expression, rows: Rows) -> pa.Array:
        seen.append(len(rows))
        time.sleep(seconds_per_row * len(rows))
        return values(self, rows)

    monkeypatch.setattr(Expression, "values", noted)
    assert 0 < view.count(Filter((Satisfies("width >= 3"),))).rows <= sum(seen) == view.rows
    assert max(seen) > 64
    seen.clear()
    seconds_per_row, view.seconds = 0.005, 0.5
    try:
        with pytest.raises(StepError, match=r"took more than 0\.5 seconds and was interrupted"):
            view.count(Filter((Satisfies("width >= 4"),)))
    finally:
        view.seconds = None
    assert seen[0] == 64
    assert max(seen[1:]) < 64
    assert sum(seen) < view.rows


def test_a_table_that_is_made_anew_is_read_anew(tmp_path: Path) -> None:
    world = make_world(tmp_path, pool_rows(400))
    before = View(world.run, "chosen")
    api.run(make_recipe(tmp_path, [{"where": "width > 2000"}]), tmp_path / "run", fresh=["chosen"])
    after = api.explore(tmp_path / "run")
    assert after.digest != before.digest
    assert after.kept == world.run.table("chosen").record.rows_kept
    assert api.explore(tmp_path / "run", "chosen").count() == after.count()
    with pytest.raises(RecipeError, match="chosen"):
        api.explore(tmp_path / "run", "chosn")


@pytest.mark.parametrize(("rows", "steps"), [(1, []), (40, [{"where": "width < 0"}]), (40, [])])
def test_tables_of_few_rows(rows: int, steps: list[dict], tmp_path: Path) -> None:
    view = make_world(tmp_path, pool_rows(rows), parts=1, steps=steps).view()
    assert (view.rows, view.kept) == (rows, 0 if steps else rows)
    assert view.page(sort="score").rows == rows
    assert sum(value.rows for value in view.facet("continent").values) == rows
    assert view.count(Filter((HasOutcome(True),))).rows == view.kept


def test_rows_that_were_not_admitted_are_there(tmp_path: Path) -> None:
    rows = pool_rows(50)
    uids = rows["uid"].to_pylist()
    uids[3], uids[7] = None, uids[2]
    write_pool(tmp_path, rows.set_column(0, "uid", pa.array(uids)), parts=2)
    tables = {"chosen": {"from": "rows", "steps": [], "max_bad": "10%"}}
    api.run(make_recipe(tmp_path, tables=tables), tmp_path / "run")
    view = api.explore(tmp_path / "run")
    found = view.read(range(48, 50), ["uid", DROPPED_BY, "text"])
    assert [row["uid"] for row in found] == [None, uids[2]]
    assert [row[DROPPED_BY] for row in found] == ["read: no uid", "read: an earlier row has the same uid"]
    assert list(view.uids(Filter((HasOutcome(False),)))) == [None, uids[2]]
    assert len(view.page(sort=SHUFFLED).positions) == 50
    assert len(view.positions_of([uids[2]])) == 2


def test_a_ledger_of_counts_shows_the_kept_rows(tmp_path: Path) -> None:
    recipe = {"tables": {"chosen": {"from": "rows", "steps": [{"where": "width > 900"}], "ledger": "counts"}}}
    world = make_world(tmp_path, pool_rows(300), steps=[])
    api.run(make_recipe(tmp_path, **recipe), tmp_path / "counts")
    view = api.explore(tmp_path / "counts")
    assert view.rows == view.kept < 300
    assert not view.whole
    assert world.table.record.rows_in == 300


def test_of_too_many_rows_whole_parts_are_drawn(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_ROWS", 700)
    view = make_world(tmp_path, parts=12).view()
    assert not view.whole
    assert 0 < view.rows - view.kept <= 700  # parts of the source; the kept rows of so few are one part
    assert set(view.uids()) < set(world.rows["uid"].to_pylist())
    drawn = build._drawn([300] * 10, [str(part) for part in range(10)], key=1)
    assert sum(drawn) == 2
    assert drawn == build._drawn([300] * 10, [str(part) for part in range(10)], key=1)
    assert build._drawn([900, 900], ["a", "b"], key=1).count(True) == 1


def test_a_source_that_shrank_is_told(tmp_path: Path) -> None:
    world = make_world(tmp_path, pool_rows(300), parts=1, steps=[{"where": "width > 900"}])
    write_pool(tmp_path, pool_rows(100), parts=1)
    with pytest.raises(PoolwrightError, match="changed since the run"):
        View(world.run, "chosen")


def test_groups_differ_as_scipy_says(world: World, view: View) -> None:
    from scipy.stats import ks_2samp

    first, second = (
        Filter((Among("continent", ("Asia",)),)),
        Filter((HasOutcome(False), Among("continent", ("Europe",)))),
    )
    found = {one.column: one for one in differences(view, first, second)}
    assert {"continent", DROPPED_BY} & set(found) == set()
    values = [np.array(world.rows["width"])[view.rows_of(chosen)] for chosen in (first, second)]
    assert found["width"].distance == pytest.approx(ks_2samp(*values).statistic, abs=0.03)
    kinds = [
        Counter(np.array(world.rows["kind"].cast(pa.string()))[view.rows_of(chosen)]) for chosen in (first, second)
    ]
    shares = [{kind: count / sum(one.values()) for kind, count in one.items()} for one in kinds]
    assert found["kind"].distance == pytest.approx(sum(abs(shares[0][k] - shares[1][k]) for k in shares[0]) / 2)
    assert [one.distance for one in differences(view, first, second)] == sorted(
        (one.distance for one in differences(view, first, second)), reverse=True
    )
    assert all(one.distance == 0 for one in differences(view, first, first))
