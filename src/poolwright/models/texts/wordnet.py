"""Look up the first sense of words in WordNet's database files, as nltk orders senses."""

from __future__ import annotations

from pathlib import Path

from poolwright.core.errors import RecipeError

_PARTS = {
    "noun": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "verb": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "adj": "er: est: er:e est:e",
    "adv": "",
}
"""Endings that are detached from inflected words, `ending:instead`, by part of speech, in order (morphy(7WN))."""

_ENDINGS = {part: [pair.split(":") for pair in pairs.split()] for part, pairs in _PARTS.items()}

FILES = tuple(name for part in _PARTS for name in (f"index.{part}", f"{part}.exc"))
"""The files that are read, as wndb(5WN) describes them."""


class WordNet:
    """First senses of words. Can be shared by any number of threads.

    Args:
        folder: folder with `FILES`.

    Raises:
        RecipeError: one of them is not WordNet's.
    """

    def __init__(self, folder: str | Path) -> None:
        self._parts = {
            part: (_senses(Path(folder) / f"index.{part}"), _bases(Path(folder) / f"{part}.exc")) for part in _PARTS
        }

    def first(self, word: str) -> int:
        """Return the offset of the first synset of a word, -1 if it has none.

        It is that of `nltk.corpus.wordnet.synsets(word)[0]` in nltk 3.8, which DataComp used: nouns come before verbs,
        adjectives and adverbs, and a word before its base forms. Those are the ones of the exception list, or else what
        is left without an ending; if that is no word either, endings are detached again, which later versions do not.
        """
        word = word.lower()
        for part, (senses, bases) in self._parts.items():
            if word in senses:
                return senses[word]
            forms = bases.get(word) or _detached([word], part)
            while forms:
                for form in forms:
                    if form in senses:
                        return senses[form]
                forms = [] if word in bases else _detached(forms, part)
        return -1


def _detached(forms: list[str], part: str) -> list[str]:
    return [form.removesuffix(end) + new for form in forms for end, new in _ENDINGS[part] if form.endswith(end)]


def _senses(path: Path) -> dict[str, int]:
    """Return the offset of the first synset of each lemma of an index."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line and not line.startswith(" "):
            fields = line.split()
            try:
                found[fields[0]] = int(fields[-int(fields[2])])
            except (IndexError, ValueError):
                raise RecipeError(f"{path}:{number}: this is no line of WordNet's index; see wndb(5WN)") from None
    return found


def _bases(path: Path) -> dict[str, list[str]]:
    """Return the base forms of irregular words."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").split("\n") if line.strip())
    return {form: bases for form, *bases in lines}
