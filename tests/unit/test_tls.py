import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from agenthost.tls import client_context, trust_authorities, without_authorities
from tests.support.tls import PrivateCA


def authorities(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def test_context_trusts_nobody_until_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PrivateCA(tmp_path).file))
    context = client_context()
    assert authorities(context) == 0
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    trust_authorities(context)
    assert authorities(context) == 1
    trust_authorities(context)
    assert authorities(context) == 1


def test_file_that_could_not_be_read_is_read_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL passes over it without a word, for want of a descriptor as well."""
    late = tmp_path / "late.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(late))
    context = client_context()
    trust_authorities(context)
    late.write_bytes(PrivateCA(tmp_path).file.read_bytes())
    trust_authorities(context)
    assert authorities(context) == 1


@pytest.mark.parametrize("before", [None, "/etc/own.pem"])
def test_environment_is_afterwards_as_it_was(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if before is not None:
        monkeypatch.setenv("SSL_CERT_FILE", before)
    with without_authorities():
        assert os.environ["SSL_CERT_FILE"] == os.devnull
    assert os.environ.get("SSL_CERT_FILE") == before


def test_aiohttp_reads_no_certificate_when_it_is_imported() -> None:
    """What this is for: a tenth of all that a start imports."""
    code = (
        "import gc, ssl\nfrom agenthost.tls import without_authorities\n"
        "with without_authorities():\n    import aiohttp\n"
        "contexts = [one for one in gc.get_objects() if isinstance(one, ssl.SSLContext)]\n"
        "print(sum(one.cert_store_stats()['x509_ca'] for one in contexts))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ended.stdout == "0\n"
