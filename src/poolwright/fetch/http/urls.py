"""Normalize URLs for a request: http or https, an ASCII host, no user name, percent-encoded; refuse all others."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

from poolwright.fetch.outcome import Failure

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 8_000

BLOCKED_PORTS = frozenset(
    (0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
     110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
     532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
     5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211)
)  # fmt: skip
"""Ports of other services, which a request must not connect to: those of the Fetch standard (fetch.spec.whatwg.org,
'port blocking'), and Redis and memcached."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?")
_SAFE = "!#$%&'()*+,/:;=?@[]~-._"


@dataclass(frozen=True)
class RequestTarget:
    """Target of a request. `path` begins with '/' and holds the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The target as a URL."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(url: str | None) -> RequestTarget:
    """Parse a URL into a target. User name, password and fragment are left out.

    Raises:
        Failure: bad_url, refused_scheme or refused_port.
    """
    if not url or not url.strip():
        raise Failure("bad_url", "there is no URL")
    if len(url) > _LONGEST:
        raise Failure("bad_url", f"a URL of {len(url)} characters; {_LONGEST} are allowed")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Failure("bad_url", f"{error}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise Failure("refused_scheme", f"'{parts.scheme}' is neither http nor https")
    if not host:
        raise Failure("bad_url", "there is no host")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port in BLOCKED_PORTS:
        raise Failure("refused_port", f"port {port} is that of another service")
    query = f"?{_quoted(parts.query)}" if parts.query else ""
    return RequestTarget(parts.scheme, ascii_host(host), port, (_quoted(parts.path) or "/") + query)


def _quoted(text: str) -> str:
    """Percent-encode characters that are not allowed in a request line; encoded ones stay."""
    if not text.isascii() or "%" in text:
        text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    return quote(text, safe=_SAFE, errors="replace")


@lru_cache(10_000)
def ascii_host(host: str) -> str:
    """Convert a host name to ASCII: internationalised names by IDNA 2008 with UTS 46, addresses as they are.

    Raises:
        Failure: bad_url.
    """
    bare = host.partition("%")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if host.isascii():
        name = host.lower()
    else:
        import idna

        try:
            name = idna.encode(host, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError) as error:
            raise Failure("bad_url", f"host {host!r}: {error}") from None
    labels = name.removesuffix(".").split(".")
    if not _HOST.fullmatch(name) or len(name) > 253 or any(not 0 < len(label) < 64 for label in labels):
        raise Failure("bad_url", f"{host!r} is not a host name")
    return name


def redirected(target: RequestTarget, location: str) -> RequestTarget:
    """Return the target of a redirect.

    Args:
        target: target of the response.
        location: its Location header, relative or absolute.

    Raises:
        Failure: as `parse_url`, or bad_redirect if the header is missing.
    """
    if not location.strip():
        raise Failure("bad_redirect", "redirected without a location")
    try:
        url = urljoin(target.url, location.strip())
    except ValueError as error:
        raise Failure("bad_redirect", f"{error}") from None
    try:
        return parse_url(url)
    except Failure as failure:
        raise Failure(failure.error_class, f"redirected to {url[:200]}: {failure.message}") from None
