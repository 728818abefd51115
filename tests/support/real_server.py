"""A real livekit-server on loopback for the end-to-end tests; started by argv, ended by pid."""

import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

START_SECONDS = 20.0


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealLiveKitServer:
    """`with RealLiveKitServer(binary, folder) as server:` gives url, api_key and api_secret of a fresh server.

    `folder` takes the 0600 configuration and the server's log (`livekit.log`).
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        self.api_key = "e2ekey"
        self.api_secret = secrets.token_hex(32)
        self.port = free_port()
        self.log = folder / "livekit.log"
        self._binary = binary
        self._config = folder / "livekit.yaml"
        self._media_port = free_port(socket.SOCK_DGRAM)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The three variables that make a client find this server."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET": self.api_secret}

    def __enter__(self) -> "RealLiveKitServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, the second time on the same ports; returns once it answers HTTP."""
        self._write_config()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "--config", self._config, "--node-ip", "127.0.0.1"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"livekit-server did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once: a polite end would wait for every participant to leave."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _write_config(self) -> None:
        text = (
            "bind_addresses: [127.0.0.1]\n"
            f"port: {self.port}\n"
            f"rtc: {{ tcp_port: 0, udp_port: {self._media_port}, interfaces: {{ includes: [lo] }}, "
            "enable_loopback_candidate: true }\n"
            f"keys: {{ {self.api_key}: {self.api_secret} }}\n"
            "logging: { level: info }\n"
        )
        descriptor = os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)
