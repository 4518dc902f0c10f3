"""Remote files: ranges, further tries, what identifies their contents, and what is said if they cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.stores import WebServer, s3, s3_service, web  # noqa: F401

from poolwright.core.errors import InputError, MissingExtra, RecipeError
from poolwright.core.remote import failures, schemes
from poolwright.core.remote.files import local_file, open_file
from poolwright.core.remote.listing import content_of, info_of, infos_of

DATA = os.urandom(300_000)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_WAITS", (0.0, 0.0, 0.0))


def test_a_file_is_read_in_ranges(web: WebServer) -> None:  # noqa: F811
    web.files["/a.bin"] = DATA
    with open_file(f"{web.url}/a.bin", buffer=1_000) as file:
        file.seek(-500, os.SEEK_END)
        assert file.read(200) == DATA[-500:-300]
        file.seek(1_000)
        assert file.read(5_000) == DATA[1_000:6_000]
    assert web.sent < 8_000
    with open_file(f"{web.url}/a.bin") as file:
        assert file.read() == DATA


def test_what_may_pass_is_tried_again(web: WebServer) -> None:  # noqa: F811
    web.files["/a.bin"] = DATA
    web.faults = [503, 429, 500]
    with open_file(f"{web.url}/a.bin") as file:
        assert file.read(10) == DATA[:10]
        web.faults = [403]
        file.seek(200_000)
        file.read(1)  # still in the buffer
    web.faults = [502] * 4
    with open_file(f"{web.url}/a.bin") as file, pytest.raises(InputError, match=r"a\.bin: .* the server answers 502"):
        file.read(10)


def test_what_is_refused_is_not_tried_again(web: WebServer) -> None:  # noqa: F811
    web.files["/a.bin"] = DATA
    web.faults = [403]
    with open_file(f"{web.url}/a.bin") as file, pytest.raises(InputError, match="may not be read with the keys"):
        file.read(10)
    assert [wanted for _, _, wanted in web.seen if wanted] == ["bytes=0-299999"]


def test_a_server_without_ranges_gives_files_from_front_to_back(web: WebServer) -> None:  # noqa: F811
    web.ranges, web.files["/a.bin"] = False, DATA
    with open_file(f"{web.url}/a.bin", buffer=100_000) as file:
        assert file.read() == DATA
    with open_file(f"{web.url}/a.bin", buffer=1_000) as file:
        file.seek(200_000)
        assert file.read(10) == DATA[200_000:200_010]
        with pytest.raises(InputError, match="gives files as a whole alone"):
            file.seek(100)


def test_a_small_file_is_copied_once(web: WebServer) -> None:  # noqa: F811
    web.files["/words.txt"] = b"cat\n"
    first = local_file(f"{web.url}/words.txt?token=1")
    assert (first.name, first.read_bytes()) == ("words.txt", b"cat\n")
    assert local_file(f"{web.url}/words.txt?token=1") == first
    web.files["/words.txt"] = b"dog\n"
    assert local_file(f"{web.url}/words.txt?token=1").read_bytes() == b"dog\n"
    assert local_file("here.txt") == Path("here.txt")


@pytest.mark.parametrize(
    ("url", "info", "content"),
    [
        ("hf://datasets/a/b/c", {"lfs": {"sha256": "12"}}, "sha256:12"),
        ("s3://b/k", {"ETag": '"12-3"', "size": 9}, "etag:9-12-3"),
        ("gs://b/k", {"md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg==", "etag": "CJ"}, "md5:1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("gs://b/k", {"crc32c": "AAAAAA==", "etag": "CJ"}, "crc32c:AAAAAA=="),
        ("az://b/k", {"content_settings": {"content_md5": bytearray(b"\x01\x02")}, "etag": "0x8D"}, "md5:0102"),
        ("az://b/k", {"content_settings": {"content_md5": None}, "etag": "0x8D", "size": 3}, "etag:3-0x8D"),
        ("https://h/f", {"ETag": '"abc"', "size": 4}, "etag:4-abc"),
        ("https://h/f", {"ETag": 'W/"abc"', "size": 4}, None),
        ("https://h/f", {"Last-Modified": "yesterday"}, None),
        ("memory://f", {"created": 5}, None),
    ],
)
def test_what_identifies_the_content(url: str, info: dict[str, Any], content: str | None) -> None:
    assert content_of(url, info) == content


def test_many_files_of_a_folder_are_listed_at_once(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    s3.pipe({f"pools/many/{number}.txt": b"%d" % number for number in range(20)})
    asked = []
    monkeypatch.setattr("poolwright.core.remote.listing.info_of", lambda url: asked.append(url) or info_of(url))
    found = infos_of([*(f"s3://pools/many/{number}.txt" for number in range(20)), "s3://pools/many/3.txt"])
    assert len(found) == 20
    assert not asked
    assert found["s3://pools/many/7.txt"] == info_of("s3://pools/many/7.txt")
    with pytest.raises(FileNotFoundError, match=r"s3://pools/many/20\.txt"):
        infos_of(f"s3://pools/many/{number}.txt" for number in range(21))


@pytest.mark.parametrize(("scheme", "extra"), [("gs", "gcs"), ("az", "azure"), ("abfss", "azure")])
def test_a_missing_library_is_named(scheme: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gcsfs", "adlfs"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'poolwright\[{extra}\]'"):
        open_file(f"{scheme}://bucket/file.csv")
    with pytest.raises(RecipeError, match="no file system for this URL"):
        open_file("nowhere://bucket/file.csv")


def test_a_store_that_is_not_set_up_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setattr(schemes, "is_installed", lambda module: True)

    def refuse(url: str, **_: Any) -> None:
        raise ValueError("Must provide either a connection_string or account_name with credentials!!")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(RecipeError, match=r"account_name with credentials.*; set AZURE_STORAGE_ACCOUNT_NAME"):
        schemes.file_system("az://bucket/file.csv")


class Refused(Exception):
    """As gcsfs raises it."""

    __module__ = "gcsfs.retry"
    code = 401


class ClientAuthenticationError(Exception):
    """As the client of Azure raises it."""

    __module__ = "azure.core.exceptions"
    status_code = 403

    def __init__(self) -> None:
        super().__init__("no")
        self.response = self


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("gs://b/k", Refused("no"), "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://b/k", ClientAuthenticationError(), "AZURE_STORAGE_ACCOUNT_KEY"),
        ("s3://b/k", PermissionError("Forbidden"), "AWS_PROFILE"),
    ],
)
def test_missing_keys_are_named(url: str, error: Exception, words: str) -> None:
    with pytest.raises(InputError, match=rf"{url}: may not be read .*{words}"), failures.reaching(url):
        raise error


def test_no_keys_at_all(s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # noqa: F811
    import fsspec

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(InputError, match="may not be read with the keys there are; set AWS_PROFILE"):
        open_file("s3://pools/x.parquet")
    fsspec.filesystem("s3").clear_instance_cache()
