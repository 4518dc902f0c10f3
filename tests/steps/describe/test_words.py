"""words: counts as Python makes them, and entities by the first synset of each word as nltk finds it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError
from tests.conformance.wordnet import NOUNS, nltk_wordnet, write_wordnet

from poolwright.core.errors import RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.models.texts.wordnet import WordNet
from poolwright.steps.describe.texts.words import TextWords

TEXTS = ["two dogs\u00a0ran", "", " \u3000\n", None, "犬 猫", "ein 🐕"]


def described(texts: list[str | None], **parameters: object) -> dict[str, list[object]]:
    table = pa.table({"uid": [str(row) for row in range(len(texts))], "text": pa.array(texts, pa.string())})
    step = TextWords.model_validate({"of": "text", **parameters})
    step.check_files(table.schema)
    columns = step.apply(Rows(table), step.fit(MemoryFrame(table), Context())).columns
    assert list(columns) == [field.name for field in step.gives(table.schema)]
    return {name: values.to_pylist() for name, values in columns.items()}


def test_words_and_characters_are_those_of_python() -> None:
    found = described(TEXTS)
    assert found["words"] == [3, 0, 0, None, 2, 2]
    assert found["characters"] == [len(text) if text is not None else None for text in TEXTS]


def test_the_first_synset_of_a_word_decides(tmp_path: Path) -> None:
    offsets = write_wordnet(tmp_path / "wordnet")
    wanted = [f"n{offsets['dog.n'][0]:08d}", f"n{offsets['bank.n'][1]:08d}", f"n{offsets['run.v'][0]:08d}"]
    (tmp_path / "synsets.txt").write_text("\n".join(wanted) + "\n")
    texts = ["red Dogs ran", "a dog, red", "banks", "it runs", "she ran", "ships bark", None, "barking"]
    found = described(texts, synsets=str(tmp_path / "synsets.txt"), wordnet=str(tmp_path / "wordnet"))
    # "run" is a noun first, and "bank" the slope first; "ran" is the verb alone, and only its offset is compared.
    assert found["entity"] == ["Dogs", None, None, None, "ran", None, None, None]


def test_first_senses_are_those_of_nltk(tmp_path: Path) -> None:
    """On forms that endings make of the lemmas, and of the exceptions."""
    write_wordnet(tmp_path)
    theirs, ours = nltk_wordnet(tmp_path), WordNet(tmp_path)
    endings = ["", "s", "es", "ses", "xes", "ies", "ed", "ing", "er", "est", "men", ",", "'s"]
    stems = ["dog", "ship", "bank", "run", "bark", "red", "ox", "oxen", "ran", "man", "sky", "sk", "box", "bo", "x"]
    found = {}
    for word in [stem + ending for stem in stems for ending in endings] + ["BOXES", "Ran"]:
        synsets = theirs.synsets(word)
        found[word] = (ours.first(word), synsets[0].offset() if synsets else -1)
    other = {word: pair for word, pair in found.items() if pair[0] != pair[1]}
    # Later versions of nltk than that of DataComp detach one ending alone.
    assert other.keys() == {f"{stem}ses" for stem in stems if stem in {*NOUNS, "bark"}}
    assert all(offset == -1 for _, offset in other.values())


def test_what_is_missing_or_no_wordnet_is_named(tmp_path: Path) -> None:
    write_wordnet(tmp_path / "wordnet")
    (tmp_path / "synsets.txt").write_text("n00000079\n")
    names = {"synsets": str(tmp_path / "synsets.txt"), "wordnet": str(tmp_path / "wordnet")}
    with pytest.raises(ValidationError, match="synsets and wordnet go together"):
        TextWords(of="text", synsets=names["synsets"])
    (tmp_path / "words.txt").write_text("dog\n")
    with pytest.raises(RecipeError, match="has 'dog', which is no WordNet id such as n02084071"):
        described(["a"], **{**names, "synsets": str(tmp_path / "words.txt")})
    (tmp_path / "wordnet" / "index.adv").write_text("  1 copyright\nnot\n")
    with pytest.raises(RecipeError, match=r"index.adv:2: this is no line of WordNet's index"):
        described(["a"], **names)
    (tmp_path / "wordnet" / "index.noun").unlink()
    with pytest.raises(StepError, match=r"there is no file .*index.noun; `python -m nltk.downloader wordnet`"):
        described(["a"], **names)
    with pytest.raises(StepError, match="'uid' is of int64, not text"):
        TextWords(of="uid").gives(pa.schema([("uid", pa.int64())]))


def test_other_files_than_those_of_the_fit_are_refused(tmp_path: Path) -> None:
    write_wordnet(tmp_path / "wordnet")
    (tmp_path / "synsets.txt").write_text("n00000079\n")
    table = pa.table({"uid": ["a"], "text": ["dogs"]})
    step = TextWords(of="text", synsets=str(tmp_path / "synsets.txt"), wordnet=str(tmp_path / "wordnet"))
    state = step.fit(MemoryFrame(table), Context())
    (tmp_path / "wordnet" / "noun.exc").write_text("dogses dog\n")
    with pytest.raises(RecipeError, match=r"noun\.exc is not the file that the table was begun with"):
        step.apply(Rows(table), state)
