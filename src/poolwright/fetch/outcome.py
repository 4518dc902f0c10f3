"""Define the outcome of a row: its status and error class.

`status` is that of img2dataset if it has one ('success', 'failed_to_download'); the others mark rows that would
otherwise look like a failed download or, worse, like a success. `error_class` gives the reason in more detail.
"""

from __future__ import annotations

from dataclasses import dataclass

SUCCESS = "success"
FAILED = "failed_to_download"
HASH_MISMATCH = "hash_mismatch"
PLACEHOLDER = "placeholder"
OPTED_OUT = "opted_out"
ROBOTS = "robots"
TDM_RESERVED = "tdm_reserved"


@dataclass(frozen=True)
class ErrorClass:
    """One reason why a row has no image.

    Attributes:
        words: its meaning.
        retried: whether another try may succeed.
        unreachable: whether it counts against the whole host.
        status: status of the rows with this reason.
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
    "total_timeout": ErrorClass("took too long in total"),
    "connection_lost": ErrorClass("the connection broke before the end", retried=True),
    "incomplete_body": ErrorClass("the compressed body ended too early", retried=True),
    "bad_response": ErrorClass("not understood as HTTP", retried=True),
    "bad_encoding": ErrorClass("a content encoding that was not asked for"),
    "bad_redirect": ErrorClass("redirected to nowhere"),
    "too_many_redirects": ErrorClass("redirected too often"),
    "not_found": ErrorClass("404 or 410: gone"),
    "forbidden": ErrorClass("401, 403 or 451: access denied"),
    "too_many_requests": ErrorClass("429: too many requests", retried=True),
    "client_error": ErrorClass("another 4xx, or an unusual status"),
    "server_error": ErrorClass("5xx: an error of the server", retried=True),
    "too_large": ErrorClass("more bytes than allowed"),
    "empty": ErrorClass("no bytes"),
    "not_an_image": ErrorClass("something other than an image, such as a web page"),
    "broken_image": ErrorClass("an image that cannot be read"),
    "bad_sha256": ErrorClass("the expected digest is malformed"),
    "hash_mismatch": ErrorClass("bytes do not match the expected digest", status=HASH_MISMATCH),
    "placeholder": ErrorClass("a known placeholder image", status=PLACEHOLDER),
    "robots": ErrorClass("robots.txt does not allow it", status=ROBOTS),
    "robots_unreachable": ErrorClass("robots.txt cannot be read, so nothing is allowed", status=ROBOTS),
    "tdm_reserved": ErrorClass("text and data mining is reserved (TDMRep)", status=TDM_RESERVED),
    "opted_out": ErrorClass("an X-Robots-Tag opts out", status=OPTED_OUT),
}
"""Error classes by name, in the order of the stages of a request."""


class Failure(Exception):
    """A request did not end with an image. Never leaves the package.

    Attributes:
        error_class: a key of `CLASSES`.
        wait: seconds that the server asked to wait, if it did.
        http_status: status of the response, if there was one.
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
    """Outcome of one row. `row` is its index in the shard, from 0.

    `sha256` is that of the received bytes, also if they are not the expected ones. `seconds` is time on the network;
    `attempts` counts tries, not redirects.
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
        """Mark the outcome as failed; the fields of the response stay."""
        self.status, self.error_class, self.error_message = CLASSES[error_class].status, error_class, message
        self.format = self.width = self.height = self.exif = None
