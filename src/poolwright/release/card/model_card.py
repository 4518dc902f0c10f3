"""Write the model card of a classifier that was exported, in the form of the Hugging Face Hub.

Its parts follow Model Cards for Model Reporting (Mitchell et al. 2019, arXiv 1810.03993), as far as the state of
`classify` knows them; the rest is marked as the author's to fill.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from poolwright.core.state import State
from poolwright.models.classifiers.classifier_file import width_of
from poolwright.models.classifiers.comparison_text import compared_in
from poolwright.release.card.markdown import code, fenced, plain
from poolwright.release.card.sections.classifier import candidates_grid

_FEATURES = {
    "image": "vectors of images",
    "text": "what captions gave, vectors or keywords, and a column of ones",
    "image+text": "vectors of images, followed by what their captions gave, vectors or keywords",
}
_RUN = {
    ".onnx": """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
vectors = np.zeros((1, {width}), np.float32)  # yours, in place of zeros
labels, scores = session.run(["label", "scores"], {{"vectors": vectors}})
""",
    ".skops": """\
import numpy as np
from skops.io import get_untrusted_types, load

estimator = load("{file}", trusted=get_untrusted_types(file="{file}"))  # look at these types before you trust them
labels = estimator.predict(np.zeros((1, {width})))  # your vectors, in place of zeros
""",
}
_LIBRARIES = {".onnx": "onnx", ".skops": "sklearn"}
_OPEN = (
    ("Intended use", "For the author to fill: what it is for, and what it must not be used for."),
    ("License and contact", "For the author to fill."),
)


def model_card(state: State, file: str) -> str:
    """Return the Markdown of a model card.

    Args:
        state: of a step `classify`.
        file: name of the exported file, `.onnx` or `.skops`.
    """
    suffix = Path(file).suffix
    header = {"library_name": _LIBRARIES[suffix], "tags": ["poolwright", "embeddings"]}
    comparison = compared_in(state)
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
        f"# {plain(Path(file).stem)}",
        *_described(state, file),
        "## How it was chosen",
        " ".join(map(plain, comparison.words)),
        candidates_grid(comparison),
    ]
    for title, text in _OPEN:
        parts += [f"## {title}", text]
    return "\n\n".join(parts) + "\n"


def _described(state: State, file: str) -> list[str]:
    model, width = state.values["classifier"], width_of(state)
    names = [code(name) for name in model["classes"]]
    classes = f"Classes: {', '.join(names)}."
    if len(names) == 2 and Path(file).suffix == ".onnx":
        threshold = float(state.values["threshold"])
        classes += f" A score is the decision less the threshold of {threshold:.4g}; above 0 is {names[1]}."
    return [
        f"A classifier ({code(model['kind'])}) of {_FEATURES[state.values['features']]}, {width:,} numbers in all, "
        "from the encoder that made those of the examples. It comes from the step `classify` of poolwright.",
        classes,
        f"SHA-256 of its parameters: {code(model['digest'])}.",
        fenced(_RUN[Path(file).suffix].format(file=file, width=width), "python"),
    ]
