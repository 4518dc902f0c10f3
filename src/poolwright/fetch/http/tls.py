"""Settings of TLS: the authorities that the system trusts."""

from __future__ import annotations

import os
import ssl

import truststore

_NAMED = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def tls_context(verify: bool) -> ssl.SSLContext:
    """Return the settings of TLS, with the authorities that the system trusts, or those that the environment names.

    Args:
        verify: whether to refuse servers without a valid certificate.
    """
    named = any(map(os.environ.get, _NAMED))
    context = ssl.create_default_context() if named else truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
