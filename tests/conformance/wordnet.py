"""A small WordNet in the files of Princeton's database (wndb(5WN)): a few nouns, a verb and an adjective."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

NOUNS = {
    "dog": ["a dog", "a frankfurter"],
    "ship": ["a ship"],
    "bank": ["a slope", "a bank"],
    "run": ["a score"],
    **{name: [f"a {name}"] for name in ("box", "loaf", "man", "ox", "red", "sky", "barking")},
}
VERBS = {"run": ["to run"], "bark": ["to bark"], "ship": ["to send"], "box": ["to fight"]}
ADJECTIVES = {"red": ["red"], "bo": ["bo"]}
EXCEPTIONS = {"noun": "oxen ox\n", "verb": "ran run\n", "adj": "boer bo red\n"}
HEADER = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.  \n"
LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def write_wordnet(folder: Path) -> dict[str, list[int]]:
    """Write the files that nltk reads; return the offsets of the synsets of each lemma, by `lemma.pos`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lexnames").write_text("".join(f"{n:02d}\tlex.{n}\t1\n" for n in range(45)))
    offsets: dict[str, list[int]] = {}
    for part, letter in LETTERS.items():
        lemmas = {"noun": NOUNS, "verb": VERBS, "adj": ADJECTIVES}.get(part, {})
        data, index = HEADER, ""
        for lemma, glosses in sorted(lemmas.items()):
            found = []
            for gloss in glosses:
                # All parts of speech have offsets of their own, so one may occur in two of them.
                found.append(len(data))
                frames = " 01 + 02 00" if letter == "v" else ""
                data += f"{len(data):08d} 03 {letter} 01 {lemma} 0 000{frames} | {gloss}  \n"
            offsets[f"{lemma}.{letter}"] = found
            places = " ".join(f"{offset:08d}" for offset in found)
            index += f"{lemma} {letter} {len(found)} 0 {len(found)} 0 {places}  \n"
        (folder / f"data.{part}").write_text(data)
        (folder / f"index.{part}").write_text(index)
        (folder / f"{part}.exc").write_text(EXCEPTIONS.get(part, ""))
    return offsets


def nltk_wordnet(folder: Path) -> Any:
    """The reader of nltk over a folder, without what it looks up in its own data."""
    import nltk.data
    from nltk.corpus.reader import WordNetCorpusReader

    nltk.data.path.append(str(folder))  # nltk refuses to read anywhere else
    alone = type("Alone", (WordNetCorpusReader,), {"map_wn": lambda self, version="wordnet": None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return alone(str(folder), None)
