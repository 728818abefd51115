"""What the tests of the configuration share: a folder with code, and reading a text in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agenthost.config.loading import Examination, Options, examine_text
from agenthost.config.model import Config

ENVIRON = {"LIVEKIT_URL": "ws://127.0.0.1:7880", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
CODE = """async def entrypoint(ctx): ...
async def on_request(request): ...
def prewarm(proc): ...
def load(): ...
"""

Examine = Callable[..., Examination]
Load = Callable[..., Config]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the module `code` in it."""
    (tmp_path / "code_of_agent.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def examine(folder: Path) -> Examine:
    """Examine a text as if it were agenthost.yaml in `folder`."""

    def run(
        text: str, *, command: str = "start", environ: dict[str, str] | None = None, **options: object
    ) -> Examination:
        given = Options(environ={**ENVIRON, **(environ or {})}, command=command, **options)  # type: ignore[arg-type]
        return examine_text(text, folder / "agenthost.yaml", given)

    return run


@pytest.fixture
def load(examine: Examine) -> Load:
    """The Config of a text that must be valid."""

    def run(text: str, **options: object) -> Config:
        examination = examine(text, **options)
        assert examination.config is not None, examination.findings
        return examination.config

    return run
