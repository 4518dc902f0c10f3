"""Interpret the words of answers as verdicts on whether a row is of its class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from poolwright.annotation.verdicts import NEGATIVE, NO_VERDICTS, POSITIVE, UNSURE, WORDS, UnknownWord, Words

NONE_OF_THEM = "none of them"
YES_NO = ("yes", "no", UNSURE)


@dataclass(frozen=True)
class WrittenAnswer:
    """One person's answer about one row, as it was written.

    Attributes:
        uid: of the row.
        word: "yes", "no", "unsure", "skipped", or the name of a class, as it was written.
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
        return self._words.meaning(word) or UNSURE

    def chosen(self, word: str) -> str:
        """Return the class that a word names: none."""
        return ""


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
        plain = word.strip().casefold()
        if plain in self._classes:
            return POSITIVE if plain == asked.strip().casefold() else NEGATIVE
        if plain not in self._words:
            raise UnknownWord(f"'{word}' is not one of the classes asked about, '{NONE_OF_THEM}' or unsure")
        return self._words[plain]

    def chosen(self, word: str) -> str:
        """Return the class that a word names, or ''."""
        return self._classes.get(word.strip().casefold(), "")


def meanings_of(answer: str, classes: Collection[str], words: Mapping[str, str]) -> YesNo | ClassName:
    """Return the interpretation of words.

    Args:
        answer: kind of answer asked for: "yes_no" or "class".
        classes: classes that are asked about.
        words: meanings of further words.
    """
    return ClassName(classes, words) if answer == "class" else YesNo(words)
