"""Golden files: a configuration, a line of `=`, and what `validate` says about it.

`UPDATE_GOLDEN=1 pytest tests/golden` writes what is said now; read the difference before committing it. Lines that
start with `#:` in the configuration set the scene: `#: command dev`, `#: profile NAME`, `#: set PATH=VALUE`,
`#: unset VARIABLE`, `#: no-secrets`.
"""

import os
import shutil
from pathlib import Path

import pytest

from agenthost.config.codes import CODES
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
}
TESTED_ELSEWHERE = {
    "AH001": "tests/unit/config/test_loading.py: a file that is not there",
    "AH265": "tests/integration/test_validate_import.py",
    "AH266": "tests/integration/test_validate_import.py",
    "AH267": "tests/integration/test_validate_import.py",
    "AH401": "tests/integration/test_validate_connect.py",
    "AH402": "tests/integration/test_validate_connect.py",
    "AH403": "tests/integration/test_validate_connect.py",
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


def test_every_code_has_a_golden_file() -> None:
    """No code without an example of what it looks like."""
    shown = "".join(file.read_text(encoding="utf-8").partition(SEPARATOR)[2] for file in FILES)
    missing = {code for code in CODES if f"[{code}]" not in shown}
    assert missing == set(TESTED_ELSEWHERE)


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
