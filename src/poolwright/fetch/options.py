"""Options of a fetch, with defaults that suit a list of URLs from an unknown source."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from poolwright.core.errors import did_you_mean
from poolwright.fetch.outcome import CLASSES

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SHA256 = re.compile(r"[0-9a-f]{64}")

ROBOTS = ("noai", "noimageai", "noindex", "noimageindex")
"""Directives of X-Robots-Tag that opt out; the same as in img2dataset."""

ALL_FAILED = "all"


def parse_bytes(value: Any) -> Any:
    """Parse a size such as 50_000_000 or '50MB' (powers of 1000; 'MiB' of 1024).

    Raises:
        ValueError: the text is not a size.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([\d_]+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower())
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{value!r} is not a size such as 50MB")
    return int(float(match[1]) * _UNITS[match[2]])


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in lower-case hex."""
    return _SHA256.fullmatch(text) is not None


def _as_tuple(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=int | str), Field(ge=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=tuple[str, ...] | str)]
Seconds = Annotated[float, Field(gt=0)]


class FetchOptions(BaseModel):
    """Options of a fetch. Those that decide the layout are stored with the output and must not change later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(default="url", description="column of the URL")
    caption: str = Field(default="text", description="column of the caption; a missing one is no error by default")
    sha256: str = Field(
        default="sha256",
        description="column of the expected SHA-256 (or MD5, SHA-1, SHA-512), if there is one; empty for none",
    )
    uid: str = Field(default="uid", description="column of the id, if there is one")
    columns: Words | None = Field(
        default=None, description="further columns to carry along; default all but vectors, bytes and nested ones"
    )
    header: Words | None = Field(
        default=None, description="names of the columns of a CSV or TSV file without a line of names"
    )
    format: Literal["webdataset", "files"] = Field(default="webdataset", description="tar files, or folders of files")
    shard_rows: int = Field(default=10_000, ge=1, le=1_000_000, description="rows per shard")
    exif: bool = Field(default=True, description="write EXIF tags as JSON")
    check: Literal["header", "decode", "none"] = Field(
        default="header", description="check of an image: its header, all of its pixels, or none"
    )

    concurrency: int = Field(default=64, ge=1, le=4096, description="requests at once")
    per_host: int = Field(default=4, ge=1, description="requests at once to one host")
    host_delay: float = Field(default=0.0, ge=0, description="seconds between two requests to one host")
    host_failures: int = Field(
        default=50, ge=1, description="failures in a row after which an unreachable host is skipped in this run"
    )

    timeout: Seconds = Field(default=10.0, description="seconds to resolve a name, to connect, and between two bytes")
    total: Seconds = Field(default=60.0, description="seconds on the network for one URL, with redirects and retries")
    max_bytes: Size = Field(default=50_000_000, description="largest size of an image in bytes")
    redirects: int = Field(default=8, ge=0, description="redirects to follow")
    retries: int = Field(default=2, ge=0, description="retries after temporary errors")
    backoff: float = Field(default=1.0, ge=0, description="seconds before the first retry; doubles each time")
    max_wait: float = Field(
        default=30.0, ge=0, description="longest wait before a retry in seconds, also with Retry-After"
    )

    allow_private: bool = Field(
        default=False, description="allow private and local addresses; never those of cloud metadata services"
    )
    allow_networks: Words = Field(default=(), description="networks to allow, such as 10.1.0.0/16")
    proxy: str | None = Field(
        default=None, description="URL of a proxy, or 'env' for HTTPS_PROXY; it resolves names itself, so it must guard"
    )
    verify_tls: bool = Field(default=True, description="refuse servers without a valid certificate")
    user_agent: str | None = Field(default=None, description="User-Agent; default: poolwright with its version")
    robots_txt: bool = Field(
        default=True, description="fetch what robots.txt of a host allows, at the pace that it asks for"
    )
    tdm: bool = Field(
        default=True, description="leave out images whose hosts reserve text and data mining (TDMRep, file or header)"
    )
    robots: Words = Field(default=ROBOTS, description="directives of X-Robots-Tag that are respected; empty for none")

    placeholders: Words = Field(default=(), description="SHA-256 of placeholder images, which replace missing ones")
    repeat_alarm: int = Field(default=10, ge=2, description="report bytes that came from this many URLs or more")
    retry: Words = Field(default=(), description="error classes to fetch again in finished shards; 'all' for every one")

    @field_validator("allow_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("user_agent")
    @classmethod
    def _agent(cls, value: str | None) -> str | None:
        if value is not None and not (value.isprintable() and value.strip()):
            raise ValueError(f"{value!r} cannot be sent: a User-Agent is one line of printable characters")
        return value

    @field_validator("placeholders")
    @classmethod
    def _hashes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(text.lower() for text in value)
        for text in lowered:
            if not is_sha256(text):
                raise ValueError(f"{text!r} is not a SHA-256 in hex (64 characters)")
        return lowered

    @field_validator("retry")
    @classmethod
    def _classes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name != ALL_FAILED and name not in CLASSES:
                raise ValueError(f"no error class '{name}'; {did_you_mean(name, [*CLASSES, ALL_FAILED])}")
        return value
