"""Interpret answers as verdicts on the candidates of the current run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from poolwright.annotation.answers import ClassName, WrittenAnswer, YesNo
from poolwright.annotation.exchange.read_answers import join_errors, unknown_values
from poolwright.annotation.verdicts import UnknownWord, Verdict, check_uids
from poolwright.core.errors import InputError


def understood(
    given: Sequence[WrittenAnswer],
    class_of: Mapping[str, str],
    asked: Iterable[tuple[str, str]],
    meanings: YesNo | ClassName,
    *,
    ignore_unknown: bool = False,
    ignore_bad: bool = False,
) -> list[Verdict]:
    """Return the verdicts, skips and withdrawals in answers; outdated answers are left out.

    Args:
        given: answers, in order.
        class_of: class of each candidate by uid.
        asked: (uid, class) of every row that people were ever asked about.
        meanings: interpretation of words.
        ignore_unknown: leave out answers about rows that nobody was asked about.
        ignore_bad: leave out answers that cannot be understood, too.

    Raises:
        InputError: answers are about rows or classes that nobody was asked about, or have unknown words.
    """
    before: dict[str, dict[str, None]] = {}
    for uid, name in asked:
        before.setdefault(uid, {})[name] = None
    if not (ignore_unknown or ignore_bad):
        where = "among the rows that people were asked about"
        check_uids([(answer.uid, answer.where) for answer in given], class_of.keys() | before.keys(), where)
    verdicts: list[Verdict] = []
    bad: list[str] = []
    unknown = Counter[str]()
    for answer in given:
        try:
            now = class_of.get(answer.uid)
            if now is not None and _is_about(answer, now, tuple(before.get(answer.uid, ())), meanings):
                meaning = meanings.meaning(answer.word, now)
                chosen = meanings.chosen(answer.word, now)
                verdicts.append(
                    Verdict(answer.uid, meaning, answer.annotator, answer.time, answer.comment, chosen=chosen)
                )
        except ValueError as error:
            unknown.update([answer.word.strip()] if isinstance(error, UnknownWord) else ())
            bad.append(f"{answer.where}: {error}")
    if bad and not ignore_bad:
        raise InputError(join_errors(bad) + unknown_values(unknown, len(verdicts)))
    return verdicts


def _is_about(answer: WrittenAnswer, now: str, before: tuple[str, ...], meanings: YesNo | ClassName) -> bool:
    """Whether an answer is about the class that a candidate has now.

    Raises:
        ValueError: the class that it is about is not known.
    """
    if isinstance(meanings, ClassName):
        return True  # the answer names a class, whichever class was proposed
    if not answer.about and len(before) > 1:
        raise ValueError(
            f"people were asked about several classes, {' and '.join(before)}; name one in the column class"
        )
    about = _plain(answer.about or (before[0] if before else now))
    if about not in {_plain(name) for name in (now, *before)}:
        raise ValueError(f"about the class '{answer.about}', which nobody was asked about; its class is '{now}'")
    return about == _plain(now)


def _plain(name: str) -> str:
    return name.strip().casefold()
