"""500,000 entries found in captions, as MetaCLIP matches them: our captions per second and core over a plain loop's.

The loop is MetaCLIP's with pyahocorasick: a caption gets its spaces, and an automaton of all entries goes over it.
Words have the frequencies and lengths of a language (Zipf), captions have 9 of them on average, as those of the web;
entries are the 250,000 most frequent words, and runs of two to four words of captions. Both take the time of their
thread, so that other work on the machine counts little, and find the same entries.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.kernels.selection.lookup.phrase_index import PhraseIndex

CAPTIONS, LOOPED, ENTRIES, BATCH = 2_000_000, 50_000, 500_000, 65_536
BLOCKS = {1: 12, 2: 60, 3: 400, 4: 2_000, 5: 8_000, 6: 25_000, 7: 60_000, 8: 100_000, 9: 110_000, 10: 100_000}
"""Words by their length, the frequent ones first."""
LETTERS, PRIME = "etaoinshrdlcumwfgypb", 1_000_003


def run(work: Path, captions: int = CAPTIONS, looped: int = LOOPED, entries: int = ENTRIES) -> float:
    """Return the rate of `PhraseIndex.find` over that of the loop."""
    made = make_captions(captions, 1)
    listed = make_entries(entries)
    begun = time.thread_time()
    index = PhraseIndex(listed)
    print(f"  {len(listed):,} entries, index made in {time.thread_time() - begun:.1f} s")
    begun, matches = time.thread_time(), 0
    for start in range(0, captions, BATCH):
        matches += len(index.find(made.slice(start, BATCH))[0])
    ours = captions / (time.thread_time() - begun)
    few = made.slice(0, looped)
    rows, found = index.find(few)
    theirs, wanted = loop(listed, few.to_pylist())
    if list(zip(rows.tolist(), found.tolist(), strict=True)) != wanted:
        raise SystemExit("the loop finds other entries")
    print(f"  {matches / captions:.1f} entries a caption of {pc.mean(pc.utf8_length(few)).as_py():.0f} characters")
    print(f"  ours {ours:,.0f} captions/s and core, the loop {theirs:,.0f}")
    return ours / theirs


def words() -> pa.Array:
    """Distinct words, the most frequent first."""
    made = []
    for length, count in BLOCKS.items():
        numbers = np.arange(count) * PRIME % 20**length
        digits = numbers[:, None] // 20 ** np.arange(length) % 20
        made += ["".join(LETTERS[digit] for digit in word) for word in digits.tolist()]
    return pa.array(made)


def make_captions(count: int, seed: int) -> pa.Array:
    """Captions of words, some of them capitalised or with a mark: (count,) strings."""
    draw = np.random.default_rng(seed)
    vocabulary = words()
    marked = [pc.binary_join_element_wise(vocabulary, mark, "") for mark in (",", ".", ":", "!")]
    forms = pa.concat_arrays([vocabulary, pc.utf8_capitalize(vocabulary), *marked])
    lengths = np.clip(draw.lognormal(2.0, 0.6, count).astype(np.int64), 1, 60)
    shares = np.cumsum(1 / (np.arange(len(vocabulary)) + 2.7))
    chosen = np.searchsorted(shares / shares[-1], draw.random(lengths.sum()))
    form = draw.choice(6, len(chosen), p=[0.78, 0.14, 0.03, 0.03, 0.01, 0.01])
    edges = np.append(0, np.cumsum(lengths)).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(edges, forms.take(chosen + form * len(vocabulary))), " ")


def make_entries(count: int) -> list[str]:
    """Words and runs of words, distinct."""
    found = dict.fromkeys(words().to_pylist()[: count // 2])
    draw = np.random.default_rng(3)
    for caption in make_captions(3 * count, 2).to_pylist():
        parts = [part for part in caption.lower().split() if part.isalpha()]
        length = int(draw.choice([2, 2, 2, 3, 4]))
        if len(parts) >= length:
            found.setdefault(" ".join(parts[-length:]))
        if len(found) == count:
            break
    return list(found)


def loop(entries: list[str], captions: list[str]) -> tuple[float, list[tuple[int, int]]]:
    """MetaCLIP's loop; return captions per second, and the pairs of caption and entry, sorted."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for number, entry in enumerate(entries):
        automaton.add_word(f" {entry} ", number)
    automaton.make_automaton()
    begun = time.thread_time()
    found = [{number for _, number in automaton.iter(spaced(caption))} for caption in captions]
    rate = len(captions) / (time.thread_time() - begun)
    return rate, [(row, number) for row, numbers in enumerate(found) for number in sorted(numbers)]


def spaced(text: str) -> str:
    """Return a text with spaces around it and around marks."""
    text = f" {text} "
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")
