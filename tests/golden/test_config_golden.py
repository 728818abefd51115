"""Golden files: a configuration, a line of `=`, and what `validate` says about it.

What a text alone does not show, a missing file, code that runs, a server, is in test_command_golden.py.

`UPDATE_GOLDEN=1 pytest tests/golden` writes what is said now; read the difference before committing it. Lines that
start with `#:` in the configuration set the scene: `#: command dev`, `#: profile NAME`, `#: set PATH=VALUE`,
`#: unset VARIABLE`, `#: no-secrets`.
"""

import os
import shutil
from pathlib import Path

import pytest

from agenthost.config.findings_text import plain, render, render_stages
from agenthost.config.loading import Examination, Options, Stage, examine_text

HERE = Path(__file__).parent
FILES = sorted((HERE / "config").glob("*.yaml"))
SEPARATOR = "\n========\n"
CANARY = "canary-secret-value"
ENVIRON = {
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "APIgolden",
    "LIVEKIT_API_SECRET": CANARY,
    "OPENAI_API_KEY": CANARY,
    "WORD": "canary",
    "EMPTY": "",
    "LATIN_1": "canary-\udcfc",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the configurations seem to lie: the files they name, and one that no formatter would leave alone."""
    made = tmp_path_factory.mktemp("golden") / "files"
    shutil.copytree(HERE / "files", made)
    (made / "broken.py").write_text("async def entrypoint(ctx)\n    pass\n")
    return made


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rendering_is_as_recorded(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorded configuration gets exactly the recorded findings."""
    text, expected = file.read_text(encoding="utf-8").split(SEPARATOR)
    monkeypatch.chdir(folder)
    actual = say(examination(text + "\n"))
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text + SEPARATOR + actual, encoding="utf-8")
        return
    assert actual == expected
    assert CANARY not in actual.replace(text, "")


def examination(text: str) -> Examination:
    words = [line[2:].split(maxsplit=1) for line in text.splitlines() if line.startswith("#:")]
    scene = [(word[0], word[1] if len(word) > 1 else "") for word in words]
    last = dict(scene)
    unset = {value for key, value in scene if key == "unset"}
    options = Options(
        environ={name: value for name, value in ENVIRON.items() if name not in unset},
        command=last.get("command", "start"),
        profile=last.get("profile"),
        overrides=[value for key, value in scene if key == "set"],
        secrets="no-secrets" not in last,
    )
    return examine_text(text, Path("agenthost.yaml"), options)


def say(done: Examination) -> str:
    stages = render_stages({stage.value: done.stages.get(stage) for stage in Stage})
    return plain([*render(done.findings, done.source, file=str(done.file)), stages]) + "\n"
