"""Reading the file in a process of its own: the same result, the same errors, none of the libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

from agenthost.cli.first_read import read_apart
from agenthost.config.examination import Options
from agenthost.config.findings import ConfigError
from agenthost.config.loading import examine, loaded

ENVIRON = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
YAML = """
agents:
  a:
    entrypoint: module:entrypoint
    requests: { rules: [{ name: r, when: { room.name: "/^x/" }, action: reject }] }
    settings: { nested: { list: [1, two] } }
"""

CHILD = """
import os, sys
from pathlib import Path
from agenthost.cli.first_read import read_apart
def read():
    from agenthost.config.examination import Options
    from agenthost.config.loading import examine, loaded
    return loaded(examine(Path(sys.argv[1]), Options(environ=os.environ, command="start")))
config = read_apart(read)().config
print(config.agents[0].id, "jsonschema" in sys.modules, "yaml" in sys.modules)
"""


def file(folder: Path, text: str) -> Path:
    (folder / "module.py").write_text("async def entrypoint(ctx): ...\n")
    path = folder / "agenthost.yaml"
    path.write_text(text)
    return path


def test_configuration_is_the_same_as_read_here(tmp_path: Path) -> None:
    """Rules, settings and read-only mappings cross the pipe unchanged."""
    path = file(tmp_path, YAML)

    def read() -> object:
        return loaded(examine(path, Options(environ=ENVIRON, command="start")))

    assert read_apart(read)() == read()  # type: ignore[arg-type]


def test_findings_are_the_same_as_found_here(tmp_path: Path) -> None:
    """A broken file raises the same ConfigError, with every finding."""
    path = file(tmp_path, "entrypont: x:y\nlimits: { memory: 3 }\n")

    def read() -> object:
        return loaded(examine(path, Options(environ=ENVIRON, command="start")))

    with pytest.raises(ConfigError) as here:
        read()
    with pytest.raises(ConfigError) as apart:
        read_apart(read)()  # type: ignore[arg-type]
    assert apart.value.findings == here.value.findings
    assert apart.value.source == here.value.source


def test_reader_that_dies_is_replaced_by_reading_here() -> None:
    """Killed, out of memory: the host finds out itself what is wrong."""
    import os

    parent = os.getpid()

    def read() -> str:
        if os.getpid() != parent:
            os._exit(9)
        return "read here"

    assert read_apart(read)() == "read here"  # type: ignore[arg-type, comparison-overlap]


def test_libraries_of_the_reader_stay_out_of_the_host(tmp_path: Path) -> None:
    """jsonschema and yaml are imported in the child alone."""
    path = file(tmp_path, YAML)
    command = [sys.executable, "-c", CHILD, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={**ENVIRON, "PATH": ""})
    assert told.stdout.split() == ["a", "False", "False"]
