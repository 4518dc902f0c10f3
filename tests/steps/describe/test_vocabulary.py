"""Vocabularies, templates and text features: what a recipe may name, and what it is told when that is wrong."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.models.texts.templates import TemplateSource, check_fields, prompts_of, read_templates
from poolwright.models.texts.text_features import encode_classes, read_features
from poolwright.models.texts.vocabulary import Class, VocabularySource, read_vocabulary


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


class TestFiles:
    def test_txt_has_a_name_a_line_in_any_script(self, tmp_path: Path) -> None:
        path = write(tmp_path, "v.txt", "\ufeffcat\r\n  Kôpî 🐈 \r\n地図\r\nשועל\r\na\u2028b\r\n\r\n")
        vocabulary = read_vocabulary(path)
        assert vocabulary.names == ("cat", "Kôpî 🐈", "地図", "שועל", "a\u2028b")
        assert vocabulary.source == "v.txt"

    def test_json_lists_and_objects(self, tmp_path: Path) -> None:
        items = [
            "cat",
            {"name": "map", "synonyms": ["chart"], "definition": "a drawing"},
            {"name": "x", "prompts": ["p"]},
        ]
        read = read_vocabulary(write(tmp_path, "v.json", json.dumps(items))).classes
        assert read[0] == Class("cat")
        assert read[1] == Class("map", synonyms=("chart",), about={"definition": "a drawing"})
        assert read[2].prompts == ("p",)

    def test_json_by_name_with_prompts(self, tmp_path: Path) -> None:
        path = write(tmp_path, "v.json", '{"cat": ["a cat sleeps.", "a cat runs."], "map": {"synonyms": ["chart"]}}')
        assert read_vocabulary(path).classes == (
            Class("cat", prompts=("a cat sleeps.", "a cat runs.")),
            Class("map", synonyms=("chart",)),
        )

    def test_yaml_as_json(self, tmp_path: Path) -> None:
        file = tmp_path / "v.yaml"
        file.write_text("ring: [wedding ring, engagement ring]\nhat: {synonyms: [cap]}\n", encoding="utf-8")
        ring, hat = read_vocabulary(str(file)).classes
        assert (ring.name, ring.prompts) == ("ring", ("wedding ring", "engagement ring"))
        assert (hat.name, hat.synonyms) == ("hat", ("cap",))

    def test_csv_with_quotes_and_other_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path, "v.csv", 'id,name,synonyms\nn1,"cat, house",kitty | mog\nn2,map,\n')
        assert read_vocabulary(path).classes == (
            Class("cat, house", synonyms=("kitty", "mog"), about={"id": "n1"}),
            Class("map", about={"id": "n2"}),
        )

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        path = write(tmp_path, "v.txt", "cat\n")
        assert read_vocabulary(path).names == ("cat",)
        write(tmp_path, "v.txt", "horse\n")
        assert read_vocabulary(path).names == ("horse",)

    def test_the_digest_is_of_the_classes_not_of_the_file(self, tmp_path: Path) -> None:
        one = read_vocabulary(write(tmp_path, "a.txt", "cat\nmap\n"))
        assert one.digest == read_vocabulary(["cat", "map"]).digest
        assert one.digest != read_vocabulary(["map", "cat"]).digest

    @pytest.mark.parametrize(
        ("name", "text", "where", "what"),
        [
            ("v.txt", "cat\n\nmap\n", "v.txt:2:", "empty line"),
            ("v.txt", "\n\n", "v.txt:", "the vocabulary is empty"),
            ("v.txt", b"cat\nm\xe4p\n", "v.txt:2:", "save the file as UTF-8"),
            ("v.json", '["cat",\n "map"', "v.json:2:", "not valid JSON"),
            ("v.json", "[]", "v.json:", "the vocabulary is empty"),
            ("v.json", "3", "v.json:", "a list of names, or an object by name"),
            ("v.json", '["cat", 7]', "class 1 (counted from 0)", "must be a name or an object"),
            ("v.json", '["cat", {"nam": "x"}]', "class 1 (counted from 0)", "'name' must be a text"),
            ("v.json", '[{"name": "x", "prompts": "one"}]', "class 0", "'prompts' must be a list of texts"),
            ("v.json", '["\\ud83d"]', "class 0", "half of a surrogate pair"),
            ("v.json", '{"cat": [], "cat": []}', "v.json:", "'cat' occurs twice"),
            ("v.json", '{"0": ["n01", "tench"]}', "v.json:", "the keys are numbers"),
            ("v.json", '{"cat": "a cat"}', "v.json:", "'cat' must have a list of prompts"),
            ("v.yaml", "- cat\n- [dog\n", "v.yaml:3", "not valid YAML"),
            ("v.yaml", "cat: [a cat]\ncat: [cats]\n", "v.yaml", "cat: the key is given twice"),
            ("v.yml", "3\n", "v.yml", "a list of names, or an object by name"),
            ("v.csv", "id,title\n1,cat\n", "v.csv:1:", "no column 'name' (columns: id, title)"),
            ("v.csv", "name,name\na,b\n", "v.csv:1:", "two columns 'name'"),
            ("v.csv", "name,id\ncat,1\ncat, house,2\n", "v.csv:3:", "quote names that have commas"),
            ("v.csv", "name,id\n,1\n", "v.csv:2:", "'name' must be a text"),
            ("v.csv", "name\n", "v.csv:", "the vocabulary is empty"),
        ],
    )
    def test_errors_say_where_and_what(self, tmp_path: Path, name: str, text: str, where: str, what: str) -> None:
        with pytest.raises(RecipeError) as caught:
            read_vocabulary(write(tmp_path, name, text))
        assert where in str(caught.value)
        assert what in str(caught.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="no such vocabulary file"):
            read_vocabulary(str(tmp_path / "none.txt"))


class TestSource:
    adapter: TypeAdapter[Any] = TypeAdapter(VocabularySource)

    def test_paths_are_relative_to_the_recipe(self) -> None:
        assert self.adapter.validate_python("a/v.txt", context={"folder": "/recipes"}) == "/recipes/a/v.txt"
        assert self.adapter.validate_python("imagenet21k", context={"folder": "/recipes"}) == "imagenet21k"
        assert self.adapter.validate_python(["cat", {"name": "map"}]) == ["cat", {"name": "map"}]

    def test_unknown_name_suggests(self) -> None:
        with pytest.raises(ValidationError, match="did you mean 'imagenet21k'"):
            self.adapter.validate_python("imagenet-21k")


class TestNamed:
    def test_imagenet1k(self) -> None:
        needs("open_clip")
        vocabulary = read_vocabulary("imagenet1k")
        assert len(vocabulary) == 1000
        assert vocabulary.names[:2] == ("tench", "goldfish")
        assert vocabulary.names[-1] == "toilet paper"

    def test_imagenet21k_has_ids_and_definitions(self) -> None:
        needs("timm")
        vocabulary = read_vocabulary("imagenet21k")
        assert len(vocabulary) == 21_843
        assert vocabulary.about == ("id", "lemmas", "definition")
        ids = [one.about["id"] for one in vocabulary.classes]
        assert len(set(ids)) == 21_843
        tench = vocabulary.classes[ids.index("n01440764")]
        assert (tench.name, tench.about["lemmas"]) == ("tench", "tench, Tinca tinca")
        assert tench.about["definition"].startswith("freshwater dace-like")
        cranes = [one.about["id"] for one in vocabulary.classes if one.name == "crane"]
        assert len(cranes) == 2, "classes that share their first lemma stay apart"

    def test_neither_imports_the_library(self) -> None:
        needs("timm")
        needs("open_clip")
        before = set(sys.modules)
        read_vocabulary("imagenet1k")
        read_vocabulary("imagenet21k")
        assert not {"torch", "timm", "open_clip", "torchvision"} & (set(sys.modules) - before)

    def test_missing_library_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from poolwright.models.texts import package_files as installed

        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtra, match=r"pip install 'poolwright\[timm\]'"):
            installed.imagenet21k_synsets("the vocabulary 'imagenet21k'")


class TestTemplates:
    adapter: TypeAdapter[Any] = TypeAdapter(TemplateSource)

    def test_named_sets(self) -> None:
        needs("open_clip")
        openai = read_templates("openai80")
        assert len(openai) == 80
        assert openai[0] == "a bad photo of a {}."
        assert len(read_templates("simple7")) == 7

    @pytest.mark.parametrize(
        ("template", "what"),
        [
            ("a photo", "has no {} for the class name"),
            ("openai-80", "did you mean 'openai80'"),
            ("a {", "write {{ and }} for braces"),
            ("a {0.__class__}", "use {} or a plain name"),
            ("a {name!r}", "use {} or a plain name"),
            ([], "no template"),
            (["a {}.", "b"], "'b' has no {}"),
        ],
    )
    def test_errors(self, template: Any, what: str) -> None:
        with pytest.raises(ValidationError) as caught:
            self.adapter.validate_python(template)
        assert what in str(caught.value)

    def test_prompts_of_a_class(self) -> None:
        one = Class("map {x}", synonyms=("chart",), about={"definition": "a drawing"})
        templates = ["a {}.", "{name}, {definition} {{sic}}"]
        assert prompts_of(one, templates) == [
            "a map {x}.",
            "map {x}, a drawing {sic}",
            "a chart.",
            "chart, a drawing {sic}",
        ]
        assert prompts_of(Class("map", prompts=("only this",)), templates) == ["only this"]

    def test_a_text_that_a_class_lacks(self) -> None:
        classes = [Class("map", about={"definition": "a drawing"}), Class("cat", about={"id": "n1"})]
        with pytest.raises(RecipeError, match="class 'cat' has no 'definition'; known: id, name"):
            check_fields(["a {}, {definition}."], classes)
        check_fields(["a {}."], classes)


class TestFeatures:
    names = ("a", "b", "c")
    matrix = np.random.default_rng(0).normal(size=(3, 4)) * 5

    def save(self, folder: Path, matrix: np.ndarray) -> str:
        np.save(folder / "f.npy", matrix)
        return str(folder / "f.npy")

    def test_rows_or_columns_of_any_length(self, tmp_path: Path) -> None:
        unit = (self.matrix / np.linalg.norm(self.matrix, axis=1, keepdims=True)).astype(np.float32)
        np.testing.assert_array_equal(read_features(self.save(tmp_path, self.matrix), self.names, 4), unit)
        np.testing.assert_array_equal(read_features(self.save(tmp_path, self.matrix.T), self.names, 4), unit)

    def test_a_square_file_must_say(self, tmp_path: Path) -> None:
        path = self.save(tmp_path, self.matrix[:, :3].astype(np.float32))
        with pytest.raises(RecipeError, match="features_axis"):
            read_features(path, self.names, 3)
        rows, columns = read_features(path, self.names, 3, 0), read_features(path, self.names, 3, 1)
        np.testing.assert_allclose(rows[0] @ self.matrix[0, :3], np.linalg.norm(self.matrix[0, :3]), rtol=1e-5)
        np.testing.assert_allclose(columns[0] @ self.matrix[:, 0], np.linalg.norm(self.matrix[:, 0]), rtol=1e-5)

    @pytest.mark.parametrize(
        ("matrix", "what"),
        [
            (np.zeros((3, 5)), r"shape \(3, 5\), but 3 classes and vectors of width 4 need \(3, 4\) or \(4, 3\)"),
            (np.zeros((3, 4), int), "one array of floats"),
            (np.array([[1.0] * 4, [0.0] * 4, [1.0] * 4]), r"text feature 1 \('b'\) is zero or not finite"),
            (np.array([[1.0] * 4, [1.0] * 4, [np.nan] * 4]), r"text feature 2 \('c'\)"),
        ],
    )
    def test_errors(self, tmp_path: Path, matrix: np.ndarray, what: str) -> None:
        with pytest.raises(RecipeError, match=what):
            read_features(self.save(tmp_path, matrix), self.names, 4)

    def test_not_an_array(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="no such file"):
            read_features(str(tmp_path / "none.npy"), self.names, 4)
        with pytest.raises(RecipeError, match=r"not a \.npy file"):
            read_features(write(tmp_path, "f.npy", "text"), self.names, 4)

    def test_many_prompts_are_encoded_in_bounded_calls(self) -> None:
        class Counting:
            name, weights, width = "counting", "00", 8
            calls: list[int] = []

            def texts(self, texts: list[str]) -> np.ndarray:
                self.calls.append(len(texts))
                made = np.stack([np.random.default_rng(len(text)).normal(size=8) for text in texts])
                return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

        encoder, names = Counting(), [f"{'x' * (i % 50)}" for i in range(3000)]
        features = encode_classes(encoder, names, [[name, name + "?"] for name in names])  # type: ignore[arg-type]
        assert features.shape == (3000, 8)
        assert sum(encoder.calls) == 6000
        assert max(encoder.calls) <= 2048
        np.testing.assert_array_equal(features[:50], features[2950:])


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
