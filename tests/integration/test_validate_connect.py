"""`validate --connect` against servers that take us, refuse us, are none, have another time, or are not there."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agenthost.cli.connect_check import check_server
from agenthost.config.loading import Options, examine_text
from agenthost.config.model import Config
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults
from tests.support.protocols import Server

SECRET = "canary secret that is long enough for a signature"


def config(folder: Path, url: str, key: str = "key", secret: str = SECRET) -> Config:
    (folder / "connected.py").write_text("async def entrypoint(ctx): ...\n")
    environ = {"LIVEKIT_URL": url, "LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": secret}
    done = examine_text(
        "entrypoint: connected:entrypoint\n", folder / "agenthost.yaml", Options(environ=environ, command="start")
    )
    assert done.config is not None, done.findings
    return done.config


@contextmanager
def answering(status: int) -> Iterator[str]:
    """An HTTP server that says the same to everybody; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_good_credentials_have_no_findings(tmp_path: Path) -> None:
    """One request, answered."""
    async with FakeLiveKitServer() as server:
        given = config(tmp_path, server.url, server.api_key, server.api_secret)
        assert await asyncio.to_thread(check_server, given, "f.yaml") == ()


async def test_wrong_credentials_are_named_but_not_shown(tmp_path: Path) -> None:
    """AH402 with the server's address, without the secret."""
    async with FakeLiveKitServer() as server:
        (finding,) = await asyncio.to_thread(check_server, config(tmp_path, server.url, server.api_key), "f.yaml")
    assert finding.code == "AH402"
    assert server.url.removeprefix("ws://") in finding.message
    assert "canary" not in repr(finding)


@pytest.mark.e2e
def test_the_real_server_says_the_same(tmp_path: Path, livekit_server: Server) -> None:
    """Yes to its own credentials, no to others."""
    good = config(tmp_path, livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    assert check_server(good, "f.yaml") == ()
    wrong = config(tmp_path, livekit_server.url, livekit_server.api_key)
    assert [finding.code for finding in check_server(wrong, "f.yaml")] == ["AH402"]


def test_no_server_and_another_one_are_told_apart(tmp_path: Path) -> None:
    """Nobody there; somebody, but not LiveKit."""
    (finding,) = check_server(config(tmp_path, "ws://127.0.0.1:9"), "f.yaml")
    assert (finding.code, "does not answer" in finding.message) == ("AH401", True)
    with answering(404) as url:
        (finding,) = check_server(config(tmp_path, url), "f.yaml")
    assert (finding.code, "HTTP 404" in finding.message) == ("AH401", True)


async def test_a_clock_that_is_off_is_a_warning(tmp_path: Path) -> None:
    """Tokens carry times."""
    async with FakeLiveKitServer(faults=Faults(clock_offset=-3600)) as server:
        given = config(tmp_path, server.url, server.api_key, server.api_secret)
        (finding,) = await asyncio.to_thread(check_server, given, "f.yaml")
    assert (finding.code, finding.severity.value) == ("AH403", "warning")
    assert "1h behind this machine's" in finding.message


def test_a_password_in_the_url_is_not_repeated(tmp_path: Path) -> None:
    """Proxies in front of a server sometimes want one."""
    (finding,) = check_server(config(tmp_path, "ws://user:canary@127.0.0.1:9"), "f.yaml")
    assert "canary" not in repr(finding)
