"""The step verify in a run: it asks, waits, goes on, and says what it waits for; nothing that people said is lost."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.annotation.asking import CLASSES, labels_of, recipe, write_instructions, write_pool
from tests.annotation.people import fill_csv, fill_label_studio
from tests.calling import call
from tests.run.pools import final_files

from poolwright import api
from poolwright.annotation.exchange.worklist import read_asked
from poolwright.api import Recipe
from poolwright.core.documents import documents_of
from poolwright.core.errors import ChangedError, InputError, RecipeError, WaitingForPeople
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist


def run(made: Recipe, folder: Path, name: str = "run", **options: Any) -> Table:
    return api.run(made, folder / name, workers=1, **options).tables["good"]


def waits(made: Recipe, folder: Path, name: str = "run") -> str:
    """What the run says that it waits for."""
    with pytest.raises(WaitingForPeople) as caught:
        run(made, folder, name)
    return str(caught.value)


def desk(folder: Path, name: str = "run") -> Path:
    return folder / name / "verify" / "good"


def give(folder: Path, name: str, said: dict[str, str], **columns: str) -> Path:
    """Put a file of answers on the desk."""
    path = desk(folder) / "verdicts" / f"{name}.csv"
    head = ",".join(["uid", "verdict", *columns])
    lines = [",".join([uid, word, *columns.values()]) for uid, word in said.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def honest(folder: Path, truth: dict[str, str]) -> dict[str, str]:
    return {uid: "yes" if truth[uid] == label else "no" for uid, label in labels_of(folder).items()}


def expected(folder: Path, truth: dict[str, str], keep: int) -> set[str]:
    """The first true rows of each class and bucket by similarity; ties are left to the caller to exclude."""
    rows = pq.read_table(folder / "rows.parquet").to_pylist()
    kept: set[str] = set()
    for group in {(row["label"], row["bucket"]) for row in rows}:
        true = [row for row in rows if (row["label"], row["bucket"]) == group and truth[row["uid"]] == row["label"]]
        kept |= {row["uid"] for row in sorted(true, key=lambda row: -row["similarity"])[:keep]}
    return kept


def reasons(table: Table) -> dict[str, int]:
    return table.record.funnel[-1].dropped


def untied(folder: Path) -> None:
    """Similarities that are all different."""
    table = pq.read_table(folder / "rows.parquet")
    values = [(row * 37 % table.num_rows) / table.num_rows for row in range(table.num_rows)]
    pq.write_table(table.set_column(3, "similarity", [values]), folder / "rows.parquet")


def test_it_waits_and_goes_on(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    untied(tmp_path)
    made = recipe(tmp_path, bucket="bucket", by="similarity", keep=5)
    message = waits(made, tmp_path)
    assert message.startswith("good: waiting for 72 verdicts on 72 rows\n  of the classes: boat ")
    assert "sheet-1.csv (72 rows)" in message
    assert str(desk(tmp_path) / "verdicts") in message
    sheet = desk(tmp_path) / "sheets" / "sheet-1.csv"
    before = sheet.read_bytes()
    assert waits(made, tmp_path) == message
    sheet.unlink()
    assert waits(made, tmp_path) == message
    assert [path.name for path in sheet.parent.iterdir()] == ["sheet-1.csv"]
    assert sheet.read_bytes() == before
    rows = list(csv.DictReader(io.StringIO(before.decode("utf-8-sig"), newline="")))
    assert {row["uid"] for row in rows} == set(truth)
    assert rows[0]["question"] == f"Does it show: {rows[0]['class']}?"
    give(tmp_path, "ada", honest(tmp_path, truth))
    table = run(made, tmp_path)
    assert set(table.read(["uid"])["uid"].to_pylist()) == expected(tmp_path, truth, 5)
    assert set(reasons(table)) == {"rejected", "not_needed"}
    values = table.state(0).values
    assert (values["verdicts"], values["annotators"], values["kept"]) == (72, 1, table.record.rows_kept)
    assert len(values["files"]) == 1
    assert "by 72 verdicts of 1 person (agree)" in table.record.steps[0].learned
    assert "ada" not in (table.folder / "table.json").read_text() + str(values)


def test_rows_behind_enough_verified_ones_need_no_verdict(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    untied(tmp_path)
    made = recipe(tmp_path, bucket="bucket", by="similarity", keep=2, at_once=3)
    asked = 0
    for number in range(1, 9):
        try:
            table = run(made, tmp_path)
            break
        except WaitingForPeople:
            pairs = read_asked(desk(tmp_path)).pairs
            assert len(pairs) > asked
            asked = len(pairs)
            said = honest(tmp_path, truth)
            give(tmp_path, f"round {number}", {uid: said[uid] for uid, _ in pairs}, annotator="ada")
    assert set(table.read(["uid"])["uid"].to_pylist()) == expected(tmp_path, truth, 2)
    assert asked < len(truth)
    assert reasons(table)["not_needed"] >= len(truth) - asked
    assert "no_verdict" not in reasons(table)
    whole = recipe(tmp_path, bucket="bucket", by="similarity", keep=2)
    waits(whole, tmp_path, "whole")
    (desk(tmp_path, "whole") / "verdicts" / "ada.csv").write_text(
        "uid,verdict\n" + "".join(f"{uid},{word}\n" for uid, word in honest(tmp_path, truth).items())
    )
    assert run(whole, tmp_path, "whole").read(["uid"]).equals(table.read(["uid"]))


def test_classes_that_nobody_is_asked_about_are_kept(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    spared = CLASSES[0]
    waits(recipe(tmp_path, unasked=[spared]), tmp_path)
    asked = read_asked(desk(tmp_path)).pairs
    assert asked
    assert spared not in {name for _, name in asked}
    give(tmp_path, "ada", {uid: "yes" if truth[uid] == name else "no" for uid, name in asked})
    made = run(recipe(tmp_path, unasked=[spared]), tmp_path)
    labels = labels_of(tmp_path)
    kept = set(made.read(["uid"])["uid"].to_pylist())
    assert {uid for uid, label in labels.items() if label == spared} <= kept
    assert all(truth[uid] == labels[uid] for uid in kept if labels[uid] != spared)


def test_half_of_the_answers_are_not_enough_but_for_partial(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, by="similarity")
    waits(made, tmp_path)
    half = dict(list(honest(tmp_path, truth).items())[:30])
    give(tmp_path, "ada", half)
    message = waits(made, tmp_path)
    assert "42 verdicts on 42 rows" in message
    assert "so far: 30 verdicts by 1 person" in message
    assert "sheet-1.csv (42 rows)" in message
    partial = recipe(tmp_path, by="similarity", partial=True)
    with pytest.raises(ChangedError, match=r"step 1 \(verify\).partial: false -> true"):
        run(partial, tmp_path)
    table = run(partial, tmp_path, fresh=["good"])
    assert reasons(table)["no_verdict"] == 42
    assert set(table.read(["uid"])["uid"].to_pylist()) == {uid for uid, word in half.items() if word == "yes"}


def test_an_empty_desk_and_partial_keep_nothing(tmp_path: Path) -> None:
    write_pool(tmp_path)
    table = run(recipe(tmp_path, partial=True), tmp_path)
    assert reasons(table) == {"no_verdict": 72}
    assert not desk(tmp_path).exists()


def test_a_sheet_filled_in_where_it_lies_counts(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path)
    waits(made, tmp_path)
    sheet = desk(tmp_path) / "sheets" / "sheet-1.csv"
    fill_csv(sheet, dict(list(honest(tmp_path, truth).items())[:10]))
    filled = sheet.read_bytes()
    assert "62 verdicts" in waits(made, tmp_path)
    fill_csv(sheet, honest(tmp_path, truth))
    filled = sheet.read_bytes()
    assert run(made, tmp_path).record.rows_kept > 0
    assert sheet.read_bytes() == filled


@pytest.mark.parametrize("rule", ["agree", "majority", "dawid_skene"])
def test_rules_over_two_who_do_not_agree(tmp_path: Path, rule: str) -> None:
    write_pool(tmp_path, 9)
    made = recipe(tmp_path, annotators=2, rule=rule)
    assert "18 verdicts on 9 rows" in waits(made, tmp_path)
    both = dict.fromkeys(labels_of(tmp_path), "yes")
    give(tmp_path, "ada", both)
    assert "9 verdicts on 9 rows" in waits(made, tmp_path)
    give(tmp_path, "ben", {**both, "r000": "no", "r001": "unsure"})
    table = run(made, tmp_path)
    kept = set(table.read(["uid"])["uid"].to_pylist())
    assert kept >= {f"r{row:03d}" for row in range(2, 9)}
    assert ("r000" in kept) == (rule == "dawid_skene")  # where nearly all are positive, one 'no' of two is an error
    assert ("r001" in kept) == (rule == "dawid_skene")  # who is unsure does not vote there
    agreement = table.state(0).values["agreement"]
    assert agreement["rows"] == 8
    assert agreement["pairwise"] == pytest.approx(7 / 8)


def test_careless_people_are_reported_by_number_and_named_in_the_worklist(tmp_path: Path) -> None:
    truth = write_pool(tmp_path, 300)
    made = recipe(tmp_path, annotators=3, rule="majority")
    waits(made, tmp_path)
    careful = [Annotator("ada", 0.02), Annotator("ben", 0.03, 0.02), Annotator("di", 0.02)]
    answer_worklist(desk(tmp_path), [*careful, Annotator("cy", careless=True)], truth)
    table = run(made, tmp_path)
    learned = table.record.steps[0].learned
    assert "of 4 people (majority)" in learned
    assert "careless, or of another understanding: person 3 (" in learned
    assert "person 1" not in learned
    lines = list(csv.DictReader(io.StringIO((desk(tmp_path) / "people.csv").read_text("utf-8-sig"), newline="")))
    assert [line["name"] for line in lines if line["careless"]] == ["cy"]
    assert not any(name in str(table.state(0).values) for name in ("ada", "ben", "cy"))
    right = [truth[row["uid"]] == row["label"] for row in table.read(["uid", "label"]).to_pylist()]
    assert sum(right) / len(right) > 0.97


def test_unknown_rows_and_words_are_errors(tmp_path: Path) -> None:
    write_pool(tmp_path)
    made = recipe(tmp_path)
    waits(made, tmp_path)
    path = give(tmp_path, "ada", {"r001": "yes", "R002": "no", "elsewhere": "yes"})
    with pytest.raises(InputError, match=r"2 verdicts are about rows that are not among the rows that people were"):
        run(made, tmp_path)
    give(tmp_path, "ada", {"r001": "yes", "r002": "perhaps"})
    with pytest.raises(InputError, match=r"ada\.csv: line 3: verdict 'perhaps' is not known"):
        run(made, tmp_path)
    give(tmp_path, "ada", {"r001": "yes"}, **{"class": "zebra"})
    with pytest.raises(
        InputError, match=r"line 2: about the class 'zebra', which nobody was asked about; its class is '"
    ):
        run(made, tmp_path)
    path.unlink()
    (desk(tmp_path) / "verdicts" / "ada.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"ada\.xlsx: verdicts are read from"):
        run(made, tmp_path)
    ignoring = recipe(tmp_path, unknown="ignore", partial=True)
    (desk(tmp_path) / "verdicts" / "ada.xlsx").unlink()
    give(tmp_path, "ada", {"r001": "yes", "elsewhere": "yes"})
    assert run(ignoring, tmp_path, fresh=["good"]).state(0).values["left_out"] == 1


def test_a_finished_table_says_that_it_looks_at_no_more_verdicts(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    recipe(tmp_path)
    assert call("run", "recipe.yaml", "--run", "run", folder=tmp_path).code == 3
    give(tmp_path, "ada", honest(tmp_path, truth))
    assert call("run", "recipe.yaml", "--run", "run", folder=tmp_path).code == 0
    assert "not read" not in call("run", "recipe.yaml", "--run", "run", folder=tmp_path).err
    give(tmp_path, "ben", dict.fromkeys(honest(tmp_path, truth), "no"))
    before = final_files(tmp_path / "run")
    again = call("run", "recipe.yaml", "--run", "run", folder=tmp_path)
    assert "good: finished with earlier verdicts; not read: ben.csv." in again.err
    assert final_files(tmp_path / "run") == before
    fresh = call("run", "recipe.yaml", "--run", "run", "--fresh", "good", folder=tmp_path)
    assert fresh.code == 0
    assert "rows that were not" not in fresh.err
    assert Table(tmp_path / "run/tables/good").state(0).values["annotators"] == 2


def test_the_command_says_how_to_go_on(tmp_path: Path) -> None:
    write_pool(tmp_path)
    recipe(tmp_path)
    assert [one.state for one in api.plan(tmp_path / "recipe.yaml", tmp_path / "my run")] == ["new"]
    called = call("run", "recipe.yaml", "--run", "my run", "--fresh", "good", folder=tmp_path)
    assert (called.code, called.out) == (3, "")
    assert called.err.endswith("  then run again to continue:\n  poolwright run recipe.yaml --run 'my run'\n")
    assert "my run/verify/good/sheets/: sheet-1.csv (72 rows)" in called.err
    assert [one.state for one in api.plan(tmp_path / "recipe.yaml", tmp_path / "my run")] == ["asks"]


def test_why_tells_what_people_said(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path)
    waits(made, tmp_path)
    give(tmp_path, "ada", honest(tmp_path, truth))
    run(made, tmp_path)
    wrong = next(uid for uid, label in labels_of(tmp_path).items() if truth[uid] != label)
    (story,) = api.why(tmp_path / "run", wrong)
    assert story.chapters[-1].dropped == "people say that it is not of its class"
    assert story.chapters[-1].explanation == "is it 'cat'? 1 no"


def test_other_candidates_are_noticed(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path)
    waits(made, tmp_path)
    said = honest(tmp_path, truth)
    labels = labels_of(tmp_path)
    sheet = desk(tmp_path) / "sheets" / "sheet-1.csv"
    fill_csv(sheet, said)
    shutil.copy(sheet, desk(tmp_path) / "verdicts" / "ada.csv")
    sheet.unlink()
    changed = {"r001": "dog", "r002": "dog"}  # r001 was 'cat' and is so; r002 was 'dog' already
    truth = write_pool(tmp_path, 80, labels=changed)
    made = Recipe.load(tmp_path / "recipe.yaml")
    with pytest.raises(ChangedError, match=r"rows\.parquet: content changed"):
        run(made, tmp_path)
    with pytest.raises(WaitingForPeople) as caught:
        run(made, tmp_path, fresh=["good"])
    new = 8 + sum(labels[uid] != label for uid, label in changed.items())
    assert f"{new} verdicts on {new} rows" in str(caught.value)
    message = "changed since they were asked about: 1 row, no longer candidates or now of another class"
    assert message in str(caught.value)
    assert "1 answer is left out" in str(caught.value)
    assert f"sheet-2.csv ({new} rows)" in str(caught.value)
    rows = list(csv.DictReader(io.StringIO((sheet.parent / "sheet-2.csv").read_text("utf-8-sig"), newline="")))
    assert {row["uid"] for row in rows} == {"r001", *(f"r{row:03d}" for row in range(72, 80))}
    give(tmp_path, "ben", {"r001": "no"})
    with pytest.raises(InputError, match=r"ben\.csv: line 2: people were asked about several classes, cat and "):
        run(made, tmp_path)
    fill_csv(sheet.parent / "sheet-2.csv", {**dict.fromkeys((row["uid"] for row in rows), "yes"), "r001": "no"})
    (desk(tmp_path) / "verdicts" / "ben.csv").unlink()
    table = run(made, tmp_path)
    assert table.state(0).values["left_out"] == new - 8
    assert "r001" not in table.read(["uid"])["uid"].to_pylist()


def test_names_of_classes_as_answers(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, answer="class", by="similarity")
    assert "answers: boat, cat, dog, none of them, unsure" in waits(made, tmp_path)
    labels = labels_of(tmp_path)
    give(tmp_path, "ada", {**{uid: truth[uid].upper() for uid in labels}, "r001": "None of them", "r005": "?"})
    table = run(made, tmp_path)
    kept = {uid for uid, label in labels.items() if truth[uid] == label} - {"r001", "r005"}
    assert set(table.read(["uid"])["uid"].to_pylist()) == kept
    assert reasons(table)["unsure"] == 1
    give(tmp_path, "ada", dict.fromkeys(labels, "zebra"))
    with pytest.raises(InputError, match=r"line 2: 'zebra' is not one of the classes .*; and 67 more"):
        run(made, tmp_path, fresh=["good"])


def test_label_studio_and_back(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, format="label_studio", words={"right": "positive", "wrong": "negative"})
    waits(made, tmp_path)
    tasks = desk(tmp_path) / "sheets" / "sheet-1.json"
    config = (desk(tmp_path) / "sheets" / "sheet-1.config.xml").read_text()
    assert 'value="$question"' in config
    assert [f'value="{word}"' in config for word in ("right", "wrong", "unsure")] == [True] * 3
    assert json.loads(tasks.read_text())[0]["data"].keys() == {"uid", "image", "text", "class", "question"}
    words = {uid: {"yes": "right", "no": "wrong"}[word] for uid, word in honest(tmp_path, truth).items()}
    fill_label_studio(tasks, words, desk(tmp_path) / "verdicts" / "export.json")
    assert run(made, tmp_path).record.rows_kept == sum(word == "right" for word in words.values())


def test_another_form_of_sheets_asks_anew_for_what_is_lacking(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    waits(recipe(tmp_path), tmp_path)
    give(tmp_path, "ada", dict(list(honest(tmp_path, truth).items())[:10]))
    other = recipe(tmp_path, format="jsonl")
    with pytest.raises(WaitingForPeople, match=r"62 verdicts on 62 rows(.|\n)*sheet-2\.jsonl \(62 rows\)"):
        run(other, tmp_path, fresh=["good"])
    assert "sheet-2.jsonl (62 rows)" in waits(other, tmp_path)
    assert {path.name for path in (desk(tmp_path) / "sheets").iterdir()} == {"sheet-1.csv", "sheet-2.jsonl"}


def test_files_named_in_the_recipe_may_grow(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, verdicts="ours.csv")
    assert f"or write {tmp_path / 'ours.csv'}" in waits(made, tmp_path)
    lines = [f"{uid},{word}\n" for uid, word in honest(tmp_path, truth).items()]
    (tmp_path / "ours.csv").write_text("uid,verdict\n" + "".join(lines[:5]))
    assert "67 verdicts" in waits(made, tmp_path)
    (tmp_path / "ours.csv").write_text("uid,verdict\n" + "".join(lines))
    table = run(made, tmp_path)
    shutil.rmtree(tmp_path / "run")
    assert run(made, tmp_path).read().equals(table.read())


def test_a_kill_between_sheet_and_note_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path)

    def killed(path: Path, table: pa.Table) -> None:
        assert path.name == "asked.parquet"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("poolwright.annotation.exchange.worklist.write_parquet", killed)
        with pytest.raises(KeyboardInterrupt):
            run(made, tmp_path)
    sheet = desk(tmp_path) / "sheets" / "sheet-1.csv"
    before = sheet.read_bytes()
    waits(made, tmp_path)
    assert [path.name for path in sheet.parent.iterdir()] == ["sheet-1.csv"]
    assert sheet.read_bytes() == before
    (desk(tmp_path) / "asked.parquet").unlink()
    fill_csv(sheet, honest(tmp_path, truth))
    filled = sheet.read_bytes()
    assert "sheet-2.csv (72 rows)" in waits(made, tmp_path)
    assert sheet.read_bytes() == filled
    shutil.copy(sheet, desk(tmp_path) / "verdicts")
    assert run(made, tmp_path).record.rows_kept > 0


def test_a_damaged_note_says_what_to_do(tmp_path: Path) -> None:
    write_pool(tmp_path)
    made = recipe(tmp_path)
    waits(made, tmp_path)
    (desk(tmp_path) / "asked.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"asked\.parquet is damaged.*move the folder"):
        run(made, tmp_path)


def test_two_steps_of_a_table_have_a_desk_each(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, before=[{"verify": {"class": "label"}}], question="Is the {class} sharp?")
    waits(made, tmp_path)
    give(tmp_path, "ada", honest(tmp_path, truth))
    message = waits(made, tmp_path)
    right = sum(word == "yes" for word in honest(tmp_path, truth).values())
    assert f"good.2: waiting for {right} verdicts" in message
    assert (tmp_path / "run/verify/good.2/sheets/sheet-1.csv").exists()
    give(tmp_path, "../../good.2/verdicts/ada", dict.fromkeys(truth, "yes"))
    with pytest.raises(InputError, match="not among the rows"):
        run(made, tmp_path)
    asked = [uid for uid, _ in read_asked(tmp_path / "run/verify/good.2").pairs]
    give(tmp_path, "../../good.2/verdicts/ada", dict.fromkeys(asked, "yes"))
    documents = list(documents_of(run(made, tmp_path)))
    assert [one.name for one in documents] == ["certificate", "certificate-2"], "neither replaces the other"


def test_steps_of_two_kinds_have_a_desk_each(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, before=[{"verify": {"class": "label"}}], verb="selection_frequency")
    waits(made, tmp_path)
    give(tmp_path, "ada", honest(tmp_path, truth))
    assert waits(made, tmp_path).startswith("good.2: waiting for ")


def test_rows_without_class_have_a_reason(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, before=[{"derive": {"label": "case when label = 'dog' then null else label end"}}])
    waits(made, tmp_path)
    give(tmp_path, "ada", {uid: "yes" for uid, label in labels_of(tmp_path).items() if label != "dog"})
    dogs = sum(label == "dog" for label in labels_of(tmp_path).values())
    assert reasons(run(made, tmp_path)) == {"no_group": dogs}
    assert len(truth) == 72


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"rule": "dawid_skene"}, "it needs annotators: 2 or more"),
        ({"probability": 0.9}, "probability is for rule: dawid_skene"),
        ({"class": None, "answer": "class"}, "answer: class needs the column of the class"),
        ({"class": None, "question": "Is it {class}?"}, "no column of the class"),
        ({"class": "similarity"}, "too fine to group by"),
        ({"by": "text"}, "rows cannot be ranked by 'text'"),
        ({"words": {"map": "positiv"}}, "did you mean 'positive'"),
        ({"instructions": "none.md"}, "there is no page of instructions"),
        ({"rule": "majorty"}, "'majority'"),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    write_pool(tmp_path)
    with pytest.raises(RecipeError, match=words):
        api.check(recipe(tmp_path, **parameters))


def test_instructions_are_shown_and_released(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    write_instructions(tmp_path)
    made = recipe(tmp_path, instructions="instructions.md")
    assert f"show people: {desk(tmp_path) / 'instructions/instructions.html'}" in waits(made, tmp_path)
    page = (desk(tmp_path) / "instructions/instructions.html").read_text()
    assert '<h2 id="cat">cat</h2>' in page
    assert "&lt;b&gt;whole&lt;/b&gt;" in page
    give(tmp_path, "ada", honest(tmp_path, truth))
    source = (tmp_path / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(
        source + "  split: {from: good, steps: [{split: {ratios: {train: 0.5, test: 0.5}}}]}\n"
        "releases:\n- {table: split, layout: huggingface, images: none, figures: false, to: out}\n"
    )
    api.run(Recipe.load(tmp_path / "recipe.yaml"), tmp_path / "run")
    released = tmp_path / "out/instructions"
    names = {path.relative_to(released).as_posix() for path in released.rglob("*") if path.is_file()}
    pictures = {f"pictures/{name} {kind}.png" for name in CLASSES for kind in ("positive", "negative")}
    assert names == {"instructions.md", "instructions.html", *pictures}
    assert (released / "instructions.md").read_bytes() == (tmp_path / "instructions.md").read_bytes()
    card = (tmp_path / "out/README.md").read_text()
    assert "[`instructions/`](instructions): the page shown to the people who verified the rows" in card
    assert "Labels were given by a model" not in card
    assert api.verify(tmp_path / "out").ok
    (tmp_path / "pictures/cat positive.png").write_bytes((tmp_path / "pictures/dog positive.png").read_bytes())
    with pytest.raises(ChangedError, match=r"cat positive\.png: content changed"):
        run(made, tmp_path)
    kept = tmp_path / "run/tables/good/documents/instructions/instructions.md"
    kept.write_text("something else")
    shutil.rmtree(tmp_path / "out")
    table = Table(tmp_path / "run/tables/split")
    layout = Recipe.load(tmp_path / "recipe.yaml").releases[0]
    with pytest.raises(InputError, match=r"instructions\.md is missing or changed; make the table again: --fresh good"):
        layout.layout.write(table, tmp_path / "out", layout.about)


def test_workers_batches_and_order_of_rows_change_nothing(tmp_path: Path) -> None:
    kept = []
    for name, options in (("one", {"workers": 1}), ("other", {"workers": 3, "batch_rows": 5})):
        folder = tmp_path / name
        folder.mkdir()
        truth = write_pool(folder)
        table = pq.read_table(folder / "rows.parquet")
        if name == "other":
            table = table.take([(row * 5 + 3) % table.num_rows for row in range(table.num_rows)])
        pq.write_table(table, folder / "rows.parquet", row_group_size=20)
        made = recipe(folder, bucket="bucket", by="similarity", keep=4, at_once=5, annotators=2, rule="majority")
        rounds = 0
        while True:
            try:
                made_table = api.run(made, folder / "run", **options).tables["good"]  # type: ignore[arg-type]
                break
            except WaitingForPeople:
                rounds += 1
                answer_worklist(
                    desk(folder), [Annotator("ada", 0.1), Annotator("bo", 0.1), Annotator("cy", 0.1)], truth
                )
        values = {name: value for name, value in made_table.state(0).values.items() if name != "files"}
        sheets = [path.read_bytes() for path in sorted((desk(folder) / "sheets").iterdir())]
        kept.append((sorted(made_table.read(["uid"])["uid"].to_pylist()), values, rounds, sheets))
    assert kept[0] == kept[1]
    assert kept[0][2] > 1
