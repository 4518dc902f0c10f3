#!/usr/bin/env bash
# yfcc100m 1.0.1: the hash that names a photo is not the hexadecimal MD5 of its URL, and yfcc100m_dataset.sql is no SQL.
#
# Expected: photos are named by md5(url).hexdigest(), 32 digits, and a file .sql is text. Each byte of the MD5 loses its
# leading zero, so that most names are shorter, and some have another first three digits, which name the zip. The
# metadata is a SQLite database in spite of its name.
#
# Seen:
#   md5  c4ca4238a0b923820dcc509a6f75849b
#   name c4ca4238a0b92382dcc509a6f75849b in c4c.zip
#   differ: 619 of 1000; lengths 26 to 32
#   member: data/images/c4c/a42/c4ca4238a0b92382dcc509a6f75849b.jpg
#   database: yfcc100m_dataset.sql
#
# To do: compute the name as the package does; recognise the database by its first 16 bytes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
pip=("${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check)
"${pip[@]}" "boto3==1.40.0" "tqdm==4.67.1" "datadings==3.4.6"
"${pip[@]}" --no-deps "yfcc100m==1.0.1"
unset PYTHONPATH
"$dir/env/bin/python" - <<'END'
from hashlib import md5

from yfcc100m.convert_metadata import yfcc_hash
from yfcc100m.tools import get_possible_keys
from yfcc100m.vars import FILES

name = yfcc_hash("1")
print("md5 ", md5(b"1").hexdigest())
print("name", name, "in", name[:3] + ".zip")
urls = [f"http://farm1.staticflickr.com/1/{number}_a.jpg" for number in range(1000)]
names = [yfcc_hash(url) for url in urls]
differ = sum(name != md5(url.encode()).hexdigest() for name, url in zip(names, urls))
print(f"differ: {differ} of 1000; lengths {min(map(len, names))} to {max(map(len, names))}")
print("member:", next(get_possible_keys({"marker": 0, "key": name, "ext": "jpg"}))[1])
print("database:", FILES["db"]["path"])
if not differ or FILES["db"]["path"] != "yfcc100m_dataset.sql":
    raise SystemExit("CHANGED: names are the MD5")
END
