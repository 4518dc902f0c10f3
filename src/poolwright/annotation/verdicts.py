"""Verdicts of people on rows: their words, their meanings, and how several verdicts on a row are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.wording import counted, some

POSITIVE, NEGATIVE, UNSURE = "positive", "negative", "unsure"
MEANINGS = (POSITIVE, NEGATIVE, UNSURE)
SKIPPED = "skipped"
"""Written when somebody passed a row over: it is no verdict."""
WITHDRAWN = "withdrawn"
"""Written when the earlier verdict of a person on a row no longer counts."""

WORDS: Mapping[str, str] = {
    **dict.fromkeys(("positive", "pos", "yes", "y", "true", "1", "+"), POSITIVE),
    **dict.fromkeys(("negative", "neg", "no", "n", "false", "0", "-"), NEGATIVE),
    **dict.fromkeys(("unsure", "unclear", "maybe", "skip", SKIPPED, "?"), UNSURE),
}
"""Words that are always understood, whatever their case. A recipe adds its own: {"map": "positive"}."""

NO_VERDICTS: Mapping[str, str] = {"skip": SKIPPED, SKIPPED: SKIPPED, WITHDRAWN: WITHDRAWN}
"""Meanings of these words if skips are distinguished from verdicts; in the sample of an audit a skip is unsure."""


@dataclass(frozen=True)
class Verdict:
    """One person's answer about one row.

    Attributes:
        uid: of the row.
        verdict: "positive", "negative" or "unsure"; also "skipped" or "withdrawn" if skips are distinguished.
        annotator: name of the person, as in the file.
        time: time of the answer, in ISO 8601 if the tool writes that; empty if it is not known.
        comment: free text.
        where: file and line, for error messages.
        chosen: the classes that the person named, sorted, if they were asked for them and they are among those offered.
    """

    uid: str
    verdict: str
    annotator: str = ""
    time: str = ""
    comment: str = ""
    where: str = field(default="", compare=False)
    chosen: tuple[str, ...] = ()


class UnknownWord(ValueError):
    """A verdict that has no meaning."""


class Words:
    """The words for verdicts, in any case, and their meanings."""

    def __init__(self, words: Mapping[str, str] | None = None, also: Collection[str] = ()) -> None:
        """Accept `words` in addition to WORDS; they take precedence.

        Args:
            also: further meanings that a word may have, such as SKIPPED; messages do not offer them.

        Raises:
            InputError: a word is given a meaning other than positive, negative, unsure and these.
        """
        self._words = dict(WORDS)
        for word, meaning in (words or {}).items():
            if meaning not in (*MEANINGS, *also):
                raise InputError(f"verdict '{word}' cannot mean '{meaning}'; {did_you_mean(meaning, MEANINGS)}")
            self._words[_plain(word)] = meaning
        shown = (word for word, meaning in (words or {}).items() if meaning in MEANINGS)
        self._shown = sorted({*shown, *MEANINGS})

    @classmethod
    def with_skips(cls, words: Mapping[str, str] | None = None) -> Words:
        """Return words that distinguish skips from verdicts; see NO_VERDICTS."""
        return cls({**NO_VERDICTS, **(words or {})}, (SKIPPED, WITHDRAWN))

    def meaning(self, word: str) -> str | None:
        """Return the meaning of a word, or None if it is blank: not labelled yet.

        Raises:
            UnknownWord: the word is not known; the message lists the words that are.
        """
        plain = _plain(word)
        if not plain:
            return None
        if plain not in self._words:
            raise UnknownWord(f"verdict '{word}' is not known; use {', '.join(self._shown)}")
        return self._words[plain]


def merge(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """Merge the verdicts on each row: uid to meaning, in the order of the uids.

    Each annotator has one vote per row, see `last_of_each`. The meaning with the most votes wins; ties are unsure.
    """
    votes: dict[str, list[str]] = {}
    for verdict in last_of_each(verdicts):
        votes.setdefault(verdict.uid, []).append(verdict.verdict)
    return {uid: majority(votes[uid]) for uid in sorted(votes)}


def last_of_each(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the vote of each annotator on each row: the last, by time if both times are known, otherwise in order."""
    return [one.answer for one in standing_of_each(verdicts).values() if one.answer]


@dataclass(frozen=True)
class Standing:
    """The standing verdict of one person on one row.

    Attributes:
        answer: their vote; None if they have none.
        skips: how often they skipped the row; 0 if they have a vote.
    """

    answer: Verdict | None
    skips: int


def standing_of_each(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], Standing]:
    """Return the standing verdict of each annotator on each row, by (uid, annotator); see `standing`."""
    lines: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        lines.setdefault((verdict.uid, verdict.annotator), []).append(verdict)
    return {pair: standing(lines) for pair, lines in lines.items()}


def standing(verdicts: Iterable[Verdict]) -> Standing:
    """Return the standing verdict of one person on one row, from all their verdicts on it, in order.

    Of several answers the last counts, by time if both times are known, otherwise in order. A skip takes back no
    answer; skips with the same time count once. A withdrawal takes back everything before it, skips too.
    """
    last: Verdict | None = None
    skips: dict[str, Verdict] = {}
    for verdict in verdicts:
        if verdict.verdict == SKIPPED:
            skips[verdict.time] = verdict
        elif last is None or not _is_later(last.time, verdict.time):
            last = verdict
    if last is not None and last.verdict != WITHDRAWN:
        return Standing(last, 0)
    return Standing(None, sum(last is None or _is_later(time, last.time) for time in skips))


def check_known(verdicts: Sequence[Verdict], uids: Iterable[str], where: str = "the sheet") -> None:
    """Check that every verdict is about a row that was asked about.

    Raises:
        InputError: some are not; the message names their uids.
    """
    check_uids([(verdict.uid, verdict.where) for verdict in verdicts], uids, f"in {where}")


def check_uids(given: Iterable[tuple[str, str]], uids: Iterable[str], where: str) -> None:
    """Check that uids of verdicts are known.

    Args:
        given: each uid, with the file and line of its verdict, '' if it has none.
        uids: those that are known.
        where: the set of these.

    Raises:
        InputError: some are not.
    """
    known = set(uids)
    strange = [(uid, place) for uid, place in given if uid not in known]
    unknown = sorted({uid: f"'{uid}'" + (place and f" ({place})") for uid, place in reversed(strange)}.items())
    if unknown:
        shown = some([words for _, words in unknown], 5)
        raise InputError(
            f"{counted(len(strange), 'verdict is', 'verdicts are')} about rows that are not {where}: {shown}; "
            f"{_closest(unknown[0][0], known)}spreadsheets change long numbers, so import the column uid as text"
        )


def _closest(uid: str, known: set[str]) -> str:
    plain = {_plain(one): one for one in known}
    return f"'{plain[_plain(uid)]}' is; " if _plain(uid) in plain else ""


def majority(meanings: Sequence[str]) -> str:
    """Return the meaning with the most votes; unsure if two tie."""
    counts = Counter(meanings).most_common()
    return UNSURE if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def _is_later(one: str, other: str) -> bool:
    times = _time(one), _time(other)
    return times[0] is not None and times[1] is not None and times[0] > times[1]


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _plain(word: str) -> str:
    return word.strip().casefold()
