"""YFCC100M files for tests, made up."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Mapping
from hashlib import md5
from pathlib import Path

HASH = "d41d8cd98f00b204e9800998ecf8427e"

PHOTO = {
    "line_number": "0",
    "photo_id": "6985418911",
    "hash": HASH,
    "user_nsid": "11111111@N00",
    "author": "Jos%C3%A9+R.",
    "taken": "2012-02-16 09:56:37.0",
    "uploaded_at": "1331840483",
    "capture_device": "Canon+PowerShot+S2",
    "title": "The+%22old%22+pier",
    "description": "two%0Alines%2C+100%25",
    "user_tags": "key+west,sunset%2C+late",
    "machine_tags": "geo:lat=1",
    "longitude": "-81.804885",
    "latitude": "24.550558",
    "accuracy": "12",
    "page_url": "http://www.flickr.com/photos/11111111@N00/6985418911/",
    "url": "http://farm8.staticflickr.com/7205/6985418911_df.jpg",
    "license_name": "Attribution-NonCommercial-NoDerivs License",
    "license_url": "http://creativecommons.org/licenses/by-nc-nd/2.0/",
    "server": "7205",
    "farm": "8",
    "secret": "df7747990d",
    "original_secret": "692d7e0a7f",
    "extension": "jpg",
    "media": "0",
}
"""Fields of one line, in order, as they are written."""


def line(without: tuple[str, ...] = (), **changes: object) -> str:
    """A line with some fields changed, and some left out."""
    fields = {**PHOTO, **{name: str(value) for name, value in changes.items()}}
    return "\t".join(text for name, text in fields.items() if name not in without)


def lines(count: int, first: int = 1000) -> list[str]:
    """Lines of `count` photos with ids from `first` on."""
    return [line(line_number=n, photo_id=first + n, title=f"photo+{n}", media=n % 2) for n in range(count)]


def write(path: Path, rows: list[str], end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(row + end for row in rows).encode())
    return path


COLUMNS = (
    "photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title", "description", "usertags",
    "machinetags", "longitude", "latitude", "accuracy", "pageurl", "downloadurl", "licensename", "licenseurl",
    "serverid", "farmid", "secret", "secretoriginal", "ext", "marker",
)  # fmt: skip
"""Columns of the SQLite database that the package yfcc100m downloads."""


def write_database(path: Path, rows: list[str]) -> Path:
    """Lines with number and hash as the SQLite database of the package has them."""
    types = {"photoid": "INTEGER", "marker": "INTEGER"}
    columns = ", ".join(f"{name} {types.get(name, 'TEXT')}" for name in COLUMNS)
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE yfcc100m_dataset ({columns})")
    values = [(fields[1], *fields[3:]) for fields in (row.split("\t") for row in rows)]
    database.executemany(f"INSERT INTO yfcc100m_dataset VALUES ({','.join('?' * len(COLUMNS))})", values)
    database.commit()
    database.close()
    return path


def hash_of(url: str) -> str:
    """The package's name of a photo: MD5 of its URL, without the leading zero of each byte."""
    digits = md5(url.encode()).hexdigest()
    return "".join(digits[at : at + 2].removeprefix("0") for at in range(0, 32, 2))


def write_zips(folder: Path, images: Mapping[str, bytes], extension: str = "jpg", suffix: str = "") -> Path:
    """Images by URL, in the zip files of the package."""
    folder.mkdir(parents=True, exist_ok=True)
    for url, data in images.items():
        key = hash_of(url)
        with zipfile.ZipFile(folder / f"{key[:3]}{suffix}.zip", "a") as archive:
            archive.writestr(f"data/images/{key[:3]}/{key[3:6]}/{key}.{extension}", data)
    return folder
