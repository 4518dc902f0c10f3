#!/usr/bin/env bash
# mlcroissant 1.1.1: reading one split of a Dataset changes what all later reads of the same object give.
#
# Expected: `dataset.records("rows", filters={"rows/split": "train"})` gives a view, and `dataset.records("rows")` all rows,
# whatever was read before, as with `datasets` or PyArrow. The filter is written into the patterns of the Dataset's file
# sets, in place: without a filter the same object then gives no row at all, and no message says so.
#
# Seen, one Dataset, one call after the other, rows a and b in train, c in test:
#   records("rows")                                       a b c
#   records("rows", filters={"rows/split": "train"})      a b
#   records("rows")                                       nothing
#   records("rows", filters={"rows/split": "test"})       c
#   a new Dataset, records("rows")                        a b c
#
# To do: make a new Dataset before all rows are read. `poolwright verify` names a split each time.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "mlcroissant==1.1.1"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END'
import json
import logging
import sys
from pathlib import Path

import mlcroissant as mlc

logging.disable(logging.WARNING)
top = Path(sys.argv[1])
(top / "data").mkdir()
for split, letters in {"train": "ab", "test": "c"}.items():
    (top / "data" / f"{split}.csv").write_text("name\n" + "".join(f"{letter}\n" for letter in letters))
field = {"@type": "cr:Field", "dataType": "sc:Text"}
document = {
    "@context": {
        "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/", "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
        "conformsTo": "dct:conformsTo", "recordSet": "cr:recordSet", "field": "cr:field", "key": "cr:key",
        "source": "cr:source", "extract": "cr:extract", "column": "cr:column", "fileSet": "cr:fileSet",
        "fileObject": "cr:fileObject", "references": "cr:references", "fileProperty": "cr:fileProperty",
        "transform": "cr:transform", "regex": "cr:regex", "includes": "cr:includes",
    },
    "@type": "sc:Dataset",
    "name": "letters",
    "description": "Letters.",
    "license": "CC0-1.0",
    "url": "https://example.org",
    "conformsTo": "http://mlcommons.org/croissant/1.0",
    "distribution": [
        {"@type": "cr:FileObject", "@id": "root", "name": "root", "contentUrl": ".", "encodingFormat": "git+https", "sha256": "main"},
        {"@type": "cr:FileSet", "@id": "files", "name": "files", "containedIn": {"@id": "root"}, "encodingFormat": "text/csv", "includes": "data/*.csv"},
    ],
    "recordSet": [
        {"@type": "cr:RecordSet", "@id": "splits", "name": "splits", "dataType": "cr:Split", "key": {"@id": "splits/name"},
         "field": [{**field, "@id": "splits/name", "name": "splits/name"}],
         "data": [{"splits/name": "train"}, {"splits/name": "test"}]},
        {"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": [
            {**field, "@id": "rows/split", "name": "rows/split", "references": {"field": {"@id": "splits/name"}},
             "source": {"fileSet": {"@id": "files"}, "extract": {"fileProperty": "filename"}, "transform": {"regex": r"(\w+)\.csv"}}},
            {**field, "@id": "rows/name", "name": "rows/name", "source": {"fileSet": {"@id": "files"}, "extract": {"column": "name"}}},
        ]},
    ],
}
(top / "croissant.json").write_text(json.dumps(document))


def rows(dataset, **options):
    return " ".join(sorted(record["rows/name"].decode() for record in dataset.records("rows", **options)))


dataset = mlc.Dataset(str(top / "croissant.json"))
found = [
    rows(dataset),
    rows(dataset, filters={"rows/split": "train"}),
    rows(dataset),
    rows(dataset, filters={"rows/split": "test"}),
    rows(mlc.Dataset(str(top / "croissant.json"))),
]
print(found)
if found != ["a b c", "a b", "", "c", "a b c"]:
    raise SystemExit("CHANGED")
END
