#!/usr/bin/env bash
# datasets 5.2.0: ClassLabel takes an unknown name that is a number for an index.
#
# Expected: a label that is none of the names is an error. It is, for 'cat'. But '1' is read as index 1, if it is below
# the number of classes. Names that are numbers are common (Oxford flowers '1' to '102', WordNet offsets, ids of
# classes), and a row whose class was left out of the names then silently gets the label of another class. -1 is
# accepted too, and means 'no label'.
#
# Seen:
#   names ['10', '20', '2'], labels ['10', '2', '1', '0'] -> [0, 2, 1, 0]
#   which are the classes ['10', '2', '20', '10']
#   label 'cat' -> ValueError: Invalid string class label cat
#
# To do: compare labels with the names before ClassLabel sees them.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "datasets==5.2.0"
unset PYTHONPATH
export HF_HUB_OFFLINE=1
"$dir/env/bin/python" - "$dir" <<'END'
from datasets import ClassLabel, Dataset, Features

classes = ClassLabel(names=["10", "20", "2"])
given = ["10", "2", "1", "0"]  # '1' and '0' are no names
labels = Dataset.from_dict({"label": given}, features=Features({"label": classes}))["label"][:]
names = classes.int2str(labels)
print(f"names {classes.names}, labels {given} -> {labels}")
print(f"which are the classes {names}")
try:
    Dataset.from_dict({"label": ["cat"]}, features=Features({"label": classes}))
except ValueError as error:
    print(f"label 'cat' -> ValueError: {error}")
else:
    raise SystemExit("CHANGED: 'cat' is accepted")
if labels != [0, 2, 1, 0] or names != ["10", "2", "20", "10"]:
    raise SystemExit("CHANGED: an unknown number is no index any more")
END
