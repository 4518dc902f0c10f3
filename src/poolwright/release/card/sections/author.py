"""Write what only the author of a dataset knows: intended use, personal data, citation, contact; or whom to ask."""

from __future__ import annotations

from poolwright.release.card.citation import CITATION
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.markdown import code, fenced, plain


def use_section(facts: ReleaseFacts) -> str:
    """Return what the dataset is for, and what it must not be used for."""
    return _answered(facts, "Intended use", {"purpose": "", "uses": "Used for: ", "misuses": "Not for: "})


def contact_section(facts: ReleaseFacts) -> str:
    """Return how its authors are reached."""
    return _answered(facts, "Contact", {"maintainer": "", "contact": ""}, ("contact",))


def personal_section(facts: ReleaseFacts) -> str:
    """Return the columns that may identify people, and what the author says about people in the pictures."""
    listed = "\n".join(f"- {code(name)}: {words}" for name, words in facts.personal.items())
    known = f"These columns may identify people:\n\n{listed}" if listed else "No column is known to identify people."
    if facts.release.images:
        known += "\n\nNo step of poolwright tells whether people can be recognised in the pictures."
    keys = {"groups": "", "identifiable": "", "sensitive": "", "consent": "Consent: ", "revocation": ""}
    return _answered(facts, "Personal data", keys, ("identifiable",), known)


def citation_section(facts: ReleaseFacts) -> str:
    """Return how to cite the dataset, and its authors."""
    about = facts.about
    words = ["## Citation"]
    if about.citation:
        words.append(fenced(about.citation, "bibtex") if "@" in about.citation else about.citation.strip())
    else:
        words.append(_to_fill("how to cite it", "citation: ..."))
    if about.authors:
        words.append(f"Authors: {plain(', '.join(about.authors))}. `{CITATION}` has the same for tools.")
    else:
        words.append(_to_fill(f"the recipe names no authors, whom `{CITATION}` requires", "authors: [...]"))
    return "\n\n".join(words)


def _answered(
    facts: ReleaseFacts, title: str, keys: dict[str, str], wanted: tuple[str, ...] = (), known: str = ""
) -> str:
    """Return a section of the author's answers to questions of the datasheet, or what is left to fill in.

    Args:
        keys: the words before each answer, by its key.
        wanted: keys that are asked for if they are missing; by default any of all.
        known: what facts say.
    """
    said = facts.about.datasheet
    words = [f"## {title}", known, *(f"{lead}{said[key].strip()}" for key, lead in keys.items() if key in said)]
    missing = [key for key in wanted if key not in said] if wanted else [] if keys.keys() & said.keys() else [*keys]
    if missing:
        words.append(_to_fill(title.lower(), f"datasheet: {{{', '.join(f'{key}: ...' for key in missing)}}}"))
    return "\n\n".join(filter(None, words))


def _to_fill(what: str, keys: str) -> str:
    return f"> **For the author to fill in:** {what}, with `card: {{{keys}}}` in the recipe."
