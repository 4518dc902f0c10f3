"""Interpret the words of answers as verdicts on whether a row is of its class."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from poolwright.annotation.verdicts import NEGATIVE, NO_VERDICTS, POSITIVE, UNSURE, WORDS, UnknownWord, Words
from poolwright.core.errors import InputError

NONE_OF_THEM = "none of them"
CLASS, CLASSES = "class", "classes"
"""Kinds of answer: the class that people see, or all that they see."""
SEPARATOR = "|"
"""Stands between several classes in an answer."""
YES_NO = ("yes", "no", UNSURE)


@dataclass(frozen=True)
class WrittenAnswer:
    """One person's answer about one row, as it was written.

    Attributes:
        uid: of the row.
        word: "yes", "no", "unsure", "skipped", or the name of a class, as it was written; several choices as JSON.
        annotator: name of the person, as in the file.
        about: the class that was asked about, if the answer says so; else ''.
        time: time of the answer, in ISO 8601 if the tool writes that.
        comment: free text.
        where: file and line, for error messages.
    """

    uid: str
    word: str
    annotator: str
    about: str = ""
    time: str = ""
    comment: str = ""
    where: str = ""


class YesNo:
    """Answers to "is it of its class?"."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """Accept the usual words and these; see `Words`."""
        self._words = Words.with_skips(words)

    def meaning(self, word: str, asked: str) -> str:
        """Return positive, negative, unsure, skipped or withdrawn.

        Raises:
            ValueError: the word is not known.
        """
        return self._words.meaning(one_choice(word)) or UNSURE

    def chosen(self, word: str, asked: str) -> tuple[str, ...]:
        """Return the classes that a word names: none."""
        return ()


class ClassName:
    """Answers to "which class is it of?": positive is the class that was proposed, negative any other, or none."""

    def __init__(self, classes: Collection[str], words: Mapping[str, str]) -> None:
        """Accept `words` in addition to the names of the classes, "none of them" and the words for unsure.

        Raises:
            InputError: a word is given a meaning other than positive, negative and unsure.
        """
        Words(words)
        unsure = {word: meaning for word, meaning in WORDS.items() if meaning == UNSURE}
        known = {**unsure, **NO_VERDICTS, **words}
        self._words = {word.strip().casefold(): meaning for word, meaning in known.items()}
        self._words.setdefault(NONE_OF_THEM, NEGATIVE)
        self._classes = {name.strip().casefold(): name for name in sorted(classes)}

    def meaning(self, word: str, asked: str) -> str:
        """Return the meaning of a word; see `YesNo.meaning`."""
        plain = one_choice(word).strip().casefold()
        if plain in self._classes:
            return POSITIVE if plain == asked.strip().casefold() else NEGATIVE
        if plain not in self._words:
            raise UnknownWord(f"'{word}' is not one of the classes asked about, '{NONE_OF_THEM}' or unsure")
        return self._words[plain]

    def chosen(self, word: str, asked: str) -> tuple[str, ...]:
        """Return the class that a word names, if it names one."""
        found = self._classes.get(one_choice(word).strip().casefold())
        return () if found is None else (found,)


class SeveralClasses(ClassName):
    """Answers to "which classes does it show?": positive if the class that was proposed is among them."""

    def meaning(self, word: str, asked: str) -> str:
        """Return the meaning of a word; see `YesNo.meaning`."""
        parts = self._parts(word)
        found = {super(SeveralClasses, self).meaning(part, asked) for part in parts}
        if len(parts) > 1 and not all(super(SeveralClasses, self).chosen(part, asked) for part in parts):
            raise ValueError(f"'{word}' names classes, and says that it shows none or that it is not sure")
        return POSITIVE if POSITIVE in found else found.pop()

    def chosen(self, word: str, asked: str) -> tuple[str, ...]:
        """Return the classes that a word names, sorted; another word for yes names the one that was proposed."""
        named = {name for part in self._parts(word) for name in super(SeveralClasses, self).chosen(part, asked)}
        return tuple(sorted(named or ({asked} if self.meaning(word, asked) == POSITIVE else set())))

    def _parts(self, word: str) -> Sequence[str]:
        return _choices(word) or [part.strip() for part in word.split(SEPARATOR) if part.strip()] or [word]


def one_choice(word: str) -> str:
    """Return the only choice of an answer.

    Raises:
        ValueError: it has several.
    """
    choices = _choices(word)
    if len(choices) > 1:
        raise ValueError(f"{len(choices)} choices for one row: {', '.join(choices)}")
    return choices[0] if choices else word


def _choices(word: str) -> list[str]:
    """Return the choices in an answer that is JSON, a list or as Label Studio has it in CSV; none in any other."""
    if not word.lstrip().startswith(("[", "{")):
        return []
    try:
        found = json.loads(word)
    except ValueError:
        return []
    listed = found.get("choices") if isinstance(found, dict) else found
    return listed if isinstance(listed, list) and all(isinstance(one, str) for one in listed) else []


def check_separable(names: Collection[str]) -> None:
    """Check that several of these classes can be written in one answer.

    Raises:
        InputError: a name has the sign that stands between them.
    """
    if wrong := [name for name in names if SEPARATOR in name]:
        raise InputError(f"class '{wrong[0]}' has a '{SEPARATOR}', which separates classes in answers; rename it")


def meanings_of(answer: str, classes: Collection[str], words: Mapping[str, str]) -> YesNo | ClassName:
    """Return the interpretation of words.

    Args:
        answer: kind of answer asked for: "yes_no", "class" or "classes".
        classes: classes that are asked about.
        words: meanings of further words.
    """
    kinds = {CLASS: ClassName, CLASSES: SeveralClasses}
    return kinds[answer](classes, words) if answer in kinds else YesNo(words)
