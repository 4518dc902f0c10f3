"""Write CITATION.cff, which GitHub, Zenodo and reference managers read.

Citation File Format 1.2.0, https://github.com/citation-file-format/citation-file-format
"""

from __future__ import annotations

from typing import Any

import yaml

from poolwright.release.card.about import About, croissant_license

CITATION = "CITATION.cff"
_LICENSES = """
CC0-1.0 CC-BY-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-1.0 CC-BY-SA-2.0 CC-BY-SA-2.5 CC-BY-SA-3.0
CC-BY-SA-4.0 CC-BY-ND-2.0 CC-BY-ND-3.0 CC-BY-ND-4.0 CC-BY-NC-2.0 CC-BY-NC-2.5 CC-BY-NC-3.0 CC-BY-NC-4.0
CC-BY-NC-SA-2.0 CC-BY-NC-SA-2.5 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 CDLA-Permissive-1.0
CDLA-Sharing-1.0 ODbL-1.0 ODC-By-1.0 PDDL-1.0 MIT Apache-2.0 BSD-2-Clause BSD-3-Clause Unlicense
"""
"""Licences of datasets that version 1.2.0 of the format has; others are given by their URL."""
_MESSAGE = "If you use this dataset, please cite it as below."


def citation(about: About, title: str) -> str | None:
    """Return the text of CITATION.cff; None if the recipe names no authors, whom the format requires.

    Version, date and licence are there only if the recipe states them. Authors are entities, as a recipe does not say
    which part of a name is the family name, nor whether it is that of a person.
    """
    if not about.authors:
        return None
    licences = {name.lower(): name for name in _LICENSES.split()}
    licence = licences.get((about.license or "").strip().lower())
    keys: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": _MESSAGE,
        "type": "dataset",
        "title": title,
        "abstract": about.description.strip() if about.description else None,
        "authors": [{"name": name} for name in about.authors],
        "version": about.version if "version" in about.model_fields_set else None,
        "date-released": about.published,
        "license": licence,
        "license-url": None if licence else _url(croissant_license(about, per_image=False)),
        "url": _url(about.homepage),
        "keywords": list(dict.fromkeys(about.tags)),
    }
    kept = {key: value for key, value in keys.items() if value}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _url(text: str | None) -> str | None:
    return text if text and text.startswith(("https://", "http://")) else None
