"""Outcome: what became of one row, and the words for it.

`status` is img2dataset's where it has a word ('success', 'failed_to_download'); three of our own say what
would otherwise look like a failed download or, worse, like a success. `error_class` says more finely why.
"""

from __future__ import annotations

from dataclasses import dataclass

SUCCESS = "success"
FAILED = "failed_to_download"
HASH_MISMATCH = "hash_mismatch"
PLACEHOLDER = "placeholder"
OPTED_OUT = "opted_out"


@dataclass(frozen=True)
class ErrorClass:
    """One reason for which a row has no image.

    Attributes:
        words: what it means.
        retried: whether another try may end otherwise.
        unreachable: whether it speaks against the whole host.
        status: of the rows it happens to.
    """

    words: str
    retried: bool = False
    unreachable: bool = False
    status: str = FAILED


CLASSES: dict[str, ErrorClass] = {
    "bad_url": ErrorClass("the URL is missing or malformed"),
    "refused_scheme": ErrorClass("neither http nor https"),
    "refused_port": ErrorClass("a port of another service, such as mail"),
    "refused_address": ErrorClass("a private, local or reserved address"),
    "dns_failed": ErrorClass("the name does not exist"),
    "dns_temporary": ErrorClass("the name server did not answer", retried=True, unreachable=True),
    "connect_failed": ErrorClass("the connection was refused", retried=True, unreachable=True),
    "connect_timeout": ErrorClass("no connection in time", retried=True, unreachable=True),
    "tls_failed": ErrorClass("no secure connection: certificate or protocol"),
    "host_down": ErrorClass("not tried: the host could not be reached many times in a row"),
    "read_timeout": ErrorClass("the server went silent", retried=True, unreachable=True),
    "total_timeout": ErrorClass("took too long in all"),
    "connection_lost": ErrorClass("the connection broke before the end", retried=True),
    "bad_response": ErrorClass("not understood as HTTP", retried=True),
    "bad_encoding": ErrorClass("a content encoding that was not asked for"),
    "bad_redirect": ErrorClass("redirected to nowhere"),
    "too_many_redirects": ErrorClass("redirected too often"),
    "not_found": ErrorClass("404 or 410: gone"),
    "forbidden": ErrorClass("401, 403 or 451: not for us"),
    "too_many_requests": ErrorClass("429: asked too often", retried=True),
    "client_error": ErrorClass("another 4xx, or an odd status"),
    "server_error": ErrorClass("5xx: trouble of the server", retried=True),
    "too_large": ErrorClass("more bytes than allowed"),
    "empty": ErrorClass("no bytes"),
    "not_an_image": ErrorClass("something else than an image, such as a web page"),
    "broken_image": ErrorClass("an image that cannot be read"),
    "bad_sha256": ErrorClass("the expected SHA-256 is not one"),
    "hash_mismatch": ErrorClass("other bytes than the SHA-256 says", status=HASH_MISMATCH),
    "placeholder": ErrorClass("a known placeholder image", status=PLACEHOLDER),
    "opted_out": ErrorClass("an X-Robots-Tag says no", status=OPTED_OUT),
}
"""Every error class, in the order of what happens to a request."""


class Failure(Exception):
    """Why a request did not end with an image. Carries its class; never leaves the package.

    Attributes:
        error_class: a key of `CLASSES`.
        wait: seconds that the server asked to wait, if it did.
        http_status: of the response, if there was one.
    """

    def __init__(
        self, error_class: str, message: str, http_status: int | None = None, wait: float | None = None
    ) -> None:
        super().__init__(message)
        self.error_class, self.message = error_class, message
        self.http_status, self.wait = http_status, wait

    @property
    def kind(self) -> ErrorClass:
        return CLASSES[self.error_class]


@dataclass
class FetchOutcome:
    """What became of one row. `row` is its place in the shard, from 0.

    `sha256` is of the bytes that came, also where they are not what was expected. `seconds` is time on the
    network; `attempts` counts tries, not redirects.
    """

    row: int
    status: str = SUCCESS
    error_class: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    attempts: int = 0
    seconds: float = 0.0
    bytes: int | None = None
    sha256: str | None = None
    final_url: str | None = None
    content_type: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    exif: str | None = None

    def fail(self, error_class: str, message: str) -> None:
        """Turn the outcome into a failed one; what is known of the response stays."""
        self.status, self.error_class, self.error_message = CLASSES[error_class].status, error_class, message
        self.format = self.width = self.height = self.exif = None
