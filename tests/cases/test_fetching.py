"""Fetching from servers and lists as they are: what they send, how lists write digests, and who reads the result."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.fetch.fetch import fetch_images
from poolwright.fetch.options import FetchOptions
from tests.calling import call
from tests.cases.web import RawServer, photo, response

PHOTO = photo()


def fetched(rows: dict[str, Any], to: Path, **options: Any) -> list[dict[str, Any]]:
    """Fetch rows from this machine and return those of the first shard."""
    source = to.with_suffix(".parquet")
    pq.write_table(pa.table(rows), source)
    fetch_images(source, to, FetchOptions(allow_private=True, retries=0, robots_txt=False, tdm=False, **options))
    found: list[dict[str, Any]] = pq.read_table(to / "00000.parquet").to_pylist()
    return found


def outcomes(responses: dict[str, bytes], to: Path, **options: Any) -> dict[str, str | None]:
    """Return the error class of every path that is fetched; None if there is an image, which is then PHOTO."""
    with RawServer(responses) as server:
        rows = fetched({"url": [server.url(path) for path in responses]}, to, **options)
    digest = hashlib.sha256(PHOTO).hexdigest()
    assert all(row["sha256"] == digest for row in rows if row["status"] == "success")
    return {path: row["error_class"] for path, row in zip(responses, rows, strict=True)}


@pytest.mark.parametrize(
    ("location", "asked"),
    [("/zürich.jpg".encode(), "/z%C3%BCrich.jpg"), ("/zürich.jpg".encode("latin-1"), "/z%FCrich.jpg"),
     ("/東京 a.jpg?ö=1".encode(), "/%E6%9D%B1%E4%BA%AC%20a.jpg?%C3%B6=1")],
)  # fmt: skip
def test_a_location_in_raw_bytes(tmp_path: Path, location: bytes, asked: str) -> None:
    moved = response(b"", b"Location: " + location, status=b"301 Moved Permanently")
    with RawServer({"/old": moved, asked: response(PHOTO)}) as server:
        rows = fetched({"url": [server.url("/old")]}, tmp_path / "out")
    assert (rows[0]["status"], set(server.asked)) == ("success", {"/old", asked})


def test_words_of_content_encoding(tmp_path: Path) -> None:
    raw = zlib.compressobj(wbits=-15)
    bodies = {
        b"aws-chunked": PHOTO, b"image/jpeg": PHOTO, b"utf-8, none": PHOTO, b"identity, gzip": gzip.compress(PHOTO),
        b"deflate, gzip": gzip.compress(zlib.compress(PHOTO)), b"deflate": raw.compress(PHOTO) + raw.flush(),
        b"x-gzip": gzip.compress(PHOTO[:100]) + gzip.compress(PHOTO[100:]) + bytes(8),
    }  # fmt: skip
    sent = {
        f"/{number}": response(body, b"Content-Encoding: " + words)
        for number, (words, body) in enumerate(bodies.items())
    }
    sent["/two-headers"] = response(
        gzip.compress(PHOTO), b"Content-Encoding: binary", b"Content-Encoding: gzip", status=b"203 Transformed"
    )
    assert set(outcomes(sent, tmp_path / "out").values()) == {None}
    refused = {"/br": response(PHOTO, b"Content-Encoding: binary, br")}
    assert outcomes(refused, tmp_path / "refused") == {"/br": "bad_encoding"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, deflate"])
def test_a_compressed_body_that_ends_too_early(tmp_path: Path, encoding: str) -> None:
    body = photo("BMP")
    for name in encoding.split(", "):
        body = gzip.compress(body) if name == "gzip" else zlib.compress(body)
    cut = response(body[:-9], b"Content-Encoding: " + encoding.encode())
    assert outcomes({"/cut": cut}, tmp_path / "out") == {"/cut": "incomplete_body"}


@pytest.mark.parametrize(
    "line",
    [b"Bad Name: x", b"no colon at all", b"a/b.php: no", b"Server : x", b"Transfer-Encoding: identity", b": nameless",
     b"X-A: a\x00b", b"Content-Length: about 500", b"Bad Name: x\r\n folded: further", b"\xff\xfe: x"],
)  # fmt: skip
def test_a_header_line_that_nobody_needs(tmp_path: Path, line: bytes) -> None:
    body = response(PHOTO, line)
    if line.startswith(b"Content-Length"):
        body = body.replace(b"Content-Length: %d\r\n" % len(PHOTO), b"")
    assert outcomes({"/odd": body, "/first": body.replace(b" OK\r\n", b" OK\r\n odd\r\n")}, tmp_path / "out") == {
        "/odd": None, "/first": None}  # fmt: skip


def test_a_repaired_header_still_counts(tmp_path: Path) -> None:
    sent = {"/tag": response(PHOTO, b"X-Robots-Tag : noai"), "/early": b"HTTP/1.1 103 Hints\r\nBad Name: x\r\n\r\n" + (
        response(PHOTO))}  # fmt: skip
    assert outcomes(sent, tmp_path / "out") == {"/tag": "opted_out", "/early": None}


def test_rules_of_robots_with_values(tmp_path: Path) -> None:
    no = ["none", "max-snippet: 50, noai", "noimageai, max-video-preview:-1", "somebot: all, poolwright: noindex"]
    no += ["unavailable_after: 1 May 2020 10:00, noai", "*: noai", "max-snippet:9 noimageindex", "mybot: noai"]
    yes = ["somebot: noai, noindex", "max-image-preview: none", "unavailable_after: Fri, 01 May 2099 10:00:00 GMT"]
    sent = {f"/{at}": response(PHOTO, b"X-Robots-Tag: " + said.encode()) for at, said in enumerate(no + yes)}
    sent["/several"] = response(PHOTO, b"X-Robots-Tag: somebot: nofollow", b"X-Robots-Tag: noai")
    found = list(outcomes(sent, tmp_path / "out", user_agent="MyBot/2 (+https://example.org)").values())
    assert found == ["opted_out"] * len(no) + [None] * len(yes) + ["opted_out"]


def test_dates_after_which_a_picture_is_not_to_be_used(tmp_path: Path) -> None:
    over = ["Tue, 04 May 2021 08:00:00 GMT", "4 May 21 08:00 +0100", "Tuesday, 04-May-21 08:00:00 GMT", "04-May-2021"]
    over += ["2021-05-04", "2021-05-04T08:00:00+01:00", "20210504T080000Z", "2021-05-04 08:00 UTC", "4 May 2021"]
    over += ["Tue May  4 08:00:00 2021", "4 May 2021 08:00:00 PST, nofollow"]
    ahead = ["Sat, 04 May 2097 08:00:00 GMT", "Saturday, 04-May-68 08:00:00 GMT", "2097-05-04T08:00Z", "one fine day"]
    sent = {
        f"/{at}": response(PHOTO, f"X-Robots-Tag: max-snippet: 3, unavailable_after: {date}".encode())
        for at, date in enumerate(over + ahead)
    }
    assert list(outcomes(sent, tmp_path / "out").values()) == ["opted_out"] * len(over) + [None] * len(ahead)


def test_rules_of_robots_on_a_redirect_count(tmp_path: Path) -> None:
    def moved(*lines: bytes) -> bytes:
        return b"\r\n".join([b"HTTP/1.1 302 Found", b"Location: /photo", b"Content-Length: 0", *lines, b"", b""])

    sent = {"/photo": response(PHOTO), "/no": moved(b"X-Robots-Tag: noimageai"), "/yes": moved(b"X-Robots-Tag: all")}
    assert outcomes(sent, tmp_path / "out") == {"/photo": None, "/no": "opted_out", "/yes": None}


def test_digests_in_other_forms(tmp_path: Path) -> None:
    digest = hashlib.sha256(PHOTO).digest()
    forms = [digest.hex().upper(), base64.b64encode(digest).decode(), f"sha256:{digest.hex()}", "NaN", None,
             base64.urlsafe_b64encode(digest).decode().rstrip("="), f"sha256-{base64.b64encode(digest).decode()}",
             hashlib.md5(PHOTO).hexdigest(), hashlib.sha512(PHOTO).hexdigest()]  # fmt: skip
    with RawServer({"/a": response(PHOTO)}) as server:
        urls = [server.url("/a")] * len(forms)
        rows = fetched({"url": urls, "sha256": forms}, tmp_path / "text")
        assert {row["status"] for row in rows} == {"success"}
        raw = pa.array([digest, bytes(32), None], pa.binary())
        rows = fetched({"url": urls[:3], "sha256": raw}, tmp_path / "raw")
        assert [row["error_class"] for row in rows] == [None, "hash_mismatch", None]
        rows = fetched({"url": urls[:2], "m": ["0" * 32, hashlib.md5(PHOTO).hexdigest()]}, tmp_path / "m", sha256="m")
        assert [row["error_class"] for row in rows] == ["hash_mismatch", None]


@pytest.mark.parametrize(
    ("values", "words"), [(["1234567890abcdef"] * 2, "16 characters"), ([7, 8], "int64"), ([b"12345"] * 2, "5 bytes")]
)
def test_a_column_without_digests(tmp_path: Path, values: list[Any], words: str) -> None:
    with RawServer({"/a": response(PHOTO)}) as server:
        pq.write_table(pa.table({"url": [server.url("/a")] * 2, "sum": values}), tmp_path / "list.parquet")
        done = call("fetch", "list.parquet", "out", "--allow-private", "--sha256-col", "sum", folder=tmp_path)
        assert (done.code, server.asked.total()) == (2, 0)
    assert "column 'sum' holds" in done.err
    assert words in done.err


def test_equal_urls_are_asked_once(tmp_path: Path) -> None:
    right = hashlib.sha256(PHOTO).hexdigest()
    with RawServer({"/a": response(PHOTO)}) as server:
        urls = [server.url("/a"), server.url("/gone"), server.url("/a#part")] * 4
        rows = fetched({"url": urls, "sha256": [right] * 11 + ["0" * 64]}, tmp_path / "out", shard_rows=12)
        assert server.asked == {"/a": 1, "/gone": 1}
        assert [row["error_class"] for row in rows] == [None, "not_found", None] * 3 + [
            None,
            "not_found",
            "hash_mismatch",
        ]
        assert sum(row["attempts"] for row in rows) == 2
        fetched({"url": urls}, tmp_path / "shards", shard_rows=1, per_host=1, concurrency=1)
        assert server.asked == {"/a": 2, "/gone": 2}


@pytest.mark.parametrize("layout", ["webdataset", "files"])
@pytest.mark.parametrize("check", ["header", "none"])
def test_every_format_is_read_back(tmp_path: Path, layout: str, check: str) -> None:
    kinds = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM")
    with RawServer({f"/{kind}": response(photo(kind)) for kind in kinds}) as server:
        fetched({"url": [server.url(f"/{kind}") for kind in kinds]}, tmp_path / "out", format=layout, check=check)
    recipe = "{recipe: 1, name: r, pools: {p: {read: img2dataset, path: out}}, tables: {t: {from: p, steps: [size]}}}"
    (tmp_path / "r.yaml").write_text(recipe)
    done = call("run", "r.yaml", folder=tmp_path)
    assert "8 of 8 rows kept" in done.out, done.err


def test_tars_of_mixed_formats_in_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    exif = b"\xff\xd8\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0abc\0\0\0\0\0"
    pictures = [photo("PNG")] * 6 + [exif + PHOTO[2:], photo("GIF")]
    with RawServer({f"/{at}": response(data) for at, data in enumerate(pictures)}) as server:
        urls = [server.url(f"/{at}") for at in range(8)]
        rows = {
            "url": urls,
            "text": [None] * 6 + ["a", "b"],
            "title": [None] * 6 + ["c", "d"],
            "n": [None] * 6 + [1, 2],
        }
        assert json.loads(fetched(rows, tmp_path / "out")[6]["exif"])["Make"] == "abc"
    found = datasets.load_dataset(
        "webdataset", data_files=str(tmp_path / "out" / "00000.tar"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["jpg"].format for row in found] == ["PNG"] * 6 + ["JPEG", "GIF"]
    assert [row["json"]["title"] for row in found] == [""] * 6 + ["c", "d"]


def test_rebuilt_classes_have_their_names(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["heron", "stork"], "_type": "ClassLabel"}}}}
    with RawServer({"/a": response(PHOTO)}) as server:
        rows = {"url": [server.url("/a"), server.url("/a"), server.url("/gone")], "label": [1, -1, 0]}
        table = pa.table(rows).replace_schema_metadata({"huggingface": json.dumps(features)})
        pq.write_table(table, tmp_path / "release.parquet")
        done = call("rebuild", "release.parquet", "again", "--allow-private", folder=tmp_path)
    report = json.loads((tmp_path / "again" / "recovery.json").read_text())
    assert {one["class"]: one["recovered"] for one in report["classes"]} == {"heron": 0, "stork": 1, "(none)": 1}
    assert "stork" in done.out
    assert "stork" in (tmp_path / "again" / "recovery.csv").read_text()


def test_failed_downloads_and_the_way_out(tmp_path: Path) -> None:
    with RawServer({"/a": response(PHOTO)}) as server:
        pq.write_table(pa.table({"url": [server.url("/a"), server.url("/gone")]}), tmp_path / "list.parquet")
        done = call("fetch", "list.parquet", "out", folder=tmp_path)
        assert "refused_address" in done.out
        assert "earlier" not in done.out
        done = call("fetch", "list.parquet", "out", "--allow-private", folder=tmp_path)
        assert "2 rows failed in an earlier call" in done.out
        assert "--retry" in done.out
        done = call("fetch", "list.parquet", "out", "--allow-private", "--retry", "refused_address", folder=tmp_path)
        assert "1 image of 2 rows" in done.out
        assert "earlier" not in done.out
    recipe = "{recipe: 1, name: r, pools: {p: {read: img2dataset, path: out}}, tables: {t: {from: p, steps: [STEPS]}}}"
    (tmp_path / "r.yaml").write_text(recipe.replace("STEPS", "size"))
    assert "`where: status = 'success'`" in call("run", "r.yaml", folder=tmp_path).err
    (tmp_path / "r.yaml").write_text(recipe.replace("STEPS", "{where: status = 'success'}, size"))
    assert "1 of 2 rows kept" in call("run", "r.yaml", "--fresh", "t", folder=tmp_path).out
