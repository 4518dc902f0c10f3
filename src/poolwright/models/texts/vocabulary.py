"""Read vocabularies, the classes that zero-shot labelling chooses from, in the order of their indices."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.pool import resolve_path
from poolwright.core.remote.files import local_file
from poolwright.core.texts.text_files import load_json
from poolwright.core.texts.yaml_text import load
from poolwright.models.texts.package_files import clip_metadata, imagenet21k_synsets

FORMATS = (".txt", ".json", ".yaml", ".yml", ".csv")
NAMES = ("imagenet1k", "imagenet21k")
CELL_SEPARATOR = "|"


@dataclass(frozen=True)
class Class:
    """One class of a vocabulary.

    Attributes:
        name: label of rows; need not be unique, as the index is.
        prompts: whole texts that stand for the class; they replace the template.
        synonyms: further names; the template is filled with each, and all are averaged.
        about: other texts of the class (id, definition, ...), which a template may name as `{definition}`.
    """

    name: str
    prompts: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Vocabulary:
    """Classes by index.

    Attributes:
        source: name for display and records, without folders: 'imagenet21k', 'animals.txt', 'inline'.
        classes: class i has `label_index` i.
    """

    source: str
    classes: tuple[Class, ...]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, by index."""
        return tuple(one.name for one in self.classes)

    @property
    def about(self) -> tuple[str, ...]:
        """Names of the other texts that some class has, in the order of their first appearance."""
        return tuple(dict.fromkeys(key for one in self.classes for key in one.about))

    @property
    def digest(self) -> str:
        """SHA-256 of all classes in order, hex, independent of the file they came from."""
        plain = [[one.name, one.prompts, one.synonyms, dict(one.about)] for one in self.classes]
        text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _resolve(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    if value in NAMES:
        return value
    if not value.lower().endswith(FORMATS):
        raise ValueError(
            f"no vocabulary '{value}'; {did_you_mean(value, NAMES)}; or give a file ({', '.join(FORMATS)}) or a list"
        )
    return resolve_path(value, info)


VocabularySource = Annotated[
    str | list[str | dict[str, Any]],
    AfterValidator(_resolve),
    Field(description="imagenet1k, imagenet21k, a .txt, .json, .yaml or .csv file, or a list of names"),
]
"""A vocabulary as a recipe names it; relative paths are resolved against the recipe's folder."""


def read_vocabulary(source: str | Sequence[str | Mapping[str, Any]]) -> Vocabulary:
    """Read the vocabulary of a name, a file or a list.

    Args:
        source: 'imagenet1k' (OpenAI's curated names, 1,000), 'imagenet21k' (Google's 21,843 synsets), a path to
            .txt (one name per line), .json or .yaml (list of names or objects, or object by name) or .csv (column
            `name`), or the same as a JSON list.

    Raises:
        RecipeError: no such file, or it is not a vocabulary; names the line.
        MissingExtra: the library that has the named vocabulary is not installed.
    """
    if not isinstance(source, str):
        return Vocabulary("inline", _of_list(source, "the vocabulary"))
    if source == "imagenet1k":
        return _imagenet1k()
    if source == "imagenet21k":
        return _imagenet21k()
    try:
        path = local_file(source)
        stat = path.stat()
    except OSError:
        raise RecipeError(f"{source}: no such vocabulary file; check the path") from None
    return _read_file(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _read_file(path: Path, mtime_ns: int, size: int) -> Vocabulary:
    # Time and size are cache keys, so that a changed file is read again.
    readers = {".txt": _of_lines, ".json": _of_json, ".yaml": _of_yaml, ".yml": _of_yaml, ".csv": _of_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RecipeError(f"{path}: a vocabulary is a {', '.join(FORMATS)} file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RecipeError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from None
    return Vocabulary(path.name, reader(text, str(path)))


def _of_lines(text: str, where: str) -> tuple[Class, ...]:
    # Not splitlines(): that also cuts at form feeds and Unicode separators, and line numbers would be off.
    lines = text.replace("\r\n", "\n").rstrip().split("\n")
    if lines == [""]:
        raise RecipeError(f"{where}: the vocabulary is empty; write one name per line")
    classes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise RecipeError(
                f"{where}:{number}: empty line; every line is a class, its number the index: remove the line"
            )
        classes.append(Class(line.strip()))
    return tuple(classes)


def _of_json(text: str, where: str) -> tuple[Class, ...]:
    try:
        data = load_json(text, lambda pairs: _object(pairs, where))
    except json.JSONDecodeError as error:
        raise RecipeError(f"{where}:{error.lineno}: not valid JSON: {error.msg}") from None
    return _of_data(data, where)


def _of_yaml(text: str, where: str) -> tuple[Class, ...]:
    return _of_data(load(text, where), where)


def _of_data(data: Any, where: str) -> tuple[Class, ...]:
    if isinstance(data, list):
        return _of_list(data, where)
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: a vocabulary is a list of names, or an object by name")
    if data and all(str(key).isdigit() for key in data):
        raise RecipeError(f"{where}: the keys are numbers, not names; write a list of names in their order")
    return _of_list([_named(name, value, where) for name, value in data.items()], where)


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in [name for name, _ in pairs[:index]])
        raise RecipeError(f"{where}: '{twice}' occurs twice; for two classes with the same name, write a list")
    return made


def _named(name: str, value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, list):
        return {"name": name, "prompts": value}
    if isinstance(value, dict):
        return {"name": name, **value}
    raise RecipeError(
        f"{where}: '{name}' must have a list of prompts or an object such as {{\"synonyms\": [...]}}; got {value!r:.60}"
    )


def _of_list(items: Sequence[Any], where: str) -> tuple[Class, ...]:
    if not items:
        raise RecipeError(f"{where}: the vocabulary is empty; give at least one name")
    return tuple(_of_item(item, f"{where}: class {index} (counted from 0)") for index, item in enumerate(items))


def _of_item(item: Any, where: str) -> Class:
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, Mapping):
        raise RecipeError(f"{where}: must be a name or an object with 'name'; got {item!r:.60}")
    if not _is_unicode(item):
        raise RecipeError(f"{where}: half of a surrogate pair in the text; write the whole character")
    name = item.get("name")
    if not isinstance(name, str) or not name.strip():
        raise RecipeError(f"{where}: 'name' must be a text that is not empty; got {name!r:.60}")
    about = {key: value for key, value in item.items() if key not in ("name", "prompts", "synonyms")}
    for key, value in about.items():
        if not isinstance(value, str):
            raise RecipeError(f"{where}: '{key}' must be a text; got {value!r:.60}")
    prompts, synonyms = _texts(item, "prompts", where), _texts(item, "synonyms", where)
    return Class(name.strip(), prompts, synonyms, about)


def _is_unicode(item: Mapping[str, Any]) -> bool:
    # JSON and YAML escapes can name half a character, which no file or column can hold.
    try:
        json.dumps(item, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _texts(item: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = item.get(key, [])
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise RecipeError(f"{where}: '{key}' must be a list of texts that are not empty; got {texts!r:.60}")
    return tuple(text.strip() for text in texts)


def _of_csv(text: str, where: str) -> tuple[Class, ...]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    classes: list[Class] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            if header is None:
                header = _header(cells, where)
            elif cells:
                classes.append(_of_cells(header, cells, f"{where}:{reader.line_num}"))
    except csv.Error as error:
        raise RecipeError(f"{where}:{reader.line_num}: not valid CSV: {error}") from None
    if not classes:
        raise RecipeError(f"{where}: the vocabulary is empty; write a header line with 'name', then one class per line")
    return tuple(classes)


def _header(cells: list[str], where: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if "name" not in header:
        raise RecipeError(f"{where}:1: no column 'name' (columns: {', '.join(header)}); name one of them 'name'")
    for name in header:
        if header.count(name) > 1:
            raise RecipeError(f"{where}:1: two columns '{name}'; rename or remove one")
    return header


def _of_cells(header: list[str], cells: list[str], where: str) -> Class:
    if len(cells) != len(header):
        raise RecipeError(f"{where}: {len(cells)} cells for {len(header)} columns; quote names that have commas")
    item: dict[str, Any] = {key: cell.strip() for key, cell in zip(header, cells, strict=True) if cell.strip()}
    for key in ("prompts", "synonyms"):
        if key in item:
            item[key] = [text for text in item[key].split(CELL_SEPARATOR) if text.strip()]
    return _of_item(item, where)


@cache
def _imagenet1k() -> Vocabulary:
    names = clip_metadata("the vocabulary 'imagenet1k'").IMAGENET_CLASSNAMES
    return Vocabulary("imagenet1k", tuple(Class(name) for name in names))


@cache
def _imagenet21k() -> Vocabulary:
    synsets = imagenet21k_synsets("the vocabulary 'imagenet21k'")
    return Vocabulary("imagenet21k", tuple(_of_synset(*synset) for synset in synsets))


def _of_synset(synset: str, lemmas: str, definition: str) -> Class:
    """Return the class of a WordNet synset, named by its first lemma; the others are its synonyms."""
    first, *others = (lemma.strip() for lemma in lemmas.split(","))
    synonyms = tuple(dict.fromkeys(lemma for lemma in others if lemma and lemma != first))
    return Class(first, synonyms=synonyms, about={"id": synset, "lemmas": lemmas, "definition": definition})
