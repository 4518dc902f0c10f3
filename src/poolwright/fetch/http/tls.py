"""Settings of TLS: the authorities that the system trusts."""

from __future__ import annotations

import os
import platform
import ssl

from poolwright.core.errors import MissingExtra

_CERTIFICATES = (
    "/etc/ssl/cert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/ca-bundle.pem",
)  # fmt: skip
"""Where distributions keep the certificates of authorities, for a Python whose OpenSSL looks elsewhere."""

_BROKE = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def tls_context(verify: bool) -> ssl.SSLContext:
    """Return the settings of TLS, with the certificates of authorities that the system trusts.

    Args:
        verify: whether to refuse servers without a valid certificate.

    Raises:
        MissingExtra: the library that reads the authorities of Windows and macOS is not installed.
    """
    context = _verifying()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _verifying() -> ssl.SSLContext:
    named = any(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))
    if platform.system() in ("Windows", "Darwin") and not named:
        try:
            import truststore
        except ImportError:
            raise MissingExtra("truststore", "checking certificates") from None
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not (named or paths.cafile or paths.capath):
        found = next(filter(os.path.isfile, _CERTIFICATES), None)
        context.load_verify_locations(found) if found else None
    return context


def is_refusal(error: OSError) -> bool:
    """Whether a connection failed because of its certificate or protocol, rather than because it broke."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, _BROKE)
