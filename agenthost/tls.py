"""TLS that costs a start nothing: the certificates of the authorities are read when the first server asks for them.

To read them takes as long as importing a tenth of everything that a host needs, and aiohttp does it when it is
imported, whatever the server's URL.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

_FILE = "SSL_CERT_FILE"  # OpenSSL's; so is what it names, wherever the system has its own


@contextmanager
def without_authorities() -> Iterator[None]:
    """TLS contexts that are made meanwhile trust nobody yet. For the time before threads and loops."""
    before = os.environ.get(_FILE)
    os.environ[_FILE] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FILE]
        else:
            os.environ[_FILE] = before


def client_context() -> ssl.SSLContext:
    """A client's context that trusts nobody yet: `trust_authorities` before the first connection."""
    with without_authorities():
        context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context


def trust_authorities(context: ssl.SSLContext) -> None:
    """Let it trust whom this machine trusts, or the file in SSL_CERT_FILE; nothing is read a second time.

    OpenSSL does not say when there was no descriptor to read with: then the next call tries again.
    """
    if not context.cert_store_stats()["x509_ca"]:
        context.load_default_certs()
